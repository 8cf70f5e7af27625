//! What is tried before an allocation fails or a segment is added.
//!
//! Hints may be wrong and idle lanes may hold what is free, so neither says that nothing is left. The truth is looked
//! at first, in order of cost: own slabs made anew from their block words, slabs without owner, hints that hide free
//! pages, the dead, slabs of idle lanes.

use weyr_atomic::Ordering;
use weyr_shared::BlockReference;
use weyr_sys::Errno;

use super::aligned::Demand;
use super::class::{LARGEST_BLOCK, class_of};
use super::lane::LaneHeap;
use super::page::clear_hint;
use super::recovery::Channels;
use super::word::{PageState, PageWord};
use super::{Heap, Liveness};

/// Rounds that are tried again because others were moving pages just then.
const ROUNDS: usize = 3;

impl Heap {
    /// Allocates at least `bytes` bytes from what is at hand or free: a block of a class, or whole pages.
    ///
    /// # Errors
    /// The kernel's, when pages could not be backed.
    #[inline]
    pub fn alloc(&self, own: &mut LaneHeap, bytes: u64) -> Result<Option<BlockReference>, Errno> {
        let class = class_of(bytes.min(LARGEST_BLOCK));
        let pages = self.geometry.classes[class].pages;
        if pages == 0 || bytes > LARGEST_BLOCK {
            return self.alloc_pages(own, bytes);
        }
        match self.alloc_block(own, class)? {
            // Where no run for a whole slab is left there may still be one for the block alone.
            None if pages > 1 => self.alloc_pages(own, bytes),
            block => Ok(block),
        }
    }

    /// Pages among which there is a span that serves a request; none if a block of a slab does.
    pub(crate) fn pages_of(&self, demand: Demand) -> Option<u64> {
        let (bytes, page) = (demand.bytes, self.geometry.page_bytes());
        let of_slab = match demand.alignment {
            None => bytes <= LARGEST_BLOCK && self.geometry.classes[class_of(bytes)].pages > 0,
            Some(alignment) => self.aligned_class(bytes, alignment).is_some(),
        };
        let before = demand.alignment.map_or(0, |alignment| (alignment.bytes / page).saturating_sub(1));
        let pages = bytes.div_ceil(page).max(1);
        (!of_slab).then(|| (pages + before).min(self.geometry.shape.maximum_pages.max(pages)))
    }

    fn alloc_pages(&self, own: &mut LaneHeap, bytes: u64) -> Result<Option<BlockReference>, Errno> {
        self.alloc_span(own, bytes.div_ceil(self.geometry.page_bytes()).max(1))
    }

    /// Allocates what [`alloc`](Self::alloc) did not find, looking at the truth first, growing last.
    ///
    /// `grow` adds a segment, or says that there can be none.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn alloc_pressed(
        &self,
        own: &mut LaneHeap,
        demand: Demand,
        liveness: &impl Liveness,
        channels: &dyn Channels,
        grow: impl Fn() -> Result<bool, Errno>,
    ) -> Result<Option<BlockReference>, Errno> {
        for _ in 0..ROUNDS {
            let block = self.alloc_relieved(own, demand, &Relief::ORDER, liveness, channels, &grow)?;
            if block.is_some() {
                return Ok(block);
            }
            weyr_atomic::thread::yield_now();
        }
        Ok(None)
    }

    /// One round of [`alloc_pressed`](Self::alloc_pressed).
    pub(crate) fn alloc_relieved(
        &self,
        own: &mut LaneHeap,
        demand: Demand,
        reliefs: &[Relief],
        liveness: &impl Liveness,
        channels: &dyn Channels,
        grow: &impl Fn() -> Result<bool, Errno>,
    ) -> Result<Option<BlockReference>, Errno> {
        for &relief in reliefs {
            if self.relieve(own, relief, liveness, channels)
                && let Some(block) = self.alloc_demand(own, demand)?
            {
                return Ok(Some(block));
            }
        }
        while grow()? {
            if let Some(block) = self.alloc_demand(own, demand)? {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// Gathers free memory of every kind; the caller then tries again. Returns whether anything may have changed.
    pub(crate) fn relieve(
        &self,
        own: &mut LaneHeap,
        round: Relief,
        liveness: &impl Liveness,
        channels: &dyn Channels,
    ) -> bool {
        match round {
            Relief::OwnSlabs => {
                self.enter(own);
                self.rebuild_own(own);
                self.leave(own);
            }
            Relief::Truth => self.look_at_truth(own),
            Relief::TheDead => {
                if !self.recover_dead(own, liveness, channels).any() {
                    return false;
                }
                self.look_at_truth(own);
            }
            Relief::IdleLanes => {
                let others =
                    |(_, seen): (_, PageWord)| seen.state() == PageState::Slab && seen.lane() != own.lane;
                if !self.known_runs().any(others) {
                    return false;
                }
                self.revoke_idle_lanes(own, liveness);
                self.look_at_truth(own);
            }
        }
        true
    }

    fn look_at_truth(&self, own: &mut LaneHeap) {
        self.enter(own);
        self.scan_truth(own);
        self.leave(own);
    }

    /// Looks at every block word of every own slab; gives back those that are all free.
    fn rebuild_own(&self, own: &mut LaneHeap) {
        for head in own.slabs.clone() {
            let seen = self.page(head);
            let Some(class) = self.slab_class(head, seen).copied() else { continue };
            if !seen.is_slab_of(own.lane) {
                continue;
            }
            let free = self.rebuild(own, head, &class, seen.class().into());
            if free == u64::from(class.blocks) {
                self.retire(own, head);
            }
        }
    }

    /// Looks at every page word, but those of the tails of whole spans: adopts what has no owner and gives back what is
    /// all free; unhides free pages.
    fn scan_truth(&self, own: &mut LaneHeap) {
        let mut orphans = 0;
        let reserved = self.reserved_against(own.lane);
        for (page, seen) in self.known_runs() {
            match seen.state() {
                PageState::Orphan if reserved.is_some_and(|run| self.slab_touches(page, seen, run)) => {}
                PageState::Free => clear_hint(&self.used, page),
                PageState::Kept => {
                    self.release_kept(own.lane, page, seen);
                }
                // An orphan is never taken away to see if it is empty: it is adopted, looked at, and given back.
                PageState::Orphan if self.adopt(own, page, seen) => {
                    orphans += 1;
                    self.retire(own, page);
                }
                _ => {}
            }
        }
        if orphans == 0 && (self.header().orphan_pages.load(Ordering::Relaxed) as i64) < 0 {
            self.header().orphan_pages.store(0, Ordering::Relaxed);
        }
    }
}

/// One kind of relief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relief {
    /// Own slabs, from their words.
    OwnSlabs,
    /// Page words, from end to end.
    Truth,
    /// What the dead held, and the page words again.
    TheDead,
    /// What idle lanes hold, and the page words again; nothing where no other lane has a slab.
    IdleLanes,
}

impl Relief {
    /// In this order. What makes orphans looks at the truth again behind that.
    pub(crate) const ORDER: [Relief; 4] =
        [Relief::OwnSlabs, Relief::Truth, Relief::TheDead, Relief::IdleLanes];
}
