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
use super::word::{BlockState, BlockWord, LaneWord, PageState, ProcessWord, SlotState};
use super::{Heap, Liveness, Located};
use crate::layout::ProcessSlot;

/// The channels of a pool, as recovery needs them.
pub trait Channels {
    /// Repairs every word of every channel that names `actor`. Asks `still_dead` before each change, and `in_flight`
    /// whether a message's memory was taken.
    fn repair(&self, actor: Actor, still_dead: &dyn Fn() -> bool, in_flight: &dyn Fn(BlockReference) -> bool);
    /// Every block that a message in some channel has; none when a channel is too damaged to say.
    fn references(&self) -> Option<HashSet<BlockReference>>;
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
        for process in 0..self.processes.len() as u16 {
            total.add(self.recover_process(own, process, liveness, channels));
        }
        total.add(self.recover_dead_threads(own, liveness));
        total
    }

    /// Recovers process slot `process` if its user is dead.
    pub fn recover_process(
        &self,
        own: &mut LaneHeap,
        process: u16,
        liveness: &impl Liveness,
        channels: &dyn Channels,
    ) -> Recovered {
        let seen = self.process_word(process);
        let dead = match seen.state() {
            SlotState::Active if liveness.process_is_dead(process, seen) => seen.dead(),
            SlotState::Recovering => seen,
            _ => return Recovered::default(),
        };
        let word = &self.processes[process as usize].word;
        let marked = word.compare_exchange(seen.0, dead.0, Ordering::AcqRel, Ordering::Acquire);
        // Who is second to mark it helps all the same: the first may be dead by now.
        if marked.is_err_and(|now| now != dead.0) {
            return Recovered::default();
        }
        tracing::info!(process, pid = dead.pid(), "recovering a dead process");
        self.finish_process(own, process, dead, channels).unwrap_or_default()
    }

    fn finish_process(
        &self,
        own: &mut LaneHeap,
        process: u16,
        dead: ProcessWord,
        channels: &dyn Channels,
    ) -> Result<Recovered, Superseded> {
        let word = &self.processes[process as usize].word;
        let authority = Authority::Helper { word, expected: dead.0 };
        let mut done = Recovered { lanes: self.recover_lanes(process, authority)?, ..Recovered::default() };
        let in_flight = |reference: BlockReference| {
            self.locate(reference).is_ok_and(|block| block.seen.state().is_in_flight())
        };
        channels.repair(Actor { process, epoch: dead.epoch() }, &|| authority.holds(), &in_flight);
        (done.blocks, done.bytes) = self.sweep(own, process, authority, channels)?;
        // Commit point of the whole: behind it the slot and its epoch name nobody any more.
        let free = ProcessWord::free(dead.epoch() + 1);
        if word.compare_exchange(dead.0, free.0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.header().recoveries.fetch_add(1, Ordering::Relaxed);
            done.processes = 1;
        }
        Ok(done)
    }

    /// Recovers every lane of a dead process.
    fn recover_lanes(&self, process: u16, authority: Authority) -> Result<u64, Superseded> {
        let mut dead = Vec::new();
        for lane in 0..self.lanes.len() as u16 {
            let seen = self.lane_word(lane);
            if seen.state() != SlotState::Free && seen.process() == process {
                if !authority.holds() {
                    return Err(Superseded);
                }
                dead.extend(self.mark_recovering(lane, seen));
            }
        }
        self.recover_pages(&dead);
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

    /// Recovers lanes whose thread is gone while its process lives.
    fn recover_dead_threads(&self, own: &LaneHeap, liveness: &impl Liveness) -> Recovered {
        let mut dead = Vec::new();
        for lane in (0..self.lanes.len() as u16).filter(|&lane| lane != own.lane) {
            let seen = self.lane_word(lane);
            let gone = seen.state() == SlotState::Active && liveness.thread_is_dead(lane);
            if gone && self.lane_word(lane) == seen {
                dead.extend(self.mark_recovering(lane, seen));
            }
        }
        self.recover_pages(&dead);
        Recovered { lanes: self.free_lanes(&dead), ..Recovered::default() }
    }

    /// One pass over the page words for all of `dead`. A lane that another helper has freed needs no more of it; the
    /// other lanes, and what comes behind the lanes, still do, for that helper may be dead by now.
    fn recover_pages(&self, dead: &[DeadLane]) {
        let mut left = dead.to_vec();
        for page in self.known_pages() {
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
                let freer = find(word.actor()).filter(|_| word.state() == BlockState::Freeing);
                let Some(dead) = freer else {
                    return Ok(leaves_out(Fault::PageSeenClean) || self.page(page) == seen);
                };
                let freed = self.finish_free(page, word, dead.lane, self.authority_over(dead))?;
                self.count_used(-(freed as i64));
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    fn authority_over(&self, dead: &DeadLane) -> Authority<'_> {
        Authority::Helper { word: &self.lane_state(dead.lane).word, expected: dead.recovering.0 }
    }

    /// Frees what the dead process owned, and what it was sending and no channel has. Returns blocks and bytes.
    fn sweep(
        &self,
        own: &LaneHeap,
        process: u16,
        authority: Authority,
        channels: &dyn Channels,
    ) -> Result<(u64, u64), Superseded> {
        let referenced = OnceCell::new();
        let (mut blocks, mut bytes) = (0, 0);
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
            } else if self.settle(own, block, offset, target) && target == BlockState::Free {
                blocks += 1;
                bytes += block.bytes;
            }
        });
        lost.map_or(Ok((blocks, bytes)), Err)
    }

    /// Frees a dead process's block, or gives it back to the pool.
    fn settle(&self, own: &LaneHeap, block: Located<'_>, offset: u64, target: BlockState) -> bool {
        if target == BlockState::Free && block.page.state() == PageState::Head {
            return self.free_span(own, block).is_ok();
        }
        let next = block.seen.with(target, 0);
        let changed = block.word.compare_exchange(block.seen.0, next.0, Ordering::AcqRel, Ordering::Acquire);
        if changed.is_ok() && target == BlockState::Free {
            self.tell_owner(block, offset);
        }
        changed.is_ok()
    }

    /// Calls `visit` with every block that is not free, and its data offset.
    pub(crate) fn for_each_block<'h>(&'h self, mut visit: impl FnMut(Located<'h>, u64)) {
        for page in self.known_pages() {
            let seen = self.page(page);
            match seen.state() {
                PageState::Slab | PageState::Orphan => {
                    let Some(class) = self.class(seen) else { continue };
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
