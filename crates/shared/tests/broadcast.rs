//! What waiting for an event and triggering it come to, with the living and the dead.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod attended;
mod fenced;

use std::thread;
use std::time::{Duration, Instant};

use attended::{Deaths, assert_empty, event, until_waiting};
use fenced::Fenced;
use weyr_shared::{
    Broadcast, BroadcastAttributes, BroadcastError, Corrupt, Registration, SyncType, Triggered, WaitMode,
};

const MODES: [WaitMode; 3] = [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle];

fn attributes() -> BroadcastAttributes {
    BroadcastAttributes::new().max_payload(64).max_waiters(4).max_spinners(2).max_triggers(2)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(1)
}

fn late() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

const fn released(released: u64) -> Result<Triggered, BroadcastError> {
    Ok(Triggered { released, dead: 0 })
}

#[test]
fn all_who_wait_are_released_with_the_payload_in_each_mode() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    for mode in MODES {
        thread::scope(|scope| {
            let waiters: Vec<_> = (1..=4)
                .map(|number| (deaths.user(number), event.clone()))
                .map(|(user, event)| scope.spawn(move || event.wait(&user, mode)))
                .collect();
            until_waiting(&event, 4);
            assert_eq!(event.trigger_all(&deaths.user(9), b"all of you"), released(4));
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap().unwrap(), b"all of you");
            }
        });
        assert_empty(&event);
    }
}

#[test]
fn one_or_some_are_released_who_has_waited_longest_first() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let users: Vec<_> = (1..=4).map(|number| deaths.user(number)).collect();
    let me = deaths.user(9);
    let mut waiters: Vec<_> =
        users.iter().map(|user| event.register(user, WaitMode::Idle).unwrap()).collect();
    // The first leaves and comes again: it is the last now, in the place of the first.
    assert_eq!(waiters.remove(0).leave().unwrap(), None);
    waiters.push(event.register(&users[0], WaitMode::Idle).unwrap());
    let who = |waiters: &[Registration<'_, _>]| {
        waiters.iter().map(|waiter| waiter.is_released().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(event.trigger_one(&me, b"one"), released(1));
    assert_eq!(who(&waiters), [true, false, false, false]);
    assert_eq!(event.trigger_some(&me, 2, b"two"), released(2));
    assert_eq!(who(&waiters), [true, true, true, false]);
    assert_eq!(event.trigger_some(&me, 7, b"rest"), released(1));
    let got: Vec<_> = waiters.into_iter().map(|waiter| waiter.wait().unwrap()).collect();
    assert_eq!(got, [&b"one"[..], b"two", b"two", b"rest"]);
    assert_empty(&event);
}

#[test]
fn a_trigger_without_waiters_says_whether_a_payload_was_lost() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let me = deaths.user(1);
    assert_eq!(event.trigger_all(&me, b"lost"), Err(BroadcastError::NoWaiters));
    assert_eq!(event.trigger_one(&me, b""), Err(BroadcastError::NoWaitersNonCritical));
    assert_eq!(event.trigger_some(&me, 0, b""), Err(BroadcastError::InvalidCount));
    let given = BroadcastError::PayloadTooLarge { given: 65, limit: 64 };
    assert_eq!(event.trigger_all(&me, &[0; 65]), Err(given));
    assert_empty(&event);
}

#[test]
fn payloads_of_any_length_arrive_whole() {
    let (deaths, (memory, event)) = (Deaths::default(), event(attributes().max_payload(61)));
    let (me, other) = (deaths.user(1), deaths.user(2));
    for length in 0..=61_u8 {
        let payload: Vec<u8> = (1..=length).collect();
        let waiter = event.register(&other, WaitMode::Idle).unwrap();
        event.trigger_all(&me, &payload).unwrap();
        assert_eq!(waiter.wait().unwrap(), payload);
    }
    memory.assert_fences();
    assert_empty(&event);
}

/// Whoever reads late: no trigger waits for it, and none touches what it has to read.
#[test]
fn a_trigger_waits_for_nobody_who_was_released_before() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let users: Vec<_> = (1..=4).map(|number| deaths.user(number)).collect();
    let me = deaths.user(9);
    let mut late = Vec::new();
    for (number, user) in users.iter().enumerate() {
        late.push(event.register(user, WaitMode::Idle).unwrap());
        assert_eq!(event.trigger_all(&me, &[number as u8; 40]), released(1));
    }
    let full = BroadcastError::Full { limit: 4 };
    assert_eq!(event.register(&users[0], WaitMode::Idle).err(), Some(full));
    for (number, waiter) in late.into_iter().enumerate() {
        assert_eq!(waiter.wait().unwrap(), [number as u8; 40]);
    }
    assert_empty(&event);
}

