//! Bytes as requests and responses: what is none gives an error, what is one is written as the same bytes again, and
//! executing it gives a response that completes its request and no other, and leaves the pool sound.

use std::cell::OnceCell;
use std::time::Duration;

use weyr_managed::{
    AllocationMode, Error, Growth, Mode, Operation, Pool, PoolAttributes, PoolType, Request, Response,
};

/// A pool, and requests and responses that are right, of each kind.
struct Ground {
    _directory: tempfile::TempDir,
    pool: Pool,
    right: Vec<Vec<u8>>,
}

impl Ground {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let attributes = PoolAttributes::new("fuzz", 1 << 20).directory(directory.path()).manifest_entries(8);
        let pool = Pool::create(&attributes).expect("a pool");
        let right = messages(&pool, &attributes.growth(Growth::UpTo(2 << 20)).pool_type(PoolType::File));
        Self { _directory: directory, pool, right }
    }
}

fn messages(pool: &Pool, attributes: &PoolAttributes) -> Vec<Vec<u8>> {
    let (there, block) = (pool.descriptor(), pool.alloc_typed(1000, 3, 4).expect("a block"));
    let modes =
        [AllocationMode::Aligned(4096), AllocationMode::Zeroed(64), AllocationMode::Within(Duration::ZERO)];
    let mut requests = vec![
        Request::create(attributes).0,
        Request::destroy(&there).0,
        Request::allocate(&there, 100).0,
        Request::allocate_typed(&there, 5000, 1, 2).0,
        Request::free(&there, &block.descriptor()).0,
        Request::find(&there, 3, 4).0,
        Request::find_by_id(&there, block.block_id()).0,
        Request::exists(&there, 3, 4).0,
        Request::manifest(&there).0,
        Request::manifest_of_type(&there, 3).0,
        Request::allocations(&there).0,
        Request::usage(&there).0,
    ];
    requests.extend(modes.map(|mode| Request::allocate_with(&there, 70_000, mode, Some((1, 1))).0));
    let harmless = requests.iter().filter(|request| may_be_executed(pool, request));
    let mut right: Vec<_> = harmless.map(|request| request.execute().to_bytes()).collect();
    right.push(Response::refusal(&requests[0], Error::NoMemory { bytes: 3 }).to_bytes());
    right.extend(requests.iter().map(Request::to_bytes));
    right
}

/// Other pools are other people's, and who waits without limit waits.
fn may_be_executed(pool: &Pool, request: &Request) -> bool {
    let patient = |mode: &AllocationMode| match mode {
        AllocationMode::Within(patience) => !patience.is_zero(),
        mode => *mode == AllocationMode::Blocking,
    };
    match request.operation() {
        Operation::Create { .. } | Operation::Destroy { .. } => false,
        Operation::Allocate { mode, .. } if patient(mode) => false,
        operation => operation.pool().is_some_and(|there| there.path == pool.path()),
    }
}

thread_local!(static GROUND: OnceCell<Ground> = const { OnceCell::new() });

/// The first two bytes say what is made of the others.
pub fn run(input: &[u8]) {
    let Some(([how, which], bytes)) = input.split_first_chunk() else { return };
    GROUND.with(|ground| {
        let ground = ground.get_or_init(Ground::new);
        let right = &ground.right[usize::from(*which) % ground.right.len()];
        let bytes = match how % 4 {
            0 => bytes.to_vec(),
            1 => framed([&right[..22], bytes].concat()),
            2 => patched(right, bytes),
            _ => framed(patched(&right[..right.len() - 4], bytes)),
        };
        request(ground, &bytes);
        response(&bytes);
    });
}

/// With a checksum that is right, so that what lies before it is looked at.
pub fn framed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// With some bytes others: pairs of place and value.
pub fn patched(right: &[u8], pairs: &[u8]) -> Vec<u8> {
    let mut bytes = right.to_vec();
    for pair in pairs.chunks_exact(2).take(6) {
        let at = usize::from(pair[0]) % bytes.len();
        bytes[at] = pair[1];
    }
    bytes
}

fn request(ground: &Ground, bytes: &[u8]) {
    let Ok(request) = Request::from_bytes(bytes) else { return };
    assert_eq!(request.to_bytes(), bytes);
    if !may_be_executed(&ground.pool, &request) {
        return;
    }
    let response = request.execute();
    assert_eq!((response.id(), response.kind()), (request.id(), request.kind()));
    match Response::from_bytes(&response.to_bytes()) {
        Ok(read) => assert_eq!(read, response),
        // The responses of this run had all the words that a process keeps.
        Err(error) => assert!(error.to_string().contains("more words"), "{error}"),
    }
    let verification = ground.pool.verify(Mode::Quiesced);
    assert!(verification.holds(), "{:#?}", verification.findings);
    give_back(&ground.pool);
}

/// What was allocated, but for what the right requests mean.
fn give_back(pool: &Pool) {
    let blocks = pool.allocations();
    for block in blocks.iter().filter(|block| block.entry.is_none_or(|entry| entry.type_id != 3)) {
        pool.find_by_id(block.block_id()).and_then(weyr_managed::Published::free).expect("a published block");
    }
}

fn response(bytes: &[u8]) {
    let Ok(response) = Response::from_bytes(bytes) else { return };
    assert_eq!(response.to_bytes(), bytes);
    // No response of before is to a request of now.
    let pool = weyr_managed::PoolDescriptor { host: 1, uuid: 2, path: "/p".into() };
    let (request, completion) = Request::usage(&pool);
    assert!(matches!(completion.complete(&response), Err(Error::OtherRequest { .. })), "{request:?}");
}
