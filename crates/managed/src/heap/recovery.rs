//! What is done about the dead, by whoever notices, any number at once, each killable.
//!
//! Order: the process slot becomes DEAD; every lane of it becomes RECOVERING; one pass over the page words frees what
//! the lanes were claiming or giving back and orphans their slabs; the lanes become FREE with the next epoch; then
//! every channel word that names the process; then the block words; then the slot becomes FREE with the next epoch.
//!
//! Nobody holds a lock. Each step loads its target, asks whether the life it helps is still the same, and changes the
//! target by compare-exchange from what it loaded; a page is left only when it was seen without anything of the dead.
//! A helper that dies is a dead process like any other; one that comes late finds another epoch and stops.

use std::cell::OnceCell;
use std::collections::HashSet;

use weyr_atomic::Ordering;
use weyr_shared::{Actor, BlockReference, Layout as _};

use super::fault::{Fault, leaves_out};
use super::lane::LaneHeap;
use super::page::{Authority, Superseded};
use super::word::{BlockState, BlockWord, LaneWord, PageState, PageWord, ProcessWord, SlotState};
use super::{Heap, Liveness, Located};
use crate::layout::ProcessSlot;

/// The channels of a pool, as recovery needs them.
pub trait Channels {
    /// Repairs every word of every channel that names `actor`. Asks `still_dead` before each change, and `in_flight`
    /// whether a message's memory was taken.
    fn repair(&self, actor: Actor, still_dead: &dyn Fn() -> bool, in_flight: &dyn Fn(BlockReference) -> bool);
    /// Every block that a message in some channel has; none when a channel is too damaged to say, or not mapped.
    fn references(&self) -> Option<HashSet<BlockReference>>;
    /// Whether this process has mapped all of them.
    fn are_mapped(&self) -> bool {
        true
    }
}

/// A pool without channels.
#[derive(Debug, Clone, Copy)]
pub struct NoChannels;

impl Channels for NoChannels {
    fn repair(&self, _: Actor, _: &dyn Fn() -> bool, _: &dyn Fn(BlockReference) -> bool) {}
    fn references(&self) -> Option<HashSet<BlockReference>> {
        Some(HashSet::new())
    }
}

/// What a recovery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Process slots that were found dead and are free now.
    pub processes: u64,
    /// Lanes that are free now.
    pub lanes: u64,
    /// Blocks that were freed.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub bytes: u64,
}

impl Recovered {
    /// Whether anything was done.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Adds what another recovery did.
    pub fn add(&mut self, other: Recovered) {
        self.processes += other.processes;
        self.lanes += other.lanes;
        self.blocks += other.blocks;
        self.bytes += other.bytes;
    }
}

/// A dead lane and the word under which it is helped.
#[derive(Debug, Clone, Copy)]
struct DeadLane {
    lane: u16,
    recovering: LaneWord,
}

/// What one helper did for one dead process.
#[derive(Debug, Clone, Copy, Default)]
struct Help {
    recovered: Recovered,
    /// All but the spans is done, under this word of the slot; they need a helper with a lane.
    needs_lane: Option<ProcessWord>,
}

/// What became of a block that was to be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Changed,
    ByAnother,
    NeedsLane,
}

impl Heap {
    /// A process slot, if it was ever backed.
    pub(crate) fn process_slot(&self, process: u16) -> Option<&ProcessSlot> {
        let start = self.geometry.offsets.processes + u64::from(process) * ProcessSlot::SIZE as u64;
        self.processes.get(process as usize).filter(|_| self.backing.has_metadata(start))
    }

    /// The word of a process slot; free where it was never backed, and where there is no such slot.
    pub fn process_word(&self, process: u16) -> ProcessWord {
        let word = self.process_slot(process).map(|slot| slot.word.load(Ordering::Acquire));
        ProcessWord(word.unwrap_or(0))
    }

    /// Recovers every participant that is dead.
    pub fn recover_dead(
        &self,
        own: &mut LaneHeap,
        liveness: &impl Liveness,
        channels: &dyn Channels,
    ) -> Recovered {
        let mut total = Recovered::default();
        for process in self.process_numbers() {
            total.add(self.recover_process(own, process, liveness, channels));
        }
        total.add(self.recover_dead_threads(Some(own.lane), liveness));
        total
    }

    /// Recovers the dead as far as somebody can who has no lane yet: whoever finds the tables full of them.
    ///
    /// Spans are freed under the lane of who frees them, so the slot of a process that had some stays DEAD. Returns
    /// those slots with their words: nothing is left of their users but the spans.
    pub(crate) fn recover_dead_without_lane(
        &self,
        liveness: &impl Liveness,
        channels: &dyn Channels,
    ) -> Vec<(u16, ProcessWord)> {
        let of_slot = |process: u16| {
            let done = self.recover_one(None, process, liveness, channels);
            done.needs_lane.map(|word| (process, word))
        };
        let left = self.process_numbers().filter_map(of_slot).collect();
        self.recover_dead_threads(None, liveness);
        left
    }

