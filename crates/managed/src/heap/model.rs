//! What models of the protocol ask of a heap beyond what its users may: single steps, and words to judge by.
//!
//! Only under the faces for models. Nothing here changes what a step does.

use weyr_atomic::Ordering;
use weyr_shared::{BlockReference, Futex};

pub use super::fault::Fault;
#[cfg(weyr_face = "explore")]
pub use super::fault::without;
use super::lane::LaneHeap;
use super::manifest::Key;
use super::manifest::insert::Refused;
use super::manifest::record::{Record, RecordState};
use super::page::{Authority, RunClaim};
use super::recovery::Channels;
use super::resize::Resized;
use super::word::{BlockState, BlockWord, LaneWord, PageState, PageWord, ProcessWord};
use super::{Heap, Liveness};
use crate::layout::FLAG_MEMBARRIER;

/// A heap, step by step.
#[derive(Debug, Clone, Copy)]
pub struct Steps<'h>(pub &'h Heap);

impl Steps<'_> {
    /// Puts the process of that pid in slot `process`, as joining does.
    pub fn join(&self, process: u16, pid: u32) {
        let slot = &self.0.processes[process as usize];
        slot.flags.store(FLAG_MEMBARRIER, Ordering::Relaxed);
        super::mark(&self.0.header().process_mark, process);
        let epoch = self.0.process_word(process).epoch();
        slot.word.store(ProcessWord::active(epoch, pid).0, Ordering::Release);
    }

    /// Lets a lane keep spans of up to `pages` pages from now on; those of so small pools keep none.
    pub fn keep_up_to(&self, own: &mut LaneHeap, pages: u64) {
        own.kept.keep_up_to(pages);
    }

    /// Makes free pages of the kept span at `page`, whoever keeps it.
    pub fn release_kept(&self, own: &LaneHeap, page: u64) -> bool {
        let seen = self.0.page(page);
        seen.state() == PageState::Kept && self.0.release_kept(own.lane, page, seen)
    }

    /// Takes a lane for a thread of `process`, 0 for one that is not known.
    pub fn lane(&self, process: u16, thread: u32) -> LaneHeap {
        self.0.acquire_lane(process, thread, 1).expect("present").expect("a free lane")
    }

    /// The word of a page.
    pub fn page(&self, page: u64) -> PageWord {
        self.0.page(page)
    }

    /// The word of a lane.
    pub fn lane_word(&self, lane: u16) -> LaneWord {
        self.0.lane_word(lane)
    }

    /// Whether the hints call `page` used.
    pub fn seems_used(&self, page: u64) -> bool {
        self.0.used[(page / 64) as usize].load(Ordering::Relaxed) >> (page % 64) & 1 == 1
    }

    /// The word of the block of `class` at `offset`.
    pub fn block(&self, class: usize, offset: u64) -> BlockWord {
        BlockWord(self.0.block_word(&self.0.geometry.classes[class], offset).load(Ordering::Acquire))
    }

    /// The word of the span whose head is `page`.
    pub fn span(&self, page: u64) -> BlockWord {
        BlockWord(self.0.span_word(page).load(Ordering::Acquire))
    }

    /// Allocates from what the lane has at hand, or not at all.
    pub fn alloc_at_hand(&self, own: &mut LaneHeap, bytes: u64) -> Option<BlockReference> {
        Some(self.0.alloc_at_hand(own, bytes)).filter(|block| block.generation != 0)
    }

    /// What a free by handle does: nobody else can free the block.
    pub fn free_own(&self, own: &mut LaneHeap, block: BlockReference) -> bool {
        let page = block.offset >> self.0.geometry.shape.page_shift;
        let slab = self.0.head_of(page).filter(|(_, word)| word.state() == PageState::Slab);
        let bytes = slab.and_then(|(_, word)| self.0.class(word)).map_or(0, |class| class.size.into());
        if self.0.free_at_hand(own, block, bytes) {
            return true;
        }
        let process = own.process;
        let owned = |word: BlockWord| word.state() == BlockState::Alloc && word.actor() == process;
        self.0.free(own, block, true, owned).is_ok()
    }

    /// What a free by bytes does: others may try the same.
    pub fn free_shared(&self, own: &mut LaneHeap, block: BlockReference) -> bool {
        let live = |word: BlockWord| {
            matches!(word.state(), BlockState::Alloc | BlockState::Pool | BlockState::Typed)
        };
        self.0.free(own, block, false, live).is_ok()
    }

    /// Gives a slab back if all its blocks are free.
    pub fn retire(&self, own: &mut LaneHeap, page: u64) -> bool {
        self.0.enter(own);
        let retired = self.0.retire(own, page);
        self.0.leave(own);
        retired
    }

    /// Adopts the slab at `page` if it has no owner.
    pub fn adopt(&self, own: &mut LaneHeap, page: u64) -> bool {
        self.0.enter(own);
        let seen = self.0.page(page);
        let adopted = seen.state() == PageState::Orphan && self.0.adopt(own, page, seen);
        self.0.leave(own);
        adopted
    }

    /// Claims a run of pages; whether it is the lane's.
    pub fn claim_run(&self, own: &LaneHeap, page: u64, count: u64) -> bool {
        matches!(self.0.claim_run(own.lane, page, count), RunClaim::Claimed(_))
    }

    /// Gives back a run that the lane has in CLAIM.
    pub fn give_back(&self, own: &LaneHeap, page: u64) {
        self.0.give_back(page, own.lane);
    }

    /// Allocates whole pages, looking from `page` on.
    pub fn alloc_span_from(&self, own: &mut LaneHeap, page: u64, count: u64) -> Option<BlockReference> {
        self.look_from(own, page);
        self.0.alloc_span(own, count).expect("present")
    }

    /// Resizes a block of the lane's process where it lies; whether that could be done.
    pub fn resize(&self, own: &mut LaneHeap, block: BlockReference, bytes: u64) -> bool {
        matches!(self.0.resize(own, block, bytes), Ok(Ok(Resized::Done(_))))
    }

    /// Whether every page of the span that `block` means is its own.
    pub fn is_whole(&self, block: BlockReference) -> bool {
        self.0.locate(block).is_ok_and(|span| {
            let pages = span.bytes >> self.0.geometry.shape.page_shift;
            (1..pages).all(|distance| self.0.names_tail(span.head, distance, span.head + pages).is_some())
        })
    }

    /// The next search for pages begins at `page`.
    pub fn look_from(&self, own: &mut LaneHeap, page: u64) {
        own.cursor = page;
    }

    /// Allocates, looking at the truth before it grows the pool by `grow` or gives up.
    pub fn alloc_pressed(
        &self,
        own: &mut LaneHeap,
        bytes: u64,
        liveness: &impl Liveness,
        channels: &dyn Channels,
        grow: impl Fn() -> bool,
    ) -> Option<BlockReference> {
        let pressed =
            |own: &mut LaneHeap| self.0.alloc_pressed(own, bytes.into(), liveness, channels, || Ok(grow()));
        self.0.alloc(own, bytes).expect("present").or_else(|| pressed(own).expect("present"))
    }

    /// Gives an own block a key; false when another has it, or no record is empty.
    pub fn publish_typed(&self, own: &LaneHeap, block: BlockReference, key: Key) -> bool {
        match self.0.publish_typed(own, &Record { key, block, bytes: 1 }) {
            Ok(()) => true,
            Err(Refused::KeyTaken | Refused::Full) => false,
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// Frees a block that has a key, and removes its record; whether it was this call.
    pub fn free_typed(&self, own: &mut LaneHeap, block: BlockReference, key: Key) -> bool {
        let typed = |word: BlockWord| word.state() == BlockState::Typed;
        let freed = self.0.free(own, block, false, typed).is_ok();
        if freed {
            self.0.remove_record(block, key);
        }
        freed
    }

    /// Empties the records that the dead user of a lane was making, and frees the lane: what recovery does, alone.
    /// `life` is what the lane's word said while that one lived.
    pub fn recover_records(&self, lane: u16, life: LaneWord) {
        let word = &self.0.lane_state(lane).word;
        let dead = life.recovering();
        let marked = word.compare_exchange(life.0, dead.0, Ordering::AcqRel, Ordering::Acquire);
        if marked.is_err_and(|now| now != dead.0) {
            return;
        }
        let authority = Authority::Helper { word, expected: dead.0 };
        self.0.clear_half_made(|other| (other == lane).then_some(authority));
        let free = LaneWord::free(dead.epoch() + 1);
        let _another = word.compare_exchange(dead.0, free.0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Puts right what is wrong in the manifest, as process `me`, which makes no records.
    pub fn repair_manifest(&self, me: u16) {
        self.0.empty_nobodys_records(me);
        self.0.clear_leftovers();
        self.0.empty_records_of_others();
        self.0.empty_second_records();
        self.0.untype_blocks_without_record();
    }

    /// The first step of [`repair_manifest`](Self::repair_manifest) alone.
    pub fn empty_nobodys_records(&self, me: u16) -> u64 {
        self.0.empty_nobodys_records(me)
    }

    /// The last step of [`repair_manifest`](Self::repair_manifest) alone.
    pub fn untype_blocks_without_record(&self) -> u64 {
        self.0.untype_blocks_without_record()
    }

    /// Puts right what is wrong in the channel table.
    pub fn repair_channel_table(&self) {
        self.0.enter_missing_channels().expect("present");
        self.0.clear_leftover_entries();
    }

    /// Overwrites a record's tag, as no operation would: half-made by `lane`.
    pub fn spoil_record(&self, number: usize, lane: u16) {
        let bucket = &self.0.manifest[number / crate::layout::BUCKET_RECORDS];
        let record = &bucket.records[number % crate::layout::BUCKET_RECORDS];
        record.tag.store(1 | u64::from(lane) << 4, Ordering::Release);
    }

    /// The block that has a key.
    pub fn find(&self, key: Key) -> Option<BlockReference> {
        self.0.find_typed(key).map(|record| record.block)
    }

    /// How many blocks have a key: never more than one.
    pub fn holders(&self, key: Key) -> usize {
        let counts = |record: &Record| record.key == key && self.locate(record.block).is_some_and(is_in_use);
        self.0
            .records()
            .filter(|(_, tag, record)| tag.state() == RecordState::Valid && counts(record))
            .count()
    }

    /// What the buckets count of records beyond them.
    pub fn passed(&self) -> u64 {
        self.0.manifest.iter().map(|bucket| bucket.passed.load(Ordering::Acquire)).sum()
    }

    /// Every block that is not free, with its word.
    pub fn blocks(&self) -> Vec<(BlockReference, BlockWord)> {
        let mut found = Vec::new();
        self.0.for_each_block(|block, offset| {
            found.push((BlockReference { offset, generation: block.seen.generation() }, block.seen));
        });
        found
    }

    /// Makes orphans of the slabs of idle lanes.
    pub fn revoke(&self, own: &mut LaneHeap, liveness: &impl Liveness) -> u64 {
        self.0.revoke_idle_lanes(own, liveness)
    }

    /// Changes the block word that `block` means from one that `judge` allows; whether it did.
    pub fn change(&self, block: BlockReference, judge: impl Fn(BlockWord) -> Option<BlockWord>) -> bool {
        self.0.change_block(block, judge).is_ok()
    }

    /// Sends the block, as a process.
    pub fn send(&self, process: u16, block: BlockReference) -> bool {
        self.change(block, |word| word.sent_by(process))
    }

    /// Takes the block out of a message, as a process.
    pub fn take(&self, process: u16, block: BlockReference) -> bool {
        self.change(block, |word| word.taken_by(process))
    }

    /// Freezes the block.
    pub fn freeze(&self, block: BlockReference) -> bool {
        self.change(block, BlockWord::frozen)
    }

    /// Frees a published block.
    pub fn free_published(&self, own: &mut LaneHeap, block: BlockReference) -> bool {
        self.0.free(own, block, false, |word| word.state().is_public()).is_ok()
    }

    /// Makes a channel of a block of a process; false, and nothing was done, where the table is full.
    pub fn make_channel(&self, process: u16, block: BlockReference) -> bool {
        self.0.enter_channel(block).expect("present") && self.0.become_channel(block, process).is_ok()
    }

    /// Frees a channel; whether it was this call.
    pub fn free_channel(&self, own: &mut LaneHeap, block: BlockReference) -> bool {
        self.0.free_channel(own, block).is_ok()
    }

    /// Every channel that the table leads to.
    pub fn channels(&self) -> Vec<BlockReference> {
        self.0.channel_blocks().map(|block| block.reference).collect()
    }

    /// The block word that `block` means, if it leads to one of its generation.
    pub fn locate(&self, block: BlockReference) -> Option<BlockWord> {
        self.0.locate(block).ok().map(|block| block.seen)
    }

    /// Makes an orphan of every slab, as revoking every lane does where nobody is inside an operation.
    pub fn orphan_all(&self) {
        for page in 0..self.0.current_pages() {
            let seen = self.0.page(page);
            if seen.state() == PageState::Slab {
                self.0.orphan_slab(page, seen);
            }
        }
    }

    /// Room in the block that `block` means.
    pub fn bytes(&self, block: BlockReference) -> Option<u64> {
        self.0.locate(block).ok().map(|block| block.bytes)
    }

    /// Behind a free: wakes who waits for memory.
    pub fn freed(&self) {
        self.0.freed();
    }

    /// Tries to get memory, or sleeps until some is freed.
    pub fn look_or_sleep<T>(
        &self,
        futex: &impl Futex,
        liveness: &impl Liveness,
        attempt: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        self.0.look_or_sleep(futex, liveness, std::time::Duration::MAX, attempt)
    }

    /// Names what is part of the state, for traces too. Statistics are not, and what `parts` leaves out.
    #[cfg(weyr_face = "explore")]
    pub fn name(&self, regions: &mut weyr_atomic::explore::Regions, parts: &Parts) {
        let heap = self.0;
        regions.add(&heap.header().orphan_pages, "orphan count");
        for (index, entry) in heap.channels.iter().enumerate() {
            regions.add(entry, format!("channel entry {index}"));
        }
        if parts.growth {
            regions.add(&heap.header().segments, "segments");
        }
        if parts.waiting {
            regions.add(&heap.header().free_event, "event of who waits");
        }
        for index in parts.mortal.iter().copied() {
            regions.add(&heap.processes[index].word, format!("process {index}"));
            regions.add(&heap.lanes[index].word, format!("lane {index}"));
            if parts.threads {
                regions.add(&heap.lanes[index].thread, format!("thread of lane {index}"));
                regions.add(&heap.lanes[index].thread_start, format!("start of lane {index}"));
            }
        }
        for (index, lane) in heap.lanes.iter().enumerate() {
            // Pools of less than 4096 pages use the first word only.
            regions.add(&lane.inbox[0], format!("inbox of lane {index}"));
            if parts.revocation || parts.growth {
                regions.add(&lane.operation, format!("operation of lane {index}"));
                regions.add(&lane.revoke, format!("revoke of lane {index}"));
            }
        }
        for (page, word) in heap.pages.iter().enumerate() {
            regions.add(word, format!("page {page}"));
        }
        for (hints, name) in [(&heap.used, "used"), (&heap.orphan, "orphan"), (&heap.pending, "pending")] {
            regions.add(&**hints, name);
        }
        for (page, descriptor) in heap.descriptors.iter().enumerate() {
            regions.add(&descriptor.generation_base, format!("base {page}"));
            regions.add(&descriptor.span_pages, format!("length {page}"));
            regions.add(&descriptor.local, format!("local {page}"));
            regions.add(&descriptor.local_count, format!("local count {page}"));
            regions.add(&descriptor.remote, format!("remote {page}"));
        }
        // The index by block is hints that hardly any model reads.
        for (number, place) in heap.manifest_index.iter().enumerate().filter(|_| parts.index) {
            regions.add(place, format!("index {number}"));
        }
        for (number, bucket) in heap.manifest.iter().enumerate() {
            regions.add(&bucket.passed, format!("passed {number}"));
            for (place, record) in bucket.records.iter().enumerate().take(parts.records) {
                regions.add(record, format!("record {number}.{place}"));
            }
        }
        for (tier, words) in heap.tiers.iter().enumerate() {
            for (index, word) in words.iter().enumerate() {
                regions.add(word, format!("block {tier}.{index}"));
            }
        }
    }
}

/// What else than pages and blocks is part of a model's state; the rest stays as it is, or matters to nobody.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Slots whose process and lane word changes (process n has lane n).
    pub mortal: Vec<usize>,
    /// Whether lanes are revoked.
    pub revocation: bool,
    /// Whether threads end before their processes.
    pub threads: bool,
    /// Whether the pool grows.
    pub growth: bool,
    /// Whether somebody waits for memory.
    pub waiting: bool,
    /// Records of each bucket of the manifest that are used.
    pub records: usize,
    /// Whether somebody looks for the record of a block.
    pub index: bool,
}

fn is_in_use(word: BlockWord) -> bool {
    !word.is_free() && word.state() != BlockState::Freeing
}
