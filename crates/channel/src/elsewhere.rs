//! Side-loading into another pool than the channel's own.
//!
//! The sender allocates and fills before it claims a slot. In the slot it writes the reference, and then lends the
//! block to the slot: **published**, so that its own death no longer frees it, while the slot alone leads to it. A
//! receiver copies the bytes out, frees the block, marks the slot as spent and empties it, in that order. **Taken** is
//! such a message by the change of the block's word.
//!
//! | who dies | leaves | who ends it |
//! | --- | --- | --- |
//! | a sender before it has lent the block | a block of its own | recovery of the buffer pool |
//! | a sender between lending and FULL | an empty slot that names the block | the next sender of the slot; whoever attaches, buries a dead one or waits for memory; the channel's end |
//! | a receiver before it has freed the block | the message, to be delivered again | the next receiver |
//! | a receiver between freeing and EMPTY | a message without a block, returned | the next receiver, which leaves it out |
//!
//! What a slot may and may not name: `weyr_shared`, `ring/buffers.rs`.

use weyr_shared::{BlockReference, MessageKind, MessageReference, Ring};

use crate::attached::Attached;
use crate::channel::Shared;
use crate::host::Host;
use crate::receive::Taken;
use crate::send::{Claim, Outgoing};
use crate::{Content, Error};

/// Bytes in a block of the buffer pool that this process has filled; the caller forgets it once the message is sent.
#[derive(Debug, Clone, Copy)]
pub struct Elsewhere(pub MessageReference);

impl<H: Host> Outgoing<H> for Elsewhere {
    fn fill(&self, host: &H, ring: &Ring, claim: Claim) -> Result<(), Error> {
        ring.write_elsewhere(claim.index(), claim.sender(), &self.0)?;
        host.lend_buffer(self.0.block)
    }

    fn take_back(&self, host: &H) -> Result<(), Error> {
        host.revert_buffer(self.0.block)
    }

    fn bytes_copied(&self) -> u64 {
        self.0.view_len
    }
}

impl<H: Host> Attached<H> {
    /// Frees what a dead sender has left in a slot that this process holds in FILLING.
    #[cold]
    pub(crate) fn end_leftover(&self, index: u32) -> Result<(), Error> {
        match self.ring.elsewhere(index)? {
            Some(message) => {
                let _never_lent_or_freed_before = self.host.free_buffer(message.block);
                Ok(self.ring.spend(index)?)
            }
            None => Ok(()),
        }
    }

    /// Frees what dead senders have left in slots that nobody holds.
    pub(crate) fn free_leftovers(&self) {
        if !self.ring.has_buffer_pool() {
            return;
        }
        for block in self.ring.leftovers() {
            let _never_lent_or_freed_before = self.host.free_buffer(block);
        }
    }

    /// Frees the block of a message that this process holds; then the slot no longer names it.
    pub(crate) fn discard_buffer(&self, index: u32, block: BlockReference) -> Result<(), Error> {
        let freed = self.host.free_buffer(block);
        self.ring.spend(index)?;
        freed
    }

    /// Whether a message that is delivered again was received before: its receiver died behind the change of the
    /// block's word. Whoever repairs the channel cannot ask that of the buffer pool.
    #[cold]
    pub(crate) fn is_received(&self, taken: &Taken) -> Result<bool, Error> {
        if self.ring.description(taken.index)?.kind != MessageKind::Elsewhere {
            return Ok(false);
        }
        match self.ring.elsewhere(taken.index)? {
            Some(message) if self.host.has_buffer(message.block) => Ok(false),
            _ => {
                self.ring.spend(taken.index)?;
                Ok(true)
            }
        }
    }
}

impl Shared {
    /// Takes the block of a message out of the buffer pool: it is this process's, and the slot no longer names it.
    pub(crate) fn take_elsewhere(&self, taken: &Taken) -> Result<Content, Error> {
        let message = self.attached.reference(taken)?;
        let allocation = self.attached.host().take_buffer(&message)?;
        // Before its user can do anything with it, publish it above all.
        self.attached.ring().spend(taken.index)?;
        let view = message.view_offset..message.view_offset.saturating_add(message.view_len);
        Ok(Content::Allocation { allocation, view })
    }
}
