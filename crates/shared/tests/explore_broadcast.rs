//! Events, and groups, in every interleaving, with deaths, stops, deadlines and store buffers.
#![cfg(weyr_face = "explore")]
#![forbid(unsafe_code)]

mod grouped;
mod triggered;

use triggered::{Act, Case, explore, walk};
use weyr_shared::SyncType;
use weyr_shared::fault::Fault;

const PLAIN: Case = Case::PLAIN;
const TWO: Case = Case { waits: &[1, 1], ..PLAIN };
const ALL_OF_TWO: &[&[Act]] = &[&[Act::All { when: 2 }]];
const ONE_OF_TWO: &[&[Act]] = &[&[Act::One { when: 2 }]];
/// Each once somebody waits.
const ONE_BY_ONE: &[&[Act]] = &[&[Act::One { when: 1 }, Act::One { when: 1 }]];
/// More triggers than records.
const FOUR: &[&[Act]] = &[&[Act::One { when: 1 }; 4]];
const EACH_ONE: &[&[Act]] = &[&[Act::One { when: 1 }], &[Act::All { when: 1 }]];

fn holds(case: Case) {
    explore(case).assert_holds();
}

fn is_found(faults: &'static [Fault], case: Case) {
    explore(Case { faults, ..case }).assert_violated("");
}

#[test]
fn who_waits_is_released_and_learns_it() {
    holds(Case { name: "event, 1 waiter, all", ..PLAIN });
    holds(Case { name: "event, 2 waiters, all", acts: ALL_OF_TWO, tso: false, ..TWO });
    holds(Case { name: "event, 2 waiters, one by one", acts: ONE_BY_ONE, tso: false, ..TWO });
}

#[test]
fn a_payload_is_nobody_elses_until_it_was_read() {
    holds(Case { name: "event, a waiter twice, 2 triggers of one", waits: &[2], acts: ONE_BY_ONE, ..PLAIN });
    walk(Case {
        name: "event, a slow waiter, 4 triggers of one",
        waits: &[1, 3],
        acts: FOUR,
        tso: false,
        ..PLAIN
    });
    holds(Case { name: "event, a waiter, triggers beside each other", acts: EACH_ONE, tso: false, ..PLAIN });
}

#[test]
fn a_trigger_passes_over_the_dead() {
    let case = Case { dying_waiters: 1, tso: false, slices: true, ..TWO };
    holds(Case { name: "event, 2 waiters, one, a waiter dies", acts: ONE_OF_TWO, ..case });
    holds(Case { name: "event, 2 waiters, all, a waiter dies", acts: ALL_OF_TWO, ..case });
}

#[test]
fn a_trigger_that_dies_is_finished_or_undone() {
    let case = Case { dying_triggers: 1, slices: true, tso: false, ..TWO };
    holds(Case { name: "event, 2 waiters, all, the trigger dies", acts: ALL_OF_TWO, ..case });
    holds(Case { name: "event, 2 waiters, one by one, the trigger dies", acts: ONE_BY_ONE, ..case });
    holds(Case { name: "event, 1 waiter, the trigger dies, buffers", waits: &[1], tso: true, ..case });
}

#[test]
fn one_that_stands_still_is_waited_for_by_nobody() {
    let case = Case { stops: 1, slices: true, tso: false, ..PLAIN };
    holds(Case { name: "event, a waiter, 2 triggers, a stop", acts: EACH_ONE, ..case });
}

#[test]
fn who_gives_up_takes_what_was_given_in_the_last_moment() {
    holds(Case { name: "event, 1 waiter, a deadline", deadline: true, ..PLAIN });
}

#[test]
fn a_synchronised_trigger_counts_the_living() {
    let case = Case { sync: SyncType::With(2), acts: &[&[Act::All { when: 0 }]], tso: false, ..TWO };
    holds(Case { name: "event, synchronised with 2", ..case });
    holds(Case { name: "event, synchronised with 2, one dies", dying_waiters: 1, ..case });
}

#[test]
fn who_comes_while_the_event_is_destroyed_does_not_wait_for_ever() {
    holds(Case { name: "event, destroyed", acts: &[&[Act::Destroy]], ..PLAIN });
    let of_two: &[&[Act]] = &[&[Act::Destroy]];
    holds(Case { name: "event, 2 waiters, destroyed", acts: of_two, tso: false, ..TWO });
    holds(Case { name: "event, reset", acts: &[&[Act::Reset { when: 1 }]], ..PLAIN });
}

