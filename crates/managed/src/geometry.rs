//! Where everything in a pool lies.
//!
//! A pool is one object: the metadata of all the pages that it may ever have, then one contiguous data area, so that
//! one allocation can be as large as the pool. Everything follows from [`Shape`], a few numbers in the header, so
//! creator and attacher cannot disagree.

use weyr_shared::{Layout, ReadyRow};

use crate::heap::class::{CLASS_LIMIT, Class, TIER_SHIFTS, classes};
use crate::layout::{BUCKET_RECORDS, Lane, ManifestBucket, PageDescriptor, PoolHeader, ProcessSlot};

/// Bytes of metadata that are backed at once.
pub const METADATA_CHUNK: u64 = 64 << 10;
/// Largest number of bytes of data that are backed at once.
pub const DATA_CHUNK: u64 = 2 << 20;
/// Bytes of the largest page that a pool can have.
pub const LARGEST_PAGE: u64 = 64 << 10;
/// Most pages of a pool.
pub const PAGE_LIMIT: u64 = 1 << 24;
/// Most processes or lanes of a pool: their ids are 16 bits.
pub const ID_LIMIT: u32 = 65_534;

/// Most entries of a manifest.
pub const MANIFEST_LIMIT: u32 = 1 << 24;

/// Places of the index of the manifest where the hint for one block may be.
pub const INDEX_GROUP: usize = 8;

/// The numbers that the creator chooses; they stand in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// log2 of the page size in bytes.
    pub page_shift: u32,
    /// Pages at creation.
    pub initial_pages: u64,
    /// Pages of each later segment.
    pub segment_pages: u64,
    /// Pages that the pool may ever have.
    pub maximum_pages: u64,
    /// Process slots.
    pub process_limit: u32,
    /// Lanes.
    pub lane_limit: u32,
    /// Entries of the channel table.
    pub channel_limit: u32,
    /// Entries of the manifest.
    pub manifest_limit: u32,
}

impl Shape {
    /// Whether the numbers can describe a pool; the name of the first that cannot, if not.
    pub fn check(&self) -> Result<(), &'static str> {
        let rules = [
            ((12..=16).contains(&self.page_shift), "page_shift"),
            ((1..=PAGE_LIMIT).contains(&self.maximum_pages), "maximum_pages"),
            ((1..=self.maximum_pages).contains(&self.initial_pages), "initial_pages"),
            ((1..=PAGE_LIMIT).contains(&self.segment_pages), "segment_pages"),
            ((1..=ID_LIMIT).contains(&self.process_limit), "process_limit"),
            ((1..=ID_LIMIT).contains(&self.lane_limit), "lane_limit"),
            ((1..=1 << 20).contains(&self.channel_limit), "channel_limit"),
            (self.manifest_limit <= MANIFEST_LIMIT, "manifest_limit"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, name)| Err(name))
    }
}

/// Bytes from the start of the object to each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// Bits: metadata chunks that are backed. They and the header are backed at creation, all else on demand.
    pub metadata_backed: u64,
    /// Bits: data chunks that are backed.
    pub data_backed: u64,
    /// Process slots.
    pub processes: u64,
    /// Lanes.
    pub lanes: u64,
    /// Channel table: one word an entry.
    pub channels: u64,
    /// Page words.
    pub page_words: u64,
    /// Hint bits: page probably in use.
    pub used: u64,
    /// Hint bits: page probably a slab without owner.
    pub orphan: u64,
    /// Hint bits: blocks of the page were freed by others.
    pub pending: u64,
    /// Page descriptors.
    pub descriptors: u64,
    /// Block words, one table a tier.
    pub tiers: [u64; 4],
    /// Free bits of slabs with more than 64 blocks: a word of the owner's and one of the others' per 64 blocks.
    pub long: u64,
    /// Manifest: records by the hash of their key.
    pub manifest: u64,
    /// Hints: where in the manifest the record of a block is, by the hash of its offset.
    pub manifest_index: u64,
    /// Where processes are told what they listen to. Last, so that it costs nobody who does not.
    pub ready: u64,
    /// End of the metadata.
    pub metadata_end: u64,
    /// Start of the data.
    pub data: u64,
}

/// A shape with everything that follows from it.
#[derive(Debug, Clone)]
pub struct Geometry {
    /// What it follows from.
    pub shape: Shape,
    /// Where the tables lie.
    pub offsets: Offsets,
    /// Slabs by class.
    pub classes: [Class; CLASS_LIMIT],
    /// log2 of the bytes of data that are backed at once.
    pub chunk_shift: u32,
}

impl Geometry {
    /// Lays out a pool of a [checked](Shape::check) shape.
    pub fn new(shape: Shape) -> Self {
        let classes = classes(shape.page_shift, shape.maximum_pages);
        Self { shape, offsets: offsets(&shape), classes, chunk_shift: chunk_shift(&shape) }
    }

    /// Bytes of a page.
    pub fn page_bytes(&self) -> u64 {
        1 << self.shape.page_shift
    }

    /// Pages of a pool with `segments` segments.
    pub fn pages(&self, segments: u64) -> u64 {
        let grown = segments.saturating_sub(1).saturating_mul(self.shape.segment_pages);
        self.shape.initial_pages.saturating_add(grown).min(self.shape.maximum_pages)
    }

