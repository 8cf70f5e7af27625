//! Memory that changes hands: what a channel does with a block on the way of a message.
//!
//! While a message has a block its word is IN FLIGHT and names the sender. Taking is one compare-exchange to what the
//! block was before, owned by the receiver: the instant at which it changes hands. When the sender dies, the sweep
//! frees blocks in flight that no channel refers to; those in a channel are delivered.

use weyr_shared::BlockReference;

use crate::allocation::explain;
use crate::heap::word::{BlockState, BlockWord};
use crate::membership::attachment::Attachment;
use crate::{Allocation, Error, Pool, Published};

/// What a receiver took.
#[derive(Debug)]
pub enum Taken {
    /// It is this process's now.
    Owned(Allocation),
    /// It was published, and is the pool's again.
    Published(Published),
}

impl Pool {
    /// Puts a block of this process, or a published one, in the hands of a message. Commit point: its word.
    ///
    /// # Errors
    /// [`Error::WrongState`] when it is neither; [`Error::NotABlock`], [`Error::Stale`], [`Error::DoubleFree`].
    pub fn begin_transfer(&self, reference: BlockReference) -> Result<(), Error> {
        let process = self.actor()?.process;
        self.change(reference, "sending it", |word| word.sent_by(process))
    }

    /// Takes back what [`begin_transfer`](Self::begin_transfer) gave, when no message was made of it.
    ///
    /// # Errors
    /// [`Error::WrongState`] when it is not in flight from this process.
    pub fn revert_transfer(&self, reference: BlockReference) -> Result<(), Error> {
        let process = self.actor()?.process;
        self.change(reference, "taking it back", |word| {
            word.taken_by(process).filter(|_| word.actor() == process)
        })
    }

    /// Takes the block of a message of `bytes` bytes. Commit point: its word, the instant of taking.
    ///
    /// # Errors
    /// [`Error::WrongState`], [`Error::Stale`], [`Error::NotABlock`] when it is not in flight any more: somebody took
    /// it before. [`Error::OutOfRange`] when it is shorter than `bytes`, [`Error::OutsideWindow`] when this process has
    /// not mapped it; it stays in flight then.
    pub fn take_transfer(&self, reference: BlockReference, bytes: u64) -> Result<Taken, Error> {
        let process = self.actor()?.process;
        let attachment = self.attachment();
        attachment.check_window(reference)?;
        if let Ok(block) = attachment.heap.locate(reference)
            && bytes > block.bytes
        {
            return Err(Error::OutOfRange { offset: reference.offset, bytes, limit: block.bytes });
        }
        let changed = attachment.heap.change_block(reference, |word| word.taken_by(process));
        let was = changed.map_err(|error| explain(error, reference, "taking it"))?.state();
        let cooperative = self.cooperation();
        Ok(match was {
            BlockState::InFlightAlloc => Taken::Owned(Allocation::from_parts(
                attachment.lend(attachment),
                reference,
                bytes,
                cooperative,
            )),
            was => {
                let attachment = attachment.lend(attachment);
                let published = Published::original(attachment, reference, bytes, false, cooperative);
                let record = self.record_of(reference, was);
                Taken::Published(match record {
                    Some(record) => published.with_key(record.key),
                    None => published,
                })
            }
        })
    }

    /// Takes the block of a message that nobody keeps, mapped by this process or not: frees it, or makes it the pool's
    /// again if it was published. Commit point: its word, as in [`take_transfer`](Self::take_transfer).
    ///
    /// # Errors
    /// [`Error::WrongState`], [`Error::Stale`], [`Error::NotABlock`] when it is not in flight any more.
    pub fn discard_transfer(&self, reference: BlockReference) -> Result<(), Error> {
        let process = self.actor()?.process;
        let discarded = self.attachment().free_message(reference, process)?;
        discarded.map_err(|error| explain(error, reference, "freeing it"))
    }

    /// Forgets an allocation whose message was sent: it is the channel's.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn end_transfer(&self, allocation: Allocation) -> Result<(), Error> {
        let (attachment, _, _) = allocation.into_parts()?;
        Attachment::give_back(attachment);
        Ok(())
    }

    /// Whether a message has the block that `reference` means, mapped by this process or not.
    pub fn is_in_flight(&self, reference: BlockReference) -> bool {
        self.attachment().heap.is_in_flight(reference)
    }

    fn change(
        &self,
        reference: BlockReference,
        action: &'static str,
        judge: impl Fn(BlockWord) -> Option<BlockWord>,
    ) -> Result<(), Error> {
        self.attachment().check_window(reference)?;
        let changed = self.attachment().heap.change_block(reference, judge);
        changed.map(|_| ()).map_err(|error| explain(error, reference, action))
    }
}