/// What each step is there for: without it, something is found.
#[test]
fn a_step_left_out_is_found() {
    is_found(&[Fault::ReleasedUnsignalled], Case { name: "event, released unsignalled", ..PLAIN });
    let slow = Case { waits: &[1, 3], acts: FOUR, tso: false, ..PLAIN };
    is_found(&[Fault::FreedBeforeRead], Case { name: "event, freed before read", ..slow });
    is_found(&[Fault::RecordTakenBlindly], Case { name: "event, record taken blindly", ..slow });
    let sync = Case { sync: SyncType::With(2), acts: &[&[Act::All { when: 0 }]], ..TWO };
    let sync = Case { dying_waiters: 1, tso: false, ..sync };
    is_found(&[Fault::CountsTheDead], Case { name: "event, the dead are counted", ..sync });
    let deadline = Case { name: "event, leaves without a look", deadline: true, ..PLAIN };
    is_found(&[Fault::LeavesWithoutLook], deadline);
    let dies = Case { dying_triggers: 1, slices: true, tso: false, acts: ALL_OF_TWO, ..TWO };
    is_found(&[Fault::DeadTriggerLeft], Case { name: "event, a dead trigger is left", ..dies });
}

const GROUP: grouped::Case = grouped::Case::PLAIN;

#[test]
fn a_group_reads_what_was_given_in_its_round_and_nobody_is_stuck() {
    use grouped::{Case, explore};
    explore(Case { name: "group, 2 members, 3 rounds", rounds: 3, ..GROUP }).assert_holds();
    let rounds = if grouped::is_full() { 2 } else { 1 };
    let three = Case { members: 3, rounds, tso: false, ..GROUP };
    explore(Case { name: "group, 3 members", ..three }).assert_holds();
}

#[test]
fn a_death_in_a_group_is_told_to_all_or_costs_nothing() {
    use grouped::{Case, explore};
    let death = Case { deaths: 1, ..GROUP };
    explore(Case { name: "group, 2 members, 2 rounds, a death", ..death }).assert_holds();
    let three = Case { members: 3, rounds: 1, tso: false, ..death };
    explore(Case { name: "group, 3 members, a round, a death", ..three }).assert_holds();
}

#[test]
fn a_group_that_is_begun_anew_takes_nothing_of_before() {
    use grouped::{Case, explore};
    let resets = Case { resets: 1, ..GROUP };
    explore(Case { name: "group, 2 members, begun anew", ..resets }).assert_holds();
    let across = Case { name: "group, reads across generations", ..resets };
    explore(Case { faults: &[Fault::ReadsAcrossGenerations], ..across }).assert_violated("");
    let early = Case { name: "group, announces before its call", ..GROUP };
    explore(Case { faults: &[Fault::AnnouncesBeforeCall], ..early }).assert_violated("");
}

#[test]
fn of_two_that_begin_anew_the_late_one_frees_nobody_of_the_next_generation() {
    use grouped::{Case, explore};
    let two = Case { resets: 2, deaths: 1, rounds: 1, at_once: true, ..GROUP };
    explore(Case { name: "group, two begin anew, a death", ..two }).assert_holds();
    let later = Case { at_once: false, tso: false, ..two };
    explore(Case { name: "group, two begin anew behind a round, a death", ..later }).assert_holds();
    let frees = Case { name: "group, frees across generations", ..two };
    explore(Case { faults: &[Fault::FreesAcrossGenerations], ..frees }).assert_violated("");
}

#[test]
fn who_takes_a_rank_over_takes_part_from_the_start_of_a_generation_or_tells_that_it_does_not() {
    use grouped::{Case, explore};
    let over = Case { resets: 1, deaths: 1, rounds: 1, at_once: true, successor: true, tso: false, ..GROUP };
    explore(Case { name: "group, a rank taken over", ..over }).assert_holds();
    let early = Case { name: "group, judged by an earlier generation", ..over };
    explore(Case { faults: &[Fault::JoinsByEarlierGeneration], ..early })
        .assert_violated("goes on for another");
}
