//! The protocol among threads that share nothing but the ring.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod plain;

use std::collections::BTreeMap;
use std::thread;

use weyr_channel::WaitMode;
use weyr_channel::protocol::{Bytes, ReceiveSide, SendSide};
use weyr_shared::{Ring, SlotState};

const STOP: u64 = u64::MAX;

fn send_numbers(ring: &Ring, sender: u16, count: u64, mode: WaitMode) {
    let (channel, side) = (plain::attached(ring, sender), SendSide::default());
    for number in 0..count {
        let message = (u64::from(sender) << 32 | number).to_le_bytes();
        channel.send_until(&side, &Bytes(&message), mode, None).unwrap();
    }
}

fn receive_until_stopped(ring: &Ring, receiver: u16, mode: WaitMode, state: SlotState) -> Vec<u64> {
    let (channel, side) = (plain::attached(ring, receiver), ReceiveSide::default());
    let mut received = Vec::new();
    loop {
        let taken = channel.take_until(&side, state, mode, None).unwrap();
        let mut message = [0; 8];
        channel.read_bytes(&taken, &mut message).unwrap();
        channel.release(taken).unwrap();
        match u64::from_le_bytes(message) {
            STOP => return received,
            number => received.push(number),
        }
    }
}

fn stop(ring: &Ring, receivers: u16) {
    let (channel, side) = (plain::attached(ring, 0), SendSide::default());
    for _ in 0..receivers {
        channel.send_until(&side, &Bytes(&STOP.to_le_bytes()), WaitMode::Adaptive, None).unwrap();
    }
}

/// What each receiver got, after `senders` threads sent `count` numbers each.
fn exchange(capacity: u32, senders: u16, receivers: u16, count: u64, mode: WaitMode) -> Vec<Vec<u64>> {
    let ring = plain::ring(capacity);
    thread::scope(|scope| {
        let ring = &ring;
        let received: Vec<_> = (0..receivers)
            .map(|n| scope.spawn(move || receive_until_stopped(ring, 8 + n, mode, SlotState::Taking)))
            .collect();
        let sent: Vec<_> =
            (0..senders).map(|n| scope.spawn(move || send_numbers(ring, 1 + n, count, mode))).collect();
        sent.into_iter().for_each(|sender| sender.join().unwrap());
        stop(ring, receivers);
        received.into_iter().map(|receiver| receiver.join().unwrap()).collect()
    })
}

fn assert_in_order_per_sender(received: &[u64]) {
    let mut last = BTreeMap::new();
    for message in received {
        let (sender, number) = (message >> 32, message & 0xffff_ffff);
        assert!(
            last.insert(sender, number).is_none_or(|before| before < number),
            "sender {sender}: {number}"
        );
    }
}

fn assert_each_once(received: Vec<Vec<u64>>, senders: u16, count: u64) {
    let mut all: Vec<u64> = received.into_iter().flatten().collect();
    all.sort_unstable();
    let expected = (1..=u64::from(senders)).flat_map(|sender| (0..count).map(move |n| sender << 32 | n));
    assert!(all.into_iter().eq(expected), "lost, invented or doubled");
}

#[test]
fn receivers_see_each_sender_in_order_and_each_message_once() {
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        for (capacity, senders, receivers) in
            [(1, 1, 1), (1, 2, 2), (2, 3, 1), (3, 1, 3), (16, 2, 2), (100, 3, 3)]
        {
            let received = exchange(capacity, senders, receivers, 4_000, mode);
            received.iter().for_each(|one| assert_in_order_per_sender(one));
            assert_each_once(received, senders, 4_000);
        }
    }
}

#[test]
fn leases_that_are_kept_do_not_stop_the_others() {
    let ring = plain::ring(4);
    let (channel, side, kept) = (plain::attached(&ring, 15), SendSide::default(), ReceiveSide::default());
    let leases: Vec<_> = (0..3_u64)
        .map(|number| {
            channel.send_until(&side, &Bytes(&number.to_le_bytes()), WaitMode::Spin, None).unwrap();
            channel.take_until(&kept, SlotState::Leased, WaitMode::Spin, None).unwrap()
        })
        .collect();
    thread::scope(|scope| {
        let ring = &ring;
        let receiver = scope.spawn(move || receive_until_stopped(ring, 8, WaitMode::Idle, SlotState::Leased));
        send_numbers(ring, 1, 3_000, WaitMode::Idle);
        stop(ring, 1);
        assert_each_once(vec![receiver.join().unwrap()], 1, 3_000);
    });
    for (number, lease) in leases.into_iter().enumerate() {
        let mut message = [0; 8];
        channel.read_bytes(&lease, &mut message).unwrap();
        assert_eq!(u64::from_le_bytes(message), number as u64);
        channel.release(lease).unwrap();
    }
}

#[test]
fn messages_put_back_are_not_lost() {
    let ring = plain::ring(4);
    thread::scope(|scope| {
        let ring = &ring;
        let hesitant = scope.spawn(move || {
            let (channel, side) = (plain::attached(ring, 9), ReceiveSide::default());
            for _ in 0..500 {
                let taken = channel.take_until(&side, SlotState::Leased, WaitMode::Adaptive, None).unwrap();
                channel.put_back(taken, true).unwrap();
            }
        });
        let sender = scope.spawn(move || send_numbers(ring, 1, 2_000, WaitMode::Adaptive));
        hesitant.join().unwrap();
        let receiver =
            scope.spawn(move || receive_until_stopped(ring, 8, WaitMode::Adaptive, SlotState::Taking));
        sender.join().unwrap();
        stop(ring, 1);
        assert_each_once(vec![receiver.join().unwrap()], 1, 2_000);
    });
}
