//! Channels between processes, some of which are killed.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod locked;
mod pools;

use std::time::{Duration, Instant};

use pools::{TestPool, as_child, child};
use weyr_channel::{Channel, Error, Receiver, WaitMode};
use weyr_kill::Outcome;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn forever() -> ! {
    loop {
        std::thread::park();
    }
}

fn receive_number(receiver: &Receiver) -> u64 {
    let mut bytes = [0; 8];
    assert_eq!(receiver.receive_into_until(&mut bytes, soon()), Ok(8));
    u64::from_le_bytes(bytes)
}

#[test]
fn a_child_echoes_messages_in_order() {
    const TEST: &str = "a_child_echoes_messages_in_order";
    if let Some(channels) = as_child(TEST) {
        let mut bytes = [0; 64];
        while let Ok(len) = channels[0].receiver().receive_into(&mut bytes) {
            channels[1].send(&bytes[..len]).unwrap();
        }
        return;
    }
    let pool = TestPool::new("echo");
    let (out, back) = (pool.channel(3), pool.channel(3));
    let mut echo = child(TEST, &[&out, &back]);
    for mode in [WaitMode::Adaptive, WaitMode::Idle, WaitMode::Spin] {
        let (sender, receiver) = (out.sender().with_wait_mode(mode), back.receiver().with_wait_mode(mode));
        for number in 0..500_u64 {
            sender.send(&number.to_le_bytes()).unwrap();
            assert_eq!(receive_number(&receiver), number);
        }
    }
    out.destroy().unwrap();
    assert!(echo.wait().unwrap().success());
}

#[test]
fn an_allocation_moves_to_a_child_and_back_without_copying() {
    const TEST: &str = "an_allocation_moves_to_a_child_and_back_without_copying";
    if let Some(channels) = as_child(TEST) {
        let mut memory = channels[0].receive().unwrap().into_allocation().unwrap();
        let mut byte = [0];
        memory.read(99_999, &mut byte).unwrap();
        memory.write(0, &[byte[0] + 1]).unwrap();
        channels[1].send_allocation(memory).unwrap();
        return;
    }
    let pool = TestPool::new("move");
    let (out, back) = (pool.channel(1), pool.channel(1));
    let mut other = child(TEST, &[&out, &back]);
    let mut memory = pool.0.alloc(100_000).unwrap();
    memory.write(99_999, &[41]).unwrap();
    let reference = memory.reference();
    out.send_allocation(memory).unwrap();
    let message = back.receive_until(soon()).unwrap();
    assert_eq!(message.len(), 100_000);
    let memory = message.into_allocation().unwrap();
    let mut byte = [0];
    memory.read(0, &mut byte).unwrap();
    assert_eq!((memory.reference(), byte), (reference, [42]));
    assert_eq!((out.statistics().bytes_copied_in, back.statistics().bytes_copied_out), (0, 0));
    assert!(other.wait().unwrap().success());
    drop((memory, out, back));
    pool.assert_verified();
}

#[test]
fn a_hundred_thousand_messages_take_no_more_memory_than_those_under_way() {
    const TEST: &str = "a_hundred_thousand_messages_take_no_more_memory_than_those_under_way";
    if let Some(channels) = as_child(TEST) {
        while let Ok(message) = channels[0].receive() {
            drop(message.into_allocation().unwrap());
        }
        return;
    }
    // Blocks of slabs in the one pool, spans in the other.
    for page in [64 << 10, 4096] {
        let pool = TestPool::with("under-way", 1 << 30, |attributes| attributes.page_size(page));
        let out = pool.channel(8);
        let mut other = child(TEST, &[&out]);
        for number in 0..100_000_u64 {
            let mut memory = pool.0.alloc(64 << 10).unwrap();
            memory.write(0, &number.to_le_bytes()).unwrap();
            out.send_allocation(memory).unwrap();
        }
        out.destroy().unwrap();
        assert!(other.wait().unwrap().success());
        // Eight in the channel, one at either end, and what the child keeps: less than a mebibyte at any time.
        let taken = pool.0.usage().backed_bytes;
        assert!(taken <= 6 << 20, "{taken} bytes with pages of {page}");
        pool.assert_verified();
    }
}

