//! How a block gets its key.
//!
//! 1. *Fill*: an empty record becomes FILLING{lane}, and gets its fields.
//! 2. *Enter*: it becomes ENTERED{lane}; then every other record of the key is looked at. A VALID one whose block lives
//!    has the key. One that is ENTERED is shut out: it becomes EMPTY.
//! 3. *Win*: ENTERED to VALID, which fails when another has shut this one out; then from 1 again.
//! 4. The block word becomes TYPED.
//!
//! *Exactly one wins.* Of two that both won, say that B entered last, with its final record. Then B looked at A's record
//! behind its own entering, and A had entered before: B saw it ENTERED, and either shut A out, so that A did not win
//! with it, or saw it VALID, and did not win.
//!
//! *Nobody waits.* Who is stopped between 2 and 3 is shut out. Two that go on both might shut out each other again and
//! again; so the one that lies further back gives the other some time first.
//!
//! Crash argument. Before 3 the record names the dead lane, and a helper empties it; the block is ALLOC{process} and is
//! swept. Behind 3 the same sweep frees the block, and with it the key: the record is a leftover. Behind 4 the block is
//! the pool's, and has its record. Commit point: the block word.

use weyr_atomic::Ordering;
use weyr_shared::Layout as _;
use weyr_sys::Errno;

use super::record::{Record, RecordState, RecordTag};
use crate::heap::fault::{Fault, leaves_out};
use crate::heap::lane::LaneHeap;
use crate::heap::word::{BlockState, BlockWord};
use crate::heap::{ChangeError, Heap};
use crate::layout::ManifestBucket;

/// Looks at a record further in front before its owner is shut out.
const PATIENCE: u32 = if cfg!(weyr_face = "explore") { 0 } else { 64 };

/// Why a block did not get a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another block has it.
    KeyTaken,
    /// No record is empty.
    Full,
    /// A bucket could not be backed.
    Backing(Errno),
    /// The block is not this process's.
    Block(ChangeError),
}

/// A record that this lane has entered.
#[derive(Debug, Clone, Copy)]
struct Entered {
    number: usize,
    tag: RecordTag,
}

/// What looking at the others gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contest {
    Won,
    Lost,
    ShutOut,
}

impl Heap {
    /// Gives a block of the process of `own` the key of `record`, and to the pool.
    ///
    /// Nothing of it is left when it is refused; the block stays the process's.
    pub(crate) fn publish_typed(&self, own: &LaneHeap, record: &Record) -> Result<(), Refused> {
        let won = loop {
            let entered = self.enter_record(own.lane, record)?;
            match self.contend(entered, record) {
                Contest::Won => break entered,
                Contest::Lost => {
                    self.vacate(entered.number, entered.tag, record.key);
                    return Err(Refused::KeyTaken);
                }
                Contest::ShutOut => weyr_atomic::thread::yield_now(),
            }
        };
        let owned = |word: BlockWord| word.state() == BlockState::Alloc && word.actor() == own.process;
        let typed = |word: BlockWord| owned(word).then_some(word.with(BlockState::Typed, 0));
        if let Err(error) = self.change_block(record.block, typed) {
            self.vacate(won.number, won.tag.valid(), record.key);
            return Err(Refused::Block(error));
        }
        self.note_record(record.block, won.number);
        Ok(())
    }

    /// Fills an empty record and enters it, unless the key is seen taken before.
    fn enter_record(&self, lane: u16, record: &Record) -> Result<Entered, Refused> {
        if self.find_record(record.key).is_some() {
            return Err(Refused::KeyTaken);
        }
        loop {
            let (number, seen) = match self.empty_record(record) {
                Some(found) => found,
                None if self.clear_leftovers() > 0 => continue,
                None => return Err(Refused::Full),
            };
            let bucket = number / crate::layout::BUCKET_RECORDS;
            self.back_buckets(record, bucket).map_err(Refused::Backing)?;
            self.raise_passed(record.key, bucket);
            let filling = seen.filling(lane);
            let place = self.record(number);
            if !place.change(seen, filling) {
                self.lower_passed(record.key, bucket);
                continue;
            }
            record.write(place);
            // Nobody but this lane leaves FILLING{lane} while it lives.
            place.change(filling, filling.entered());
            return Ok(Entered { number, tag: filling.entered() });
        }
    }

    /// The empty record that is nearest to the home of the key.
    fn empty_record(&self, record: &Record) -> Option<(usize, RecordTag)> {
        for bucket in self.buckets_from(self.home(record.key)) {
            if !self.has_bucket(bucket) {
                return self.records_of(bucket).next().map(|number| (number, RecordTag(0)));
            }
            let empty = |number| {
                let tag = self.record(number).look();
                (tag.state() == RecordState::Empty).then_some((number, tag))
            };
            if let Some(found) = self.records_of(bucket).find_map(empty) {
                return Some(found);
            }
        }
        None
    }

    /// Backs the buckets from the home of the key to `last`.
    fn back_buckets(&self, record: &Record, last: usize) -> Result<(), Errno> {
        for bucket in self.buckets_from(self.home(record.key)) {
            self.backing.metadata(self.bucket_start(bucket), ManifestBucket::SIZE as u64)?;
            if bucket == last {
                break;
            }
        }
        Ok(())
    }

    /// Looks at every other record of the key behind the own one's entering.
    fn contend(&self, entered: Entered, record: &Record) -> Contest {
        weyr_atomic::look_after_write();
        if !leaves_out(Fault::LookBehindEntering) {
            for number in self.chain(record.key).filter(|&number| number != entered.number) {
                if self.has_the_key(number, entered, record) {
                    return Contest::Lost;
                }
            }
        }
        // Commit point of the key: from here on others find it taken.
        let won = self.record(entered.number).change(entered.tag, entered.tag.valid());
        if won { Contest::Won } else { Contest::ShutOut }
    }

    /// Whether a record has the key; one that only wants it is shut out.
    fn has_the_key(&self, number: usize, entered: Entered, record: &Record) -> bool {
        let mut patience = if number < entered.number { PATIENCE } else { 0 };
        while let Some((tag, other)) = self.record(number).snapshot_of(record.key) {
            if tag.state() == RecordState::Valid {
                if self.fate(other.block).counts() {
                    return true;
                }
                self.vacate(number, tag, other.key);
            } else if leaves_out(Fault::ShutOut) {
                return false;
            } else if patience > 0 {
                patience -= 1;
                weyr_atomic::thread::yield_now();
            } else {
                self.vacate(number, tag, other.key);
            }
        }
        false
    }

    /// Counts a record of `key` in each bucket before `bucket`.
    pub(super) fn raise_passed(&self, key: super::Key, bucket: usize) {
        for before in self.buckets_from(self.home(key)).take_while(|&before| before != bucket) {
            // Release by the change of the record's tag, which comes behind.
            self.passed(before).fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Takes back what [`raise_passed`](Self::raise_passed) counted, once for each time that it did.
    pub(super) fn lower_passed(&self, key: super::Key, bucket: usize) {
        let passed = self.buckets_from(self.home(key)).take_while(|&before| before != bucket);
        for before in passed.filter(|&before| self.has_bucket(before)) {
            self.passed(before).fetch_sub(1, Ordering::AcqRel);
        }
    }
}
