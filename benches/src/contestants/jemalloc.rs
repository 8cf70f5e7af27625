//! jemalloc, through its C interface.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::allocator::{Allocator, NoMemory};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Jemalloc;

/// What its malloc returned.
#[derive(Debug)]
pub(crate) struct JemallocBlock(NonNull<c_void>);

// SAFETY: memory of its malloc may be freed by any thread, and nothing here looks inside.
unsafe impl Send for JemallocBlock {}

impl Allocator for Jemalloc {
    type Block = JemallocBlock;
    type Error = NoMemory;

    #[inline]
    fn alloc(&self, bytes: usize) -> Result<JemallocBlock, NoMemory> {
        // SAFETY: its malloc takes any size.
        let block = unsafe { tikv_jemalloc_sys::malloc(bytes) };
        NonNull::new(block).map(JemallocBlock).ok_or(NoMemory)
    }

    #[inline]
    fn free(&self, block: JemallocBlock) {
        // SAFETY: from its malloc, and given up here.
        unsafe { tikv_jemalloc_sys::free(block.0.as_ptr()) }
    }

    fn place(block: &JemallocBlock) -> u64 {
        block.0.as_ptr() as u64
    }
}
