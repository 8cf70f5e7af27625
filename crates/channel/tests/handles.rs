//! What users hold: channels, senders, receivers, leases, over a real pool in one process.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::time::{Duration, Instant};

use pools::TestPool;
use weyr_channel::{
    Channel, ChannelAttributes, ChannelDescriptor, Error, Lease, MIN_BLOCK_SIZE, Message, Receiver, Sender,
    WaitMode,
};
use weyr_managed::PoolDescriptor;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn handles_go_between_threads() {
    fn assert_send_and_sync<T: Send + Sync + 'static>() {}
    assert_send_and_sync::<Channel>();
    assert_send_and_sync::<Sender>();
    assert_send_and_sync::<Receiver>();
    assert_send_and_sync::<Lease>();
}

fn poll_for_one(receiver: &Receiver) -> Message {
    loop {
        match receiver.try_receive() {
            Err(Error::Empty) => std::thread::yield_now(),
            received => return received.unwrap(),
        }
    }
}

#[test]
fn threads_exchange_bytes_and_allocations_in_order() {
    let pool = TestPool::new("threads");
    let channel = pool.channel(5);
    std::thread::scope(|scope| {
        let sender = channel.sender();
        let memory = &pool.0;
        scope.spawn(move || {
            for number in 0..2_000_u64 {
                if number % 3 == 0 {
                    let mut allocation = memory.alloc(200).unwrap();
                    allocation.write(0, &number.to_le_bytes()).unwrap();
                    sender.send_allocation(allocation).unwrap();
                } else {
                    sender.send(&number.to_le_bytes()).unwrap();
                }
            }
        });
        let receiver = channel.receiver();
        for number in 0..2_000_u64 {
            let message = if number % 2 == 0 { receiver.receive().unwrap() } else { poll_for_one(&receiver) };
            assert_eq!(message.len(), if number % 3 == 0 { 200 } else { 8 });
            assert_eq!(message.into_bytes().unwrap()[..8], number.to_le_bytes());
        }
        assert_eq!(receiver.statistics().bytes_copied_out, 1333 * 8);
        assert_eq!(receiver.statistics().received, 2_000);
    });
    drop(channel);
    pool.assert_verified();
}

#[test]
fn a_message_too_large_for_the_buffer_stays() {
    let pool = TestPool::new("small");
    let channel = pool.channel(2);
    let receiver = channel.receiver();
    channel.send(b"eight by").unwrap();
    let mut memory = pool.0.alloc(9).unwrap();
    memory.write(0, b"nine byte").unwrap();
    channel.send_allocation(memory).unwrap();
    let mut buffer = [0; 9];
    let too_large = |needed| Err(Error::TooLarge { needed, largest: 7 });
    assert_eq!(receiver.try_receive_into(&mut buffer[..7]), too_large(8));
    assert_eq!(channel.len(), Ok(2));
    assert_eq!(receiver.try_receive_into(&mut buffer[..8]), Ok(8));
    assert_eq!(receiver.try_receive_into(&mut buffer[..7]), too_large(9));
    assert_eq!(receiver.try_receive_into(&mut buffer), Ok(9));
    assert_eq!(&buffer, b"nine byte");
    assert_eq!(receiver.statistics().redelivered, 0);
    assert_eq!(receiver.try_receive_into(&mut buffer), Err(Error::Empty));
}

#[test]
fn what_does_not_fit_a_block_is_refused_with_the_size_that_would() {
    let pool = TestPool::new("large");
    let channel = pool.channel(2);
    assert_eq!(channel.try_send(&[7; 65]), Err(Error::TooLarge { needed: 65, largest: 64 }));
    channel.try_send(&[7; 64]).unwrap();
    assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), [7; 64]);
    channel.try_send(&[]).unwrap();
    assert!(channel.try_receive().unwrap().is_empty());
}

