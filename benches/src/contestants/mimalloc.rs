//! mimalloc, through its C interface.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::allocator::{Allocator, NoMemory};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Mimalloc;

/// What mi_malloc returned.
#[derive(Debug)]
pub(crate) struct MimallocBlock(NonNull<c_void>);

// SAFETY: memory of mi_malloc may be freed by any thread, and nothing here looks inside.
unsafe impl Send for MimallocBlock {}

impl Allocator for Mimalloc {
    type Block = MimallocBlock;
    type Error = NoMemory;

    #[inline]
    fn alloc(&self, bytes: usize) -> Result<MimallocBlock, NoMemory> {
        // SAFETY: mi_malloc takes any size.
        let block = unsafe { libmimalloc_sys::mi_malloc(bytes) };
        NonNull::new(block).map(MimallocBlock).ok_or(NoMemory)
    }

    #[inline]
    fn free(&self, block: MimallocBlock) {
        // SAFETY: from mi_malloc, and given up here.
        unsafe { libmimalloc_sys::mi_free(block.0.as_ptr()) }
    }

    fn place(block: &MimallocBlock) -> u64 {
        block.0.as_ptr() as u64
    }
}
