//! Larger channels, in schedules that a seed draws: too many processes for all interleavings to be seen.
//!
//! `WEYR_MODEL=full` draws more; `WEYR_SEED` (a number) draws others.
#![cfg(weyr_face = "explore")]

mod explored;

use explored::{Case, explore};
use weyr_shared::fault::Fault;

/// Four to four, with hints and payload that would be seen torn.
const CROWD: Case =
    Case { senders: 4, receivers: 4, messages: 4, hints: true, torn: true, patience: 3, ..Case::PLAIN };

fn walks(short: usize) -> usize {
    if std::env::var("WEYR_MODEL").is_ok_and(|choice| choice == "full") { short * 50 } else { short }
}

fn assert_walked(case: Case) {
    let walks = walks(case.walks);
    // Those who wait for somebody stopped may go round until the schedule is left.
    let least = if case.stops > 0 { walks / 2 } else { walks };
    explore(Case { walks, ..case }).assert_walked(least);
}

#[test]
fn four_senders_and_four_receivers_lose_nothing() {
    for capacity in 2..=8 {
        assert_walked(Case { name: "4 to 4", capacity, walks: 200, ..CROWD });
    }
    assert_walked(Case { name: "4 to 4, leased", capacity: 3, lease: true, walks: 200, ..CROWD });
    assert_walked(Case { name: "4 to 4, buffered", capacity: 3, tso: true, walks: 200, ..CROWD });
}

#[test]
fn those_who_are_killed_take_no_message_with_them() {
    let all = Case { senders_fall: true, receivers_fall: true, recoverers_fall: true, ..CROWD };
    let deadly = Case { recoverers: 4, deaths: 3, walks: 200, ..all };
    for capacity in [2, 4, 8] {
        assert_walked(Case {
            name: "4 to 4, three of them or of four recoverers killed",
            capacity,
            ..deadly
        });
        assert_walked(Case { name: "the same, leased", capacity, lease: true, ..deadly });
    }
}

#[test]
fn those_who_are_stopped_stop_nobody_else() {
    let all = Case { senders_fall: true, receivers_fall: true, slices: true, ..CROWD };
    for capacity in [4, 8] {
        assert_walked(Case {
            name: "4 to 4, two stopped",
            capacity,
            stops: 2,
            patience: 12,
            walks: 40,
            ..all
        });
    }
}

#[test]
fn what_is_broken_is_found_by_chance_too() {
    let broken = Case { faults: &[Fault::SleepWithoutSecondLook], ..CROWD };
    let report = explore(Case { name: "4 to 4, no second look", capacity: 2, walks: walks(400), ..broken });
    report.assert_violated("");
}
