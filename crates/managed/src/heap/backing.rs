//! Backing: no byte of a pool is touched before the filesystem has promised it.
//!
//! Objects are sparse, and a store to a hole of a full filesystem would raise SIGBUS. So there is a bit a chunk,
//! 64 KiB of metadata or up to 2 MiB of data, and whoever is about to touch a chunk whose bit is clear allocates it
//! first. A clear bit means that nobody ever wrote there, so a scan takes it for zeros without a look (a look would
//! make the kernel allocate it).
//!
//! Crash argument: commit point is the bit. Death before it: the chunk is allocated again by the next one, which the
//! kernel takes for done. Chunks that lie side by side are allocated by one call; that makes their bits no more one step
//! than before. A bit is cleared only by who has all pages of its chunk (`unbacking.rs`).

use std::ops::Range;
use std::sync::Arc;

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::Table;
use weyr_sys::Errno;
use weyr_sys::mapping::Mapping;
use weyr_sys::object::Object;

use crate::geometry::METADATA_CHUNK;

/// What lies under the tables.
#[derive(Debug, Clone)]
pub enum Store {
    /// A sparse object.
    Object(Arc<Object>),
    /// Memory of this process, or a caller's: it comes into being as it is touched, and where it was never written it is
    /// zero as far as it is metadata.
    Memory,
    /// Memory that is there anyway: models and tests.
    Present,
}

/// Which chunks of a pool are backed.
#[derive(Debug, Clone)]
pub struct Backing {
    pub(crate) store: Store,
    pub(crate) metadata: Table<AtomicU64>,
    pub(crate) data: Table<AtomicU64>,
    pub(crate) data_start: u64,
    pub(crate) chunk_shift: u32,
    /// Where this process has the object, if chunks of data are to be huge pages.
    pub(crate) huge: Option<Arc<Mapping>>,
}

fn is_set(bits: &[AtomicU64], chunk: u64) -> bool {
    // Acquire: pairs with `set`, so that who sees the bit may touch the chunk.
    bits.get((chunk / 64) as usize).is_some_and(|word| word.load(Ordering::Acquire) >> (chunk % 64) & 1 == 1)
}

fn set(bits: &[AtomicU64], chunk: u64) {
    if let Some(word) = bits.get((chunk / 64) as usize) {
        // Release: the chunk was allocated before.
        word.fetch_or(1 << (chunk % 64), Ordering::Release);
    }
}

impl Backing {
    /// Whether the byte at `offset` of the object, in the metadata, is backed. No system call.
    #[inline]
    pub fn has_metadata(&self, offset: u64) -> bool {
        matches!(self.store, Store::Present) || is_set(&self.metadata, offset / METADATA_CHUNK)
    }

    /// Backs `bytes` bytes of metadata from `offset` of the object on.
    ///
    /// # Errors
    /// The kernel's, ENOSPC above all.
    #[inline]
    pub fn metadata(&self, offset: u64, bytes: u64) -> Result<(), Errno> {
        if matches!(self.store, Store::Present) {
            return Ok(());
        }
        for chunk in offset / METADATA_CHUNK..=(offset + bytes.max(1) - 1) / METADATA_CHUNK {
            if !is_set(&self.metadata, chunk) {
                self.back_metadata(chunk * METADATA_CHUNK)?;
                set(&self.metadata, chunk);
            }
        }
        Ok(())
    }

    /// Notes that the chunks that cover the first `bytes` bytes of the object are backed, for its creator.
    pub(crate) fn note_metadata(&self, bytes: u64) {
        (0..bytes.div_ceil(METADATA_CHUNK)).for_each(|chunk| set(&self.metadata, chunk));
    }

    /// Backs `bytes` bytes of data from `offset` of the data area on, of which `limit` bytes exist.
    ///
    /// # Errors
    /// The kernel's, ENOSPC above all.
    #[inline]
    pub fn data(&self, offset: u64, bytes: u64, limit: u64) -> Result<(), Errno> {
        if matches!(self.store, Store::Present) {
            return Ok(());
        }
        let (first, last) = (offset >> self.chunk_shift, (offset + bytes.max(1) - 1) >> self.chunk_shift);
        if (first..=last).any(|chunk| !is_set(&self.data, chunk)) {
            self.data_chunks(first..last + 1, limit)?;
        }
        Ok(())
    }

    /// Backs those of the chunks that are not, as many at a time as lie side by side: the kernel takes as long for the
    /// bytes, but not for each call.
    #[cold]
    fn data_chunks(&self, chunks: Range<u64>, limit: u64) -> Result<(), Errno> {
        let mut added: Option<Range<u64>> = None;
        let mut next = chunks.start;
        while let Some(start) = (next..chunks.end).find(|chunk| !is_set(&self.data, *chunk)) {
            let end = (start..chunks.end).find(|chunk| is_set(&self.data, *chunk)).unwrap_or(chunks.end);
            self.data_run(start..end, limit)?;
            let first = added.map_or(start, |added| added.start);
            (added, next) = (Some(first..end), end);
        }
        if let Some(added) = added {
            self.make_huge(added.start << self.chunk_shift..added.end << self.chunk_shift);
        }
        Ok(())
    }

    /// Backs chunks side by side. Where that fails, those that there is still memory for: what a filesystem may have
    /// kept of the whole is marked then, and can be given back.
    fn data_run(&self, chunks: Range<u64>, limit: u64) -> Result<(), Errno> {
        let offset = |chunk: u64| chunk << self.chunk_shift;
        if self.back_data(offset(chunks.start)..offset(chunks.end), limit).is_ok() {
            chunks.for_each(|chunk| set(&self.data, chunk));
            return Ok(());
        }
        for chunk in chunks {
            self.back_data(offset(chunk)..offset(chunk + 1), limit)?;
            set(&self.data, chunk);
        }
        Ok(())
    }

