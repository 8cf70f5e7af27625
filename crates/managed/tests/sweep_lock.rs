//! Death, and a stop, at the machine instructions of taking a lock and releasing it: in the build that users run.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod locked;
mod scratch;
mod swept;

use std::marker::PhantomData;

use locked::{BYTES, Kind, Locked, kind};
use swept::{Ground, kill_and_stop_at, open};
use weyr_kill::{Moment, Point, Rendezvous, Stops, child};
use weyr_shared::lock::{FifoLiteLock, FifoLock, GreedyLock};

fn attach<L: Kind>(ground: &Ground) -> Locked<L> {
    let pool = ground.attach();
    let published = open(&pool, ground.published[0]).unwrap();
    Locked::of(pool, &published)
}

/// What the others find.
fn look<L: Kind>(ground: &Ground, point: &Point) {
    let locked = attach::<L>(ground);
    if point.moment == Moment::Stopped { locked.use_beside() } else { locked.settle() }
}

/// Taking it where it is free.
fn sweep<L: Kind>(name: &str, _: PhantomData<L>) {
    let ground = Ground::with_published("lock", &[BYTES]);
    let operate = |locked: &mut Locked<L>| locked.use_once();
    let look = |point: &Point| {
        look::<L>(&ground, point);
        Ok(())
    };
    kill_and_stop_at(&Stops::anywhere(10), name, &ground, 4, attach::<L>, operate, look);
}

/// Taking it where another has it, who releases it when this one sleeps.
fn sweep_asleep<L: Kind>(name: &str, _: PhantomData<L>) {
    let ground = Ground::with_published("lock-asleep", &[BYTES]);
    let beside_another = |ground: &Ground| {
        let locked = attach::<L>(ground);
        let (ready, go_on) = (Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
        let prepare = || {
            let locked: &'static Locked<L> = Box::leak(Box::new(attach(ground)));
            let guard = locked.lock().acquire(&locked.me).unwrap();
            ready.post().unwrap();
            go_on.wait().unwrap();
            guard
        };
        let other = child::when_parent_sleeps(prepare, |guard| guard.release().unwrap()).unwrap();
        ready.wait_from(&other).unwrap();
        go_on.post().unwrap();
        std::mem::forget(other);
        locked
    };
    let look = |point: &Point| {
        if point.moment != Moment::Stopped {
            until_alone(&ground);
        }
        look::<L>(&ground, point);
        Ok(())
    };
    let operate = |locked: &mut Locked<L>| locked.use_once();
    kill_and_stop_at(&Stops::of_varying(5), name, &ground, 5, beside_another, operate, look);
}

/// Waits for those who die with who was killed, but not at once.
fn until_alone(ground: &Ground) {
    let pool = ground.attach();
    pool.actor().unwrap();
    while pool.members().len() > 1 {
        pool.recover();
        std::thread::yield_now();
    }
}

#[test]
fn taking_and_releasing() {
    sweep("lock, greedy", kind::<GreedyLock>());
    sweep("lock, fifo", kind::<FifoLock>());
    sweep("lock, fifo lite", kind::<FifoLiteLock>());
}

#[test]
fn taking_what_another_releases() {
    for (name, sweep) in [
        ("lock, asleep, greedy", (|name| sweep_asleep(name, kind::<GreedyLock>())) as fn(&str)),
        ("lock, asleep, fifo", |name| sweep_asleep(name, kind::<FifoLock>())),
        ("lock, asleep, fifo lite", |name| sweep_asleep(name, kind::<FifoLiteLock>())),
    ] {
        sweep(name);
    }
}