/// A child leases the messages of `work`, says so on `said`, and is killed.
fn kill_a_leaseholder(test: &str, work: &Channel, said: &Channel) {
    let mut dying = child(test, &[work, said]);
    said.receive_until(soon()).unwrap();
    dying.kill().unwrap();
    dying.wait().unwrap();
}

fn lease_all_and_wait(channels: &[Channel]) -> ! {
    let mut leases = Vec::new();
    while let Ok(lease) = channels[0].receiver().try_lease() {
        lease.bytes().unwrap();
        leases.push(lease);
    }
    channels[1].send(b"done").unwrap();
    forever()
}

#[test]
fn what_a_killed_child_had_leased_comes_again_marked() {
    const TEST: &str = "what_a_killed_child_had_leased_comes_again_marked";
    if let Some(channels) = as_child(TEST) {
        lease_all_and_wait(&channels);
    }
    let pool = TestPool::new("leased");
    let (work, said) = (pool.channel(3), pool.channel(1));
    let mut memory = pool.0.alloc(5000).unwrap();
    memory.write(0, b"block").unwrap();
    work.send(b"bytes").unwrap();
    work.send_allocation(memory).unwrap();
    kill_a_leaseholder(TEST, &work, &said);
    let messages = [(); 2].map(|()| work.receive_until(soon()).unwrap());
    assert!(messages.iter().all(|message| message.is_redelivered()));
    let [first, second] = messages.map(|message| message.into_bytes().unwrap());
    assert_eq!((first.as_slice(), &second[..5]), (b"bytes".as_slice(), b"block".as_slice()));
    assert_eq!(work.receiver().try_receive().err(), Some(Error::Empty));
    pool.0.recover();
    drop((work, said));
    pool.assert_verified();
}

#[test]
fn senders_go_on_when_every_slot_was_leased_by_a_killed_child() {
    const TEST: &str = "senders_go_on_when_every_slot_was_leased_by_a_killed_child";
    if let Some(channels) = as_child(TEST) {
        lease_all_and_wait(&channels);
    }
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        let pool = TestPool::new("full");
        let (work, said) = (pool.channel(2), pool.channel(1));
        work.send(&[1]).unwrap();
        work.send(&[2]).unwrap();
        kill_a_leaseholder(TEST, &work, &said);
        let (sender, receiver) = (work.sender().with_wait_mode(mode), work.receiver().with_wait_mode(mode));
        let sending = std::thread::spawn(move || sender.send_until(&[3], soon()));
        let mut received = [(); 3].map(|()| receiver.receive_until(soon()).unwrap().into_bytes().unwrap()[0]);
        received.sort_unstable();
        assert_eq!((received, sending.join().unwrap()), ([1, 2, 3], Ok(())));
    }
}

#[test]
fn an_allocation_sent_by_a_killed_child_is_delivered_and_the_rest_of_its_memory_freed() {
    const TEST: &str = "an_allocation_sent_by_a_killed_child_is_delivered_and_the_rest_of_its_memory_freed";
    if let Some(channels) = as_child(TEST) {
        let mut memory = channels[0].pool().alloc(3000).unwrap();
        let kept = channels[0].pool().alloc(3000).unwrap();
        memory.write(0, b"last words").unwrap();
        channels[0].send_allocation(memory).unwrap();
        channels[1].send(b"done").unwrap();
        std::mem::forget(kept);
        forever();
    }
    let pool = TestPool::new("words");
    let (work, said) = (pool.channel(3), pool.channel(1));
    let blocks = pool.blocks();
    kill_a_leaseholder(TEST, &work, &said);
    pool.0.recover();
    assert_eq!(pool.blocks(), blocks + 1);
    let message = work.receive_until(soon()).unwrap();
    assert!(message.into_bytes().unwrap().starts_with(b"last words"));
    assert_eq!(pool.blocks(), blocks);
    drop((work, said));
    pool.assert_verified();
}

