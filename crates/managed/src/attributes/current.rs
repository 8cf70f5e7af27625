//! The attributes of a pool as they are.
//!
//! Source: Dragon managed memory, `dragonMemoryPoolAttr_t` and `dragon_memory_pool_getattr`; `docs/attributes.md` has the
//! table of both sides.

use std::collections::BTreeMap;

use weyr_shared::Layout as _;
use weyr_sys::object::Metadata;

use crate::geometry::Geometry;
use crate::heap::growth::SegmentsWord;
use crate::layout::{
    GROWTH_CAPPED, GROWTH_UNLIMITED, ManifestBucket, OPTION_COMMIT, OPTION_EXECUTABLE, OPTION_HUGE_PAGES,
    OPTION_PREFAULT, OPTION_ZERO_ON_FREE, OPTION_ZEROING,
};
use crate::membership::attachment::Attachment;
use crate::pool::{Inspection, Pool};
use crate::{Error, Growth, LockKind, PoolType, Preallocated};

/// All attributes of a pool: what it was made to be, and how it is at the moment.
///
/// A value to be looked at, changed and given to [`Pool::set_attributes`], which says what can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// Rights of its object, as for chmod(2); none where nobody opens it by rights. Can be set.
    pub mode: Option<u32>,
    /// User to whom the object belongs, by number; none where there is no object. Can be set.
    pub owner: Option<u32>,
    /// Group to which the object belongs, by number; none where there is no object. Can be set.
    pub group: Option<u32>,
    /// How far it grows: at most as far as it was made to. Can be set.
    pub growth: Growth,
    /// The host on which it was made. Ignored by set.
    pub node: u64,
    /// What it is made of. Ignored by set.
    pub pool_type: PoolType,
    /// The lock that was asked for; without effect. Ignored by set.
    pub lock_kind: LockKind,
    /// Its name.
    pub name: String,
    /// Bytes that it had room for when it was made.
    pub size: u64,
    /// Least room of an allocation, in bytes; 0: none.
    pub minimum_block: u64,
    /// Of what number of bytes the address of every allocation is a multiple.
    pub alignment: u64,
    /// Bytes by which it grows.
    pub segment_size: u64,
    /// Bytes of a page.
    pub page_size: u64,
    /// Processes that can be attached at once.
    pub processes: u32,
    /// Threads that can have a lane of their own.
    pub lanes: u32,
    /// Channels that can exist in it at once.
    pub channels: u32,
    /// Entries of its manifest.
    pub manifest_entries: u32,
    /// The name of a file for the manifest; without effect.
    pub manifest_name: String,
    /// Whether its first segment was committed at creation.
    pub commit: bool,
    /// Whether its first segment was prefaulted at creation.
    pub prefault: bool,
    /// Whether new allocations are zeroed.
    pub zeroing: bool,
    /// Whether what is freed is zeroed.
    pub zero_on_free: bool,
    /// Whether huge pages are asked for.
    pub huge_pages: bool,
    /// Whether its bytes may be executed.
    pub executable: bool,
    /// Nodes on which its data is placed in turn; none: as the kernel likes.
    pub numa_nodes: Vec<u32>,
    /// Blocks that were made ready at creation.
    pub preallocated: Vec<Preallocated>,
    /// What follows from all this and from use. Ignored by set.
    pub observed: Observed,
}

/// How a pool is, as of one pass over its words; others go on meanwhile, so parts may be of different instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// Bytes that it has room for now.
    pub allocatable_bytes: u64,
    /// Bytes that it has room for at most, by what can be set now.
    pub maximum_bytes: u64,
    /// Bytes of the object or memory, metadata included.
    pub object_bytes: u64,
    /// Bytes in allocations, by their room.
    pub used_bytes: u64,
    /// Bytes in no allocation: of free pages, and of free blocks of slabs.
    pub free_bytes: u64,
    /// Allocations that can exist at once, with what it has now.
    pub maximum_allocations: u64,
    /// Bytes of the largest allocation that is possible without freeing or growing.
    pub largest_block: u64,
    /// Free blocks of slabs, by their bytes.
    pub free_blocks: BTreeMap<u64, u64>,
    /// 1 when somebody waits for memory, or did so when it died; else 0.
    pub waiters: u32,
    /// Entries of the manifest in use.
    pub manifest_entries: u64,
    /// Bytes of the manifest, used or not.
    pub manifest_bytes: u64,
    /// Segments that it has.
    pub segments: u64,
    /// Names of what they lie in: one object has them all, and memory has no name.
    pub segment_names: Vec<String>,
}

impl Observed {
    /// Per cent of the bytes there are now that are in allocations.
    /// Source: Dragon managed memory, `dragon_memory_pool_get_utilization_pct`.
    pub fn utilization(&self) -> f64 {
        self.used_bytes as f64 * 100.0 / self.allocatable_bytes.max(1) as f64
    }
}

