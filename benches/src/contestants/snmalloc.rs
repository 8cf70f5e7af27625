//! snmalloc, through its C interface.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::allocator::{Allocator, NoMemory};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Snmalloc;

/// What sn_malloc returned.
#[derive(Debug)]
pub(crate) struct SnmallocBlock(NonNull<c_void>);

// SAFETY: memory of sn_malloc may be freed by any thread, and nothing here looks inside.
unsafe impl Send for SnmallocBlock {}

impl Allocator for Snmalloc {
    type Block = SnmallocBlock;
    type Error = NoMemory;

    #[inline]
    fn alloc(&self, bytes: usize) -> Result<SnmallocBlock, NoMemory> {
        // SAFETY: sn_malloc takes any size.
        let block = unsafe { snmalloc_sys::sn_malloc(bytes) };
        NonNull::new(block).map(SnmallocBlock).ok_or(NoMemory)
    }

    #[inline]
    fn free(&self, block: SnmallocBlock) {
        // SAFETY: from sn_malloc, and given up here.
        unsafe { snmalloc_sys::sn_free(block.0.as_ptr()) }
    }

    fn place(block: &SnmallocBlock) -> u64 {
        block.0.as_ptr() as u64
    }
}
