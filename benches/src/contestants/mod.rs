//! Who takes part, one file each.

pub(crate) mod allocator;
pub(crate) mod glibc;
pub(crate) mod mimalloc;
pub(crate) mod open_mpi;
pub(crate) mod weyr_pool;
