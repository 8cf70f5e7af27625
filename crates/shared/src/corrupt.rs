//! The one error that a look into shared memory can give.

/// A place in shared memory does not hold what it must.
///
/// Nothing was changed. The object that contains it should be verified and repaired, or discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at offset {offset:#x} is corrupt; verify the pool, then repair or destroy it")]
pub struct Corrupt {
    /// What was being looked at, in the words of the layout.
    pub what: &'static str,
    /// Byte offset in the object.
    pub offset: u64,
}

impl Corrupt {
    /// Names `what` at `offset` (bytes from the start of the object).
    pub const fn new(what: &'static str, offset: u64) -> Self {
        Self { what, offset }
    }
}
