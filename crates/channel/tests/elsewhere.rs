//! Bytes larger than a block, whose buffers lie in another pool than the channel.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pools::{TestPool, as_child, child};
use weyr_channel::protocol::{Attached, Attempt, Elsewhere, PoolHost, SendSide, Tried};
use weyr_channel::{Channel, ChannelAttributes, Content, Error, WaitMode};
use weyr_managed::{BufferPool, Growth, Mode, Pool, PoolAttributes};
use weyr_shared::{MessageReference, Ring};

/// A pool of a channel, one of its buffers, and the channel.
struct World {
    channel: Option<Channel>,
    pool: TestPool,
    buffers: TestPool,
}

impl World {
    fn new(test: &str, capacity: u64) -> Self {
        Self::shaped(test, |attributes| attributes.capacity(capacity))
    }

    fn shaped(test: &str, shape: impl Fn(ChannelAttributes) -> ChannelAttributes) -> Self {
        let (pool, buffers) = (TestPool::new(test), TestPool::new(&format!("{test}-buffers")));
        let attributes = shape(ChannelAttributes::new().block_size(64).buffer_pool(&buffers.0));
        Self { channel: Some(Channel::create(&pool.0, &attributes).unwrap()), pool, buffers }
    }

    fn channel(&self) -> &Channel {
        self.channel.as_ref().unwrap()
    }

    fn buffered(&self) -> u64 {
        self.buffers.blocks()
    }

    fn destroy(&mut self) {
        self.channel.take().unwrap().destroy().unwrap();
    }

    fn assert_empty(&self) {
        assert_eq!((self.pool.blocks(), self.buffered()), (0, 0));
        self.pool.assert_verified();
        self.buffers.assert_verified();
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn bytes(number: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (number * 31 + at * 7) as u8).collect()
}

#[test]
fn what_does_not_fit_lies_in_the_other_pool_and_leaves_nothing_there() {
    let mut world = World::new("elsewhere", 3);
    let (channel, receiver) = (world.channel(), world.channel().receiver());
    for (number, len) in [(1, 64), (2, 65), (3, 4096), (4, 300_000), (5, 0)] {
        let sent = bytes(number, len);
        let large = u64::from(len > 64);
        (0..3).for_each(|_| channel.send(&sent).unwrap());
        assert_eq!((world.pool.blocks(), world.buffered()), (1, 3 * large));
        assert_eq!(receiver.try_peek().unwrap().len(), len as u64);
        let message = channel.receive().unwrap();
        assert!(matches!(message.content(), Content::Bytes(_)) && !message.is_redelivered());
        assert_eq!(message.into_bytes().unwrap(), sent);
        let mut buffer = vec![0; len + 1];
        if len > 0 {
            let refused = receiver.try_receive_into(&mut buffer[..len - 1]);
            assert_eq!(refused, Err(Error::TooLarge { needed: len as u64, largest: len as u64 - 1 }));
        }
        assert_eq!(receiver.try_receive_into(&mut buffer), Ok(len));
        assert_eq!(buffer[..len], sent);
        assert_eq!(world.buffered(), large);
        let mut pad = vec![0; len];
        assert_eq!(receiver.try_receive_to(&mut pad[..]).unwrap().len, len as u64);
        assert_eq!((pad, world.buffered()), (sent, 0));
    }
    drop(receiver);
    world.destroy();
    world.assert_empty();
}

#[test]
fn a_lease_reads_in_place_and_takes_memory_that_no_slot_names_any_more() {
    let mut world = World::new("elsewhere-lease", 2);
    let sent = bytes(1, 500);
    let channel = world.channel();
    channel.send(&sent).unwrap();
    channel.send(&sent).unwrap();
    let lease = channel.lease().unwrap();
    let mut part = [0; 10];
    lease.read(490, &mut part).unwrap();
    assert_eq!((lease.bytes().unwrap(), &part[..]), (sent.clone(), &sent[490..]));
    assert!(lease.as_slice().is_err() && lease.read(491, &mut part).is_err());
    drop(lease);
    // Given back and taken whole; what its receiver publishes then is the receiver's, whoever sends through the slot.
    let lease = channel.lease().unwrap();
    assert!(lease.is_redelivered());
    let taken = lease.take().unwrap().into_allocation().unwrap();
    assert!(world.buffers.0.has(&taken).unwrap());
    let published = taken.publish().unwrap();
    channel.lease().unwrap().done().unwrap();
    for number in 0..6 {
        channel.send(&bytes(number, 10)).unwrap();
        assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), bytes(number, 10));
    }
    let mut kept = vec![0; 500];
    published.read(0, &mut kept).unwrap();
    assert_eq!(kept, sent);
    published.free().unwrap();
    world.destroy();
    world.assert_empty();
}

