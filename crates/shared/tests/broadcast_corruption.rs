//! Whatever bytes are in an event, each operation gives a result or an error, nothing outside is written, and nobody waits
//! for ever.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod attended;
mod fenced;

use std::time::{Duration, Instant};

use attended::{Deaths, event};
use proptest::prelude::*;
use weyr_shared::{Broadcast, BroadcastAttributes, BroadcastError, Corrupt, SyncType, WaitMode};

fn attributes() -> BroadcastAttributes {
    BroadcastAttributes::new().max_payload(24).max_waiters(3).max_spinners(1).max_triggers(1)
}

/// Offsets of what stands in [`attributes`].
const PLACES: u64 = 128;
const RECORDS: u64 = PLACES + 3 * 64;

fn soon() -> Instant {
    Instant::now() + Duration::from_micros(50)
}

/// Every operation there is. Each ends.
fn use_all(event: &Broadcast, deaths: &Deaths) {
    let (me, other) = (deaths.user(1), deaths.user(2));
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        let _ = event.wait_until(&other, mode, soon());
        let waiter = event.register(&other, mode);
        let _ = event.trigger_one(&me, b"one");
        let _ = event.trigger_some_until(&me, 2, &[7; 24], soon());
        let _ = event.trigger_all(&me, b"");
        if let Ok(waiter) = waiter {
            let _ = waiter.is_released();
            let _ = waiter.leave();
        }
        let _ = event.trigger_all_until(&me, b"until", soon());
    }
    let _ = event.num_waiting();
    let _ = event.state().to_string();
    let _ = event.verify();
    let _ = event.recover(&me);
    let _ = event.reset(&me);
    let _ = event.is_left(&me);
}

proptest! {
    #[test]
    fn any_bytes_are_used_without_harm(
        at in 0_u64..RECORDS + 4 * (32 + 24),
        bytes in prop::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 1..64),
        synchronised in any::<bool>(),
        dies in any::<bool>(),
    ) {
        let sync = if synchronised { SyncType::With(2) } else { SyncType::None };
        let (deaths, (memory, event)) = (Deaths::default(), event(attributes().sync(sync)));
        let (waiting, released) = (deaths.user(3), deaths.user(4));
        std::mem::forget(event.register(&released, WaitMode::Idle).unwrap());
        let _ = event.trigger_one(&deaths.user(1), b"unread");
        let waiter = event.register(&waiting, WaitMode::Idle).unwrap();
        memory.overwrite(at, &bytes);
        if dies {
            released.die();
        }
        use_all(&event, &deaths);
        let _ = waiter.wait_until(soon());
        if let Ok(again) = Broadcast::attach(memory.region()) {
            use_all(&again, &deaths);
            let _ = again.destroy(&deaths.user(1));
        }
        let _ = event.destroy(&deaths.user(1));
        memory.assert_fences();
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (at, bytes, what, offset) in [
        (0, [1; 8], "magic of an event", 0),
        (16, [9; 8], "shape of an event", 8),
        (48, [9; 8], "life of an event", 48),
        (PLACES, [0xFF; 8], "place of a waiter of an event", PLACES),
        (PLACES + 64, [4, 0, 0, 0, 0, 0, 0, 0], "place of a waiter of an event", PLACES + 64),
        // One waits with a ticket that nobody gave out.
        (PLACES + 128, [2, 0, 0x10, 7, 0, 0, 0, 0], "place of a waiter of an event", PLACES + 128),
        (RECORDS, [0xFF; 8], "record of a trigger of an event", RECORDS),
        (RECORDS + 32 + 16, [0xFF; 8], "record of a trigger of an event", RECORDS + 32),
    ] {
        let (memory, event) = event(attributes());
        assert_eq!(event.verify(), []);
        memory.overwrite(at, &bytes);
        assert_eq!(event.verify(), [Corrupt { what, offset }]);
        memory.assert_fences();
    }
}

#[test]
fn two_with_one_ticket_and_one_without_a_holder_are_named() {
    let (deaths, (memory, event)) = (Deaths::default(), event(attributes()));
    let users = [deaths.user(1), deaths.user(2)];
    let _first = event.register(&users[0], WaitMode::Idle).unwrap();
    let _second = event.register(&users[1], WaitMode::Idle).unwrap();
    let place = |index: u64| Corrupt::new("place of a waiter of an event", PLACES + index * 64);
    // Adaptive and idle waiters take the places behind those of the spinners first.
    let words = memory.bytes();
    memory.overwrite(PLACES + 128, &words[PLACES as usize + 64..][..8]);
    assert_eq!(event.verify(), [place(2)]);
    memory.overwrite(PLACES + 128, &words[PLACES as usize + 128..][..8]);
    memory.overwrite(PLACES + 64 + 8, &[0; 8]);
    assert_eq!(event.verify(), [place(1)]);
}

#[test]
fn a_waiter_whose_place_was_overwritten_is_told_so() {
    for bytes in [[0; 8], [0xFF; 8], [2, 0, 0xF0, 1, 0, 0, 0, 0]] {
        let (deaths, (memory, event)) = (Deaths::default(), event(attributes()));
        let user = deaths.user(1);
        let waiter = event.register(&user, WaitMode::Idle).unwrap();
        memory.overwrite(PLACES + 64, &bytes);
        assert!(matches!(waiter.wait(), Err(BroadcastError::Corrupt(_))), "{bytes:?}");
    }
}

#[test]
fn a_payload_whose_record_was_overwritten_is_an_error() {
    let (deaths, (memory, event)) = (Deaths::default(), event(attributes()));
    let user = deaths.user(1);
    let waiter = event.register(&user, WaitMode::Idle).unwrap();
    event.trigger_all(&deaths.user(2), b"lost").unwrap();
    (0..4).for_each(|record| memory.overwrite(RECORDS + record * 32 + 16, &[0xFF; 4]));
    assert!(matches!(waiter.wait(), Err(BroadcastError::Corrupt(_))));
    assert_eq!(event.state().released, 0, "its place is free all the same");
}