#[test]
fn a_send_that_fails_gives_the_allocation_back() {
    let (pool, other) = (TestPool::new("back"), TestPool::new("other"));
    let channel = pool.channel(1);
    let sender = channel.sender();
    channel.send(b"full").unwrap();
    let memory = pool.0.alloc(100).unwrap();
    let reference = memory.reference();
    let failed = sender.try_send_allocation(memory).unwrap_err();
    assert_eq!((&failed.error, failed.payload.as_ref().unwrap().reference()), (&Error::Full, reference));
    let past = Instant::now();
    let failed = sender.send_allocation_until(failed.payload.unwrap(), past).unwrap_err();
    assert_eq!((failed.error, failed.payload.as_ref().unwrap().len()), (Error::Timeout, 100));
    let memory = other.0.alloc(100).unwrap();
    let reference = memory.reference();
    let failed = sender.try_send_allocation(memory).unwrap_err();
    assert_eq!((&failed.error, failed.payload.as_ref().unwrap().reference()), (&Error::Full, reference));
    drop((failed.payload, channel, sender));
    pool.assert_verified();
    other.assert_verified();
}

#[test]
fn a_process_can_have_65535_handles_on_a_channel_and_is_told_when_it_has() {
    let pool = TestPool::new("many");
    let channel = pool.channel(2);
    let descriptor = channel.descriptor();
    let mut handles = vec![channel];
    while handles.len() < 65_535 {
        handles.push(Channel::attach_in(&pool.0, &descriptor).unwrap());
    }
    let attach = || Channel::attach_in(&pool.0, &descriptor).map(drop);
    assert_eq!(attach(), Err(Error::TooManyHandles));
    handles.pop();
    assert_eq!(attach(), Ok(()));
    handles[1].send(b"one of them").unwrap();
    assert_eq!(handles[65_000].receive().unwrap().into_bytes().unwrap(), b"one of them");
    handles.pop().unwrap().destroy().unwrap();
    drop(handles);
    assert_eq!(pool.blocks(), 0);
    pool.assert_verified();
}

#[test]
fn a_leased_message_in_the_channel_itself_has_no_allocation_to_look_at() {
    let pool = TestPool::new("no-allocation");
    let channel = pool.channel(2);
    channel.send(b"inline").unwrap();
    let lease = channel.lease().unwrap();
    assert_eq!(lease.as_slice().err(), Some(Error::NoAllocation));
    assert_eq!(lease.read(0, &mut [0]).err(), Some(Error::NoAllocation));
    assert_eq!(lease.bytes().unwrap(), b"inline");
    lease.done().unwrap();
}

#[test]
fn a_lease_ends_in_one_of_four_ways() {
    let pool = TestPool::new("lease");
    let channel = pool.channel(4);
    let blocks = pool.blocks();
    for _ in 0..2 {
        channel.send_allocation(pool.0.alloc(77).unwrap()).unwrap();
    }
    let lease = channel.lease().unwrap();
    assert_eq!((lease.len(), lease.bytes().unwrap().len(), lease.is_redelivered()), (Ok(77), 77, false));
    assert_eq!(pool.blocks(), blocks + 2);
    lease.done().unwrap();
    assert_eq!(pool.blocks(), blocks + 1);
    drop(channel.lease().unwrap());
    let unseen = channel.lease().unwrap();
    assert!(!unseen.is_redelivered());
    unseen.bytes().unwrap();
    drop(unseen);
    let seen = channel.lease().unwrap();
    assert!(seen.is_redelivered());
    let memory = seen.take().unwrap().into_allocation().unwrap();
    assert_eq!(memory.len(), 77);
    drop(memory);
    channel.send(b"kept").unwrap();
    std::mem::forget(channel.lease().unwrap());
    assert_eq!(channel.receiver().try_receive().err(), Some(Error::Empty));
    assert_eq!(pool.blocks(), blocks);
}

