//! How a block gets its key.
//!
//! 1. *Fill*: an empty record becomes FILLING{lane}, and gets its fields.
//! 2. *Enter*: it becomes ENTERED{lane}.
//! 3. *Decide*: every other record of the key is looked at. One that is VALID, with a block that lives, has the key: the
//!    entered one is emptied. One that is ENTERED further back is emptied. One that is ENTERED further in front is
//!    decided first, whoever entered it. When none is left the record becomes VALID: it has won.
//! 4. The block word becomes TYPED.
//!
//! *Exactly one wins.* Of two that won, say that B entered last. Whoever made B win looked at A's record when B had
//! entered, and so had A: it saw A ENTERED, and emptied it or decided it first, until it saw it VALID or gone; and with A
//! VALID it emptied B.
//!
//! *Nobody waits, and somebody always gets on*: what is left undone by one who is stopped, another does for it; and of
//! those that have entered the one furthest in front is emptied by nobody but one that comes before it.
//!
//! Crash argument. Before 3 the record names the dead lane, and a helper empties it; the block is ALLOC{process} and is
//! swept. Behind 3 the same sweep frees the block, and with it the key: the record is a leftover. Behind 4 the block is
//! the pool's, and has its record. Commit point: the block word.

use weyr_atomic::Ordering;
use weyr_shared::Layout as _;
use weyr_sys::Errno;

use super::Key;
use super::record::{Record, RecordState, RecordTag};
use crate::heap::fault::{Fault, leaves_out};
use crate::heap::lane::LaneHeap;
use crate::heap::word::{BlockState, BlockWord};
use crate::heap::{ChangeError, Heap};
use crate::layout::{BUCKET_RECORDS, ManifestBucket, ManifestRecord};

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

/// A record that some lane has entered.
#[derive(Debug, Clone, Copy)]
struct Entered {
    number: usize,
    tag: RecordTag,
}

/// What a record of the same key is to one that has entered.
#[derive(Debug, Clone, Copy)]
enum Rival {
    /// It won before.
    HasTheKey,
    /// It has entered too, further in front.
    ComesFirst(Entered),
}

impl Heap {
    /// Gives a block of the process of `own` the key of `record`, and to the pool.
    ///
    /// Nothing of it is left when it is refused; the block stays the process's.
    pub(crate) fn publish_typed(&self, own: &LaneHeap, record: &Record) -> Result<(), Refused> {
        let won = loop {
            let entered = self.enter_record(own.lane, record)?;
            if self.wins(entered, record.key) {
                break entered;
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
        loop {
            let (number, seen) = match self.empty_record(record.key)? {
                Some(found) => found,
                None if self.clear_leftovers() > 0 => continue,
                None => return Err(Refused::Full),
            };
            let bucket = number / BUCKET_RECORDS;
            self.back_buckets(record.key, bucket).map_err(Refused::Backing)?;
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

    /// The empty record that is nearest to the home of the key, or that the key is taken.
    fn empty_record(&self, key: Key) -> Result<Option<(usize, RecordTag)>, Refused> {
        let mut empty = None;
        let taken = self.search(self.home(key), |number, place| {
            let tag = place.look();
            if tag.state() == RecordState::Empty {
                empty = empty.or((number < self.record_limit()).then_some((number, tag)));
                return None;
            }
            let (tag, record) = place.snapshot_of(key)?;
            (tag.state() == RecordState::Valid && self.fate(record.block).counts()).then_some(())
        });
        match taken {
            Some(()) => Err(Refused::KeyTaken),
            None => Ok(empty.or_else(|| self.empty_record_beyond(key))),
        }
    }

    /// The empty record that is nearest to the home of the key, behind the buckets in which the key can be too.
    #[cold]
    fn empty_record_beyond(&self, key: Key) -> Option<(usize, RecordTag)> {
        for bucket in self.buckets_from(self.home(key)) {
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
    fn back_buckets(&self, key: Key, last: usize) -> Result<(), Errno> {
        if self.has_bucket(last) && self.home(key) == last {
            return Ok(());
        }
        for bucket in self.buckets_from(self.home(key)) {
            self.backing.metadata(self.bucket_start(bucket), ManifestBucket::SIZE as u64)?;
            if bucket == last {
                break;
            }
        }
        Ok(())
    }

    /// Whether the record gets its key; else it is emptied.
    fn wins(&self, own: Entered, key: Key) -> bool {
        let place = self.record(own.number);
        // Deciding another one first may leave this one as it was.
        while place.look() == own.tag {
            self.decide(own, key);
        }
        place.look() == own.tag.valid()
    }

    /// Decides whether a record that has entered gets its key, or one further in front of it that wants the same.
    fn decide(&self, mut entered: Entered, key: Key) {
        while let Some(first) = self.ahead_of(entered, key) {
            entered = first;
        }
    }

    /// Decides on a record that has entered; or returns one further in front, which comes first.
    fn ahead_of(&self, entered: Entered, key: Key) -> Option<Entered> {
        // Stands between the entering, one's own or one that was seen, and the looks at the others.
        weyr_atomic::look_after_write();
        if !leaves_out(Fault::LookBehindEntering) {
            let rival = self.search(self.home(key), |number, place| {
                if number == entered.number { None } else { self.rival(number, place, entered, key) }
            });
            match rival {
                Some(Rival::HasTheKey) => {
                    self.vacate(entered.number, entered.tag, key);
                    return None;
                }
                Some(Rival::ComesFirst(first)) => return Some(first),
                None => {}
            }
        }
        // Commit point of the key: from here on others find it taken. When it fails another has decided.
        self.record(entered.number).change(entered.tag, entered.tag.valid());
        None
    }

    /// What another record means for one that has entered. One of the same key that comes behind it is emptied.
    fn rival(&self, number: usize, place: &ManifestRecord, entered: Entered, key: Key) -> Option<Rival> {
        while let Some((tag, other)) = place.snapshot_of(key) {
            let valid = tag.state() == RecordState::Valid;
            if valid && self.fate(other.block).counts() {
                return Some(Rival::HasTheKey);
            }
            if !valid && leaves_out(Fault::ShutOut) {
                return None;
            }
            if !valid && number < entered.number {
                return Some(Rival::ComesFirst(Entered { number, tag }));
            }
            // Further back, or a leftover. What enters here from now on sees the one that has entered: were it looked
            // at again, two could go on for ever, one emptying what the other enters.
            if self.vacate(number, tag, key) {
                return None;
            }
        }
        None
    }

    /// Counts a record of `key` in each bucket before `bucket`.
    pub(super) fn raise_passed(&self, key: Key, bucket: usize) {
        let home = self.home(key);
        if home == bucket {
            return;
        }
        for before in self.buckets_from(home).take_while(|&before| before != bucket) {
            // Release by the change of the record's tag, which comes behind.
            self.passed(before).fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Takes back what [`raise_passed`](Self::raise_passed) counted, once for each time that it did.
    pub(super) fn lower_passed(&self, key: Key, bucket: usize) {
        let home = self.home(key);
        if home == bucket {
            return;
        }
        let passed = self.buckets_from(home).take_while(|&before| before != bucket);
        for before in passed.filter(|&before| self.has_bucket(before)) {
            self.passed(before).fetch_sub(1, Ordering::AcqRel);
        }
    }
}