#[test]
fn attributes_and_levels_go_with_buffers_of_another_pool() {
    let mut world = World::shaped("elsewhere-levels", |attributes| {
        attributes.capacity(4).priority_levels(3).message_attributes(true)
    });
    let channel = world.channel();
    for level in 0..3 {
        let sender = channel.sender().with_priority(level).unwrap().with_client_id(u64::from(level));
        sender.message().hints(7).send(&bytes(u64::from(level), 200)).unwrap();
    }
    for level in (0..3).rev() {
        let message = channel.receive().unwrap();
        let attributes = message.attributes().unwrap();
        assert_eq!((attributes.client_id, attributes.hints), (level, 7));
        assert_eq!(message.into_bytes().unwrap(), bytes(level, 200));
    }
    world.destroy();
    world.assert_empty();
}

#[test]
fn the_channels_own_pool_named_as_that_of_its_buffers_is_the_channels_own() {
    let pool = TestPool::new("own-buffers");
    let attributes = ChannelAttributes::new().block_size(64).buffer_pool(&pool.0);
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    channel.send(&bytes(1, 100)).unwrap();
    assert!(!pool.0.usage().by_state.contains_key(&weyr_managed::BlockState::Pool));
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), bytes(1, 100));
    channel.destroy().unwrap();
    assert_eq!(pool.blocks(), 0);
}

#[test]
fn impossible_buffer_pools_are_refused_with_the_reason() {
    let (pool, buffers) = (TestPool::new("refused"), TestPool::new("refused-buffers"));
    let attributes = ChannelAttributes::new().buffer_pool(&buffers.0);
    let idle = Channel::create(&pool.0, &attributes.clone().side_loading(false));
    assert!(matches!(idle, Err(Error::InvalidBufferPool { .. })), "{idle:?}");
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let deep = directory.path().join("d".repeat(200)).join("d".repeat(200)).join("d".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let far = Pool::create(&PoolAttributes::new("far", 1 << 20).directory(&deep)).unwrap();
    let refused = Channel::create(&pool.0, &ChannelAttributes::new().buffer_pool(&far));
    assert!(matches!(refused, Err(Error::InvalidBufferPool { .. })), "{refused:?}");
    buffers.0.destroy().unwrap();
    let gone = Channel::create(&pool.0, &attributes);
    assert!(matches!(gone, Err(Error::BufferPool(_))), "{gone:?}");
    assert_eq!(pool.blocks(), 0);
}

#[test]
fn without_its_buffer_pool_a_channel_moves_what_fits_a_block() {
    let world = World::new("pool-gone", 3);
    let channel = world.channel();
    channel.send(&bytes(1, 100)).unwrap();
    world.buffers.0.destroy().unwrap();
    // What was sent is still mapped here; nothing new is allocated.
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), bytes(1, 100));
    assert_eq!(channel.send(&bytes(2, 100)), Err(Error::BufferPoolGone));
    channel.send(&bytes(3, 64)).unwrap();
    let descriptor = channel.descriptor();
    let mut newcomer = child("a_newcomer_attaches_without_the_buffer_pool", &[channel]);
    assert!(newcomer.wait().unwrap().success());
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), bytes(4, 64));
    drop(descriptor);
}

/// The other process of the test above.
#[test]
fn a_newcomer_attaches_without_the_buffer_pool() {
    let Some(channels) = as_child("a_newcomer_attaches_without_the_buffer_pool") else { return };
    assert_eq!(channels[0].receive().unwrap().into_bytes().unwrap(), bytes(3, 64));
    assert_eq!(channels[0].send(&bytes(2, 100)), Err(Error::BufferPoolGone));
    channels[0].send(&bytes(4, 64)).unwrap();
}

