//! The crash face: real atomics, and a counter that every shared write passes first.
//!
//! A test counts the writes of an operation ([`arm`] with 0, run, [`disarm`]), then runs it once for each of them
//! with an action that ends the process or panics, and lets the others go on. The action runs just *before* the
//! write: death before the first write, between any two, and (a run without action) after the last are all covered.
//!
//! A write is a `store`, a `swap`, a `fetch_*`, and a `compare_exchange` whether or not it succeeds: a failing one is
//! a point at which the process can die as well, and counting it keeps the numbering independent of the outcome.
//! Loads and fences are not points: a death there is a death before the next write.
//!
//! Only the writes of the thread that armed count; other threads, and copies of payload that do not pass the facade,
//! are not seen. What this face does not do: it kills nobody (the action does) and it reorders nothing.

use core::cell::Cell;
use core::sync::atomic::{self, Ordering};

/// What the arming thread asked for and how far it got.
#[derive(Clone, Copy)]
struct Fuse {
    /// Writes since `arm`.
    writes: u64,
    /// The write before which `action` runs, counted from 1; 0: none.
    at: u64,
    /// Runs once; `None`: not armed.
    action: Option<fn()>,
}

thread_local! {
    static FUSE: Cell<Fuse> = const { Cell::new(Fuse { writes: 0, at: 0, action: None }) };
}

/// Counts this thread's shared writes from zero and calls `action` just before the `k`-th of them, counted from 1.
/// With `k` = 0 the writes are only counted. When `action` returns, the write happens and counting goes on.
///
/// Replaces what was armed before in this thread. Other threads are unaffected.
pub fn arm(k: u64, action: fn()) {
    FUSE.set(Fuse { writes: 0, at: k, action: Some(action) });
}

/// Stops counting in this thread and returns the number of writes since [`arm`]; below its `k` the action never ran.
pub fn disarm() -> u64 {
    FUSE.set(Fuse { action: None, ..FUSE.get() });
    writes()
}

/// Shared writes that this thread made (or was about to make, inside the action) since it called [`arm`]; after
/// [`disarm`] the last count stays readable.
#[must_use = "zero means that the operation under test made no shared write and the sweep tested nothing"]
pub fn writes() -> u64 {
    FUSE.get().writes
}

/// Passed by every shared write before it happens.
#[inline]
fn before_write() {
    let Some((fuse, action)) = FUSE.get().action.map(|action| (FUSE.get(), action)) else { return };
    let writes = fuse.writes + 1;
    FUSE.set(Fuse { writes, ..fuse });
    if writes == fuse.at {
        action();
    }
}

/// A fence of the processor and the compiler; not a write.
#[inline]
pub fn fence(order: Ordering) {
    atomic::fence(order);
}

/// A fence of the compiler alone.
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

macro_rules! counted_read_modify_writes {
    ($value:ident: $($method:ident),*) => {$(
        /// As in `core`; counted as one write.
        #[inline]
        pub fn $method(&self, value: $value, order: Ordering) -> $value {
            before_write();
            self.0.$method(value, order)
        }
    )*};
}

macro_rules! counted_atomic {
    ($name:ident, $value:ident) => {
        /// The atomic of `core` of the same name, its writes counted; same size and bytes.
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name(atomic::$name);

        impl $name {
            /// An atomic that holds `value`; creating it is not a shared write.
            #[inline]
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            /// As in `core`; not a write.
            #[inline]
            pub fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }

            /// As in `core`; counted as one write.
            #[inline]
            pub fn store(&self, value: $value, order: Ordering) {
                before_write();
                self.0.store(value, order);
            }

            /// As in `core`; counted as one write, also when it fails.
            ///
            /// # Errors
            ///
            /// The value found, when it was not `current`.
            #[inline]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                before_write();
                self.0.compare_exchange(current, new, success, failure)
            }

            /// As in `core`; counted as one write, also when it fails.
            ///
            /// # Errors
            ///
            /// The value found; it may be `current`.
            #[inline]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                before_write();
                self.0.compare_exchange_weak(current, new, success, failure)
            }

            counted_read_modify_writes!($value: swap, fetch_add, fetch_sub, fetch_or, fetch_and, fetch_max);
        }
    };
}

counted_atomic!(AtomicU8, u8);
counted_atomic!(AtomicU32, u32);
counted_atomic!(AtomicU64, u64);
