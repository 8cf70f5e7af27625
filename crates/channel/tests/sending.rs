//! When sends return, what bounds a sender's share, and order across paths: over real pools, with processes that are
//! stopped, killed and forked.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use pools::TestPool;
use weyr_channel::{
    Channel, ChannelAttributes, Error, FlowControl, Part, Reordering, ReturnWhen, Sender, WaitMode,
};
use weyr_kill::{Outcome, child, note};

const SECOND: Duration = Duration::from_secs(1);

fn soon() -> Instant {
    Instant::now() + 60 * SECOND
}

fn forever() -> ! {
    loop {
        std::thread::park();
    }
}

fn awaiting(channel: &Channel) -> Sender {
    channel.sender().with_return_when(ReturnWhen::Received)
}

fn flowing(pool: &TestPool, capacity: u64, flow_control: FlowControl) -> Channel {
    let attributes = ChannelAttributes::new().block_size(64).capacity(capacity).flow_control(flow_control);
    Channel::create(&pool.0, &attributes).unwrap()
}

#[test]
fn a_send_returns_when_each_mode_says() {
    let pool = TestPool::new("modes");
    let attributes = ChannelAttributes::new().capacity(3).message_attributes(true);
    // What a message has beside its payload takes another way into the channel.
    for channel in [pool.channel(3), Channel::create(&pool.0, &attributes).unwrap()] {
        for mode in [ReturnWhen::Immediately, ReturnWhen::Buffered, ReturnWhen::Deposited] {
            let mut buffer = *b"mine again";
            let sender = channel.sender().with_return_when(mode);
            assert_eq!(sender.return_when(), mode);
            sender.send(&buffer).unwrap();
            buffer.fill(0);
            assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), b"mine again");
        }
        for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
            let sender = awaiting(&channel).with_wait_mode(mode);
            std::thread::scope(|scope| {
                let sent = scope.spawn(|| sender.send_until(b"awaited", soon()));
                let lease = channel.receiver().lease().unwrap();
                assert!(!sent.is_finished(), "a message that is leased was not received");
                lease.done().unwrap();
                sent.join().unwrap().unwrap();
            });
        }
    }
}

#[test]
fn a_message_whose_receipt_is_not_in_time_stays_sent() {
    let pool = TestPool::new("unreceived");
    let channel = pool.channel(4);
    let sender = awaiting(&channel);
    assert_eq!(sender.try_send(b"bytes"), Err(Error::NotReceived));
    assert_eq!(sender.send_until(b"more", Instant::now()), Err(Error::NotReceived));
    let failed = sender.try_send_allocation(pool.0.alloc(100).unwrap()).unwrap_err();
    assert!(failed.error == Error::NotReceived && failed.payload.is_none(), "{failed:?}");
    let published = pool.0.alloc(50).unwrap().publish().unwrap();
    let failed = sender.message().at_once().send_published(published).unwrap_err();
    assert!(failed.error == Error::NotReceived && failed.payload.is_none(), "{failed:?}");
    // What was not even sent is another thing.
    assert_eq!(sender.try_send(b"no room"), Err(Error::Full));
    let failed = sender.try_send_allocation(pool.0.alloc(100).unwrap()).unwrap_err();
    assert!(failed.error == Error::Full && failed.payload.is_some(), "{failed:?}");
    let lengths = [(); 4].map(|()| channel.try_receive().unwrap().len());
    assert_eq!(lengths, [5, 4, 100, 50]);
}

#[test]
fn numbers_have_no_gap_where_a_receipt_is_missing() {
    let pool = TestPool::new("numbered");
    let attributes = ChannelAttributes::new().block_size(64).capacity(2).message_attributes(true);
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    let sender = awaiting(&channel);
    assert_eq!(sender.try_send(b"first"), Err(Error::NotReceived));
    assert_eq!(sender.try_send(b"second"), Err(Error::NotReceived));
    assert_eq!(sender.try_send(b"no room"), Err(Error::Full));
    let number = || channel.try_receive().unwrap().attributes().unwrap().sequence;
    assert_eq!([number(), number()], [1, 2]);
    assert_eq!(sender.try_send(b"third"), Err(Error::NotReceived));
    assert_eq!(number(), 3);
}

