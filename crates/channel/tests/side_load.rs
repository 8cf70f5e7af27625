//! Bytes larger than a block: sent as a copy in the channel's pool, received as bytes, and freed.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::time::{Duration, Instant};

use pools::{TestPool, as_child, child};
use weyr_channel::{Channel, ChannelAttributes, Content, Error, WaitMode};
use weyr_managed::PoolAttributes;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn attributes(capacity: u64) -> ChannelAttributes {
    ChannelAttributes::new().block_size(64).capacity(capacity).side_loading(true)
}

fn channel(pool: &TestPool, capacity: u64) -> Channel {
    Channel::create(&pool.0, &attributes(capacity)).unwrap()
}

fn bytes(number: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (number * 31 + at * 7) as u8).collect()
}

#[test]
fn bytes_of_every_length_arrive_and_leave_no_memory_behind() {
    let pool = TestPool::new("lengths");
    let channel = channel(&pool, 2);
    let receiver = channel.receiver();
    for (number, len) in [(0, 63), (1, 64), (2, 65), (3, 1000), (4, 4096), (5, 100_000), (6, 0)] {
        let sent = bytes(number, len);
        channel.send(&sent).unwrap();
        channel.send(&sent).unwrap();
        let message = channel.receive().unwrap();
        assert!(matches!(message.content(), Content::Bytes(_)));
        assert_eq!(message.into_bytes().unwrap(), sent);
        let mut buffer = vec![0; len + 1];
        if len > 0 {
            let refused = receiver.try_receive_into(&mut buffer[..len - 1]);
            assert_eq!(refused, Err(Error::TooLarge { needed: len as u64, largest: len as u64 - 1 }));
        }
        assert_eq!(receiver.try_receive_into(&mut buffer), Ok(len));
        assert_eq!(buffer[..len], sent);
        assert_eq!(pool.blocks(), 1);
    }
    let copied = 63 + 64 + 65 + 1000 + 4096 + 100_000;
    assert_eq!(channel.statistics().bytes_copied_in, 2 * copied);
    assert_eq!(
        (channel.statistics().bytes_copied_out, receiver.statistics().bytes_copied_out),
        (copied, copied)
    );
    pool.assert_verified();
}

#[test]
fn a_lease_sees_the_bytes_in_their_allocation_and_may_take_it() {
    let pool = TestPool::new("large-lease");
    let channel = channel(&pool, 3);
    let sent = bytes(1, 500);
    for _ in 0..3 {
        channel.send(&sent).unwrap();
    }
    let lease = channel.lease().unwrap();
    let mut part = [0; 10];
    lease.read(490, &mut part).unwrap();
    assert_eq!((lease.len(), lease.bytes().unwrap(), &part[..]), (Ok(500), sent.clone(), &sent[490..]));
    assert!(lease.read(491, &mut part).is_err());
    lease.done().unwrap();
    assert_eq!(pool.blocks(), 3);
    let memory = channel.lease().unwrap().take().unwrap().into_allocation().unwrap();
    assert_eq!(memory.len(), 500);
    drop(channel.lease().unwrap());
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), sent);
    drop(memory);
    assert_eq!(pool.blocks(), 1);
    pool.assert_verified();
}

#[test]
fn large_bytes_carry_attributes_and_land_where_the_receiver_says() {
    let pool = TestPool::new("large-landing");
    let channel = Channel::create(&pool.0, &attributes(3).message_attributes(true)).unwrap();
    let receiver = channel.receiver();
    let sent = bytes(3, 300);
    let sender = channel.sender().with_client_id(9);
    for _ in 0..3 {
        sender.message().hints(5).send(&sent).unwrap();
    }
    assert_eq!(receiver.try_peek().unwrap().reference().unwrap().1, 0..300);
    let message = receiver.try_receive().unwrap();
    let attributes = message.attributes().unwrap();
    assert_eq!((attributes.client_id, attributes.hints, attributes.sequence), (9, 5, 1));
    assert_eq!(message.into_bytes().unwrap(), sent);
    let mut pad = vec![0; 299];
    let refused = receiver.try_receive_to(&mut pad[..]);
    assert_eq!(refused, Err(Error::TooLarge { needed: 300, largest: 299 }));
    let mut pad = pool.0.alloc(300).unwrap();
    assert_eq!(receiver.try_receive_to(&mut pad).unwrap().len, 300);
    let mut landed = vec![0; 300];
    pad.read(0, &mut landed).unwrap();
    assert_eq!(landed, sent);
    assert_eq!(receiver.try_receive_into(&mut landed), Ok(300));
    drop(pad);
    assert_eq!(pool.blocks(), 1);
}

#[test]
fn attached_channels_load_as_their_creator_asked() {
    let pool = TestPool::new("attached-large");
    let channel = channel(&pool, 2);
    let other = Channel::attach(&channel.descriptor()).unwrap();
    other.send(&bytes(1, 99)).unwrap();
    assert_eq!(channel.receive().unwrap().len(), 99);
    let plain = pool.channel(1);
    assert_eq!(plain.try_send(&bytes(1, 99)), Err(Error::TooLarge { needed: 99, largest: 64 }));
}

