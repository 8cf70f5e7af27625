//! Notifications of an event: by a callback, and by a signal.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod attended;
mod fenced;

use std::sync::mpsc;
use std::time::Instant;

use attended::{Deaths, assert_empty, event, until_waiting};
use rustix::process::Signal;
use signal_hook::iterator::Signals;
use weyr_shared::broadcast::Notified;
use weyr_shared::{BroadcastAttributes, BroadcastError, WaitMode};

fn attributes() -> BroadcastAttributes {
    BroadcastAttributes::new().max_payload(16).max_waiters(2)
}

#[test]
fn a_callback_gets_the_payload_and_misses_no_trigger_since_the_call_returned() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let (tell, told) = mpsc::channel();
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        let tell = tell.clone();
        let callback = move |outcome: &Notified| tell.send(outcome.clone()).unwrap();
        let notification = event.notify_callback(&deaths.user(1), mode, None, callback).unwrap();
        assert_eq!(event.num_waiting(), 1);
        event.trigger_one(&deaths.user(2), b"called").unwrap();
        assert_eq!(told.recv().unwrap().unwrap(), b"called");
        assert_eq!(notification.join().unwrap(), b"called");
        assert_empty(&event);
    }
}

#[test]
fn a_callback_gets_the_error_where_there_is_no_payload() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let (user, me) = (deaths.user(1), deaths.user(2));
    let (tell, told) = mpsc::channel();
    let notify = |deadline| {
        let tell = tell.clone();
        let callback = move |outcome: &Notified| tell.send(outcome.clone()).unwrap();
        event.notify_callback(&user, WaitMode::Idle, deadline, callback)
    };
    assert_eq!(notify(Some(Instant::now())).unwrap().join(), Err(BroadcastError::Timeout));
    assert_eq!(told.recv().unwrap(), Err(BroadcastError::Timeout));
    let cancelled = notify(None).unwrap();
    assert!(cancelled.cancel());
    assert_eq!(cancelled.join(), Err(BroadcastError::LetGo));
    assert_eq!(told.recv().unwrap(), Err(BroadcastError::LetGo));
    let (first, _second) = (notify(None).unwrap(), notify(None).unwrap());
    assert_eq!(notify(None).err(), Some(BroadcastError::Full { limit: 2 }), "and it is not called");
    event.destroy(&me).unwrap();
    assert_eq!(first.join(), Err(BroadcastError::Destroyed));
    assert_eq!(told.recv().unwrap(), Err(BroadcastError::Destroyed));
}

#[test]
fn a_callback_that_panics_is_an_error_and_leaves_no_waiter() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let panics = |_: &Notified| panic!("on purpose");
    let notification = event.notify_callback(&deaths.user(1), WaitMode::Idle, None, panics).unwrap();
    event.trigger_all(&deaths.user(2), b"go").unwrap();
    assert!(matches!(notification.join(), Err(BroadcastError::Callback(_))));
    assert_empty(&event);
}

#[test]
fn a_notification_in_a_forked_child_is_nothing() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let mut user = deaths.user(1);
    user.is_forked = true;
    let refused = event.notify_callback(&user, WaitMode::Idle, None, |_| ());
    assert_eq!(refused.err(), Some(BroadcastError::Forked));
}

/// One signal for each that was waited for; its payload is there when the signal is.
#[test]
fn a_signal_comes_when_the_event_is_triggered_and_its_payload_is_there() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    let signal = Signal::USR1.as_raw();
    let mut signals = Signals::new([signal]).unwrap();
    let notification = event.notify_signal(&deaths.user(1), WaitMode::Idle, None, signal).unwrap();
    assert_eq!(notification.outcome(), None);
    until_waiting(&event, 1);
    event.trigger_all(&deaths.user(2), b"by signal").unwrap();
    assert_eq!(signals.forever().next(), Some(signal));
    assert_eq!(notification.outcome(), Some(&Ok(b"by signal".to_vec())));
    assert_eq!(notification.join().unwrap(), b"by signal");
    assert_empty(&event);
}

#[test]
fn a_signal_that_is_none_is_refused_and_nobody_waits() {
    let (deaths, (_memory, event)) = (Deaths::default(), event(attributes()));
    for signal in [-1, 0, 32, 33, 65, i32::MAX] {
        let refused = event.notify_signal(&deaths.user(1), WaitMode::Idle, None, signal).err();
        assert!(matches!(refused, Some(BroadcastError::Signal { .. })), "{signal}: {refused:?}");
    }
    assert_empty(&event);
}
