//! A heap in numbers: what is used and free, by size, and the largest piece that can be had.
//!
//! Source: Dragon managed memory, the statistics of its heap manager (dynheap).

use std::collections::BTreeMap;

use super::Heap;

/// Blocks of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeStatistics {
    /// Bytes of room in each.
    pub block_bytes: u64,
    /// Blocks that somebody has.
    pub used: u64,
    /// Blocks that nobody has, in slabs of this size; whole free pages can become blocks of any size and are not among
    /// them.
    pub free: u64,
}

/// What a heap holds and what it can give, as of one pass over its words; others go on meanwhile, so parts may be of
/// different instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapStatistics {
    /// Bytes that it has room for now.
    pub size_bytes: u64,
    /// Bytes in blocks that somebody has, by their room.
    pub used_bytes: u64,
    /// Bytes in no block that somebody has: of free pages, and of free blocks of slabs.
    pub free_bytes: u64,
    /// Bytes of the largest allocation that is possible without freeing or growing.
    pub largest_free_bytes: u64,
    /// Bytes of the most pages that were ever in use at once. A hint: deaths may leave it too high.
    pub peak_bytes: u64,
    /// Blocks that somebody has.
    pub blocks: u64,
    /// By size, the smallest first: each of which there is a block, used or free.
    pub sizes: Vec<SizeStatistics>,
}

impl HeapStatistics {
    /// Per cent of the bytes there are that are in blocks that somebody has.
    pub fn utilization(&self) -> f64 {
        self.used_bytes as f64 * 100.0 / self.size_bytes.max(1) as f64
    }
}

impl Heap {
    /// Looks through the whole pool twice. Takes some milliseconds per gibibyte of small blocks; stops nobody.
    pub fn statistics(&self) -> HeapStatistics {
        let (usage, unused) = (self.usage(), self.unused());
        let mut sizes: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        usage.by_size.iter().for_each(|(bytes, amount)| sizes.entry(*bytes).or_default().0 = amount.blocks);
        unused.blocks.iter().for_each(|(bytes, blocks)| sizes.entry(*bytes).or_default().1 = *blocks);
        let statistics = |(block_bytes, (used, free))| SizeStatistics { block_bytes, used, free };
        HeapStatistics {
            size_bytes: usage.pages * usage.page_bytes,
            used_bytes: usage.total.bytes,
            free_bytes: usage.free_pages * usage.page_bytes + unused.bytes_in_slabs(),
            largest_free_bytes: unused.largest_block(usage.page_bytes),
            peak_bytes: usage.peak_pages * usage.page_bytes,
            blocks: usage.total.blocks,
            sizes: sizes.into_iter().map(statistics).filter(|size| size.used + size.free > 0).collect(),
        }
    }
}
