//! What can be done with the bytes of allocations, whoever has them: copied, compared, hashed, cleared.
//!
//! All of it copies through a buffer, so it holds for memory that others may write: what they change meanwhile may be seen
//! or not, byte by byte.

use std::ops::Range;
use std::time::Instant;

use weyr_shared::PayloadError;
use xxhash_rust::xxh3::Xxh3;

use crate::{Allocation, Error, Pool, Published};

/// Bytes that are moved at a time.
const CHUNK: u64 = 64 << 10;

/// Bytes of a pool: an allocation of this process, or published memory.
///
/// ```
/// use weyr_managed::{Contents, ContentsMut, Pool, PoolAttributes};
/// # let name = format!("doc-contents-{}", std::process::id());
/// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let mut first = pool.alloc(10)?;
/// first.write(0, b"0123456789")?;
/// let second = pool.alloc_copy(&first)?.publish()?;
/// assert!(first.equals(&second)? && first.content_hash()? == second.content_hash()?);
/// first.clear(2..5)?;
/// assert!(!first.equals(&second)?);
/// # second.free()?;
/// # drop(first);
/// # pool.destroy()?;
/// # Ok::<(), weyr_managed::Error>(())
/// ```
pub trait Contents: sealed::Sealed + Sized {
    /// Length in bytes.
    fn byte_len(&self) -> u64;

    /// Copies from byte `offset` into the whole of `bytes`.
    ///
    /// # Errors
    /// [`Error::Payload`] when there are not so many, [`Error::Forked`].
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error>;

    /// XXH3 (64 bits, seed 0) of the bytes: the same for the same bytes, in every process and on every machine. It
    /// finds what differs by chance, not by intent. Takes the time of reading them.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    /// Source: Dragon managed memory, `dragon_memory_hash`; xxHash, doc/xxhash_spec.md.
    fn content_hash(&self) -> Result<u64, Error> {
        let mut hash = Xxh3::new();
        self.for_each_part(|part| {
            hash.update(part);
            Ok(true)
        })?;
        Ok(hash.digest())
    }

    /// Whether both are as long and have the same bytes.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at), of either.
    /// Source: Dragon managed memory, `dragon_memory_equal`.
    fn equals(&self, other: &impl Contents) -> Result<bool, Error> {
        if self.byte_len() != other.byte_len() {
            return Ok(false);
        }
        let (mut at, mut equal, mut others) = (0, true, vec![0; self.byte_len().min(CHUNK) as usize]);
        self.for_each_part(|part| {
            let others = &mut others[..part.len()];
            other.read_at(at, others)?;
            at += part.len() as u64;
            equal = part == others;
            Ok(equal)
        })?;
        Ok(equal)
    }

    /// Calls `act` with the bytes, part by part, until it returns false.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at), and those of `act`.
    fn for_each_part(&self, mut act: impl FnMut(&[u8]) -> Result<bool, Error>) -> Result<(), Error> {
        let mut buffer = vec![0; self.byte_len().min(CHUNK) as usize];
        for start in (0..self.byte_len()).step_by(CHUNK as usize) {
            let part = &mut buffer[..(self.byte_len() - start).min(CHUNK) as usize];
            self.read_at(start, part)?;
            if !act(part)? {
                break;
            }
        }
        Ok(())
    }
}

/// Bytes of a pool that can be written.
pub trait ContentsMut: Contents {
    /// Copies `bytes` to byte `offset`.
    ///
    /// # Errors
    /// [`Error::Payload`] when it does not fit, [`Error::WrongState`] when it is frozen, [`Error::ReadOnly`],
    /// [`Error::Forked`]; nothing was written then.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Copies the first `bytes` bytes of `from` to the start of this.
    ///
    /// # Errors
    /// [`Error::Payload`] when one of them is shorter, and nothing was written; as [`write_at`](Self::write_at).
    /// Source: Dragon managed memory, `dragon_memory_copy_size`.
    fn copy_part_from(&mut self, from: &impl Contents, bytes: u64) -> Result<(), Error> {
        let size = from.byte_len().min(self.byte_len());
        if bytes > size {
            return Err(PayloadError::OutOfRange { offset: 0, len: bytes, size }.into());
        }
        let mut at = 0;
        from.for_each_part(|part| {
            let part = &part[..(bytes - at).min(part.len() as u64) as usize];
            self.write_at(at, part)?;
            at += part.len() as u64;
            Ok(at < bytes)
        })
    }

