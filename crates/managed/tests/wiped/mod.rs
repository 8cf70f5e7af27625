//! Whether what is free is zero.
#![allow(dead_code, reason = "each test file uses its part")]

use weyr_managed::{Allocation, Pool};

/// Filled, so that what is not wiped is seen.
pub(crate) fn filled(pool: &Pool, bytes: u64) -> Allocation {
    let mut memory = pool.alloc(bytes).unwrap();
    memory.fill(0x77).unwrap();
    memory
}

/// The offset of the first byte of the pool that is not zero.
pub(crate) fn first_dirty(pool: &Pool) -> Option<usize> {
    let mut bytes = vec![0; pool.size() as usize];
    pool.region().copy_out(0, &mut bytes).unwrap();
    bytes.iter().position(|&byte| byte != 0)
}

/// Nothing is allocated, and nothing of what was is left.
pub(crate) fn assert_wiped(pool: &Pool) {
    assert_eq!(pool.usage().total.blocks, 0);
    assert_eq!(first_dirty(pool), None);
}
