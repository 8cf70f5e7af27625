//! From a block to its record: hints, a few places by the hash of the block's offset, each the number of a record.
//!
//! A place may be overwritten, stale or lost in a death: what it names is looked at, and where it does not help all
//! records are looked through.

use weyr_atomic::{AtomicU32, Ordering};
use weyr_shared::BlockReference;
use weyr_sys::Errno;

use super::HASH_MULTIPLIERS;
use crate::geometry::INDEX_GROUP;
use crate::heap::Heap;

impl Heap {
    fn first_place(&self, block: BlockReference) -> usize {
        let groups = self.manifest_index.len() / INDEX_GROUP;
        let hash = (block.offset / 64).wrapping_mul(HASH_MULTIPLIERS[0]);
        ((u128::from(hash) * groups as u128) >> 64) as usize * INDEX_GROUP
    }

    /// The places where the hint for one block may be: half a cache line.
    fn places(&self, block: BlockReference) -> &[AtomicU32] {
        let first = self.first_place(block);
        self.manifest_index.get(first..first + INDEX_GROUP).unwrap_or_default()
    }

    /// Byte of the object where they begin. No group lies in two chunks.
    fn places_start(&self, block: BlockReference) -> u64 {
        self.geometry.offsets.manifest_index + self.first_place(block) as u64 * 4
    }

    /// The places of a block if they were ever backed.
    fn known_places(&self, block: BlockReference) -> &[AtomicU32] {
        if self.backing.has_metadata(self.places_start(block)) { self.places(block) } else { &[] }
    }

    /// Notes where the record of a block is: in a free place, else over another hint.
    pub(super) fn note_record(&self, block: BlockReference, number: usize) {
        let _full_filesystem: Result<(), Errno> = self.try_note_record(block, number);
    }

    fn try_note_record(&self, block: BlockReference, number: usize) -> Result<(), Errno> {
        self.backing.metadata(self.places_start(block), INDEX_GROUP as u64 * 4)?;
        let places = self.places(block);
        let free = places.iter().find(|place| place.load(Ordering::Relaxed) == 0);
        if let Some(place) = free.or(places.first()) {
            place.store(number as u32 + 1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Numbers of the records that may be the block's.
    pub(super) fn noted_records(&self, block: BlockReference) -> impl Iterator<Item = usize> + '_ {
        self.known_places(block).iter().filter_map(|place| {
            let number = (place.load(Ordering::Relaxed) as usize).checked_sub(1)?;
            let bucket = number / crate::layout::BUCKET_RECORDS;
            (number < self.record_limit() && self.has_bucket(bucket)).then_some(number)
        })
    }

    /// Frees the place of a record that is about to end.
    pub(super) fn forget_record(&self, block: BlockReference, number: usize) {
        let hint = number as u32 + 1;
        let places = self.known_places(block).iter();
        places.filter(|place| place.load(Ordering::Relaxed) == hint).for_each(|place| {
            place.store(0, Ordering::Relaxed);
        });
    }
}
