//! The manifest made to agree with the blocks, on request: what deaths leave recovery clears; this is for what was
//! overwritten, too.
//!
//! *The block word decides.* A record that is wrong about its block is emptied, a typed block that has no record becomes
//! an ordinary published one: its bytes, its reference and its block id stay as they were, and only the key is lost,
//! which nothing says any more. Of two records of one key the one that a search finds first keeps it, so who looks for
//! the key finds what he found before.
//!
//! *Nobody is disturbed.* Each change is one compare-exchange from the tag, or the block word, that was judged. What
//! the living are in the middle of is never wrong: a record is theirs from before its tag says so until behind that
//! (they have the lane that it names), it is VALID from before its block is TYPED until behind the block's free, and
//! of one key only one is ever VALID with a block that lives.
//!
//! The counts of passed buckets are left alone: the key of a record that is wrong is an allegation, and a count that is
//! too high costs a look further, while one that is too low hides what is right.

use weyr_atomic::Ordering;
use weyr_shared::BlockReference;

use super::Fate;
use super::check::is_typed;
use super::record::{Record, RecordState, RecordTag};
use crate::heap::fault::{Fault, leaves_out};
use crate::heap::word::BlockState;
use crate::heap::{Heap, Located};

impl Heap {
    /// Empties every record that is half-made by a lane that nobody has, or in no state that there is.
    ///
    /// The tag is loaded before the lane's word: whoever had the lane then and has not now is through with the record,
    /// or was dead and has been recovered, and in both cases the tag is another. Process `me`, which has attached the
    /// pool for the repair alone, makes no records.
    pub(crate) fn empty_nobodys_records(&self, me: u16) -> u64 {
        let empty = |&number: &usize| {
            let (place, early) = (self.record(number), self.lanes_in_use_before());
            let seen = place.look();
            let in_use = |lane| match &early {
                Some(early) => early.contains(&lane),
                None => self.is_lane_in_use(lane) && self.lane_word(lane).process() != me,
            };
            let nobodys = match seen.state() {
                RecordState::Filling | RecordState::Entered => !in_use(seen.lane()),
                state => state == RecordState::Unknown,
            };
            nobodys && place.change(seen, seen.empty())
        };
        self.known_records().filter(empty).count() as u64
    }

    /// A mistake for models: the lanes in use, as they were before the record was looked at.
    fn lanes_in_use_before(&self) -> Option<Vec<u16>> {
        let lanes = || self.lane_numbers().filter(|&lane| self.is_lane_in_use(lane)).collect();
        leaves_out(Fault::LaneBehindRecord).then(lanes)
    }

    /// Empties every record whose block lives and is not typed, nor about to be.
    pub(crate) fn empty_records_of_others(&self) -> u64 {
        let is_wrong = |record: &Record| match self.fate(record.block) {
            Fate::Lives(BlockState::Alloc | BlockState::Resizing | BlockState::Unknown) => false,
            Fate::Lives(state) => !is_typed(state),
            Fate::Gone | Fate::OutsideWindow => false,
        };
        self.empty_valid(is_wrong)
    }

    /// Empties every record whose key a search finds in another.
    pub(crate) fn empty_second_records(&self) -> u64 {
        let valid = self.records().filter(|(_, tag, _)| tag.state() == RecordState::Valid);
        let is_second = |(number, _, record): &(usize, RecordTag, Record)| {
            let counts = self.fate(record.block).counts();
            counts && self.find_record(record.key).is_some_and(|(first, _, _)| first != *number)
        };
        valid.filter(is_second).filter(|(number, tag, record)| self.discard(*number, *tag, record)).count()
            as u64
    }

    fn empty_valid(&self, is_wrong: impl Fn(&Record) -> bool) -> u64 {
        let valid = self.records().filter(|(_, tag, _)| tag.state() == RecordState::Valid);
        let wrong = valid.filter(|(_, _, record)| is_wrong(record));
        wrong.filter(|(number, tag, record)| self.discard(*number, *tag, record)).count() as u64
    }

    /// Empties a record that was judged under this tag, without a change of the counts. Commit point: its tag.
    fn discard(&self, number: usize, seen: RecordTag, record: &Record) -> bool {
        self.forget_record(record.block, number);
        self.record(number).change(seen, seen.empty())
    }

    /// Makes an ordinary published block of every typed one that has no record. Commit point: the block word.
    pub(crate) fn untype_blocks_without_record(&self) -> u64 {
        let early = self.recorded_blocks();
        let mut untyped = 0;
        self.for_each_block(|block, offset| {
            let reference = BlockReference { offset, generation: block.seen.generation() };
            // The block's word was loaded before: a record that is not there now was not there when it was typed.
            let recorded = || match &early {
                Some(early) => early.contains(&reference),
                None => self.record_of(reference).is_some(),
            };
            untyped += u64::from(is_typed(block.seen.state()) && !recorded() && Self::untype(block));
        });
        untyped
    }

    /// A mistake for models: the blocks that have records, as they were before the blocks were looked at.
    fn recorded_blocks(&self) -> Option<Vec<BlockReference>> {
        let valid = || self.records().filter(|(_, tag, _)| tag.state() == RecordState::Valid);
        leaves_out(Fault::RecordBehindBlock).then(|| valid().map(|(_, _, record)| record.block).collect())
    }

    fn untype(block: Located<'_>) -> bool {
        let next = match block.seen.state() {
            BlockState::Typed => block.seen.with(BlockState::Pool, 0),
            _ => block.seen.with(BlockState::InFlightPool, block.seen.actor()),
        };
        block.word.compare_exchange(block.seen.0, next.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
