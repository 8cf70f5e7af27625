//! A span becomes longer or shorter where it lies. Its generation stays, so references to it stay valid.
//!
//! Block word to RESIZING{lane}; then, to shrink, the new length, and the tails behind it are freed from the top; to
//! grow, the tails are claimed upwards and backed, and the length comes behind them; then the block word is ALLOC
//! again. Commit point either way: the length. Whoever dies in between leaves a word that names its lane, a length, and
//! perhaps tails beyond that length; a helper **trims** (frees those) and gives the word back to the lane's process.
//! So no state has to be remembered: only what a process owns is resized, and the lane says which process.
//!
//! Meanwhile nobody frees, sends or resizes the block: each is a compare-exchange from ALLOC.

use weyr_atomic::Ordering;
use weyr_sys::Errno;

use super::fault::{Fault, leaves_out};
use super::lane::LaneHeap;
use super::page::{Authority, Superseded};
use super::pressure::Relief;
use super::recovery::Channels;
use super::word::{BlockState, BlockWord, PageState, PageWord};
use super::{ChangeError, Heap, Liveness, Missing};
use weyr_shared::BlockReference;

/// What came of a resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resized {
    /// It has room for so many bytes now.
    Done(u64),
    /// What lies behind it is in use, or it is a block of a slab; it has room for so many bytes, as before.
    InTheWay(u64),
}

impl Heap {
    /// Resizes the block that `reference` means, of the process of `own`, to hold at least `bytes` bytes where it lies.
    ///
    /// # Errors
    /// The block's, when it is not that process's to resize; the kernel's, when pages could not be backed.
    pub(crate) fn resize(
        &self,
        own: &LaneHeap,
        reference: BlockReference,
        bytes: u64,
    ) -> Result<Result<Resized, Errno>, ChangeError> {
        let block = self.locate(reference).map_err(ChangeError::Missing)?;
        if block.page.state() != PageState::Head {
            let fits = bytes <= block.bytes;
            return Ok(Ok(if fits { Resized::Done } else { Resized::InTheWay }(block.bytes)));
        }
        let owned = BlockWord::new(BlockState::Alloc, own.process, reference.generation);
        if block.seen != owned {
            return Err(ChangeError::Refused(block.seen.state()));
        }
        let resizing = owned.with(BlockState::Resizing, own.lane);
        let begun = block.word.compare_exchange(owned.0, resizing.0, Ordering::AcqRel, Ordering::Acquire);
        begun.map_err(|now| lost(reference, BlockWord(now)))?;
        let from = block.bytes >> self.geometry.shape.page_shift;
        let to = bytes.div_ceil(self.geometry.page_bytes()).max(1);
        let resized = match to.checked_sub(from) {
            Some(0) => Ok(true),
            Some(more) => self.grow_span(own, block.head, from, more),
            None => {
                self.shrink_span(block.head, to, resizing);
                Ok(true)
            }
        };
        // Exact, for a helper of a lane taken for dead; nobody else leaves RESIZING{lane}.
        let _ended = block.word.compare_exchange(resizing.0, owned.0, Ordering::AcqRel, Ordering::Acquire);
        Ok(resized.map(|done| {
            if done { Resized::Done(self.page_offset(to)) } else { Resized::InTheWay(self.page_offset(from)) }
        }))
    }

    /// Whether `reference` means whole pages.
    pub(crate) fn is_span(&self, reference: BlockReference) -> bool {
        self.locate(reference).is_ok_and(|block| block.page.state() == PageState::Head)
    }

    /// Bytes that the block which `reference` means has room for; none if there is no such block.
    pub(crate) fn room_of(&self, reference: BlockReference) -> u64 {
        self.locate(reference).map_or(0, |block| block.bytes)
    }

    /// Looks at the truth once, as before an allocation fails: what lies behind a span may be free.
    pub(crate) fn relieve_all(&self, own: &mut LaneHeap, liveness: &impl Liveness, channels: &dyn Channels) {
        for relief in Relief::ORDER {
            self.relieve(own, relief, liveness, channels);
        }
    }