#[test]
fn large_bytes_are_awaited_too() {
    let pool = TestPool::new("large-awaited");
    let attributes = ChannelAttributes::new().block_size(64).capacity(2).side_loading(true);
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    assert_eq!(awaiting(&channel).try_send(&[7; 5000]), Err(Error::NotReceived));
    assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), [7; 5000]);
    std::thread::scope(|scope| {
        let sender = awaiting(&channel);
        let sent = scope.spawn(move || sender.send_until(&[8; 5000], soon()));
        assert_eq!(channel.receive_until(soon()).unwrap().into_bytes().unwrap(), [8; 5000]);
        sent.join().unwrap().unwrap();
    });
    channel.destroy().unwrap();
    pool.assert_verified();
}

#[test]
fn a_channel_that_is_destroyed_under_a_wait_for_a_receipt_says_so() {
    let pool = TestPool::new("receipt-lost");
    let channel = pool.channel(2);
    let sender = awaiting(&channel).with_wait_mode(WaitMode::Idle);
    std::thread::scope(|scope| {
        let sent = scope.spawn(move || sender.send_allocation(pool.0.alloc(100).unwrap()));
        while channel.is_empty().unwrap() {
            std::thread::yield_now();
        }
        channel.destroy().unwrap();
        let failed = sent.join().unwrap().unwrap_err();
        assert!(failed.error == Error::ReceiptLost && failed.payload.is_none(), "{failed:?}");
    });
}

/// The message that a receiver held when it was stopped, and then killed, is received by the next.
#[test]
fn a_receiver_that_dies_with_the_message_leaves_the_sender_waiting() {
    let pool = TestPool::new("dies-with-it");
    let (channel, said) = (pool.channel(2), pool.channel(1));
    let mut dying = child::spawn(|| {
        let _lease = channel.lease().unwrap();
        said.send(b"leased").unwrap();
        forever();
    })
    .unwrap();
    std::thread::scope(|scope| {
        let sender = awaiting(&channel).with_wait_mode(WaitMode::Idle);
        let sent = scope.spawn(move || sender.send_until(b"awaited", soon()));
        said.receive_until(soon()).unwrap();
        dying.stop().unwrap();
        dying.wait_stopped().unwrap();
        assert!(!sent.is_finished());
        dying.kill().unwrap();
        dying.wait().unwrap();
        let message = channel.receive_until(soon()).unwrap();
        assert!(message.is_redelivered());
        sent.join().unwrap().unwrap();
    });
}

/// Another sender sleeps beside the one that waits for a receipt: the wake is its own.
#[test]
fn who_waits_for_a_receipt_uses_up_no_wake() {
    let pool = TestPool::new("no-wake");
    let channel = flowing(&pool, 1, FlowControl::None);
    let idle = || channel.sender().with_wait_mode(WaitMode::Idle);
    for _ in 0..50 {
        std::thread::scope(|scope| {
            let (awaiting, plain) = (idle().with_return_when(ReturnWhen::Received), idle());
            let first = scope.spawn(move || awaiting.send_until(b"a", soon()));
            let second = scope.spawn(move || plain.send_until(b"b", soon()));
            for _ in 0..2 {
                channel.receive_until(soon()).unwrap();
            }
            first.join().unwrap().unwrap();
            second.join().unwrap().unwrap();
        });
    }
}

#[test]
fn a_process_has_no_more_messages_in_a_channel_than_its_flow_control_allows() {
    let pool = TestPool::new("metered");
    let two = FlowControl::Messages { messages: 2 };
    let channel = flowing(&pool, 8, two);
    assert_eq!(Channel::attach(&channel.descriptor()).unwrap().flow_control(), two);
    let refused = Err(Error::FlowControl(two));
    channel.send(b"1").unwrap();
    let lease = channel.lease().unwrap();
    channel.sender().try_send(b"2").unwrap();
    assert_eq!(channel.try_send(b"3"), refused, "what is leased is in the channel");
    assert_eq!(channel.send_until(b"3", Instant::now()), Err(Error::Timeout));
    let mut other = child::spawn(|| {
        // A forked child has a share of its own.
        channel.send(b"child").unwrap();
        channel.send(b"child").unwrap();
        assert!(matches!(channel.try_send(b"child"), Err(Error::FlowControl(_))));
    })
    .unwrap();
    assert_eq!(other.wait().unwrap(), Outcome::Exited(0));
    lease.done().unwrap();
    channel.try_send(b"3").unwrap();
    assert_eq!(channel.try_send(b"4"), refused);
    std::thread::scope(|scope| {
        let sender = channel.sender().with_wait_mode(WaitMode::Idle);
        let sent = scope.spawn(move || sender.send_until(b"4", soon()));
        for _ in 0..5 {
            channel.receive_until(soon()).unwrap();
        }
        sent.join().unwrap().unwrap();
    });
}

