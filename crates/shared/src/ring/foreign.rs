//! Messages that are memory of any other pool: what the slot says of it.
//!
//! `reference 32, descriptor of the pool`: in the slot, or in a block of the channel's own pool that goes with the
//! message as one with side-loaded bytes does. Both are allegations, checked by who opens the memory there. The block
//! in the other pool is published or frozen whatever happens here, so no death on the way frees it.

use weyr_atomic::Ordering;

use super::{MessageReference, Ring};
use crate::{BlockReference, Corrupt, Description, Holder, MessageKind};

/// Bytes of the reference before the descriptor.
pub const FOREIGN_HEAD_BYTES: usize = 32;

impl MessageReference {
    /// Its bytes, in the order of a slot's fields.
    pub fn to_bytes(&self) -> [u8; FOREIGN_HEAD_BYTES] {
        let fields = [self.block.offset, self.block.generation, self.view_offset, self.view_len];
        let mut bytes = [0; FOREIGN_HEAD_BYTES];
        for (part, field) in bytes.chunks_exact_mut(8).zip(fields) {
            part.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    pub fn from_bytes(bytes: &[u8; FOREIGN_HEAD_BYTES]) -> Self {
        let mut fields = bytes
            .chunks_exact(8)
            .map(|part| part.iter().rev().fold(0, |field, byte| field << 8 | u64::from(*byte)));
        let mut next = || fields.next().unwrap_or(0);
        let block = BlockReference { offset: next(), generation: next() };
        Self { block, view_offset: next(), view_len: next() }
    }
}

/// What a receiver may do with memory of another pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignRight {
    /// Use it.
    View,
    /// Free it as well.
    Original,
    /// It is the receiver's.
    Owned,
}

impl ForeignRight {
    const fn mark(self) -> u64 {
        match self {
            Self::View => 0,
            Self::Original => Description::ORIGINAL,
            Self::Owned => Description::OWNED,
        }
    }
}

impl Ring {
    /// Writes a reference to bytes that were copied into a block of the channel's own pool into slot `index`, which the caller,
    /// process slot `sender`, holds in FILLING.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    pub fn write_side_loaded(
        &self,
        index: u32,
        sender: u16,
        message: &MessageReference,
    ) -> Result<(), Corrupt> {
        self.write_place(index, message)?;
        self.describe(index, sender, Description { len: 32, kind: MessageKind::SideLoaded })
    }

    /// Whether a slot has room for `descriptor`.
    pub fn fits_foreign(&self, descriptor: &[u8]) -> bool {
        FOREIGN_HEAD_BYTES + descriptor.len() <= self.block_size() as usize
    }

    /// Writes memory of the pool that `descriptor` names into slot `index`, which the caller, process slot `sender`,
    /// holds in FILLING.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or no [room](Self::fits_foreign).
    pub fn write_foreign(
        &self,
        index: u32,
        sender: u16,
        message: &MessageReference,
        descriptor: &[u8],
        right: ForeignRight,
    ) -> Result<(), Corrupt> {
        let at = self.block_at(index, (FOREIGN_HEAD_BYTES + descriptor.len()) as u64)?;
        self.write_place(index, message)?;
        self.payload.copy_in(at + FOREIGN_HEAD_BYTES as u64, descriptor)?;
        let len = (FOREIGN_HEAD_BYTES + descriptor.len()) as u32;
        self.describe_foreign(index, sender, Description { len, kind: MessageKind::Foreign }, right)
    }

    /// The same for what lies, `name_bytes` long, in `block` of the channel's pool; the message has `len` bytes.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    pub fn write_foreign_aside(
        &self,
        index: u32,
        sender: u16,
        block: BlockReference,
        name_bytes: u64,
        len: u64,
        right: ForeignRight,
    ) -> Result<(), Corrupt> {
        self.write_place(index, &MessageReference { block, view_offset: name_bytes, view_len: len })?;
        let description = Description { len: FOREIGN_HEAD_BYTES as u32, kind: MessageKind::ForeignAside };
        self.describe_foreign(index, sender, description, right)
    }

    fn describe_foreign(
        &self,
        index: u32,
        sender: u16,
        description: Description,
        right: ForeignRight,
    ) -> Result<(), Corrupt> {
        self.slot(index)?.description.store(description.bits(sender) | right.mark(), Ordering::Relaxed);
        Ok(())
    }

    /// What the receiver of the memory in slot `index` may do with it.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot.
    pub fn foreign_right(&self, index: u32) -> Result<ForeignRight, Corrupt> {
        let bits = self.slot(index)?.description.load(Ordering::Relaxed);
        Ok(match bits {
            bits if bits & Description::OWNED != 0 => ForeignRight::Owned,
            bits if bits & Description::ORIGINAL != 0 => ForeignRight::Original,
            _ => ForeignRight::View,
        })
    }

    /// Takes the messages that are memory of other pools out of a destroyed channel; `end` is called with the slot of
    /// each, while it is held. The caller is attached, as `me`; when it dies on the way another does the rest.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be; all other slots were drained.
    pub fn drain_foreign(&self, me: Holder, mut end: impl FnMut(u32)) -> Result<(), Corrupt> {
        self.for_all_slots(|index| self.drain_slot_foreign(index, me, &mut end))
    }

    /// The same for who cannot reach that memory: what the messages name stays its pool's, and the blocks in which names
    /// lie are handed to `free`.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be; all other slots were drained.
    pub fn drain_names(&self, me: Holder, mut free: impl FnMut(BlockReference)) -> Result<(), Corrupt> {
        self.drain_foreign(me, |index| {
            let has_block = self.description(index).is_ok_and(|found| found.kind.has_block());
            if has_block && let Ok(aside) = self.reference(index) {
                free(aside.block);
            }
        })
    }

    fn drain_slot_foreign(&self, index: u32, me: Holder, end: &mut impl FnMut(u32)) -> Result<(), Corrupt> {
        let word = self.load(index)?;
        let Some(taken) = Self::taken_by(word, me) else { return Ok(()) };
        if !self.description(index)?.kind.is_foreign() || !self.claim(index, word, taken)? {
            return Ok(());
        }
        end(index);
        self.release(index, taken, crate::SlotState::Empty).map(|_| ())
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use crate::Geometry;

    const MESSAGE: MessageReference = MessageReference {
        block: BlockReference { offset: 1 << 40, generation: 2 },
        view_offset: 3,
        view_len: u64::MAX,
    };

    #[test]
    fn a_reference_comes_back_from_its_bytes() {
        assert_eq!(MessageReference::from_bytes(&MESSAGE.to_bytes()), MESSAGE);
    }

    #[test]
    fn a_slot_says_what_was_written_and_has_room_for_so_much() {
        let ring = Ring::private(&Geometry { block_size: 64, ..Geometry::PLAIN }).unwrap();
        for right in [ForeignRight::View, ForeignRight::Original, ForeignRight::Owned] {
            ring.write_foreign(0, 7, &MESSAGE, b"a pool", right).unwrap();
            assert_eq!(ring.foreign_right(0), Ok(right));
            assert_eq!((ring.sender(0), ring.description(0).map(|found| found.len)), (Ok(7), Ok(38)));
            ring.write_foreign_aside(0, 7, MESSAGE.block, 100, 5, right).unwrap();
            assert_eq!(ring.reference(0).unwrap().view_len, 5);
        }
        assert!(ring.fits_foreign(&[0; 32]) && !ring.fits_foreign(&[0; 33]));
        assert!(ring.write_foreign(0, 7, &MESSAGE, &[0; 33], ForeignRight::View).is_err());
    }
}
