//! A small pool whose words a test overwrites, as no operation would.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeSet;

use weyr_managed::geometry::{Geometry, Shape};
use weyr_managed::heap::class::{TIER_SHIFTS, class_of};
use weyr_managed::heap::word::{BlockState, BlockWord, LaneWord, PageWord, SlotState};
use weyr_managed::layout::{
    BUCKET_RECORDS, Lane, ManifestBucket, ManifestRecord, PageDescriptor, ProcessSlot,
};
use weyr_managed::{Allocation, Mode};
use weyr_shared::{BlockReference, Layout};

use crate::scratch::made_of::Bytes;
use crate::scratch::{Scratch, assert_sound, attributes};

pub(crate) const PAGE: u64 = 4096;
pub(crate) const LANES: u32 = 8;

/// A pool with one small block and one span of four pages, and the words of its object.
pub(crate) struct World {
    /// The block and the span; freed before the pool is destroyed.
    pub(crate) held: [Allocation; 2],
    pub(crate) pool: Scratch,
    pub(crate) bytes: Bytes,
    pub(crate) geometry: Geometry,
    /// The lane that this thread has, and one that nobody has.
    pub(crate) lane: u16,
    pub(crate) free_lane: u16,
    /// The process slot of this process, and one that nobody has.
    pub(crate) process: u16,
    pub(crate) free_process: u16,
}

impl World {
    pub(crate) fn new(test: &str) -> Self {
        Self::of_pages(test, 64)
    }

    pub(crate) fn of_pages(test: &str, pages: u64) -> Self {
        let shape = Shape {
            page_shift: 12,
            initial_pages: pages,
            segment_pages: pages,
            maximum_pages: pages,
            process_limit: 4,
            lane_limit: LANES,
            channel_limit: 2,
            manifest_limit: 64,
        };
        let attributes = attributes(test, pages * PAGE).page_size(PAGE).segment_size(pages * PAGE);
        let pool = Scratch::with(attributes.processes(4).lanes(LANES).channels(2).manifest_entries(64));
        let held = [64, 4 * PAGE].map(|bytes| pool.alloc(bytes).unwrap());
        let bytes = Bytes::of_file(&pool.bytes());
        let process = pool.actor().unwrap().process;
        let mut world = Self {
            held,
            pool,
            bytes,
            geometry: Geometry::new(shape),
            lane: 0,
            free_lane: 0,
            process,
            free_process: process ^ 1,
        };
        world.lane = PageWord(world.word(world.page_word(world.block() / PAGE))).lane();
        let is_free = |&lane: &u16| LaneWord(world.word(world.lane_word(lane))).state() == SlotState::Free;
        world.free_lane = (0..LANES as u16).find(is_free).unwrap();
        world
    }

    pub(crate) fn block(&self) -> u64 {
        self.held[0].reference().offset
    }

    pub(crate) fn span(&self) -> u64 {
        self.held[1].reference().offset / PAGE
    }

    /// A page that nobody has.
    pub(crate) fn free_page(&self) -> u64 {
        let is_free = |&page: &u64| self.word(self.page_word(page)) & 15 == 0;
        (0..64).rev().find(is_free).unwrap()
    }

    pub(crate) fn page_word(&self, page: u64) -> u64 {
        self.geometry.offsets.page_words + page * 8
    }

    pub(crate) fn block_word(&self) -> u64 {
        self.block_word_at(self.block())
    }

    /// The word of a block of 64 bytes.
    pub(crate) fn block_word_at(&self, offset: u64) -> u64 {
        let tier = usize::from(self.geometry.classes[class_of(64)].tier);
        self.geometry.offsets.tiers[tier] + (offset >> TIER_SHIFTS[tier]) * 8
    }

    /// The places of the records that the manifest has.
    pub(crate) fn records(&self) -> Vec<u64> {
        self.record_places().into_iter().filter(|&place| self.word(place) & 15 != 0).collect()
    }

    /// The place of a record that the manifest has not.
    pub(crate) fn spare_record(&self) -> u64 {
        self.record_places().into_iter().find(|&place| self.word(place) & 15 == 0).unwrap()
    }

    /// Copies tag and fields of a record.
    pub(crate) fn copy_record(&self, from: u64, to: u64) {
        (0..ManifestRecord::SIZE as u64).step_by(8).for_each(|at| self.write(to + at, self.word(from + at)));
    }

    /// Makes a record say that it is of `block`, whose generation is small.
    pub(crate) fn point_record(&self, record: u64, block: BlockReference) {
        self.write(record + at::<ManifestRecord>("block"), block.generation | (block.offset / 64) << 20);
    }

    fn record_places(&self) -> Vec<u64> {
        let record = |index: u64| {
            let (bucket, slot) = (index / BUCKET_RECORDS as u64, index % BUCKET_RECORDS as u64);
            self.geometry.offsets.manifest
                + bucket * ManifestBucket::SIZE as u64
                + at::<ManifestBucket>("records")
                + slot * ManifestRecord::SIZE as u64
        };
        (0..64).map(record).collect()
    }

    pub(crate) fn span_word(&self) -> u64 {
        self.geometry.offsets.tiers[0] + self.span() * 8
    }

    pub(crate) fn descriptor(&self, page: u64, field: &str) -> u64 {
        self.geometry.offsets.descriptors + page * PageDescriptor::SIZE as u64 + at::<PageDescriptor>(field)
    }

    pub(crate) fn lane_word(&self, lane: u16) -> u64 {
        self.geometry.offsets.lanes + u64::from(lane) * Lane::SIZE as u64 + at::<Lane>("word")
    }

    pub(crate) fn process_word(&self, process: u16) -> u64 {
        self.geometry.offsets.processes
            + u64::from(process) * ProcessSlot::SIZE as u64
            + at::<ProcessSlot>("word")
    }

    pub(crate) fn word(&self, place: u64) -> u64 {
        let mut bytes = [0; 8];
        self.bytes.read_at(&mut bytes, place).unwrap();
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn write(&self, place: u64, word: u64) {
        self.bytes.write_at(&word.to_le_bytes(), place);
    }

    pub(crate) fn block_as(&self, state: BlockState, actor: u16) -> (u64, u64) {
        (self.block_word(), BlockWord(self.word(self.block_word())).with(state, actor).0)
    }

    /// What verifying finds, by name.
    pub(crate) fn found(&self, mode: Mode) -> BTreeSet<&'static str> {
        self.pool.verify(mode).findings.iter().map(|finding| finding.invariant).collect()
    }

    /// Spoils one word, expects what is found, and puts the word back.
    pub(crate) fn expect(&self, invariant: &'static str, mode: Mode, spoilt: (u64, u64)) {
        self.expect_all(&[invariant], mode, spoilt);
    }

    pub(crate) fn expect_all(&self, invariants: &[&'static str], mode: Mode, (place, word): (u64, u64)) {
        let (was, blocks) = (self.word(place), self.pool.usage().total.blocks);
        assert_ne!(was, word, "{invariants:?}: nothing is spoilt");
        self.write(place, word);
        let expected = BTreeSet::from_iter(invariants.iter().copied());
        assert_eq!(self.found(mode), expected, "{mode:?}, {place:#x}: {was:#x} to {word:#x}");
        self.write(place, was);
        assert_sound(&self.pool, blocks);
    }
}

/// Bytes from the start of the structure to a field.
pub(crate) fn at<T: Layout>(field: &str) -> u64 {
    T::FIELDS.iter().find(|known| known.name == field).unwrap().offset as u64
}
