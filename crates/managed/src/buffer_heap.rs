//! The heap alone, over memory that the caller has: a static array, a buffer, a mapping of his own that other processes
//! have as well.
//!
//! It is a pool without an object, seen as a heap: what holds for pools of the dead, of those who wait and of misuse holds
//! here, and [`BufferHeap::pool`] has the rest (types and ids, channels, alignment).
//!
//! | memory | [`Mapping`] of it |
//! | --- | --- |
//! | a static array, a buffer that lives as long as the process | [`Mapping::of_static`] |
//! | memory of the process without a buffer | [`Mapping::anonymous`] |
//! | shared memory, a file | [`Mapping::shared`], as long as the object |
//! | anything else: a mapping of the caller's, somebody's buffer | [`Mapping::lent`], with his word for it |
//!
//! Source: Dragon managed memory, heap manager (dynheap).

pub(crate) mod dump;

use std::sync::Arc;
use std::time::Instant;

use weyr_sys::mapping::Mapping;

use crate::buffer_heap::dump::Dump;
use crate::heap::recovery::Recovered;
use crate::heap::statistics::HeapStatistics;
use crate::heap::verify::{Mode, Verification};
use crate::pool::opening;
use crate::{Allocation, AllocationDescriptor, Error, Inspection, Pool, PoolAttributes, Published};

/// A heap in memory that the caller gives.
///
/// Cheap to clone; any number of threads use one at a time, and any number of processes of one pid namespace that map
/// the same memory, each at any address that is a multiple of 4096. A process may die at any instruction: the others go
/// on, and recover what it had.
///
/// ```
/// use weyr_managed::{BufferHeap, Mapping, Mode, PoolAttributes};
///
/// // Room for 64 KiB in allocations, and 4095 bytes to begin at a multiple of 4096.
/// let attributes = PoolAttributes::new("numbers", 64 << 10);
/// let needed = BufferHeap::memory_needed(&attributes)? as usize;
/// let buffer = vec![0; needed + 4095].leak();
/// let start = buffer.as_ptr().align_offset(4096);
///
/// let heap = BufferHeap::init(Mapping::of_static(&mut buffer[start..])?, &attributes)?;
/// let mut numbers = heap.alloc(1000)?;
/// numbers.write(0, &[1, 2, 3])?;
/// assert_eq!(heap.statistics().blocks, 1);
/// heap.free(numbers);
/// assert_eq!(heap.statistics().free_bytes, 64 << 10);
/// assert!(heap.verify(Mode::Online).holds());
/// heap.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BufferHeap {
    pool: Pool,
}

