//! One thread's side of the heap: its lane, its private lists, and how others take its pages when it is idle.
//!
//! A slab is allocated from by one lane, its owner, with plain stores. So that memory is not stranded there, an idle
//! lane can be *revoked*: the revoker writes its name into the lane's `revoke` word, makes every thread's stores
//! visible (membarrier), and if the lane is then not inside an operation, turns its slabs into orphans. The owner
//! looks at `revoke` after it raised `operation`; it either sees the flag, or the revoker sees the operation. On a
//! flag the owner orphans what is left itself, forgets its lists and clears the flag.
//!
//! The private lists (magazines, pages with free blocks) are in private memory: only the owner reads them, they die
//! with it, and a peer cannot corrupt them.

use std::collections::BTreeSet;

use weyr_atomic::{AtomicU64, Ordering, light_barrier};
use weyr_shared::{Element, Layout as _, Table};
use weyr_sys::Errno;

use super::ceiling::Ceiling;
use super::class::{CLASS_LIMIT, TIER_SHIFTS};
use super::fault::{Fault, leaves_out};
use super::kept::KeptSpans;
use super::page::set_hint;
use super::word::{BlockState, BlockWord, LaneWord, PageState, PageWord, SlotState};
use super::{Heap, Liveness};
use crate::geometry::METADATA_CHUNK;
use crate::layout::{FLAG_MEMBARRIER, Lane};

/// Blocks that a lane keeps at hand per class.
pub(crate) const MAGAZINE: usize = 32;

/// Free blocks of one class that this lane probably can take, and what its fast path would else look up each time.
#[derive(Debug)]
#[cfg_attr(any(weyr_face = "explore", weyr_face = "loom"), derive(Clone))]
pub(crate) struct ClassCache {
    /// How many blocks the magazine has.
    pub(crate) filled: usize,
    /// Words of the class's blocks.
    pub(crate) words: Table<AtomicU64>,
    /// log2 of the bytes of data for each of them.
    pub(crate) shift: u32,
    /// Word of a slab of this class and lane, but for the epoch.
    pub(crate) slab: PageWord,
    /// Data offsets of free blocks; the last is taken first, being the one freed last.
    pub(crate) magazine: [u64; MAGAZINE],
    /// Own slabs with free bits; entries may be out of date.
    pub(crate) available: Vec<u64>,
}

impl ClassCache {
    fn new(heap: &Heap, class: usize, lane: u16) -> Self {
        let tier = usize::from(heap.geometry.classes[class].tier);
        Self {
            filled: 0,
            words: heap.tiers[tier].clone(),
            shift: TIER_SHIFTS[tier],
            slab: PageWord::slab(class as u8, lane, 0),
            magazine: [0; MAGAZINE],
            available: Vec::new(),
        }
    }

    /// Word of the block of this class at data offset `offset`; none where the pool has no such offset.
    #[inline(always)]
    pub(crate) fn word(&self, offset: u64) -> Option<&AtomicU64> {
        self.words.get((offset >> self.shift) as usize)
    }

    /// Own slab `head` has free bits. Asks for no private memory, for a free may: [`LaneHeap::add_slab`] left room for
    /// each slab twice.
    pub(crate) fn make_available(&mut self, head: u64) {
        if self.available.len() == self.available.capacity() {
            // Some are there more than once.
            self.available.sort_unstable();
            self.available.dedup();
        }
        self.available.push(head);
    }
}

/// A lane in use by one thread, with its private lists.
#[derive(Debug)]
#[cfg_attr(any(weyr_face = "explore", weyr_face = "loom"), derive(Clone))]
pub struct LaneHeap {
    /// Index of the lane.
    pub(crate) lane: u16,
    /// The lane itself.
    line: Element<Lane>,
    /// Process slot that allocations name.
    pub(crate) process: u16,
    /// Word of a block that it allocated, but for the generation.
    pub(crate) allocated: BlockWord,
    /// Where the next search for pages begins.
    pub(crate) cursor: u64,
    /// Below which it goes round as long as it finds something there.
    pub(crate) ceiling: Ceiling,
    pub(crate) classes: Box<[ClassCache; CLASS_LIMIT]>,
    /// Heads of the slabs that this lane owns, as far as it knows.
    pub(crate) slabs: BTreeSet<u64>,
    /// Free spans that it keeps.
    pub(crate) kept: KeptSpans,
    /// Sequence for revocations by this lane.
    revocations: u64,
}

