//! Who has how much: read from the truth words at any time, without stopping anybody.

use std::collections::BTreeMap;

use weyr_atomic::Ordering;

use super::Heap;
use super::word::{BlockState, PageState, SlotState};

/// Blocks and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes of room in them.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.blocks += 1;
        self.bytes += bytes;
    }
}

/// What a pool holds, as of one pass over its words; others go on meanwhile, so parts may be of different instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Pages there are now.
    pub pages: u64,
    /// Pages that the pool may grow to.
    pub maximum_pages: u64,
    /// Pages that are free, with those that lanes keep for their next allocation.
    pub free_pages: u64,
    /// Pages of slabs that no lane owns.
    pub orphan_pages: u64,
    /// Most pages ever in use at once.
    pub peak_pages: u64,
    /// Bytes of the object that the filesystem has promised, rounded up to chunks.
    pub backed_bytes: u64,
    /// All blocks that are not free.
    pub total: Amount,
    /// Those owned by a process, by process slot.
    pub by_process: BTreeMap<u16, Amount>,
    /// By room of a block, in bytes.
    pub by_size: BTreeMap<u64, Amount>,
    /// By state.
    pub by_state: BTreeMap<BlockState, Amount>,
    /// Process slots in use.
    pub processes: u32,
    /// Lanes in use.
    pub lanes: u32,
    /// Entries of the manifest in use.
    pub manifest_entries: u64,
    /// Entries that the manifest has.
    pub manifest_limit: u32,
    /// Process slots recovered so far.
    pub recoveries: u64,
}

impl Heap {
    /// Looks through the whole pool. Takes some milliseconds per gibibyte of small blocks; stops nobody.
    pub fn usage(&self) -> Usage {
        let header = self.header();
        let pages = self.pool_pages();
        let mut usage = Usage {
            page_bytes: self.geometry.page_bytes(),
            pages,
            maximum_pages: self.geometry.shape.maximum_pages,
            free_pages: pages,
            peak_pages: header.peak_pages.load(Ordering::Relaxed),
            backed_bytes: self.backing.backed_bytes(),
            processes: self.count_processes(),
            lanes: self.count_lanes(),
            manifest_entries: self.count_records(),
            manifest_limit: self.geometry.shape.manifest_limit,
            recoveries: header.recoveries.load(Ordering::Relaxed),
            ..Usage::default()
        };
        for page in self.known_pages() {
            let state = self.page(page).state();
            // Growth meanwhile shows more pages than there were at first.
            usage.free_pages = usage.free_pages.saturating_sub(u64::from(state != PageState::Free));
            usage.free_pages += self.kept_pages(page).unwrap_or(0);
            usage.orphan_pages += u64::from(state == PageState::Orphan);
        }
        self.for_each_block(|block, _| {
            let (state, actor) = (block.seen.state(), block.seen.actor());
            usage.total.add(block.bytes);
            usage.by_size.entry(block.bytes).or_default().add(block.bytes);
            usage.by_state.entry(state).or_default().add(block.bytes);
            if state == BlockState::Alloc {
                usage.by_process.entry(actor).or_default().add(block.bytes);
            }
        });
        usage
    }

    fn count_processes(&self) -> u32 {
        let in_use = |&process: &u16| self.process_word(process).state() != SlotState::Free;
        self.process_numbers().filter(in_use).count() as u32
    }

    fn count_lanes(&self) -> u32 {
        self.lane_numbers().filter(|&lane| self.lane_word(lane).state() != SlotState::Free).count() as u32
    }
}
