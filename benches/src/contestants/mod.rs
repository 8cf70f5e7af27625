//! Who takes part, one file each.

pub(crate) mod allocator;
pub(crate) mod boost;
pub(crate) mod crossbeam;
pub(crate) mod foreign;
pub(crate) mod glibc;
pub(crate) mod mimalloc;
pub(crate) mod open_mpi;
pub(crate) mod sleeper;
pub(crate) mod two_lines;
pub(crate) mod weyr_channel;
pub(crate) mod weyr_pool;