#[test]
fn senders_wait_for_memory_of_the_buffer_pool() {
    let small = |attributes: PoolAttributes| attributes.page_size(4096).processes(4).lanes(8).channels(2);
    let pool = TestPool::with("waits", 128 << 10, small);
    let buffers = TestPool::with("waits-buffers", 128 << 10, small);
    let attributes = ChannelAttributes::new().block_size(64).capacity(20).buffer_pool(&buffers.0);
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    let large = bytes(1, 20_000);
    let sent = (0..20).take_while(|_| channel.try_send(&large).is_ok()).count() as u64;
    assert!((3..=6).contains(&sent), "{sent}");
    assert_eq!(channel.try_send(&large), Err(Error::BufferPoolFull { bytes: 20_000 }));
    assert_eq!(channel.send_until(&large, Instant::now()), Err(Error::Timeout));
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        std::thread::scope(|scope| {
            let sender = channel.sender().with_wait_mode(mode);
            let large = &large;
            let waiting =
                scope.spawn(move || (0..20).try_for_each(move |_| sender.send_until(large, soon())));
            for _ in 0..20 {
                assert_eq!(&channel.receiver().receive_until(soon()).unwrap().into_bytes().unwrap(), large);
            }
            waiting.join().unwrap().unwrap();
        });
    }
    channel.destroy().unwrap();
    assert_eq!((pool.blocks(), buffers.blocks()), (0, 0));
}

#[test]
fn a_destroyed_channel_gives_its_buffers_back() {
    let mut world = World::new("destroyed", 4);
    (0..4).for_each(|number| world.channel().send(&bytes(number, 1000)).unwrap());
    let lease = world.channel().lease().unwrap();
    assert_eq!(world.buffered(), 4);
    world.destroy();
    assert_eq!(world.buffered(), 1);
    drop(lease);
    world.assert_empty();
}

/// A destroyed channel whose last user died with two leases; nobody here has the buffer pool.
fn destroyed_with_leases(name: &str) -> (TestPool, PathBuf) {
    let pool = TestPool::new(name);
    let buffers =
        Pool::create(&PoolAttributes::new(format!("{name}-{}", std::process::id()), 1 << 20)).unwrap();
    let attributes = ChannelAttributes::new().block_size(64).buffer_pool(&buffers);
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    let mut dying = child("the_last_user_of_a_channel_dies_with_leases", &[&channel]);
    drop(channel);
    assert_eq!(dying.wait().unwrap().signal(), Some(6));
    let path = buffers.path().to_owned();
    assert_eq!(buffers.usage().total.blocks, 2);
    (pool, path)
}

#[test]
fn the_last_user_of_a_channel_dies_with_leases() {
    let Some(channels) = as_child("the_last_user_of_a_channel_dies_with_leases") else { return };
    let [channel] = <[Channel; 1]>::try_from(channels).unwrap();
    (0..3).for_each(|number| channel.send(&bytes(number, 1000)).unwrap());
    let _leases = [channel.lease().unwrap(), channel.lease().unwrap()];
    channel.destroy().unwrap();
    std::process::abort();
}

#[test]
fn recovery_leaves_buffers_that_it_cannot_reach_to_one_that_can() {
    let (pool, path) = destroyed_with_leases("unreached");
    pool.0.recover();
    assert_eq!(pool.blocks(), 1);
    let buffers = Pool::attach_path(&path).unwrap();
    assert_eq!(buffers.usage().total.blocks, 2);
    pool.0.recover();
    assert_eq!((pool.blocks(), buffers.usage().total.blocks), (0, 0));
    buffers.destroy().unwrap();
    pool.assert_verified();
}

#[test]
fn repair_reaches_the_buffer_pool_itself() {
    let (pool, path) = destroyed_with_leases("repaired");
    pool.0.recover();
    assert_eq!(pool.blocks(), 1);
    Pool::repair(pool.0.path()).unwrap();
    let buffers = Pool::attach_path(&path).unwrap();
    assert_eq!((pool.blocks(), buffers.usage().total.blocks), (0, 0));
    buffers.destroy().unwrap();
}

#[test]
fn a_channel_whose_buffer_pool_is_gone_is_freed_all_the_same() {
    let (pool, path) = destroyed_with_leases("gone");
    pool.0.recover();
    assert_eq!(pool.blocks(), 1);
    Pool::attach_path(&path).unwrap().destroy().unwrap();
    Pool::repair(pool.0.path()).unwrap();
    assert_eq!(pool.blocks(), 0);
}

/// A slot of an empty channel that names a block which a dead sender had lent to it.
fn with_leftover(name: &str, shape: impl Fn(PoolAttributes) -> PoolAttributes) -> World {
    const TEST: &str = "a_sender_dies_between_lending_its_block_and_sending_it";
    let (pool, buffers) = (TestPool::new(name), TestPool::with(name, 1 << 20, shape));
    let attributes = ChannelAttributes::new().block_size(64).capacity(2).buffer_pool(&buffers.0);
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    let mut dying = child(TEST, &[&channel]);
    assert_eq!(dying.wait().unwrap().signal(), Some(6));
    pool.0.recover();
    buffers.0.recover();
    let world = World { channel: Some(channel), pool, buffers };
    assert_eq!((world.buffered(), world.channel().len()), (1, Ok(0)));
    world
}

