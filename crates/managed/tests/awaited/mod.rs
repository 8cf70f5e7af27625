//! An event in a pool, as one process has it, and what must be true of it when all is over.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::{Duration, Instant};

use weyr_managed::{AllocationDescriptor, Pool, PoolBroadcast, PoolBroadcastError, PoolParticipant};
use weyr_shared::{BroadcastAttributes, BroadcastError, Registration, Triggered, WaitMode};

/// Of as few places and records as do.
pub(crate) fn attributes() -> BroadcastAttributes {
    BroadcastAttributes::new().max_payload(24).max_waiters(4).max_spinners(1).max_triggers(2)
}

pub(crate) const PAYLOAD: [u8; 24] = [7; 24];

pub(crate) fn late() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

pub(crate) fn open(pool: &Pool, descriptor: &AllocationDescriptor) -> PoolBroadcast {
    pool.open_broadcast(descriptor).unwrap()
}

/// Triggers all as soon as somebody waits, and until it has released somebody that lives.
pub(crate) fn trigger_until_released(event: &PoolBroadcast) {
    loop {
        match event.trigger_all_until(&PAYLOAD, late()) {
            Ok(_) => return,
            Err(BroadcastError::NoWaiters | BroadcastError::DeadWaiter { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A trigger that others may have been faster than.
pub(crate) fn may_find_nobody(outcome: Result<Triggered, BroadcastError>) {
    match outcome {
        Ok(_) | Err(BroadcastError::NoWaiters | BroadcastError::DeadWaiter { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Whoever stands where: one registers, and is released by a trigger of this process.
pub(crate) fn use_beside(event: &PoolBroadcast) {
    let waiter = event.register(WaitMode::Idle).unwrap();
    // One that stands still may wait since before, and is released first.
    while !waiter.is_released().unwrap() {
        may_find_nobody(event.trigger_one_until(&PAYLOAD, late()));
    }
    assert_eq!(waiter.wait().unwrap(), PAYLOAD);
    let waiter = event.register(WaitMode::Idle).unwrap();
    may_find_nobody(event.trigger_all_until(&PAYLOAD, late()));
    assert!(waiter.is_released().unwrap());
    assert_eq!(waiter.wait().unwrap(), PAYLOAD);
    assert_eq!(event.verify(), []);
}

/// Two who wait for one trigger of all, and live through its death.
pub(crate) struct Pair<'e>([Registration<'e, PoolParticipant>; 2]);

impl<'e> Pair<'e> {
    pub(crate) fn of(event: &'e PoolBroadcast) -> Self {
        Self([(); 2].map(|()| event.register(WaitMode::Idle).unwrap()))
    }

    fn released(&self) -> usize {
        self.0.iter().filter(|waiter| waiter.is_released().unwrap()).count()
    }

    /// Somebody stands still in a trigger of all, or before, or behind it.
    pub(crate) fn look_beside(&self, event: &PoolBroadcast) {
        use_beside(event);
        assert_eq!(self.released(), 2);
    }

    /// Whoever triggered is dead, or has come to its end.
    pub(crate) fn look(&self, event: &PoolBroadcast) {
        event.recover().unwrap();
        if self.released() == 0 {
            assert_eq!(event.trigger_all(&PAYLOAD).unwrap().released, 2);
        }
        assert_eq!(self.released(), 2, "one of two was released by a trigger of all");
        use_beside(event);
    }
}

/// Nobody else is there any more: before the pool is recovered, and behind it.
pub(crate) fn settle(pool: &Pool, event: &PoolBroadcast) {
    use_beside(event);
    event.recover().unwrap();
    pool.recover();
    use_beside(event);
    let state = event.state();
    assert_eq!((state.waiting, state.entering, state.released, state.triggers), (0, 0, 0, 0), "{state}");
    // The living have all places and all records.
    let all: Vec<_> = (0..4).map(|_| event.register(WaitMode::Idle).unwrap()).collect();
    assert_eq!(event.trigger_all(&PAYLOAD).unwrap().released, 4);
    all.into_iter().for_each(|waiter| assert_eq!(waiter.wait().unwrap(), PAYLOAD));
    assert_eq!((event.recover(), pool.members().len()), (Ok(0), 1));
}

pub(crate) fn assert_event_error<T: std::fmt::Debug>(
    outcome: Result<T, PoolBroadcastError>,
    expected: BroadcastError,
) {
    assert_eq!(outcome.map(drop).unwrap_err(), PoolBroadcastError::Event(expected));
}
