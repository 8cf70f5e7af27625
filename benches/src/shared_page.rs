//! One page of memory that a parent and its children share, as cache lines of atomics: where they meet, and what the
//! barest peers talk through.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::Result;

const BYTES: usize = 4096;
const LINE: usize = 128;

/// Zeros at first. Lines are two cache lines apart, so that no prefetcher joins them.
#[derive(Debug)]
pub(crate) struct SharedPage(NonNull<c_void>);

impl SharedPage {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let page = unsafe {
            mmap_anonymous(std::ptr::null_mut(), BYTES, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)
        }?;
        NonNull::new(page).map(Self).ok_or_else(|| "a page at address zero".into())
    }

    /// The word at the start of line `index`.
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: `place` gives an address in the page, which is readable, writable and aligned while `self` lives.
        unsafe { self.place(index).cast::<AtomicU64>().as_ref() }
    }

    /// The same as a futex has it; a line is used one way or the other.
    pub(crate) fn futex(&self, index: usize) -> &AtomicU32 {
        // SAFETY: as in `word`.
        unsafe { self.place(index).cast::<AtomicU32>().as_ref() }
    }

    fn place(&self, index: usize) -> NonNull<c_void> {
        assert!(index < BYTES / LINE, "a shared page has {} lines", BYTES / LINE);
        // SAFETY: the offset was just checked to lie inside the mapping.
        unsafe { self.0.byte_add(index * LINE) }
    }

    /// Waits, at line `index`, until `others` have come there too. Once a page and line.
    pub(crate) fn meet(&self, index: usize, others: u64) {
        let arrived = self.word(index);
        arrived.fetch_add(1, Ordering::AcqRel);
        while arrived.load(Ordering::Acquire) < others + 1 {
            std::thread::yield_now();
        }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; references into it cannot outlive `self`.
        let unmapped = unsafe { munmap(self.0.as_ptr(), BYTES) };
        debug_assert!(unmapped.is_ok());
    }
}
