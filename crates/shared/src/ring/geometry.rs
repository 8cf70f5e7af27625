//! How large the parts of a channel are, and where they lie.

use weyr_atomic::Ordering;

use super::buffers::BUFFER_POOL_BYTES;
use super::{ATTRIBUTE_BYTES, FlowControl, MAX_BLOCK_SIZE, MAX_CAPACITY, MIN_BLOCK_SIZE, RingHeader, level};
use crate::SLOT_HEAD_BYTES;

const FLAG_ATTRIBUTES: u32 = 1;
const FLAG_SIDE_LOADING: u32 = 2;
const FLAG_BUFFER_POOL: u32 = 4;

/// Sizes of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Payload bytes of a slot.
    pub block_size: u32,
    /// Number of slots.
    pub capacity: u32,
    /// Whether slots have room for message attributes.
    pub attributes: bool,
    /// Process slots of the pool.
    pub processes: u32,
    /// Priority levels.
    pub levels: u32,
    /// Slots of each level above the lowest, which has `capacity`; 0 where there is none above.
    pub urgent: u32,
    /// Whether what is larger than a block is copied into an allocation.
    pub side_loading: bool,
    /// Whether these allocations are another pool's.
    pub buffer_pool: bool,
    /// What bounds the share of a sending process.
    pub flow_control: FlowControl,
}

impl Geometry {
    /// One slot of the smallest size, and nothing else: to be changed where something else is wanted.
    pub const PLAIN: Self = Self {
        block_size: MIN_BLOCK_SIZE,
        capacity: 1,
        attributes: false,
        processes: 16,
        levels: 1,
        urgent: 0,
        side_loading: false,
        buffer_pool: false,
        flow_control: FlowControl::None,
    };

    pub(super) const fn flags(&self) -> u32 {
        (if self.attributes { FLAG_ATTRIBUTES } else { 0 })
            | (if self.side_loading { FLAG_SIDE_LOADING } else { 0 })
            | (if self.buffer_pool { FLAG_BUFFER_POOL } else { 0 })
            | self.flow_control.flags()
    }

    /// Whether every size is in its range.
    pub const fn is_valid(&self) -> bool {
        self.block_size >= MIN_BLOCK_SIZE
            && self.block_size <= MAX_BLOCK_SIZE
            && self.capacity >= 1
            && self.capacity <= MAX_CAPACITY
            && self.processes >= 1
            && self.processes <= 1 << 16
            && self.has_valid_levels()
            && self.flow_control.is_valid(self.block_size as u64)
    }

    /// Bytes from slot to slot.
    pub const fn stride(&self) -> u64 {
        let attributes = if self.attributes { ATTRIBUTE_BYTES } else { 0 };
        (SLOT_HEAD_BYTES + self.block_size as u64 + attributes).next_multiple_of(64)
    }

    /// Byte of the channel at which it is said where the buffers lie, where that is another pool.
    pub const fn buffer_pool_at(&self) -> u64 {
        self.levels_at() + (self.levels as u64 - 1) * level::LEVEL_HEADER_BYTES
    }

    /// Byte of the channel at which the first slot lies.
    pub const fn slots_at(&self) -> u64 {
        self.buffer_pool_at() + if self.buffer_pool { BUFFER_POOL_BYTES } else { 0 }
    }

    /// Bytes of the whole channel.
    pub const fn bytes(&self) -> u64 {
        self.slots_at() + self.slot_count() as u64 * self.stride()
    }

    pub(super) fn stored_in(header: &RingHeader) -> Self {
        let (flags, limit) =
            (header.flags.load(Ordering::Relaxed), header.flow_limit.load(Ordering::Relaxed));
        Self {
            block_size: header.block_size.load(Ordering::Relaxed),
            capacity: header.capacity.load(Ordering::Relaxed),
            attributes: flags & FLAG_ATTRIBUTES != 0,
            processes: header.processes.load(Ordering::Relaxed),
            levels: header.levels.load(Ordering::Relaxed),
            urgent: 0,
            side_loading: flags & FLAG_SIDE_LOADING != 0,
            buffer_pool: flags & FLAG_BUFFER_POOL != 0,
            flow_control: FlowControl::of(flags, limit),
        }
    }
}
