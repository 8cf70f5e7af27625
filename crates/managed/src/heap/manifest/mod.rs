//! The manifest: which published blocks have a type and an id.
//!
//! A hash table of records in shared memory. *The block word stays the truth*: a record counts only while the block of
//! its generation lives, and as generations never return, a record whose block is gone is gone for good, whoever
//! removes it. So freeing a block frees its key in the same instant, and neither death nor stop of who frees leaves
//! anything that must be finished: a leftover record is a hint.
//!
//! *No lock.* Who wants a key enters a record for it, then looks at every other record that could have the key
//! (`insert`). Of several that do so at once each sees the others, and they decide alike who wins. What a stopped one
//! has left undone the others do for it, so nobody waits.
//!
//! A bucket of six records is four cache lines. The home of a key follows from its hash; when that is full the record
//! lies in a later one, and each bucket in between counts it, so that a search knows when to end.
//!
//! One idea a file: `record` tags and fields, `insert` how a key is won, `lookup` how it is found, `removal`
//! how a record ends, also after deaths, `repair` what is put right on request, `index` from a block to its record,
//! `check` the invariants.

pub(crate) mod check;
pub(crate) mod index;
pub(crate) mod insert;
pub(crate) mod lookup;
pub mod record;
pub(crate) mod removal;
mod repair;

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::{BlockReference, Layout as _};

use super::Heap;
use super::word::BlockState;
use crate::geometry::METADATA_CHUNK;
use crate::layout::{BUCKET_RECORDS, ManifestBucket, ManifestRecord};
use record::{Record, RecordState, RecordTag};

/// Type and id: what a block is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Type; never 0, which means that there is none.
    pub type_id: u32,
    /// User's id within the type.
    pub id: u64,
}

/// Multipliers of the hash: part of the layout, for all that share a pool must agree where a key lies.
pub(crate) const HASH_MULTIPLIERS: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xD6E8_FEB8_6659_FD93];

impl Key {
    fn hash(self) -> u64 {
        let mixed = self.id.wrapping_mul(HASH_MULTIPLIERS[0]) ^ u64::from(self.type_id).rotate_left(32);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(HASH_MULTIPLIERS[1]);
        (mixed ^ mixed >> 29).wrapping_mul(HASH_MULTIPLIERS[0])
    }
}

/// What has become of the block of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is there, in this state.
    Lives(BlockState),
    /// It is gone, for good.
    Gone,
    /// It lies beyond what this process has mapped, and cannot be asked.
    OutsideWindow,
}

impl Fate {
    /// Whether the record counts.
    fn counts(self) -> bool {
        self != Fate::Gone
    }
}

impl Heap {
    /// Records that may be used.
    fn record_limit(&self) -> usize {
        self.geometry.shape.manifest_limit as usize
    }

    fn record(&self, number: usize) -> &ManifestRecord {
        &self.manifest[number / BUCKET_RECORDS].records[number % BUCKET_RECORDS]
    }

    fn passed(&self, bucket: usize) -> &AtomicU64 {
        &self.manifest[bucket].passed
    }

    /// Numbers of the records of a bucket. Only the last bucket may have less than six.
    fn records_of(&self, bucket: usize) -> std::ops::Range<usize> {
        let first = bucket * BUCKET_RECORDS;
        first..(first + BUCKET_RECORDS).min(self.record_limit())
    }

    fn bucket_start(&self, bucket: usize) -> u64 {
        self.geometry.offsets.manifest + bucket as u64 * ManifestBucket::SIZE as u64
    }

    /// Whether a bucket was ever written; the others are empty, and must not be touched.
    fn has_bucket(&self, bucket: usize) -> bool {
        self.backing.has_metadata(self.bucket_start(bucket))
    }

    #[inline]
    fn home(&self, key: Key) -> usize {
        ((u128::from(key.hash()) * self.manifest.len() as u128) >> 64) as usize
    }

    /// Buckets from `home` on, once around.
    fn buckets_from(&self, home: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.manifest.len();
        (home..count).chain(0..home.min(count))
    }

    /// Calls `look` with the records that may have a key of this home, and their numbers, until it finds something.
    #[inline]
    fn search<R>(&self, home: usize, mut look: impl FnMut(usize, &ManifestRecord) -> Option<R>) -> Option<R> {
        let mut bucket = home;
        for _ in 0..self.manifest.len() {
            if !self.has_bucket(bucket) {
                return None;
            }
            let contents = &self.manifest[bucket];
            // Acquire: pairs with the raise, before which no record lies further on.
            let goes_on = contents.passed.load(Ordering::Acquire) != 0;
            for (place, record) in contents.records.iter().enumerate() {
                let found = look(bucket * BUCKET_RECORDS + place, record);
                if found.is_some() {
                    return found;
                }
            }
            if !goes_on {
                return None;
            }
            bucket = if bucket + 1 == self.manifest.len() { 0 } else { bucket + 1 };
        }
        None
    }

    /// Numbers of all records that were ever backed.
    fn known_records(&self) -> impl Iterator<Item = usize> + '_ {
        let mut bucket = 0;
        std::iter::from_fn(move || {
            while bucket < self.manifest.len() && !self.has_bucket(bucket) {
                // On to the first bucket of the next chunk.
                let next = (self.bucket_start(bucket) / METADATA_CHUNK + 1) * METADATA_CHUNK;
                let bytes = next - self.geometry.offsets.manifest;
                bucket = bytes.div_ceil(ManifestBucket::SIZE as u64) as usize;
            }
            bucket += 1;
            (bucket <= self.manifest.len()).then(|| self.records_of(bucket - 1))
        })
        .flatten()
    }

    /// Every record that has fields.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, RecordTag, Record)> + '_ {
        self.known_records().filter_map(|number| {
            let (tag, record) = self.record(number).snapshot()?;
            Some((number, tag, record))
        })
    }

    /// Records in use, half-made ones and leftovers included.
    pub(crate) fn count_records(&self) -> u64 {
        let used = |&number: &usize| self.record(number).look().state() != RecordState::Empty;
        self.known_records().filter(used).count() as u64
    }

    /// What has become of a block that a record names. Gone is for good: its generation never returns.
    pub(crate) fn fate(&self, block: BlockReference) -> Fate {
        let page = block.offset >> self.geometry.shape.page_shift;
        if (self.window_pages..self.geometry.shape.maximum_pages).contains(&page) {
            return Fate::OutsideWindow;
        }
        match self.locate(block).map(|block| block.seen.state()) {
            Ok(BlockState::Free | BlockState::Freeing) | Err(_) => Fate::Gone,
            Ok(state) => Fate::Lives(state),
        }
    }
}
