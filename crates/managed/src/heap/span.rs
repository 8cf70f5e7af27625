//! Spans: allocations of whole pages.
//!
//! Allocation: claim the run, write length and block word, then HEAD. Commit point: the head's word becomes HEAD;
//! before it a helper releases the run. Free: block word to FREEING{lane} (commit point), head to CLAIM{lane}, then
//! `release`; a helper that finds either goes on from there.

use weyr_atomic::Ordering;
use weyr_shared::BlockReference;
use weyr_sys::Errno;

use super::lane::LaneHeap;
use super::page::{Authority, Superseded};
use super::word::{BlockState, BlockWord, PageState, PageWord, generation_after};
use super::{ChangeError, Heap, Located};

impl Heap {
    /// Allocates `pages` whole pages, owned by the process of `own`.
    ///
    /// # Errors
    /// The kernel's, when pages could not be backed; nothing is held then.
    pub(crate) fn alloc_span(&self, own: &mut LaneHeap, pages: u64) -> Result<Option<BlockReference>, Errno> {
        if let Some(kept) = self.alloc_kept(own, pages) {
            return Ok(Some(kept));
        }
        let Some((head, claim)) = self.claim_pages(own, pages)? else {
            return Ok(None);
        };
        self.make_span(own, head, claim, pages).map(Some)
    }

    /// Makes a span of the run at `head` that was claimed for the lane.
    ///
    /// # Errors
    /// The kernel's, when the pages could not be backed; the run was given back then.
    pub(crate) fn make_span(
        &self,
        own: &LaneHeap,
        head: u64,
        claim: PageWord,
        pages: u64,
    ) -> Result<BlockReference, Errno> {
        if let Err(errno) = self.back_data(head, pages) {
            self.give_back(head, own.lane);
            return Err(errno);
        }
        Ok(self.commit_span(own, head, claim, pages))
    }

    /// Makes a span of a run of the lane whose head says `claim`.
    pub(crate) fn commit_span(
        &self,
        own: &LaneHeap,
        head: u64,
        claim: PageWord,
        pages: u64,
    ) -> BlockReference {
        let descriptor = self.descriptor(head);
        let generation = generation_after(descriptor.generation_base.load(Ordering::Acquire));
        descriptor.span_pages.store(pages, Ordering::Relaxed);
        let word = BlockWord::new(BlockState::Alloc, own.process, generation);
        self.span_word(head).store(word.0, Ordering::Release);
        // Plain: nobody but this lane leaves CLAIM{lane} while it lives.
        self.set_page(head, PageWord::head(claim.epoch()));
        BlockReference { offset: self.page_offset(head), generation }
    }

    /// Frees a span that was seen in a state its freer may free.
    pub(crate) fn free_span(&self, own: &LaneHeap, span: Located<'_>) -> Result<(), ChangeError> {
        let freeing = span.seen.with(BlockState::Freeing, own.lane);
        if let Err(now) =
            span.word.compare_exchange(span.seen.0, freeing.0, Ordering::AcqRel, Ordering::Acquire)
        {
            return Err(ChangeError::Refused(BlockWord(now).state()));
        }
        if let Ok(freed) = self.finish_free(span.head, freeing, own.lane, Authority::Own) {
            self.count_used(-(freed as i64));
        }
        Ok(())
    }

    /// Goes on with a free whose block word is FREEING{lane}. Idempotent, for the freer and its helpers.
    pub(crate) fn finish_free(
        &self,
        head: u64,
        freeing: BlockWord,
        lane: u16,
        authority: Authority,
    ) -> Result<u64, Superseded> {
        let seen = self.page(head);
        if seen.state() == PageState::Head {
            if self.span_word(head).load(Ordering::Acquire) != freeing.0 {
                return Ok(0);
            }
            if !authority.holds() {
                return Err(Superseded);
            }
            self.change_page(head, seen, PageWord::claim(lane, seen.epoch()));
        }
        self.release(head, lane, authority)
    }

    /// Releases a run that this lane has in CLAIM, and accounts for it.
    pub(crate) fn give_back(&self, head: u64, lane: u16) {
        if let Ok(freed) = self.release(head, lane, Authority::Own) {
            self.count_used(-(freed as i64));
        }
    }
}
