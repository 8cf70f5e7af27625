//! Two priority levels of one slot each over a capacity of one or two: what must hold in every interleaving.
//!
//! Besides what holds for one level: at no publish are there more messages than the capacity, and nobody waits for ever
//! for room that is there.
#![cfg(weyr_face = "explore")]

mod explored;

use explored::{Case, explore, explore_so_far, found};
use weyr_shared::fault::Fault;

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
fn a_slow_sender_loses_its_turn_at_either_level() {
    explore(Case { name: "two levels, 1 to 1, slow", patience: 1, ..LEVELS }).assert_holds();
}

#[test]
fn a_sender_may_die_between_reservation_and_message() {
    let base = Case { senders_fall: true, ..DEADLY };
    explore(Case { name: "two levels, 1 to 1, sender killed", ..base }).assert_holds();
}

#[test]
fn a_receiver_may_die_with_the_message_of_either_level() {
    let base = Case { receivers: 2, messages: 1, receivers_fall: true, ..DEADLY };
    explore(Case { name: "two levels, 1 to 2, receiver killed", ..base }).assert_holds();
}

#[test]
#[ignore = "tens of minutes, and many GiB of memory"]
fn two_senders_of_which_one_falls_hold_as_far_as_they_were_explored() {
    let two = Case { senders: 2, messages: 1, senders_fall: true, ..LEVELS };
    let killed = Case { deaths: 1, ..two };
    let stopped = Case { stops: 1, patience: 2, slices: true, ..two };
    for case in [
        Case { name: "two levels, 2 to 1, sender killed", recoverers: 1, ..killed },
        Case { name: "two levels, 2 to 1, sender killed, nobody recovers", slices: true, ..killed },
        Case { name: "two levels, 2 to 1, slow", patience: 1, senders_fall: false, ..two },
        Case { name: "two levels, 2 to 1, sender stopped", ..stopped },
    ] {
        let report = explore(Case { bound: 40_000_000, ..case });
        assert!(report.violation.is_none() && report.error.is_none(), "{report}");
    }
}

/// Two senders at one level that has room for both: what one sends lies behind what the other has reserved.
const BESIDE: Case =
    Case { lowest: true, capacity: 2, senders: 2, messages: 1, senders_fall: true, ..DEADLY };

#[test]
fn a_reservation_of_the_dead_is_over_for_those_who_sent_behind_it() {
    explore_so_far(Case { name: "two levels, both at the lower, sender killed", ..BESIDE });
    let faults = &[Fault::ReservedStaysInLap];
    found(Case { name: "a reservation ends in its lap", faults, ..BESIDE }, "lost");
}

/// Three to two over two levels, in schedules that a seed draws: see `explore_walk`.
const CROWD: Case =
    Case { senders: 3, receivers: 2, messages: 4, torn: true, hints: true, walks: 2000, ..LEVELS };

fn assert_walked(case: Case) {
    // Those who wait for somebody stopped may go round until the schedule is left.
    let least = if case.stops > 0 { case.walks / 2 } else { case.walks };
    explore(case).assert_walked(least);
}

#[test]
fn a_crowd_at_two_levels_loses_nothing_whoever_dies_or_stops() {
    for (capacity, lowest) in [(1, false), (2, false), (4, false), (2, true)] {
        let crowd = Case { capacity, lowest, patience: 3, ..CROWD };
        assert_walked(Case { name: "two levels, 3 to 2", ..crowd });
        let falling = Case { senders_fall: true, receivers_fall: true, ..crowd };
        let killed = Case { recoverers: 2, deaths: 2, ..falling };
        assert_walked(Case { name: "two levels, 3 to 2, two killed", ..killed });
        assert_walked(Case { name: "two levels, 3 to 2, two killed, leased", lease: true, ..killed });
        let hindered = Case { deaths: 1, slices: true, ..falling };
        assert_walked(Case { name: "two levels, 3 to 2, killed, nobody recovers", ..hindered });
    }
    let stopped = Case { stops: 1, patience: 12, slices: true, walks: 60, ..CROWD };
    let stopped = Case { capacity: 4, senders_fall: true, ..stopped };
    assert_walked(Case { name: "two levels, 3 to 2, sender stopped", ..stopped });
}