#[test]
fn a_destroyed_channel_is_freed_when_its_last_user_was_killed() {
    const TEST: &str = "a_destroyed_channel_is_freed_when_its_last_user_was_killed";
    if let Some(channels) = as_child(TEST) {
        channels[1].send(b"done").unwrap();
        forever();
    }
    let pool = TestPool::new("last");
    let blocks = pool.blocks();
    let (work, said) = (pool.channel(3), pool.channel(1));
    work.send_allocation(pool.0.alloc(100).unwrap()).unwrap();
    let mut dying = child(TEST, &[&work, &said]);
    said.receive_until(soon()).unwrap();
    work.destroy().unwrap();
    drop(said);
    assert_eq!(pool.blocks(), blocks + 2, "the child has both channels, and the message is freed");
    dying.kill().unwrap();
    dying.wait().unwrap();
    pool.0.recover();
    assert_eq!(pool.blocks(), blocks + 1, "a channel that nobody destroyed outlives its users");
    pool.assert_verified();
}

#[test]
fn a_sleeping_receiver_in_a_child_is_told_of_the_destruction() {
    const TEST: &str = "a_sleeping_receiver_in_a_child_is_told_of_the_destruction";
    if let Some(channels) = as_child(TEST) {
        let receiver = channels[0].receiver().with_wait_mode(WaitMode::Idle);
        channels[1].send(b"done").unwrap();
        assert_eq!(receiver.receive().err(), Some(Error::Destroyed));
        return;
    }
    let pool = TestPool::new("told");
    let (work, said) = (pool.channel(3), pool.channel(1));
    let mut sleeping = child(TEST, &[&work, &said]);
    said.receive_until(soon()).unwrap();
    work.destroy().unwrap();
    assert!(sleeping.wait().unwrap().success());
}

#[test]
fn the_message_of_a_killed_worker_is_done_once_more_and_only_once() {
    const TEST: &str = "the_message_of_a_killed_worker_is_done_once_more_and_only_once";
    if let Some(channels) = as_child(TEST) {
        let receiver = channels[0].receiver().with_wait_mode(WaitMode::Idle);
        while let Ok(lease) = receiver.lease() {
            let (work, again) = (lease.bytes().unwrap()[0], lease.is_redelivered());
            channels[1].send(&[work, again.into()]).unwrap();
            if work == 3 && !again {
                forever();
            }
            lease.done().unwrap();
        }
        return;
    }
    let pool = TestPool::new("worker");
    let (work, reports) = (pool.channel(8), pool.channel(8));
    (1..=5_u8).for_each(|number| work.send(&[number]).unwrap());
    let report = || {
        let bytes = reports.receive_until(soon()).unwrap().into_bytes().unwrap();
        (bytes[0], bytes[1] == 1)
    };
    let mut dying = child(TEST, &[&work, &reports]);
    assert_eq!([(); 3].map(|()| report()), [(1, false), (2, false), (3, false)]);
    dying.kill().unwrap();
    dying.wait().unwrap();
    let mut next = child(TEST, &[&work, &reports]);
    let mut rest = [(); 3].map(|()| report());
    rest.sort_unstable();
    assert_eq!(rest, [(3, true), (4, false), (5, false)]);
    work.clone().destroy().unwrap();
    assert!(next.wait().unwrap().success());
    assert!(reports.is_empty().unwrap());
    drop((work, reports));
    pool.0.recover();
    pool.assert_verified();
}

