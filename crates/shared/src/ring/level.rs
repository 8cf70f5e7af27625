//! Priority levels: each is a ring of its own among the slots of one channel, with its own order, tail and head.
//!
//! Level 0 has the first slots, as many as the channel may hold messages in all, and its hints stand in the channel's
//! header: a channel of one level has nothing else. The levels above follow, each with a header for its hints.

use weyr_atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Geometry, Ring};
use crate::{Corrupt, Position, Region, SlotState, SlotWord};

crate::layout! {
    /// Hints of one priority level above the lowest.
    pub struct LevelHeader: 128, align 64 {
        /// Hint: a position that is not after the level's tail; stored by senders; zero is the first position.
        0 => tail: AtomicU64,
        /// Number of slots of the level, at least 1; written by the creator.
        8 => capacity: AtomicU32,
        /// Reserved, zero.
        12 => reserved: AtomicU32,
        /// Reserved, zero.
        16 => reserved_tail: [AtomicU64; 6],
        /// Hint: a position that is not after the level's head; stored by receivers; zero is the first position.
        64 => head: AtomicU64,
        /// Reserved, zero.
        72 => reserved_head: [AtomicU64; 7],
    }
}

/// Largest number of priority levels. The document names none: its priority queue tells urgent from ordinary.
pub const MAX_LEVELS: u32 = 8;

pub(super) const LEVEL_HEADER_BYTES: u64 = 128;

impl Geometry {
    /// Byte of the channel at which the headers of the upper levels lie, or would.
    pub(super) const fn levels_at(&self) -> u64 {
        (self.sleepers_at() + self.sleepers_bytes()).next_multiple_of(64)
    }

    /// Slots of all levels together.
    pub const fn slot_count(&self) -> u32 {
        self.capacity + (self.levels - 1) * self.urgent
    }

    pub(super) const fn has_valid_levels(&self) -> bool {
        match self.levels {
            1 => self.urgent == 0,
            2..=MAX_LEVELS => self.urgent >= 1 && self.urgent <= self.capacity,
            _ => false,
        }
    }

    /// The slots of an upper level, as the channel in `region` says; all other sizes are known.
    pub(super) fn read_urgent(&mut self, region: &Region) -> Result<(), Corrupt> {
        if self.levels > 1 && self.levels <= MAX_LEVELS {
            let upper = region.table::<LevelHeader>(self.levels_at(), (self.levels - 1).into(), "levels")?;
            self.urgent = upper[0].capacity.load(Ordering::Relaxed);
            let others = upper.iter().map(|level| level.capacity.load(Ordering::Relaxed));
            if others.into_iter().any(|capacity| capacity != self.urgent) {
                return Err(Corrupt::new("capacity of a level", self.levels_at() + 8));
            }
        }
        Ok(())
    }
}

/// One priority level of a channel. Two registers: what the lowest is goes through no memory on the way of a message.
#[derive(Debug, Clone, Copy)]
pub struct Level<'a> {
    ring: &'a Ring,
    number: u32,
    /// Slot of the channel at which it begins.
    first: u32,
}

impl Ring {
    /// Number of priority levels.
    #[inline]
    pub fn levels(&self) -> u32 {
        self.geometry.levels
    }

    /// Number of slots of all levels.
    #[inline]
    pub fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// The lowest level, which every channel has.
    #[inline(always)]
    pub fn lowest(&self) -> Level<'_> {
        Level { ring: self, number: 0, first: 0 }
    }

    /// Level `number`; the highest is received first.
    ///
    /// # Errors
    /// [`Corrupt`]: no such level.
    pub fn level(&self, number: u32) -> Result<Level<'_>, Corrupt> {
        if number >= self.geometry.levels {
            return Err(Corrupt::new("priority level", number.into()));
        }
        let above_lowest = |above| self.geometry.capacity + above * self.geometry.urgent;
        let first = number.checked_sub(1).map_or(0, above_lowest);
        Ok(Level { ring: self, number, first })
    }

    /// Byte of the channel at which the headers of the levels above the lowest lie, and how many there are.
    pub fn levels_at(&self) -> (u64, u64) {
        (self.geometry.levels_at(), (self.geometry.levels - 1).into())
    }

    pub(super) fn clear_levels(&self) {
        for level in self.upper.iter().flat_map(|upper| upper.iter()) {
            level.tail.store(0, Ordering::Relaxed);
            level.head.store(0, Ordering::Relaxed);
            level.capacity.store(self.geometry.urgent, Ordering::Relaxed);
        }
    }
}

impl<'a> Level<'a> {
    /// Its number; the highest is received first.
    #[inline]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Number of its slots.
    #[inline(always)]
    pub fn capacity(&self) -> u32 {
        let geometry = &self.ring.geometry;
        if self.number == 0 { geometry.capacity } else { geometry.urgent }
    }

    /// Its slots, as the channel counts them.
    pub fn slots(&self) -> std::ops::Range<u32> {
        self.first..self.first + self.capacity()
    }

    /// The slot of the channel at `place` of this level.
    #[inline]
    pub fn slot_at(&self, place: Position) -> u32 {
        self.first + place.index()
    }

    /// The word of the slot at `place` (Acquire).
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, or no such word.
    #[inline]
    pub fn load(&self, place: Position) -> Result<SlotWord, Corrupt> {
        self.ring.load(self.slot_at(place))
    }

    /// The hint of its tail.
    #[inline(always)]
    pub fn tail(&self) -> &'a AtomicU64 {
        self.header().map_or(&self.ring.header().tail, |header| &header.tail)
    }

    /// The hint of its head.
    #[inline(always)]
    pub fn head(&self) -> &'a AtomicU64 {
        self.header().map_or(&self.ring.header().head, |header| &header.head)
    }

    /// Of a level above the lowest.
    #[inline(always)]
    fn header(&self) -> Option<&'a LevelHeader> {
        let above = self.number.checked_sub(1)?;
        self.ring.upper.as_ref()?.get(above as usize)
    }

    /// Whether `position` is over or claimed by a sender: what makes a tail hint behind it believable.
    ///
    /// # Errors
    /// [`Corrupt`]: the slot's word cannot be.
    pub fn is_before_tail(&self, position: Position) -> Result<bool, Corrupt> {
        use SlotState::{Filling, Full, Reserved};
        let word = self.load(position)?;
        let ahead = word.lap.after(position.lap());
        Ok(ahead > 0 || ahead == 0 && matches!(word.state, Reserved | Filling | Full))
    }

    /// Whether `position` is over or taken by a receiver: what makes a head hint behind it believable.
    ///
    /// # Errors
    /// [`Corrupt`]: the slot's word cannot be.
    pub fn is_before_head(&self, position: Position) -> Result<bool, Corrupt> {
        Ok(self.load(position)?.lap.after(position.lap()) > 0)
    }
}
