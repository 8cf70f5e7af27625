//! What can go wrong with a pool, grouped by what the caller can do about it.

use weyr_shared::{Corrupt, PayloadError};
use weyr_sys::Errno;

/// An error of this crate. Unless a variant says otherwise, nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Fix the call.
    /// An attribute has a value that no pool can have.
    #[error("attribute {attribute}: {reason}")]
    InvalidAttribute {
        /// Which.
        attribute: &'static str,
        /// Why, and what is possible.
        reason: String,
    },
    /// No allocation of the pool can have this alignment.
    #[error("an alignment of {alignment} bytes is no power of two up to the pool's {limit}")]
    InvalidAlignment {
        /// Asked for, in bytes.
        alignment: u64,
        /// Largest possible, in bytes.
        limit: u64,
    },
    /// More than the pool can ever hold, or than this process can map.
    #[error(
        "{bytes} bytes are more than this pool can give at once ({limit}); create it larger or let it grow"
    )]
    TooLarge {
        /// Asked for, in bytes.
        bytes: u64,
        /// Possible at most, in bytes.
        limit: u64,
    },
    /// A range outside an allocation, or references without [`Cooperative`](weyr_shared::Cooperative).
    #[error(transparent)]
    Payload(#[from] PayloadError),

    // Another name, other rights, another program.
    /// A pool of that name exists.
    #[error("a pool named {name:?} exists; attach to it, destroy it, or choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Somebody uses the pool, and this needs it to itself.
    #[error(
        "pool {name:?} is in use by {processes} process(es); let them detach first (`weyr pool show` names them)"
    )]
    InUse {
        /// The name.
        name: String,
        /// Living processes that have it attached.
        processes: usize,
    },
    /// The pool was attached to be read only.
    #[error("pool {name:?} is attached read-only; attach it for writing")]
    ReadOnly {
        /// The name.
        name: String,
    },
    /// No pool of that name exists.
    #[error("no pool named {name:?} in {directory}; `weyr pool list` shows those there are")]
    NoSuchPool {
        /// The name.
        name: String,
        /// Where it was looked for.
        directory: String,
    },
    /// The environment names no pool.
    #[error("WEYR_POOL is not set; start the program with `weyr run`, or set it to the name of a pool")]
    NoDefaultPool,
    /// The pool is another user's, or its mode forbids it.
    #[error("no permission for pool {name:?}; ask its owner to change its mode")]
    PermissionDenied {
        /// The name.
        name: String,
    },
    /// The object is no pool.
    #[error("{name:?} is not a weyr pool")]
    NotAPool {
        /// The name.
        name: String,
    },
    /// A pool made by another version.
    #[error("pool {name:?} has layout {found}, this program has {expected}; use the weyr that made it")]
    WrongVersion {
        /// The name.
        name: String,
        /// Found in the header: version and hash.
        found: String,
        /// What this program writes.
        expected: String,
    },
    /// The object is shorter than its header says.
    #[error("pool {name:?} is truncated: {bytes} bytes instead of {expected}; destroy it")]
    Truncated {
        /// The name.
        name: String,
        /// Bytes there are.
        bytes: u64,
        /// Bytes there should be.
        expected: u64,
    },

    // The reference is not what it was taken for.
    /// The descriptor is of another pool.
    #[error("the descriptor is of pool {found:032x}, this is pool {expected:032x}")]
    WrongPool {
        /// Identity in the descriptor.
        found: u128,
        /// Identity of this pool.
        expected: u128,
    },
    /// The descriptor was made on another host.
    #[error(
        "the descriptor was made on host {found:016x}, this is host {expected:016x}; reach it through its own node"
    )]
    OtherHost {
        /// Identity in the descriptor.
        found: u64,
        /// Identity of this host.
        expected: u64,
    },
    /// The pool has no name under which others could open it.
    #[error(
        "pool {uuid:032x} has no name: its process hands it over as a file descriptor, or as memory that is shared"
    )]
    Nameless {
        /// Identity of the pool.
        uuid: u128,
    },
    /// It points outside the pool or the allocation.
    #[error("{bytes} bytes at offset {offset:#x} lie outside the {limit} bytes there are")]
    OutOfRange {
        /// First byte meant.
        offset: u64,
        /// Bytes meant.
        bytes: u64,
        /// Bytes there are.
        limit: u64,
    },
    /// The allocation lies behind what this process could map of the pool, for its address space is limited.
    #[error(
        "the allocation at offset {offset:#x} lies outside the {window} bytes of the pool that this process could map; \
         raise its limit of address space (ulimit -v) and attach anew"
    )]
    OutsideWindow {
        /// Byte offset in the pool's data.
        offset: u64,
        /// Bytes of the pool's data that are mapped.
        window: u64,
    },
    /// No block starts there.
    #[error("no allocation starts at offset {offset:#x}")]
    NotABlock {
        /// Byte offset in the pool's data.
        offset: u64,
    },
    /// The allocation that was meant is gone.
    #[error("the allocation at offset {offset:#x} is gone: generation {meant} was meant, {found} is there")]
    Stale {
        /// Byte offset in the pool's data.
        offset: u64,
        /// Generation of the reference.
        meant: u64,
        /// Generation of the block now.
        found: u64,
    },
    /// The allocation was freed already, and nothing has taken its place.
    #[error("the allocation at offset {offset:#x} was freed already")]
    DoubleFree {
        /// Byte offset in the pool's data.
        offset: u64,
    },
    /// The allocation is somebody else's, or in a state that forbids this.
    #[error("the allocation at offset {offset:#x} is {state}; {action} needs another")]
    WrongState {
        /// Byte offset in the pool's data.
        offset: u64,
        /// What it is.
        state: &'static str,
        /// What was tried.
        action: &'static str,
    },
    /// The descriptor says another type or id than the allocation has.
    #[error("the allocation at offset {offset:#x} does not have type {type_id} and id {id}")]
    WrongType {
        /// Byte offset in the pool's data.
        offset: u64,
        /// Type in the descriptor; 0 is none.
        type_id: u32,
        /// Id in the descriptor.
        id: u64,
    },
    /// No allocation has this type and id.
    #[error("no allocation has type {type_id} and id {id}")]
    NotInManifest {
        /// Type asked for.
        type_id: u32,
        /// Id asked for.
        id: u64,
    },
    /// Another allocation has this type and id.
    #[error("another allocation has type {type_id} and id {id}; find it, or choose another id")]
    KeyTaken {
        /// Type asked for.
        type_id: u32,
        /// Id asked for.
        id: u64,
    },
    /// Type 0 means that an allocation has none.
    #[error("type 0 is reserved; choose another, or publish without a type")]
    ReservedType,
    /// The descriptor is a clone or a view; only the original frees.
    #[error("this descriptor is a clone; free the allocation through the original")]
    NotOriginal,
    /// The descriptor's bytes do not make sense.
    #[error("the descriptor is damaged: {reason}")]
    DamagedDescriptor {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The bytes of a request or a response do not make sense.
    #[error("the request or response is damaged: {reason}")]
    DamagedRequest {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A response to another request than the one to be completed.
    #[error(
        "the response is to request {found:032x}, not to request {expected:032x}; complete that one with it"
    )]
    OtherRequest {
        /// The request that it answers.
        found: u128,
        /// The request to be completed.
        expected: u128,
    },
    /// A response that answers the request to be completed as if it had asked for something else.
    #[error("the response is to a request to {found}, and the request was to {expected}")]
    OtherKind {
        /// What it answers.
        found: &'static str,
        /// What was asked for.
        expected: &'static str,
    },
    /// More than one response carries.
    #[error("there are more than the {limit} {what} that one response can list; ask for those of one type")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// Most that a response carries.
        limit: u64,
    },
    /// An environment variable that should hold a descriptor is not set.
    #[error("the environment variable {variable} is not set; set it to the text of a pool's descriptor")]
    NoDescriptor {
        /// Its name.
        variable: String,
    },

    // Try again, or make room.
    /// Nothing large enough is free, also after idle lanes gave up what they held.
    #[error("no {bytes} bytes free in one piece; free something, or let the pool grow")]
    NoMemory {
        /// Asked for, in bytes.
        bytes: u64,
    },
    /// The allocation cannot be that long where it lies.
    #[error(
        "it cannot be resized to {bytes} bytes in place, where it has room for {room}; resize_or_move moves it"
    )]
    NotInPlace {
        /// Asked for, in bytes.
        bytes: u64,
        /// Bytes it has room for now.
        room: u64,
    },
    /// Nothing large enough became free until the deadline.
    #[error(
        "no {bytes} bytes became free in one piece in time ({free} bytes are in free pages); wait longer, free \
         something, or let the pool grow"
    )]
    Timeout {
        /// Asked for, in bytes.
        bytes: u64,
        /// Bytes in pages that are free now, wherever they lie.
        free: u64,
    },
    /// The filesystem under the pool has no room.
    #[error(
        "the filesystem of {directory} has no room for {bytes} bytes more ({free} free); free some, choose another \
         directory with WEYR_DIR, or mount a larger one (docker run --shm-size, mount -o remount,size=...)"
    )]
    FilesystemFull {
        /// Where the pool lies.
        directory: String,
        /// Bytes that were to be added.
        bytes: u64,
        /// Bytes the filesystem has left.
        free: u64,
    },
    /// A table of the pool has no free entry.
    #[error("all {limit} {table} of the pool are in use; create it with more")]
    TableFull {
        /// Which.
        table: &'static str,
        /// How many it has.
        limit: u32,
    },
    /// Every entry of the manifest is in use.
    #[error(
        "all {limit} entries of the manifest are in use; free some, or create the pool with more manifest entries"
    )]
    ManifestFull {
        /// How many it has.
        limit: u32,
    },
    /// Somebody else is at work on the same block.
    #[error("the allocation at offset {offset:#x} is in somebody else's hands just now; try again")]
    Busy {
        /// Byte offset in the pool's data.
        offset: u64,
    },

    // Give up on the object.
    /// The pool was destroyed; what is allocated stays valid until dropped.
    #[error("the pool was destroyed")]
    Destroyed,
    /// The handle came through a fork and belongs to the parent.
    #[error("this handle belongs to the parent process; allocate or receive anew after fork")]
    Forked,
    /// Shared memory does not hold what it must.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The kernel refused.
    #[error("{operation}: {errno}")]
    Os {
        /// What was asked of it.
        operation: &'static str,
        /// Its answer.
        errno: Errno,
    },
}

impl Error {
    pub(crate) fn os(operation: &'static str) -> impl Fn(Errno) -> Error {
        move |errno| Error::Os { operation, errno }
    }
}
