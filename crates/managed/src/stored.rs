//! The bytes of a pool as its object has them, looked at from outside without a load: holes stay holes.

use std::ops::Range;

use weyr_shared::{BlockReference, Layout, Ring, RingHeader, Slot};

use crate::Error;
use crate::channel_table::ChannelBlock;
use crate::heap::word::BlockState;
use crate::pool::Inspection;
use crate::section::Section;

/// A block of a pool, as one look found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Byte of the data area at which it starts, and which use of it.
    pub reference: BlockReference,
    /// Bytes it has room for.
    pub bytes: u64,
    /// What it is.
    pub state: &'static str,
    /// Byte of the object at which its word lies.
    pub word_at: u64,
    /// Process slot or lane that its word names; means something in some states only.
    pub actor: u16,
    /// What lies where in it: one section of payload, or those of a channel.
    pub sections: Vec<Section>,
}

/// What lies in the object.
impl Inspection {
    /// Every part of the pool, by offset.
    pub fn sections(&self) -> Vec<Section> {
        let heap = &self.attachment.heap;
        heap.geometry.sections(heap.current_pages())
    }

    /// Copies from byte `offset` of the object into the start of `bytes`, up to its end; returns how many there were.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        self.attachment.object.read_at(offset, bytes).map_err(Error::os("reading the pool's object"))
    }

    /// The first bytes of the object at or behind `offset` that have memory behind them; what lies between is zero.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn next_stored(&self, offset: u64) -> Result<Option<Range<u64>>, Error> {
        let object = &self.attachment.object;
        object.next_stored(offset).map_err(Error::os("looking for the holes of the pool's object"))
    }

    /// The block that starts at byte `offset` of the data area, whatever its state.
    ///
    /// # Errors
    /// [`Error::NotABlock`].
    pub fn block(&self, offset: u64) -> Result<Block, Error> {
        let heap = &self.attachment.heap;
        let found = heap.locate_offset(offset).ok_or(Error::NotABlock { offset })?;
        let reference = BlockReference { offset, generation: found.seen.generation() };
        Ok(Block {
            reference,
            bytes: found.bytes,
            state: found.seen.state().name(),
            word_at: heap.word_at(&found, offset),
            actor: found.seen.actor(),
            sections: self.sections_of(reference, found.bytes, found.seen.state()),
        })
    }

    /// Every channel of the pool: the offsets of their blocks in the data area.
    pub fn channels(&self) -> Vec<u64> {
        self.attachment.channel_blocks().map(|block| block.reference.offset).collect()
    }

    fn sections_of(&self, reference: BlockReference, bytes: u64, state: BlockState) -> Vec<Section> {
        let start = self.attachment.heap.geometry.offsets.data + reference.offset;
        let ring = (state == BlockState::Channel)
            .then(|| self.attachment.ring(ChannelBlock { reference, bytes }).ok())
            .flatten();
        // A channel too damaged to be opened is bytes.
        ring.map_or_else(|| vec![Section::payload(start, bytes)], |ring| of_channel(&ring, start))
    }
}

fn of_channel(ring: &Ring, start: u64) -> Vec<Section> {
    let ((attachments, count), (slots, stride)) = (ring.attachments_at(), ring.slots_at());
    let listeners = RingHeader::SIZE as u64;
    let word = Section::of_words;
    vec![
        Section::of::<RingHeader>("channel header", start, listeners, 1),
        word("channel listeners", "reserved, zero", start + listeners, (attachments - listeners) / 8),
        word("channel attachments", "one word a process slot", start + attachments, count),
        Section::of::<Slot>("channel slots", start + slots, stride, ring.capacity().into()),
    ]
}