impl LaneHeap {
    fn new(heap: &Heap, lane: u16, line: Element<Lane>, process: u16, cursor: u64) -> Self {
        Self {
            lane,
            line,
            process,
            allocated: BlockWord::new(BlockState::Alloc, process, 0),
            cursor,
            ceiling: Ceiling::of_pool(heap.geometry.shape.page_shift),
            classes: caches(heap, lane),
            slabs: BTreeSet::new(),
            kept: KeptSpans::of_pool(heap.current_pages()),
            revocations: 0,
        }
    }

    /// Index of the lane.
    pub fn lane(&self) -> u16 {
        self.lane
    }

    fn forget_lists(&mut self) {
        self.slabs.clear();
        for class in self.classes.iter_mut() {
            class.filled = 0;
            class.available.clear();
        }
    }

    /// Notes that the lane owns a slab of `class`.
    pub(crate) fn add_slab(&mut self, class: usize, head: u64) {
        self.slabs.insert(head);
        let available = &mut self.classes[class].available;
        available.reserve((2 * self.slabs.len()).saturating_sub(available.len()));
    }

    /// Forgets all free blocks of the slab at data offsets `start .. end`.
    pub(crate) fn forget_slab(&mut self, class: usize, head: u64, start: u64, end: u64) {
        let cache = &mut self.classes[class];
        let mut kept = 0;
        for index in 0..cache.filled {
            let offset = cache.magazine[index];
            if !(start..end).contains(&offset) {
                cache.magazine[kept] = offset;
                kept += 1;
            }
        }
        cache.filled = kept;
        cache.available.retain(|&page| page != head);
        self.slabs.remove(&head);
    }
}

/// Built where they stay: an array of them would take a good part of a small stack.
fn caches(heap: &Heap, lane: u16) -> Box<[ClassCache; CLASS_LIMIT]> {
    let caches: Vec<_> = (0..CLASS_LIMIT).map(|class| ClassCache::new(heap, class, lane)).collect();
    caches.try_into().unwrap_or_else(|_| unreachable!("as many as there are classes"))
}

impl Heap {
    pub(crate) fn lane_state(&self, lane: u16) -> &Lane {
        &self.lanes[lane as usize]
    }

    /// The word of a lane; free where it was never backed, and where there is no such lane.
    pub(crate) fn lane_word(&self, lane: u16) -> LaneWord {
        self.known_lane(lane).map_or(LaneWord::free(0), |lane| LaneWord(lane.word.load(Ordering::Acquire)))
    }

    /// Whether somebody wants the pages of a lane, whose user has not come by since.
    pub(crate) fn is_revoked(&self, lane: u16) -> bool {
        self.known_lane(lane).is_some_and(|lane| lane.revoke.load(Ordering::Relaxed) != 0)
    }

    /// A lane, if there is one of that number and it was ever backed.
    pub(crate) fn known_lane(&self, lane: u16) -> Option<&Lane> {
        let start = self.geometry.offsets.lanes + u64::from(lane) * Lane::SIZE as u64;
        self.lanes.get(lane as usize).filter(|_| self.backing.has_metadata(start))
    }

