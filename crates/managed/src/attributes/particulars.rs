//! What the creator of a pool decides besides its shape, and what of it the pool keeps in its header.

use weyr_atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use weyr_shared::Corrupt;
use weyr_sys::mapping::Mapping;
use weyr_sys::numa::Nodes;
use weyr_sys::object::Access;
use weyr_sys::{Errno, host, numa};

use crate::geometry::{DATA_CHUNK, Geometry, Shape};
use crate::layout::{
    GROWTH_CAPPED, GROWTH_NONE, GROWTH_UNLIMITED, OPTION_COMMIT, OPTION_EXECUTABLE, OPTION_HUGE_PAGES,
    OPTION_PREFAULT, OPTION_ZERO_ON_FREE, OPTION_ZEROING, OPTIONS, PoolHeader,
};
use crate::{Error, Growth, PoolAttributes, PoolType};

/// The lock that a pool is asked to have.
///
/// A pool has no lock, so this is kept and given back, and does nothing.
/// Source: Dragon, `dragonLockKind_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u32)]
pub enum LockKind {
    /// In the order of arrival. The default.
    #[default]
    Fifo = 0,
    /// In the order of arrival, in less memory.
    FifoLite = 1,
    /// Whoever comes first when it is free.
    Greedy = 2,
}

impl LockKind {
    /// All of them.
    pub const ALL: [LockKind; 3] = [Self::Fifo, Self::FifoLite, Self::Greedy];

    /// As a person writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::FifoLite => "fifo-lite",
            Self::Greedy => "greedy",
        }
    }
}

/// Blocks that are made ready when a pool is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preallocated {
    /// Bytes of each.
    pub bytes: u64,
    /// How many.
    pub count: u64,
}

/// Kinds of blocks that can be made ready.
pub const PREALLOCATED_LIMIT: usize = 16;
/// Bytes of the name of a manifest's file, at most.
pub const MANIFEST_NAME_LIMIT: usize = 255;

/// What every block has anyway, in bytes.
pub(crate) const LEAST_ALIGNMENT: u64 = 64;

/// What a pool keeps of its creator's wishes; nobody changes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Particulars {
    pub(crate) growth: u32,
    /// OPTION_*.
    pub(crate) options: u32,
    /// 0: none.
    pub(crate) minimum_block: u64,
    /// 0: none.
    pub(crate) alignment: u64,
    pub(crate) lock_kind: LockKind,
    pub(crate) nodes: Nodes,
    pub(crate) preallocated: Vec<Preallocated>,
    pub(crate) manifest_name: String,
}

