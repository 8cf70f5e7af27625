//! What holds of every kind of lock: one suite, one line a kind.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod cast;
mod every_kind;
mod queued;

use weyr_shared::lock::{FifoLiteLock, FifoLock, GreedyLock};

/// The suite for one kind. A kind with a queue holds more.
macro_rules! kinds {
    ($($kind:ident: $lock:ty $(, $queued:ident)?;)*) => {$(
        mod $kind {
            use super::*;
            every_kind::suite!($lock);
            $($queued::suite!($lock);)?
        }
    )*};
}

kinds! {
    greedy: GreedyLock;
    fifo: FifoLock, queued;
    fifo_lite: FifoLiteLock, queued;
}