    /// Takes a free lane for a thread of `process`; none when all are in use.
    ///
    /// Commit point: the lane's word. A death behind it leaves an ACTIVE lane of a dead process, which is recovered.
    ///
    /// # Errors
    /// The kernel's, when the lane could not be backed.
    pub fn acquire_lane(
        &self,
        process: u16,
        thread: u32,
        thread_start: u64,
    ) -> Result<Option<LaneHeap>, Errno> {
        for index in 0..self.lanes.len() as u16 {
            let seen = self.lane_word(index);
            if seen.state() != SlotState::Free {
                continue;
            }
            self.backing.metadata(
                self.geometry.offsets.lanes + u64::from(index) * Lane::SIZE as u64,
                Lane::SIZE as u64,
            )?;
            super::mark(&self.header().lane_mark, index);
            let lane = self.lane_state(index);
            let active = LaneWord::active(process, seen.epoch());
            if lane.word.compare_exchange(seen.0, active.0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                self.reset_lane(lane, active, thread, thread_start);
                // Lanes start in different groups of 64 pages, as far as their ceilings let them, so that they do not meet.
                let apart = if self.starts_low { 0 } else { u64::from(index) * 64 };
                let cursor = apart % self.current_pages().max(1);
                let line = self.lanes.element(index.into());
                return Ok(line.map(|line| LaneHeap::new(self, index, line, process, cursor)));
            }
        }
        Ok(None)
    }

