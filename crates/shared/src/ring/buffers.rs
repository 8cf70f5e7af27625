//! Messages whose bytes lie in another pool: the channel's buffer pool.
//!
//! A block there is published, so that no death frees it, and the slot that names it is all that leads to it. One rule
//! holds everywhere: **while a slot's description says ELSEWHERE and not SPENT, its block is the slot's**, and whoever
//! holds the slot may free the block by its exact reference. Hence
//!
//! - who fills a slot first frees what an earlier, dead sender may have left in it, and marks that as spent; then it
//!   writes the reference, then the description, then publishes the block, then the slot;
//! - who takes the block out, or takes it back, marks the slot as spent before the block becomes anything else than
//!   this process's: a block that its user publishes again would be named by a slot that has nothing to do with it;
//! - a receiver that dies between freeing the block and leaving the slot leaves a message without a block. It is
//!   returned, for the other pool cannot be asked by whoever repairs, and the next receiver leaves it out.
//!
//! So a death leaves at most one block in one slot, and it is freed by the slot's next sender, or with the channel.

use weyr_atomic::{AtomicU8, AtomicU32, Ordering};

use super::{MessageReference, Ring};
use crate::{BlockReference, Corrupt, Description, Holder, MessageKind, SlotState};

crate::layout! {
    /// Which pool the buffers of a channel lie in, where the channel's flag gives this room.
    pub struct BufferPoolRecord: 512, align 64 {
        /// Bytes of the descriptor, at most 504; written by the creator.
        0 => length: AtomicU32,
        /// Reserved, zero.
        4 => reserved: AtomicU32,
        /// The descriptor, which has a checksum of its own, zeros behind it; written by the creator.
        8 => descriptor: [AtomicU8; 504],
    }
}

/// Bytes that a channel with a buffer pool has more than one without.
pub(super) const BUFFER_POOL_BYTES: u64 = 512;
/// Longest descriptor of a buffer pool.
pub const BUFFER_POOL_LIMIT: usize = 504;

impl Ring {
    /// Whether bytes larger than a block go into blocks of another pool.
    #[inline]
    pub fn has_buffer_pool(&self) -> bool {
        self.geometry.buffer_pool
    }

    /// Says where the buffers lie, in a channel that nobody else knows yet; what is longer than
    /// [`BUFFER_POOL_LIMIT`] is cut, and then has a wrong checksum.
    pub fn set_buffer_pool(&self, descriptor: &[u8]) {
        let Some(record) = self.buffers.as_ref().map(|records| &records[0]) else { return };
        let bytes = descriptor.iter().copied().chain(std::iter::repeat(0));
        record.descriptor.iter().zip(bytes).for_each(|(to, byte)| to.store(byte, Ordering::Relaxed));
        record.length.store(descriptor.len().min(BUFFER_POOL_LIMIT) as u32, Ordering::Relaxed);
    }

    /// The descriptor of the pool in which the buffers lie, if it is another one; to be checked by who reads it.
    pub fn buffer_pool(&self) -> Option<Vec<u8>> {
        let record = &self.buffers.as_ref()?[0];
        let length = record.length.load(Ordering::Relaxed) as usize;
        let bytes = record.descriptor.iter().take(length);
        Some(bytes.map(|byte| byte.load(Ordering::Relaxed)).collect())
    }

    /// Writes the reference of a block of the buffer pool into slot `index`, which the caller, process slot `sender`,
    /// holds in FILLING and which has no other block. From the last store on the block is the slot's, once it is published.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    pub fn write_elsewhere(
        &self,
        index: u32,
        sender: u16,
        message: &MessageReference,
    ) -> Result<(), Corrupt> {
        self.write_place(index, message)?;
        let description = Description { len: 32, kind: MessageKind::Elsewhere };
        // Pairs with `elsewhere`: who finds the description after a death finds the whole reference.
        self.slot(index)?.description.store(description.bits(sender), Ordering::Release);
        Ok(())
    }

    /// The block of the buffer pool that is slot `index`'s, whoever left it there. It means something to who holds the
    /// slot, or finds its word unchanged behind this.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    pub fn elsewhere(&self, index: u32) -> Result<Option<MessageReference>, Corrupt> {
        // Pairs with `write_elsewhere`.
        let bits = self.slot(index)?.description.load(Ordering::Acquire);
        if !Description::is_unspent_elsewhere(bits) {
            return Ok(None);
        }
        self.reference(index).map(Some)
    }

    /// Says that the block of slot `index`, which the caller holds, is no longer the slot's.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    pub fn spend(&self, index: u32) -> Result<(), Corrupt> {
        let description = &self.slot(index)?.description;
        let bits = description.load(Ordering::Relaxed);
        if Description::is_unspent_elsewhere(bits) {
            // Release: behind the change of the block that the caller made.
            description.store(bits | Description::SPENT, Ordering::Release);
        }
        Ok(())
    }

    /// Blocks of the buffer pool that dead senders left in slots which nobody holds. Each may be freed by its exact
    /// reference, at once or later, whatever becomes of its slot: a block that is freed, or used again, has another.
    pub fn leftovers(&self) -> impl Iterator<Item = BlockReference> {
        (0..self.slot_count).filter_map(|index| self.leftover(index).ok().flatten())
    }

    fn leftover(&self, index: u32) -> Result<Option<BlockReference>, Corrupt> {
        let word = self.load(index)?;
        if word.state != SlotState::Empty {
            return Ok(None);
        }
        let found = self.elsewhere(index)?;
        Ok(found.filter(|_| self.is_still(index, word) == Ok(true)).map(|message| message.block))
    }

    /// Whether a message, or something that is to become or was one, has a block of the buffer pool.
    pub fn has_elsewhere(&self) -> bool {
        self.has_buffer_pool() && (0..self.slot_count).any(|index| !matches!(self.elsewhere(index), Ok(None)))
    }

    /// Takes the blocks of the buffer pool out of a destroyed channel, whose other messages were drained, and hands
    /// them to `free`. The caller is attached, as `me`; when it dies on the way another does the rest.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be; all other slots were drained.
    pub fn drain_elsewhere(&self, me: Holder, mut free: impl FnMut(BlockReference)) -> Result<(), Corrupt> {
        self.for_all_slots(|index| self.drain_slot_elsewhere(index, me, &mut free))
    }

    fn drain_slot_elsewhere(
        &self,
        index: u32,
        me: Holder,
        free: &mut impl FnMut(BlockReference),
    ) -> Result<(), Corrupt> {
        let word = self.load(index)?;
        let taken = match word.state {
            SlotState::Empty => word.held_by(SlotState::Taking, me),
            _ => match Self::taken_by(word, me) {
                Some(taken) => taken,
                None => return Ok(()),
            },
        };
        if self.elsewhere(index)?.is_none() || !self.claim(index, word, taken)? {
            return Ok(());
        }
        // Looked at once more: now that the slot is held nobody else writes there.
        if let Some(message) = self.elsewhere(index)? {
            free(message.block);
            self.spend(index)?;
        }
        self.release(index, taken, SlotState::Empty).map(|_| ())
    }
}
