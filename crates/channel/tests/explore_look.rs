//! Polling, peeking, waiting in sets, and locks, in every interleaving with those who send, take, revoke, die and recover.
#![cfg(weyr_face = "explore")]

mod explored;

use explored::{Case, Locker, explore, explore_so_far, full};
use weyr_channel::PollEvents;
use weyr_shared::fault::Fault;

const IN: PollEvents = PollEvents::IN;
const OUT: PollEvents = PollEvents::OUT;
const EMPTY: PollEvents = PollEvents::EMPTY;
const FULL: PollEvents = PollEvents::FULL;

/// Messages come, and nobody takes them.
const ARRIVING: Case = Case { receivers: 0, messages: 1, ..Case::PLAIN };
/// One receiver takes each, and another who looks is there.
const LOOKED_AT: Case = Case { torn: true, peekers: 1, ..Case::PLAIN };

#[test]
fn pollers_find_what_comes_and_nobody_loses_a_wake_to_them() {
    explore(Case { name: "one for a message", pollers: &[IN], ..ARRIVING }).assert_holds();
    explore(Case { name: "two for a message", pollers: &[IN, IN], ..ARRIVING }).assert_holds();
    explore(Case { name: "one for a full channel", pollers: &[FULL], ..ARRIVING }).assert_holds();
    let two = Case { capacity: 2, messages: 2, ..ARRIVING };
    explore(Case { name: "one for a full channel of two", pollers: &[FULL], ..two }).assert_holds();
    let with_receiver = Case { messages: 1, ..Case::PLAIN };
    for pollers in [&[IN][..], &[FULL], &[OUT], &[EMPTY]] {
        explore(Case { name: "one beside a receiver", pollers, ..with_receiver }).assert_holds();
    }
    let full = Case { messages: 2, each_receives: 1, ..Case::PLAIN };
    explore(Case { name: "one for room in a full channel", pollers: &[OUT], ..full }).assert_holds();
    let several: &[PollEvents] = const { &[IN.or(FULL)] };
    explore(Case { name: "one for several things", pollers: several, ..with_receiver }).assert_holds();
}

#[test]
fn polls_and_looks_hold_beside_more_messages() {
    let two = Case { messages: 2, ..Case::PLAIN };
    for pollers in [&[IN][..], &[FULL], &[OUT], &[EMPTY]] {
        explore_so_far(Case { name: "one beside a receiver of two", pollers, ..two });
    }
    let hinted = Case { messages: 3, hints: true, ..LOOKED_AT };
    explore_so_far(Case { name: "a look beside a receiver, three messages", ..hinted });
}

#[test]
fn pollers_outlive_the_death_of_a_sender() {
    let case = Case { recoverers: 1, deaths: 1, senders_fall: true, ..ARRIVING };
    explore(Case { name: "one for a message, sender killed", pollers: &[IN], ..case }).assert_holds();
    let two = Case { senders: 2, capacity: 2, slices: true, recoverers: 0, ..case };
    explore(Case { name: "one for a message, nobody recovers", pollers: &[IN], ..two }).assert_holds();
}

#[test]
fn polls_hold_with_stores_in_buffers() {
    explore(Case { name: "one for a message, buffered", pollers: &[IN], tso: true, ..ARRIVING })
        .assert_holds();
}

#[test]
fn what_is_peeked_at_was_sent_and_is_whole() {
    for capacity in [1, 2] {
        let base = Case { capacity, ..LOOKED_AT };
        explore(Case { name: "a look beside a receiver", ..base }).assert_holds();
    }
    explore(Case { name: "a look, with hints", hints: true, ..LOOKED_AT }).assert_holds();
    let one = Case { messages: 1, ..LOOKED_AT };
    explore(Case { name: "a look beside a revocation", patience: 1, ..one }).assert_holds();
    explore(Case { name: "a look beside a lease", lease: true, ..one }).assert_holds();
    explore(Case { name: "two looks", peekers: 2, ..one }).assert_holds();
    let dying = Case { deaths: 1, recoverers: 1, receivers_fall: true, ..one };
    explore(Case { name: "a look beside a dying receiver", ..dying }).assert_holds();
    explore(Case { name: "a look, buffered", tso: true, ..one }).assert_holds();
}

fn found(case: Case, faults: &'static [Fault], message: &str) {
    explore(Case { name: "with a fault", faults, ..case }).assert_violated(message);
}

#[test]
fn a_signal_that_forgets_who_looks_on_is_found() {
    found(Case { pollers: &[IN], ..ARRIVING }, &[Fault::OnlookersForgotten], "a poller");
}

#[test]
fn a_signal_that_wakes_one_of_two_who_look_on_is_found() {
    found(Case { pollers: &[IN, IN], ..ARRIVING }, &[Fault::OneWakeForAll], "a poller");
}

#[test]
fn a_poll_that_sleeps_without_a_second_look_is_found() {
    found(Case { pollers: &[IN], ..ARRIVING }, &[Fault::SleepWithoutSecondLook], "a poller");
}

#[test]
fn a_look_that_is_not_confirmed_is_found() {
    found(LOOKED_AT, &[Fault::PeekWithoutSecondLook], "never sent");
}

