//! What a pool can be asked to be.

pub(crate) mod current;
pub(crate) mod particulars;
pub(crate) mod preallocated;
pub(crate) mod set;

use std::path::{Path, PathBuf};

use crate::attributes::particulars::{invalid, local_node};
use crate::{Error, LockKind, PoolType, Preallocated};
use weyr_sys::mapping;
use weyr_sys::object::Object;

use crate::geometry::{DATA_CHUNK, Geometry, ID_LIMIT, MANIFEST_LIMIT, PAGE_LIMIT, Shape};

/// Whether a pool becomes larger than it was created.
///
/// Source: Dragon managed memory, `dragonMemoryPoolGrowthType_t` with `max_size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Growth {
    /// Never.
    #[default]
    None,
    /// Up to so many bytes.
    UpTo(u64),
    /// As far as the address space allows: 1 TiB, or a quarter of this process's limit.
    Unlimited,
}

/// Attributes of a pool to be created.
///
/// ```
/// use weyr_managed::{Growth, PoolAttributes};
/// let attributes = PoolAttributes::new("frames", 64 << 20).growth(Growth::UpTo(1 << 30)).mode(0o660);
/// assert_eq!(attributes.name(), "frames");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolAttributes {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) kind: PoolType,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) mode: Option<u32>,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) growth: Growth,
    pub(crate) segment_bytes: Option<u64>,
    pub(crate) page_bytes: Option<u64>,
    pub(crate) processes: Option<u32>,
    pub(crate) lanes: Option<u32>,
    pub(crate) channels: Option<u32>,
    pub(crate) manifest_entries: Option<u32>,
    pub(crate) commit: bool,
    pub(crate) prefault: bool,
    pub(crate) zeroing: bool,
    pub(crate) zero_on_free: bool,
    pub(crate) huge_pages: bool,
    pub(crate) minimum_block: u64,
    pub(crate) alignment: u64,
    pub(crate) executable: bool,
    pub(crate) numa_nodes: Vec<u32>,
    pub(crate) node: Option<u64>,
    pub(crate) lock_kind: LockKind,
    pub(crate) manifest_name: String,
    pub(crate) preallocated: Vec<Preallocated>,
}

/// Most bytes of a pool that grows without a limit of its own.
const UNLIMITED_BYTES: u64 = 1 << 40;
/// Segment of a growing pool, if nothing else is asked for.
const SEGMENT_BYTES: u64 = 128 << 20;

