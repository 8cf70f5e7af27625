//! Huge pages under the data of a pool: asked for, and counted.
//!
//! A huge page of shared memory is 2 MiB of the object at a multiple of 2 MiB, seen through one entry of a process's
//! tables where that process has it at such a multiple too. Pools of 16 MiB and more begin their data and are mapped
//! that way. Source: Linux, Documentation/admin-guide/mm/transhuge.rst.

use std::sync::Arc;

use weyr_shared::Payload;
use weyr_sys::mapping::Mapping;

use crate::geometry::DATA_CHUNK;
use crate::heap::Heap;
use crate::membership::attachment::Attachment;
use crate::pool::{Inspection, Pool};

/// What came of asking for huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HugePages {
    /// Whether the pool was created to have them.
    pub asked: bool,
    /// Bytes of its data that lie in huge pages now, as this process sees them; none where the kernel does not say.
    pub bytes: Option<u64>,
    /// Bytes of its data that are backed, in pages of any size, rounded up to chunks.
    pub backed_bytes: u64,
}

/// Allows huge pages under the data; the mapping, if chunks of the data can be such pages.
pub(crate) fn allow(mapping: &Arc<Mapping>, heap: &Heap) -> Option<Arc<Mapping>> {
    let start = (heap.geometry.offsets.data).min(mapping.len() as u64) as usize;
    let fits = 1 << heap.geometry.chunk_shift == DATA_CHUNK && (start as u64).is_multiple_of(DATA_CHUNK);
    let allowed = fits && mapping.allow_huge_pages(start..mapping.len()).unwrap_or(false);
    allowed.then(|| Arc::clone(mapping))
}

impl Attachment {
    /// Looks at one byte of each chunk that is backed, so that this process has all of them in its tables, and asks the
    /// kernel how.
    pub(crate) fn huge_pages(&self) -> HugePages {
        let mut chunks = 0;
        for start in self.heap.backing.backed_chunks() {
            chunks += 1;
            if let Ok(byte) = Payload::new(&self.data, start, 1, None) {
                let _touched = byte.read(0, &mut [0]);
            }
        }
        HugePages {
            asked: self.heap.backing.huge.is_some(),
            bytes: self.mapping().huge_bytes(),
            backed_bytes: chunks << self.heap.geometry.chunk_shift,
        }
    }
}

impl Pool {
    /// What came of asking for [huge pages](crate::PoolAttributes::huge_pages). Reads one byte in each 2 MiB that are
    /// backed, and `/proc`.
    pub fn huge_pages(&self) -> HugePages {
        self.attachment().huge_pages()
    }
}

impl Inspection {
    /// As [`Pool::huge_pages`].
    pub fn huge_pages(&self) -> HugePages {
        self.attachment().huge_pages()
    }
}
