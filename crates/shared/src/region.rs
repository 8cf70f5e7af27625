//! A checked window on a mapping.

use std::sync::Arc;

use weyr_sys::mapping::Mapping;

use crate::{Corrupt, Layout, Shareable, Strided, Table};

/// A range of a mapping, which it keeps alive.
///
/// The only thing in weyr that turns an offset into a reference. A range may reach beyond what the object has backed;
/// whoever touches bytes there must have backed them first (`managed` does, chunk by chunk).
#[derive(Clone)]
pub struct Region {
    mapping: Arc<Mapping>,
    start: usize,
    len: usize,
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Region").field("start", &self.start).field("len", &self.len).finish()
    }
}

impl Region {
    /// The whole of `mapping`.
    pub fn new(mapping: Arc<Mapping>) -> Self {
        let len = mapping.len();
        Self { mapping, start: 0, len }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len as u64
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The mapping it lies in.
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// The part `offset .. offset + len`, in bytes.
    ///
    /// # Errors
    /// [`Corrupt`] when it does not lie inside.
    pub fn part(&self, offset: u64, len: u64) -> Result<Region, Corrupt> {
        let start = self.checked(offset, len, 1, "region")?;
        Ok(Region { mapping: Arc::clone(&self.mapping), start: self.start + start, len: len as usize })
    }

    /// The structure at `offset` bytes.
    ///
    /// # Errors
    /// [`Corrupt`] when it does not lie inside or is misaligned.
    pub fn view<T: Layout>(&self, offset: u64) -> Result<&T, Corrupt> {
        let at = self.checked(offset, size_of::<T>() as u64, align_of::<T>(), T::NAME)?;
        // SAFETY: `at` and the structure's size lie inside the mapping, which `self` keeps alive.
        let pointer = unsafe { self.pointer().add(at) };
        // SAFETY: aligned and in bounds as checked; any bytes are a T and may change under a shared reference
        // (Shareable); the reference lives no longer than `self`.
        Ok(unsafe { &*pointer.cast::<T>() })
    }

    /// `count` elements from `offset` bytes on, one behind the other, as a table that keeps the mapping alive.
    ///
    /// # Errors
    /// [`Corrupt`] when they do not lie inside or are misaligned.
    pub fn table<T: Shareable>(
        &self,
        offset: u64,
        count: u64,
        what: &'static str,
    ) -> Result<Table<T>, Corrupt> {
        let bytes = count.checked_mul(size_of::<T>() as u64).ok_or(Corrupt::new(what, offset))?;
        let at = self.checked(offset, bytes, align_of::<T>(), what)?;
        // SAFETY: `at` lies inside the mapping.
        let pointer = unsafe { self.pointer().add(at) };
        // SAFETY: `count` aligned elements lie inside the mapping, which the table keeps alive.
        Ok(unsafe { Table::from_raw(pointer.cast(), count as usize, Arc::clone(&self.mapping) as _) })
    }

    /// `count` elements from `offset` bytes on, `stride` bytes apart.
    ///
    /// # Errors
    /// [`Corrupt`] when they do not lie inside, are misaligned, or overlap.
    pub fn strided<T: Shareable>(
        &self,
        offset: u64,
        stride: u64,
        count: u64,
        what: &'static str,
    ) -> Result<Strided<T>, Corrupt> {
        let wrong = Corrupt::new(what, offset);
        if stride < size_of::<T>() as u64 || !stride.is_multiple_of(align_of::<T>() as u64) {
            return Err(wrong);
        }
        let bytes = count.checked_mul(stride).ok_or(wrong)?;
        let at = self.checked(offset, bytes, align_of::<T>(), what)?;
        // SAFETY: `at` lies inside the mapping.
        let pointer = unsafe { self.pointer().add(at) };
        // SAFETY: `count` aligned elements `stride` apart lie inside the mapping, which the table keeps alive.
        Ok(unsafe {
            Strided::from_raw(pointer, stride as usize, count as usize, Arc::clone(&self.mapping) as _)
        })
    }

    /// Where this process has its first byte: a number to compare and to align by.
    pub fn address(&self) -> u64 {
        self.pointer() as u64
    }

    /// Address of the first byte; valid for `len` bytes while `self` lives.
    pub(crate) fn pointer(&self) -> *mut u8 {
        // SAFETY: `start` lies inside the mapping, by construction.
        unsafe { self.mapping.as_ptr().add(self.start) }
    }

    /// Checks `offset .. offset + len` and its alignment; returns the offset as an index.
    pub(crate) fn checked(
        &self,
        offset: u64,
        len: u64,
        align: usize,
        what: &'static str,
    ) -> Result<usize, Corrupt> {
        let end = offset.checked_add(len);
        let inside = end.is_some_and(|end| end <= self.len as u64);
        let address = (self.pointer() as u64).wrapping_add(offset);
        if inside && address.is_multiple_of(align as u64) {
            Ok(offset as usize)
        } else {
            Err(Corrupt::new(what, offset))
        }
    }
}

#[cfg(test)]
mod tests {
    use weyr_atomic::{AtomicU64, Ordering};

    use super::*;

    crate::layout! {
        /// Two words.
        struct Pair: 16, align 8 {
            /// The first.
            0 => first: AtomicU64,
            /// The second.
            8 => second: AtomicU64,
        }
    }

    fn region() -> Region {
        Region::new(Arc::new(Mapping::anonymous(4096).unwrap()))
    }

    #[test]
    fn a_view_sees_what_a_table_wrote() {
        let region = region();
        let table = region.table::<AtomicU64>(16, 2, "pair").unwrap();
        table[1].store(7, Ordering::Relaxed);
        assert_eq!(region.view::<Pair>(16).unwrap().second.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn offsets_outside_or_misaligned_are_corrupt() {
        let region = region();
        for offset in [4088, 4096, u64::MAX, u64::MAX - 8, 4] {
            assert_eq!(region.view::<Pair>(offset).err(), Some(Corrupt::new("Pair", offset)));
        }
        assert!(region.table::<AtomicU64>(0, u64::MAX / 4, "table").is_err());
        assert!(region.table::<AtomicU64>(8, 512, "table").is_err());
    }

    #[test]
    fn strides_that_overlap_or_misalign_are_corrupt() {
        let region = region();
        assert!(region.strided::<Pair>(0, 8, 4, "slot").is_err());
        assert!(region.strided::<Pair>(0, 20, 4, "slot").is_err());
        assert!(region.strided::<Pair>(0, 1024, 5, "slot").is_err());
        let slots = region.strided::<Pair>(0, 1024, 4, "slot").unwrap();
        slots.get(3).unwrap().first.store(1, Ordering::Relaxed);
        assert!(slots.get(4).is_none());
        assert_eq!(region.view::<Pair>(3072).unwrap().first.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_table_outlives_its_region() {
        let table = region().table::<AtomicU64>(0, 4, "words").unwrap();
        table[3].store(9, Ordering::Relaxed);
        assert_eq!(table[3].load(Ordering::Relaxed), 9);
    }
}
