//! Events of a pool, among processes that are killed and stopped.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod awaited;
mod scratch;

use std::sync::Arc;
use std::time::Instant;

use awaited::{PAYLOAD, assert_event_error, attributes, late, settle, trigger_until_released, use_beside};
use scratch::{Scratch, assert_whole, kill};
use weyr_kill::{Child, Outcome, child};
use weyr_managed::{AllocationDescriptor, Mapping, Pool, PoolBroadcast, PoolBroadcastError};
use weyr_shared::{Broadcast, BroadcastError, Region, SyncType, WaitMode};

/// A pool with an event, and this process at it.
struct Place {
    pool: Scratch,
    event: PoolBroadcast,
}

impl Place {
    fn new() -> Self {
        Self::with(attributes())
    }

    fn with(attributes: weyr_shared::BroadcastAttributes) -> Self {
        let pool = Scratch::new("broadcast", 1 << 20);
        let event = pool.create_broadcast(&attributes).unwrap();
        Self { pool, event }
    }

    /// A process with the event, which it opens by its descriptor.
    fn spawn(&self, work: impl FnOnce(&PoolBroadcast)) -> Child {
        let text = self.event.descriptor().unwrap().to_string();
        child::spawn(|| {
            let descriptor: AllocationDescriptor = text.parse().unwrap();
            work(&self.pool.open_broadcast(&descriptor).unwrap());
        })
        .unwrap()
    }

    /// One that waits once, and is among those who wait when this returns.
    fn waiter(&self, mode: WaitMode) -> Child {
        let before = self.event.num_waiting();
        let waiter = self.spawn(move |event| assert_eq!(event.wait(mode).unwrap(), PAYLOAD));
        while self.event.num_waiting() == before {
            std::thread::yield_now();
        }
        waiter
    }

    fn finish(self) {
        settle(&self.pool, &self.event);
        self.event.destroy_until(late()).unwrap();
        drop(self.event);
        assert_whole(&self.pool);
    }
}

fn finish(mut child: Child) {
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
}

#[test]
fn processes_that_wait_in_each_mode_are_all_released() {
    let place = Place::new();
    for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
        let waiters = [place.waiter(mode), place.waiter(mode)];
        assert_eq!(place.event.trigger_all(&PAYLOAD).unwrap().released, 2);
        waiters.into_iter().for_each(finish);
    }
    place.finish();
}

/// It has waited longest, and is a zombie as long as this process wants.
#[test]
fn a_waiter_that_was_killed_is_passed_over() {
    let place = Place::new();
    let mut dead = place.waiter(WaitMode::Idle);
    let alive = place.waiter(WaitMode::Idle);
    dead.kill().unwrap();
    dead.wait_dead().unwrap();
    let triggered = place.event.trigger_one(&PAYLOAD).unwrap();
    assert_eq!((triggered.released, triggered.dead), (1, 1));
    finish(alive);
    assert!(dead.wait().unwrap().was_killed());
    let dead = place.waiter(WaitMode::Spin);
    kill(dead);
    assert_eq!(place.event.trigger_all(&PAYLOAD), Err(BroadcastError::DeadWaiter { dead: 1 }));
    place.finish();
}

/// It is released, and nobody waits until it takes what it was given; then it has that.
#[test]
fn a_waiter_that_is_stopped_is_waited_for_by_nobody() {
    let place = Place::new();
    let mut stopped = place.waiter(WaitMode::Idle);
    stopped.stop().unwrap();
    stopped.wait_stopped().unwrap();
    assert_eq!(place.event.trigger_all(&PAYLOAD).unwrap().released, 1);
    for _ in 0..20 {
        use_beside(&place.event);
    }
    stopped.cont().unwrap();
    finish(stopped);
    place.finish();
}

#[test]
fn a_synchronised_trigger_waits_for_processes() {
    let place = Place::with(attributes().sync(SyncType::With(2)));
    let dead = place.waiter(WaitMode::Idle);
    kill(dead);
    let mut trigger = place.spawn(|event| {
        let triggered = event.trigger_all_until(&PAYLOAD, late()).unwrap();
        assert_eq!(triggered.released, 2);
    });
    let waiters: Vec<Child> = (0..2)
        .map(|_| place.spawn(|event| assert_eq!(event.wait(WaitMode::Idle).unwrap(), PAYLOAD)))
        .collect();
    waiters.into_iter().for_each(finish);
    assert_eq!(trigger.wait().unwrap(), Outcome::Exited(0));
}

