//! What a channel asks of the pool in which it lies, beyond the transfer of blocks.

use weyr_shared::BlockReference;

use crate::allocation::explain;
use crate::heap::word::SlotState;
use crate::heap::{ChangeError, Liveness as _};
use crate::{Allocation, Error, Pool, Recovered};

impl Pool {
    /// Whether `allocation` lies in this pool.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn has(&self, allocation: &Allocation) -> Result<bool, Error> {
        Ok(allocation.attachment()?.uuid == self.uuid())
    }

    /// Copies `bytes` bytes from `offset` of a block that a message has. Its holder alone may ask.
    ///
    /// # Errors
    /// [`Error::WrongState`], [`Error::Stale`], [`Error::NotABlock`] when no message has it; [`Error::OutOfRange`].
    pub fn peek_transfer(
        &self,
        reference: BlockReference,
        offset: u64,
        bytes: u64,
    ) -> Result<Vec<u8>, Error> {
        let attachment = self.attachment();
        let refused = |error| explain(error, reference, "reading a message");
        let located = attachment.heap.locate(reference);
        let block = located.map_err(|missing| refused(ChangeError::Missing(missing)))?;
        if !block.seen.state().is_in_flight() {
            return Err(refused(ChangeError::Refused(block.seen.state())));
        }
        if offset.checked_add(bytes).is_none_or(|end| end > block.bytes) {
            return Err(Error::OutOfRange { offset, bytes, limit: block.bytes });
        }
        let mut copy = vec![0; bytes as usize];
        attachment.data.copy_out(reference.offset + offset, &mut copy)?;
        Ok(copy)
    }

    /// Whether the user of process slot `process` in the epoch with these low 8 bits is no more: dead, recovered, or
    /// followed by another. May ask the kernel; does not wait.
    pub fn is_dead(&self, process: u16, epoch: u8) -> bool {
        let attachment = self.attachment();
        if usize::from(process) >= attachment.heap.processes.len() {
            return false;
        }
        let word = attachment.heap.process_word(process);
        match word.state() {
            SlotState::Free | SlotState::Recovering => true,
            SlotState::Active if word.epoch() as u8 != epoch => true,
            SlotState::Active => attachment.liveness().process_is_dead(process, word),
            SlotState::Unknown => false,
        }
    }

    /// Recovers process slot `process` if its user is dead, as [`recover`](Self::recover) does all of them.
    pub fn recover_process(&self, process: u16) -> Recovered {
        let attachment = self.attachment();
        let recovered = attachment.with_lane(|own, _| {
            attachment.heap.recover_process(own, process, &attachment.liveness(), &attachment.channels())
        });
        attachment.free_destroyed_channels();
        recovered.unwrap_or_default()
    }
}
