//! weyr's managed memory pools: all state in the memory itself, so that any process can die at any instruction and the
//! others go on.
//!
//! A [`Pool`] is one object in shared memory. Every process that attaches it can allocate, free and recover, without a
//! daemon and without locks. An [`Allocation`] is owned by its process and dies with it; [`Published`] memory lives
//! until somebody frees it and is named to others by a descriptor.
//!
//! Source: Dragon managed memory. What it calls a pool, an allocation and a descriptor is called so here.
//!
//! This crate knows nothing of how messages travel; it keeps a table of the blocks that are channels, so that recovery
//! repairs them too.
#![forbid(unsafe_code)]

mod allocation;
mod attributes;
mod broadcast;
mod buffer_heap;
mod channels;
mod descriptor;
mod environment;
mod error;
mod frame;
pub mod geometry;
pub mod heap;
pub mod layout;
mod manifest;
mod membership;
pub mod name;
mod pool;
mod ready;
mod repair;
mod request;

pub use allocation::Allocation;
pub use allocation::contents::{Contents, ContentsMut};
pub use allocation::published::Published;
pub use allocation::transfer::Taken;
pub use attributes::current::{Attributes, Observed};
pub use attributes::particulars::{
    LockKind, MANIFEST_NAME_LIMIT, PREALLOCATED_LIMIT, Preallocated, local_node,
};
pub use attributes::{Growth, PoolAttributes};
pub use broadcast::{PoolBroadcast, PoolBroadcastError};
pub use buffer_heap::BufferHeap;
pub use buffer_heap::dump::Dump;
pub use channels::buffer_pool::BufferPool;
pub use channels::table::ChannelBlock;
pub use descriptor::{AllocationDescriptor, PoolDescriptor};
pub use environment::POOL_VARIABLE;
pub use error::Error;
pub use heap::recovery::Recovered;
pub use heap::statistics::{HeapStatistics, SizeStatistics};
pub use heap::usage::{Amount, Usage};
pub use heap::verify::{Finding, Mode, Verification};
pub use heap::word::BlockState;
pub use manifest::{ManifestEntry, PoolAllocation};
pub use membership::participant::PoolParticipant;
pub use name::DIRECTORY_VARIABLE;
pub use pool::channel_details::{ChannelDetails, ChannelUser, LevelFacts};
pub use pool::huge::HugePages;
pub use pool::medium::PoolType;
pub use pool::rebuild::Rebuilt;
pub use pool::section::{Part, Section};
pub use pool::stored::{Block, ChannelFacts};
pub use pool::{Inspection, Member, Pool};
pub use ready::PoolFutex;
pub use repair::{Repair, Repaired};
pub use request::operation::{AllocationMode, Operation, RequestKind};
pub use request::pool_reference::PoolReference;
pub use request::response::{Completion, Response};
pub use request::{MESSAGE_LIMIT, Request};
pub use weyr_shared::{Actor, BlockReference, Cooperative, Field, Forgotten};
pub use weyr_sys::mapping::Mapping;

/// What crosses the wire, for requests of the crates above; no part of the stable interface.
#[doc(hidden)]
pub mod wire {
    pub use crate::frame::{Fields, Frame, close};
    pub use crate::request::wire::{Wire, read_bytes, write_bytes};
    pub use crate::request::{check_length, damaged};
}
