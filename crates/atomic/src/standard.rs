//! The std face: the atomics of `core`, by alias.
//!
//! Aliases and not re-exports, because clippy's ban on the raw types follows a re-export to its origin and would
//! flag every user of the facade.

use core::sync::atomic::{self, Ordering};

/// An 8-bit atomic of `core`: one byte, all-zero bytes are zero.
pub type AtomicU8 = atomic::AtomicU8;
/// A 32-bit atomic of `core`: four bytes, all-zero bytes are zero; the word of a futex.
pub type AtomicU32 = atomic::AtomicU32;
/// A 64-bit atomic of `core`: eight bytes, all-zero bytes are zero.
pub type AtomicU64 = atomic::AtomicU64;

/// A fence of the processor and the compiler; panics for `Relaxed`, as the one of `core` does.
#[inline]
pub fn fence(order: Ordering) {
    atomic::fence(order);
}

/// A fence of the compiler alone; emits no instruction.
#[inline]
pub fn compiler_fence(order: Ordering) {
    atomic::compiler_fence(order);
}

/// Hints to the processor.
pub mod hint {
    /// Tells the processor that the caller polls a value; does not block.
    #[inline]
    pub fn spin_loop() {
        core::hint::spin_loop();
    }
}

/// What a thread may say to the scheduler.
pub mod thread {
    /// Offers the processor to another thread; returns at once when there is none.
    #[inline]
    pub fn yield_now() {
        std::thread::yield_now();
    }
}
