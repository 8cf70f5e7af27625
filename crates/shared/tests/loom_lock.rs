//! Locks under the C11 memory model: what is protected is seen by the next owner, and nobody sleeps beside a lock that
//! is free. Two threads, on the product's own code.
#![cfg(weyr_face = "loom")]

mod two_threads;

use two_threads::{Thread, explore};
use weyr_atomic::loom::sync::Arc;
use weyr_atomic::loom::thread;
use weyr_atomic::{AtomicU32, AtomicU64, Ordering, Zeroed};
use weyr_shared::lock::queue::Queue;
use weyr_shared::lock::{FifoLitePlace, GreedyLock, Lock, Queued};

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

/// A kind of lock.
trait Kind: Lock + Zeroed + Send + Sync + 'static {}

impl Kind for GreedyLock {}
impl Kind for Small {}

/// Each tries once, and adds one where it gets in.
fn the_next_owner_sees_what_the_last_one_wrote<L: Kind>() {
    explore(|| {
        let shared = Arc::new((L::zeroed(), AtomicU64::new(0)));
        let add = |number: u16, (lock, sum): &(L, AtomicU64)| {
            let me = Thread(number);
            let Ok(guard) = lock.try_acquire(&me) else { return 0 };
            sum.store(sum.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            drop(guard);
            1
        };
        let theirs = shared.clone();
        let other = thread::spawn(move || add(2, &theirs));
        let inside = add(1, &shared) + other.join().unwrap();
        let me = Thread(3);
        let _guard = shared.0.try_acquire(&me).unwrap();
        assert_eq!(shared.1.load(Ordering::Relaxed), inside);
    });
}

/// One releases while the other is about to sleep: it does not, or is called.
fn nobody_sleeps_beside_a_free_lock<L: Kind>() {
    explore(|| {
        let shared = Arc::new((L::zeroed(), AtomicU64::new(0)));
        let owner = Thread(1);
        let guard = shared.0.acquire(&owner).unwrap();
        let theirs = shared.clone();
        let waiter = thread::spawn(move || {
            let (lock, sum) = &*theirs;
            let me = Thread(2);
            let _guard = lock.acquire(&me).unwrap();
            assert_eq!(sum.load(Ordering::Relaxed), 1, "what the last owner wrote");
        });
        shared.1.store(1, Ordering::Relaxed);
        guard.release().unwrap();
        waiter.join().unwrap();
        let (lock, _) = &*shared;
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
