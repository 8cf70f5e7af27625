//! An operation that ends before its k-th shared write, as if its process had been killed there.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use weyr_atomic::crash;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Died {
    /// Before the write.
    Before,
    /// It came to its end, and has fewer writes.
    Never,
}

/// Runs `operation` up to its `write`-th shared write, counted from 1.
pub(crate) fn until(write: u64, operation: impl FnOnce()) -> Died {
    // Unwinding that no hook tells of. What it drops writes nothing: the structures have no guards.
    crash::arm(write, || resume_unwind(Box::new(crash::writes())));
    let end = catch_unwind(AssertUnwindSafe(operation));
    crash::disarm();
    match end {
        Ok(()) => Died::Never,
        Err(cause) if cause.is::<u64>() => Died::Before,
        Err(cause) => resume_unwind(cause),
    }
}
