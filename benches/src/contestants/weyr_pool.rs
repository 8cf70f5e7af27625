//! Our managed pool, through its public calls: memory that is freed by dropping it.

use weyr_managed::{Allocation, Error, Mode, Pool};

use super::allocator::Allocator;
use crate::Result;

#[derive(Debug)]
pub(crate) struct WeyrPool(pub(crate) Pool);

impl Allocator for WeyrPool {
    type Block = Allocation;
    type Error = Error;

    // Always: else what it returns is copied, several words by the piece and then by the pair, which the processor waits for.
    #[inline(always)]
    fn alloc(&self, bytes: usize) -> std::result::Result<Allocation, Error> {
        self.0.alloc(bytes as u64)
    }

    #[inline(always)]
    fn free(&self, block: Allocation) {
        drop(block);
    }

    fn place(block: &Allocation) -> u64 {
        block.reference().offset
    }

    fn check_empty(&self) -> Result<()> {
        let left = self.0.usage().total.blocks;
        if left != 0 {
            return Err(format!("{left} blocks are left in the pool").into());
        }
        sound(&self.0)
    }
}

/// Whether the pool's invariants hold; nobody may be using it.
pub(crate) fn sound(pool: &Pool) -> Result<()> {
    let verification = pool.verify(Mode::Quiesced);
    if verification.findings.is_empty() {
        return Ok(());
    }
    Err(format!("the pool is damaged: {:?}", verification.findings).into())
}
