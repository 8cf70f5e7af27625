//! What every allocator here can do.

use std::error::Error;

use crate::Result;

/// Allocates and frees.
pub(crate) trait Allocator {
    /// What was allocated; given to `free` once, in any thread.
    type Block: Send + 'static;

    /// Its own error, so that nothing is converted where time is taken.
    type Error: Into<Box<dyn Error>>;

    /// Does not touch the memory.
    fn alloc(&self, bytes: usize) -> std::result::Result<Self::Block, Self::Error>;

    fn free(&self, block: Self::Block);

    /// A number that no other live block has.
    fn place(block: &Self::Block) -> u64;

    /// Whether all is freed, as far as it can tell.
    fn check_empty(&self) -> Result<()> {
        Ok(())
    }
}

/// What malloc and its like say when they have no memory.
#[derive(Debug)]
pub(crate) struct NoMemory;

impl From<NoMemory> for Box<dyn Error> {
    fn from(_: NoMemory) -> Self {
        "the allocator has no memory".into()
    }
}
