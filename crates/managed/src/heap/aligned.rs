//! Allocations at multiples of more than the 64 bytes that every block has.
//!
//! A block of a slab lies at a multiple of every power of two that divides both its size and its page; beyond that, and
//! beyond a page, a span is looked for whose first page lies right. What is aligned is the address: the offset in the
//! data plus where this process has the data.

use weyr_shared::BlockReference;
use weyr_sys::Errno;

use super::Heap;
use super::class::{CLASS_LIMIT, LARGEST_BLOCK, class_of};
use super::lane::LaneHeap;
use super::page::RunClaim;
use super::word::PageWord;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// Bytes at least.
    pub(crate) bytes: u64,
    /// None: as every block.
    pub(crate) alignment: Option<Alignment>,
}

impl From<u64> for Demand {
    fn from(bytes: u64) -> Self {
        Self { bytes, alignment: None }
    }
}

/// Where an allocation is to lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alignment {
    /// A power of two.
    pub(crate) bytes: u64,
    /// Bytes from the last multiple of it to the start of the data, as this process has it.
    pub(crate) bias: u64,
}

impl Alignment {
    /// Offset of the first place in the data.
    const fn first(self) -> u64 {
        (self.bytes - self.bias) % self.bytes
    }
}

impl Heap {
    /// Allocates what is asked for from what is at hand or free.
    ///
    /// # Errors
    /// The kernel's, when pages could not be backed.
    pub(crate) fn alloc_demand(
        &self,
        own: &mut LaneHeap,
        demand: Demand,
    ) -> Result<Option<BlockReference>, Errno> {
        let Some(alignment) = demand.alignment else { return self.alloc(own, demand.bytes) };
        if let Some(class) = self.aligned_class(demand.bytes, alignment)
            && let Some(block) = self.alloc_block(own, class)?
        {
            return Ok(Some(block));
        }
        let pages = demand.bytes.div_ceil(self.geometry.page_bytes()).max(1);
        match self.claim_aligned(own.lane, pages, alignment)? {
            Some((head, claim)) => self.make_span(own, head, claim, pages).map(Some),
            None => Ok(None),
        }
    }

    /// The smallest class whose blocks all lie right, unless whole pages take less.
    pub(crate) fn aligned_class(&self, bytes: u64, alignment: Alignment) -> Option<usize> {
        let page = self.geometry.page_bytes();
        if alignment.bias != 0 || alignment.bytes > page || bytes > LARGEST_BLOCK {
            return None;
        }
        let most = bytes.div_ceil(page).max(1) * page;
        (class_of(bytes)..CLASS_LIMIT).find(|&class| {
            let class = &self.geometry.classes[class];
            let size = u64::from(class.size);
            class.pages > 0 && size <= most && size.is_multiple_of(alignment.bytes)
        })
    }

    /// Claims `count` pages of which the first lies right.
    fn claim_aligned(
        &self,
        lane: u16,
        count: u64,
        alignment: Alignment,
    ) -> Result<Option<(u64, PageWord)>, Errno> {
        let page_bytes = self.geometry.page_bytes();
        if !alignment.first().is_multiple_of(page_bytes) {
            return Ok(None);
        }
        let (first, step) = (alignment.first() / page_bytes, (alignment.bytes / page_bytes).max(1));
        let right = |page: u64| first + page.saturating_sub(first).next_multiple_of(step);
        let reserved = self.reserved_against(lane);
        let (mut from, end) = (first, self.current_pages());
        while let Some(page) = self.find_run(from, end, count) {
            from = right(page);
            if let Some(run) = reserved.filter(|run| run.touches(from, count)) {
                from = right(run.end());
            } else if from == page {
                self.back_tables(page, count)?;
                match self.claim_run(lane, page, count) {
                    RunClaim::Claimed(word) => return Ok(Some((page, word))),
                    RunClaim::Conflict(conflict) => from = right(conflict + 1),
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Geometry, Shape};

    fn heap(page_shift: u32, pages: u64) -> Heap {
        let shape = Shape {
            page_shift,
            initial_pages: pages,
            segment_pages: pages,
            maximum_pages: pages,
            process_limit: 2,
            lane_limit: 2,
            channel_limit: 1,
            manifest_limit: 0,
        };
        Heap::in_memory(Geometry::new(shape))
    }

    #[test]
    fn every_place_that_lies_right_is_found_and_no_other() {
        for (page_shift, bias) in [(12, 0), (12, 4096), (12, 12_288), (14, 0), (16, 1 << 16)] {
            for shift in 7..20 {
                let alignment = Alignment { bytes: 1 << shift, bias: bias % (1 << shift) };
                for bytes in [1, 100, 1 << shift, 3 << 12, (1 << shift) + 1] {
                    let heap = heap(page_shift, 256);
                    let mut own = heap.acquire_lane(0, 0, 0).unwrap().unwrap();
                    let demand = Demand { bytes, alignment: Some(alignment) };
                    let mut found = std::iter::from_fn(|| heap.alloc_demand(&mut own, demand).unwrap());
                    let wrong = found.find(|block| !(block.offset + bias).is_multiple_of(1 << shift));
                    assert_eq!(wrong, None, "{bytes} bytes at 1 << {shift}, data at {bias}");
                }
            }
        }
        let heap = heap(12, 256);
        let mut own = heap.acquire_lane(0, 0, 0).unwrap().unwrap();
        let demand = Demand { bytes: 1, alignment: Some(Alignment { bytes: 1 << 16, bias: 4096 }) };
        assert_eq!(std::iter::from_fn(|| heap.alloc_demand(&mut own, demand).unwrap()).count(), 16);
    }

    #[test]
    fn a_class_is_taken_if_it_takes_less_than_whole_pages() {
        let heap = heap(16, 256);
        let size = |bytes: u64, alignment: u64| {
            let class = heap.aligned_class(bytes, Alignment { bytes: alignment, bias: 0 });
            class.map(|class| heap.geometry.classes[class].size)
        };
        assert_eq!((size(100, 128), size(100, 4096), size(5000, 4096)), (Some(128), Some(4096), Some(8192)));
        assert_eq!(
            (size(1, 1 << 16), size(1, 1 << 17), size(70_000, 1 << 16)),
            (Some(1 << 16), None, Some(1 << 17))
        );
    }
}
