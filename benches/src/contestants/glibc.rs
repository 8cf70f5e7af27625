//! glibc's malloc and free.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::allocator::{Allocator, NoMemory};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Glibc;

/// What malloc returned.
#[derive(Debug)]
pub(crate) struct GlibcBlock(NonNull<c_void>);

// SAFETY: memory of malloc may be freed by any thread, and nothing here looks inside.
unsafe impl Send for GlibcBlock {}

impl Allocator for Glibc {
    type Block = GlibcBlock;
    type Error = NoMemory;

    #[inline]
    fn alloc(&self, bytes: usize) -> Result<GlibcBlock, NoMemory> {
        // SAFETY: malloc takes any size.
        let block = unsafe { libc::malloc(bytes) };
        NonNull::new(block).map(GlibcBlock).ok_or(NoMemory)
    }

    #[inline]
    fn free(&self, block: GlibcBlock) {
        // SAFETY: from malloc, and given up here.
        unsafe { libc::free(block.0.as_ptr()) }
    }

    fn place(block: &GlibcBlock) -> u64 {
        block.0.as_ptr() as u64
    }
}
