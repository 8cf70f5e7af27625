//! Death, and a stop, at the machine instructions of waiting for an event and of triggering it: in the build that users run.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod awaited;
mod scratch;
mod swept;

use awaited::{PAYLOAD, Pair, attributes, late, may_find_nobody, settle, trigger_until_released, use_beside};
use swept::{Ground, kill_and_stop_at};
use weyr_kill::{Moment, Point, Rendezvous, Stops, child};
use weyr_managed::{AllocationDescriptor, Growth, Pool, PoolBroadcast};
use weyr_shared::WaitMode;

/// A pool with an event whose maker has left.
struct Arena {
    ground: Ground,
    descriptor: AllocationDescriptor,
}

impl Arena {
    fn new(name: &str) -> Self {
        let ground = Ground::new(name, Growth::None);
        let event = ground.attach().create_broadcast(&attributes()).unwrap();
        let descriptor = event.descriptor().unwrap();
        Self { ground, descriptor }
    }

    fn attach(&self) -> (Pool, PoolBroadcast) {
        let pool = self.ground.attach();
        let event = awaited::open(&pool, &self.descriptor);
        (pool, event)
    }

    /// What the others find.
    fn look(&self, point: &Point) -> Result<(), String> {
        let (pool, event) = self.attach();
        if point.moment == Moment::Stopped {
            use_beside(&event);
        } else {
            settle(&pool, &event);
        }
        Ok(())
    }
}

/// Waiting where a trigger came before the wait.
#[test]
fn waiting_for_what_comes_at_once() {
    let arena = Arena::new("event-wait");
    let operate = |(_, event): &mut (Pool, PoolBroadcast)| {
        let waiter = event.register(WaitMode::Idle).unwrap();
        may_find_nobody(event.trigger_one(&PAYLOAD));
        assert_eq!(waiter.wait().unwrap(), PAYLOAD);
    };
    let look = |point: &Point| arena.look(point);
    kill_and_stop_at(
        &Stops::anywhere(10),
        "event, wait and trigger one",
        &arena.ground,
        8,
        |_| arena.attach(),
        operate,
        look,
    );
}

/// Waiting asleep, until another process triggers.
#[test]
fn waiting_asleep() {
    let arena = Arena::new("event-asleep");
    let beside_another = |_: &Ground| {
        let (pool, event) = arena.attach();
        let (ready, go_on) = (Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
        let prepare = || {
            let attached = arena.attach();
            ready.post().unwrap();
            go_on.wait().unwrap();
            attached
        };
        let other = child::when_parent_sleeps(prepare, |(_, event)| trigger_until_released(&event)).unwrap();
        ready.wait_from(&other).unwrap();
        go_on.post().unwrap();
        std::mem::forget(other);
        (pool, event)
    };
    let operate = |(_, event): &mut (Pool, PoolBroadcast)| {
        assert_eq!(event.wait_until(WaitMode::Idle, late()).unwrap(), PAYLOAD);
    };
    let look = |point: &Point| {
        if point.moment != Moment::Stopped {
            until_alone(&arena);
        }
        arena.look(point)
    };
    let stops = Stops::of_varying(5);
    kill_and_stop_at(&stops, "event, wait asleep", &arena.ground, 4, beside_another, operate, look);
}

/// Waits for those who die with who was killed, but not at once.
fn until_alone(arena: &Arena) {
    let (pool, _event) = arena.attach();
    pool.actor().unwrap();
    while pool.members().len() > 1 {
        pool.recover();
        std::thread::yield_now();
    }
}

/// Triggering all, where two wait: both or none of them are released, once the trigger is dead.
#[test]
fn triggering_all() {
    let arena = Arena::new("event-trigger");
    // Of a process that lives through it all. What it has in the pool is put back with the rest.
    let (_pool, event) = arena.attach();
    let pair = Pair::of(&event);
    let operate = |(_, event): &mut (Pool, PoolBroadcast)| may_find_nobody(event.trigger_all(&PAYLOAD));
    let look = |point: &Point| {
        if point.moment == Moment::Stopped {
            pair.look_beside(&event)
        } else {
            pair.look(&event)
        }
        Ok(())
    };
    let prepare = |_: &Ground| arena.attach();
    kill_and_stop_at(&Stops::anywhere(10), "event, trigger all", &arena.ground, 6, prepare, operate, look);
}