impl PoolAttributes {
    /// A pool called `name` (1 to 200 of letters, digits, `.`, `-`, `_`) with room for `bytes` bytes, rounded up to
    /// whole pages; metadata comes on top.
    pub fn new(name: impl Into<String>, bytes: u64) -> Self {
        Self {
            name: name.into(),
            bytes,
            kind: PoolType::SharedMemory,
            directory: None,
            mode: None,
            user: None,
            group: None,
            growth: Growth::None,
            segment_bytes: None,
            page_bytes: None,
            processes: None,
            lanes: None,
            channels: None,
            manifest_entries: None,
            commit: false,
            prefault: false,
            zeroing: false,
            zero_on_free: false,
            huge_pages: false,
            minimum_block: 0,
            alignment: 0,
            executable: false,
            numa_nodes: Vec::new(),
            node: None,
            lock_kind: LockKind::Fifo,
            manifest_name: String::new(),
            preallocated: Vec::new(),
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of memory it is made of; shared memory by default.
    #[must_use]
    pub fn pool_type(mut self, kind: PoolType) -> Self {
        self.kind = kind;
        self
    }

    /// Directory of the object. Default: `WEYR_DIR` of the environment, else `/dev/shm`. A pool of type
    /// [`File`](PoolType::File) or [`HugePages`](PoolType::HugePages) needs one, a pool without a name has none.
    #[must_use]
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Rights of the object, as for chmod(2); 0600 by default. What others may not open they learn nothing about.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The user to whom it belongs, by number; the creator by default. Giving it to another takes rights.
    #[must_use]
    pub fn owner(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// The group to which it belongs, by number; the creator's by default.
    #[must_use]
    pub fn group(mut self, group: u32) -> Self {
        self.group = Some(group);
        self
    }

    /// Whether it grows on demand; not by default. A pool that may grow reserves address space for its maximum.
    #[must_use]
    pub fn growth(mut self, growth: Growth) -> Self {
        self.growth = growth;
        self
    }

    /// Bytes by which it grows at a time, rounded up to whole pages; 128 MiB by default, less in small pools.
    #[must_use]
    pub fn segment_size(mut self, bytes: u64) -> Self {
        self.segment_bytes = Some(bytes);
        self
    }

    /// Bytes of a page, the unit of large allocations: a power of two from 4 KiB to 64 KiB. By default it follows
    /// from the largest size of the pool.
    #[must_use]
    pub fn page_size(mut self, bytes: u64) -> Self {
        self.page_bytes = Some(bytes);
        self
    }

    /// Processes that can be attached at once, at most 65,534.
    #[must_use]
    pub fn processes(mut self, limit: u32) -> Self {
        self.processes = Some(limit);
        self
    }

    /// Threads that can have a lane of their own, at most 65,534; more threads share their process's.
    #[must_use]
    pub fn lanes(mut self, limit: u32) -> Self {
        self.lanes = Some(limit);
        self
    }

    /// Channels that can exist in it at once.
    #[must_use]
    pub fn channels(mut self, limit: u32) -> Self {
        self.channels = Some(limit);
        self
    }

    /// Allocations that can have a type and an id at once, at most 2^24; from 64 to 262,144 by default, by the largest
    /// size of the pool. An entry takes up to 51 bytes once it is used; 0 is a pool without manifest.
    #[must_use]
    pub fn manifest_entries(mut self, limit: u32) -> Self {
        self.manifest_entries = Some(limit);
        self
    }

    /// Has the filesystem promise all of the first segment at creation, so that no later allocation from it can find
    /// the filesystem full. By default memory is promised as it is first used.
    #[must_use]
    pub fn commit(mut self, commit: bool) -> Self {
        self.commit = commit;
        self
    }

    /// Makes the kernel provide every page of the first segment at creation; implies [`commit`](Self::commit).
    #[must_use]
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.prefault = prefault;
        self
    }

    /// Asks the kernel for huge pages (2 MiB) under the data of pools of 16 MiB and more: fewer misses in the tables of
    /// the processor. The first use of each 2 MiB takes longer for it: the kernel collects what is there, and waits for
    /// every processor to do so. It may refuse, for all or for some; what came of it says [`Pool::huge_pages`](crate::Pool::huge_pages).
    #[must_use]
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.huge_pages = huge_pages;
        self
    }

    /// Sets the bytes of each new allocation to zero; otherwise they are what was there. Memory that nobody had yet is
    /// zero and is not touched for it.
    #[must_use]
    pub fn zeroing(mut self, zeroing: bool) -> Self {
        self.zeroing = zeroing;
        self
    }

    /// Sets the bytes of each allocation to zero when it is freed, before anybody can have them again: by whoever frees it,
    /// by the process that frees what a dead one had, by who shortens it. It takes the time of writing all the room that
    /// the allocation had.
    ///
    /// What lies in the slots of a channel is zeroed with the channel; what the kernel gets back, with a pool that is
    /// destroyed, is the kernel's to clear. Such a pool need not zero new allocations as well.
    ///
    /// ```
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-wipe-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20).zero_on_free(true))?;
    /// let mut secret = pool.alloc(100)?;
    /// secret.write(0, b"a key")?;
    /// let place = secret.reference().offset;
    /// drop(secret);
    /// let mut found = [1; 5];
    /// pool.region().part(place, 5)?.copy_out(0, &mut found)?;
    /// assert_eq!(found, [0; 5]);
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn zero_on_free(mut self, zero_on_free: bool) -> Self {
        self.zero_on_free = zero_on_free;
        self
    }

    /// Gives every allocation room for so many bytes at least, at most the size of the pool.
    #[must_use]
    pub fn minimum_block(mut self, bytes: u64) -> Self {
        self.minimum_block = bytes;
        self
    }

    /// Puts every allocation at an address that is a multiple of so many bytes, a power of two: in every process that had
    /// the address space to map the pool as it should be. Up to the page size, in pools that may have 16 MiB and more up
    /// to 2 MiB, in lent memory up to 4096. Every allocation has 64.
    #[must_use]
    pub fn alignment(mut self, bytes: u64) -> Self {
        self.alignment = bytes;
        self
    }

    /// Lets the bytes be executed as well, in every process that attaches the pool for use.
    #[must_use]
    pub fn executable(mut self, executable: bool) -> Self {
        self.executable = executable;
        self
    }

    /// Places the data on these nodes of the machine's memory, page by page in turn, and makes the kernel provide the
    /// first segment at creation, as [`prefault`](Self::prefault) does. None: as the kernel likes.
    #[must_use]
    pub fn numa_nodes(mut self, nodes: impl IntoIterator<Item = u32>) -> Self {
        self.numa_nodes = nodes.into_iter().collect();
        self
    }

    /// The host whose process makes the pool, as [`local_node`](crate::local_node) numbers it there: this one, for a pool
    /// is made where its creator is. Not looked at for private pools.
    #[must_use]
    pub fn node(mut self, node: u64) -> Self {
        self.node = Some(node);
        self
    }

    /// The lock to use: kept and given back, without effect.
    #[must_use]
    pub fn lock_kind(mut self, kind: LockKind) -> Self {
        self.lock_kind = kind;
        self
    }

    /// The name of a file for the manifest, at most 255 bytes: kept and given back, without effect, for the manifest lies
    /// in the pool.
    #[must_use]
    pub fn manifest_name(mut self, name: impl Into<String>) -> Self {
        self.manifest_name = name.into();
        self
    }

    /// Makes so many blocks ready at creation, at most 16 kinds: the first allocations of these sizes, by whomever, need
    /// nothing of the filesystem any more.
    #[must_use]
    pub fn preallocated(mut self, blocks: impl IntoIterator<Item = Preallocated>) -> Self {
        self.preallocated = blocks.into_iter().collect();
        self
    }

    /// Whether what was asked for can be had of a pool of this type.
    pub(crate) fn check_type(&self) -> Result<(), Error> {
        let named = self.kind.is_named();
        let wants_directory = matches!(self.kind, PoolType::File | PoolType::HugePages);
        if self.directory.is_some() && !named {
            return Err(invalid("directory", format!("a pool of type {} lies in none", self.kind.name())));
        }
        if self.directory.is_none() && wants_directory {
            return Err(invalid("directory", format!("a pool of type {} needs one", self.kind.name())));
        }
        let rights = [("mode", self.mode), ("owner", self.user), ("group", self.group)];
        let given = rights.into_iter().find(|(_, value)| value.is_some());
        if let Some((attribute, _)) = given
            && matches!(self.kind, PoolType::Private | PoolType::Lent)
        {
            let reason = format!("nobody opens a pool of type {} by its rights", self.kind.name());
            return Err(invalid(attribute, reason));
        }
        if self.growth != Growth::None && self.kind == PoolType::Lent {
            return Err(invalid("growth", "lent memory is as long as it is".into()));
        }
        self.check_memory()
    }

    /// Whether it can be executed and placed as wanted, and is made here.
    fn check_memory(&self) -> Result<(), Error> {
        if self.executable && self.kind == PoolType::Lent {
            let reason = "lent memory has the protection that its owner gave it";
            return Err(invalid("executable", reason.into()));
        }
        if !self.numa_nodes.is_empty() && matches!(self.kind, PoolType::Lent | PoolType::File) {
            let reason =
                format!("the pages of a pool of type {} are not the creator's to place", self.kind.name());
            return Err(invalid("NUMA nodes", reason));
        }
        match self.node.filter(|node| *node != local_node() && self.kind != PoolType::Private) {
            Some(node) => {
                let here = local_node();
                Err(invalid(
                    "node",
                    format!("{node:#x} is another host, and a pool is made on the own ({here:#x})"),
                ))
            }
            None => Ok(()),
        }
    }

    /// Lent memory has to be given.
    pub(crate) fn lent_without_memory(&self) -> Error {
        invalid("type", "a pool in lent memory is made by Pool::create_in".into())
    }

    /// Whether the directory has the pages that were asked for.
    pub(crate) fn check_page_size(&self, object: &Object, directory: &Path) -> Result<(), Error> {
        let huge = object.page_size() > mapping::page_size() || object.is_huge_by_default();
        if self.kind != PoolType::HugePages || huge {
            return Ok(());
        }
        let directory = directory.display();
        let reason = format!(
            "{directory} is of ordinary pages: mount -t hugetlbfs none {directory}, or -t tmpfs -o huge=always"
        );
        Err(invalid("directory", reason))
    }

    /// Bytes of memory that [`Pool::create_in`](crate::Pool::create_in) takes for a pool of these attributes, metadata
    /// included; where the size is 0, the least that any does.
    ///
    /// ```
    /// use weyr_managed::PoolAttributes;
    ///
    /// let needed = PoolAttributes::new("in-a-buffer", 64 << 10).memory_needed()?;
    /// assert!(needed > 64 << 10 && needed < 128 << 10);
    /// # Ok::<(), weyr_managed::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`].
    pub fn memory_needed(&self) -> Result<u64, Error> {
        let shape = Self { bytes: self.bytes.max(1), ..self.clone() }.shape()?;
        Ok(Geometry::new(shape).object_bytes(shape.initial_pages))
    }

    /// The numbers of the pool that fits in `bytes` bytes, metadata included: of the size that was asked for, or, where
    /// that is 0, the largest.
    pub(crate) fn shape_within(&self, bytes: u64) -> Result<Shape, Error> {
        let needs = |data: u64| {
            let shape = Self { bytes: data, ..self.clone() }.shape().ok()?;
            Some((shape, Geometry::new(shape).object_bytes(shape.initial_pages)))
        };
        if self.bytes > 0 {
            let shape = self.shape()?;
            let needed = Geometry::new(shape).object_bytes(shape.initial_pages);
            let reason =
                || format!("the pool takes {needed} bytes with its metadata, the memory has {bytes}");
            return if needed <= bytes { Ok(shape) } else { Err(invalid("size", reason())) };
        }
        let fits = |data: &u64| needs(*data).is_some_and(|(_, needed)| needed <= bytes);
        // Halving steps: from what surely does not fit down to a page.
        let (mut low, mut step) = (0, bytes.next_power_of_two());
        while step >= 4096 {
            low = Some(low + step).filter(fits).unwrap_or(low);
            step /= 2;
        }
        if let Some((shape, _)) = needs(low) {
            return Ok(shape);
        }
        let least = self.memory_needed()?;
        Err(invalid(
            "memory",
            format!("a pool takes {least} bytes at least with its metadata, it has {bytes}"),
        ))
    }

    /// The numbers of the pool that was asked for.
    pub(crate) fn shape(&self) -> Result<Shape, Error> {
        if self.bytes == 0 {
            return Err(invalid("size", "a pool needs at least one byte; ask for 32 KiB or more".into()));
        }
        let maximum_bytes = self.maximum_bytes()?;
        let page_shift = self.page_shift(maximum_bytes)?;
        let pages = |bytes: u64| bytes.div_ceil(1 << page_shift);
        let maximum_pages = pages(maximum_bytes);
        if maximum_pages > PAGE_LIMIT {
            let reason =
                format!("{maximum_bytes} bytes are more than 2^24 pages of {} bytes", 1u64 << page_shift);
            return Err(invalid("size", reason));
        }
        let segment = self.segment_bytes.unwrap_or(SEGMENT_BYTES.min(self.bytes.next_power_of_two()));
        if segment == 0 {
            return Err(invalid("segment size", "must not be zero".into()));
        }
        let (processes, lanes, channels) = default_tables(maximum_bytes);
        let manifest_entries = self.manifest_entries.unwrap_or(default_manifest_entries(maximum_bytes));
        if manifest_entries > MANIFEST_LIMIT {
            let reason = format!("{manifest_entries} are more than {MANIFEST_LIMIT}");
            return Err(invalid("manifest entries", reason));
        }
        let shape = Shape {
            page_shift,
            initial_pages: pages(self.bytes),
            segment_pages: pages(segment).min(maximum_pages),
            maximum_pages,
            process_limit: self.processes.unwrap_or(processes),
            lane_limit: self.lanes.unwrap_or(lanes),
            channel_limit: self.channels.unwrap_or(channels),
            manifest_limit: manifest_entries,
        };
        shape
            .check()
            .map_err(|which| invalid(which, format!("out of range (tables hold 1 to {ID_LIMIT} entries)")))?;
        Ok(shape)
    }

    fn maximum_bytes(&self) -> Result<u64, Error> {
        match self.growth {
            Growth::None => Ok(self.bytes),
            Growth::UpTo(bytes) if bytes >= self.bytes => Ok(bytes),
            Growth::UpTo(bytes) => Err(invalid(
                "growth",
                format!("the cap of {bytes} bytes is below the size of {} bytes", self.bytes),
            )),
            Growth::Unlimited => {
                let window = weyr_sys::address_space::largest_window(UNLIMITED_BYTES);
                // Metadata takes up to a fifth on top.
                let bytes = (window / 5 * 4).next_multiple_of(DATA_CHUNK);
                Ok(bytes.max(self.bytes))
            }
        }
    }

    fn page_shift(&self, maximum_bytes: u64) -> Result<u32, Error> {
        match self.page_bytes {
            None if maximum_bytes <= 16 << 20 => Ok(12),
            None if maximum_bytes <= 512 << 20 => Ok(14),
            None => Ok(16),
            Some(bytes) if bytes.is_power_of_two() && (1 << 12..=1 << 16).contains(&bytes) => {
                Ok(bytes.trailing_zeros())
            }
            Some(bytes) => {
                Err(invalid("page size", format!("{bytes} is no power of two from 4096 to 65536")))
            }
        }
    }
}