#[test]
fn without_flow_control_one_process_may_have_all_of_a_channel() {
    let pool = TestPool::new("unmetered");
    let attributes = ChannelAttributes::new().block_size(64).capacity(4).side_loading(true);
    let channel = Channel::create(&pool.0, &attributes.flow_control(FlowControl::None)).unwrap();
    let again = Channel::attach(&channel.descriptor()).unwrap();
    assert_eq!(again.flow_control(), FlowControl::None);
    (0..4).for_each(|number| again.try_send(&vec![number; 9000]).unwrap());
    assert_eq!(again.try_send(b"fifth"), Err(Error::Full));
    // Who waits for room waits for its turn alone: the share of the last messages is nothing to it.
    let mut other = child::spawn(|| {
        let late = channel.sender().send_until(b"from another", soon());
        late.unwrap();
    })
    .unwrap();
    for number in 0..4 {
        assert_eq!(again.receive_until(soon()).unwrap().into_bytes().unwrap(), vec![number; 9000]);
    }
    assert_eq!(other.wait().unwrap(), Outcome::Exited(0));
    assert_eq!(again.receive().unwrap().into_bytes().unwrap(), b"from another");
}

#[test]
fn threads_of_a_process_share_what_it_may_send() {
    const LIMIT: u32 = 3;
    let pool = TestPool::new("shared-limit");
    let channel = flowing(&pool, 16, FlowControl::Messages { messages: LIMIT.into() });
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let sender = channel.sender();
            scope.spawn(move || (0..500).for_each(|_| sender.send_until(b"x", soon()).unwrap()));
        }
        for _ in 0..1500 {
            assert!(channel.len().unwrap() <= LIMIT);
            channel.receive_until(soon()).unwrap();
        }
    });
}

#[test]
fn side_buffers_of_a_process_are_no_larger_than_its_flow_control_allows() {
    let pool = TestPool::new("metered-bytes");
    let limit = FlowControl::Memory { bytes: 10_000 + 3 * 64 };
    let attributes = ChannelAttributes::new().block_size(64).capacity(8).side_loading(true);
    let channel = Channel::create(&pool.0, &attributes.flow_control(limit)).unwrap();
    channel.send(&[1; 6000]).unwrap();
    assert_eq!(channel.try_send(&[2; 6000]), Err(Error::FlowControl(limit)));
    assert_eq!(channel.try_send(&[2; 4065]), Err(Error::FlowControl(limit)), "and its block");
    channel.try_send(&[3; 4000]).unwrap();
    channel.try_send(&[4; 1]).unwrap(); // in the slot
    assert_eq!(channel.try_send(&[5; 1]), Err(Error::FlowControl(limit)));
    let (needed, largest) = (10_129 + 64, 10_192);
    assert_eq!(channel.send(&vec![6; 10_129]), Err(Error::TooLarge { needed, largest }));
    let lens = [(); 3].map(|()| channel.receive().unwrap().len());
    assert_eq!(lens, [6000, 4000, 1]);
    channel.try_send(&[7; 10_128]).unwrap();
    assert_eq!(channel.try_send(b""), Err(Error::FlowControl(limit)));
}