    /// Recovers process slot `process` if its user is dead.
    pub fn recover_process(
        &self,
        own: &mut LaneHeap,
        process: u16,
        liveness: &impl Liveness,
        channels: &dyn Channels,
    ) -> Recovered {
        self.recover_one(Some(own), process, liveness, channels).recovered
    }

    fn recover_one(
        &self,
        own: Option<&LaneHeap>,
        process: u16,
        liveness: &impl Liveness,
        channels: &dyn Channels,
    ) -> Help {
        let seen = self.process_word(process);
        let dead = match seen.state() {
            SlotState::Active if liveness.process_is_dead(process, seen) => seen.dead(),
            SlotState::Recovering => seen,
            _ => return Help::default(),
        };
        let word = &self.processes[process as usize].word;
        let marked = word.compare_exchange(seen.0, dead.0, Ordering::AcqRel, Ordering::Acquire);
        // Who is second to mark it helps all the same: the first may be dead by now.
        if marked.is_err_and(|now| now != dead.0) {
            return Help::default();
        }
        tracing::info!(process, pid = dead.pid(), "recovering a dead process");
        let mut help = Help::default();
        let _another_finished = self.finish_process(own, process, dead, channels, &mut help);
        // Who leaves the rest to others comes here again and again.
        if help.recovered.any() || channels.are_mapped() {
            self.freed();
        }
        help
    }

    fn finish_process(
        &self,
        own: Option<&LaneHeap>,
        process: u16,
        dead: ProcessWord,
        channels: &dyn Channels,
        help: &mut Help,
    ) -> Result<(), Superseded> {
        let done = &mut help.recovered;
        let word = &self.processes[process as usize].word;
        let authority = Authority::Helper { word, expected: dead.0 };
        done.lanes += self.recover_lanes(process, authority)?;
        let in_flight = |reference| self.is_in_flight(reference);
        channels.repair(Actor { process, epoch: dead.epoch() }, &|| authority.holds(), &in_flight);
        let swept = self.sweep(own, process, authority, channels, done)?;
        if !channels.are_mapped() {
            // They may name the dead. Who has mapped them finishes this; until then the slot stays DEAD.
            return Ok(());
        }
        if !swept {
            help.needs_lane = Some(dead);
            return Ok(());
        }
        self.clear_leftovers();
        // Commit point of the whole: behind it the slot and its epoch name nobody any more.
        let free = ProcessWord::free(dead.epoch() + 1);
        if word.compare_exchange(dead.0, free.0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.header().recoveries.fetch_add(1, Ordering::Relaxed);
            done.processes += 1;
        }
        Ok(())
    }

    /// Recovers every lane of a dead process.
    fn recover_lanes(&self, process: u16, authority: Authority) -> Result<u64, Superseded> {
        let mut dead = Vec::new();
        for lane in self.lane_numbers() {
            let seen = self.lane_word(lane);
            if seen.state() != SlotState::Free && seen.process() == process {
                if !authority.holds() {
                    return Err(Superseded);
                }
                dead.extend(self.mark_recovering(lane, seen));
            }
        }
        self.recover_pages(&dead);
        self.recover_records(&dead);
        Ok(self.free_lanes(&dead))
    }

    fn mark_recovering(&self, lane: u16, seen: LaneWord) -> Option<DeadLane> {
        let recovering = seen.recovering();
        let word = &self.lane_state(lane).word;
        let marked = seen == recovering
            || word.compare_exchange(seen.0, recovering.0, Ordering::AcqRel, Ordering::Acquire).is_ok();
        (marked || self.lane_word(lane) == recovering).then_some(DeadLane { lane, recovering })
    }

