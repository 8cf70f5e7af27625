//! Buffers: blocks of this pool that messages of a channel in **another** pool have.
//!
//! A block in flight is freed with its dead sender unless a channel of its own pool has it, and whoever recovers this
//! pool cannot ask the other. So a buffer is published before its message is sent: no death frees it, and the slot of
//! the other pool that names it is all that leads to it. Each change is one exchange of the block's word, from this
//! exact use of the block; what a slot names that has become something else is left alone.

use weyr_shared::{BlockReference, Payload};

use crate::allocation::explain;
use crate::heap::word::{BlockState, BlockWord};
use crate::{Allocation, Error, Pool};

impl Pool {
    /// Puts a block of this process in the hands of a slot in another pool. Commit point: its word.
    ///
    /// # Errors
    /// [`Error::WrongState`] when it is not this process's; [`Error::NotABlock`], [`Error::Stale`].
    pub fn lend_buffer(&self, reference: BlockReference) -> Result<(), Error> {
        self.attachment().share(reference, BlockState::Pool)
    }

    /// Makes a buffer this process's again, to be freed with it. Commit point: its word.
    ///
    /// # Errors
    /// [`Error::WrongState`], [`Error::NotABlock`], [`Error::Stale`] when it is no buffer any more.
    pub fn revert_buffer(&self, reference: BlockReference) -> Result<(), Error> {
        let process = self.actor()?.process;
        self.attachment().check_window(reference)?;
        let changed = self.attachment().heap.change_block(reference, |word| word.out_of_buffer(process));
        changed.map(|_| ()).map_err(|error| explain(error, reference, "taking a buffer"))
    }

    /// The same, with a handle on its first `bytes` bytes.
    ///
    /// # Errors
    /// As [`revert_buffer`](Self::revert_buffer); [`Error::OutOfRange`] when it is shorter: it stays a buffer then.
    pub fn take_buffer(&self, reference: BlockReference, bytes: u64) -> Result<Allocation, Error> {
        self.buffer(reference, 0, bytes)?;
        self.revert_buffer(reference)?;
        let attachment = self.attachment();
        Ok(Allocation::from_parts(attachment.lend(attachment), reference, bytes, self.cooperation()))
    }

    /// Frees a buffer. Commit point: its word.
    ///
    /// # Errors
    /// [`Error::WrongState`], [`Error::NotABlock`], [`Error::Stale`], [`Error::DoubleFree`] when it is no buffer any more.
    pub fn free_buffer(&self, reference: BlockReference) -> Result<(), Error> {
        let is_buffer = |word: BlockWord| word.state() == BlockState::Pool;
        self.attachment().free_shared(reference, is_buffer, "freeing a buffer")
    }

    /// Copies from `offset` of a buffer into the whole of `bytes`.
    ///
    /// # Errors
    /// [`Error::WrongState`], [`Error::Stale`], [`Error::NotABlock`] when it is no buffer any more;
    /// [`Error::OutOfRange`], [`Error::OutsideWindow`].
    pub fn read_buffer(&self, reference: BlockReference, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.buffer(reference, offset, bytes.len() as u64)?.read(0, bytes)?;
        Ok(())
    }

    /// The bytes in place. The holder of the slot alone may ask, and only as long as it holds it: that is part of
    /// what [`Cooperative`](weyr_shared::Cooperative) vouches for.
    ///
    /// # Errors
    /// As [`read_buffer`](Self::read_buffer), and [`Error::Payload`] unless the pool is cooperative.
    pub fn slice_buffer(&self, reference: BlockReference, offset: u64, bytes: u64) -> Result<&[u8], Error> {
        Ok(self.buffer(reference, offset, bytes)?.into_slice()?)
    }

    /// Whether the block is a buffer, in this use of it; mapped by this process or not.
    pub fn has_buffer(&self, reference: BlockReference) -> bool {
        let located = self.attachment().heap.locate(reference);
        located.is_ok_and(|block| block.seen.state() == BlockState::Pool)
    }

    fn buffer(&self, reference: BlockReference, offset: u64, bytes: u64) -> Result<Payload<'_>, Error> {
        let is_buffer = |state| state == BlockState::Pool;
        self.payload_of_slot(reference, offset, bytes, "reading a buffer", is_buffer)
    }
}
