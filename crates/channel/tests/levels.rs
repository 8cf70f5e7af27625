//! Priority levels of a channel, over a real pool: their order, and the capacity that they share.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::time::{Duration, Instant};

use pools::TestPool;
use weyr_channel::{Channel, ChannelAttributes, Error, PollEvents, Sender, WaitMode};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn channel(pool: &TestPool, capacity: u64, levels: u32) -> Channel {
    let attributes = ChannelAttributes::new().block_size(64).capacity(capacity);
    Channel::create(&pool.0, &attributes.priority_levels(levels)).unwrap()
}

fn at(channel: &Channel, level: u32) -> Sender {
    channel.sender().with_priority(level).unwrap()
}

fn receive(channel: &Channel) -> u64 {
    let bytes = channel.receiver().receive_until(soon()).unwrap().into_bytes().unwrap();
    u64::from_le_bytes(bytes.try_into().unwrap())
}

#[test]
fn the_most_urgent_level_is_received_first_and_each_keeps_its_order() {
    let pool = TestPool::new("urgent");
    let channel = channel(&pool, 12, 3);
    let senders = [0, 1, 2].map(|level| at(&channel, level));
    for number in 0..4_u64 {
        for sender in &senders {
            sender.try_send(&(u64::from(sender.priority()) * 10 + number).to_le_bytes()).unwrap();
        }
    }
    assert_eq!(channel.len(), Ok(12));
    let received: Vec<u64> = (0..12).map(|_| receive(&channel)).collect();
    assert_eq!(received, [20, 21, 22, 23, 10, 11, 12, 13, 0, 1, 2, 3]);
    assert_eq!(channel.try_receive().err(), Some(Error::Empty));
}

#[test]
fn an_invalid_level_is_refused_by_name() {
    let pool = TestPool::new("invalid-level");
    let channel = channel(&pool, 2, 2);
    assert_eq!(channel.priority_levels(), 2);
    let refused = channel.sender().with_priority(2).err();
    assert_eq!(refused, Some(Error::InvalidPriority { level: 2, highest: 1 }));
    let plain = pool.channel(1);
    assert_eq!(plain.sender().with_priority(1).err(), Some(Error::InvalidPriority { level: 1, highest: 0 }));
    assert_eq!(plain.sender().with_priority(0).unwrap().priority(), 0);
}

#[test]
fn the_capacity_is_that_of_all_levels_together() {
    let pool = TestPool::new("sum");
    for (capacity, levels) in [(1, 2), (2, 2), (5, 3), (40, 2)] {
        let channel = channel(&pool, capacity, levels);
        let senders: Vec<Sender> = (0..levels).map(|level| at(&channel, level)).collect();
        assert_eq!(channel.capacity(), capacity as u32);
        for round in 0..50 {
            for number in 0..capacity {
                let level = (number + round) % u64::from(levels);
                senders[level as usize].try_send(&number.to_le_bytes()).unwrap_or_else(|error| {
                    // A level above the lowest has sixteen slots.
                    assert!(level > 0 && capacity > 16 && error == Error::Full, "{error}");
                    senders[0].try_send(&number.to_le_bytes()).unwrap();
                });
            }
            assert!(senders.iter().all(|sender| sender.try_send(b"more") == Err(Error::Full)));
            assert_eq!(channel.len(), Ok(capacity as u32));
            let mut received: Vec<u64> = (0..capacity).map(|_| receive(&channel)).collect();
            received.sort_unstable();
            assert_eq!(received, (0..capacity).collect::<Vec<_>>());
        }
        channel.destroy().unwrap();
    }
}

#[test]
fn a_lease_of_any_level_is_gone_round_and_counts() {
    let pool = TestPool::new("leased-level");
    let channel = channel(&pool, 3, 2);
    let urgent = at(&channel, 1);
    urgent.try_send(&7_u64.to_le_bytes()).unwrap();
    let lease = channel.lease().unwrap();
    for number in 0..30_u64 {
        urgent.try_send(&number.to_le_bytes()).unwrap();
        channel.try_send(&(number + 100).to_le_bytes()).unwrap();
        assert_eq!(channel.try_send(b"more"), Err(Error::Full));
        assert_eq!((receive(&channel), receive(&channel)), (number, number + 100));
    }
    // Given back unseen: it comes before what waits at the lower level.
    channel.try_send(&8_u64.to_le_bytes()).unwrap();
    drop(lease);
    assert_eq!((receive(&channel), receive(&channel)), (7, 8));
}

