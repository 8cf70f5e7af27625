//! Memory that other programs can use, and channels to hand it over.
//!
//! A [`Pool`] is memory that every process of the host can attach, allocate from and free in, by name, without a
//! daemon. A [`Channel`] lies in a pool and hands over messages: bytes by copy, or an [`Allocation`] by ownership,
//! without a copy, or [frozen](Frozen) memory by reference. Whoever dies, at any instruction, the others go on, and nothing is lost.
//!
//! ```
//! use weyr::prelude::*;
//! # let name = format!("doc-facade-{}", std::process::id());
//! let pool = Pool::create(&PoolAttributes::new(&name, 16 << 20))?;
//! let channel = Channel::create(&pool, &ChannelAttributes::new())?;
//!
//! let reading = pool.owned(&[20.5_f64, 21.0])?;
//! reading.send(&channel.sender())?; // any process may receive it
//!
//! let reading: Owned<[f64; 2]> = channel.receive()?.into_owned()?;
//! assert_eq!(reading.get()?, [20.5, 21.0]);
//! # drop(reading);
//! pool.destroy()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Plain data has three typed states, each of which says who may look and who may write:
//!
//! | state | who has it | `&T` | `&mut T` | copies |
//! | --- | --- | --- | --- | --- |
//! | [`Owned`] | one process; freed when dropped or dead | cooperative pool | cooperative pool | get, set |
//! | [`Frozen`] | everybody, for good | cooperative pool | never | get |
//! | [`Shared`] | everybody | never | never | get, set |
//!
//! References into memory that other processes map rest on a promise that no program can check, so they exist only
//! from a pool on which it was given: `pool.cooperative(unsafe { Cooperative::assume() })`. Copies need none.
//!
//! No handle's end waits for another process, fails or panics. None asks for private memory, but that a thread that
//! drops many allocations may ask for some bytes once in 16 of them; none waits for another thread, but where a pool
//! has fewer lanes than threads and some share one, for the operation that another thread is at.
//!
//! Where only one may act at a time, the pool also holds [locks](lock), which outlive their owners:
//!
//! ```
//! use weyr::lock::{FifoLock, Lock};
//! use weyr::prelude::*;
//! # let name = format!("doc-lock-{}", std::process::id());
//! let pool = Pool::create(&PoolAttributes::new(&name, 16 << 20))?;
//! let mut memory = pool.alloc(size_of::<FifoLock>() as u64)?;
//! memory.fill(0)?;
//! let memory = memory.publish()?;
//! let lock = &memory.atomics::<FifoLock>(0, 1)?[0];
//! let me = pool.participant()?;
//! let guard = lock.acquire(&me)?;
//! if guard.owner_died() { /* what it protects may be half changed */ }
//! # drop(guard);
//! # memory.free()?;
//! # pool.destroy()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where several wait for one thing, an [event](PoolBroadcast) releases one of them, some, or all, each with a copy of what
//! there is to say; it passes over the dead, and a trigger waits for nobody:
//!
//! ```no_run
//! use weyr::prelude::*;
//! use weyr::{BroadcastAttributes, WaitMode};
//! # let pool = Pool::attach("a-pool")?;
//! let event = pool.create_broadcast(&BroadcastAttributes::new().max_payload(64))?; // here
//! let event = pool.open_broadcast(&event.descriptor()?)?; // and there
//! let payload = event.wait(WaitMode::Adaptive)?; // until somebody says event.trigger_all(b"go")
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A pool that this process cannot reach is asked for by [requests](Request), and a channel by
//! [others](ChannelRequest), which another process executes.
//!
//! This crate adds the typed states; the rest is `weyr-managed` (pools) and `weyr-channel` (channels).
//!
//! Collections of `allocator-api2` can lie in a pool, too ([`PoolAllocator`]), and leave it as typed memory without a
//! copy.
#![deny(unsafe_code)]

mod allocator;
#[cfg(feature = "serde")]
pub mod encoded;
mod error;
mod fingerprint;
mod frozen;
mod iterators;
mod owned;
mod plain;
mod shared;
pub mod typed;

pub use allocator::{IntoAllocation, PoolAllocator};
pub use allocator_api2;
#[cfg(feature = "serde")]
pub use encoded::{Buffer, EncodedChannel};
pub use error::Error;
pub use frozen::Frozen;
pub use owned::Owned;
pub use plain::{Fit, Plain};
pub use shared::Shared;
pub use typed::{TypedChannel, TypedMessage, TypedPool};
pub use weyr_channel as channel;
pub use weyr_channel::{
    Barrier, Broken, Channel, ChannelAttributes, ChannelCompletion, ChannelDescriptor, ChannelMemory,
    ChannelOperation, ChannelRequest, ChannelRequestKind, ChannelResponse, ChannelSet, ChannelState, Content,
    FlowControl, Landed, LandingPad, Lease, Message, MessageAttributes, Notice, Notification,
    OutgoingMessage, Peeked, Permit, PollEvents, Poller, ReadLock, Ready, Receiver, ReturnWhen, Semaphore,
    SendCompletion, SendError, Sender, SetKey, SetMember, SetNotice, SetNotification, SetWaker, Statistics,
    Subscription, WaitMode, Watch, WriteLock,
};
pub use weyr_managed as managed;
pub use weyr_managed::{
    Allocation, AllocationDescriptor, AllocationMode, Attributes, BufferHeap, Completion, Contents,
    ContentsMut, Growth, HeapStatistics, Mapping, Mode, Pool, PoolAttributes, PoolBroadcast,
    PoolBroadcastError, PoolDescriptor, PoolParticipant, PoolReference, PoolType, Published, Rebuilt,
    Recovered, Request, Response, Usage, Verification,
};
pub use weyr_shared::broadcast;
pub use weyr_shared::lock;
pub use weyr_shared::{
    Bitset, BitsetError, Broadcast, BroadcastAttributes, BroadcastError, HEX_LINE_BYTES, HashTable,
    HashTableError, HashTableItem, HashTableStatistics, HexDump, HexItem, HexLine, PriorityHeap,
    PriorityHeapError, hex_dump,
};
pub use weyr_shared::{Cooperative, Region, Shareable, Table as Atomics};
pub use zerocopy;

/// What most programs need, to be imported whole.
pub mod prelude {
    #[cfg(feature = "serde")]
    pub use crate::EncodedChannel;
    pub use crate::{
        Allocation, Channel, ChannelAttributes, ChannelDescriptor, Cooperative, Frozen, IntoAllocation,
        Lease, Message, Owned, PollEvents, Pool, PoolAllocator, PoolAttributes, Published, Receiver, Sender,
        Shared, TypedChannel, TypedMessage, TypedPool,
    };
}