/// A receiver waits in a set.
const BY_SET: Case = Case { by_set: true, messages: 1, ..Case::PLAIN };

#[test]
fn sets_hear_what_comes_and_goes() {
    explore(Case { name: "a set for a message", sets: &[IN], ..ARRIVING }).assert_holds();
    explore(Case { name: "two sets for a message", sets: &[IN, IN], ..ARRIVING }).assert_holds();
    let full = Case { messages: 2, each_receives: 1, ..Case::PLAIN };
    for sets in [&[OUT][..], &[EMPTY]] {
        explore_so_far(Case { name: "a set beside a receiver", sets, ..full });
    }
}

#[test]
fn who_receives_by_a_set_gets_every_message() {
    explore(BY_SET).assert_holds();
    explore(Case { name: "by set, two messages", messages: 2, ..BY_SET }).assert_holds();
    explore(Case { name: "by set, a channel of two", messages: 2, capacity: 2, ..BY_SET }).assert_holds();
    explore(Case { name: "by set, buffered", tso: true, ..BY_SET }).assert_holds();
    explore_so_far(Case { name: "by set, two receivers", receivers: 2, ..BY_SET });
    explore_so_far(Case { name: "by set, two senders", senders: 2, capacity: 2, ..BY_SET });
}

#[test]
fn nobody_loses_a_wake_to_a_set() {
    let beside = Case { sets: &[IN], messages: 1, ..Case::PLAIN };
    explore_so_far(Case { name: "a set beside a sleeping receiver", ..beside });
    explore_so_far(Case { name: "a set beside a poller", sets: &[IN], pollers: &[IN], ..ARRIVING });
}

#[test]
fn sets_outlive_the_death_of_who_would_have_told_them() {
    let recovered = Case { recoverers: 1, deaths: 1, senders_fall: true, sets: &[IN], ..ARRIVING };
    explore(Case { name: "a set, sender killed", ..recovered }).assert_holds();
    let doubting = Case { recoverers: 0, slices: true, ..recovered };
    explore(Case { name: "a set, sender killed, nobody recovers", ..doubting }).assert_holds();
    let stopped = Case { deaths: 0, stops: 1, ..doubting };
    explore(Case { name: "a set, sender stopped", ..stopped }).assert_holds();
    let receivers = Case { receivers: 2, receivers_fall: true, deaths: 1, slices: true, ..BY_SET };
    explore_so_far(Case { name: "by set, a receiver killed", ..receivers });
}

#[test]
fn a_bit_that_is_taken_without_telling_is_found() {
    found(Case { sets: &[IN], ..ARRIVING }, &[Fault::ListenersUntold], "a set");
}

#[test]
fn a_set_that_looks_before_it_listens_is_found() {
    found(Case { sets: &[IN], ..ARRIVING }, &[Fault::LookBeforeListening], "a set");
}

#[test]
fn a_raise_that_tells_nobody_is_found() {
    let dying = Case { recoverers: 1, deaths: 1, senders_fall: true, sets: &[IN], ..ARRIVING };
    found(dying, &[Fault::RaiseTellsNobody], "a set");
}

/// A sender that waits until each of its messages was received.
const AWAITED: Case = Case { receipts: true, messages: 2, ..Case::PLAIN };

/// One lease lasts while the others go on. Too large to be seen whole.
const ROUND: Case =
    Case { senders: 2, receivers: 2, capacity: 2, messages: 3, lease: true, walks: 4000, ..AWAITED };

#[test]
fn a_receipt_is_seen_and_none_is_told_of_that_was_none() {
    for capacity in [1, 2] {
        explore(Case { name: "receipts", capacity, ..AWAITED }).assert_holds();
    }
    let one = Case { messages: 1, ..AWAITED };
    explore_so_far(Case { name: "receipts of two senders", senders: 2, ..one });
    explore_so_far(Case { name: "receipts from two receivers", receivers: 2, ..one });
    explore_so_far(Case { name: "receipts, leased", lease: true, ..AWAITED });
    explore_so_far(Case { name: "receipts, buffered", tso: true, ..one });
    explore_so_far(Case { name: "a receipt beside a revocation", patience: 1, ..one });
}

#[test]
fn receipts_outlive_the_deaths_of_receivers_and_of_other_senders() {
    let dying = Case { messages: 1, deaths: 1, recoverers: 1, ..AWAITED };
    explore_so_far(Case { name: "receipts, receiver killed", receivers: 2, receivers_fall: true, ..dying });
    explore_so_far(Case { name: "receipts, sender killed", senders: 2, senders_fall: true, ..dying });
}

#[test]
fn receipts_hold_beside_leases_that_the_ring_goes_round() {
    let report = explore(Case { name: "receipts round leases", ..ROUND });
    assert!(report.violation.is_none() && report.error.is_none(), "{report}");
}

#[test]
fn a_message_that_was_gone_round_and_is_taken_for_a_later_one_is_found() {
    found(ROUND, &[Fault::LaterLapIsReceipt], "and was not");
}

/// One sends and one receives, and somebody locks.
const LOCKED: Case = Case { messages: 1, ..Case::PLAIN };

