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