#[test]
fn messages_and_channels_leave_nothing_in_a_pool_that_is_zero_where_it_is_free() {
    let pool = TestPool::with("wiped", 1 << 20, |attributes| attributes.zero_on_free(true));
    let channel = channel(&pool, 4);
    let receiver = channel.receiver();
    let dirty = || {
        let mut bytes = vec![0; pool.0.size() as usize];
        pool.0.region().copy_out(0, &mut bytes).unwrap();
        // By words: one byte may be so by chance.
        8 * bytes.chunks(8).filter(|word| word == &[0x77; 8]).count()
    };
    let large = [0x77; 1000];
    (0..4).for_each(|_| channel.send(&large).unwrap());
    assert_eq!(dirty(), 4000);
    channel.receive().unwrap();
    assert_eq!(receiver.receive_into(&mut [0; 1000]), Ok(1000));
    channel.lease().unwrap().done().unwrap();
    assert_eq!(dirty(), 1000);
    let mut parcel = pool.0.alloc(500).unwrap();
    parcel.fill(0x77).unwrap();
    channel.send_allocation(parcel).unwrap();
    channel.send(&[0x77; 60]).unwrap();
    drop(receiver);
    channel.destroy().unwrap();
    assert_eq!((pool.blocks(), dirty()), (0, 0));
}

#[test]
fn a_pool_without_room_is_named_and_one_that_is_too_small_for_ever_too() {
    let small = |attributes: PoolAttributes| attributes.page_size(4096).processes(4).lanes(8).channels(2);
    let pool = TestPool::with("full-buffers", 128 << 10, small);
    let channel = Channel::create(&pool.0, &attributes(20)).unwrap();
    let large = bytes(1, 20_000);
    let mut sent = 0;
    let refused = loop {
        match channel.try_send(&large) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Error::BufferPoolFull { bytes: 20_000 });
    assert_eq!(channel.send_until(&large, Instant::now()), Err(Error::Timeout));
    assert_eq!(channel.len(), Ok(sent));
    assert!((3..=6).contains(&sent), "{sent}");
    let huge = channel.try_send(&bytes(1, 1 << 20));
    assert!(matches!(huge, Err(Error::TooLarge { needed: 1_048_576, .. })), "{huge:?}");
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        std::thread::scope(|scope| {
            let sender = channel.sender().with_wait_mode(mode);
            let waiting = scope.spawn(|| {
                let large = &large;
                (0..20).try_for_each(move |_| sender.send_until(large, soon()))
            });
            for _ in 0..20 {
                assert_eq!(channel.receiver().receive_until(soon()).unwrap().into_bytes().unwrap(), large);
            }
            waiting.join().unwrap().unwrap();
        });
    }
    channel.destroy().unwrap();
    assert_eq!(pool.blocks(), 0);
    pool.assert_verified();
}

#[test]
fn messages_of_every_kind_leave_process_and_pool_as_they_were() {
    const EACH: u64 = 100_000;
    let pool = TestPool::new("soak");
    let channel = Channel::create(&pool.0, &attributes(8).priority_levels(2)).unwrap();
    let urgent = channel.sender().with_priority(1).unwrap();
    let (small, large) = (bytes(1, 64), bytes(2, 200));
    let mut buffer = vec![0; 200];
    let mut exchange = |number: u64| {
        let sender = if number.is_multiple_of(3) { &urgent } else { &channel.sender() };
        sender.try_send(&small).unwrap();
        assert_eq!(channel.receiver().try_receive_into(&mut buffer), Ok(64));
        sender.try_send(&large).unwrap();
        assert_eq!(channel.receiver().try_receive_into(&mut buffer), Ok(200));
        sender.try_send(&large).unwrap();
        channel.receiver().try_lease().unwrap().done().unwrap();
        sender.try_send(&large).unwrap();
        drop(channel.receiver().try_lease().unwrap().take().unwrap());
        sender.try_send_allocation(pool.0.alloc(200).unwrap()).unwrap();
        drop(channel.try_receive().unwrap());
    };
    (0..100).for_each(&mut exchange);
    let (usage, memory) = (pool.0.usage(), resident_pages());
    (0..EACH).for_each(&mut exchange);
    assert_eq!(format!("{:?}", pool.0.usage()), format!("{usage:?}"));
    let grown = resident_pages().saturating_sub(memory);
    assert!(grown < 256, "{grown} pages more than before");
    channel.destroy().unwrap();
    pool.assert_verified();
}

/// Of this process; a leak of one byte a message would be 25 pages and more for each kind.
fn resident_pages() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_a_killed_sender_had_side_loaded_arrives_and_the_rest_is_freed() {
    const TEST: &str = "what_a_killed_sender_had_side_loaded_arrives_and_the_rest_is_freed";
    if let Some(channels) = as_child(TEST) {
        let urgent = channels[0].sender().with_priority(1).unwrap();
        for number in 0_u64.. {
            let sender = if number.is_multiple_of(2) { &urgent } else { &channels[0].sender() };
            sender.send(&number.to_le_bytes().repeat(40)).unwrap();
        }
    }
    let pool = TestPool::new("killed-large");
    for number in 0..6 {
        let channel = Channel::create(&pool.0, &attributes(4).priority_levels(2)).unwrap();
        let mut sending = child(TEST, &[&channel]);
        let receiver = channel.receiver();
        let take = |wait| {
            let message = if wait { receiver.receive_until(soon()) } else { receiver.try_receive() };
            let bytes = message?.into_bytes()?;
            assert_eq!(bytes.len(), 320);
            assert!(bytes.chunks_exact(8).all(|word| word == &bytes[..8]));
            Ok::<_, Error>(())
        };
        (0..100 + number * 17).for_each(|_| take(true).unwrap());
        sending.kill().unwrap();
        sending.wait().unwrap();
        pool.0.recover();
        while take(false).is_ok() {}
        assert_eq!((channel.len(), pool.blocks()), (Ok(0), 1));
        pool.assert_verified();
        channel.destroy().unwrap();
    }
}
