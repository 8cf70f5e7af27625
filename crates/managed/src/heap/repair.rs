//! Hints made right from the words, for who asks for it; allocations do the same when memory is short.
//!
//! Each step changes hints only in the harmless direction, or moves pages by the steps of `slab.rs`; so others may go
//! on, and a death leaves nothing that those do not leave.

use weyr_atomic::Ordering;

use super::Heap;
use super::lane::LaneHeap;
use super::page::{clear_hint, set_hint};
use super::word::PageState;

impl Heap {
    fn hint(hints: &weyr_shared::Table<weyr_atomic::AtomicU64>, page: u64) -> bool {
        hints[(page / 64) as usize].load(Ordering::Relaxed) >> (page % 64) & 1 == 1
    }

    /// Shows free pages again that the hints call used. Returns how many there were.
    pub(crate) fn unhide_free_pages(&self) -> u64 {
        let hidden =
            |page: &u64| self.page(*page).state() == PageState::Free && Self::hint(&self.used, *page);
        self.known_pages().filter(hidden).map(|page| clear_hint(&self.used, page)).count() as u64
    }

    /// Marks slabs without owner that no hint shows. Returns how many there were.
    pub(crate) fn mark_orphans(&self) -> u64 {
        let unmarked =
            |page: &u64| self.page(*page).state() == PageState::Orphan && !Self::hint(&self.orphan, *page);
        self.known_pages().filter(unmarked).map(|page| set_hint(&self.orphan, page)).count() as u64
    }

    /// Gives back slabs without owner that are all free. Returns how many there were.
    pub(crate) fn give_back_empty_orphans(&self, own: &mut LaneHeap) -> u64 {
        let mut given_back = 0;
        for page in self.known_pages() {
            let seen = self.page(page);
            // An orphan is never taken away to see if it is empty: it is adopted, looked at, and given back.
            if seen.state() == PageState::Orphan && self.adopt(own, page, seen) {
                self.retire(own, page);
                given_back += u64::from(self.page(page).state() == PageState::Free);
            }
        }
        given_back
    }
}