#[test]
fn what_a_killed_sender_had_sent_arrives_in_order_and_ends_where_it_died() {
    const TEST: &str = "what_a_killed_sender_had_sent_arrives_in_order_and_ends_where_it_died";
    if let Some(channels) = as_child(TEST) {
        for number in 0_u64.. {
            channels[0].send(&number.to_le_bytes()).unwrap();
            // What was said here was sent before.
            channels[1].send(&number.to_le_bytes()).unwrap();
        }
    }
    let pool = TestPool::new("stream");
    let (stream, said) = (pool.channel(16), pool.channel(16));
    let mut sending = child(TEST, &[&stream, &said]);
    let (data, returned) = (stream.receiver(), said.receiver());
    for number in 0..2000 {
        assert_eq!((receive_number(&data), receive_number(&returned)), (number, number));
    }
    sending.kill().unwrap();
    sending.wait().unwrap();
    pool.0.recover();
    let rest = |receiver: &Receiver| {
        let mut count = 0;
        while let Ok(message) = receiver.try_receive() {
            assert!(!message.is_redelivered());
            let bytes = message.into_bytes().unwrap();
            assert_eq!(bytes, (2000 + count as u64).to_le_bytes());
            count += 1;
        }
        count
    };
    let (sent, known) = (rest(&data), rest(&returned));
    assert!(sent == known || sent == known + 1, "{sent} came, and {known} sends are known to have returned");
}

#[test]
fn a_sleeping_receiver_outlives_the_death_of_the_only_sender() {
    const TEST: &str = "a_sleeping_receiver_outlives_the_death_of_the_only_sender";
    if let Some(channels) = as_child(TEST) {
        channels[1].send(b"here").unwrap();
        forever();
    }
    let pool = TestPool::new("only");
    let (work, said) = (pool.channel(3), pool.channel(1));
    let mut dying = child(TEST, &[&work, &said]);
    said.receive_until(soon()).unwrap();
    let receiver = work.receiver().with_wait_mode(WaitMode::Idle);
    let sleeping = std::thread::spawn(move || {
        let nothing = receiver.receive_until(Instant::now() + Duration::from_millis(300)).err();
        (nothing, receiver)
    });
    dying.kill().unwrap();
    dying.wait().unwrap();
    let (nothing, receiver) = sleeping.join().unwrap();
    assert_eq!(nothing, Some(Error::Timeout));
    work.send(b"late").unwrap();
    assert_eq!(receiver.receive_until(soon()).unwrap().into_bytes().unwrap(), b"late");
}

#[test]
fn a_forked_child_attaches_anew_and_leaves_its_parents_leases_alone() {
    let pool = TestPool::new("forked");
    let (out, back) = (pool.channel(3), pool.channel(3));
    let (sender, receiver) = (back.sender(), out.receiver());
    out.send(b"leased").unwrap();
    out.send(b"to the child").unwrap();
    let lease = std::cell::RefCell::new(Some(out.lease().unwrap()));
    let mut forked = weyr_kill::child::spawn(|| {
        let inherited = lease.take().unwrap();
        assert_eq!(inherited.bytes().err(), Some(Error::Forked));
        assert_eq!(inherited.len().err(), Some(Error::Forked));
        drop(inherited);
        assert_eq!(receiver.receive_until(soon()).unwrap().into_bytes().unwrap(), b"to the child");
        assert_eq!(receiver.try_receive().err(), Some(Error::Empty));
        sender.send(b"from the child").unwrap();
        assert_eq!(pool.0.members().len(), 2);
    })
    .unwrap();
    assert_eq!(back.receive_until(soon()).unwrap().into_bytes().unwrap(), b"from the child");
    assert_eq!(forked.wait().unwrap(), Outcome::Exited(0));
    assert_eq!(pool.0.recover().processes, 1);
    let lease = lease.take().unwrap();
    assert_eq!(lease.bytes().unwrap(), b"leased");
    lease.done().unwrap();
    assert!(out.is_empty().unwrap());
    drop((sender, receiver, out, back));
    pool.assert_verified();
}
