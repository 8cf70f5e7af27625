//! Who acts, and on what: the two names that words in shared memory carry.

/// A process slot of a pool and the epoch of its user. The pair never returns once its user was recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Actor {
    /// Index of the process slot.
    pub process: u16,
    /// How often the slot was given out before (28 bits).
    pub epoch: u32,
}

/// A block of a pool and the use of it that is meant. The pair never returns once that use ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockReference {
    /// Byte offset of the block in the pool's data area.
    pub offset: u64,
    /// Which use of that offset (44 bits).
    pub generation: u64,
}

impl BlockReference {
    /// No block: no use of an offset has generation 0.
    pub const NONE: Self = Self { offset: 0, generation: 0 };
}
