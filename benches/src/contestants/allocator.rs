//! What every allocator here can do.

use crate::Result;

/// Allocates and frees.
pub(crate) trait Allocator {
    /// What was allocated; given to `free` once, in any thread.
    type Block: Send + 'static;

    /// Does not touch the memory.
    fn alloc(&self, bytes: usize) -> Result<Self::Block>;

    fn free(&self, block: Self::Block);

    /// A number that no other live block has.
    fn place(block: &Self::Block) -> u64;

    /// Whether all is freed, as far as it can tell.
    fn check_empty(&self) -> Result<()> {
        Ok(())
    }
}
