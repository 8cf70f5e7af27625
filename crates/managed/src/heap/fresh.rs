//! Memory that nobody had yet: it is zero without being filled.
//!
//! A page that is claimed for the first time has epoch 1, and a block of a slab of such pages has generation 1 when it
//! is first used. Backed memory is zero until somebody writes it, and nobody writes what nobody had. A page that was
//! claimed in vain counts as used: that costs a fill and no more.

use weyr_shared::BlockReference;

use super::Heap;
use super::word::PageState;

/// Less than this is filled sooner than looked up.
const WORTH_A_LOOK: u64 = 4096;
/// Epoch of a page in its first life.
const FIRST: u64 = 1;

impl Heap {
    /// Whether bytes `from .. to` of the block that `reference` means were nobody's before.
    pub(crate) fn is_fresh(&self, reference: BlockReference, from: u64, to: u64) -> bool {
        if to.saturating_sub(from) < WORTH_A_LOOK || !self.starts_zero {
            return false;
        }
        let Ok(block) = self.locate(reference) else { return false };
        let shift = self.geometry.shape.page_shift;
        let (first, last) = ((reference.offset + from) >> shift, (reference.offset + to - 1) >> shift);
        let is_first = |page: u64| self.page(page).epoch() == FIRST;
        // Several blocks lie in a page of a slab, each with generations of its own; and when a kept span is used again
        // only its first page says so.
        let unused = block.page.state() == PageState::Head || reference.generation == FIRST;
        unused && is_first(block.head) && (first..=last).all(is_first)
    }
}