impl Particulars {
    /// What `attributes` ask for, of a pool of that shape.
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] names what cannot be.
    pub(crate) fn of(attributes: &PoolAttributes, geometry: &Geometry) -> Result<Self, Error> {
        let particulars = Self {
            growth: growth_number(attributes.growth, &geometry.shape),
            options: options(attributes),
            minimum_block: attributes.minimum_block,
            alignment: attributes.alignment,
            lock_kind: attributes.lock_kind,
            nodes: nodes(attributes)?,
            preallocated: attributes.preallocated.clone(),
            manifest_name: attributes.manifest_name.clone(),
        };
        check_manifest_name(&particulars.manifest_name)?;
        particulars.check_sizes(attributes.kind, geometry)?;
        Ok(particulars)
    }

    fn check_sizes(&self, kind: PoolType, geometry: &Geometry) -> Result<(), Error> {
        let room = geometry.shape.initial_pages << geometry.shape.page_shift;
        if self.minimum_block > room {
            let reason = format!("{} bytes are more than the pool has ({room})", self.minimum_block);
            return Err(invalid("minimum block", reason));
        }
        let limit = alignment_limit(kind, geometry);
        if self.alignment != 0 && (!self.alignment.is_power_of_two() || self.alignment > limit) {
            let reason = format!(
                "{} is no power of two up to {limit}, to which this pool lies in every process",
                self.alignment
            );
            return Err(invalid("alignment", reason));
        }
        self.check_preallocated(room)
    }

    fn check_preallocated(&self, room: u64) -> Result<(), Error> {
        let refuse = |reason: String| Err(invalid("preallocated blocks", reason));
        if self.preallocated.len() > PREALLOCATED_LIMIT {
            return refuse(format!("at most {PREALLOCATED_LIMIT} kinds of blocks can be made ready"));
        }
        let bytes = |kind: &Preallocated| {
            u128::from(kind.bytes.max(self.minimum_block).max(LEAST_ALIGNMENT)) * u128::from(kind.count)
        };
        let wanted: u128 = self.preallocated.iter().map(bytes).sum();
        if wanted > u128::from(room) {
            return refuse(format!("they take {wanted} bytes, the pool begins with {room}"));
        }
        Ok(())
    }

    pub(crate) fn has(&self, option: u32) -> bool {
        self.options & option != 0
    }

    /// Writes them into the header of a pool that nobody can see yet.
    pub(crate) fn write(&self, header: &PoolHeader) {
        let halves = [
            (&header.growth, self.growth),
            (&header.options, self.options),
            (&header.lock_kind, self.lock_kind as u32),
            (&header.manifest_name_bytes, self.manifest_name.len() as u32),
        ];
        halves.iter().for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
        header.minimum_block.store(self.minimum_block, Ordering::Relaxed);
        header.data_alignment.store(self.alignment, Ordering::Relaxed);
        header.preallocated_kinds.store(self.preallocated.len() as u64, Ordering::Relaxed);
        store_all(&header.numa_nodes, self.nodes.words().iter().copied());
        store_all(&header.preallocated_bytes, self.preallocated.iter().map(|kind| kind.bytes));
        store_all(&header.preallocated_counts, self.preallocated.iter().map(|kind| kind.count));
        for (byte, value) in header.manifest_name.iter().zip(self.manifest_name.bytes()) {
            byte.store(value, Ordering::Relaxed);
        }
    }

    /// What a header says, as far as it can be true.
    ///
    /// # Errors
    /// [`Corrupt`] names the field that no pool can have.
    pub(crate) fn read(header: &PoolHeader, shape: &Shape) -> Result<Self, Corrupt> {
        let half = |word: &AtomicU32| word.load(Ordering::Relaxed);
        let refused = |field: &'static str| Corrupt::new(field, 0);
        let lock_kind = LockKind::ALL.into_iter().find(|kind| *kind as u32 == half(&header.lock_kind));
        let read = Self {
            growth: half(&header.growth),
            options: half(&header.options),
            minimum_block: header.minimum_block.load(Ordering::Relaxed),
            alignment: header.data_alignment.load(Ordering::Relaxed),
            lock_kind: lock_kind.ok_or(refused("lock_kind"))?,
            nodes: Nodes::from_words(std::array::from_fn(|word| {
                header.numa_nodes[word].load(Ordering::Relaxed)
            })),
            preallocated: read_preallocated(header).ok_or(refused("preallocated_kinds"))?,
            manifest_name: read_text(&header.manifest_name, half(&header.manifest_name_bytes))
                .ok_or(refused("manifest_name_bytes"))?,
        };
        let maximum = shape.maximum_pages << shape.page_shift;
        let aligned = read.alignment == 0 || read.alignment.is_power_of_two() && read.alignment <= DATA_CHUNK;
        let rules = [
            (read.growth <= GROWTH_UNLIMITED, "growth"),
            (read.options & !OPTIONS == 0, "options"),
            (read.minimum_block <= maximum, "minimum_block"),
            (aligned, "data_alignment"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(read), |(_, field)| Err(refused(field)))
    }

    /// Lets what the pool wants to be executable be that, in this process.
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] where the kernel forbids it.
    pub(crate) fn allow_execution(&self, mapping: &Mapping, access: Access) -> Result<(), Error> {
        if !self.has(OPTION_EXECUTABLE) {
            return Ok(());
        }
        mapping.allow_execution(access).map_err(|errno| match errno {
            Errno::ACCESS | Errno::PERM => {
                let reason = "the kernel forbids it: the directory is of a file system mounted with noexec, or a security policy forbids it";
                invalid("executable", reason.into())
            }
            errno => Error::Os { operation: "making the pool executable", errno },
        })
    }

    /// Has the kernel place the data on the wanted nodes, of which nothing is there yet, from a multiple of `grain` bytes
    /// on.
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] where it has no such policies.
    pub(crate) fn place(&self, mapping: &Mapping, geometry: &Geometry, grain: usize) -> Result<(), Error> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        let (start, end) = (geometry.offsets.data, geometry.object_bytes(geometry.shape.maximum_pages));
        if end > mapping.len() as u64 {
            let reason = "this process has not the address space to map all that the pool may grow to";
            return Err(invalid("NUMA nodes", reason.into()));
        }
        let start = start as usize - start as usize % grain;
        let placed = numa::interleave(mapping, start..mapping.len(), &self.nodes);
        placed.map_err(|errno| invalid("NUMA nodes", format!("the kernel refuses to place memory: {errno}")))
    }
}

