//! What is free, and in what pieces: read from the truth words at any time, without stopping anybody.

use std::collections::BTreeMap;

use weyr_atomic::Ordering;

use super::Heap;
use super::class::Class;
use super::word::{BlockWord, PageState, PageWord};

/// What nobody has, as of one pass over the words; others go on meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unused {
    /// Free blocks of slabs, by their bytes.
    pub blocks: BTreeMap<u64, u64>,
    /// Pages of the longest run that is free, with spans that lanes keep.
    pub longest_run: u64,
}

impl Unused {
    /// Bytes of the free blocks of slabs.
    pub fn bytes_in_slabs(&self) -> u64 {
        self.blocks.iter().map(|(bytes, blocks)| bytes * blocks).sum()
    }

    /// Bytes of the largest allocation that is possible without freeing or growing, with pages of `page_bytes` bytes.
    pub fn largest_block(&self, page_bytes: u64) -> u64 {
        let of_slab = self.blocks.iter().rfind(|(_, blocks)| **blocks > 0).map_or(0, |(bytes, _)| *bytes);
        of_slab.max(self.longest_run * page_bytes)
    }
}

impl Heap {
    /// Looks through the whole pool. Takes some milliseconds per gibibyte of small blocks.
    pub fn unused(&self) -> Unused {
        let (mut unused, mut run_start) = (Unused::default(), 0);
        let mut end_run = |unused: &mut Unused, page: u64| {
            unused.longest_run = unused.longest_run.max(page.saturating_sub(run_start));
            run_start = page + 1;
        };
        // Pages that were never backed were never given out: they belong to the run around them.
        for page in self.known_pages() {
            let seen = self.page(page);
            if !self.is_unused(page, seen) {
                end_run(&mut unused, page);
            }
            if let (PageState::Slab | PageState::Orphan, Some(class)) =
                (seen.state(), self.slab_class(page, seen))
            {
                *unused.blocks.entry(class.size.into()).or_default() += self.free_blocks(page, class);
            }
        }
        end_run(&mut unused, self.pool_pages());
        unused
    }

    fn is_unused(&self, page: u64, seen: PageWord) -> bool {
        match seen.state() {
            PageState::Free | PageState::Kept => true,
            PageState::Tail => self.head_of(page).is_some_and(|(_, head)| head.state() == PageState::Kept),
            _ => false,
        }
    }

    fn free_blocks(&self, head: u64, class: &Class) -> u64 {
        let start = self.page_offset(head);
        let block = |index: u32| start + u64::from(index) * u64::from(class.size);
        let is_free =
            |index: &u32| BlockWord(self.block_word(class, block(*index)).load(Ordering::Relaxed)).is_free();
        (0..class.blocks).filter(is_free).count() as u64
    }
}