    /// Backs again what is marked as backed, in an object that may have lost some of it; `limit` bytes of data exist.
    ///
    /// # Errors
    /// The kernel's, ENOSPC above all.
    pub(crate) fn again(&self, limit: u64) -> Result<(), Errno> {
        let metadata = (0..self.metadata.len() as u64 * 64).filter(|chunk| is_set(&self.metadata, *chunk));
        for start in metadata.map(|chunk| chunk * METADATA_CHUNK).filter(|start| *start < self.data_start) {
            self.back_metadata(start)?;
        }
        for start in self.backed_chunks().filter(|start| *start < limit) {
            self.back_data(start..start + self.chunk_bytes(), limit)?;
        }
        Ok(())
    }

    /// Backs the chunk of metadata at byte `start` of the object.
    fn back_metadata(&self, start: u64) -> Result<(), Errno> {
        self.back(start, METADATA_CHUNK.min(self.data_start - start))
    }

    /// Backs a range of data offsets, of which `limit` bytes exist.
    fn back_data(&self, range: Range<u64>, limit: u64) -> Result<(), Errno> {
        self.back(self.data_start + range.start, range.end.min(limit).saturating_sub(range.start))
    }

    fn back(&self, offset: u64, bytes: u64) -> Result<(), Errno> {
        if let Store::Object(object) = &self.store { object.back(offset, bytes) } else { Ok(()) }
    }

    /// Has the kernel make huge pages of what was just backed, if that is wanted; it may refuse. Once for all chunks of
    /// an allocation: each such call waits for every processor.
    #[cold]
    fn make_huge(&self, range: Range<u64>) {
        let Some(mapping) = &self.huge else { return };
        let cut = |offset: u64| (self.data_start + offset).min(mapping.len() as u64) as usize;
        let _whatever_it_reached = mapping.huge_pages(cut(range.start)..cut(range.end));
    }

    /// Bytes of a chunk of data.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        1 << self.chunk_shift
    }

    /// Says that the chunk of data at offset `start` is not backed any more. The caller has all of its pages.
    pub(crate) fn forget(&self, start: u64) {
        let chunk = start >> self.chunk_shift;
        if let Some(word) = self.data.get((chunk / 64) as usize) {
            // AcqRel: before the memory goes; who has a page of it later sees the bit clear by what released the page.
            word.fetch_and(!(1 << (chunk % 64)), Ordering::AcqRel);
        }
    }

    /// Offsets in the data at which a backed chunk starts.
    pub(crate) fn backed_chunks(&self) -> impl Iterator<Item = u64> + '_ {
        let chunks = 0..self.data.len() as u64 * 64;
        chunks.filter(|chunk| is_set(&self.data, *chunk)).map(|chunk| chunk << self.chunk_shift)
    }

    /// Backed chunks by their bytes of the object, of which `limit` exist, in order.
    pub(crate) fn backed(&self, limit: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let metadata = (0..self.metadata.len() as u64 * 64).filter(|chunk| is_set(&self.metadata, *chunk));
        let metadata = metadata.map(|chunk| chunk * METADATA_CHUNK).filter(|start| *start < self.data_start);
        let metadata = metadata.map(|start| start..(start + METADATA_CHUNK).min(self.data_start));
        let data = self.backed_chunks().map(|start| self.data_start + start);
        let data = data.map(|start| start..start + self.chunk_bytes());
        let exists = move |chunk: &Range<u64>| chunk.start < limit;
        metadata.chain(data).filter(exists).map(move |chunk| chunk.start..chunk.end.min(limit))
    }

    /// Whole pages of data that the object is long enough for.
    pub(crate) fn object_pages(&self, page_shift: u32) -> u64 {
        let Store::Object(object) = &self.store else { return 0 };
        object.len().map_or(0, |bytes| self.pages_in(bytes, page_shift))
    }

    /// Whole pages of data in an object of `bytes` bytes.
    pub(crate) fn pages_in(&self, bytes: u64, page_shift: u32) -> u64 {
        bytes.saturating_sub(self.data_start) >> page_shift
    }

    /// Bytes of the object that are backed, rounded up to chunks.
    pub fn backed_bytes(&self) -> u64 {
        let count = |bits: &[AtomicU64]| -> u64 {
            bits.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum()
        };
        count(&self.metadata) * METADATA_CHUNK + (count(&self.data) << self.chunk_shift)
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use weyr_shared::Region;

    const CHUNK: u64 = 64 << 10;

    #[test]
    fn chunks_that_are_backed_are_left_and_all_others_are_backed() {
        let bytes = 10 * CHUNK + 4096;
        let object = Arc::new(Object::memory("backing").unwrap());
        object.set_len(CHUNK + bytes).unwrap();
        let bits = Region::new(Arc::new(Mapping::anonymous(4096).unwrap()));
        let table = |offset| bits.table(offset, 8, "bits").unwrap();
        let (metadata, data) = (table(0), table(64));
        let store = Store::Object(Arc::clone(&object));
        let backing = Backing { store, metadata, data, data_start: CHUNK, chunk_shift: 16, huge: None };
        for chunk in [0, 3, 4, 7] {
            set(&backing.data, chunk);
        }
        backing.data(CHUNK + 1, 9 * CHUNK, bytes).unwrap();
        let chunks: Vec<u64> = backing.backed_chunks().map(|start| start / CHUNK).collect();
        assert_eq!(chunks, (0..=10).collect::<Vec<_>>());
        let stored = object.metadata().unwrap().allocated_bytes;
        assert_eq!(stored, 6 * CHUNK + 4096, "the last is cut to what exists");
    }
}