#[test]
fn a_wait_ends_at_its_deadline_unless_it_was_released_before() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let user = deaths.user(1);
    for mode in MODES {
        for deadline in [Instant::now(), soon()] {
            assert_eq!(event.wait_until(&user, mode, deadline), Err(BroadcastError::Timeout));
        }
        let waiter = event.register(&user, mode).unwrap();
        event.trigger_one(&deaths.user(2), b"in time").unwrap();
        assert_eq!(waiter.wait_until(Instant::now()).unwrap(), b"in time");
        let waiter = event.register(&user, mode).unwrap();
        event.trigger_one(&deaths.user(2), b"in time").unwrap();
        assert_eq!(waiter.leave().unwrap().unwrap(), b"in time");
        drop(event.register(&user, mode).unwrap());
        assert_empty(&event);
    }
}

#[test]
fn the_dead_are_passed_over_and_their_places_are_free() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let (dead, alive, me) = (deaths.user(1), deaths.user(2), deaths.user(9));
    for round in 0..3 {
        std::mem::forget(event.register(&dead, WaitMode::Idle).unwrap());
        std::mem::forget(event.register(&dead, WaitMode::Idle).unwrap());
        let waiter = event.register(&alive, WaitMode::Idle).unwrap();
        dead.die();
        let triggered = match round {
            0 => event.trigger_one(&me, b"living"),
            1 => event.trigger_some(&me, 3, b"living"),
            _ => event.trigger_all(&me, b"living"),
        };
        assert_eq!(triggered, Ok(Triggered { released: 1, dead: 2 }));
        assert_eq!(waiter.wait().unwrap(), b"living");
        assert_empty(&event);
    }
    std::mem::forget(event.register(&dead, WaitMode::Idle).unwrap());
    assert_eq!(event.trigger_all(&me, b"nobody"), Err(BroadcastError::DeadWaiter { dead: 1 }));
    std::mem::forget(event.register(&dead, WaitMode::Idle).unwrap());
    assert_eq!(event.trigger_one(&me, b""), Err(BroadcastError::DeadWaiter { dead: 1 }));
    assert_empty(&event);
}

#[test]
fn places_and_records_of_the_dead_serve_the_living() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let (dead, alive, me) = (deaths.user(1), deaths.user(2), deaths.user(9));
    for _ in 0..4 {
        std::mem::forget(event.register(&dead, WaitMode::Idle).unwrap());
        // Released, and never read: the record is kept by one that is dead then.
        event.trigger_one(&me, b"unread").unwrap();
    }
    assert_eq!(event.register(&alive, WaitMode::Idle).err(), Some(BroadcastError::Full { limit: 4 }));
    dead.die();
    let waiter = event.register(&alive, WaitMode::Idle).unwrap();
    for _ in 0..20 {
        event.trigger_all(&me, b"on").err();
    }
    assert_eq!(waiter.wait().unwrap(), b"on");
    assert_eq!(event.recover(&me), Ok(0));
    assert_empty(&event);
}

#[test]
fn a_synchronised_trigger_waits_for_its_waiters_and_does_not_count_the_dead() {
    let (deaths, (_memory, event)) =
        (Deaths::default(), event(attributes().sync(SyncType::With(2)).max_waiters(4)));
    let (dead, me) = (deaths.user(1), deaths.user(9));
    let insufficient = |waiting| Err(BroadcastError::InsufficientWaiters { waiting, needed: 2 });
    assert_eq!(event.trigger_all(&me, b"x"), insufficient(0));
    std::mem::forget(event.register(&dead, WaitMode::Idle).unwrap());
    assert_eq!(event.trigger_all_until(&me, b"x", soon()), Err(BroadcastError::Timeout));
    dead.die();
    let first = deaths.user(2);
    let first = event.register(&first, WaitMode::Idle).unwrap();
    assert_eq!(event.trigger_one(&me, b"x"), insufficient(1), "the dead one does not count");
    assert_eq!(event.num_waiting(), 1);
    thread::scope(|scope| {
        let trigger = scope.spawn(|| event.trigger_one_until(&me, b"both", late()));
        let second = deaths.user(3);
        let second = event.register(&second, WaitMode::Idle).unwrap();
        assert_eq!(trigger.join().unwrap(), released(1));
        assert_eq!((first.is_released(), second.is_released()), (Ok(true), Ok(false)));
        assert_eq!(event.trigger_all_until(&me, b"", soon()), Err(BroadcastError::Timeout));
    });
}

