//! Spans that a lane keeps for its next allocation of the same length.
//!
//! Claiming and releasing a long run is a compare-exchange a page. So a lane that frees a span of its own process
//! keeps the last few as they are: the head in KEPT{lane}, the tails standing, the block word FREE. It takes one back
//! by one compare-exchange, and so does anybody else who finds no free page: kept spans are free memory to everybody.
//!
//! Free: head HEAD to CLAIM{lane} (commit point: whoever finds the dead process's claim releases the run), generation
//! base and block word, head KEPT. Allocation: head KEPT to CLAIM{lane}, then as of fresh pages. Which spans it keeps
//! a lane knows privately; one that was taken from it shows by its word.

use weyr_atomic::Ordering;
use weyr_shared::BlockReference;

use super::fault::{Fault, leaves_out};
use super::lane::LaneHeap;
use super::word::{BlockState, BlockWord, PageState, PageWord};
use super::{Heap, Located};

/// Spans that a lane keeps at most.
const KEPT: usize = 4;
/// A span longer than this part of the pool is not kept.
const SHARE: u64 = 16;
/// Nor is one of more pages.
const LONGEST: u64 = 256;

/// A span that a lane keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    head: u64,
    pages: u64,
    /// What the lane wrote at the head.
    word: PageWord,
}

/// The spans of a lane.
#[derive(Debug, Default)]
#[cfg_attr(any(weyr_face = "explore", weyr_face = "loom"), derive(Clone))]
pub(crate) struct KeptSpans {
    /// The one freed last is the last.
    spans: Vec<Kept>,
    /// Pages of the longest that it keeps.
    longest: u64,
}

impl KeptSpans {
    /// For a lane of a pool of `pages` pages.
    pub(crate) fn of_pool(pages: u64) -> Self {
        // One more for a moment; a free asks for no private memory.
        Self { spans: Vec::with_capacity(KEPT + 1), longest: (pages / SHARE).min(LONGEST) }
    }

    /// Keeps spans of up to `pages` pages from now on.
    #[cfg(any(weyr_face = "explore", weyr_face = "loom"))]
    pub(crate) fn keep_up_to(&mut self, pages: u64) {
        self.longest = pages;
    }

    fn take(&mut self, pages: u64) -> Option<Kept> {
        let index = self.spans.iter().rposition(|kept| kept.pages == pages)?;
        Some(self.spans.remove(index))
    }
}

impl Heap {
    /// Allocates a span of `pages` pages that the lane kept.
    ///
    /// Crash argument: from the compare-exchange on it is a run in CLAIM{lane}, as one of fresh pages.
    pub(crate) fn alloc_kept(&self, own: &mut LaneHeap, pages: u64) -> Option<BlockReference> {
        while let Some(kept) = own.kept.take(pages) {
            if self.is_reserved_against(own.lane, kept.head, pages) {
                self.release_kept(own.lane, kept.head, kept.word);
                continue;
            }
            let claim = PageWord::claim(own.lane, kept.word.epoch() + 1);
            // It fails where somebody was short of pages.
            if self.change_page(kept.head, kept.word, claim) {
                return Some(self.commit_span(own, kept.head, claim, pages));
            }
        }
        None
    }

    /// Frees a span that nobody but the caller can free, and keeps it; false when it is not one to be kept, and then
    /// nothing has changed.
    ///
    /// Commit point: the head's word becomes CLAIM{lane}. A death before leaves a span of a dead process, a death
    /// behind a claim of a dead lane: both are released.
    pub(crate) fn keep_span(&self, own: &mut LaneHeap, span: Located<'_>) -> bool {
        let pages = span.bytes >> self.geometry.shape.page_shift;
        let whose = (span.seen.state(), span.seen.actor());
        // The length is an allegation: the last page must say that it is this span's.
        let ends = pages <= 1 || self.names_tail(span.head, pages - 1, self.current_pages()).is_some();
        let reserved = self.is_reserved_against(own.lane, span.head, pages);
        if pages > own.kept.longest || !ends || reserved || whose != (BlockState::Alloc, own.process) {
            return false;
        }
        let claim = PageWord::claim(own.lane, span.page.epoch());
        if !self.change_page(span.head, span.page, claim) {
            return false;
        }
        let generation = span.seen.generation();
        if !leaves_out(Fault::BaseOfKept) {
            self.raise_base(span.head, generation);
        }
        // Plain, as the next: nobody else leaves CLAIM of a lane that lives. Release: whoever takes the run over sees
        // what was done to it.
        span.word.store(BlockWord::free(generation).0, Ordering::Release);
        let word = PageWord::kept(own.lane, claim.epoch());
        self.set_page(span.head, word);
        own.kept.spans.push(Kept { head: span.head, pages, word });
        if own.kept.spans.len() > KEPT {
            let oldest = own.kept.spans.remove(0);
            self.release_kept(own.lane, oldest.head, oldest.word);
        }
        true
    }

    /// Whether somebody waits for pages that these are among.
    fn is_reserved_against(&self, lane: u16, page: u64, pages: u64) -> bool {
        self.reserved_against(lane).is_some_and(|run| run.touches(page, pages))
    }

    /// Makes free pages of a kept span, seen as `seen`, whoever keeps it; false when somebody else took it.
    pub(crate) fn release_kept(&self, lane: u16, head: u64, seen: PageWord) -> bool {
        let taken = self.change_page(head, seen, PageWord::claim(lane, seen.epoch() + 1));
        if taken {
            self.give_back(head, lane);
        }
        taken
    }

    /// Gives back all that the lane keeps.
    pub(crate) fn release_own_kept(&self, own: &mut LaneHeap) {
        while let Some(kept) = own.kept.spans.pop() {
            self.release_kept(own.lane, kept.head, kept.word);
        }
    }

    /// Pages of the kept span at `head`, by loads only; none if there is none, or it cannot be so long.
    pub(crate) fn kept_pages(&self, head: u64) -> Option<u64> {
        // Descriptors of other pages may never have been backed.
        if self.page(head).state() != PageState::Kept {
            return None;
        }
        let pages = self.descriptor(head).span_pages.load(Ordering::Relaxed);
        let inside = head.checked_add(pages).is_some_and(|end| end <= self.pool_pages());
        inside.then_some(pages)
    }
}