    /// The most segments that a pool of at most `bytes` bytes has; at least 1.
    pub fn segments_within(&self, bytes: u64) -> u64 {
        let pages = (bytes >> self.shape.page_shift).min(self.shape.maximum_pages);
        let grown = pages.saturating_sub(self.shape.initial_pages);
        let all = pages == self.shape.maximum_pages;
        1 + if all { grown.div_ceil(self.shape.segment_pages) } else { grown / self.shape.segment_pages }
    }

    /// Bytes of the object of a pool with `pages` pages.
    pub fn object_bytes(&self, pages: u64) -> u64 {
        self.offsets.data + (pages << self.shape.page_shift)
    }

    /// Bytes of data that the pool may ever have.
    pub fn maximum_bytes(&self) -> u64 {
        self.shape.maximum_pages << self.shape.page_shift
    }

    /// Words of a table with one bit a page.
    pub fn page_bit_words(&self) -> u64 {
        self.shape.maximum_pages.div_ceil(64)
    }

    /// Words of the tier with one word per `1 << TIER_SHIFTS[tier]` bytes.
    pub fn tier_words(&self, tier: usize) -> u64 {
        self.maximum_bytes() >> TIER_SHIFTS[tier]
    }

    /// Words of the long bitmaps: per 4096 bytes of data one of the owner's and one of the others'.
    pub fn long_words(&self) -> u64 {
        self.maximum_bytes() / 4096 * 2
    }

    /// Buckets of the manifest.
    pub fn manifest_buckets(&self) -> u64 {
        manifest_buckets(&self.shape)
    }

    /// Places of the index of the manifest by block: two an entry.
    pub fn manifest_places(&self) -> u64 {
        manifest_places(&self.shape)
    }

    /// Bytes of metadata from the start on that are backed before anybody sees the pool: the header and the bits that
    /// say what is backed.
    pub fn first_metadata(&self) -> u64 {
        self.offsets.processes.next_multiple_of(METADATA_CHUNK).min(self.offsets.data)
    }

    /// Bytes of one allocation that fills the pool.
    pub fn largest_allocation(&self) -> u64 {
        self.maximum_bytes()
    }
}

/// Chunks must not straddle a boundary at which the pool can grow, for the part beyond is not there to be backed.
fn chunk_shift(shape: &Shape) -> u32 {
    let largest = DATA_CHUNK.trailing_zeros();
    if shape.initial_pages == shape.maximum_pages {
        return largest;
    }
    let boundaries = (shape.initial_pages | shape.segment_pages) << shape.page_shift;
    boundaries.trailing_zeros().min(largest)
}

fn manifest_buckets(shape: &Shape) -> u64 {
    u64::from(shape.manifest_limit).div_ceil(BUCKET_RECORDS as u64)
}

fn manifest_places(shape: &Shape) -> u64 {
    (u64::from(shape.manifest_limit) * 2).next_multiple_of(INDEX_GROUP as u64)
}

fn offsets(shape: &Shape) -> Offsets {
    let mut end = 0u64;
    let mut place = |count: u64, bytes: u64| {
        let start = end;
        end = (start + count * bytes).next_multiple_of(64);
        start
    };
    let pages = shape.maximum_pages;
    let data_bytes = pages << shape.page_shift;
    place(1, PoolHeader::SIZE as u64);
    // At most 16 bytes of tables per 64 bytes of data besides those above and the manifest, so this many chunks are
    // enough.
    let manifest_bytes = manifest_buckets(shape) * ManifestBucket::SIZE as u64 + manifest_places(shape) * 4;
    let rows = u64::from(shape.process_limit) * ReadyRow::SIZE as u64;
    let chunks = (data_bytes / 4 + pages * 160 + manifest_bytes + rows + (32 << 20)) / METADATA_CHUNK + 1;
    let metadata_backed = place(chunks.div_ceil(64), 8);
    let data_backed = place((data_bytes >> chunk_shift(shape)).div_ceil(64) + 1, 8);
    let processes = place(shape.process_limit.into(), ProcessSlot::SIZE as u64);
    let lanes = place(shape.lane_limit.into(), Lane::SIZE as u64);
    let channels = place(shape.channel_limit.into(), 8);
    let page_words = place(pages, 8);
    let used = place(pages.div_ceil(64), 8);
    let orphan = place(pages.div_ceil(64), 8);
    let pending = place(pages.div_ceil(64), 8);
    let descriptors = place(pages, PageDescriptor::SIZE as u64);
    let tiers = TIER_SHIFTS.map(|shift| place(data_bytes >> shift, 8));
    let long = place(data_bytes / 4096 * 2, 8);
    // No bucket lies in two chunks.
    let bucket = ManifestBucket::SIZE as u64;
    let manifest = place(manifest_buckets(shape) * bucket + bucket - 64, 1).next_multiple_of(bucket);
    let manifest_index = place(manifest_places(shape), 4);
    // Nor any row.
    let row = ReadyRow::SIZE as u64;
    let ready = place(rows + row - 64, 1).next_multiple_of(row);
    let metadata_end = end;
    // Small pools waste no more than a page; large ones start where huge pages can.
    let align = if data_bytes >= 16 << 20 { DATA_CHUNK } else { 1 << shape.page_shift };
    let data = metadata_end.next_multiple_of(align);
    Offsets {
        processes,
        lanes,
        channels,
        metadata_backed,
        data_backed,
        page_words,
        used,
        orphan,
        pending,
        descriptors,
        tiers,
        long,
        manifest,
        manifest_index,
        ready,
        metadata_end,
        data,
    }
}
