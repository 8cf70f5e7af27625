//! What the models of small channels find when a step is left out: without this a model that holds proves nothing.
#![cfg(weyr_face = "explore")]

mod explored;

use explored::{Case, explore};
use weyr_shared::fault::Fault;

fn found(case: Case, fault: Fault, message: &str) {
    explore(Case { name: "with a fault", fault: Some(fault), ..case }).assert_violated(message);
}

#[test]
fn disarming_without_a_second_wake_is_found() {
    let case = Case { receivers: 2, messages: 2, ..Case::PLAIN };
    found(case, Fault::NoSecondWake, "lost");
}

#[test]
fn sleeping_without_a_second_look_is_found() {
    found(Case { messages: 1, ..Case::PLAIN }, Fault::SleepWithoutSecondLook, "lost");
}

#[test]
fn a_repair_that_wakes_nobody_is_found() {
    let case = Case { deaths: 1, recoverers: 1, senders_fall: true, ..Case::PLAIN };
    found(case, Fault::RepairWakesNobody, "lost");
}

#[test]
fn a_repair_that_counts_nothing_is_found() {
    let case =
        Case { deaths: 1, recoverers: 1, receivers: 2, receivers_fall: true, messages: 1, ..Case::PLAIN };
    found(case, Fault::RepairCountsNothing, "lost");
}

#[test]
fn a_wake_that_is_not_passed_on_is_found() {
    let base = Case { senders: 2, receivers: 2, messages: 1, each_receives: 1, ..Case::PLAIN };
    found(Case { capacity: 2, ..base }, Fault::NothingPassedOn, "a receiver waits for ever");
}

#[test]
fn an_armed_bit_taken_for_ones_own_is_found() {
    let base = Case { senders: 2, receivers: 2, messages: 1, each_receives: 1, ..Case::PLAIN };
    found(Case { capacity: 2, ..base }, Fault::DisarmKeepsSequence, "a receiver waits for ever");
}

#[test]
fn a_stopped_sender_stops_the_others_if_it_is_not_revoked() {
    let base = Case { senders: 2, messages: 1, stops: 1, senders_fall: true, ..Case::PLAIN };
    explore(Case { name: "no revocation", capacity: 2, ..base }).assert_violated("lost");
}

#[test]
fn a_stopped_sender_stops_the_others_if_sleeps_have_no_end() {
    let base = Case { senders: 2, messages: 1, stops: 1, patience: 2, senders_fall: true, ..Case::PLAIN };
    explore(Case { name: "no slices", capacity: 2, ..base }).assert_violated("lost");
}