impl BufferHeap {
    /// Bytes of memory that a heap of these attributes takes, metadata included; where their size is 0, the least that
    /// any does. As [`PoolAttributes::memory_needed`].
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`].
    pub fn memory_needed(attributes: &PoolAttributes) -> Result<u64, Error> {
        attributes.memory_needed()
    }

    /// Makes a heap in `memory` and attaches it. The bytes of `attributes` are those for allocations; 0 is as many as fit
    /// beside the metadata. Does not block; takes time with the metadata, about a fiftieth of the memory, which is
    /// cleared.
    ///
    /// One process does this, and nobody else uses the memory before it returns; others [attach](Self::attach) then. A
    /// heap that lies there already is left alone, also when all who used it are dead; one that was
    /// [destroyed](Self::destroy) and is nobody's any more is replaced, as is one of which the maker died in the middle.
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] when the memory is too small (it says how much is needed), does not begin at a multiple
    /// of 4096, may not be written, or holds a heap; [`Error::InUse`] when a destroyed one is still attached;
    /// [`Error::WrongVersion`], [`Error::Corrupt`], [`Error::Truncated`] when what lies there is one that cannot be read
    /// ([`Pool::create_in`] replaces it). Nothing was written then.
    pub fn init(memory: impl Into<Arc<Mapping>>, attributes: &PoolAttributes) -> Result<Self, Error> {
        let memory = memory.into();
        opening::require_vacant(&memory)?;
        Ok(Self { pool: Pool::create_in(memory, attributes)? })
    }

    /// Attaches the heap that was made in `memory`, here or by another process, as a member of its own, and recovers the
    /// dead. Does not wait for anybody.
    ///
    /// # Errors
    /// As [`Pool::attach_in_memory`]; [`Error::NotAPool`] when none is there, [`Error::Destroyed`] when it was destroyed.
    pub fn attach(memory: impl Into<Arc<Mapping>>) -> Result<Self, Error> {
        Ok(Self { pool: Pool::attach_in_memory(memory.into())? })
    }

    /// Looks at the heap that was made in `memory` without becoming a member. Who may only read the memory can do this.
    ///
    /// # Errors
    /// As [`Pool::inspect_memory`].
    pub fn inspect(memory: impl Into<Arc<Mapping>>) -> Result<Inspection, Error> {
        Pool::inspect_memory(memory.into())
    }

    /// Allocates `bytes` bytes, owned by this process until dropped, published or sent. As [`Pool::alloc`].
    ///
    /// # Errors
    /// As [`Pool::alloc`].
    #[inline]
    pub fn alloc(&self, bytes: u64) -> Result<Allocation, Error> {
        self.pool.alloc(bytes)
    }

    /// As [`alloc`](Self::alloc), waiting for memory until `deadline`: served when anybody frees, in any process.
    ///
    /// # Errors
    /// As [`Pool::alloc_until`].
    pub fn alloc_until(&self, bytes: u64, deadline: Instant) -> Result<Allocation, Error> {
        self.pool.alloc_until(bytes, deadline)
    }

    /// As [`alloc`](Self::alloc), waiting for memory without limit.
    ///
    /// # Errors
    /// As [`Pool::alloc_blocking`].
    pub fn alloc_blocking(&self, bytes: u64) -> Result<Allocation, Error> {
        self.pool.alloc_blocking(bytes)
    }

    /// Frees an allocation, as dropping it does: of any heap. Does not block.
    pub fn free(&self, allocation: Allocation) {
        drop(allocation);
    }

    /// Opens memory that another process published, by its descriptor; [`Published::free`] frees it. As [`Pool::open`].
    ///
    /// # Errors
    /// As [`Pool::open`].
    pub fn open(&self, descriptor: &AllocationDescriptor) -> Result<Published, Error> {
        self.pool.open(descriptor)
    }

    /// What it holds and what it can give. Takes some milliseconds per gibibyte of small blocks; stops nobody.
    pub fn statistics(&self) -> HeapStatistics {
        self.pool.statistics()
    }

    /// What it holds, in text, for a person: numbers, members, and the bytes of its metadata.
    pub fn dump(&self) -> Dump {
        self.pool.inspection().dump()
    }

    /// Checks its invariants; changes nothing, stops nobody.
    pub fn verify(&self, mode: Mode) -> Verification {
        self.pool.verify(mode)
    }

    /// Finds dead members and gives back what they held. As [`Pool::recover`].
    pub fn recover(&self) -> Recovered {
        self.pool.recover()
    }

    /// The heap as a pool, with everything else that a pool can do.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Destroys the heap for everybody: nothing new is allocated from it. What is allocated stays valid until it is
    /// dropped, here and elsewhere; when nobody has it attached any more, the memory can have another.
    ///
    /// # Errors
    /// [`Error::Destroyed`] when it was before.
    pub fn destroy(self) -> Result<(), Error> {
        self.pool.destroy()
    }
}

impl Pool {
    /// What it holds and what it can give, by size. Takes some milliseconds per gibibyte of small blocks; stops nobody.
    pub fn statistics(&self) -> HeapStatistics {
        self.attachment().heap.statistics()
    }
}

impl Inspection {
    /// As [`Pool::statistics`].
    pub fn statistics(&self) -> HeapStatistics {
        self.attachment().heap.statistics()
    }
}