    /// Copies all of `from` to the start of this; what lies behind stays.
    ///
    /// # Errors
    /// [`Error::Payload`] when this is shorter, and nothing was written; as [`write_at`](Self::write_at).
    /// Source: Dragon managed memory, `dragon_memory_copy`.
    fn copy_from(&mut self, from: &impl Contents) -> Result<(), Error> {
        self.copy_part_from(from, from.byte_len())
    }

    /// Sets the bytes of `range` to zero.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    /// Source: Dragon managed memory, `dragon_memory_clear`.
    fn clear(&mut self, range: Range<u64>) -> Result<(), Error> {
        let (offset, len) = (range.start, range.end.saturating_sub(range.start));
        if offset.checked_add(len).is_none_or(|end| end > self.byte_len()) {
            return Err(PayloadError::OutOfRange { offset, len, size: self.byte_len() }.into());
        }
        let zeros = vec![0; len.min(CHUNK) as usize];
        for start in (range.start..range.end).step_by(CHUNK as usize) {
            self.write_at(start, &zeros[..(range.end - start).min(CHUNK) as usize])?;
        }
        Ok(())
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Allocation {}
    impl Sealed for crate::Published {}
}

impl Contents for Allocation {
    fn byte_len(&self) -> u64 {
        self.len()
    }
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.read(offset, bytes)
    }
}

impl Contents for Published {
    fn byte_len(&self) -> u64 {
        self.len()
    }
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.read(offset, bytes)
    }
}

impl ContentsMut for Allocation {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.write(offset, bytes)
    }
}

impl ContentsMut for Published {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.write(offset, bytes)
    }
}

impl Published {
    /// Whether both are the same bytes of the same use of the same allocation, whatever they hold.
    /// Source: Dragon managed memory, `dragon_memory_is`.
    pub fn is_same_as(&self, other: &Published) -> bool {
        let place = |of: &Published| (of.pool_uuid(), of.reference(), of.view_offset(), of.len());
        place(self) == place(other)
    }
}

impl Pool {
    /// Allocates a copy of `from`, which may lie in another pool.
    ///
    /// # Errors
    /// As [`alloc`](Self::alloc), and as reading `from`; nothing is allocated then.
    pub fn alloc_copy(&self, from: &impl Contents) -> Result<Allocation, Error> {
        let mut copy = self.alloc(from.byte_len())?;
        copy.copy_from(from)?;
        Ok(copy)
    }

    /// As [`alloc_copy`](Self::alloc_copy), waiting for memory until `deadline`.
    ///
    /// # Errors
    /// As [`alloc_until`](Self::alloc_until), and as reading `from`; nothing is allocated then.
    /// Source: Dragon managed memory, `dragon_memory_copy_to_pool`.
    pub fn alloc_copy_until(&self, from: &impl Contents, deadline: Instant) -> Result<Allocation, Error> {
        let mut copy = self.alloc_until(from.byte_len(), deadline)?;
        copy.copy_from(from)?;
        Ok(copy)
    }

    /// As [`alloc_typed`](Self::alloc_typed), waiting for memory until `deadline`. A key that is taken is not waited for.
    ///
    /// # Errors
    /// As [`alloc_until`](Self::alloc_until) and [`Allocation::publish_as`]; nothing is allocated then.
    /// Source: Dragon managed memory, `dragon_memory_alloc_type_blocking`.
    pub fn alloc_typed_until(
        &self,
        bytes: u64,
        type_id: u32,
        id: u64,
        deadline: Instant,
    ) -> Result<Published, Error> {
        self.alloc_until(bytes, deadline)?.publish_as(type_id, id)
    }
}

impl Allocation {
    /// As [`resize_or_move`](Self::resize_or_move); where it has to move, it waits for memory until `deadline`.
    ///
    /// # Errors
    /// As [`resize`](Self::resize) and, for `NotInPlace`, as [`Pool::alloc_until`]. It is as it was then.
    /// Source: Dragon managed memory, `dragon_memory_modify_size`.
    pub fn resize_until(&mut self, bytes: u64, deadline: Instant) -> Result<(), Error> {
        match self.resize_or_move(bytes) {
            Err(Error::NoMemory { .. }) => {}
            resized => return resized,
        }
        let attachment = std::sync::Arc::clone(self.attachment()?);
        let reference = attachment.wait_for(bytes, Some(deadline))?;
        let mut moved = Allocation::found(&attachment, reference, bytes, self.cooperation())?;
        moved.copy_part_from(self, bytes.min(self.len()))?;
        *self = moved;
        Ok(())
    }
}
