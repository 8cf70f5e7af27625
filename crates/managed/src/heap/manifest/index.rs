//! From a block to its record: hints, a few places by the hash of the block's offset, each the number of a record.
//!
//! A place may be overwritten, stale or lost in a death: what it names is looked at, and where it does not help all
//! records are looked through.

use weyr_atomic::Ordering;
use weyr_shared::BlockReference;
use weyr_sys::Errno;

use super::HASH_MULTIPLIERS;
use crate::heap::Heap;

/// Places where the hint for one block may be.
const PLACES: usize = 8;

impl Heap {
    fn places(&self, block: BlockReference) -> impl Iterator<Item = usize> + use<> {
        let count = self.manifest_index.len();
        let hash = (block.offset / 64).wrapping_mul(HASH_MULTIPLIERS[0]);
        let first = ((u128::from(hash) * count as u128) >> 64) as usize;
        (0..PLACES.min(count)).map(move |step| (first + step) % count)
    }

    fn place_start(&self, place: usize) -> u64 {
        self.geometry.offsets.manifest_index + place as u64 * 4
    }

    fn has_place(&self, place: usize) -> bool {
        self.backing.has_metadata(self.place_start(place))
    }

    /// Notes where the record of a block is: in a free place, else over another hint.
    pub(super) fn note_record(&self, block: BlockReference, number: usize) {
        let _full_filesystem: Result<(), Errno> = self.try_note_record(block, number);
    }

    fn try_note_record(&self, block: BlockReference, number: usize) -> Result<(), Errno> {
        for place in self.places(block) {
            self.backing.metadata(self.place_start(place), 4)?;
        }
        let free = |place: &usize| self.manifest_index[*place].load(Ordering::Relaxed) == 0;
        let place = self.places(block).find(free).or_else(|| self.places(block).next());
        if let Some(place) = place {
            self.manifest_index[place].store(number as u32 + 1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Numbers of the records that may be the block's.
    pub(super) fn noted_records(&self, block: BlockReference) -> impl Iterator<Item = usize> + '_ {
        let noted = self.places(block).filter(|&place| self.has_place(place));
        noted.filter_map(|place| {
            let number = (self.manifest_index[place].load(Ordering::Relaxed) as usize).checked_sub(1)?;
            let bucket = number / crate::layout::BUCKET_RECORDS;
            (number < self.record_limit() && self.has_bucket(bucket)).then_some(number)
        })
    }

    /// Frees the place of a record that is about to end.
    pub(super) fn forget_record(&self, block: BlockReference, number: usize) {
        for place in self.places(block).filter(|&place| self.has_place(place)) {
            let hint = &self.manifest_index[place];
            if hint.load(Ordering::Relaxed) == number as u32 + 1 {
                hint.store(0, Ordering::Relaxed);
            }
        }
    }
}
