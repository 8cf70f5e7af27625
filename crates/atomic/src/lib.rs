//! Atomics facade of weyr: one source, four faces (std, loom, crash, explore).
pub use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, compiler_fence, fence};