    fn free_lanes(&self, dead: &[DeadLane]) -> u64 {
        let free = |dead: &&DeadLane| {
            let next = LaneWord::free(dead.recovering.epoch() + 1);
            let word = &self.lane_state(dead.lane).word;
            word.compare_exchange(dead.recovering.0, next.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
        };
        dead.iter().filter(free).count() as u64
    }

    /// Recovers lanes whose thread is gone while its process lives, and those that a helper of one left. Of the caller's
    /// own nobody is asked.
    fn recover_dead_threads(&self, own: Option<u16>, liveness: &impl Liveness) -> Recovered {
        let mut dead = Vec::new();
        for lane in self.lane_numbers() {
            let seen = self.lane_word(lane);
            let is_gone = |(thread, start)| liveness.thread_is_dead(seen.process(), thread, start);
            let gone = match seen.state() {
                SlotState::Active => own != Some(lane) && self.lane_user(lane, seen).is_some_and(is_gone),
                state => state == SlotState::Recovering,
            };
            // Marked by exact compare-exchange, so never in a later life than the one that was asked about.
            if gone {
                dead.extend(self.mark_recovering(lane, seen));
            }
        }
        self.recover_pages(&dead);
        self.recover_records(&dead);
        if !dead.is_empty() {
            self.clear_leftovers();
        }
        Recovered { lanes: self.free_lanes(&dead), ..Recovered::default() }
    }

    /// One pass over the page words for all of `dead`. A lane that another helper has freed needs no more of it; the
    /// other lanes, and what comes behind the lanes, still do, for that helper may be dead by now.
    fn recover_pages(&self, dead: &[DeadLane]) {
        let mut left = dead.to_vec();
        let pages = if dead.is_empty() { None } else { Some(self.known_pages()) };
        for page in pages.into_iter().flatten() {
            while !left.is_empty() {
                match self.recover_page(page, &left) {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(Superseded) => left.retain(|dead| self.authority_over(dead).holds()),
                }
            }
        }
    }

    /// One look at a page; true when it was seen without anything of the dead.
    fn recover_page(&self, page: u64, dead: &[DeadLane]) -> Result<bool, Superseded> {
        let find = |lane: u16| dead.iter().find(|dead| dead.lane == lane);
        let seen = self.page(page);
        match seen.state() {
            PageState::Claim => {
                let Some(dead) = find(seen.lane()) else { return Ok(true) };
                let freed = self.release(page, dead.lane, self.authority_over(dead))?;
                self.count_used(-(freed as i64));
                Ok(false)
            }
            PageState::Kept => {
                let Some(dead) = find(seen.lane()) else { return Ok(true) };
                if !self.authority_over(dead).holds() {
                    return Err(Superseded);
                }
                self.change_page(page, seen, PageWord::claim(dead.lane, seen.epoch()));
                Ok(false)
            }
            PageState::Slab => {
                let Some(dead) = find(seen.lane()) else { return Ok(true) };
                if !self.authority_over(dead).holds() {
                    return Err(Superseded);
                }
                self.orphan_slab(page, seen);
                Ok(false)
            }
            PageState::Head => {
                let word = BlockWord(self.span_word(page).load(Ordering::Acquire));
                let in_hand = matches!(word.state(), BlockState::Freeing | BlockState::Resizing);
                let Some(dead) = find(word.actor()).filter(|_| in_hand) else {
                    return Ok(leaves_out(Fault::PageSeenClean) || self.page(page) == seen);
                };
                let (authority, owner) = (self.authority_over(dead), dead.recovering.process());
                let freed = if word.state() == BlockState::Freeing {
                    self.finish_free(page, word, dead.lane, authority)?
                } else {
                    self.finish_resize(page, word, owner, authority)?
                };
                self.count_used(-(freed as i64));
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// One pass over the manifest for all of `dead`.
    fn recover_records(&self, dead: &[DeadLane]) {
        if dead.is_empty() {
            return;
        }
        self.clear_half_made(|lane| {
            let dead = dead.iter().find(|dead| dead.lane == lane)?;
            Some(self.authority_over(dead))
        });
    }

    fn authority_over(&self, dead: &DeadLane) -> Authority<'_> {
        Authority::Helper { word: &self.lane_state(dead.lane).word, expected: dead.recovering.0 }
    }

    /// Frees what the dead process owned, and what it was sending and no channel has; counts blocks and bytes.
    /// Whether that was all: without a lane of one's own no span can be freed, nor anything wiped.
    fn sweep(
        &self,
        own: Option<&LaneHeap>,
        process: u16,
        authority: Authority,
        channels: &dyn Channels,
        done: &mut Recovered,
    ) -> Result<bool, Superseded> {
        let referenced = OnceCell::new();
        let mut all = true;
        let mut lost = None;
        self.for_each_block(|block, offset| {
            if block.seen.actor() != process || lost.is_some() {
                return;
            }
            let reference = BlockReference { offset, generation: block.seen.generation() };
            let target = match block.seen.state() {
                BlockState::Alloc => BlockState::Free,
                // Only blocks of this dead sender are asked for, so the set only shrinks once it was made.
                state if state.is_in_flight() => {
                    let referenced = referenced.get_or_init(|| channels.references());
                    if referenced.as_ref().is_none_or(|blocks| blocks.contains(&reference)) {
                        return;
                    }
                    state.landed().filter(|&state| state != BlockState::Alloc).unwrap_or(BlockState::Free)
                }
                _ => return,
            };
            if !authority.holds() {
                lost = Some(Superseded);
                return;
            }
            match self.settle(own, block, offset, target) {
                Settled::Changed if target == BlockState::Free => {
                    done.blocks += 1;
                    done.bytes += block.bytes;
                }
                Settled::NeedsLane => all = false,
                Settled::Changed | Settled::ByAnother => {}
            }
        });
        lost.map_or(Ok(all), Err)
    }

    /// Frees a dead process's block, or gives it back to the pool.
    fn settle(&self, own: Option<&LaneHeap>, block: Located<'_>, offset: u64, target: BlockState) -> Settled {
        if target == BlockState::Free && self.wipes() {
            return match own.map(|own| self.settle_wiped(own, block, offset)) {
                Some(true) => Settled::Changed,
                Some(false) => Settled::ByAnother,
                None => Settled::NeedsLane,
            };
        }
        if target == BlockState::Free && block.page.state() == PageState::Head {
            return match own.map(|own| self.free_span(own, block)) {
                Some(Ok(())) => Settled::Changed,
                Some(Err(_)) => Settled::ByAnother,
                None => Settled::NeedsLane,
            };
        }
        let next = block.seen.with(target, 0);
        if block.word.compare_exchange(block.seen.0, next.0, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return Settled::ByAnother;
        }
        if target == BlockState::Free {
            self.tell_owner(block, offset);
        }
        Settled::Changed
    }

    /// Frees every span of this process's slot, and every block where they are wiped: what its former user left, before
    /// the new one has any.
    pub(crate) fn free_inherited(&self, own: &LaneHeap) {
        let mut freed = false;
        self.for_each_block(|block, offset| {
            let inherited = block.seen.state() == BlockState::Alloc && block.seen.actor() == own.process;
            if inherited && self.wipes() {
                let _freed_by_a_late_helper = self.settle_wiped(own, block, offset);
                freed = true;
            } else if inherited && block.page.state() == PageState::Head {
                let _freed_by_a_late_helper = self.free_span(own, block);
                freed = true;
            }
        });
        if freed {
            self.clear_leftovers();
        }
    }

    /// Calls `visit` with every block that is not free, and its data offset.
    pub(crate) fn for_each_block<'h>(&'h self, mut visit: impl FnMut(Located<'h>, u64)) {
        for page in self.known_pages() {
            let seen = self.page(page);
            match seen.state() {
                PageState::Slab | PageState::Orphan => {
                    let Some(class) = self.slab_class(page, seen) else { continue };
                    let start = self.page_offset(page);
                    for block in 0..u64::from(class.blocks) {
                        self.visit_block(start + block * u64::from(class.size), &mut visit);
                    }
                }
                PageState::Head => self.visit_block(self.page_offset(page), &mut visit),
                _ => {}
            }
        }
    }

    fn visit_block<'h>(&'h self, offset: u64, visit: &mut impl FnMut(Located<'h>, u64)) {
        if let Some(block) = self.locate_offset(offset).filter(|block| !block.seen.is_free()) {
            visit(block, offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Geometry, Shape};

    /// Everybody lives.
    struct Alive;

    impl Liveness for Alive {
        fn process_is_dead(&self, _: u16, _: ProcessWord) -> bool {
            false
        }
        fn thread_is_dead(&self, _: u16, _: u32, _: u64) -> bool {
            false
        }
        fn barrier(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_lane_of_a_dead_thread_that_a_dead_helper_left_is_recovered_by_the_next() {
        let shape = Shape {
            page_shift: 12,
            initial_pages: 64,
            segment_pages: 64,
            maximum_pages: 64,
            process_limit: 2,
            lane_limit: 4,
            channel_limit: 1,
            manifest_limit: 0,
        };
        let heap = Heap::in_memory(Geometry::new(shape));
        heap.processes[0].word.store(ProcessWord::active(0, 1).0, Ordering::Relaxed);
        let mut own = heap.acquire_lane(0, 1, 1).unwrap().unwrap();
        let mut dead = heap.acquire_lane(0, 2, 2).unwrap().unwrap();
        let block = heap.alloc(&mut dead, 100).unwrap().unwrap();
        let word = &heap.lane_state(dead.lane()).word;
        word.store(heap.lane_word(dead.lane()).recovering().0, Ordering::Relaxed);
        assert_eq!(heap.recover_dead(&mut own, &Alive, &NoChannels).lanes, 1);
        assert_eq!(heap.lane_word(dead.lane()), LaneWord::free(1));
        let located = heap.locate(block).unwrap();
        assert_eq!((located.page.state(), located.seen.state()), (PageState::Orphan, BlockState::Alloc));
    }
}