/// Whoever is killed wherever it is: those who are not go on, and get what they count.
#[test]
fn many_of_which_some_are_killed() {
    const EACH: u64 = 100;
    let place = Place::with(attributes().max_waiters(16).max_triggers(8));
    let waits = |event: &PoolBroadcast| {
        for _ in 0..EACH {
            assert_eq!(event.wait(WaitMode::Idle).unwrap(), PAYLOAD);
        }
    };
    let workers: Vec<Child> = (0..4).map(|_| place.spawn(waits)).collect();
    let waiting = || {
        place.spawn(|event| {
            loop {
                assert_eq!(event.wait(WaitMode::Adaptive).unwrap(), PAYLOAD);
            }
        })
    };
    let triggering = || {
        place.spawn(|event| {
            loop {
                let _released_or_nobody = event.trigger_some_until(2, &PAYLOAD, late());
            }
        })
    };
    let victims: Vec<Child> = (0..3).flat_map(|_| [waiting(), triggering()]).collect();
    for (number, victim) in victims.into_iter().enumerate() {
        // Waits by all are what time is measured by.
        while place.event.state().waits < 20 * (number as u64 + 1) {
            trigger_until_released(&place.event);
        }
        kill(victim);
    }
    for mut worker in workers {
        while !matches!(worker.wait_until(Instant::now()), Ok(Some(_))) {
            let _released_or_nobody = place.event.trigger_one(&PAYLOAD);
        }
    }
    place.event.recover().unwrap();
    assert_eq!(place.event.verify(), []);
    place.event.destroy_until(late()).unwrap();
}

#[test]
fn an_event_is_found_by_its_descriptor_as_long_as_it_is_one() {
    let place = Place::new();
    let descriptor = place.event.descriptor().unwrap();
    let other = Scratch::new("broadcast-other", 1 << 20);
    let refused = other.open_broadcast(&descriptor).unwrap_err();
    assert!(matches!(refused, PoolBroadcastError::Pool(weyr_managed::Error::WrongPool { .. })), "{refused}");
    let mut zeros = place.pool.alloc(4096).unwrap();
    zeros.fill(0).unwrap();
    let zeros = zeros.publish().unwrap();
    let nothing = place.pool.open_broadcast(&zeros.descriptor()).unwrap_err();
    assert!(matches!(nothing, PoolBroadcastError::Event(BroadcastError::Corrupt(_))), "{nothing}");
    zeros.free().unwrap();
    assert_eq!(place.event.destroy(), Ok(0));
    assert_event_error(place.pool.open_broadcast(&descriptor), BroadcastError::Destroyed);
    place.event.destroy_until(late()).unwrap();
    assert!(matches!(place.pool.open_broadcast(&descriptor), Err(PoolBroadcastError::Pool(_))));
    assert_whole(&place.pool);
}

#[test]
fn an_event_is_freed_when_everybody_has_left() {
    let place = Place::new();
    let waiter = place.event.register(WaitMode::Idle).unwrap();
    assert_event_error(place.event.destroy_until(Instant::now()), BroadcastError::Timeout);
    assert_eq!(waiter.wait(), Err(BroadcastError::Destroyed));
    place.event.destroy_until(late()).unwrap();
    assert_whole(&place.pool);
}

#[test]
fn an_event_in_other_memory_has_no_descriptor() {
    let pool = Scratch::new("broadcast-elsewhere", 1 << 20);
    let region = Region::new(Arc::new(Mapping::anonymous(16384).unwrap()));
    Broadcast::init(&region, &attributes()).unwrap();
    let event = pool.attach_broadcast(&region).unwrap();
    assert_eq!(event.descriptor(), Err(BroadcastError::NotSerializable));
    use_beside(&event);
    event.destroy_until(late()).unwrap();
}

#[test]
fn a_forked_child_attaches_anew() {
    let place = Place::new();
    let waiter = place.event.register(WaitMode::Idle).unwrap();
    let child = child::spawn(|| {
        // What it inherited is nothing, and dropping it leaves the parent's place alone.
        assert_eq!(place.event.wait(WaitMode::Idle), Err(BroadcastError::Forked));
        assert_eq!(place.event.trigger_all(b""), Err(BroadcastError::Forked));
        let anew = place.pool.open_broadcast(&place.event.descriptor().unwrap()).unwrap();
        assert_eq!(anew.trigger_all(&PAYLOAD).unwrap().released, 1);
    });
    finish(child.unwrap());
    assert_eq!(waiter.wait().unwrap(), PAYLOAD);
    place.finish();
}

/// What members of the pool do by their own participant goes by the event itself.
#[test]
fn a_participant_of_ones_own_uses_the_event_beside() {
    let place = Place::new();
    let me = Pool::participant(&place.pool).unwrap();
    let waiter = place.event.event().register(&me, WaitMode::Idle).unwrap();
    place.event.trigger_one(&PAYLOAD).unwrap();
    assert_eq!(waiter.wait().unwrap(), PAYLOAD);
    assert_eq!(place.event.participant().pool().uuid(), place.pool.uuid());
}
