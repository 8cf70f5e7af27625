//! A word of this process alone: caches and flags in statics.
//!
//! The facade's atomics stand for shared memory, and under its modelling faces they are objects of a model that
//! cannot live in a static. These words are never in shared memory and no model looks at them, so they are the
//! machine's own under every face.

#![allow(clippy::disallowed_types, reason = "process-private statics: see the head of this file")]

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

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
    #[inline(always)]
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

/// Which of several private words is meant.
pub(crate) struct PrivatePlace(AtomicPtr<PrivateWord>);

impl PrivatePlace {
    pub(crate) const fn new(word: &'static PrivateWord) -> PrivatePlace {
        PrivatePlace(AtomicPtr::new(ptr::from_ref(word).cast_mut()))
    }

    /// Acquire: pairs with the exchange that made this word the one.
    #[inline(always)]
    pub(crate) fn word(&self) -> &'static PrivateWord {
        // SAFETY: only references for ever are stored here.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }

    /// Changes `from` to `to`; on failure gives the word that was meant.
    pub(crate) fn exchange(
        &self,
        from: &'static PrivateWord,
        to: &'static PrivateWord,
    ) -> Result<(), &'static PrivateWord> {
        let pointers = [from, to].map(|word| ptr::from_ref(word).cast_mut());
        let changed = self.0.compare_exchange(pointers[0], pointers[1], Ordering::SeqCst, Ordering::SeqCst);
        // SAFETY: as above.
        changed.map(drop).map_err(|other| unsafe { &*other })
    }
}