impl Attachment {
    pub(crate) fn attributes(&self) -> Result<Attributes, Error> {
        let (shape, particulars) = (&self.heap.geometry.shape, &self.particulars);
        let metadata = self.object_metadata()?;
        let bytes = |pages: u64| pages << shape.page_shift;
        Ok(Attributes {
            mode: metadata.map(|metadata| metadata.mode & 0o777),
            owner: metadata.map(|metadata| metadata.user_id),
            group: metadata.map(|metadata| metadata.group_id),
            growth: self.growth(),
            node: self.heap.header().host.load(weyr_atomic::Ordering::Relaxed),
            pool_type: self.medium.kind,
            lock_kind: particulars.lock_kind,
            name: self.name.clone(),
            size: bytes(shape.initial_pages),
            minimum_block: particulars.minimum_block,
            alignment: particulars.alignment.max(crate::attributes::particulars::LEAST_ALIGNMENT),
            segment_size: bytes(shape.segment_pages),
            page_size: bytes(1),
            processes: shape.process_limit,
            lanes: shape.lane_limit,
            channels: shape.channel_limit,
            manifest_entries: shape.manifest_limit,
            manifest_name: particulars.manifest_name.clone(),
            commit: particulars.has(OPTION_COMMIT),
            prefault: particulars.has(OPTION_PREFAULT),
            zeroing: particulars.has(OPTION_ZEROING),
            zero_on_free: particulars.has(OPTION_ZERO_ON_FREE),
            huge_pages: particulars.has(OPTION_HUGE_PAGES),
            executable: particulars.has(OPTION_EXECUTABLE),
            numa_nodes: particulars.nodes.numbers().collect(),
            preallocated: particulars.preallocated.clone(),
            observed: self.observed(),
        })
    }

    /// What the kernel knows of the object; none for memory.
    pub(crate) fn object_metadata(&self) -> Result<Option<Metadata>, Error> {
        let metadata = self.object().map(|object| object.metadata()).transpose();
        metadata.map_err(Error::os("looking at the pool's object"))
    }

    /// How far it grows.
    pub(crate) fn growth(&self) -> Growth {
        self.growth_of(self.heap.segments())
    }

    /// How far it would grow if this were its word.
    pub(crate) fn growth_of(&self, word: SegmentsWord) -> Growth {
        let geometry = &self.heap.geometry;
        if word.is_stopped() {
            return Growth::None;
        }
        match (word.limit(), self.particulars.growth) {
            (Some(limit), _) => Growth::UpTo(geometry.pages(limit) << geometry.shape.page_shift),
            (None, GROWTH_UNLIMITED) => Growth::Unlimited,
            (None, GROWTH_CAPPED) => Growth::UpTo(geometry.maximum_bytes()),
            (None, _) => Growth::None,
        }
    }

    fn observed(&self) -> Observed {
        let (usage, unused) = (self.heap.usage(), self.heap.unused());
        let geometry = &self.heap.geometry;
        let allocatable = usage.pages * usage.page_bytes;
        Observed {
            allocatable_bytes: allocatable,
            maximum_bytes: match self.growth() {
                Growth::None => allocatable,
                Growth::UpTo(bytes) => bytes,
                Growth::Unlimited => geometry.maximum_bytes(),
            },
            object_bytes: geometry.object_bytes(usage.pages),
            used_bytes: usage.total.bytes,
            free_bytes: usage.free_pages * usage.page_bytes + unused.bytes_in_slabs(),
            maximum_allocations: allocatable / 64,
            largest_block: unused.largest_block(usage.page_bytes),
            free_blocks: unused.blocks,
            waiters: u32::from(self.heap.has_waiters()),
            manifest_entries: usage.manifest_entries,
            manifest_bytes: manifest_bytes(geometry),
            segments: self.heap.segments().segments(),
            segment_names: self.segment_names(),
        }
    }

    fn segment_names(&self) -> Vec<String> {
        let path = self.medium.path();
        if path.as_os_str().is_empty() { Vec::new() } else { vec![path.display().to_string()] }
    }
}

fn manifest_bytes(geometry: &Geometry) -> u64 {
    geometry.manifest_buckets() * ManifestBucket::SIZE as u64 + geometry.manifest_places() * 4
}

impl Pool {
    /// All its attributes, as they are now. Looks through the whole pool, as [`usage`](Self::usage) does; stops nobody.
    ///
    /// # Errors
    /// [`Error::Os`] when the kernel says nothing about the object.
    /// Source: Dragon managed memory, `dragon_memory_pool_getattr`.
    pub fn attributes(&self) -> Result<Attributes, Error> {
        self.attachment().attributes()
    }
}

impl Inspection {
    /// As [`Pool::attributes`].
    ///
    /// # Errors
    /// As there.
    pub fn attributes(&self) -> Result<Attributes, Error> {
        self.attachment().attributes()
    }
}