/// The largest power of two of which the data's start is a multiple in every process.
fn alignment_limit(kind: PoolType, geometry: &Geometry) -> u64 {
    match kind {
        PoolType::Lent => 4096,
        _ if geometry.offsets.data.is_multiple_of(DATA_CHUNK) => DATA_CHUNK,
        _ => geometry.page_bytes(),
    }
}

fn growth_number(growth: Growth, shape: &Shape) -> u32 {
    match growth {
        Growth::Unlimited => GROWTH_UNLIMITED,
        Growth::UpTo(_) if shape.maximum_pages > shape.initial_pages => GROWTH_CAPPED,
        Growth::UpTo(_) | Growth::None => GROWTH_NONE,
    }
}

fn options(attributes: &PoolAttributes) -> u32 {
    let bits = [
        (attributes.zeroing, OPTION_ZEROING),
        (attributes.huge_pages, OPTION_HUGE_PAGES),
        (attributes.executable, OPTION_EXECUTABLE),
        (attributes.commit, OPTION_COMMIT),
        (attributes.prefault, OPTION_PREFAULT),
        (attributes.zero_on_free, OPTION_ZERO_ON_FREE),
    ];
    bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum()
}

/// The set of nodes, all of which can be used.
fn nodes(attributes: &PoolAttributes) -> Result<Nodes, Error> {
    let refuse = |reason: String| invalid("NUMA nodes", reason);
    let wanted = Nodes::of(attributes.numa_nodes.iter().copied())
        .ok_or_else(|| refuse(format!("nodes have numbers below {}", numa::NODE_LIMIT)))?;
    let available = numa::available();
    if let Some(missing) = wanted.without(&available).numbers().next() {
        let there: Vec<String> = available.numbers().map(|node| node.to_string()).collect();
        return Err(refuse(format!(
            "node {missing} is not there, or has no memory; there are {}",
            there.join(", ")
        )));
    }
    Ok(wanted)
}

fn check_manifest_name(name: &str) -> Result<(), Error> {
    if name.len() <= MANIFEST_NAME_LIMIT {
        return Ok(());
    }
    Err(invalid("manifest name", format!("{} bytes are more than {MANIFEST_NAME_LIMIT}", name.len())))
}

fn store_all(words: &[AtomicU64], values: impl Iterator<Item = u64>) {
    words.iter().zip(values).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
}

fn read_preallocated(header: &PoolHeader) -> Option<Vec<Preallocated>> {
    let kinds = usize::try_from(header.preallocated_kinds.load(Ordering::Relaxed)).ok()?;
    let bytes = header.preallocated_bytes.get(..kinds)?.iter();
    let pairs = bytes.zip(&header.preallocated_counts);
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    Some(pairs.map(|(bytes, count)| Preallocated { bytes: load(bytes), count: load(count) }).collect())
}

/// The text in the first `length` bytes, if they are one.
pub(crate) fn read_text(bytes: &[AtomicU8], length: u32) -> Option<String> {
    let bytes = bytes.get(..length as usize)?.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
    String::from_utf8(bytes).ok()
}

/// The number of the host on which a pool made here lies: what [`PoolAttributes::node`] takes.
pub fn local_node() -> u64 {
    host::id()
}

pub(crate) fn invalid(attribute: &'static str, reason: String) -> Error {
    Error::InvalidAttribute { attribute, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_manifest_is_bounded() {
        assert!(check_manifest_name(&"m".repeat(MANIFEST_NAME_LIMIT)).is_ok());
        assert!(check_manifest_name(&"m".repeat(MANIFEST_NAME_LIMIT + 1)).is_err());
    }
}