#[test]
fn blocks_of_a_process_are_no_more_than_its_flow_control_allows_whatever_they_carry() {
    let pool = TestPool::new("metered-blocks");
    let limit = FlowControl::Memory { bytes: 4 * 64 + 63 };
    let channel = flowing(&pool, 8, limit);
    channel.try_send(b"").unwrap();
    channel.try_send(&[1; 64]).unwrap();
    // What is handed over is not the channel's, and counts its block alone.
    channel.sender().try_send_allocation(pool.0.alloc(5000).unwrap()).unwrap();
    let frozen = pool.0.alloc(3000).unwrap().freeze().unwrap();
    channel.sender().send_frozen(&frozen).unwrap();
    assert_eq!(channel.try_send(b"fifth"), Err(Error::FlowControl(limit)));
    let refused = channel.sender().try_send_allocation(pool.0.alloc(1).unwrap()).unwrap_err();
    assert_eq!(refused.error, Error::FlowControl(limit));
    for _ in 0..4 {
        drop(channel.receive().unwrap());
        channel.try_send(b"another").unwrap();
        assert_eq!(channel.try_send(b"one more"), Err(Error::FlowControl(limit)));
    }
    frozen.free().unwrap();
}

/// Each has room for itself alone, and draws all that it takes at once.
#[test]
fn threads_that_each_fill_the_limit_go_one_after_the_other() {
    let pool = TestPool::new("metered-threads");
    let limit = FlowControl::Memory { bytes: 64 + 1000 };
    let attributes = ChannelAttributes::new().block_size(64).capacity(8).side_loading(true);
    let channel = Channel::create(&pool.0, &attributes.flow_control(limit)).unwrap();
    std::thread::scope(|scope| {
        for len in [1000, 600, 64] {
            let sender = channel.sender();
            scope.spawn(move || (0..200).for_each(|_| sender.send_until(&vec![1; len], soon()).unwrap()));
        }
        for _ in 0..600 {
            channel.receive_until(soon()).unwrap();
        }
    });
}

/// Killed in the middle of its sends, again and again.
#[test]
fn the_share_of_the_dead_comes_back_when_their_messages_are_received() {
    let pool = TestPool::new("share-of-the-dead");
    let (channel, said) = (flowing(&pool, 8, FlowControl::Messages { messages: 2 }), pool.channel(1));
    for _ in 0..20 {
        let mut dying = child::spawn(|| {
            channel.send(b"1").unwrap();
            channel.send(b"2").unwrap();
            said.send(b"sent").unwrap();
            let _never = channel.send(b"3");
            forever();
        })
        .unwrap();
        said.receive_until(soon()).unwrap();
        dying.kill().unwrap();
        dying.wait().unwrap();
        pool.0.recover();
        for _ in 0..2 {
            channel.receive_until(soon()).unwrap();
        }
    }
    assert!(channel.is_empty().unwrap());
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let pool = TestPool::new("nothing");
    let less_than_a_block = [0, 63].map(|bytes| FlowControl::Memory { bytes });
    for flow_control in [FlowControl::Messages { messages: 0 }].into_iter().chain(less_than_a_block) {
        let attributes = ChannelAttributes::new().block_size(64).flow_control(flow_control);
        assert!(matches!(Channel::create(&pool.0, &attributes), Err(Error::InvalidFlowControl)));
    }
    let one = flowing(&pool, 2, FlowControl::Memory { bytes: 64 });
    one.try_send(&[1; 64]).unwrap();
    assert!(matches!(one.try_send(b""), Err(Error::FlowControl(_))));
}

