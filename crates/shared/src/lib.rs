//! What weyr keeps in shared memory: layouts, regions and the words that several processes change.
//!
//! Everything above this crate reads and writes shared memory through it alone:
//!
//! - [`layout!`] declares a structure once, with its bytes, and checks them;
//! - [`Region`] turns an offset into a checked reference, [`Table`] and [`Strided`] into checked arrays;
//! - [`Payload`] is memory that one owner has: copied in and out, or borrowed where the user vouches for the others;
//! - [`lock`] has locks that processes share, and that outlive their owners;
//! - [`Bitset`] is for any number of users at once; [`PriorityHeap`] and [`HashTable`] for one at a time, under a lock;
//! - [`Barrier`] is where so many wait for each other, and notice who dies;
//! - [`Broadcast`] is an event that any number wait for, and that releases one, some or all of them;
//! - [`Lender`] counts who uses what they all lie in, by the thousand.
//!
//! What is read from shared memory is an allegation. No offset, index or length found there becomes a reference
//! before it was checked here. This crate knows nothing of pools and channels as objects, and starts no system call.

pub mod barrier;
mod bitset;
pub mod broadcast;
mod corrupt;
mod event;
#[doc(hidden)]
pub mod fault;
pub mod hash_table;
mod hex_dump;
mod identity;
mod layout;
mod listener;
mod loan;
pub mod lock;
mod payload;
pub mod priority_heap;
mod ready;
mod region;
mod ring;
mod slot;
mod table;
mod wait_mode;

pub use barrier::{Barrier, BarrierRecord};
pub use bitset::{Bitset, BitsetError, BitsetHeader};
pub use broadcast::{
    Broadcast, BroadcastAttributes, BroadcastError, BroadcastHeader, BroadcastPlace, BroadcastRecord,
    BroadcastState, Notification, Registration, SyncType, Triggered,
};
pub use corrupt::Corrupt;
pub use event::{Armed, Awake, Event, Futex, KernelFutex};
pub use hash_table::{
    HashTable, HashTableEntry, HashTableError, HashTableHeader, HashTableItem, HashTableStatistics,
};
pub use hex_dump::{HEX_LINE_BYTES, HexDump, HexItem, HexLine, hex_dump};
pub use identity::{Actor, BlockReference};
pub use layout::{Field, Layout, Shareable};
pub use listener::{Interest, Listener, Listeners, MAX_LISTENERS};
pub use loan::{Forgotten, Lender, Loan, Stock};
pub use payload::{Cooperative, Payload, PayloadError};
pub use priority_heap::{PriorityHeap, PriorityHeapCell, PriorityHeapError, PriorityHeapHeader};
pub use ready::{REGISTRATIONS, ReadyRow, RegistrationMask};
pub use region::Region;
pub use ring::{
    AttachError, BUFFER_POOL_LIMIT, Bar, BufferPoolRecord, FOREIGN_HEAD_BYTES, FlowControl, ForeignRight,
    Geometry, Level, LevelHeader, Likeness, LockWord, MAX_BLOCK_SIZE, MAX_CAPACITY, MAX_LEVELS,
    MIN_BLOCK_SIZE, MessageAttributes, MessageReference, Part, Quiesce, RING_MAGIC, RING_NAME_BYTES,
    RING_VERSION, Ring, RingHeader, RingLock, RingName, RingOpenError, RingRecord, RingUse, Shares, Sleeper,
    Sleepers, SlotExtension, Waiting, Wish,
};
pub use slot::{Description, Holder, Lap, MessageKind, Position, SLOT_HEAD_BYTES, Slot, SlotState, SlotWord};
pub use table::{Element, Strided, Table};
pub use wait_mode::WaitMode;

pub use weyr_atomic::Zeroed;
