//! Runs of pages: claimed from nobody, given back to nobody, and the hints that say where to look.
//!
//! A claim takes the head first, then the tails upwards, one compare-exchange a page; each tail names its distance
//! from the head. Giving back frees the tails downwards and the head last. So whatever a death leaves is a head in
//! CLAIM{dead} with the tails that name it, and `release` is at once the roll-back of a claim, the end of a
//! free, and what a helper does for either.
//!
//! Hints are inverted (bit = probably used), so that fresh memory is all free. A bit wrongly clear costs a failed
//! compare-exchange. A bit wrongly set would hide a page, so whoever sets one because a page was not free looks at the
//! page again afterwards.

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::Table;
use weyr_sys::Errno;

use super::Heap;
use super::fault::{Fault, leaves_out};
use super::word::{BlockWord, PageState, PageWord};
use crate::geometry::METADATA_CHUNK;
use crate::layout::PageDescriptor;
use weyr_shared::Layout as _;

/// In whose name pages are given back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Authority<'a> {
    /// The lane's own user, or something only one can be doing.
    Own,
    /// A helper: good only while `word` has the value under which the help was begun.
    Helper {
        /// Word of the lane or process that is helped.
        word: &'a AtomicU64,
        /// RECOVERING with the epoch seen first.
        expected: u64,
    },
}

impl Authority<'_> {
    /// Whether to go on. Asked between loading a target and changing it: a helper that comes late would otherwise
    /// act on what the next user of the lane has.
    pub(crate) fn holds(&self) -> bool {
        match self {
            Authority::Own => true,
            Authority::Helper { .. } if leaves_out(Fault::Authority) => true,
            // Acquire: the target was loaded before, and is changed only if the life that is helped has not ended.
            Authority::Helper { word, expected } => word.load(Ordering::Acquire) == *expected,
        }
    }
}

/// The helper lost its authority: somebody else finished the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superseded;

/// What claiming a run gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunClaim {
    /// The head's word; the run is this lane's.
    Claimed(PageWord),
    /// This page was in the way; nothing is held.
    Conflict(u64),
}

fn bit(page: u64) -> (usize, u64) {
    ((page / 64) as usize, 1 << (page % 64))
}

pub(crate) fn set_hint(hints: &Table<AtomicU64>, page: u64) {
    let (word, mask) = bit(page);
    if hints[word].load(Ordering::Relaxed) & mask == 0 {
        // Acquire: who takes a mark back changed the page before, and the look behind this one sees that.
        hints[word].fetch_or(mask, Ordering::AcqRel);
    }
}

pub(crate) fn clear_hint(hints: &Table<AtomicU64>, page: u64) {
    let (word, mask) = bit(page);
    if hints[word].load(Ordering::Relaxed) & mask != 0 {
        hints[word].fetch_and(!mask, Ordering::AcqRel);
    }
}

/// Applies `change(word, mask)` to each word of bits that covers `count` pages from `first` on.
fn each_word(first: u64, count: u64, mut change: impl FnMut(usize, u64)) {
    let (mut page, end) = (first, first + count);
    while page < end {
        let upto = end.min((page / 64 + 1) * 64);
        let width = upto - page;
        let mask = if width == 64 { u64::MAX } else { ((1 << width) - 1) << (page % 64) };
        change((page / 64) as usize, mask);
        page = upto;
    }
}

impl Heap {
    /// Backs the words, hints and descriptors of `count` pages from `page` on, and the tier-0 word of the first.
    pub(crate) fn back_tables(&self, page: u64, count: u64) -> Result<(), Errno> {
        let at = &self.geometry.offsets;
        self.backing.metadata(at.page_words + page * 8, count * 8)?;
        for hints in [at.used, at.orphan, at.pending] {
            self.backing.metadata(hints + page / 64 * 8, (count / 64 + 2) * 8)?;
        }
        let descriptor = PageDescriptor::SIZE as u64;
        self.backing.metadata(at.descriptors + page * descriptor, count * descriptor)?;
        self.backing.metadata(at.tiers[0] + (self.page_offset(page) >> 12) * 8, 8)
    }

    /// Backs the data of `count` pages from `page` on.
    pub(crate) fn back_data(&self, page: u64, count: u64) -> Result<(), Errno> {
        let limit = self.page_offset(self.current_pages());
        self.backing.data(self.page_offset(page), self.page_offset(count), limit)
    }

    /// Claims `count` pages from `page` on for `lane`. Their tables are backed.
    ///
    /// Crash argument: the head names the lane and the tails name the head, so a death leaves what `release` undoes.
    pub(crate) fn claim_run(&self, lane: u16, page: u64, count: u64) -> RunClaim {
        let seen = self.page(page);
        let head = PageWord::claim(lane, seen.next_epoch());
        if seen.state() != PageState::Free {
            self.hide(page);
            return RunClaim::Conflict(page);
        }
        if !self.change_page(page, seen, head) {
            return RunClaim::Conflict(page);
        }
        for distance in 1..count {
            if !self.claim_tail(page, distance) {
                // Never the last page of the run, so there is one behind the conflict only if the run went on.
                let _freed = self.release(page, lane, Authority::Own);
                return RunClaim::Conflict(page + distance);
            }
        }
        self.hint_used(page, count);
        self.count_used(count as i64);
        RunClaim::Claimed(head)
    }