/// One sends as often as it may, and is always there first: it takes the messages out, and tries each time while the
/// other, which sleeps for a slot in a process of its own, is stopped, so slow to be woken. Of so many slots that became
/// free, how many the greedy one got.
fn slots_of_the_greedy(flow_control: FlowControl, mode: WaitMode, slots: u32) -> u32 {
    const GREEDY: [u8; 1] = [0];
    const MODEST: [u8; 1] = [1];
    let pool = TestPool::new("fair");
    let (channel, said) = (flowing(&pool, 8, flow_control), pool.channel(1));
    let mut modest = child::spawn(|| {
        let sender = channel.sender().with_wait_mode(mode);
        while said.send(b"about to send").is_ok() && sender.send(&MODEST).is_ok() {}
    })
    .unwrap();
    let (greedy, receiver, mut got) = (channel.sender(), channel.receiver(), 0);
    let waits = || channel.len().unwrap() == 8 && channel.state().unwrap().blocked_senders == 1;
    while !waits() || !is_asleep(&modest) {
        let _full = greedy.try_send(&GREEDY);
        let _nothing_new = said.try_receive();
    }
    while said.try_receive().is_ok() {}
    for _ in 0..slots {
        modest.stop().unwrap();
        modest.wait_stopped().unwrap();
        receiver.receive_until(soon()).unwrap();
        let tried = greedy.try_send(&GREEDY);
        modest.cont().unwrap();
        match tried {
            Ok(()) => got += 1,
            Err(Error::Full | Error::FlowControl(_)) => drop(said.receive_until(soon()).unwrap()),
            Err(error) => panic!("{error}"),
        }
        // It was woken for the slot, whoever got it, and waits for the next.
        while !waits() || !is_asleep(&modest) {
            std::thread::yield_now();
        }
    }
    channel.destroy().unwrap();
    said.destroy().unwrap();
    assert_eq!(modest.wait().unwrap(), Outcome::Exited(0));
    got
}

/// Who is slower for being woken gets its share of the slots all the same, and without flow control nothing.
#[test]
fn who_sleeps_for_its_turn_has_its_share_beside_one_that_is_always_there_first() {
    const SLOTS: u32 = 400;
    for mode in [WaitMode::Idle, WaitMode::Adaptive] {
        let got = slots_of_the_greedy(FlowControl::Resources, mode, SLOTS);
        let unfair = slots_of_the_greedy(FlowControl::None, mode, SLOTS);
        note(format_args!("of {SLOTS} slots the greedy got {got}; without flow control {unfair}"));
        // Half of the last eight messages may be its own, so five of nine slots; and it began with all of them.
        assert!(got <= SLOTS * 5 / 9 + 8, "{mode:?}: the greedy got {got} of {SLOTS} slots");
        assert_eq!(unfair, SLOTS, "{mode:?}: it is there first");
    }
}

fn is_asleep(child: &child::Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    stat.rsplit(')').next().unwrap().trim_start().starts_with('S')
}

/// A stopped process that wants to send delays the others once, and then hinders nobody; nor does a dead one.
#[test]
fn nobody_waits_for_a_stopped_or_dead_sender_that_wants_to_send() {
    let pool = TestPool::new("stopped-wish");
    let channel = flowing(&pool, 2, FlowControl::Resources);
    channel.send(b"full").unwrap();
    channel.send(b"full").unwrap();
    let said = pool.channel(1);
    let mut waiting = child::spawn(|| {
        said.send(b"about to wait").unwrap();
        let _killed = channel.sender().with_wait_mode(WaitMode::Idle).send(b"never");
        forever();
    })
    .unwrap();
    said.receive_until(soon()).unwrap();
    while !is_asleep(&waiting) {
        std::thread::yield_now();
    }
    waiting.stop().unwrap();
    waiting.wait_stopped().unwrap();
    for _ in 0..500 {
        channel.receive_until(soon()).unwrap();
        channel.send_until(b"goes on", soon()).unwrap();
    }
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    for _ in 0..500 {
        channel.receive_until(soon()).unwrap();
        channel.send_until(b"goes on", soon()).unwrap();
    }
}