#[test]
fn an_ordinary_message_that_was_given_back_waits_for_urgent_ones() {
    let pool = TestPool::new("back-level");
    let channel = channel(&pool, 3, 2);
    channel.try_send(&1_u64.to_le_bytes()).unwrap();
    drop(channel.lease().unwrap());
    at(&channel, 1).try_send(&2_u64.to_le_bytes()).unwrap();
    assert_eq!((receive(&channel), receive(&channel)), (2, 1));
}

#[test]
fn attached_channels_have_the_levels_of_their_creator() {
    let pool = TestPool::new("attached-levels");
    let channel = channel(&pool, 40, 4);
    let other = Channel::attach(&channel.descriptor()).unwrap();
    assert_eq!((other.priority_levels(), other.capacity()), (4, 40));
    at(&other, 3).try_send(&9_u64.to_le_bytes()).unwrap();
    assert_eq!(receive(&channel), 9);
    drop(other);
    channel.destroy().unwrap();
    assert_eq!(pool.blocks(), 0);
    pool.assert_verified();
}

#[test]
fn allocations_of_every_level_are_freed_with_the_channel() {
    let pool = TestPool::new("destroyed-levels");
    let channel = channel(&pool, 6, 3);
    for level in [0, 1, 2, 2] {
        at(&channel, level).send_allocation(pool.0.alloc(100).unwrap()).unwrap();
    }
    pool.assert_verified();
    channel.destroy().unwrap();
    assert_eq!(pool.blocks(), 0);
    pool.assert_verified();
}

#[test]
fn who_looks_sees_the_most_urgent_message_and_the_room_of_all_levels() {
    let pool = TestPool::new("look-levels");
    let channel = channel(&pool, 2, 2);
    let (poller, receiver) = (channel.poller(), channel.receiver());
    let all = PollEvents::IN | PollEvents::OUT | PollEvents::EMPTY | PollEvents::FULL;
    assert_eq!(poller.try_poll(all), Ok(PollEvents::OUT | PollEvents::EMPTY));
    channel.try_send(b"ordinary").unwrap();
    assert_eq!(poller.try_poll(all), Ok(PollEvents::IN | PollEvents::OUT));
    at(&channel, 1).try_send(b"urgent").unwrap();
    assert_eq!(poller.try_poll(all), Ok(PollEvents::IN | PollEvents::FULL));
    assert_eq!(receiver.try_peek().unwrap().bytes(), Some(&b"urgent"[..]));
    drop(receiver.try_lease().unwrap());
    assert_eq!(receiver.try_peek().unwrap().bytes(), Some(&b"urgent"[..]));
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"urgent");
    assert_eq!(receiver.try_peek().unwrap().bytes(), Some(&b"ordinary"[..]));
    assert_eq!(poller.try_poll(all), Ok(PollEvents::IN | PollEvents::OUT));
}

/// Threads at all levels through little room: none may get stuck, and none may overtake its own messages.
#[test]
fn threads_at_all_levels_exchange_through_little_room() {
    const EACH: u64 = 3_000;
    let pool = TestPool::new("level-threads");
    for (capacity, mode) in [(1, WaitMode::Adaptive), (2, WaitMode::Idle), (3, WaitMode::Spin)] {
        let channel = channel(&pool, capacity, 2);
        std::thread::scope(|scope| {
            for thread in 0..3_u64 {
                let sender = at(&channel, thread as u32 % 2).with_wait_mode(mode);
                scope.spawn(move || {
                    for number in 0..EACH {
                        sender.send_until(&(thread << 32 | number).to_le_bytes(), soon()).unwrap();
                    }
                });
            }
            let observer = channel.clone();
            let receiver = channel.receiver().with_wait_mode(mode);
            scope.spawn(move || {
                let mut next = [0; 3];
                for count in 0..3 * EACH {
                    let bytes = receiver.receive_until(soon()).unwrap().into_bytes().unwrap();
                    let word = u64::from_le_bytes(bytes.try_into().unwrap());
                    let thread = (word >> 32) as usize;
                    assert_eq!(word & 0xffff_ffff, next[thread]);
                    next[thread] += 1;
                    if count % 64 == 0 {
                        assert!(u64::from(observer.len().unwrap()) <= capacity);
                    }
                }
            });
        });
        assert_eq!(channel.len(), Ok(0));
        channel.destroy().unwrap();
    }
    pool.assert_verified();
}
