//! The bytes of a managed pool: header, process slots, lanes, page descriptors and the manifest.
//!
//! Where each table starts follows from a few numbers in the header (`geometry.rs`); all-zero is valid and empty
//! everywhere, so that fresh memory needs no formatting.

use weyr_atomic::{AtomicU8, AtomicU32, AtomicU64};
use weyr_shared::layout;

/// Start of every pool: "weyrpool" read as a little-endian word.
pub const POOL_MAGIC: u64 = u64::from_le_bytes(*b"weyrpool");
/// Version of everything in this file; another version is refused by name.
pub const LAYOUT_VERSION: u32 = 2;

/// `PoolHeader::state`: being made; nobody else can see it.
pub const STATE_MAKING: u64 = 0;
/// `PoolHeader::state`: in use.
pub const STATE_READY: u64 = 1;
/// `PoolHeader::state`: its name is gone; what is allocated stays valid, nothing new is allocated.
pub const STATE_DESTROYED: u64 = 2;

/// `PoolHeader::options`: new allocations are zeroed.
pub const OPTION_ZEROING: u32 = 1;
/// `PoolHeader::options`: huge pages are asked for.
pub const OPTION_HUGE_PAGES: u32 = 2;
/// `PoolHeader::options`: the bytes may be executed.
pub const OPTION_EXECUTABLE: u32 = 4;
/// `PoolHeader::options`: the first segment was committed at creation.
pub const OPTION_COMMIT: u32 = 8;
/// `PoolHeader::options`: the first segment was prefaulted at creation.
pub const OPTION_PREFAULT: u32 = 16;
/// `PoolHeader::options`: what is freed is zeroed.
pub const OPTION_ZERO_ON_FREE: u32 = 32;
/// `PoolHeader::options`: all bits that there are.
pub const OPTIONS: u32 = 63;

/// `PoolHeader::growth`: never.
pub const GROWTH_NONE: u32 = 0;
/// `PoolHeader::growth`: up to the maximum.
pub const GROWTH_CAPPED: u32 = 1;
/// `PoolHeader::growth`: as far as the creator's address space allowed, which is the maximum.
pub const GROWTH_UNLIMITED: u32 = 2;