#[test]
fn a_lease_may_end_in_another_thread_after_the_channel_was_destroyed() {
    let pool = TestPool::new("moved");
    let channel = pool.channel(2);
    channel.send(b"moved").unwrap();
    let lease = channel.receiver().lease_until(soon()).unwrap();
    channel.destroy().unwrap();
    std::thread::spawn(move || {
        assert_eq!(lease.bytes().unwrap(), b"moved");
        lease.done().unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(pool.blocks(), 0);
    pool.assert_verified();
}

#[test]
fn everybody_hears_of_a_destruction_and_nothing_is_left() {
    let pool = TestPool::new("destroyed");
    let channel = pool.channel(2);
    let descriptor = channel.descriptor();
    channel.send_allocation(pool.0.alloc(50).unwrap()).unwrap();
    let (sender, receiver) = (channel.sender(), channel.receiver());
    channel.destroy().unwrap();
    assert_eq!(sender.try_send(b"x"), Err(Error::Destroyed));
    assert_eq!(receiver.receive().err(), Some(Error::Destroyed));
    assert_eq!(receiver.try_lease().err(), Some(Error::Destroyed));
    assert_eq!(Channel::attach(&descriptor).err(), Some(Error::Destroyed));
    drop((sender, receiver));
    assert_eq!(pool.blocks(), 0);
    assert_eq!(Channel::attach(&descriptor).err(), Some(Error::Stale));
    pool.assert_verified();
}

#[test]
fn sleepers_of_both_sides_are_woken_by_a_destruction() {
    let pool = TestPool::new("sleepers");
    let (full, empty) = (pool.channel(1), pool.channel(1));
    full.send(b"x").unwrap();
    let (sender, receiver) =
        (full.sender().with_wait_mode(WaitMode::Idle), empty.receiver().with_wait_mode(WaitMode::Idle));
    let sending = std::thread::spawn(move || sender.send(b"y"));
    let receiving = std::thread::spawn(move || receiver.receive().map(drop));
    full.destroy().unwrap();
    empty.destroy().unwrap();
    assert_eq!(sending.join().unwrap(), Err(Error::Destroyed));
    assert_eq!(receiving.join().unwrap(), Err(Error::Destroyed));
}

#[test]
fn waits_end_at_their_deadline_in_every_mode() {
    let pool = TestPool::new("deadline");
    let channel = pool.channel(1);
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        let receiver = channel.receiver().with_wait_mode(mode);
        let before = Instant::now();
        let deadline = before + Duration::from_millis(3);
        assert_eq!(receiver.receive_until(deadline).err(), Some(Error::Timeout));
        assert_eq!(receiver.lease_until(deadline).err(), Some(Error::Timeout));
        assert!(Instant::now() >= deadline, "returned too early");
    }
}

#[test]
fn descriptors_of_other_pools_and_of_other_things_are_refused() {
    let (pool, other) = (TestPool::new("one"), TestPool::new("two"));
    let channel = pool.channel(1);
    let descriptor = channel.descriptor();
    assert_eq!(Channel::attach_in(&other.0, &descriptor).err(), Some(Error::OtherPool));
    let again = Channel::attach_in(&pool.0, &descriptor).unwrap();
    again.send(b"both").unwrap();
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"both");
    drop((channel, again));
    assert_eq!(pool.blocks(), 1, "a channel lives until it is destroyed");
    Channel::attach(&descriptor).unwrap().destroy().unwrap();
    assert_eq!(pool.blocks(), 0);
}

#[test]
fn a_channel_is_made_in_an_allocation_that_is_large_enough() {
    let pool = TestPool::new("room");
    let attributes = ChannelAttributes::new().block_size(48).capacity(1);
    let needed = attributes.bytes(pool.0.process_limit()).unwrap();
    let small = Channel::create_in(&pool.0, pool.0.alloc(needed - 1).unwrap(), &attributes);
    assert_eq!(small.err(), Some(Error::TooLarge { needed, largest: needed - 1 }));
    let channel = Channel::create_in(&pool.0, pool.0.alloc(needed).unwrap(), &attributes).unwrap();
    channel.send(b"fits").unwrap();
    assert_eq!((channel.capacity(), channel.block_size(), channel.len()), (1, 48, Ok(1)));
    assert_eq!(pool.blocks(), 1);
    Channel::create(&pool.0, &attributes).unwrap().destroy().unwrap();
    assert_eq!(pool.blocks(), 1, "the pool has made room of its own, and has it again");
}