/// Two paths that mix what they carry, and end in one channel.
#[test]
fn messages_that_took_two_paths_are_deposited_in_the_order_of_each_sender() {
    const MESSAGES: u64 = 2000;
    let pool = TestPool::new("paths");
    let attributes = ChannelAttributes::new().block_size(64).capacity(16).message_attributes(true);
    let paths = [(); 2].map(|()| Channel::create(&pool.0, &attributes).unwrap());
    let target = pool.channel(16);
    let (deposits, arrivals) = mpsc::sync_channel::<Part<Vec<u8>>>(4);
    std::thread::scope(|scope| {
        // Each sender's stream is spread over both paths by whoever sends it on.
        for sender in 0..2_u128 {
            let paths = &paths;
            scope.spawn(move || {
                for sequence in 1..=MESSAGES {
                    let mut bytes = sender.to_le_bytes().to_vec();
                    bytes.extend(sequence.to_le_bytes());
                    let path = (sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize % 2;
                    paths[path].send_until(&bytes, soon()).unwrap();
                }
            });
        }
        for path in &paths {
            let deposits = deposits.clone();
            scope.spawn(move || {
                for _ in 0.. {
                    let Ok(message) = path.receiver().receive_until(soon()) else { return };
                    let payload = message.into_bytes().unwrap();
                    let Some((sender, number)) = payload.split_at_checked(16) else { return };
                    let sender = u128::from_le_bytes(sender.try_into().unwrap());
                    let sequence = u64::from_le_bytes(number.try_into().unwrap());
                    deposits.send(Part { sender, sequence, payload, bytes: 24 }).unwrap();
                }
            });
        }
        drop(deposits);
        let deposit = target.clone();
        scope.spawn(move || {
            let mut order = Reordering::new(24 * 2 * MESSAGES);
            for part in arrivals {
                for payload in order.arrive(part).unwrap() {
                    deposit.send_until(&payload, soon()).unwrap();
                }
            }
            assert_eq!(order.held_bytes(), 0);
        });
        let mut last = [0; 2];
        for _ in 0..2 * MESSAGES {
            let bytes = target.receive_until(soon()).unwrap().into_bytes().unwrap();
            let sequence = u64::from_le_bytes(bytes[16..].try_into().unwrap());
            let last = &mut last[usize::from(bytes[0])];
            assert_eq!(sequence, *last + 1);
            *last = sequence;
        }
        // An empty message ends a path.
        paths.iter().for_each(|path| path.send(b"").unwrap());
    });
}

#[test]
fn a_payload_given_by_value_comes_back_when_it_was_sent() {
    let pool = TestPool::new("owned");
    let channel = pool.channel(1);
    let sender = channel.sender();
    let done = sender.message().send_owned(vec![1; 8]).unwrap();
    assert!(done.is_done());
    assert_eq!(done.into_payload().unwrap(), [1; 8]);
    let mut pending = sender.message().send_owned(Box::<[u8]>::from([2; 8])).unwrap();
    assert!(!pending.is_done() && !pending.poll().unwrap());
    assert_eq!(pending.wait_until(Instant::now()), Err(Error::Timeout));
    // Nothing of its sender overtakes it; others may.
    assert_eq!(sender.try_send(b"later"), Err(Error::Pending));
    let refused = sender.message().send_owned(vec![3]).unwrap_err();
    assert_eq!((refused.error, refused.payload), (Error::Pending, Some(vec![3])));
    assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), [1; 8]);
    channel.sender().try_send(b"another's").unwrap();
    assert!(!pending.poll().unwrap());
    channel.try_receive().unwrap();
    assert!(pending.poll().unwrap() && pending.poll().unwrap());
    assert_eq!(*pending.into_payload().unwrap(), [2; 8]);
    assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), [2; 8]);
    assert!(matches!(channel.try_receive(), Err(Error::Empty)));
    sender.try_send(b"goes on").unwrap();
    // Dropped, it is not sent, and its sender goes on.
    drop(sender.message().send_owned(b"never").unwrap());
    let failed = sender.message().send_owned(b"never").unwrap().into_payload().unwrap_err();
    assert_eq!((failed.error, failed.payload), (Error::Pending, Some(b"never")));
    assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), b"goes on");
    assert!(matches!(channel.try_receive(), Err(Error::Empty)));
    let refused = sender.message().send_owned(vec![0; 65]).unwrap_err();
    assert_eq!(refused.payload.unwrap().len(), 65);
    sender.try_send(b"goes on").unwrap();
}

#[test]
fn a_completion_waits_for_room_and_does_not_go_to_a_forked_child() {
    let pool = TestPool::new("owned-waits");
    let channel = pool.channel(1);
    let sender = channel.sender();
    sender.send(b"full").unwrap();
    let mut pending = sender.message().send_owned(vec![1]).unwrap();
    let mut forked = child::spawn(|| {
        assert_eq!(pending.poll(), Err(Error::Forked));
        assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), b"full");
    })
    .unwrap();
    assert_eq!(forked.wait().unwrap(), Outcome::Exited(0));
    pending.wait_until(soon()).unwrap();
    assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), [1]);
}
