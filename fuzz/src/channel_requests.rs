//! Bytes as requests on channels and responses to them: as `requests`, which does the same for pools.

use std::cell::OnceCell;
use std::time::Duration;

use weyr_channel::{
    Channel, ChannelAttributes, ChannelDescriptor, ChannelOperation, ChannelRequest, ChannelResponse, Error,
};
use weyr_managed::{Mode, Pool, PoolAttributes, PoolDescriptor};

use crate::requests::{framed, patched};

/// A pool with a channel that stays, and requests and responses that are right, of each kind.
struct Ground {
    _directory: tempfile::TempDir,
    pool: Pool,
    channel: ChannelDescriptor,
    right: Vec<Vec<u8>>,
}

impl Ground {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let attributes = PoolAttributes::new("fuzz", 1 << 20).directory(directory.path()).channels(4);
        let pool = Pool::create(&attributes).expect("a pool");
        let small = ChannelAttributes::new().block_size(64).capacity(3);
        let channel = Channel::create_named(&pool, "there", &small).expect("a channel").descriptor();
        let right =
            messages(&pool, &channel, &small.priority_levels(2).urgent_capacity(1).side_loading(true));
        Self { _directory: directory, pool, channel, right }
    }
}

fn messages(pool: &Pool, channel: &ChannelDescriptor, attributes: &ChannelAttributes) -> Vec<Vec<u8>> {
    let (there, attached) = (pool.descriptor(), Channel::attach(channel).expect("the channel"));
    let requests = [
        ChannelRequest::create(&there, None, attributes).0,
        ChannelRequest::create(&there, Some("another"), attributes).0,
        ChannelRequest::find(&there, "there").0,
        ChannelRequest::destroy(channel).0,
        ChannelRequest::waiting(channel).0,
        ChannelRequest::state(channel).0,
        ChannelRequest::attributes(channel).0,
        ChannelRequest::set_attributes(channel, &attached.attributes().expect("attributes")).0,
        ChannelRequest::write_lock(channel, Some(Duration::ZERO)).0,
        ChannelRequest::write_unlock(channel).0,
        ChannelRequest::read_lock(channel, Some(Duration::ZERO)).0,
        ChannelRequest::read_unlock(channel).0,
        ChannelRequest::quiesce(channel, Some(Duration::ZERO)).0,
        ChannelRequest::unquiesce(channel).0,
    ];
    let mut right: Vec<_> = requests[2..]
        .iter()
        .filter(|request| may_be_executed(pool, channel, request))
        .map(|request| request.execute().to_bytes())
        .collect();
    right.push(ChannelResponse::refusal(&requests[0], Error::TooLarge { needed: 3, largest: 2 }).to_bytes());
    right.extend(requests.iter().map(ChannelRequest::to_bytes));
    right
}

/// Other pools are other people's, the channel that is there stays, and who waits without limit waits.
fn may_be_executed(pool: &Pool, stays: &ChannelDescriptor, request: &ChannelRequest) -> bool {
    let is_ours = |there: &PoolDescriptor| there.path == pool.path();
    match request.operation() {
        ChannelOperation::Create { pool, .. } | ChannelOperation::Find { pool, .. } => is_ours(pool),
        ChannelOperation::Destroy { channel } if channel.reference() == stays.reference() => false,
        ChannelOperation::WriteLock { patience, .. }
        | ChannelOperation::ReadLock { patience, .. }
        | ChannelOperation::Quiesce { patience, .. }
            if *patience != Some(Duration::ZERO) =>
        {
            false
        }
        ChannelOperation::Destroy { channel }
        | ChannelOperation::Waiting { channel }
        | ChannelOperation::GetAttributes { channel }
        | ChannelOperation::SetAttributes { channel, .. }
        | ChannelOperation::State { channel }
        | ChannelOperation::WriteLock { channel, .. }
        | ChannelOperation::WriteUnlock { channel }
        | ChannelOperation::ReadLock { channel, .. }
        | ChannelOperation::ReadUnlock { channel }
        | ChannelOperation::Quiesce { channel, .. }
        | ChannelOperation::Unquiesce { channel } => {
            PoolDescriptor::from_bytes(channel.pool()).is_ok_and(|there| is_ours(&there))
        }
        _ => false,
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
        response(ground, &bytes);
    });
}

fn request(ground: &Ground, bytes: &[u8]) {
    let Ok(request) = ChannelRequest::from_bytes(bytes) else { return };
    assert_eq!(request.to_bytes(), bytes);
    if !may_be_executed(&ground.pool, &ground.channel, &request) {
        return;
    }
    let response = request.execute();
    assert_eq!((response.id(), response.kind()), (request.id(), request.kind()));
    match ChannelResponse::from_bytes(&response.to_bytes()) {
        Ok(read) => assert_eq!(read, response),
        // The responses of this run had all the words that a process keeps.
        Err(error) => assert!(error.to_string().contains("more words"), "{error}"),
    }
    let verification = ground.pool.verify(Mode::Quiesced);
    assert!(verification.holds(), "{:#?}", verification.findings);
    for block in ground.pool.channel_blocks() {
        if block.reference != ground.channel.reference() {
            ground.pool.free_channel(block.reference).expect("a channel that nobody has");
        }
    }
}

fn response(ground: &Ground, bytes: &[u8]) {
    let Ok(response) = ChannelResponse::from_bytes(bytes) else { return };
    assert_eq!(response.to_bytes(), bytes);
    // No response of before is to a request of now.
    let (request, completion) = ChannelRequest::waiting(&ground.channel);
    assert!(completion.complete(&response).is_err(), "{request:?}");
}
