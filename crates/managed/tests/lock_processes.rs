//! Locks among processes that are killed, stopped, and more than there are processors.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod locked;
mod scratch;

use locked::{BYTES, Kind, Locked};
use scratch::{Scratch, attributes, kill, wait_for_death};
use weyr_kill::{Child, Outcome, Rendezvous, child};
use weyr_managed::{Pool, Published};
use weyr_shared::lock::{FifoLiteLock, FifoLock, GreedyLock};

/// A pool with a lock, and this process at it.
struct Place<L> {
    pool: Scratch,
    published: Published,
    own: Locked<L>,
}

impl<L: Kind> Place<L> {
    fn new() -> Self {
        let pool = Scratch::with(attributes("lock", 4 << 20).processes(64).lanes(128));
        let published = pool.alloc(BYTES).unwrap().publish().unwrap();
        let own = Locked::of(Pool::clone(&pool), &published);
        Self { pool, published, own }
    }

    /// A process at the lock, which does `work`.
    fn spawn(&self, work: impl FnOnce(&Locked<L>)) -> Child {
        child::spawn(|| work(&Locked::of(Pool::clone(&self.pool), &self.published))).unwrap()
    }

    /// One that has the lock until it is killed.
    fn owner(&self) -> Child {
        let met = Rendezvous::new().unwrap();
        let owner = self.spawn(|locked| {
            let _guard = locked.lock().acquire(&locked.me).unwrap();
            met.post().unwrap();
            wait_for_death();
        });
        met.wait_from(&owner).unwrap();
        owner
    }

    /// One that waits for the lock, and uses it so many times.
    fn waiter(&self, times: u64) -> Child {
        let waiter = self.spawn(|locked| (0..times).for_each(|_| locked.use_once()));
        while !self.own.lock().is_waited_for() {
            std::thread::yield_now();
        }
        waiter
    }

    fn finish(self, uses: u64) {
        assert_eq!(self.own.words(), (uses, uses));
        self.own.settle();
        assert_eq!(self.own.words(), (uses + 2, uses + 2));
    }
}

/// Nobody waits for the dead's burial: it is a zombie as long as this process wants.
fn an_owner_that_is_killed<L: Kind>() {
    let place = Place::<L>::new();
    let owner = place.owner();
    let mut waiter = place.waiter(1);
    owner.kill().unwrap();
    assert_eq!(waiter.wait().unwrap(), Outcome::Exited(0));
    kill_and_reap(owner);
    place.finish(1);
}

fn kill_and_reap(mut child: Child) {
    assert!(child.wait().unwrap().was_killed());
}

/// Of three who wait, the first dies.
fn a_waiter_that_is_killed<L: Kind>() {
    let place = Place::<L>::new();
    let guard = place.own.lock().acquire(&place.own.me).unwrap();
    let victim = place.waiter(1);
    let others = [place.waiter(10), place.waiter(10)];
    kill(victim);
    place.own.change(guard);
    for mut other in others {
        assert_eq!(other.wait().unwrap(), Outcome::Exited(0));
    }
    place.finish(21);
}

/// Of two who wait, the first stands still; then it goes on.
fn a_waiter_that_is_stopped<L: Kind>() {
    let place = Place::<L>::new();
    let guard = place.own.lock().acquire(&place.own.me).unwrap();
    let mut stopped = place.waiter(1);
    stopped.stop().unwrap();
    stopped.wait_stopped().unwrap();
    let mut other = place.waiter(100);
    place.own.change(guard);
    assert_eq!(other.wait().unwrap(), Outcome::Exited(0));
    place.own.use_once();
    stopped.cont().unwrap();
    assert_eq!(stopped.wait().unwrap(), Outcome::Exited(0));
    place.finish(103);
}

/// More than places and processors, and one after the other is killed, wherever it is.
fn many_of_which_some_are_killed<L: Kind>() {
    const WORKERS: u64 = 24;
    const EACH: u64 = 200;
    let place = Place::<L>::new();
    let victims: Vec<Child> = (0..6)
        .map(|_| {
            place.spawn(|locked| {
                loop {
                    locked.use_once()
                }
            })
        })
        .collect();
    let workers: Vec<Child> =
        (0..WORKERS).map(|_| place.spawn(|locked| (0..EACH).for_each(|_| locked.use_once()))).collect();
    for (number, victim) in victims.into_iter().enumerate() {
        // Uses by all are what time is measured by.
        while place.own.words().0 < 100 * (number as u64 + 1) {
            std::thread::yield_now();
        }
        kill(victim);
    }
    for mut worker in workers {
        assert_eq!(worker.wait().unwrap(), Outcome::Exited(0));
    }
    let (uses, _) = place.own.words();
    assert!(uses >= WORKERS * EACH, "{uses} uses");
    place.own.settle();
}

macro_rules! kinds {
    ($($kind:ident: $lock:ty),*) => {$(
        mod $kind {
            use super::*;

            #[test]
            fn an_owner_that_is_killed() {
                super::an_owner_that_is_killed::<$lock>();
            }

            #[test]
            fn a_waiter_that_is_killed() {
                super::a_waiter_that_is_killed::<$lock>();
            }

            #[test]
            fn a_waiter_that_is_stopped() {
                super::a_waiter_that_is_stopped::<$lock>();
            }

            #[test]
            fn many_of_which_some_are_killed() {
                super::many_of_which_some_are_killed::<$lock>();
            }
        }
    )*};
}

kinds!(greedy: GreedyLock, fifo: FifoLock, fifo_lite: FifoLiteLock);
