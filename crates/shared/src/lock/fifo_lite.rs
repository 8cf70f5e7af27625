//! The lock that is handed on in order, for those of which there are many: 384 bytes, and 15 who wait in order.
//!
//! The protocol is that of [`FifoLock`](super::FifoLock); the places lie close together, so that who waits and who
//! hands over look at few cache lines, and share them. Beyond 15 at once, who comes waits for a place, in no order.
//!
//! Source: Dragon, `DRAGON_LOCK_FIFO_LITE`.

use weyr_atomic::{AtomicU32, AtomicU64};

use super::Queued;
use super::queue::{Place, Queue};

/// How many wait in order at most.
const PLACES: usize = 15;

crate::layout! {
    /// A place in the queue of a `FifoLiteLock`.
    pub struct FifoLitePlace: 24, align 8 {
        /// Who waits here: `state:2 | zero:6 | process:16 | epoch:28 | zero:12`; zero: nobody. Changed by compare-exchange, by its holder, by who passes it, and by anybody once the holder is dead.
        0 => word: AtomicU64,
        /// Its ticket; written by the holder before it is WAITING.
        8 => ticket: AtomicU64,
        /// Event word on which the holder sleeps.
        16 => call: AtomicU32,
        /// Zero.
        20 => reserved: AtomicU32,
    }
}

crate::layout! {
    /// A small lock that is handed on in order. All zero: free, and nobody waits.
    pub struct FifoLiteLock: 384, align 8 {
        /// Who has it: `state:2 | waiters:1 | suspect:1 | zero:4 | process or place:16 | epoch or ticket:28 | zero:12`; zero: free. Changed by compare-exchange.
        0 => owner: AtomicU64,
        /// The next ticket; each who wants to wait adds one.
        8 => next_ticket: AtomicU64,
        /// Event word of those who wait for a place.
        16 => room: AtomicU32,
        /// Zero.
        20 => reserved: AtomicU32,
        /// The places of those who wait, lowest first.
        24 => places: [FifoLitePlace; 15],
    }
}

impl Place for FifoLitePlace {
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

impl FifoLiteLock {
    /// How many wait in order at most; who comes then waits for a place first.
    pub const PLACES: usize = PLACES;
}

impl Queued for FifoLiteLock {
    type Place = FifoLitePlace;

    #[inline]
    fn queue(&self) -> Queue<'_, FifoLitePlace> {
        Queue { owner: &self.owner, next_ticket: &self.next_ticket, room: &self.room, places: &self.places }
    }
}
