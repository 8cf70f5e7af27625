//! The bytes of a pool as its object has them, looked at from outside without a load: holes stay holes. Of memory, which
//! has no object, it is what the pool has backed; the rest stays untouched.

use std::ops::Range;
use std::sync::Arc;

use weyr_shared::{BlockReference, Layout, LevelHeader, Region, Ring, RingHeader, Slot};

use crate::Error;
use crate::channels::table::ChannelBlock;
use crate::heap::word::BlockState;
use crate::pool::Inspection;
use crate::pool::channel_details::ChannelDetails;
use crate::pool::section::Section;

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

/// A channel of a pool, as one look found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFacts {
    /// What it is called, if it has a name.
    pub name: Option<String>,
    /// The block in which it lies.
    pub reference: BlockReference,
    /// Bytes of that block.
    pub bytes: u64,
    /// Messages that can wait at once.
    pub capacity: u32,
    /// Bytes that a message can carry by copy.
    pub block_bytes: u32,
    /// Messages that wait.
    pub waiting: u32,
    /// Positions that receivers have left behind: messages that they took, and positions that held none (a dead or slow
    /// sender's, and slots in somebody's hands).
    pub passed: u64,
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
        match self.attachment.object() {
            Some(object) => object.read_at(offset, bytes).map_err(Error::os("reading the pool's object")),
            None => self.read_memory(offset, bytes),
        }
    }

    fn read_memory(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        let memory = Region::new(Arc::clone(self.attachment.mapping()));
        let there = memory.len().saturating_sub(offset).min(bytes.len() as u64) as usize;
        memory.copy_out_of_changing(offset.min(memory.len()), &mut bytes[..there])?;
        Ok(there)
    }

    /// The first bytes of the object at or behind `offset` that have memory behind them; what lies between is zero. Where
    /// the pool lies in memory: those that it has backed; what lies between is zero as far as it is metadata, and else
    /// nobody's.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn next_stored(&self, offset: u64) -> Result<Option<Range<u64>>, Error> {
        let holes = Error::os("looking for the holes of the pool's object");
        match self.attachment.object() {
            Some(object) => object.next_stored(offset).map_err(holes),
            None => Ok(self.next_backed(offset)),
        }
    }

    fn next_backed(&self, offset: u64) -> Option<Range<u64>> {
        let heap = &self.attachment.heap;
        let mut chunks = heap.backing.backed(heap.geometry.object_bytes(heap.current_pages()));
        let first = chunks.find(|chunk| chunk.end > offset)?;
        let start = first.start.max(offset);
        let end = chunks.fold(first.end, |end, chunk| if chunk.start == end { chunk.end } else { end });
        Some(start..end)
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

    /// Every channel of the pool that can be opened and was not destroyed.
    pub fn channels(&self) -> Vec<ChannelFacts> {
        let facts = |block: ChannelBlock| facts_of(&self.attachment.ring(block).ok()?, block);
        self.attachment.channel_blocks().filter_map(facts).collect()
    }

    /// More of the channel that lies there; none when it is gone, destroyed or damaged.
    pub fn channel_details(&self, reference: BlockReference) -> Option<ChannelDetails> {
        let block = self.attachment.channel_blocks().find(|block| block.reference == reference)?;
        let ring = self.attachment.ring(block).ok()?;
        ChannelDetails::of(&ring, facts_of(&ring, block)?)
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

/// None for a channel that is destroyed or damaged.
fn facts_of(ring: &Ring, block: ChannelBlock) -> Option<ChannelFacts> {
    let name = ring.name().filter(|_| ring.is_named());
    let waiting = ring.waiting().ok().filter(|_| !ring.is_destroyed())?;
    let passed = ring.passed().ok()?;
    Some(ChannelFacts {
        name: name.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned()),
        reference: block.reference,
        bytes: block.bytes,
        capacity: ring.capacity(),
        block_bytes: ring.block_size(),
        waiting,
        passed,
    })
}

fn of_channel(ring: &Ring, start: u64) -> Vec<Section> {
    let ((attachments, count), (slots, stride)) = (ring.attachments_at(), ring.slots_at());
    let (listeners, sleepers) = (RingHeader::SIZE as u64, ring.sleepers_at());
    let word = Section::of_words;
    let levels = (ring.levels() > 1).then(|| {
        let (at, count) = ring.levels_at();
        Section::of::<LevelHeader>("channel levels", start + at, LevelHeader::SIZE as u64, count)
    });
    let all = [
        Section::of::<RingHeader>("channel header", start, listeners, 1),
        word("channel listeners", "one word each", start + listeners, (attachments - listeners) / 8),
        word("channel attachments", "one word a process slot", start + attachments, count),
        word("channel sleepers", "half a word a process slot", start + sleepers.0, sleepers.1.div_ceil(2)),
        Section::of::<Slot>("channel slots", start + slots, stride, ring.slot_count().into()),
    ];
    all.into_iter().chain(levels).collect()
}