#[test]
fn spinners_beyond_their_number_sleep_and_leave_places_to_others() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes().max_spinners(1)));
    thread::scope(|scope| {
        let waiters: Vec<_> = (1..=4)
            .map(|number| (deaths.user(number), event.clone()))
            .map(|(user, event)| scope.spawn(move || event.wait(&user, WaitMode::Spin)))
            .collect();
        until_waiting(&event, 4);
        assert_eq!(event.trigger_all(&deaths.user(9), b""), released(4));
        waiters.into_iter().for_each(|waiter| drop(waiter.join().unwrap().unwrap()));
    });
    assert_empty(&event);
}

#[test]
fn a_reset_lets_everybody_go_and_leaves_the_event_as_it_was_made() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let (dead, me) = (deaths.user(1), deaths.user(9));
    std::mem::forget(event.register(&dead, WaitMode::Idle).unwrap());
    dead.die();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| event.wait(&deaths.user(2), WaitMode::Idle));
        until_waiting(&event, 2);
        assert_eq!(event.reset(&me), Ok(1));
        assert_eq!(waiter.join().unwrap(), Err(BroadcastError::LetGo));
    });
    assert_empty(&event);
    let again = deaths.user(3);
    let waiter = event.register(&again, WaitMode::Idle).unwrap();
    assert_eq!(event.trigger_one(&me, b"again"), released(1));
    assert_eq!(waiter.wait().unwrap(), b"again");
}

#[test]
fn a_destroyed_event_lets_everybody_go_and_takes_nobody() {
    let (deaths, (memory, event)) = (Deaths::default(), event(attributes()));
    let (user, me) = (deaths.user(2), deaths.user(9));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| event.wait(&user, WaitMode::Adaptive));
        until_waiting(&event, 1);
        let released = event.register(&me, WaitMode::Idle).unwrap();
        event.trigger_some(&me, 2, b"before").unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), b"before");
        let waiter = scope.spawn(|| event.wait(&user, WaitMode::Idle));
        until_waiting(&event, 1);
        assert_eq!(event.destroy(&me), Ok(1));
        assert!(!event.is_left(&me), "one has still to read");
        assert_eq!(released.wait().unwrap(), b"before", "what it was given before");
        assert_eq!(waiter.join().unwrap(), Err(BroadcastError::Destroyed));
    });
    assert!(event.is_left(&me));
    assert_eq!(event.wait(&user, WaitMode::Idle), Err(BroadcastError::Destroyed));
    assert_eq!(event.trigger_all(&me, b""), Err(BroadcastError::Destroyed));
    assert_eq!(event.reset(&me), Err(BroadcastError::Destroyed));
    assert_eq!(event.destroy(&me), Err(BroadcastError::Destroyed));
    assert_eq!(Broadcast::attach(memory.region()).err(), Some(BroadcastError::Destroyed));
    assert!(event.state().to_string().starts_with("event, destroyed: "));
    // The memory can hold another.
    let another = Broadcast::init(memory.region(), &attributes()).unwrap();
    assert_eq!(another.wait_until(&user, WaitMode::Idle, soon()), Err(BroadcastError::Timeout));
}

#[test]
fn in_a_forked_child_the_inherited_handle_is_nothing() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let parent = deaths.user(1);
    let mut child = parent.clone();
    child.is_forked = true;
    let _waiter = event.register(&parent, WaitMode::Idle).unwrap();
    assert_eq!(event.wait(&child, WaitMode::Idle), Err(BroadcastError::Forked));
    assert_eq!(event.trigger_all(&child, b""), Err(BroadcastError::Forked));
    assert_eq!(event.reset(&child), Err(BroadcastError::Forked));
    assert_eq!(event.destroy(&child), Err(BroadcastError::Forked));
    assert_eq!(event.num_waiting(), 1);
}

