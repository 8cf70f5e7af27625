//! What the models of small channels find when a step is left out: without this a model that holds proves nothing.
#![cfg(weyr_face = "explore")]

mod explored;

use explored::{COUNTED, Case, Locker, found, found_as_one_of};
use weyr_shared::fault::Fault;

fn with(faults: &'static [Fault], case: Case, message: &str) {
    found(Case { name: "with a fault", faults, ..case }, message);
}

#[test]
fn disarming_without_a_second_wake_is_found() {
    let case = Case { receivers: 2, messages: 2, ..Case::PLAIN };
    with(&[Fault::NoSecondWake], case, "lost");
}

#[test]
fn sleeping_without_a_second_look_is_found() {
    with(&[Fault::SleepWithoutSecondLook], Case { messages: 1, ..Case::PLAIN }, "lost");
}

#[test]
fn a_repair_that_wakes_nobody_is_found() {
    let case = Case { deaths: 1, recoverers: 1, senders_fall: true, ..Case::PLAIN };
    with(&[Fault::RepairWakesNobody], case, "lost");
}

#[test]
fn a_repair_that_counts_nothing_is_found() {
    let case =
        Case { deaths: 1, recoverers: 1, receivers: 2, receivers_fall: true, messages: 1, ..Case::PLAIN };
    with(&[Fault::RepairCountsNothing], case, "lost");
}

#[test]
fn a_wake_that_is_not_passed_on_is_found() {
    let base = Case { senders: 2, receivers: 2, messages: 1, each_receives: 1, ..Case::PLAIN };
    with(&[Fault::NothingPassedOn], Case { capacity: 2, ..base }, "a receiver waits for ever");
}

#[test]
fn an_armed_bit_taken_for_ones_own_is_found() {
    let base = Case { senders: 2, receivers: 2, messages: 1, each_receives: 1, ..Case::PLAIN };
    with(&[Fault::DisarmKeepsSequence], Case { capacity: 2, ..base }, "a receiver waits for ever");
}

#[test]
fn a_stopped_sender_stops_the_others_if_it_is_not_revoked() {
    let base = Case { senders: 2, messages: 1, stops: 1, senders_fall: true, ..Case::PLAIN };
    found(Case { name: "no revocation", capacity: 2, ..base }, "lost");
}

#[test]
fn a_stopped_sender_stops_the_others_if_sleeps_have_no_end() {
    let base = Case { senders: 2, messages: 1, stops: 1, patience: 2, senders_fall: true, ..Case::PLAIN };
    found(Case { name: "no slices", capacity: 2, ..base }, "lost");
}

#[test]
fn a_stopped_receiver_stops_the_others_if_they_do_not_go_round() {
    let base =
        Case { receivers: 2, messages: 3, stops: 1, receivers_fall: true, slices: true, ..Case::PLAIN };
    found(Case { name: "no going round", capacity: 2, ..base }, "a sender waits for ever");
}

#[test]
fn a_receiver_that_follows_like_a_sender_is_found() {
    let base = Case { receivers: 3, messages: 4, each_receives: 1, lease: true, ..Case::PLAIN };
    with(&[Fault::HeadFollowsLikeTail], Case { capacity: 3, ..base }, "overtaken");
}

#[test]
fn a_count_raised_before_the_message_is_back_is_found() {
    let case =
        Case { deaths: 1, recoverers: 1, receivers: 2, receivers_fall: true, messages: 1, ..Case::PLAIN };
    with(&[Fault::CountedBeforeReturned], case, "lost");
}

#[test]
fn a_count_that_is_as_good_as_a_bit_is_found() {
    with(&[Fault::NoInspection, Fault::MarkedBeforeSearch], COUNTED, "lost");
}

/// One message is given back by a repair; the sender of the others goes round it while a receiver searches.
const PASSED: Case = Case {
    receivers: 2,
    messages: 3,
    lease: true,
    deaths: 1,
    recoverers: 1,
    receivers_fall: true,
    ..Case::PLAIN
};

#[test]
fn a_search_that_leaves_a_slot_gone_round_is_found() {
    with(&[Fault::SearchLeavesSlotPassed], Case { capacity: 2, ..PASSED }, "lost");
}

#[test]
fn a_message_given_back_to_the_next_lap_is_found() {
    let base =
        Case { deaths: 1, recoverers: 1, receivers_fall: true, senders: 2, messages: 1, ..Case::PLAIN };
    with(&[Fault::ReturnedTakesNextLap], Case { capacity: 2, ..base }, "lap of a slot");
}

#[test]
fn a_slot_released_by_a_store_is_found() {
    let case = Case { capacity: 2, receivers: 2, messages: 3, lease: true, ..Case::PLAIN };
    let case = Case { name: "with a fault", faults: &[Fault::ReleasedByStore], ..case };
    // A slot that others went round goes back in its lap: one waits for it for ever, or finds the lap impossible.
    found_as_one_of(case, &["lost", "lap of a slot"]);
}

#[test]
fn a_lock_that_is_not_announced_or_not_looked_for_is_found() {
    let write = Case { lockers: &[Locker::Write], receivers: 0, messages: 1, ..Case::PLAIN };
    with(&[Fault::LockUnannounced], write, "entered a locked channel");
    with(&[Fault::ClaimLooksNotAgain], write, "entered a locked channel");
    with(&[Fault::LockLooksAtNoSlot], write, "entered a locked channel");
    let rest = Case { lockers: &[Locker::Quiesce], ..write };
    with(&[Fault::ClaimLooksNotAgain], rest, "entered a locked channel");
    let read = Case { lockers: &[Locker::Read], receivers: 1, each_receives: 1, ..write };
    with(&[Fault::ClaimLooksNotAgain], read, "left a locked channel");
    with(&[Fault::LockLooksAtNoSlot], read, "left a locked channel");
}