layout! {
    /// Start of a pool. Written by the creator before anybody can see it, except where a field says otherwise.
    pub struct PoolHeader: 2048, align 64 {
        /// POOL_MAGIC.
        0 => magic: AtomicU64,
        /// LAYOUT_VERSION.
        8 => layout_version: AtomicU32,
        /// Bytes of this header.
        12 => header_bytes: AtomicU32,
        /// Low half of the pool's random identity.
        16 => uuid_low: AtomicU64,
        /// High half of the pool's random identity.
        24 => uuid_high: AtomicU64,
        /// Identity of the host that made it.
        32 => host: AtomicU64,
        /// Hash over every layout and constant that the bytes depend on.
        40 => layout_hash: AtomicU64,
        /// log2 of the page size in bytes; 12 to 16.
        48 => page_shift: AtomicU32,
        /// GROWTH_*, as the creator wanted it; what others changed stands in `segments`.
        52 => growth: AtomicU32,
        /// Pages at creation.
        56 => initial_pages: AtomicU64,
        /// Pages of each later segment.
        64 => segment_pages: AtomicU64,
        /// Pages that the pool may ever have; all tables are sized for them.
        72 => maximum_pages: AtomicU64,
        /// Process slots.
        80 => process_limit: AtomicU32,
        /// Lanes.
        84 => lane_limit: AtomicU32,
        /// Entries of the channel table.
        88 => channel_limit: AtomicU32,
        /// OPTION_*: bit 0 zeroing, 1 huge pages, 2 executable, 3 committed, 4 prefaulted, 5 zero on free.
        92 => options: AtomicU32,
        /// User id of the creator.
        96 => user: AtomicU32,
        /// Bytes of the name.
        100 => name_bytes: AtomicU32,
        /// Entries of the manifest.
        104 => manifest_limit: AtomicU32,
        /// What kind of memory it is made of (PoolType).
        108 => pool_type: AtomicU32,
        /// CRC-32 of all above, and of what is from `minimum_block` on, so that an overwritten header is not believed.
        112 => identity_check: AtomicU64,
        /// Reserved, zero.
        120 => reserved_identity: AtomicU64,
        /// STATE_*; READY is stored last by the creator (Release), DESTROYED by whoever destroys it.
        128 => state: AtomicU64,
        /// `stopped:1 | limit:31 | segments:32` (SegmentsWord): segments there are, at least 1, raised by who grows the
        /// pool; segments there may be, 0 as many as the maximum has pages for, and whether it grows no more, changed by who
        /// sets attributes. All by compare-exchange, so that no grower passes a limit.
        136 => segments: AtomicU64,
        /// Boot of the host under which it was opened last; raised to the own by who opens it first under another, behind
        /// the rebuilding of everything that a boot may have lost.
        144 => boot: AtomicU64,
        /// Times that it was rebuilt so. From the first on no memory of it counts as fresh.
        152 => rebuilds: AtomicU64,
        /// Reserved, zero.
        160 => reserved_state: [AtomicU64; 4],
        /// Hint: pages in use now (two's complement; deaths may leave it off by their pages until recovery).
        192 => used_pages: AtomicU64,
        /// Hint: most pages ever in use at once.
        200 => peak_pages: AtomicU64,
        /// Hint: slabs without owner (two's complement). Zero spares the search for one.
        208 => orphan_pages: AtomicU64,
        /// Process slots recovered so far; raised by who frees the slot.
        216 => recoveries: AtomicU64,
        /// Attaches so far, never lowered.
        224 => attaches: AtomicU64,
        /// One past the highest process slot that was ever taken; raised before the slot is (fetch_max), never lowered.
        /// So that who looks for members need not look at slots that nobody had.
        232 => process_mark: AtomicU32,
        /// The same for lanes.
        236 => lane_mark: AtomicU32,
        /// Reserved, zero.
        240 => reserved_hints: [AtomicU64; 2],
        /// Event (`shared/src/event.rs`) on which sleep who wait for memory; armed by them, signalled by who frees.
        256 => free_event: AtomicU32,
        /// Reserved, zero.
        260 => reserved_wait: AtomicU32,
        /// Hint: monotonic nanoseconds at which `reservation` ends unless it is renewed; stored by who takes or renews
        /// it. What lies further ahead than a reservation lasts is over as well.
        264 => reservation_end: AtomicU64,
        /// Hint: pages that one waiter keeps the others from allocating in: `lane + 1:16 | first page:24 | last page:24`
        /// (Reservation); 0 none. Taken from 0 or from one that has ended by compare-exchange, given up the same way.
        272 => reservation: AtomicU64,
        /// Hint: since when (monotonic nanoseconds) the request waits that has waited longest and has no reservation; 0
        /// none. Set from another by compare-exchange by who came before that one or found it over, and back to 0 by
        /// its holder.
        280 => waiting_first: AtomicU64,
        /// Hint: monotonic nanoseconds at which that is over unless it is renewed; stored by who sets or renews it.
        288 => waiting_first_end: AtomicU64,
        /// Reserved, zero.
        296 => reserved_line: [AtomicU64; 3],
        /// The pool's name, `name_bytes` bytes of UTF-8.
        320 => name: [AtomicU8; 256],
        /// Bytes of room that every allocation has at least; 0: of its size class.
        576 => minimum_block: AtomicU64,
        /// Bytes, a power of two, of which the address of every allocation is a multiple; 0: of 64.
        584 => data_alignment: AtomicU64,
        /// Which lock was asked for (LockKind): without effect, as a pool has none.
        592 => lock_kind: AtomicU32,
        /// Bytes of `manifest_name`; at most 255.
        596 => manifest_name_bytes: AtomicU32,
        /// Nodes of memory on which the data is placed in turn, a bit each; all zero: as the kernel likes.
        600 => numa_nodes: [AtomicU64; 16],
        /// Kinds of blocks that were made ready at creation; at most 16.
        728 => preallocated_kinds: AtomicU64,
        /// Bytes of each kind.
        736 => preallocated_bytes: [AtomicU64; 16],
        /// Blocks of each kind.
        864 => preallocated_counts: [AtomicU64; 16],
        /// The name of a file for the manifest, UTF-8: kept, without effect.
        992 => manifest_name: [AtomicU8; 256],
        /// Reserved, zero.
        1248 => reserved: [AtomicU64; 100],
    }
}

