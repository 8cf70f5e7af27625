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
mod attached;
mod attachment;
mod attributes;
mod blocking;
mod channel_host;
mod channel_table;
mod channels;
mod contents;
#[cfg(test)]
mod copies;
mod creation;
mod current;
mod descriptor;
mod environment;
mod error;
mod extent;
mod frame;
pub mod geometry;
mod header;
pub mod heap;
mod huge;
pub mod layout;
mod manifest;
mod medium;
mod membership;
mod message_repair;
pub mod name;
mod opening;
mod participant;
mod particulars;
mod pool;
mod pool_reference;
mod published;
mod ready;
mod rebuild;
mod relocation;
mod repair;
mod request;
mod resize;
mod response;
mod section;
mod set_attributes;
mod stored;
mod thread;
mod transfer;
mod window;
mod zeroing;

pub use allocation::Allocation;
pub use attributes::{Growth, PoolAttributes};
pub use channel_table::ChannelBlock;
pub use contents::{Contents, ContentsMut};
pub use current::{Attributes, Observed};
pub use descriptor::{AllocationDescriptor, PoolDescriptor};
pub use environment::POOL_VARIABLE;
pub use error::Error;
pub use heap::recovery::Recovered;
pub use heap::usage::{Amount, Usage};
pub use heap::verify::{Finding, Mode, Verification};
pub use heap::word::BlockState;
pub use huge::HugePages;
pub use manifest::{ManifestEntry, PoolAllocation};
pub use medium::PoolType;
pub use name::DIRECTORY_VARIABLE;
pub use participant::PoolParticipant;
pub use particulars::{LockKind, MANIFEST_NAME_LIMIT, PREALLOCATED_LIMIT, Preallocated, local_node};
pub use pool::{Inspection, Member, Pool};
pub use pool_reference::PoolReference;
pub use published::Published;
pub use rebuild::Rebuilt;
pub use repair::{Repair, Repaired};
pub use request::operation::{AllocationMode, Operation, RequestKind};
pub use request::{MESSAGE_LIMIT, Request};
pub use response::{Completion, Response};
pub use section::{Part, Section};
pub use stored::{Block, ChannelFacts};
pub use transfer::Taken;
pub use weyr_shared::{Actor, BlockReference, Cooperative, Field, Forgotten};
pub use weyr_sys::mapping::Mapping;
