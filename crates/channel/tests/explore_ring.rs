//! What must hold in every interleaving of small channels, with deaths and stops.
#![cfg(weyr_face = "explore")]

mod explored;

use explored::{Case, explore};

/// With hints, and payload of two words.
const WHOLE: Case = Case { hints: true, torn: true, ..Case::PLAIN };
/// One user may be killed, and one recoverer sees to it.
const DEADLY: Case = Case { recoverers: 1, deaths: 1, ..Case::PLAIN };
/// One user may be stopped for ever; sleeps go in slices.
const STOPPING: Case = Case { stops: 1, patience: 2, slices: true, ..Case::PLAIN };

#[test]
fn every_message_is_received_once_and_nobody_sleeps_for_ever() {
    for capacity in [1, 2] {
        let base = Case { capacity, ..WHOLE };
        explore(Case { name: "1 to 1", messages: 3, ..base }).assert_holds();
        explore(Case { name: "2 to 1", senders: 2, messages: 1, ..base }).assert_holds();
        explore(Case { name: "1 to 2", receivers: 2, messages: 1, ..base }).assert_holds();
    }
    explore(Case { name: "1 to 2, capacity 2", receivers: 2, capacity: 2, ..WHOLE }).assert_holds();
    explore(Case { name: "1 to 1, capacity 3", messages: 4, capacity: 3, ..WHOLE }).assert_holds();
}

#[test]
fn slow_senders_are_revoked_and_slow_receivers_passed_by_without_loss() {
    for capacity in [1, 2] {
        let base = Case { capacity, patience: 2, ..WHOLE };
        explore(Case { name: "1 to 1, slow", messages: 3, ..base }).assert_holds();
        let base = Case { patience: 1, ..base };
        explore(Case { name: "1 to 2, slow", receivers: 2, messages: 1, ..base }).assert_holds();
        explore(Case { name: "2 to 1, slow", senders: 2, messages: 1, ..base }).assert_holds();
    }
    explore(Case { name: "1 to 1, slow, capacity 3", messages: 4, capacity: 3, patience: 2, ..WHOLE })
        .assert_holds();
    let leased = Case { lease: true, capacity: 2, messages: 3, ..WHOLE };
    explore(Case { name: "1 to 1, leased", ..leased }).assert_holds();
}

#[test]
fn a_sender_may_die_anywhere() {
    for capacity in [1, 2] {
        let base = Case { capacity, senders_fall: true, ..DEADLY };
        explore(Case { name: "1 to 1, sender killed", messages: 3, ..base }).assert_holds();
        explore(Case { name: "1 to 1, sender killed, slow", patience: 1, ..base }).assert_holds();
    }
}

#[test]
fn a_receiver_may_die_anywhere() {
    for capacity in [1, 2] {
        let base = Case { capacity, receivers: 2, messages: 1, receivers_fall: true, ..DEADLY };
        explore(Case { name: "1 to 2, receiver killed", ..base }).assert_holds();
    }
    let base = Case { capacity: 2, receivers: 2, messages: 1, receivers_fall: true, ..DEADLY };
    explore(Case { name: "1 to 2, receiver killed, slow", patience: 1, ..base }).assert_holds();
    explore(Case { name: "1 to 2, leaseholder killed", lease: true, ..base }).assert_holds();
}

#[test]
fn a_recoverer_may_die_anywhere_too() {
    let base = Case { messages: 1, recoverers: 2, deaths: 2, ..Case::PLAIN };
    let base = Case { senders_fall: true, recoverers_fall: true, ..base };
    explore(Case { name: "1 to 1, sender and recoverer killed", ..base }).assert_holds();
}

#[test]
fn those_who_are_hindered_need_no_recoverer() {
    let base = Case { senders: 2, messages: 1, deaths: 1, senders_fall: true, slices: true, ..Case::PLAIN };
    explore(Case { name: "2 to 1, sender killed, nobody recovers", capacity: 2, ..base }).assert_holds();
}

#[test]
fn a_stopped_user_stops_nobody_else() {
    let base = Case { capacity: 2, patience: 1, ..STOPPING };
    let revoked = Case { senders: 2, messages: 1, senders_fall: true, ..base };
    explore(Case { name: "2 to 1, sender stopped", ..revoked }).assert_holds();
    let passed = Case { receivers: 2, messages: 1, receivers_fall: true, ..base };
    explore(Case { name: "1 to 2, receiver stopped", ..passed }).assert_holds();
}

#[test]
fn a_wake_that_led_to_nothing_is_passed_on() {
    let base = Case { senders: 2, receivers: 2, messages: 1, each_receives: 1, ..Case::PLAIN };
    explore(Case { name: "2 to 2, one message each", capacity: 2, ..base }).assert_holds();
}

#[test]
fn stores_that_wait_in_buffers_change_nothing() {
    let base = Case { tso: true, ..WHOLE };
    explore(Case { name: "1 to 1, buffered", ..base }).assert_holds();
    explore(Case { name: "1 to 1, capacity 2, buffered", capacity: 2, ..base }).assert_holds();
}

#[test]
#[ignore = "tens of minutes, and 10 GiB of memory"]
fn larger_channels_hold_as_far_as_they_were_explored() {
    let base = Case { receivers: 2, messages: 1, recoverers: 2, deaths: 2, ..Case::PLAIN };
    let two = Case { capacity: 2, receivers_fall: true, recoverers_fall: true, ..base };
    let stopped = Case { capacity: 2, receivers: 2, messages: 2, receivers_fall: true, ..STOPPING };
    let both = Case { senders: 2, messages: 1, senders_fall: true, ..DEADLY };
    for case in [
        Case { name: "1 to 2, receiver and recoverer killed", ..two },
        Case { name: "1 to 2, receiver stopped, two messages", ..stopped },
        Case { name: "2 to 1, sender killed", ..both },
        Case { name: "2 to 1, two messages", senders: 2, messages: 2, ..Case::PLAIN },
    ] {
        let report = explore(Case { bound: 100_000_000, ..case });
        assert!(report.violation.is_none() && report.error.is_none(), "{report}");
    }
}
