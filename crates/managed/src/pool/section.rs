//! What lies where in the object of a pool: for dumps, and for the document of the layout.

use weyr_shared::{Field, Layout, ReadyRow};

use crate::geometry::Geometry;
use crate::layout::{Lane, ManifestBucket, PageDescriptor, PoolHeader, ProcessSlot};

/// A part of every pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What people call it.
    pub name: &'static str,
    /// What it holds, record by record.
    pub holds: &'static str,
}

/// A part of one pool, or of one block: records of one kind, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Which part.
    pub part: Part,
    /// First byte, from the start of the object.
    pub offset: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// Bytes from record to record.
    pub stride: u64,
    /// Fields of a record, by offset in it; none where a record is one word, or payload.
    pub fields: &'static [Field],
}

impl Section {
    /// Names the part; `count` records of `stride` bytes from `offset` on.
    pub(crate) const fn of_words(name: &'static str, holds: &'static str, offset: u64, count: u64) -> Self {
        Self { part: Part { name, holds }, offset, bytes: count * 8, stride: 8, fields: &[] }
    }

    /// `count` structures, `stride` bytes apart.
    pub(crate) const fn of<T: Layout>(name: &'static str, offset: u64, stride: u64, count: u64) -> Self {
        let part = Part { name, holds: T::NAME };
        Self { part, offset, bytes: count * stride, stride, fields: T::FIELDS }
    }

    fn packed<T: Layout>(name: &'static str, offset: u64, count: u64) -> Self {
        Self::of::<T>(name, offset, T::SIZE as u64, count)
    }

    /// First byte behind it.
    pub const fn end(&self) -> u64 {
        self.offset + self.bytes
    }
}

const A_BLOCK_WORD: &str = "`state:4 | actor:16 | generation:44` per 4096 bytes";

impl Geometry {
    /// Every part of the pool, by offset, as of `pages` pages.
    pub fn sections(&self, pages: u64) -> Vec<Section> {
        let (at, shape) = (&self.offsets, &self.shape);
        let word = Section::of_words;
        let bits = self.page_bit_words();
        vec![
            Section::packed::<PoolHeader>("header", 0, 1),
            word(
                "backed metadata",
                "a bit a chunk of metadata",
                at.metadata_backed,
                (at.data_backed - at.metadata_backed) / 8,
            ),
            word("backed data", "a bit a chunk of data", at.data_backed, (at.processes - at.data_backed) / 8),
            Section::packed::<ProcessSlot>("process slots", at.processes, shape.process_limit.into()),
            Section::packed::<Lane>("lanes", at.lanes, shape.lane_limit.into()),
            word("channel table", "`offset/64:40 | generation:24`", at.channels, shape.channel_limit.into()),
            word(
                "page words",
                "`state:4 | class:8, lane:16 or distance:24 | epoch:36`",
                at.page_words,
                shape.maximum_pages,
            ),
            word("used hints", "a bit a page: probably in use", at.used, bits),
            word("orphan hints", "a bit a page: probably a slab without owner", at.orphan, bits),
            word("pending hints", "a bit a page: blocks were freed by others", at.pending, bits),
            Section::packed::<PageDescriptor>("page descriptors", at.descriptors, shape.maximum_pages),
            word("block words, tier 0", A_BLOCK_WORD, at.tiers[0], self.tier_words(0)),
            word("block words, tier 1", "the same per 1024 bytes", at.tiers[1], self.tier_words(1)),
            word("block words, tier 2", "the same per 256 bytes", at.tiers[2], self.tier_words(2)),
            word("block words, tier 3", "the same per 64 bytes", at.tiers[3], self.tier_words(3)),
            word(
                "long bitmaps",
                "free bits of slabs of more than 64 blocks: the owner's word, the others' word",
                at.long,
                self.long_words(),
            ),
            Section::packed::<ManifestBucket>("manifest", at.manifest, self.manifest_buckets()),
            Section::manifest_index(at.manifest_index, self.manifest_places()),
            Section::packed::<ReadyRow>("ready rows", at.ready, shape.process_limit.into()),
            Section::payload(at.data, pages << shape.page_shift),
        ]
    }
}

impl Section {
    fn manifest_index(offset: u64, places: u64) -> Self {
        let part =
            Part { name: "manifest index", holds: "hints: where the record of a block is, by its offset" };
        Self { part, offset, bytes: places * 4, stride: 4, fields: &[] }
    }

    /// Bytes of users.
    pub(crate) const fn payload(offset: u64, bytes: u64) -> Self {
        let part = Part { name: "data", holds: "payload, nothing else" };
        Self { part, offset, bytes, stride: 64, fields: &[] }
    }
}