    /// Claims `more` tails behind the `from` pages of the span at `head`; false, and nothing has changed, when a page
    /// is in the way.
    fn grow_span(&self, own: &LaneHeap, head: u64, from: u64, more: u64) -> Result<bool, Errno> {
        let start = head + from;
        let reserved = self.reserved_against(own.lane).is_some_and(|run| run.touches(start, more));
        if reserved || start.checked_add(more).is_none_or(|end| end > self.current_pages()) {
            return Ok(false);
        }
        self.back_tables(start, more)?;
        let claimed =
            (from..from + more).take_while(|&distance| self.claim_tail(head, distance)).count() as u64;
        let backed = if claimed == more { self.back_data(start, more) } else { Ok(()) };
        if claimed < more || backed.is_err() {
            let _own = self.free_tails(head, from, Authority::Own, &|| true);
            return backed.map(|()| false);
        }
        self.hint_used(start, more);
        self.count_used(more as i64);
        // Release: whoever sees the length sees the tails.
        self.descriptor(head).span_pages.store(from + more, Ordering::Release);
        Ok(true)
    }

    fn shrink_span(&self, head: u64, to: u64, resizing: BlockWord) {
        // Release: before any tail is freed, so that a length never reaches beyond its tails.
        self.descriptor(head).span_pages.store(to, Ordering::Release);
        if let Ok(freed) = self.trim(head, resizing, Authority::Own) {
            self.count_used(-(freed as i64));
        }
    }

    /// Frees the tails of the span at `head` that lie beyond its length. Idempotent; for the resizer and its helpers.
    pub(crate) fn trim(
        &self,
        head: u64,
        resizing: BlockWord,
        authority: Authority,
    ) -> Result<u64, Superseded> {
        let length = self.descriptor(head).span_pages.load(Ordering::Acquire);
        let still = || self.span_word(head).load(Ordering::Acquire) == resizing.0;
        self.free_tails(head, length.max(1), authority, &still)
    }

    /// Goes on with a resize whose block word is RESIZING{lane}, for the process `owner` of that lane.
    pub(crate) fn finish_resize(
        &self,
        head: u64,
        resizing: BlockWord,
        owner: u16,
        authority: Authority,
    ) -> Result<u64, Superseded> {
        let freed = self.trim(head, resizing, authority)?;
        if !authority.holds() {
            return Err(Superseded);
        }
        let owned = resizing.with(BlockState::Alloc, owner);
        let word = self.span_word(head);
        let _by_another = word.compare_exchange(resizing.0, owned.0, Ordering::AcqRel, Ordering::Acquire);
        Ok(freed)
    }

    /// Frees the tails of `head` from distance `length` on, top down, as long as the resize `still` goes on: each
    /// tail is loaded before that is asked, so one claimed in a later resize has another epoch.
    fn free_tails(
        &self,
        head: u64,
        length: u64,
        authority: Authority,
        still: &dyn Fn() -> bool,
    ) -> Result<u64, Superseded> {
        let end = self.pool_pages();
        let mut tails = length;
        while self.names_tail(head, tails, end).is_some() {
            tails += 1;
        }
        let mut freed = 0;
        for distance in (length..tails).rev() {
            let Some(seen) = self.names_tail(head, distance, end) else { continue };
            if !authority.holds() || !still() && !leaves_out(Fault::ResizeStillGoesOn) {
                return Err(Superseded);
            }
            freed += u64::from(self.change_page(head + distance, seen, PageWord::free(seen.epoch())));
        }
        self.hint_free(head + length, tails - length);
        Ok(freed)
    }
}

/// What a resize that lost its block has to say.
fn lost(reference: BlockReference, now: BlockWord) -> ChangeError {
    if now.generation() == reference.generation {
        ChangeError::Refused(now.state())
    } else {
        ChangeError::Missing(Missing::Stale(now.generation()))
    }
}
