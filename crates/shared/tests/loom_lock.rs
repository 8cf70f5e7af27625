//! Locks under the C11 memory model: what is protected is seen by the next owner, and nobody sleeps beside a lock that
//! is free. Two threads, on the product's own code.
#![cfg(weyr_face = "loom")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use weyr_atomic::loom::sync::Arc;
use weyr_atomic::loom::{model::Builder, thread};
use weyr_atomic::{AtomicU32, AtomicU64, Ordering, Zeroed};
use weyr_shared::lock::queue::{Place, Queue};
use weyr_shared::lock::{FifoLitePlace, GreedyLock, Lock, LockError, Participant, Queued};
use weyr_shared::{Actor, Awake, Futex};

/// Two places are enough for two threads, and loom has not to look at more.
struct Small {
    owner: AtomicU64,
    next_ticket: AtomicU64,
    room: AtomicU32,
    places: [FifoLitePlace; 2],
}

impl Zeroed for Small {
    fn zeroed() -> Self {
        Self {
            owner: Zeroed::zeroed(),
            next_ticket: Zeroed::zeroed(),
            room: Zeroed::zeroed(),
            places: Zeroed::zeroed(),
        }
    }
}

impl Queued for Small {
    type Place = FifoLitePlace;

    fn queue(&self) -> Queue<'_, FifoLitePlace> {
        Queue { owner: &self.owner, next_ticket: &self.next_ticket, room: &self.room, places: &self.places }
    }
}

/// A lock of which the word is known that its only waiter sleeps on.
trait Kind: Lock + Zeroed + Send + Sync + 'static {
    fn sleeps_on(&self) -> &AtomicU32;
}

impl Kind for GreedyLock {
    fn sleeps_on(&self) -> &AtomicU32 {
        &self.waiters
    }
}

impl Kind for Small {
    fn sleeps_on(&self) -> &AtomicU32 {
        self.places[0].call()
    }
}

/// One that does not sleep but remembers on what value it would have; its time is over then.
struct Thread {
    number: u16,
    now: Instant,
    slept: Remembered,
}

#[derive(Default)]
struct Remembered(Mutex<Option<u32>>);

impl Futex for Remembered {
    fn wait(&self, _: &AtomicU32, expected: u32, _: Duration) -> Awake {
        *self.0.lock().unwrap() = Some(expected);
        Awake::TimedOut
    }

    fn wake(&self, _: &AtomicU32, _: u32) -> u32 {
        1
    }
}

impl Participant for Thread {
    type Futex = Remembered;

    fn me(&self) -> Option<Actor> {
        Some(Actor { process: self.number, epoch: 0 })
    }

    fn is_dead(&self, _: Actor) -> bool {
        false
    }

    fn futex(&self) -> &Remembered {
        &self.slept
    }

    fn now(&self) -> Instant {
        self.now
    }
}

impl Thread {
    fn new(number: u16) -> Self {
        Self { number, now: Instant::now(), slept: Remembered::default() }
    }
}

/// Explores `model` as far as loom can, and notes how many executions there were.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(Mutex::new(0_u64));
    let counted = executions.clone();
    let mut builder = Builder::new();
    builder.preemption_bound = None;
    builder.check(move || {
        *counted.lock().unwrap() += 1;
        model();
    });
    let executions = *executions.lock().unwrap();
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    weyr_kill::note(format_args!("loom {test}: {executions} executions, complete"));
    assert!(executions > 2, "nothing was explored");
}

/// Each tries once, and adds one where it gets in.
fn the_next_owner_sees_what_the_last_one_wrote<L: Kind>() {
    explore(|| {
        let shared = Arc::new((L::zeroed(), AtomicU64::new(0)));
        let add = |number: u16, (lock, sum): &(L, AtomicU64)| {
            let me = Thread::new(number);
            let Ok(guard) = lock.try_acquire(&me) else { return 0 };
            sum.store(sum.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            drop(guard);
            1
        };
        let theirs = shared.clone();
        let other = thread::spawn(move || add(2, &theirs));
        let inside = add(1, &shared) + other.join().unwrap();
        let me = Thread::new(3);
        let _guard = shared.0.try_acquire(&me).unwrap();
        assert_eq!(shared.1.load(Ordering::Relaxed), inside);
    });
}

/// One releases while the other is about to sleep: it does not, or is called, or has the lock at last.
fn nobody_sleeps_beside_a_free_lock<L: Kind>() {
    explore(|| {
        let shared = Arc::new((L::zeroed(), AtomicU64::new(0)));
        let owner = Thread::new(1);
        let guard = shared.0.acquire(&owner).unwrap();
        let theirs = shared.clone();
        let waiter = thread::spawn(move || {
            let (lock, sum) = &*theirs;
            let me = Thread::new(2);
            let got = match lock.acquire_until(&me, me.now + Duration::from_millis(1)) {
                Ok(guard) => {
                    assert_eq!(sum.load(Ordering::Relaxed), 1, "what the last owner wrote");
                    drop(guard);
                    true
                }
                Err(error) => {
                    assert_eq!(error, LockError::Timeout);
                    false
                }
            };
            let slept = *me.slept.0.lock().unwrap();
            (got, slept)
        });
        shared.1.store(1, Ordering::Relaxed);
        guard.release().unwrap();
        let (got, slept) = waiter.join().unwrap();
        let (lock, _) = &*shared;
        if let Some(value) = slept {
            assert!(got || lock.sleeps_on().load(Ordering::SeqCst) != value, "it would sleep for ever");
        }
        assert!(got || slept.is_some());
        assert_eq!((lock.owner(), lock.verify()), (None, vec![]));
        assert_eq!(lock.owner_word().load(Ordering::SeqCst), 0);
    });
}

macro_rules! kinds {
    ($($kind:ident: $lock:ty),*) => {$(
        mod $kind {
            use super::*;

            #[test]
            fn the_next_owner_sees_what_the_last_one_wrote() {
                super::the_next_owner_sees_what_the_last_one_wrote::<$lock>();
            }

            #[test]
            fn nobody_sleeps_beside_a_free_lock() {
                super::nobody_sleeps_beside_a_free_lock::<$lock>();
            }
        }
    )*};
}

kinds!(greedy: GreedyLock, fifo: Small);
