//! What users do beside sending and receiving bytes: attributes, looks, landing pads, shares, defaults; over a real
//! pool in one process.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::time::{Duration, Instant};

use pools::TestPool;
use weyr_channel::{Channel, ChannelAttributes, Content, Error, PollEvents, Poller, WaitMode};
use weyr_managed::{Allocation, Published};

const ALL: [PollEvents; 4] = [PollEvents::IN, PollEvents::OUT, PollEvents::EMPTY, PollEvents::FULL];

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn with_attributes(pool: &TestPool, capacity: u64, block_size: u64) -> Channel {
    let attributes = ChannelAttributes::new().block_size(block_size).capacity(capacity);
    Channel::create(&pool.0, &attributes.message_attributes(true)).unwrap()
}

fn memory(pool: &TestPool, bytes: &[u8]) -> Allocation {
    let mut memory = pool.0.alloc(bytes.len() as u64).unwrap();
    memory.write(0, bytes).unwrap();
    memory
}

fn frozen_of(content: Content) -> Published {
    match content {
        Content::Frozen(frozen) => frozen,
        other => panic!("{other:?}"),
    }
}

fn bytes_of(published: &Published) -> Vec<u8> {
    let mut bytes = vec![0; published.len() as usize];
    published.read(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn messages_say_who_sent_them_and_are_numbered_without_gaps() {
    let pool = TestPool::new("attributes");
    // Block sizes that leave no room, some room, and odd room before the attributes.
    for block_size in [48, 64, 65, 127, 128] {
        let channel = with_attributes(&pool, 3, block_size);
        let (one, two) = (channel.sender(), channel.sender().with_client_id(9));
        assert_ne!(one.id(), two.id());
        for number in 1..10 {
            let full: Vec<u8> = (0..block_size).map(|byte| byte as u8 ^ number as u8).collect();
            one.message().hints(number << 60 | 5).client_id(4).send(&full).unwrap();
            two.send_allocation(memory(&pool, &full)).unwrap();
            let first = channel.receive().unwrap();
            let attributes = *first.attributes().unwrap();
            assert_eq!((Some(attributes.handle), attributes.sequence), (one.id(), number));
            assert_eq!(
                (attributes.client_id, attributes.hints),
                (4, number << 60 | 5),
                "of the message alone"
            );
            assert_eq!(first.into_bytes().unwrap(), full);
            let lease = channel.lease().unwrap();
            let attributes = lease.attributes().unwrap().unwrap();
            assert_eq!((Some(attributes.handle), attributes.sequence), (two.id(), number));
            assert_eq!((attributes.client_id, attributes.hints), (9, 0));
            let second = lease.take().unwrap();
            assert_eq!(second.attributes(), Some(&attributes));
            assert_eq!(second.into_bytes().unwrap(), full);
        }
        channel.clone().destroy().unwrap();
        drop((channel, one, two));
    }
    pool.assert_verified();
}

#[test]
fn a_send_that_fails_uses_up_no_number_and_a_clone_numbers_anew() {
    let pool = TestPool::new("numbers");
    let channel = with_attributes(&pool, 1, 64);
    let sender = channel.sender();
    sender.send(b"one").unwrap();
    assert_eq!(sender.try_send(b"two"), Err(Error::Full));
    assert_eq!(sender.send_until(b"two", Instant::now()), Err(Error::Timeout));
    let sequence = || channel.receive().unwrap().attributes().unwrap().sequence;
    assert_eq!(sequence(), 1);
    sender.send(b"two").unwrap();
    assert_eq!(sequence(), 2);
    let view = pool.0.alloc(8).unwrap().publish().unwrap().clone_view(0, 1).unwrap();
    assert!(matches!(sender.send_published(view).unwrap_err().error, Error::Pool(_)));
    sender.clone().send(b"other").unwrap();
    assert_eq!(sequence(), 1);
    sender.send(b"three").unwrap();
    assert_eq!(sequence(), 3);
}

#[test]
fn a_channel_without_attributes_refuses_them_and_shows_none() {
    let pool = TestPool::new("none");
    let channel = pool.channel(2);
    let sender = channel.sender();
    assert_eq!(sender.id(), None);
    assert_eq!(sender.message().hints(1).send(b"x"), Err(Error::NoAttributes));
    assert_eq!(sender.message().client_id(1).send(b"x"), Err(Error::NoAttributes));
    let sender = sender.with_client_id(1).clone();
    assert_eq!(sender.send(b"x"), Err(Error::NoAttributes));
    assert_eq!(channel.len(), Ok(0));
    sender.message().client_id(0).send(b"x").unwrap();
    assert_eq!(channel.receive().unwrap().attributes(), None);
    sender.with_client_id(0).send(b"x").unwrap();
    assert_eq!(channel.receive().unwrap().attributes(), None);
}

#[test]
fn a_look_takes_nothing_and_says_what_is_next() {
    let pool = TestPool::new("peek");
    let channel = with_attributes(&pool, 3, 64);
    let receiver = channel.receiver();
    assert_eq!(receiver.try_peek().err(), Some(Error::Empty));
    channel.sender().message().hints(3).send(b"first").unwrap();
    let parcel = memory(&pool, &[7; 200]);
    let reference = parcel.reference();
    channel.send_allocation(parcel).unwrap();
    for _ in 0..3 {
        let peeked = receiver.try_peek().unwrap();
        assert_eq!((peeked.bytes(), peeked.len()), (Some(&b"first"[..]), 5));
        assert_eq!(peeked.attributes().map(|attributes| attributes.hints), Some(3));
        assert_eq!(channel.clone().receiver().try_peek().unwrap(), peeked);
    }
    drop(channel.receive().unwrap());
    let peeked = receiver.try_peek().unwrap();
    assert_eq!((peeked.bytes(), peeked.reference()), (None, Some((reference, 0..200))));
    let lease = channel.lease().unwrap();
    assert_eq!(receiver.try_peek().err(), Some(Error::Empty));
    lease.bytes().unwrap();
    drop(lease);
    assert!(receiver.try_peek().unwrap().is_redelivered());
    assert_eq!(channel.receive().unwrap().len(), 200);
    assert_eq!(receiver.try_peek().err(), Some(Error::Empty));
    channel.destroy().unwrap();
    assert_eq!(receiver.try_peek().err(), Some(Error::Destroyed));
}

/// Every byte of the channel.
fn bytes_of_channel(channel: &Channel) -> Vec<u8> {
    let reference = channel.descriptor().reference();
    let block = channel.pool().channel_block(reference).unwrap();
    let mut bytes = vec![0; block.bytes as usize];
    channel.pool().region().copy_out(reference.offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn looks_leave_no_trace() {
    let pool = TestPool::new("trace");
    let channel = with_attributes(&pool, 2, 64);
    let (receiver, poller) = (channel.receiver(), channel.poller());
    let all = ALL.into_iter().fold(PollEvents::NONE, |all, event| all | event);
    let look = || {
        let before = bytes_of_channel(&channel);
        assert_eq!(receiver.try_peek().is_ok(), channel.len() != Ok(0));
        assert!(!poller.try_poll(all).unwrap().is_empty());
        assert!(bytes_of_channel(&channel) == before);
    };
    look();
    channel.send(b"one").unwrap();
    look();
    channel.send_allocation(memory(&pool, b"two")).unwrap();
    look();
    drop(channel.receive().unwrap());
    let lease = channel.lease().unwrap();
    look();
    lease.bytes().unwrap();
    drop(lease);
    look();
}

#[test]
fn looks_beside_receivers_and_senders_find_whole_messages() {
    const MESSAGES: u64 = 3_000;
    let pool = TestPool::new("peeks");
    let channel = with_attributes(&pool, 2, 512);
    std::thread::scope(|scope| {
        let (sender, receiver) = (channel.sender(), channel.receiver());
        scope.spawn(move || {
            for number in 0..MESSAGES {
                sender.message().hints(number).send(&number.to_le_bytes().repeat(64)).unwrap();
            }
        });
        for _ in 0..2 {
            let looker = channel.receiver();
            scope.spawn(move || {
                let mut last = 0;
                while last < MESSAGES - 1 {
                    let peeked = match looker.try_peek() {
                        Ok(peeked) => peeked,
                        Err(Error::Empty) => {
                            std::thread::yield_now();
                            continue;
                        }
                        Err(Error::Destroyed) => return,
                        Err(error) => panic!("{error}"),
                    };
                    let number = peeked.attributes().unwrap().hints;
                    assert_eq!(peeked.bytes(), Some(&number.to_le_bytes().repeat(64)[..]));
                    assert!(number >= last, "{number} was seen after {last}");
                    last = number;
                }
            });
        }
        for number in 0..MESSAGES {
            let bytes = receiver.receive_until(soon()).unwrap().into_bytes().unwrap();
            assert_eq!(bytes[..8], number.to_le_bytes());
        }
        channel.clone().destroy().unwrap();
    });
}

/// What the channel is, of all that can be asked.
fn all_of(poller: &Poller) -> Vec<PollEvents> {
    let all = ALL.into_iter().fold(PollEvents::NONE, |all, event| all | event);
    let found = poller.try_poll(all).unwrap();
    // Asked for one by one they are the same.
    for event in ALL {
        assert_eq!(poller.try_poll(event).unwrap().contains(event), found.contains(event), "{event:?}");
    }
    ALL.into_iter().filter(|event| found.contains(*event)).collect()
}

#[test]
fn polling_says_what_a_channel_is() {
    use PollEvents as P;
    let pool = TestPool::new("poll");
    let channel = pool.channel(2);
    let poller = channel.poller();
    assert_eq!(all_of(&poller), [P::OUT, P::EMPTY]);
    channel.send(b"1").unwrap();
    assert_eq!(all_of(&poller), [P::IN, P::OUT]);
    channel.send(b"2").unwrap();
    assert_eq!(all_of(&poller), [P::IN, P::FULL]);
    let lease = channel.lease().unwrap();
    assert_eq!(all_of(&poller), [P::IN, P::FULL], "no room behind the lease");
    drop(channel.receive().unwrap());
    assert_eq!(all_of(&poller), [P::OUT, P::EMPTY], "senders go round the lease");
    channel.send(b"3").unwrap();
    assert_eq!(all_of(&poller), [P::IN, P::FULL]);
    drop(channel.receive().unwrap());
    drop(lease);
    assert_eq!(all_of(&poller), [P::IN, P::OUT], "given back");
    assert_eq!(channel.len(), Ok(1));
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"1");
    assert_eq!(all_of(&poller), [P::OUT, P::EMPTY]);
    assert_eq!(poller.try_poll(P::NONE), Ok(P::NONE));
    assert_eq!(poller.poll(P::NONE), Ok(P::NONE));
    channel.destroy().unwrap();
    assert_eq!(poller.try_poll(P::IN), Err(Error::Destroyed));
}

#[test]
fn polls_end_at_their_deadline_and_by_a_destruction_in_every_mode() {
    let pool = TestPool::new("polls");
    let channel = pool.channel(1);
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        let poller = channel.poller().with_wait_mode(mode).with_timeout(Duration::from_millis(2));
        for event in [PollEvents::IN, PollEvents::FULL, PollEvents::IN | PollEvents::FULL] {
            assert_eq!(poller.poll_until(event, Instant::now()), Err(Error::Timeout));
            assert_eq!(poller.poll(event), Err(Error::Timeout));
        }
    }
    let poller = channel.poller().with_wait_mode(WaitMode::Idle);
    let polling = std::thread::spawn(move || poller.poll(PollEvents::IN));
    channel.destroy().unwrap();
    assert_eq!(polling.join().unwrap(), Err(Error::Destroyed));
}

#[test]
fn pollers_of_every_kind_wake_up_beside_those_who_send_and_receive() {
    let pool = TestPool::new("pollers");
    let channel = pool.channel(2);
    std::thread::scope(|scope| {
        let polling = ALL.into_iter().chain(ALL).map(|event| {
            let poller = channel.poller().with_wait_mode(WaitMode::Idle);
            scope.spawn(move || {
                for _ in 0..50 {
                    assert_eq!(poller.poll_until(event, soon()), Ok(event));
                }
            })
        });
        let polling: Vec<_> = polling.collect();
        while !polling.iter().all(|thread| thread.is_finished()) {
            for _ in 0..2 {
                channel.send_until(b"message", soon()).unwrap();
            }
            std::thread::yield_now();
            for _ in 0..2 {
                drop(channel.receive_until(soon()).unwrap());
            }
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_payload_lands_in_memory_of_any_kind() {
    let pool = TestPool::new("landing");
    let channel = with_attributes(&pool, 3, 20_000);
    let receiver = channel.receiver();
    let blocks = pool.blocks();
    for len in [0, 1, 8191, 8192, 8193, 20_000] {
        let bytes: Vec<u8> = (0..len).map(|index: u32| (index * 7) as u8).collect();
        channel.sender().message().hints(7).send(&bytes).unwrap();
        let mut pad = pool.0.alloc(20_000).unwrap();
        let landed = receiver.receive_to(&mut pad).unwrap();
        assert_eq!(
            (landed.len, landed.redelivered, landed.attributes.unwrap().hints),
            (len.into(), false, 7)
        );
        let mut copy = vec![0; len as usize];
        pad.read(0, &mut copy).unwrap();
        assert_eq!(copy, bytes);
        let mut published = pool.0.alloc(20_000).unwrap().publish().unwrap();
        channel.send_allocation(pad).unwrap();
        assert_eq!(receiver.receive_to_until(&mut published, soon()).unwrap().len, 20_000);
        published.read(0, &mut copy).unwrap();
        assert_eq!(copy, bytes);
        let frozen = published.freeze().unwrap();
        channel.sender().send_frozen(&frozen).unwrap();
        let mut slice = vec![0; 20_000];
        assert_eq!(receiver.try_receive_to(&mut slice[..]).unwrap().len, 20_000);
        assert_eq!(slice[..len as usize], bytes);
        frozen.free().unwrap();
        assert_eq!(pool.blocks(), blocks);
    }
    assert_eq!(receiver.try_receive_to(&mut [0; 1][..]), Err(Error::Empty));
}

#[test]
fn a_landing_pad_that_is_too_small_or_cannot_be_written_leaves_the_message() {
    let pool = TestPool::new("small-pad");
    let channel = pool.channel(2);
    let receiver = channel.receiver();
    let too_large = |needed, largest| Error::TooLarge { needed, largest };
    channel.send(b"inline").unwrap();
    let blocks = pool.blocks();
    channel.send_allocation(memory(&pool, &[9; 100])).unwrap();
    for _ in 0..2 {
        assert_eq!(receiver.try_receive_to(&mut [0; 5][..]), Err(too_large(6, 5)));
        let mut frozen = memory(&pool, &[0; 200]).freeze().unwrap();
        let unwritable = receiver.try_receive_to(&mut frozen);
        assert!(matches!(unwritable, Err(Error::Pool(_))), "{unwritable:?}");
        frozen.free().unwrap();
    }
    assert_eq!(channel.len(), Ok(2));
    let landed = receiver.try_receive_to(&mut [0; 6][..]).unwrap();
    assert_eq!((landed.len, landed.redelivered, landed.attributes), (6, false, None));
    for (room, expected) in [(99, Err(too_large(100, 99))), (100, Ok(100))] {
        let mut pad = pool.0.alloc(room).unwrap();
        assert_eq!(receiver.try_receive_to(&mut pad).map(|landed| landed.len), expected);
    }
    assert_eq!((pool.blocks(), channel.len()), (blocks, Ok(0)));
}

#[test]
fn a_sender_puts_the_payload_where_it_says() {
    let pool = TestPool::new("destination");
    let channel = pool.channel(2);
    let sender = channel.sender();
    let destination = pool.0.alloc(100).unwrap();
    let place = destination.reference();
    sender.message().send_into(destination, &b"payload"[..]).unwrap();
    match channel.receive().unwrap().into_content() {
        Content::Allocation { allocation, view } => {
            assert_eq!((allocation.reference(), view), (place, 0..7));
            let mut bytes = [0; 7];
            allocation.read(0, &mut bytes).unwrap();
            assert_eq!(&bytes, b"payload");
        }
        other => panic!("{other:?}"),
    }
    // A pad that the receiver has published, filled from memory of the sender's.
    let pad = pool.0.alloc(100).unwrap().publish().unwrap();
    let named = pool.0.open(&pad.descriptor()).unwrap();
    let source = memory(&pool, &[3; 100]);
    sender.message().at_once().send_into(named, &source).unwrap();
    assert!(!pad.exists(), "in the channel's hands");
    assert_eq!(channel.receive().unwrap().len(), 100);
    assert_eq!(bytes_of(&pad), [3; 100]);
    let view = pad.clone_view(0, 50).unwrap();
    let refused = sender.message().send_into(view, &b"x"[..]).unwrap_err();
    assert!(matches!(refused.error, Error::Pool(_)), "a view is not to be given away");
    let small = pool.0.alloc(5).unwrap();
    let refused = sender.message().send_into(small, &b"six by"[..]).unwrap_err();
    assert_eq!(refused.error, Error::TooLarge { needed: 6, largest: 5 });
    assert_eq!(refused.payload.as_ref().unwrap().len(), 5);
    pad.free().unwrap();
    drop((source, refused));
    assert_eq!((channel.len(), pool.blocks()), (Ok(0), 1));
}

#[test]
fn frozen_memory_is_sent_many_times_and_freed_once() {
    let pool = TestPool::new("frozen");
    let channel = pool.channel(4);
    let sender = channel.sender();
    let frozen = memory(&pool, &[5; 300]).freeze().unwrap();
    for _ in 0..3 {
        sender.send_frozen(&frozen).unwrap();
    }
    sender.send_frozen(&frozen.clone_view(100, 50).unwrap()).unwrap();
    let lease = channel.lease().unwrap();
    assert_eq!((lease.len(), lease.bytes().unwrap()), (Ok(300), vec![5; 300]));
    lease.done().unwrap();
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), [5; 300]);
    let mut buffer = [0; 300];
    assert_eq!(channel.receiver().try_receive_into(&mut buffer), Ok(300));
    let view = frozen_of(channel.receive().unwrap().into_content());
    assert_eq!((view.is_frozen(), view.is_original(), bytes_of(&view)), (true, false, vec![5; 50]));
    assert!(view.free().is_err());
    sender.send_frozen(&frozen).unwrap();
    sender.send_frozen(&frozen).unwrap();
    let received = frozen_of(channel.receive().unwrap().into_content());
    assert!(received.write(0, b"x").is_err());
    received.free().unwrap();
    assert_eq!(channel.receive().err(), Some(Error::Stale), "freed while a message referred to it");
    assert_eq!(sender.send_frozen(&frozen), Err(Error::Stale));
    assert_eq!((channel.len(), pool.blocks()), (Ok(0), 1));
    let published = pool.0.alloc(8).unwrap().publish().unwrap();
    assert!(matches!(sender.send_frozen(&published), Err(Error::Pool(_))), "not frozen");
    published.free().unwrap();
    pool.assert_verified();
}

#[test]
fn destroying_a_channel_leaves_frozen_memory_and_gives_published_memory_back() {
    let pool = TestPool::new("left");
    let channel = pool.channel(2);
    let frozen = memory(&pool, b"frozen").freeze().unwrap();
    channel.sender().send_frozen(&frozen).unwrap();
    let published = memory(&pool, b"public").publish().unwrap();
    let other = pool.0.open(&published.descriptor()).unwrap();
    channel.sender().send_published(published).unwrap();
    channel.destroy().unwrap();
    assert_eq!((bytes_of(&frozen), bytes_of(&other)), (b"frozen".to_vec(), b"public".to_vec()));
    assert!(other.exists());
    frozen.free().unwrap();
    other.free().unwrap();
    assert_eq!(pool.blocks(), 0);
    pool.assert_verified();
}

#[test]
fn published_memory_is_the_channels_on_the_way_and_the_pools_again() {
    let pool = TestPool::new("published");
    let channel = pool.channel(1);
    let sender = channel.sender();
    let published = memory(&pool, b"published").publish().unwrap();
    let other = pool.0.open(&published.descriptor()).unwrap();
    sender.send_published(published).unwrap();
    assert!(!other.exists());
    let failed = sender.message().at_once().send_published(other).unwrap_err();
    assert_eq!(failed.error, Error::Full);
    let Content::Published { published, view } = channel.receive().unwrap().into_content() else {
        panic!("not published");
    };
    assert_eq!((view, published.is_original(), bytes_of(&published)), (0..9, true, b"published".to_vec()));
    let failed = failed.payload.unwrap();
    assert!(failed.exists());
    sender.send_published(failed).unwrap();
    let again = sender.message().at_once().send_published(published).unwrap_err();
    channel.lease().unwrap().done().unwrap();
    let again = again.payload.unwrap();
    assert!(again.exists(), "a lease that is done gives it back to the pool");
    let frozen = again.freeze().unwrap();
    let refused = sender.send_published(frozen).unwrap_err();
    assert!(matches!(refused.error, Error::Pool(_)), "frozen memory is shared, not given");
    refused.payload.unwrap().free().unwrap();
    pool.assert_verified();
}

#[test]
fn calls_that_do_not_say_wait_as_their_handle_does() {
    let pool = TestPool::new("defaults");
    let channel = pool.channel(1);
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        let timeout = Duration::from_millis(1);
        let receiver = channel.receiver().with_wait_mode(mode).with_timeout(timeout).clone();
        let sender = channel.sender().with_wait_mode(mode).with_timeout(timeout).clone();
        assert_eq!(receiver.receive().err(), Some(Error::Timeout));
        assert_eq!(receiver.receive_into(&mut [0; 8]).err(), Some(Error::Timeout));
        assert_eq!(receiver.receive_to(&mut [0; 8][..]).err(), Some(Error::Timeout));
        assert_eq!(receiver.lease().err(), Some(Error::Timeout));
        assert_eq!(receiver.try_receive().err(), Some(Error::Empty));
        sender.send(b"1").unwrap();
        assert_eq!(sender.send(b"2"), Err(Error::Timeout));
        assert_eq!(sender.message().send(b"2"), Err(Error::Timeout));
        assert_eq!(sender.message().at_once().send(b"2"), Err(Error::Full));
        assert_eq!(sender.send_allocation(pool.0.alloc(1).unwrap()).unwrap_err().error, Error::Timeout);
        let sender = sender.with_timeout(Duration::ZERO);
        assert_eq!(sender.send(b"2"), Err(Error::Full));
        std::thread::scope(|scope| {
            let sending =
                scope.spawn(|| sender.with_wait_mode(WaitMode::Idle).message().without_limit().send(b"2"));
            while channel.state().unwrap().blocked_senders == 0 && !sending.is_finished() {
                std::thread::yield_now();
            }
            receiver.receive().unwrap();
            assert_eq!(sending.join().unwrap(), Ok(()), "it waits, whatever its sender's timeout is");
        });
        receiver.receive().unwrap();
        assert_eq!(receiver.with_timeout(Duration::ZERO).receive().err(), Some(Error::Empty));
    }
}

#[test]
fn what_is_popped_is_gone_and_its_memory_with_it_but_for_what_is_frozen() {
    let pool = TestPool::new("popped");
    let attributes = ChannelAttributes::new().block_size(64).capacity(5).side_loading(true);
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    let (sender, receiver, before) = (channel.sender(), channel.receiver(), pool.blocks());
    assert_eq!(receiver.try_pop(), Err(Error::Empty));
    assert_eq!(receiver.pop_until(Instant::now()), Err(Error::Timeout));
    let frozen = memory(&pool, b"for good").freeze().unwrap();
    let published = memory(&pool, b"the pool's").publish().unwrap();
    sender.send(b"bytes").unwrap();
    sender.send(&[7; 5000]).unwrap();
    sender.send_allocation(memory(&pool, b"given away")).unwrap();
    sender.send_frozen(&frozen).unwrap();
    sender.send_published(published).unwrap();
    assert_eq!((channel.len(), pool.blocks()), (Ok(5), before + 4));
    for left in [4, 3, 2, 1, 0] {
        receiver.pop().unwrap();
        assert_eq!(channel.len(), Ok(left));
    }
    // What was published is the pool's again.
    assert_eq!((bytes_of(&frozen), pool.blocks()), (b"for good".to_vec(), before + 2));
    sender.send(b"next").unwrap();
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"next");
    assert_eq!(receiver.statistics().received, 5);
}
