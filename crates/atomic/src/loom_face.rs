//! The loom face: the types of loom 0.7, whose scheduler explores what the C11 model allows.
//!
//! loom's atomics register with the model that runs, so they exist only inside `loom::model` and must be
//! constructed. A compiler fence is nothing to loom: it orders no thread against another.

pub use ::loom;
pub use ::loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, fence};

use core::sync::atomic::Ordering;

/// Nothing: loom neither reorders as a compiler does nor interrupts as a signal does.
#[inline]
pub fn compiler_fence(_order: Ordering) {}

/// Hints to the processor.
pub mod hint {
    pub use ::loom::hint::spin_loop;
}

/// What a thread may say to the scheduler.
pub mod thread {
    pub use ::loom::thread::yield_now;
}
