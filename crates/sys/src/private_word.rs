//! A word of this process alone: caches and flags in statics.
//!
//! The facade's atomics stand for shared memory, and under its modelling faces they are objects of a model that
//! cannot live in a static. These words are never in shared memory and no model looks at them, so they are the
//! machine's own under every face.

#![allow(clippy::disallowed_types, reason = "process-private statics: see the head of this file")]

use core::sync::atomic::{AtomicU64, Ordering};

/// A private 64-bit word. Every operation is sequentially consistent unless it says otherwise: none is hot.
#[repr(transparent)]
pub(crate) struct PrivateWord(AtomicU64);

impl PrivateWord {
    pub(crate) const fn new(value: u64) -> PrivateWord {
        PrivateWord(AtomicU64::new(value))
    }

    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Acquire: pairs with the exchange that published what the word stands for.
    pub(crate) fn load_acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn store(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }

    /// Changes `from` to `to`; on failure gives the value that was there.
    pub(crate) fn exchange(&self, from: u64, to: u64) -> Result<(), u64> {
        self.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).map(drop)
    }
}
