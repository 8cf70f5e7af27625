//! What must hold in every interleaving of small channels, with deaths and stops.
#![cfg(weyr_face = "explore")]

mod explored;

use explored::{COUNTED, Case, explore, explore_so_far};

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
    explore(Case { name: "1 to 2", receivers: 2, capacity: 2, ..WHOLE }).assert_holds();
    explore(Case { name: "1 to 1", messages: 4, capacity: 3, ..WHOLE }).assert_holds();
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
    explore(Case { name: "1 to 1, slow", messages: 4, capacity: 3, patience: 2, ..WHOLE }).assert_holds();
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
    explore(Case { name: "1 to 1, buffered", capacity: 2, ..base }).assert_holds();
}

#[test]
fn more_messages_go_through_larger_channels() {
    for capacity in [1, 2] {
        let base = Case { capacity, ..WHOLE };
        explore_so_far(Case { name: "1 to 2, three messages", receivers: 2, messages: 3, ..base });
        explore_so_far(Case { name: "2 to 1, two messages", senders: 2, messages: 2, ..base });
    }
}

#[test]
fn much_patience_runs_out_and_nothing_is_lost() {
    for capacity in [1, 2] {
        let base = Case { capacity, patience: 2, ..WHOLE };
        explore_so_far(Case { name: "1 to 1, four times slow", messages: 4, patience: 4, ..base });
        explore_so_far(Case { name: "2 to 1, twice slow", senders: 2, messages: 1, ..base });
        explore_so_far(Case { name: "1 to 2, three times slow", receivers: 2, patience: 3, ..base });
    }
}

#[test]
fn anybody_may_die_while_others_are_slow() {
    for capacity in [1, 2] {
        let base = Case { capacity, patience: 2, senders_fall: true, ..DEADLY };
        let anybody = Case { receivers: 2, receivers_fall: true, messages: 1, ..base };
        explore_so_far(Case { name: "1 to 2, anybody killed, slow", ..anybody });
        explore_so_far(Case { name: "1 to 1, sender killed, twice slow", messages: 3, ..base });
    }
}

#[test]
fn a_user_of_a_larger_channel_may_die_anywhere() {
    for capacity in [1, 2] {
        let base = Case { capacity, ..DEADLY };
        explore_so_far(Case {
            name: "2 to 1, sender killed",
            senders: 2,
            messages: 1,
            senders_fall: true,
            ..base
        });
        let base = Case { receivers: 2, receivers_fall: true, ..base };
        explore_so_far(Case { name: "1 to 2, receiver killed, two messages", ..base });
        let two = Case { recoverers: 2, deaths: 2, recoverers_fall: true, messages: 1, ..base };
        explore_so_far(Case { name: "1 to 2, receiver and recoverer killed", ..two });
    }
}

#[test]
fn a_user_of_a_channel_of_three_may_die_anywhere() {
    let base = Case { capacity: 3, patience: 1, ..DEADLY };
    let sender = Case { senders_fall: true, ..base };
    explore_so_far(Case { name: "1 to 1, sender killed, slow", messages: 4, patience: 2, ..sender });
    explore_so_far(Case { name: "2 to 1, sender killed, slow", senders: 2, messages: 1, ..sender });
    let receiver = Case { receivers: 2, receivers_fall: true, ..base };
    explore_so_far(Case { name: "1 to 2, receiver killed, slow", ..receiver });
}

#[test]
fn a_stopped_user_of_a_larger_channel_stops_nobody_else() {
    for capacity in [1, 2] {
        let base = Case { capacity, ..STOPPING };
        let sender = Case { senders: 2, messages: 1, senders_fall: true, ..base };
        explore_so_far(Case { name: "2 to 1, sender stopped, twice slow", ..sender });
        let receiver = Case { receivers: 2, receivers_fall: true, ..base };
        explore_so_far(Case { name: "1 to 2, receiver stopped, two messages", ..receiver });
        explore_so_far(Case { name: "1 to 2, receiver stopped, three messages", messages: 3, ..receiver });
    }
    let base = Case { patience: 0, ..STOPPING };
    let receiver = Case { receivers: 2, messages: 1, receivers_fall: true, ..base };
    explore_so_far(Case { name: "1 to 2, receiver stopped, endless patience", ..receiver });
}

/// What the count of messages given back does without the net under it; see `MarkedBeforeSearch` for the opposite.
#[test]
fn the_count_of_messages_given_back_needs_no_inspection() {
    explore_so_far(Case { name: "1 to 3, one killed, one stopped, no inspection", ..COUNTED });
}