#[test]
fn no_message_enters_or_leaves_a_locked_channel() {
    let write = Case { lockers: &[Locker::Write], ..LOCKED };
    explore(Case { name: "one locks for senders", ..write }).assert_holds();
    for lockers in [&[Locker::Write][..], &[Locker::Read], &[Locker::Quiesce]] {
        for capacity in [1, 2] {
            let case = Case { capacity, lockers, ..LOCKED };
            explore_so_far(Case { name: "one locks", ..case });
            explore_so_far(Case { name: "one locks, two messages", messages: 2, ..case });
        }
        explore_so_far(Case { name: "one locks, buffered", lockers, tso: true, ..LOCKED });
        explore_so_far(Case { name: "one locks, two senders", lockers, senders: 2, capacity: 2, ..LOCKED });
        explore_so_far(Case { name: "one locks, two levels", lockers, levels: 2, ..LOCKED });
    }
}

#[test]
fn locks_exclude_each_other_and_go_with_a_quiesce() {
    use Locker::{Quiesce, Read, Write};
    for lockers in
        [&[Write, Write][..], &[Write, Read], &[Read, Read], &[Quiesce, Quiesce], &[Quiesce, Write]]
    {
        explore_so_far(Case { name: "two lock", lockers, ..LOCKED });
    }
}

#[test]
fn a_holder_of_a_lock_may_die_anywhere() {
    for lockers in [&[Locker::Write][..], &[Locker::Read], &[Locker::Quiesce]] {
        let case = Case { lockers, lockers_fall: true, deaths: 1, ..LOCKED };
        explore_so_far(Case { name: "one locks and is killed", recoverers: 1, ..case });
        explore_so_far(Case { name: "one locks and is killed, nobody recovers", slices: true, ..case });
    }
    let two = Case { lockers: &[Locker::Write, Locker::Write], lockers_fall: true, deaths: 1, ..LOCKED };
    explore_so_far(Case { name: "two lock, one is killed", recoverers: 1, ..two });
}

#[test]
fn users_may_die_while_a_channel_is_locked() {
    for lockers in [&[Locker::Write][..], &[Locker::Read], &[Locker::Quiesce]] {
        let case = Case { lockers, deaths: 1, recoverers: 1, ..LOCKED };
        explore_so_far(Case { name: "one locks, sender killed", senders_fall: true, ..case });
        let two = Case { receivers: 2, receivers_fall: true, ..case };
        explore_so_far(Case { name: "one locks, receiver killed", ..two });
    }
}

/// One sends, and there is room.
const SENDS: Case = Case { receivers: 0, messages: 1, ..Case::PLAIN };
/// One receives what waits.
const RECEIVES: Case = Case { senders: 0, waiting: 1, each_receives: 1, ..Case::PLAIN };

/// Explores a case whole: as it is, and with the death of who locks, whom somebody recovers or those whom it hinders.
fn holds_whoever_locks_and_dies(case: Case) {
    let dying = Case { lockers_fall: true, deaths: 1, ..case };
    explore(Case { name: "whole, locked", ..case }).assert_holds();
    explore(Case { name: "whole, locked, killed", recoverers: 1, ..dying }).assert_holds();
    explore(Case { name: "whole, locked, killed, nobody recovers", slices: true, ..dying }).assert_holds();
}

#[test]
fn each_lock_is_seen_whole_beside_one_user_and_with_the_death_of_its_holder() {
    for lockers in [&[Locker::Write][..], &[Locker::Read], &[Locker::Quiesce]] {
        for (user, buffered) in [(SENDS, true), (RECEIVES, true), (SENDS, false), (RECEIVES, false)] {
            holds_whoever_locks_and_dies(Case { lockers, tso: buffered, ..user });
        }
    }
}

#[test]
fn two_that_lock_are_seen_whole_and_with_the_death_of_one() {
    use Locker::{Quiesce, Read, Write};
    for lockers in [
        &[Write, Write][..],
        &[Read, Read],
        &[Quiesce, Quiesce],
        &[Quiesce, Write],
        &[Quiesce, Read],
        &[Read, Write],
    ] {
        holds_whoever_locks_and_dies(Case { lockers, senders: 0, receivers: 0, ..Case::PLAIN });
    }
}

#[test]
fn a_lock_is_seen_whole_between_a_sender_and_a_receiver() {
    let both = Case { messages: 1, each_receives: 1, ..Case::PLAIN };
    let beside = Case { capacity: 2, waiting: 1, ..both };
    let dying = |case| Case { lockers_fall: true, deaths: 1, slices: true, ..case };
    let write = |case| Case { name: "whole, a write lock between two", lockers: &[Locker::Write], ..case };
    [both, beside, dying(beside)].iter().for_each(|case| explore(write(*case)).assert_holds());
    if full() {
        let read = |case| Case { name: "whole, a read lock between two", lockers: &[Locker::Read], ..case };
        explore(write(dying(both))).assert_holds();
        [both, beside, dying(both), dying(beside)]
            .iter()
            .for_each(|case| explore(read(*case)).assert_holds());
    }
}
