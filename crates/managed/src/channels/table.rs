//! Which blocks of a pool are channels, so that recovery finds every one.
//!
//! The truth is the block's word, CHANNEL. The table is one word an entry, `offset/64:40 | generation:24`, written
//! before the block becomes a channel. An entry whose block is no channel (any more) is a leftover of a death and is
//! taken by whoever needs it; so no step needs a log.

use std::ops::Range;

use weyr_atomic::Ordering;
use weyr_shared::BlockReference;

use weyr_sys::Errno;

use crate::allocation::explain;
use crate::heap::fault::{Fault, leaves_out};
use crate::heap::lane::LaneHeap;
use crate::heap::word::{BlockState, BlockWord};
use crate::heap::{ChangeError, Heap, Located};
use crate::membership::attachment::Attachment;
use crate::{Allocation, Error, Pool};

const GENERATION_BITS: u32 = 24;

/// A table entry; zero is empty.
fn entry_of(reference: BlockReference) -> u64 {
    (reference.offset / 64) << GENERATION_BITS | reference.generation & ((1 << GENERATION_BITS) - 1)
}

/// A block that is a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelBlock {
    /// The block and the use of it.
    pub reference: BlockReference,
    /// Bytes it has room for.
    pub bytes: u64,
}

/// The table, for whoever has the heap.
impl Heap {
    fn channel_entry(&self, index: u64) -> Option<&weyr_atomic::AtomicU64> {
        let start = self.geometry.offsets.channels + index * 8;
        self.channels.get(index as usize).filter(|_| self.backing.has_metadata(start))
    }

    /// The block that an entry means, if it is what the entry says.
    fn entry_block(&self, entry: u64) -> Option<(Located<'_>, BlockReference)> {
        let offset = (entry >> GENERATION_BITS) * 64;
        let block = self.locate_offset(offset)?;
        let reference = BlockReference { offset, generation: block.seen.generation() };
        (entry_of(reference) == entry).then_some((block, reference))
    }

    /// Every channel of the pool that this process has mapped.
    pub(crate) fn channel_blocks(&self) -> impl Iterator<Item = ChannelBlock> + '_ {
        self.all_channel_blocks().filter(|block| !self.is_outside_window(block.reference.offset))
    }

    /// Whether there are channels that this process has not mapped.
    pub(crate) fn has_channel_outside_window(&self) -> bool {
        self.pool_pages() > self.window_pages
            && self.all_channel_blocks().any(|block| self.is_outside_window(block.reference.offset))
    }

    fn all_channel_blocks(&self) -> impl Iterator<Item = ChannelBlock> + '_ {
        (0..self.channels.len() as u64).filter_map(|index| {
            let entry = self.channel_entry(index)?.load(Ordering::Acquire);
            let (block, reference) = (entry != 0).then(|| self.entry_block(entry))??;
            let bytes = block.bytes;
            (block.seen.state() == BlockState::Channel).then_some(ChannelBlock { reference, bytes })
        })
    }

    /// Enters a block of the caller's process that is about to become a channel; false when there is no room.
    ///
    /// # Errors
    /// The kernel's, when the table could not be backed.
    pub(crate) fn enter_channel(&self, reference: BlockReference) -> Result<bool, Errno> {
        let start = self.geometry.offsets.channels;
        for index in 0..self.channels.len() as u64 {
            self.backing.metadata(start + index * 8, 8)?;
            let word = &self.channels[index as usize];
            let seen = word.load(Ordering::Acquire);
            let taken = seen != 0 && self.entry_block(seen).is_some_and(|(block, _)| is_becoming(block.seen));
            let next = entry_of(reference);
            if !taken && word.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes a channel of a block of `process` that was entered. Commit point: the block's word.
    pub(crate) fn become_channel(&self, reference: BlockReference, process: u16) -> Result<(), ChangeError> {
        let owned = |word: BlockWord| word.state() == BlockState::Alloc && word.actor() == process;
        let change = |word: BlockWord| owned(word).then_some(word.with(BlockState::Channel, 0));
        self.change_block(reference, change).map(|_| ())
    }

    /// Frees the memory of a channel. Commit point: the block's word.
    pub(crate) fn free_channel(
        &self,
        own: &mut LaneHeap,
        reference: BlockReference,
    ) -> Result<(), ChangeError> {
        self.free_wiped(own, reference, |word| word.state() == BlockState::Channel)?;
        self.erase_channel(reference);
        Ok(())
    }

    /// Whether an entry, the `index`th, is nobody's: its block is no channel, nor about to become one, or another entry
    /// names it before.
    fn is_leftover(&self, index: u64, entry: u64) -> bool {
        let of_channel = match self.entry_block(entry) {
            Some((block, _)) => is_becoming(block.seen),
            None => self.is_outside_window((entry >> GENERATION_BITS) * 64),
        };
        !of_channel || self.is_among(0..index, entry)
    }

    /// The entries that are nobody's, with their places.
    fn leftover_entries(&self) -> impl Iterator<Item = (&weyr_atomic::AtomicU64, u64)> + '_ {
        (0..self.channels.len() as u64).filter_map(|index| {
            let word = self.channel_entry(index)?;
            let entry = word.load(Ordering::Acquire);
            (entry != 0 && self.is_leftover(index, entry)).then_some((word, entry))
        })
    }

    /// How many entries are nobody's.
    pub(crate) fn count_leftover_entries(&self) -> u64 {
        self.leftover_entries().count() as u64
    }

    /// Empties entries that are nobody's; returns how many. Each by exact compare-exchange: a block that is gone stays
    /// so, and one that is about to become a channel is its maker's.
    pub(crate) fn clear_leftover_entries(&self) -> u64 {
        let clear = |(word, entry): &(&weyr_atomic::AtomicU64, u64)| {
            word.compare_exchange(*entry, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
        };
        self.leftover_entries().filter(clear).count() as u64
    }

    /// Whether the table has an entry at any of these places.
    fn is_among(&self, mut places: Range<u64>, entry: u64) -> bool {
        places
            .any(|index| self.channel_entry(index).is_some_and(|word| word.load(Ordering::Acquire) == entry))
    }

    /// Whether this block is a channel that no entry names. It is entered before it is a channel, and its entry goes
    /// behind it; so that is nobody's doing.
    pub(crate) fn is_missing_channel(&self, reference: BlockReference) -> bool {
        let is_channel =
            || self.locate(reference).is_ok_and(|block| block.seen.state() == BlockState::Channel);
        let is_entered = || self.is_among(0..self.channels.len() as u64, entry_of(reference));
        is_channel() && !is_entered() && is_channel()
    }

    /// The channels that no entry names.
    pub(crate) fn missing_channels(&self) -> Vec<BlockReference> {
        let mut missing = Vec::new();
        self.for_each_block(|block, offset| {
            let reference = BlockReference { offset, generation: block.seen.generation() };
            if block.seen.state() == BlockState::Channel && self.is_missing_channel(reference) {
                missing.push(reference);
            }
        });
        missing
    }

    /// Enters channels that no entry names, as far as there is room; returns how many. Of two that enter one the second
    /// leaves a leftover; so does one that enters a channel while it is freed.
    ///
    /// # Errors
    /// The kernel's, when the table could not be backed.
    pub(crate) fn enter_missing_channels(&self) -> Result<u64, Errno> {
        let mut entered = 0;
        for reference in self.missing_channels() {
            entered += u64::from(self.enter_channel(reference)?);
        }
        Ok(entered)
    }

    /// Empties the entry of a block that is no channel any more.
    fn erase_channel(&self, reference: BlockReference) {
        for index in 0..self.channels.len() as u64 {
            let Some(word) = self.channel_entry(index) else { continue };
            let entry = entry_of(reference);
            if word.compare_exchange(entry, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return;
            }
        }
    }
}

impl Attachment {
    /// Every channel of the pool.
    pub(crate) fn channel_blocks(&self) -> impl Iterator<Item = ChannelBlock> + '_ {
        self.heap.channel_blocks()
    }

    fn enter_channel(&self, reference: BlockReference) -> Result<(), Error> {
        let entered = self.heap.enter_channel(reference).map_err(Error::os("backing the channel table"))?;
        let limit = self.heap.geometry.shape.channel_limit;
        if entered { Ok(()) } else { Err(Error::TableFull { table: "channel entries", limit }) }
    }

    /// Frees the memory of a channel. Commit point: the block's word.
    pub(crate) fn free_channel(&self, reference: BlockReference) -> Result<(), Error> {
        let freed = self.with_lane(|own, _| self.heap.free_channel(own, reference))?;
        freed.map_err(|error| explain(error, reference, "freeing the channel"))
    }
}