    /// Marks pages that were claimed.
    pub(crate) fn hint_used(&self, page: u64, count: u64) {
        each_word(page, count, |word, mask| {
            self.used[word].fetch_or(mask, Ordering::Relaxed);
        });
    }

    /// Takes the marks of pages away that were freed. Some may be another run's by now; a bit wrongly clear is
    /// harmless.
    pub(crate) fn hint_free(&self, page: u64, count: u64) {
        each_word(page, count, |word, mask| {
            // Release: pairs with `set_hint` in `hide`, so that whoever sets the mark again sees the page free.
            self.used[word].fetch_and(!mask, Ordering::AcqRel);
        });
    }

    /// FREE to TAIL; false when the page was in use.
    pub(crate) fn claim_tail(&self, head: u64, distance: u64) -> bool {
        let page = head + distance;
        let seen = self.page(page);
        if seen.state() != PageState::Free {
            self.hide(page);
            return false;
        }
        self.change_page(page, seen, PageWord::tail(distance, seen.next_epoch()))
    }

    /// Marks a page used that was found so, and takes the mark back if it is free by now.
    fn hide(&self, page: u64) {
        set_hint(&self.used, page);
        if leaves_out(Fault::SecondLook) {
            return;
        }
        if self.page(page).state() == PageState::Free {
            clear_hint(&self.used, page);
        }
    }

    /// Gives back the run whose head is in CLAIM{lane}: tails from the top, block word, head.
    ///
    /// Idempotent; any number of helpers may do it at once. Returns the pages that this call freed.
    pub(crate) fn release(&self, head: u64, lane: u16, authority: Authority) -> Result<u64, Superseded> {
        let seen = self.page(head);
        if !seen.is_claim_of(lane) {
            return Ok(0);
        }
        let (tails, mut freed) = self.release_tails(head, authority)?;
        self.free_span_word(head, seen, authority)?;
        if !authority.holds() {
            return Err(Superseded);
        }
        if self.change_page(head, seen, PageWord::free(seen.epoch())) {
            freed += 1;
        }
        self.hint_free(head, tails);
        Ok(freed)
    }

    /// Frees the tails of `head`; returns one past the distance of the last there was, and how many this call freed.
    fn release_tails(&self, head: u64, authority: Authority) -> Result<(u64, u64), Superseded> {
        let end = self.pool_pages();
        let mut tails = 1;
        while self.names_tail(head, tails, end).is_some() {
            tails += 1;
        }
        let mut freed = 0;
        for distance in (1..tails).rev() {
            // A freed tail may be another run's by now: only one that still names this head is touched.
            let Some(seen) = self.names_tail(head, distance, end) else { continue };
            if !authority.holds() {
                return Err(Superseded);
            }
            freed += u64::from(self.change_page(head + distance, seen, PageWord::free(seen.epoch())));
        }
        Ok((tails, freed))
    }

    /// The word of the page `distance` behind `head` if it is a tail of it. The page before it was looked at already.
    #[inline]
    pub(crate) fn names_tail(&self, head: u64, distance: u64, end: u64) -> Option<PageWord> {
        let page = head + distance;
        let start = self.geometry.offsets.page_words + page * 8;
        // Only the first word of a chunk can lie in one that was never backed.
        if page >= end || start % METADATA_CHUNK < 8 && !self.backing.has_metadata(start) {
            return None;
        }
        let word = self.page(page);
        let names = word.distance() == distance || leaves_out(Fault::TailDistance);
        (word.state() == PageState::Tail && names).then_some(word)
    }

    /// Sets the block word at a head in CLAIM free, and the generation base above its generation.
    fn free_span_word(&self, head: u64, claim: PageWord, authority: Authority) -> Result<(), Superseded> {
        let word = self.span_word(head);
        let seen = BlockWord(word.load(Ordering::Acquire));
        if seen.is_free() {
            return Ok(());
        }
        if self.page(head) != claim || !authority.holds() {
            return Err(Superseded);
        }
        self.raise_base(head, seen.generation());
        let free = BlockWord::free(seen.generation());
        let _lost_to_a_helper = word.compare_exchange(seen.0, free.0, Ordering::AcqRel, Ordering::Acquire);
        Ok(())
    }

    /// Generations of this page begin above `generation` from now on. Never lowers, so a late call does no harm.
    pub(crate) fn raise_base(&self, page: u64, generation: u64) {
        self.descriptor(page).generation_base.fetch_max(generation, Ordering::AcqRel);
    }

    /// Accounts pages taken (or, negative, given back) to the header's hints.
    pub(crate) fn count_used(&self, pages: i64) {
        let header = self.header();
        let used = header.used_pages.fetch_add(pages as u64, Ordering::Relaxed).wrapping_add(pages as u64);
        if (used as i64) > header.peak_pages.load(Ordering::Relaxed) as i64 {
            header.peak_pages.fetch_max(used, Ordering::Relaxed);
        }
    }
}
