//! What a message says beyond its payload: who sent it, as which of its messages, and what its sender hints at.
//!
//! It stands in the last 48 bytes of a slot, in channels that were made with room for it, and only a flag of the
//! description says that it is there: channels without it never touch that memory. Written before FULL by who fills the
//! slot, read by who holds it, or by who peeks and then finds the slot's word unchanged.

use weyr_atomic::{AtomicU64, Ordering};

use super::{ATTRIBUTE_BYTES, MessageReference, Ring};
use crate::{Corrupt, Description, MessageKind, SLOT_HEAD_BYTES};

crate::layout! {
    /// Message attributes: the last 48 bytes of a slot, where the channel's flag gives them room.
    pub struct SlotExtension: 48, align 8 {
        /// Low half of the id of the handle that sent the message; written, as all here, before FULL.
        0 => handle_low: AtomicU64,
        /// High half of that id.
        8 => handle_high: AtomicU64,
        /// The user's number for the client on whose behalf the message was sent; zero: none given.
        16 => client_id: AtomicU64,
        /// Bits that mean something to sender and receiver only; zero: none given.
        24 => hints: AtomicU64,
        /// Which message of its handle this is, from 1 on.
        32 => sequence: AtomicU64,
        /// Where the sender counts what was received; reserved, zero in this version.
        40 => counter: AtomicU64,
    }
}

/// What a message says of itself beside its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MessageAttributes {
    /// Id of the handle that sent it: random, another one for each sender, and in each forked child.
    pub handle: u128,
    /// The user's number for the client on whose behalf it was sent; 0 where none was given.
    pub client_id: u64,
    /// Bits that mean something to sender and receiver only; 0 where none were given.
    pub hints: u64,
    /// Which message of its handle it is, from 1 on, without gaps as long as one thread uses the handle.
    pub sequence: u64,
}

impl Ring {
    /// Whether slots have room for message attributes.
    #[inline]
    pub fn has_attributes(&self) -> bool {
        self.geometry.attributes
    }

    /// Adds attributes to the message in slot `index`, which the caller has written and holds in FILLING.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or slots without room for them.
    pub fn write_attributes(&self, index: u32, attributes: &MessageAttributes) -> Result<(), Corrupt> {
        let extension = self.extension(index)?;
        extension.handle_low.store(attributes.handle as u64, Ordering::Relaxed);
        extension.handle_high.store((attributes.handle >> 64) as u64, Ordering::Relaxed);
        extension.client_id.store(attributes.client_id, Ordering::Relaxed);
        extension.hints.store(attributes.hints, Ordering::Relaxed);
        extension.sequence.store(attributes.sequence, Ordering::Relaxed);
        extension.counter.store(0, Ordering::Relaxed);
        self.mark(index, Description::EXTENDED)
    }

    /// The attributes of the message in slot `index`, if it has any.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or an extension where the channel has no room for one.
    pub fn attributes(&self, index: u32) -> Result<Option<MessageAttributes>, Corrupt> {
        if self.slot(index)?.description.load(Ordering::Relaxed) & Description::EXTENDED == 0 {
            return Ok(None);
        }
        let extension = self.extension(index)?;
        let (low, high) =
            (extension.handle_low.load(Ordering::Relaxed), extension.handle_high.load(Ordering::Relaxed));
        Ok(Some(MessageAttributes {
            handle: u128::from(high) << 64 | u128::from(low),
            client_id: extension.client_id.load(Ordering::Relaxed),
            hints: extension.hints.load(Ordering::Relaxed),
            sequence: extension.sequence.load(Ordering::Relaxed),
        }))
    }

    /// Writes a reference to frozen memory into slot `index`, which the caller, process slot `sender`, holds in FILLING.
    /// `original`: its receiver may free the memory.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    pub fn write_frozen(
        &self,
        index: u32,
        sender: u16,
        message: &MessageReference,
        original: bool,
    ) -> Result<(), Corrupt> {
        self.write_place(index, message)?;
        let description = Description { len: 32, kind: MessageKind::Frozen };
        let marks = if original { Description::ORIGINAL } else { 0 };
        self.slot(index)?.description.store(description.bits(sender) | marks, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the frozen memory that slot `index` refers to may be freed by who receives it.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    pub fn is_original(&self, index: u32) -> Result<bool, Corrupt> {
        Ok(self.slot(index)?.description.load(Ordering::Relaxed) & Description::ORIGINAL != 0)
    }

    /// Copies from byte `offset` of the message in slot `index`, which the caller holds, into the whole of `bytes`.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or more bytes than a block has.
    pub fn read_inline_from(&self, index: u32, offset: u64, bytes: &mut [u8]) -> Result<(), Corrupt> {
        let at = self.block_at(index, offset.saturating_add(bytes.len() as u64))?;
        self.payload.copy_out(at + offset, bytes)
    }

    /// Copies the start of the message in slot `index`, which somebody may write meanwhile, into the whole of
    /// `bytes`. They mean something only if the slot's word is the same before and behind: see
    /// [`is_still`](Self::is_still).
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or more bytes than a block has.
    pub fn copy_inline(&self, index: u32, bytes: &mut [u8]) -> Result<(), Corrupt> {
        let at = self.block_at(index, bytes.len() as u64)?;
        self.payload.copy_out_of_changing(at, bytes)
    }

    /// Whether slot `index` still has the word that was read before what was copied from it: then nobody wrote there.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or a word that cannot be.
    pub fn is_still(&self, index: u32, word: crate::SlotWord) -> Result<bool, Corrupt> {
        // Pairs with the claim of the next sender, which comes before its first write: who has read any of that
        // write sees the claim, or what came after it, in the load below.
        weyr_atomic::fence(Ordering::Acquire);
        Ok(self.load(index)? == word)
    }

    fn mark(&self, index: u32, marks: u64) -> Result<(), Corrupt> {
        let description = &self.slot(index)?.description;
        description.store(description.load(Ordering::Relaxed) | marks, Ordering::Relaxed);
        Ok(())
    }

    fn extension(&self, index: u32) -> Result<&SlotExtension, Corrupt> {
        let slot_at = self.block_at(index, 0)? - SLOT_HEAD_BYTES;
        if !self.geometry.attributes {
            return Err(Corrupt::new("slot extension", slot_at));
        }
        self.payload.view(slot_at + self.stride - ATTRIBUTE_BYTES)
    }
}
