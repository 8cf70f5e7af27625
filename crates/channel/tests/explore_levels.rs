//! Two priority levels of one slot each over a capacity of one or two: what must hold in every interleaving.
//!
//! Besides what holds for one level: at no publish are there more messages than the capacity, and nobody waits for ever
//! for room that is there.
#![cfg(weyr_face = "explore")]

mod explored;

use explored::{Case, explore};

const LEVELS: Case = Case { levels: 2, ..Case::PLAIN };
/// One user may be killed, and one recoverer sees to it.
const DEADLY: Case = Case { recoverers: 1, deaths: 1, ..LEVELS };

#[test]
fn the_levels_share_their_capacity_and_nobody_waits_for_ever() {
    explore(Case { name: "two levels, 1 to 1", messages: 3, hints: true, ..LEVELS }).assert_holds();
    explore(Case { name: "two levels, 2 to 1", senders: 2, messages: 1, ..LEVELS }).assert_holds();
    explore(Case { name: "two levels, 1 to 2", receivers: 2, messages: 2, ..LEVELS }).assert_holds();
    let wider = Case { capacity: 2, ..LEVELS };
    explore(Case { name: "two levels, 1 to 1, capacity 2", messages: 3, ..wider }).assert_holds();
    explore(Case { name: "two levels, 2 to 1, capacity 2", senders: 2, messages: 1, ..wider }).assert_holds();
}

#[test]
fn slow_senders_lose_their_turn_at_either_level() {
    let slow = Case { patience: 1, ..LEVELS };
    explore(Case { name: "two levels, 1 to 1, slow", messages: 2, ..slow }).assert_holds();
    explore(Case { name: "two levels, 2 to 1, slow", senders: 2, messages: 1, ..slow }).assert_holds();
}

#[test]
fn a_sender_may_die_between_reservation_and_message() {
    let base = Case { senders_fall: true, ..DEADLY };
    explore(Case { name: "two levels, 1 to 1, sender killed", messages: 2, ..base }).assert_holds();
    explore(Case { name: "two levels, 2 to 1, sender killed", senders: 2, messages: 1, ..base })
        .assert_holds();
}

#[test]
fn a_receiver_may_die_with_the_message_of_either_level() {
    let base = Case { receivers: 2, messages: 1, receivers_fall: true, ..DEADLY };
    explore(Case { name: "two levels, 1 to 2, receiver killed", ..base }).assert_holds();
}

#[test]
fn who_is_hindered_needs_no_recoverer() {
    let base = Case { senders: 2, messages: 1, deaths: 1, senders_fall: true, slices: true, ..LEVELS };
    explore(Case { name: "two levels, 2 to 1, sender killed, nobody recovers", ..base }).assert_holds();
}

#[test]
fn a_stopped_sender_keeps_room_from_nobody() {
    let base = Case { senders: 2, messages: 1, stops: 1, senders_fall: true, slices: true, ..LEVELS };
    explore(Case { name: "two levels, 2 to 1, sender stopped", patience: 2, ..base }).assert_holds();
}
