//! How a record is found: by its key, or by its block. By loads only, and without waiting for anybody.

use weyr_shared::BlockReference;

use super::record::{Record, RecordState, RecordTag};
use super::{Fate, Key};
use crate::heap::Heap;
use crate::heap::word::BlockState;

impl Heap {
    /// The record that has `key`, won and with a block that is not gone, and its number. The block may still be on its
    /// way to TYPED.
    pub(crate) fn find_record(&self, key: Key) -> Option<(usize, RecordTag, Record)> {
        self.search(self.home(key), |number, place| {
            let (tag, record) = place.snapshot_of(key)?;
            let has_it = tag.state() == RecordState::Valid && self.fate(record.block).counts();
            has_it.then_some((number, tag, record))
        })
    }

    /// The record of `key`, if its block is typed by now, also while a message has it.
    pub(crate) fn find_typed(&self, key: Key) -> Option<Record> {
        let (_, _, record) = self.find_record(key)?;
        self.is_made(&record).then_some(record)
    }

    /// Whether the block of a valid record is typed, and not on its way there or gone.
    pub(crate) fn is_made(&self, record: &Record) -> bool {
        match self.fate(record.block) {
            Fate::Lives(state) => state != BlockState::Alloc,
            Fate::Gone => false,
            Fate::OutsideWindow => true,
        }
    }

    /// The record of a block: where the index says, or wherever it is.
    pub(crate) fn record_of(&self, block: BlockReference) -> Option<Record> {
        let of_block = |number: usize| {
            let (tag, record) = self.record(number).snapshot()?;
            (tag.state() == RecordState::Valid && record.block == block).then_some(record)
        };
        self.noted_records(block).find_map(of_block).or_else(|| self.known_records().find_map(of_block))
    }
}
