//! Memory of free pages goes back to the kernel, chunk by chunk.
//!
//! All pages of a chunk are claimed as one run, then the chunk's bit is cleared, then its memory is given back, then the
//! run is released. Whoever claims such a page later finds the bit clear and backs the chunk anew.
//!
//! Crash argument: until the run is released nobody else has a page of it, so nobody touches what is given back. A
//! death before the bit is cleared leaves a run in CLAIM{dead}; behind it also a clear bit, in front of memory or of a
//! hole: the next one to back the chunk has it either way. The bit goes first, because a set bit in front of a hole would
//! be believed, and on a full filesystem the next store would raise SIGBUS. The bytes become zero or stay; pages that were
//! claimed once do not count as fresh.
//!
//! A chunk that is in hand counts as used, so one is taken only where as much is free besides.

use std::ops::Range;

use weyr_atomic::Ordering;
use weyr_sys::Errno;

use super::Heap;
use super::lane::LaneHeap;
use super::page::RunClaim;
use super::word::PageState;

impl Heap {
    /// Has `give` take the memory behind each chunk of the data of which every page is free, by its range of data offsets;
    /// returns how many bytes were given.
    ///
    /// # Errors
    /// The first of `give`'s, or of the kernel's where tables could not be backed; what was given before stays so.
    pub(crate) fn unback_free_chunks(
        &self,
        own: &LaneHeap,
        give: impl Fn(Range<u64>) -> Result<(), Errno>,
    ) -> Result<u64, Errno> {
        let mut given = 0;
        for start in self.backing.backed_chunks() {
            given += self.unback_chunk(own, start, &give)?;
        }
        Ok(given)
    }

    fn unback_chunk(
        &self,
        own: &LaneHeap,
        start: u64,
        give: &impl Fn(Range<u64>) -> Result<(), Errno>,
    ) -> Result<u64, Errno> {
        let shift = self.geometry.shape.page_shift;
        let (first, end) = (start >> shift, (start + self.backing.chunk_bytes()) >> shift);
        // Of a chunk that this process has mapped a part of, others may have the rest.
        let pages = end.min(self.pool_pages()).saturating_sub(first);
        if first + pages > self.current_pages() {
            return Ok(0);
        }
        let reserved = self.reserved_against(own.lane).is_some_and(|run| run.touches(first, pages));
        // While they are in hand there are as many for others.
        let scarce = self.free_pages() < 2 * pages;
        if pages == 0 || reserved || scarce || !(first..first + pages).all(|page| self.is_free_page(page)) {
            return Ok(0);
        }
        self.back_tables(first, pages)?;
        let RunClaim::Claimed(_) = self.claim_run(own.lane, first, pages) else { return Ok(0) };
        self.backing.forget(start);
        let bytes = self.page_offset(pages);
        let answer = give(start..start + bytes);
        self.give_back(first, own.lane);
        answer.map(|()| bytes)
    }

    /// Pages that are not in use now, by the hint.
    fn free_pages(&self) -> u64 {
        let used = self.header().used_pages.load(Ordering::Relaxed) as i64;
        self.current_pages().saturating_sub(used.max(0) as u64)
    }

    /// By loads only. A page whose word was never backed was nobody's.
    fn is_free_page(&self, page: u64) -> bool {
        let known = self.backing.has_metadata(self.geometry.offsets.page_words + page * 8);
        !known || self.page(page).state() == PageState::Free
    }
}