    /// What a former user left means nothing to this one.
    fn reset_lane(&self, lane: &Lane, active: LaneWord, thread: u32, thread_start: u64) {
        lane.shared.store(0, Ordering::Release);
        lane.thread_start.store(thread_start, Ordering::Release);
        // Last, with the life it belongs to: until then nobody takes the former user's end for this one's.
        lane.thread.store(u64::from(thread) | active.epoch() << 32, Ordering::Release);
        lane.operation.store(0, Ordering::Relaxed);
        lane.revoke.store(0, Ordering::Release);
        for word in &lane.inbox {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Thread id and start of the user of `lane` in the life that `seen` names. None when that is unknown, and when
    /// the threads of its process share the lane, so that it outlives the one that took it.
    pub(crate) fn lane_user(&self, lane: u16, seen: LaneWord) -> Option<(u32, u64)> {
        let state = self.lane_state(lane);
        // Acquire: pairs with `reset_lane`, which writes the other two before.
        let word = state.thread.load(Ordering::Acquire);
        let (thread, life) = (word as u32, word >> 32);
        let start = state.thread_start.load(Ordering::Acquire);
        let of_this_life = life == seen.epoch() & 0xffff_ffff || leaves_out(Fault::ThreadOfThisLife);
        let known = of_this_life && thread != 0 && start != 0 && state.shared.load(Ordering::Acquire) == 0;
        known.then_some((thread, start))
    }

    /// Gives a lane back: its slabs become orphans, then the lane is free.
    ///
    /// Crash argument: until the word changes the lane is this process's, so a death here is an ordinary death.
    pub fn release_lane(&self, mut own: LaneHeap) {
        self.let_go_of_pages(&mut own);
        self.free_lane(own.lane, own.process);
    }

    /// Says that the threads of its process share this lane.
    pub(crate) fn share_lane(&self, own: &LaneHeap) {
        self.lane_state(own.lane).shared.store(1, Ordering::Relaxed);
    }

    /// Gives back every lane of `process` but `kept`, for a process that leaves and whose threads are in no operation.
    pub(crate) fn release_lanes_of(&self, process: u16, kept: u16) {
        let of_process = |lane: &u16| {
            let word = self.lane_word(*lane);
            *lane != kept && word.state() == SlotState::Active && word.process() == process
        };
        let lanes: Vec<u16> = self.lane_numbers().filter(of_process).collect();
        if lanes.is_empty() {
            return;
        }
        for page in self.known_pages() {
            let seen = self.page(page);
            if seen.state() == PageState::Slab && lanes.contains(&seen.lane()) {
                self.orphan_slab(page, seen);
            }
            if seen.state() == PageState::Kept && lanes.contains(&seen.lane()) {
                self.release_kept(kept, page, seen);
            }
        }
        for lane in lanes {
            self.free_lane(lane, process);
        }
    }

    fn free_lane(&self, lane: u16, process: u16) {
        let seen = self.lane_word(lane);
        if seen.state() == SlotState::Active && seen.process() == process {
            let free = LaneWord::free(seen.epoch() + 1);
            let word = &self.lane_state(lane).word;
            let _already_recovered =
                word.compare_exchange(seen.0, free.0, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Begins an operation on own slabs. Between this and [`leave`](Self::leave) no revoker touches them.
    #[inline]
    pub(crate) fn enter(&self, own: &mut LaneHeap) {
        while !self.enter_at_once(own) {
            self.give_up(own);
        }
    }

    /// As [`enter`](Self::enter), but false where somebody wants this lane's pages; then no operation has begun.
    #[inline(always)]
    pub(crate) fn enter_at_once(&self, own: &mut LaneHeap) -> bool {
        own.line.operation.store(u64::from(!leaves_out(Fault::OperationWord)), Ordering::Relaxed);
        // Orders the store before the load below; pairs with the barrier in `revoke_idle_lanes`.
        light_barrier();
        // Acquire: what a revoker did before it set the flag is seen.
        own.line.revoke.load(Ordering::Acquire) == 0 || self.stay_out(own)
    }

    /// Ends an operation that may not begin. False.
    #[cold]
    fn stay_out(&self, own: &LaneHeap) -> bool {
        self.leave(own);
        false
    }

    /// Ends an operation. Release: a revoker that sees 0 sees all that the operation wrote.
    #[inline]
    pub(crate) fn leave(&self, own: &LaneHeap) {
        own.line.operation.store(0, Ordering::Release);
    }

    /// The owner's answer to a revocation, outside its operations.
    #[cold]
    fn give_up(&self, own: &mut LaneHeap) {
        let lane = self.lane_state(own.lane);
        let flag = lane.revoke.load(Ordering::Acquire);
        self.let_go_of_pages(own);
        // Exact: another revoker's flag, set since, must be answered too.
        let _another_flag = lane.revoke.compare_exchange(flag, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Leaves all pages of this lane to others, outside an operation.
    pub(crate) fn let_go_of_pages(&self, own: &mut LaneHeap) {
        for &head in &own.slabs {
            let seen = self.page(head);
            if seen.is_slab_of(own.lane) {
                self.orphan_slab(head, seen);
            }
        }
        own.forget_lists();
        self.release_own_kept(own);
    }

    /// SLAB to ORPHAN by exact compare-exchange, then the hints.
    pub(crate) fn orphan_slab(&self, head: u64, seen: PageWord) -> bool {
        let changed = self.change_page(head, seen, PageWord::orphan(seen.class(), seen.next_epoch()));
        if changed {
            set_hint(&self.orphan, head);
            self.header().orphan_pages.fetch_add(1, Ordering::Relaxed);
        }
        changed
    }

    /// Makes orphans of the slabs of every lane that is not inside an operation. Returns how many it made.
    ///
    /// Lanes of processes that the barrier does not reach, and those inside an operation, keep their slabs until
    /// their next call, when they see the flag.
    pub(crate) fn revoke_idle_lanes(&self, own: &mut LaneHeap, liveness: &impl Liveness) -> u64 {
        own.revocations += 1;
        let flag = 1 << 63 | u64::from(own.lane) << 40 | (own.revocations & 0xff_ffff_ffff);
        let flagged = self.flag_lanes(own.lane, flag);
        if flagged.is_empty() || !liveness.barrier() {
            return 0;
        }
        let idle: Vec<u16> = flagged
            .into_iter()
            // Acquire: pairs with `leave`.
            .filter(|&lane| self.lane_state(lane).operation.load(Ordering::Acquire) == 0)
            .filter(|&lane| self.barrier_reaches(lane))
            .collect();
        self.orphan_slabs_of(&idle, flag)
    }

    /// Sets the revoke flag of every other lane in use that may own slabs; returns those that carry it.
    fn flag_lanes(&self, own: u16, flag: u64) -> Vec<u16> {
        let active = |lane: &u16| *lane != own && self.lane_word(*lane).state() == SlotState::Active;
        let set = |lane: &u16| {
            let word = &self.lane_state(*lane).revoke;
            let seen = word.load(Ordering::Acquire);
            word.compare_exchange(seen, flag, Ordering::SeqCst, Ordering::Acquire).is_ok()
        };
        self.lane_numbers().filter(active).filter(set).collect()
    }

    fn barrier_reaches(&self, lane: u16) -> bool {
        let slot = self.process_slot(self.lane_word(lane).process());
        slot.is_some_and(|slot| slot.flags.load(Ordering::Relaxed) & FLAG_MEMBARRIER != 0)
    }

    fn orphan_slabs_of(&self, lanes: &[u16], flag: u64) -> u64 {
        let mut orphaned = 0;
        for page in self.known_pages() {
            let seen = self.page(page);
            if seen.state() != PageState::Slab || !lanes.contains(&seen.lane()) {
                continue;
            }
            // Between the load and the change: the owner may have answered and gone on.
            let stands = self.lane_state(seen.lane()).revoke.load(Ordering::Acquire) == flag;
            if stands || leaves_out(Fault::FlagStillStands) {
                orphaned += u64::from(self.orphan_slab(page, seen));
            }
        }
        orphaned
    }

    /// Every page of the pool whose word was ever backed; the others are free.
    pub(crate) fn known_pages(&self) -> impl Iterator<Item = u64> + '_ {
        let (start, end) = (self.geometry.offsets.page_words, self.pool_pages());
        let byte_of = move |chunk: u64| (chunk * METADATA_CHUNK).max(start);
        let page_of = move |chunk: u64| ((byte_of(chunk) - start) / 8).min(end);
        let chunks = start / METADATA_CHUNK..(start + end * 8).div_ceil(METADATA_CHUNK);
        let known = chunks.filter(move |chunk| self.backing.has_metadata(byte_of(*chunk)));
        known.flat_map(move |chunk| page_of(chunk)..page_of(chunk + 1))
    }

    /// The same with their words; of a span that is whole the first page only.
    pub(crate) fn known_runs(&self) -> impl Iterator<Item = (u64, PageWord)> + '_ {
        let mut pages = self.known_pages();
        std::iter::from_fn(move || {
            let page = pages.next()?;
            let seen = self.page(page);
            if let Some(last) = self.last_tail(page, seen) {
                pages.nth((last - page - 1) as usize);
            }
            Some((page, seen))
        })
    }

    /// The last page of a span at `head` that has more than one, all in place: a length never reaches beyond the tails,
    /// and they are freed from the top.
    fn last_tail(&self, head: u64, seen: PageWord) -> Option<u64> {
        if seen.state() != PageState::Head {
            return None;
        }
        // Acquire: pairs with a resize, which has the tails before the length, and frees them behind it.
        let pages = self.descriptor(head).span_pages.load(Ordering::Acquire);
        let distance = pages.checked_sub(1).filter(|&distance| distance > 0)?;
        let last = head.checked_add(distance).filter(|&last| last < self.pool_pages())?;
        let is_known = self.backing.has_metadata(self.geometry.offsets.page_words + last * 8);
        let word = is_known.then(|| self.page(last))?;
        (word.state() == PageState::Tail && word.distance() == distance).then_some(last)
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use crate::geometry::{Geometry, Shape};
    use crate::heap::Heap;

    fn firsts(heap: &Heap) -> Vec<u64> {
        heap.known_runs().map(|(page, _)| page).collect()
    }

    #[test]
    fn of_a_span_the_first_page_stands_for_all_unless_its_length_is_wrong() {
        let shape = Shape {
            page_shift: 12,
            initial_pages: 16,
            segment_pages: 16,
            maximum_pages: 16,
            process_limit: 2,
            lane_limit: 2,
            channel_limit: 1,
            manifest_limit: 0,
        };
        let heap = Heap::in_memory(Geometry::new(shape));
        let mut own = heap.acquire_lane(0, 1, 1).unwrap().unwrap();
        for pages in [1, 4, 2] {
            heap.alloc_span(&mut own, pages).unwrap().unwrap();
        }
        let behind = 7..16;
        let whole = |firsts: &[u64]| firsts.iter().copied().chain(behind.clone()).collect::<Vec<_>>();
        assert_eq!(firsts(&heap), whole(&[0, 1, 5]));
        for wrong in [0, 3, 5, 6, 20, u64::MAX] {
            heap.descriptor(1).span_pages.store(wrong, super::Ordering::Relaxed);
            let seen = if wrong == 3 { vec![0, 1, 4, 5] } else { vec![0, 1, 2, 3, 4, 5] };
            assert_eq!(firsts(&heap), whole(&seen), "{wrong}");
        }
    }
}