#[test]
fn a_pool_without_room_says_how_much_there_is() {
    let pool = TestPool::new("full");
    let huge = ChannelAttributes::new().capacity(1 << 20);
    let (needed, largest) = (huge.bytes(pool.0.process_limit()).unwrap(), pool.0.maximum_size());
    assert_eq!(Channel::create(&pool.0, &huge).map(drop), Err(Error::TooLarge { needed, largest }));
    assert_eq!(pool.blocks(), 0);
    // Room that others have now is another matter.
    let all = pool.0.alloc(largest).unwrap();
    let refused = Channel::create(&pool.0, &ChannelAttributes::new()).map(drop);
    assert!(
        matches!(&refused, Err(Error::Pool(error)) if matches!(**error, weyr_managed::Error::NoMemory { .. }))
    );
    drop(all);
}

#[test]
fn a_channel_has_a_number_of_its_own_in_the_pool_on_its_host() {
    let pool = TestPool::new("numbers");
    let there = [pool.channel(1), pool.channel(1)];
    let [one, other] = there.each_ref().map(Channel::number);
    assert_ne!(one, other);
    let descriptor = there[0].descriptor();
    let again = Channel::attach(&descriptor.clone()).unwrap();
    assert_eq!([again.number(), descriptor.number()], [one; 2]);
    assert_eq!(there[0].clone().descriptor(), descriptor);
    assert_eq!(
        (again.host(), descriptor.pool_descriptor().unwrap()),
        (pool.0.descriptor().host, pool.0.descriptor())
    );
    drop(again);
    // Who comes to lie where another one was has another number.
    let [gone, _kept] = there;
    gone.destroy().unwrap();
    assert_ne!(pool.channel(1).number(), one);
}

/// As it would come from there.
fn of_another_host(descriptor: &ChannelDescriptor, pool: &PoolDescriptor) -> ChannelDescriptor {
    let elsewhere = PoolDescriptor { host: !pool.host, ..pool.clone() }.to_bytes();
    let bytes = descriptor.to_bytes();
    let (at, body) = (bytes.len() - 4 - elsewhere.len(), bytes.len() - 4);
    let mut moved = [&bytes[..at], &elsewhere].concat();
    assert_eq!(moved.len(), body);
    moved.extend(crc32fast::hash(&moved).to_le_bytes());
    ChannelDescriptor::from_bytes(&moved).unwrap()
}

#[test]
fn a_descriptor_says_whether_its_channel_is_of_this_host() {
    let pool = TestPool::new("local");
    let channel = pool.channel(1);
    let here = channel.descriptor();
    let there = of_another_host(&here, &pool.0.descriptor());
    assert_eq!([&here, &there].map(ChannelDescriptor::is_local), [Ok(true), Ok(false)]);
    let elsewhere = there.pool_descriptor().unwrap();
    assert_eq!((elsewhere.host, elsewhere.uuid), (!channel.host(), pool.0.uuid()));
    assert_eq!(elsewhere.path, pool.0.path());
    assert!(matches!(Channel::attach(&there), Err(Error::Pool(_))));
}

#[test]
fn blocks_are_as_small_as_is_said_and_no_smaller() {
    let pool = TestPool::new("smallest");
    let smallest = u64::from(MIN_BLOCK_SIZE);
    let of = |bytes: u64| Channel::create(&pool.0, &ChannelAttributes::new().block_size(bytes));
    let channel = of(smallest).unwrap();
    channel.send(&[7; MIN_BLOCK_SIZE as usize]).unwrap();
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), [7; MIN_BLOCK_SIZE as usize]);
    let refused = of(smallest - 1).map(drop);
    assert!(matches!(refused, Err(Error::InvalidBlockSize { smallest: said, .. }) if said == smallest));
}