#[test]
fn what_no_event_can_be_is_refused() {
    let good = attributes();
    for (wrong, attribute, most) in [
        (good.max_payload(1 << 31), "the payload", 1 << 30),
        (good.max_waiters(0), "the number of waiters", 1 << 15),
        (good.max_waiters(1 << 16), "the number of waiters", 1 << 15),
        (good.max_triggers(0), "the number of triggers", 1 << 10),
        (good.sync(SyncType::With(5)), "the number of waiters to synchronise with", 4),
        (good.sync(SyncType::With(0)), "the number of waiters to synchronise with", 4),
    ] {
        match Broadcast::size(&wrong) {
            Err(BroadcastError::InvalidAttribute { attribute: found, most: limit, .. }) => {
                assert_eq!((found, limit), (attribute, most));
            }
            other => panic!("{attribute}: {other:?}"),
        }
    }
    let bytes = Broadcast::size(&good).unwrap();
    let memory = Fenced::new(bytes);
    let small = memory.region().part(0, bytes - 1).unwrap();
    let too_small = BroadcastError::TooSmall { needed: bytes, there: bytes - 1 };
    assert_eq!(Broadcast::init(&small, &good).err(), Some(too_small));
    let nothing = Broadcast::attach(memory.region()).err();
    assert_eq!(nothing, Some(Corrupt::new("magic of an event", 0).into()));
    let event = Broadcast::init(memory.region(), &good).unwrap();
    assert_eq!(Broadcast::init(memory.region(), &good).err(), Some(BroadcastError::AlreadyInitialised));
    assert_eq!(event.attributes(), &good);
    let (_memory, event) = attended::event(good.max_spinners(100));
    assert_eq!(event.attributes(), &good.max_spinners(4), "all of them");
}

/// Memory is the same event wherever it is mapped.
#[test]
fn an_event_is_position_independent() {
    let (deaths, (memory, event)) = (Deaths::default(), event(attributes()));
    let user = deaths.user(1);
    let waiter = event.register(&user, WaitMode::Idle).unwrap();
    let copy = memory.copy();
    assert_ne!(copy.region().address(), memory.region().address());
    let theirs = Broadcast::attach(copy.region()).unwrap();
    assert_eq!((theirs.attributes(), theirs.state()), (event.attributes(), event.state()));
    assert_eq!(theirs.trigger_all(&deaths.user(9), b"there"), released(1));
    assert_eq!((waiter.is_released(), theirs.state().released), (Ok(false), 1));
    copy.assert_fences();
}

#[test]
fn the_state_is_one_line_that_says_what_it_is_at() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes().sync(SyncType::With(1))));
    let user = deaths.user(1);
    let _waiting = event.register(&user, WaitMode::Idle).unwrap();
    assert_eq!(
        event.state().to_string(),
        "event, in use: 1 of 4 wait (0 entering, 0 released), 0 of 2 triggers at work, 1 waits so far; payload up \
         to 64 bytes, 2 spinners, synchronised with 1"
    );
}

/// More users than places and processors, all at once: each trigger's count is what was got.
#[test]
fn what_was_given_is_what_was_got() {
    const TRIGGERS: u64 = 400;
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes().max_waiters(6)));
    let (got, given) = thread::scope(|scope| {
        let waiters: Vec<_> = (1..=6)
            .map(|number| (deaths.user(number), event.clone(), MODES[usize::from(number) % 3]))
            .map(|(user, event, mode)| {
                scope.spawn(move || {
                    let mut got = 0;
                    loop {
                        match event.wait(&user, mode) {
                            Ok(payload) => {
                                assert!(payload.iter().all(|byte| *byte == payload[0]), "{payload:?}");
                                got += 1;
                            }
                            Err(error) => {
                                assert_eq!(error, BroadcastError::Destroyed);
                                return got;
                            }
                        }
                    }
                })
            })
            .collect();
        let triggers: Vec<_> = (20..23_u16)
            .map(|number| (deaths.user(number), event.clone()))
            .map(|(user, event)| {
                scope.spawn(move || {
                    let (mut given, mut done) = (0, 0);
                    while done < TRIGGERS {
                        let payload = [done as u8; 64];
                        let outcome = match done % 3 {
                            0 => event.trigger_one_until(&user, &payload, late()),
                            1 => event.trigger_some_until(&user, 2, &payload, late()),
                            _ => event.trigger_all_until(&user, &payload, late()),
                        };
                        match outcome {
                            Ok(triggered) => (given, done) = (given + triggered.released, done + 1),
                            Err(error) => assert_eq!(error, BroadcastError::NoWaiters),
                        }
                    }
                    given
                })
            })
            .collect();
        let given: u64 = triggers.into_iter().map(|trigger| trigger.join().unwrap()).sum();
        event.destroy(&deaths.user(9)).unwrap();
        (waiters.into_iter().map(|waiter| waiter.join().unwrap()).sum::<u64>(), given)
    });
    assert_eq!(got, given);
    assert!(event.is_left(&deaths.user(9)));
    assert_empty(&event);
}
