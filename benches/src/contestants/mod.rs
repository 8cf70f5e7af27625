//! Who takes part, one file each.

pub(crate) mod allocator;
pub(crate) mod boost;
pub(crate) mod byte_stream;
pub(crate) mod crossbeam;
pub(crate) mod end;
pub(crate) mod foreign;
pub(crate) mod glibc;
#[cfg_attr(not(feature = "iceoryx2"), path = "iceoryx_absent.rs")]
pub(crate) mod iceoryx;
#[cfg(feature = "jemalloc")]
pub(crate) mod jemalloc;
pub(crate) mod kanal;
pub(crate) mod mimalloc;
pub(crate) mod mutual;
pub(crate) mod open_mpi;
pub(crate) mod pthread_mutex;
pub(crate) mod python;
pub(crate) mod sleeper;
#[cfg(feature = "snmalloc")]
pub(crate) mod snmalloc;
pub(crate) mod two_lines;
pub(crate) mod weyr_broadcast;
pub(crate) mod weyr_channel;
pub(crate) mod weyr_lock;
pub(crate) mod weyr_ownership;
pub(crate) mod weyr_pool;
pub(crate) mod weyr_set;

/// Why a peer is absent that this program was built without.
pub(crate) fn not_built() -> String {
    "not built: ./x setup bench".to_owned()
}
