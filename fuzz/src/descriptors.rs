//! Bytes as descriptors of pools, allocations and channels: what is no descriptor gives an error, what is one is
//! written as the same bytes again, and opening what it names gives a handle or an error.

use std::cell::OnceCell;

use weyr_channel::{Channel, ChannelAttributes, ChannelDescriptor};
use weyr_managed::{AllocationDescriptor, Mode, Pool, PoolAttributes, PoolDescriptor};

/// A pool with a published block and a channel.
struct Ground {
    directory: tempfile::TempDir,
    pool: Pool,
    channel: Channel,
    /// Descriptors of each kind that are right.
    right: [Vec<u8>; 3],
}

impl Ground {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let attributes = PoolAttributes::new("fuzz", 1 << 20).directory(directory.path());
        let pool = Pool::create(&attributes).expect("a pool");
        let published = pool.alloc(1000).and_then(weyr_managed::Allocation::publish).expect("a block");
        let channel = Channel::create(&pool, &ChannelAttributes::new().capacity(4)).expect("a channel");
        let right = [
            pool.descriptor().to_bytes(),
            published.descriptor().to_bytes(),
            channel.descriptor().to_bytes(),
        ];
        Self { directory, pool, channel, right }
    }
}

thread_local!(static GROUND: OnceCell<Ground> = const { OnceCell::new() });

/// The first byte says what is made of the others.
pub fn run(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    GROUND.with(|ground| {
        let ground = ground.get_or_init(Ground::new);
        let bytes = match how % 4 {
            0 => bytes.to_vec(),
            1 => framed(bytes),
            2 => patched(&ground.right[usize::from(how / 4 % 3)], bytes, false),
            _ => patched(&ground.right[usize::from(how / 4 % 3)], bytes, true),
        };
        pool(ground, &bytes);
        allocation(ground, &bytes);
        channel(ground, &bytes);
        let _text = String::from_utf8_lossy(&bytes).parse::<ChannelDescriptor>();
    });
}

/// With a checksum that is right, so that what lies before it is looked at.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut framed = bytes.to_vec();
    framed.extend(crc32fast::hash(bytes).to_le_bytes());
    framed
}

/// A descriptor that is right, with some bytes others: pairs of place and value.
fn patched(right: &[u8], pairs: &[u8], frame: bool) -> Vec<u8> {
    let mut bytes = right.to_vec();
    for pair in pairs.chunks_exact(2).take(6) {
        let at = usize::from(pair[0]) % bytes.len();
        bytes[at] = pair[1];
    }
    if frame { framed(&bytes[..bytes.len() - 4]) } else { bytes }
}

fn pool(ground: &Ground, bytes: &[u8]) {
    let Ok(descriptor) = PoolDescriptor::from_bytes(bytes) else { return };
    assert_eq!(descriptor.to_bytes(), bytes);
    // Other paths are other people's files.
    if descriptor.path.starts_with(ground.directory.path()) {
        let attached = Pool::attach_descriptor(&descriptor);
        assert_eq!(attached.is_ok(), bytes == ground.right[0], "{descriptor:?}");
    }
}

fn allocation(ground: &Ground, bytes: &[u8]) {
    let Ok(descriptor) = AllocationDescriptor::from_bytes(bytes) else { return };
    assert_eq!(descriptor.to_bytes(), bytes);
    if let Ok(opened) = ground.pool.open(&descriptor) {
        let known = AllocationDescriptor::from_bytes(&ground.right[1]).expect("a right one");
        assert_eq!((descriptor.reference, descriptor.uuid), (known.reference, known.uuid));
        let mut all = vec![0; opened.len() as usize];
        opened.read(0, &mut all).expect("what was opened can be read");
        assert!(opened.read(opened.len(), &mut [0]).is_err());
    }
}

fn channel(ground: &Ground, bytes: &[u8]) {
    let Ok(descriptor) = ChannelDescriptor::from_bytes(bytes) else { return };
    assert_eq!(descriptor.to_bytes(), bytes);
    if let Ok(attached) = Channel::attach_in(&ground.pool, &descriptor) {
        assert_eq!(descriptor.reference(), ground.channel.descriptor().reference());
        attached.try_send(b"x").expect("a channel with room");
        ground.channel.try_receive().expect("a message");
    }
    if ground.channel.is_destroyed() || !ground.pool.verify(Mode::Quiesced).holds() {
        panic!("a descriptor changed the pool");
    }
}