/// A channel, or an owned block that may be becoming one.
fn is_becoming(word: BlockWord) -> bool {
    match word.state() {
        BlockState::Channel => true,
        state => state == BlockState::Alloc && !leaves_out(Fault::EntryBeforeChannel),
    }
}

impl Pool {
    /// Makes a channel of an allocation whose bytes are a complete, empty channel. It is the pool's from now on.
    ///
    /// Commit point: the block's word. Before it a death frees the allocation, behind it the channel exists.
    ///
    /// # Errors
    /// [`Error::TableFull`], [`Error::Forked`], [`Error::WrongState`] for one that is not this process's; the
    /// allocation comes back.
    pub fn make_channel(&self, allocation: Allocation) -> Result<ChannelBlock, Box<(Error, Allocation)>> {
        let reference = allocation.reference();
        let made = self.actor().and_then(|actor| {
            self.attachment().enter_channel(reference)?;
            let changed = self.attachment().heap.become_channel(reference, actor.process);
            changed.map_err(|error| explain(error, reference, "making a channel of it"))
        });
        match made.and_then(|_| self.channel_block(reference)) {
            Ok(block) => {
                // Its word is not this process's any more, so dropping it could not free it; it is only forgotten.
                let _forked_in_between = self.end_transfer(allocation);
                Ok(block)
            }
            Err(error) => Err(Box::new((error, allocation))),
        }
    }

    /// The channel that `reference` means.
    ///
    /// # Errors
    /// [`Error::NotABlock`], [`Error::Stale`] when it is gone, [`Error::WrongState`] when it is no channel,
    /// [`Error::OutsideWindow`].
    pub fn channel_block(&self, reference: BlockReference) -> Result<ChannelBlock, Error> {
        self.attachment().check_window(reference)?;
        let located = self.attachment().heap.locate(reference);
        let refused = |error| explain(error, reference, "using it as a channel");
        let block = located.map_err(|missing| refused(ChangeError::Missing(missing)))?;
        match block.seen.state() {
            BlockState::Channel => Ok(ChannelBlock { reference, bytes: block.bytes }),
            state => Err(refused(ChangeError::Refused(state))),
        }
    }

    /// Every channel of the pool.
    pub fn channel_blocks(&self) -> Vec<ChannelBlock> {
        self.attachment().channel_blocks().collect()
    }

    /// Frees the memory of a channel that nobody is attached to. Exactly one of several that try at once succeeds.
    ///
    /// # Errors
    /// As [`channel_block`](Self::channel_block).
    pub fn free_channel(&self, reference: BlockReference) -> Result<(), Error> {
        self.attachment().free_channel(reference)
    }
}