/// Process slots, lanes and channel entries of a pool of at most `bytes` bytes.
const fn default_tables(bytes: u64) -> (u32, u32, u32) {
    match bytes {
        _ if bytes <= 128 << 10 => (16, 32, 16),
        _ if bytes <= 16 << 20 => (64, 128, 256),
        _ if bytes <= 512 << 20 => (256, 1024, 4096),
        _ if bytes <= 16 << 30 => (1024, 4096, 16_384),
        _ => (4096, 16_384, 65_536),
    }
}

/// Entries of the manifest of a pool of at most `bytes` bytes.
const fn default_manifest_entries(bytes: u64) -> u32 {
    match bytes {
        _ if bytes <= 128 << 10 => 64,
        _ if bytes <= 16 << 20 => 256,
        _ if bytes <= 512 << 20 => 4096,
        _ if bytes <= 16 << 30 => 16_384,
        _ => 262_144,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_and_tables_follow_from_the_largest_size() {
        let shape = |bytes, growth| PoolAttributes::new("p", bytes).growth(growth).shape().unwrap();
        assert_eq!(
            (shape(32 << 10, Growth::None).page_shift, shape(32 << 10, Growth::None).maximum_pages),
            (12, 8)
        );
        assert_eq!(shape(64 << 20, Growth::None).page_shift, 14);
        assert_eq!(shape(1 << 20, Growth::UpTo(1 << 30)).page_shift, 16);
        assert_eq!(shape(1 << 20, Growth::UpTo(1 << 30)).initial_pages, 16);
        assert_eq!(shape(64 << 30, Growth::None).process_limit, 4096);
    }

    #[test]
    fn what_no_pool_can_be_is_refused_by_name() {
        let refused = |attributes: PoolAttributes| match attributes.shape() {
            Err(Error::InvalidAttribute { attribute, .. }) => attribute,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(PoolAttributes::new("p", 0)), "size");
        assert_eq!(refused(PoolAttributes::new("p", u64::MAX)), "size");
        assert_eq!(refused(PoolAttributes::new("p", 1 << 20).growth(Growth::UpTo(1))), "growth");
        assert_eq!(refused(PoolAttributes::new("p", 1 << 20).page_size(5000)), "page size");
        assert_eq!(refused(PoolAttributes::new("p", 1 << 20).processes(0)), "process_limit");
        assert_eq!(refused(PoolAttributes::new("p", 1 << 20).lanes(65_535)), "lane_limit");
        assert_eq!(
            refused(PoolAttributes::new("p", 1 << 20).manifest_entries((1 << 24) + 1)),
            "manifest entries"
        );
        assert_eq!(refused(PoolAttributes::new("p", 1 << 20).segment_size(0)), "segment size");
    }
}
