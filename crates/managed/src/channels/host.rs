//! What a channel asks of the pool in which it lies, beyond the transfer of blocks.

use weyr_shared::BlockReference;
use weyr_shared::Payload;

use crate::allocation::explain;
use crate::heap::word::{BlockState, SlotState};
use crate::heap::{ChangeError, Liveness as _};
use crate::{Allocation, BufferPool, Error, Pool, Recovered};

impl Pool {
    /// Whether `allocation` lies in this pool.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn has(&self, allocation: &Allocation) -> Result<bool, Error> {
        Ok(allocation.attachment()?.uuid == self.uuid())
    }

    /// Copies from `offset` of a block that a message has, or of a frozen one, into the whole of `bytes`. Its holder alone may ask.
    ///
    /// # Errors
    /// [`Error::WrongState`], [`Error::Stale`], [`Error::NotABlock`] when no message has it; [`Error::OutOfRange`].
    pub fn read_transfer(
        &self,
        reference: BlockReference,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), Error> {
        self.payload_of_message(reference, offset, bytes.len() as u64)?.read(0, bytes)?;
        Ok(())
    }

    /// The bytes in place of a block that a message has, or of a frozen one. Its holder alone may ask, and only as long as it holds it:
    /// that is part of what [`Cooperative`](weyr_shared::Cooperative) vouches for.
    ///
    /// # Errors
    /// As [`read_transfer`](Self::read_transfer), and [`Error::Payload`] unless the pool is cooperative.
    pub fn slice_transfer(&self, reference: BlockReference, offset: u64, bytes: u64) -> Result<&[u8], Error> {
        Ok(self.payload_of_message(reference, offset, bytes)?.into_slice()?)
    }

    fn payload_of_message(
        &self,
        reference: BlockReference,
        offset: u64,
        bytes: u64,
    ) -> Result<Payload<'_>, Error> {
        let has_message = |state: BlockState| state.is_in_flight() || state == BlockState::Frozen;
        self.payload_of_slot(reference, offset, bytes, "reading a message", has_message)
    }

    /// Bytes of a block that the slot of a channel names, of this pool or another, if its state is as it must be.
    pub(crate) fn payload_of_slot(
        &self,
        reference: BlockReference,
        offset: u64,
        bytes: u64,
        action: &'static str,
        allowed: impl Fn(BlockState) -> bool,
    ) -> Result<Payload<'_>, Error> {
        let attachment = self.attachment();
        let refused = |error| explain(error, reference, action);
        attachment.check_window(reference)?;
        let located = attachment.heap.locate(reference);
        let block = located.map_err(|missing| refused(ChangeError::Missing(missing)))?;
        if !allowed(block.seen.state()) {
            return Err(refused(ChangeError::Refused(block.seen.state())));
        }
        if offset.checked_add(bytes).is_none_or(|end| end > block.bytes) {
            return Err(Error::OutOfRange { offset, bytes, limit: block.bytes });
        }
        Ok(Payload::new(&attachment.data, reference.offset + offset, bytes, self.cooperation())?)
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
        attachment.free_destroyed_channels(BufferPool::known);
        recovered.unwrap_or_default()
    }
}