layout! {
    /// One process that has the pool attached.
    pub struct ProcessSlot: 64, align 64 {
        /// Truth: `state:4 | epoch:28 | pid:32` (ProcessWord). The fields below are written while the slot is FREE by
        /// the one who holds its lock byte, and published by the step to ACTIVE (Release).
        0 => word: AtomicU64,
        /// Start of the process, clock ticks since boot.
        8 => start_time: AtomicU64,
        /// Inode of its pid namespace.
        16 => pid_namespace: AtomicU64,
        /// Its attach nonce: random, another one in each forked child.
        24 => nonce: AtomicU64,
        /// Bit 0: registered for membarrier, so its idle lanes can be revoked.
        32 => flags: AtomicU64,
        /// Reserved, zero.
        40 => reserved: [AtomicU64; 3],
    }
}

/// `ProcessSlot::flags`: registered for global expedited membarrier.
pub const FLAG_MEMBARRIER: u64 = 1;

layout! {
    /// One thread's place in the pool: the name it acts under, and what others tell it.
    pub struct Lane: 256, align 64 {
        /// Truth: `state:4 | process:16 | epoch:44` (LaneWord).
        0 => word: AtomicU64,
        /// Thread id of its user, 0 unknown, in the low half; the low half of the lane's epoch in the high half. Stored
        /// behind the two below by who took the lane; says nothing about users in other epochs.
        8 => thread: AtomicU64,
        /// Start of that thread, clock ticks since boot; 0 unknown.
        16 => thread_start: AtomicU64,
        /// 1 when the threads of its process share it, so that the one that took it may end before it.
        24 => shared: AtomicU64,
        /// Reserved, zero.
        32 => reserved_identity: [AtomicU64; 4],
        /// 1 while its user is inside an operation on its own pages; plain stores by the user.
        64 => operation: AtomicU64,
        /// 0, or `process:16 | sequence:48` of who wants the pages of this lane; set from 0 by compare-exchange,
        /// cleared by the user by exact compare-exchange.
        72 => revoke: AtomicU64,
        /// Reserved, zero.
        80 => reserved_operation: [AtomicU64; 6],
        /// Reserved, zero: log of a step over several words.
        128 => reserved_log: [AtomicU64; 8],
        /// Hint: groups of 64 pages (modulo 512) with frees by others; set by them, swapped out by the user.
        192 => inbox: [AtomicU64; 8],
    }
}

layout! {
    /// What belongs to one page besides its word.
    pub struct PageDescriptor: 128, align 64 {
        /// Above every generation that a block of this page ever had, as of the last time it was given back.
        0 => generation_base: AtomicU64,
        /// Pages of the span whose head this is; written before the block word says so.
        8 => span_pages: AtomicU64,
        /// Hint: free blocks (bit = block) that the owner lane may take; plain stores by the owner.
        16 => local: AtomicU64,
        /// Hint: bits set in `local` or in the owner's rows of the long bitmap; plain stores by the owner.
        24 => local_count: AtomicU64,
        /// Reserved, zero.
        32 => reserved_owner: [AtomicU64; 4],
        /// Hint: blocks freed by others (bit = block) since the owner last looked.
        64 => remote: AtomicU64,
        /// Hint: rows of the long bitmap with such bits, for slabs of more than 64 blocks.
        72 => remote_rows: AtomicU64,
        /// Reserved, zero.
        80 => reserved_remote: [AtomicU64; 6],
    }
}

layout! {
    /// One entry of the manifest: the type and id of a block.
    pub struct ManifestRecord: 40, align 8 {
        /// Truth: `state:4 | lane:16 | version:44` (RecordTag). The fields below are written while it is FILLING by the
        /// lane that it names, and read between two looks at it.
        0 => tag: AtomicU64,
        /// User's id within the type.
        8 => id: AtomicU64,
        /// `type:32`, and from bit 32 on the high 24 bits of the block's generation.
        16 => type_and_generation: AtomicU64,
        /// The low 20 bits of the block's generation, and from bit 20 on its data offset divided by 64.
        24 => block: AtomicU64,
        /// Bytes that were asked for.
        32 => bytes: AtomicU64,
    }
}

/// Records of one bucket of the manifest.
pub const BUCKET_RECORDS: usize = 6;

layout! {
    /// Records whose key has the same home, and some of those before it that were full.
    pub struct ManifestBucket: 256, align 64 {
        /// Records that lie in a later bucket although their home is this one or one before: a search goes on while it
        /// is not zero. Raised before such a record is placed, lowered behind its end; a death may leave it too high.
        0 => passed: AtomicU64,
        /// Reserved, zero.
        8 => reserved: AtomicU64,
        /// The records; those beyond the manifest's limit stay zero.
        16 => records: [ManifestRecord; 6],
    }
}
