//! The lock that is handed on in the order in which it was asked for, with a cache line for each of 63 who wait.
//!
//! The protocol, and what its order is, is in [`queue`](super::queue); what it costs is 4 KiB a lock. Beyond 63 at once,
//! who comes waits for a place, in no order.
//!
//! Source: Dragon, `DRAGON_LOCK_FIFO`.

use weyr_atomic::{AtomicU32, AtomicU64};

use super::Queued;
use super::queue::{Place, Queue};

/// How many wait in order at most.
const PLACES: usize = 63;

crate::layout! {
    /// A place in the queue of a `FifoLock`, on a cache line of its own.
    pub struct FifoPlace: 64, align 64 {
        /// Who waits here: `state:2 | zero:6 | process:16 | epoch:28 | zero:12`; zero: nobody. Changed by compare-exchange, by its holder, by who passes it, and by anybody once the holder is dead.
        0 => word: AtomicU64,
        /// Its ticket; written by the holder before it is WAITING.
        8 => ticket: AtomicU64,
        /// Event word on which the holder sleeps.
        16 => call: AtomicU32,
        /// Zero.
        20 => reserved: [AtomicU32; 11],
    }
}

crate::layout! {
    /// A lock that is handed on in order. All zero: free, and nobody waits.
    pub struct FifoLock: 4096, align 64 {
        /// Who has it: `state:2 | waiters:1 | suspect:1 | zero:4 | process or place:16 | epoch or ticket:28 | zero:12`; zero: free. Changed by compare-exchange.
        0 => owner: AtomicU64,
        /// The next ticket; each who wants to wait adds one.
        8 => next_ticket: AtomicU64,
        /// Event word of those who wait for a place.
        16 => room: AtomicU32,
        /// Zero.
        20 => reserved: [AtomicU32; 11],
        /// The places of those who wait, lowest first.
        64 => places: [FifoPlace; 63],
    }
}

impl Place for FifoPlace {
    fn word(&self) -> &AtomicU64 {
        &self.word
    }

    fn ticket(&self) -> &AtomicU64 {
        &self.ticket
    }

    fn call(&self) -> &AtomicU32 {
        &self.call
    }
}

impl FifoLock {
    /// How many wait in order at most; who comes then waits for a place first.
    pub const PLACES: usize = PLACES;
}

impl Queued for FifoLock {
    type Place = FifoPlace;

    #[inline]
    fn queue(&self) -> Queue<'_, FifoPlace> {
        Queue { owner: &self.owner, next_ticket: &self.next_ticket, room: &self.room, places: &self.places }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use weyr_atomic::Ordering;

    use super::*;
    use crate::lock::word::{OwnerState, OwnerWord, PlaceWord};
    use crate::lock::{Lock as _, Participant};
    use crate::{Actor, KernelFutex, Zeroed as _};

    const ARMED: u32 = 1;

    struct Thread(u16);

    impl Participant for Thread {
        type Futex = KernelFutex;
        fn me(&self) -> Option<Actor> {
            Some(Actor { process: self.0, epoch: 0 })
        }
        fn is_dead(&self, _: Actor) -> bool {
            false
        }
        fn futex(&self) -> &KernelFutex {
            &KernelFutex
        }
    }

    #[test]
    fn who_is_handed_the_lock_is_woken_and_so_is_the_one_behind_it() {
        let lock = FifoLock::zeroed();
        let guard = lock.acquire(&Thread(9)).unwrap();
        for (place, ticket) in [(0, 7), (1, 6), (3, 5)] {
            let waiting = &lock.places[place];
            waiting.word.store(PlaceWord::waiting(Thread(place as u16).me().unwrap()).0, Ordering::Relaxed);
            waiting.ticket.store(ticket, Ordering::Relaxed);
            waiting.call.store(ARMED, Ordering::Relaxed);
        }
        lock.next_ticket.store(8, Ordering::Relaxed);
        let own = lock.owner.load(Ordering::Relaxed);
        lock.owner.store(OwnerWord(own).with_waiters(true).0, Ordering::Relaxed);
        guard.release().unwrap();
        assert_eq!(OwnerWord(lock.owner.load(Ordering::Relaxed)).state(), OwnerState::Handed(3, 5));
        let sleeps = |place: usize| lock.places[place].call.load(Ordering::Relaxed) & ARMED != 0;
        assert_eq!([sleeps(0), sleeps(1), sleeps(3)], [true, false, false]);
    }
}
