//! How a record ends: its block was freed, its lane died, or another has the key.
//!
//! A record is emptied by exact compare-exchange of its tag, whose version belongs to one filling: so it is emptied
//! once, by one of those who try, and never in a later life. Who empties it lowers the counts of the buckets that it
//! passed; dying in between leaves them too high, which makes a search look further than it must.

use super::record::{Record, RecordState, RecordTag};
use super::{Fate, Key};
use crate::heap::Heap;
use crate::heap::page::Authority;
use weyr_shared::BlockReference;

impl Heap {
    /// Empties a record of `key` that was seen with this tag; whether it was this call.
    pub(super) fn vacate(&self, number: usize, seen: RecordTag, key: Key) -> bool {
        let emptied = self.record(number).change(seen, seen.empty());
        if emptied {
            self.lower_passed(key, number / crate::layout::BUCKET_RECORDS);
        }
        emptied
    }

    /// Removes the record of a block that was freed. A death before leaves it to whoever comes across it.
    pub(crate) fn remove_record(&self, block: BlockReference, key: Key) {
        let found = self.search(self.home(key), |number, place| {
            let (tag, record) = place.snapshot_of(key)?;
            (record.block == block).then_some((number, tag))
        });
        if let Some((number, tag)) = found {
            self.forget_record(block, number);
            self.vacate(number, tag, key);
        }
    }

    /// Empties every record whose block is gone; returns how many there were.
    pub(crate) fn clear_leftovers(&self) -> u64 {
        let is_leftover = |tag: RecordTag, record: &Record| {
            tag.state() == RecordState::Valid && self.fate(record.block) == Fate::Gone
        };
        let mut cleared = 0;
        for (number, tag, record) in self.records().filter(|(_, tag, record)| is_leftover(*tag, record)) {
            self.forget_record(record.block, number);
            cleared += u64::from(self.vacate(number, tag, record.key));
        }
        cleared
    }

    /// Empties every record that a dead lane was filling or had entered. `authority` says for which lanes this is
    /// helped.
    ///
    /// A dead lane begins no record, so one pass is enough.
    pub(crate) fn clear_half_made<'a>(&self, authority: impl Fn(u16) -> Option<Authority<'a>>) {
        for number in self.known_records() {
            let place = self.record(number);
            let seen = place.look();
            let Some(authority) = authority(seen.lane()).filter(|_| seen.is_half_made()) else { continue };
            let entered = place.snapshot().filter(|(tag, _)| *tag == seen);
            // Between the load and the change: the lane may have its next user by now.
            if !authority.holds() {
                continue;
            }
            match entered {
                Some((tag, record)) => self.vacate(number, tag, record.key),
                // Of a key that was not written nobody knows which buckets it passed: they stay counted.
                None => place.change(seen, seen.empty()),
            };
        }
    }
}