#[test]
fn a_sender_dies_between_lending_its_block_and_sending_it() {
    let Some(channels) = as_child("a_sender_dies_between_lending_its_block_and_sending_it") else { return };
    let (pool, reference) = (channels[0].pool(), channels[0].descriptor().reference());
    let bytes = pool.channel_block(reference).unwrap().bytes;
    let ring = Ring::open(&pool.region().part(reference.offset, bytes).unwrap(), reference).unwrap();
    let buffers = match BufferPool::attach(&ring).unwrap() {
        BufferPool::Reached(buffers) => buffers,
        other => panic!("{other:?}"),
    };
    let host = PoolHost::of_channel(pool, &ring, reference).unwrap();
    let attached = Attached::new(ring, reference, host).unwrap();
    let memory = buffers.alloc(400_000).unwrap();
    let message = MessageReference { block: memory.reference(), view_offset: 0, view_len: 400_000 };
    let Tried::Done(claim) =
        attached.claim(&SendSide::default(), attached.me().unwrap(), Attempt::AT_ONCE).unwrap()
    else {
        panic!("an empty channel has room");
    };
    attached.fill(claim, &Elsewhere(message)).unwrap();
    std::process::abort();
}

#[test]
fn what_a_dead_sender_lent_is_freed_by_the_next_message_through_its_slot() {
    let mut world = with_leftover("leftover-next", |attributes| attributes);
    for number in 0..3 {
        world.channel().send(&bytes(number, 10)).unwrap();
        assert_eq!(world.channel().receive().unwrap().into_bytes().unwrap(), bytes(number, 10));
    }
    assert_eq!(world.buffered(), 0);
    world.destroy();
    world.assert_empty();
}

#[test]
fn what_a_dead_sender_lent_is_freed_by_who_attaches() {
    let world = with_leftover("leftover-attach", |attributes| attributes);
    drop(Channel::attach_in(&world.pool.0, &world.channel().descriptor()).unwrap());
    assert_eq!(world.buffered(), 0);
}

#[test]
fn what_a_dead_sender_lent_is_freed_where_memory_is_missing() {
    let world = with_leftover("leftover-memory", |attributes| attributes.growth(Growth::None));
    // The leftover has 400,000 of the bytes that there are.
    world.channel().try_send(&bytes(1, 700_000)).unwrap();
    assert_eq!((world.buffered(), world.channel().receive().unwrap().len()), (1, 700_000));
}

#[test]
fn what_a_dead_sender_lent_is_freed_with_the_channel() {
    let mut world = with_leftover("leftover-destroy", |attributes| attributes);
    world.destroy();
    world.assert_empty();
}

#[test]
fn what_a_killed_sender_sent_arrives_and_the_rest_is_freed() {
    const TEST: &str = "what_a_killed_sender_sent_arrives_and_the_rest_is_freed";
    if let Some(channels) = as_child(TEST) {
        for number in 0_u64.. {
            channels[0].send(&number.to_le_bytes().repeat(40)).unwrap();
        }
    }
    let mut world = World::new("killed-elsewhere", 4);
    for round in 0..6 {
        let mut sending = child(TEST, &[world.channel()]);
        let receiver = world.channel().receiver();
        let mut next = 0_u64;
        let mut take = |wait| {
            let message = if wait { receiver.receive_until(soon()) } else { receiver.try_receive() };
            assert_eq!(message?.into_bytes()?, next.to_le_bytes().repeat(40));
            next += 1;
            Ok::<_, Error>(())
        };
        (0..100 + round * 17).for_each(|_| take(true).unwrap());
        sending.kill().unwrap();
        sending.wait().unwrap();
        world.pool.0.recover();
        world.buffers.0.recover();
        while take(false).is_ok() {}
        // Whatever the dead one left in a slot goes with the slot's next message, or when somebody attaches.
        drop(Channel::attach_in(&world.pool.0, &world.channel().descriptor()).unwrap());
        assert_eq!((world.channel().len(), world.buffered()), (Ok(0), 0));
        assert!(world.buffers.0.verify(Mode::Quiesced).findings.is_empty());
    }
    world.destroy();
    world.assert_empty();
}
