//! The message slots of a channel: one word that says whose turn it is, and the bytes behind it.
//!
//! | state, lap n of slot i | means | who leaves it | to |
//! | --- | --- | --- | --- |
//! | EMPTY(n) | free for position (n, i) | a sender at (n, i) | FILLING{me}(n) |
//! | RESERVED{S}(n) | S has position (n, i), and looks whether all levels together have room | S | FILLING{S}(n) |
//! | | | anybody: S without room, a stronger reservation, a receiver of a slow one, S dead | EMPTY(n+1) |
//! | FILLING{S}(n) | S writes the message of (n, i) | S | FULL(n) |
//! | | | a receiver at (n, i), S alive but slow | REVOKED{S}(n+1) |
//! | | | anybody, S dead | EMPTY(n+1) |
//! | FULL(n) | the message of (n, i) | a receiver at (n, i) | TAKING{me}(n+1) or LEASED{me}(n+1) |
//! | TAKING{R}(m), LEASED{R}(m) | R reads it, or holds it in place | R | EMPTY(m); given back: RETURNED(m), PUT_BACK(m) |
//! | | | anybody, R dead, message not taken | RETURNED(m) |
//! | | | anybody, R dead, message taken | EMPTY(m) |
//! | REVOKED{S}(m) | S may still write here; no message | S, or anybody when S is dead | EMPTY(m) |
//! | RETURNED(m), PUT_BACK(m) | a message to be delivered again, or for the first time | any receiver | TAKING{me}(m), LEASED{me}(m) |
//! | TAKING, LEASED, REVOKED, RETURNED, PUT_BACK(m) | in somebody's hands, and the tail is at (m, i) | a sender at (m, i) | the same, lap m+1 |
//!
//! RESERVED is a state of channels with several priority levels only: elsewhere EMPTY becomes FILLING at once.
//! Nothing is written into a slot that is only reserved, so anybody may end a reservation.
//!
//! Within a lap, and then by lap, every step goes up, but for a message that is given back. A word that names a dead
//! process and its epoch never comes again, so whoever repairs a slot does it by compare-exchange of the exact word
//! and needs no lock. Two threads of one process cannot take each other's slots for their own: a slot and lap is
//! claimed by the one compare-exchange that succeeded.

use weyr_atomic::AtomicU64;

use crate::{Actor, Corrupt};

crate::layout! {
    /// The start of a message slot; the payload block begins at byte 16, the reference lies in its first bytes.
    pub struct Slot: 48, align 8 {
        /// `state:4 | process:16 | epoch:8 | lap:36`; changed by compare-exchange only; zero is EMPTY in lap 0.
        0 => word: AtomicU64,
        /// `length:32 | kind:8 | flags:8 | sender:16`; written by who fills the slot, before FULL.
        /// The sender is a process slot; who has it when the message is looked at may be the sender's successor.
        8 => description: AtomicU64,
        /// Kind REFERENCE: byte offset of the block in the pool's data area. Kind INLINE: payload. Kind FOREIGN: these four
        /// as REFERENCE, but of the pool whose descriptor lies behind them. Kind FOREIGN_ASIDE: the block that has all
        /// that; as view its bytes from 0, and how many the message has.
        16 => offset: AtomicU64,
        /// Kind REFERENCE: which use of that offset. Kind INLINE: payload.
        24 => generation: AtomicU64,
        /// Kind REFERENCE: first byte of the block that belongs to the message. Kind INLINE: payload.
        32 => view_offset: AtomicU64,
        /// Kind REFERENCE: bytes of the block that belong to the message. Kind INLINE: payload.
        40 => view_len: AtomicU64,
    }
}

/// Bytes before the payload of a slot.
pub const SLOT_HEAD_BYTES: u64 = 16;

/// What a slot word says is going on; see the table of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SlotState {
    /// Free for a sender.
    Empty = 0,
    /// A sender writes.
    Filling = 1,
    /// A message waits.
    Full = 2,
    /// A receiver reads.
    Taking = 3,
    /// A sender lost its turn, and may still write.
    Revoked = 4,
    /// A message waits whose last receiver may have seen it.
    Returned = 5,
    /// A message waits that was given back unseen.
    PutBack = 6,
    /// A lease holds the message in place.
    Leased = 7,
    /// A sender has the position, and looks whether the channel has room.
    Reserved = 8,
}

impl SlotState {
    /// Whether the word names who holds the slot.
    pub const fn names_holder(self) -> bool {
        matches!(self, Self::Filling | Self::Taking | Self::Revoked | Self::Leased | Self::Reserved)
    }

    /// Whether a message is in the slot that no position of the ring leads to.
    pub const fn is_returned(self) -> bool {
        matches!(self, Self::Returned | Self::PutBack)
    }

    /// Whether senders may leave the slot out of a lap.
    pub const fn may_be_passed(self) -> bool {
        matches!(self, Self::Taking | Self::Leased | Self::Revoked | Self::Returned | Self::PutBack)
    }

    /// Whether it counts as a message of the channel: one that waits, is in somebody's hands, or will be there.
    pub const fn is_message(self) -> bool {
        !matches!(self, Self::Empty | Self::Revoked)
    }

    const fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            0 => Self::Empty,
            1 => Self::Filling,
            2 => Self::Full,
            3 => Self::Taking,
            4 => Self::Revoked,
            5 => Self::Returned,
            6 => Self::PutBack,
            7 => Self::Leased,
            8 => Self::Reserved,
            _ => return None,
        })
    }
}

/// The process that a slot word names: its process slot and the low 8 bits of its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Index of the process slot.
    pub process: u16,
    /// Low 8 bits of the epoch.
    pub epoch: u8,
}

impl Holder {
    const NOBODY: Self = Self { process: 0, epoch: 0 };

    const fn bits(self) -> u64 {
        (self.process as u64) << 8 | self.epoch as u64
    }
}

impl From<Actor> for Holder {
    fn from(actor: Actor) -> Self {
        Self { process: actor.process, epoch: actor.epoch as u8 }
    }
}

/// How often the ring went round: 36 bits that wrap, compared by their distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lap(u64);

impl Lap {
    /// Bits of a lap. One slot at ten million messages a second wraps it after 1.9 hours, and only a thread stopped
    /// for exactly that long between a load and its compare-exchange could be fooled.
    pub const BITS: u32 = 36;
    const MASK: u64 = (1 << Self::BITS) - 1;

    /// Lap `number`, modulo the width.
    pub const fn new(number: u64) -> Self {
        Self(number & Self::MASK)
    }

    /// The lap `count` later.
    pub const fn plus(self, count: u64) -> Self {
        Self::new(self.0.wrapping_add(count))
    }

    /// How many laps this one is after `other`; negative when it is before.
    pub const fn after(self, other: Self) -> i64 {
        let shift = 64 - Self::BITS;
        (self.0.wrapping_sub(other.0) << shift) as i64 >> shift
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// One value of a slot's word, whose parts were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotWord {
    /// What is going on.
    pub state: SlotState,
    /// Who does it; process 0, epoch 0 where the state names nobody.
    pub holder: Holder,
    /// In which lap.
    pub lap: Lap,
}

impl SlotWord {
    const STATE_SHIFT: u32 = 60;
    const HOLDER_SHIFT: u32 = Lap::BITS;
    const HOLDER_MASK: u64 = (1 << 24) - 1;

    /// A word that names nobody.
    pub const fn plain(state: SlotState, lap: Lap) -> Self {
        Self { state, holder: Holder::NOBODY, lap }
    }

    /// A word that names who holds the slot.
    pub const fn held(state: SlotState, holder: Holder, lap: Lap) -> Self {
        Self { state, holder, lap }
    }

    /// The word as it stands in memory.
    #[inline]
    pub const fn bits(self) -> u64 {
        (self.state as u64) << Self::STATE_SHIFT | self.holder.bits() << Self::HOLDER_SHIFT | self.lap.0
    }

    /// What [`bits`](Self::bits) made of a word and private memory has kept since.
    #[inline]
    pub const fn from_own_bits(bits: u64) -> Self {
        let name = bits >> Self::HOLDER_SHIFT & Self::HOLDER_MASK;
        let state = match SlotState::from_code(bits >> Self::STATE_SHIFT) {
            Some(state) => state,
            None => SlotState::Empty,
        };
        let holder = Holder { process: (name >> 8) as u16, epoch: name as u8 };
        Self { state, holder, lap: Lap::new(bits) }
    }

    /// Checks what was read at `offset`.
    ///
    /// # Errors
    /// [`Corrupt`]: an unknown state, or a name in a state that has none.
    #[inline]
    pub fn parse(bits: u64, offset: u64) -> Result<Self, Corrupt> {
        let name = bits >> Self::HOLDER_SHIFT & Self::HOLDER_MASK;
        let holder = Holder { process: (name >> 8) as u16, epoch: name as u8 };
        match SlotState::from_code(bits >> Self::STATE_SHIFT) {
            Some(state) if name == 0 || state.names_holder() => {
                Ok(Self { state, holder, lap: Lap::new(bits) })
            }
            _ => Err(Corrupt::new("slot word", offset)),
        }
    }

    /// The same slot in another state, naming nobody.
    pub const fn becomes(self, state: SlotState) -> Self {
        Self::plain(state, self.lap)
    }

    /// The same slot in another state, in the hands of `holder`.
    pub const fn held_by(self, state: SlotState, holder: Holder) -> Self {
        Self::held(state, holder, self.lap)
    }

    /// The same word `count` laps later.
    pub const fn laps_later(self, count: u64) -> Self {
        Self { lap: self.lap.plus(count), ..self }
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageKind {
    /// Bytes in the slot.
    Inline = 0,
    /// A block of the pool that changes owner with the message.
    Reference = 1,
    /// Bytes in a block of the pool, which is freed when they were received.
    SideLoaded = 2,
    /// Frozen memory of the pool, which is nobody's and stays so: any number of messages refer to it.
    Frozen = 3,
    /// Bytes in a block of the channel's buffer pool, which is freed when they were received.
    Elsewhere = 4,
    /// Published or frozen memory of any other pool: a reference, and behind it in the slot that pool's descriptor.
    Foreign = 5,
    /// The same where the slot is too small: both lie in a block of the channel's pool.
    ForeignAside = 6,
}

impl MessageKind {
    /// Whether a block of the channel's own pool goes with the message.
    #[inline]
    pub const fn has_block(self) -> bool {
        matches!(self, Self::Reference | Self::SideLoaded | Self::ForeignAside)
    }

    /// Whether the message is memory of another pool, which its sender has named.
    #[inline]
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::Foreign | Self::ForeignAside)
    }
}

/// Length and kind of the message in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Bytes in the slot; for a reference and for what is side-loaded, 32, of which kind FOREIGN has more.
    pub len: u32,
    /// What those bytes are.
    pub kind: MessageKind,
}

impl Description {
    /// Flag: the reference stands for the allocation itself, so that its receiver may free it. Kinds FROZEN and FOREIGN.
    pub const ORIGINAL: u64 = 1 << 40;
    /// Flag: the block is no longer the slot's. Kind ELSEWHERE only.
    pub const SPENT: u64 = 2 << 40;
    /// Flag: the last 48 bytes of the slot hold the message attributes. Any kind.
    pub const EXTENDED: u64 = 4 << 40;
    /// Flag: the memory is the receiver's, which makes it its own by a change of the block's word. Kinds FOREIGN.
    pub const OWNED: u64 = 8 << 40;

    const SENDER_SHIFT: u32 = 48;

    /// The description as it stands in memory, of what process slot `sender` sends, without flags.
    #[inline]
    pub const fn bits(self, sender: u16) -> u64 {
        self.len as u64 | (self.kind as u64) << 32 | (sender as u64) << Self::SENDER_SHIFT
    }

    /// The process slot that the bits of a description name, whatever else they say.
    #[inline]
    pub const fn sender_in(bits: u64) -> u16 {
        (bits >> Self::SENDER_SHIFT) as u16
    }

    /// Whether the bits of a description say that a block of the buffer pool is the slot's.
    pub const fn is_unspent_elsewhere(bits: u64) -> bool {
        bits >> 32 & 0xff == MessageKind::Elsewhere as u64 && bits & Self::SPENT == 0
    }

    /// Checks what was read at `offset`; the length is cut to the block by who uses it.
    ///
    /// # Errors
    /// [`Corrupt`]: an unknown kind or flag.
    #[inline]
    pub fn parse(bits: u64, offset: u64) -> Result<Self, Corrupt> {
        match bits >> 32 & 0xffff {
            0 => Ok(Self { len: bits as u32, kind: MessageKind::Inline }),
            1 => Ok(Self { len: bits as u32, kind: MessageKind::Reference }),
            _ => Self::parse_marked(bits, offset),
        }
    }

    /// One with flags.
    #[inline(never)]
    fn parse_marked(bits: u64, offset: u64) -> Result<Self, Corrupt> {
        let flags = bits >> 40 & 0xff & !(Self::EXTENDED >> 40);
        let kind = match bits >> 32 & 0xff {
            0 => MessageKind::Inline,
            1 => MessageKind::Reference,
            2 => MessageKind::SideLoaded,
            3 => MessageKind::Frozen,
            4 => MessageKind::Elsewhere,
            5 => MessageKind::Foreign,
            6 => MessageKind::ForeignAside,
            _ => return Err(Corrupt::new("slot description", offset)),
        };
        let known = match kind {
            _ if flags == 0 => true,
            MessageKind::Frozen => flags == Self::ORIGINAL >> 40,
            MessageKind::Elsewhere => flags == Self::SPENT >> 40,
            kind if kind.is_foreign() => flags == Self::ORIGINAL >> 40 || flags == Self::OWNED >> 40,
            _ => false,
        };
        if known {
            Ok(Self { len: bits as u32, kind })
        } else {
            Err(Corrupt::new("slot description", offset))
        }
    }
}

/// A place in the order of a channel: lap, then index of the slot. Positions compare by their distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position(u64);

impl Position {
    /// Bits of the index of a slot: the lap's 36 and these fill a word.
    pub const INDEX_BITS: u32 = 64 - Lap::BITS;
    /// Largest capacity that positions can name.
    pub const MAX_CAPACITY: u32 = 1 << Self::INDEX_BITS;

    /// The place of slot `index` in `lap`.
    pub const fn new(lap: Lap, index: u32) -> Self {
        Self(lap.0 << Self::INDEX_BITS | (index as u64 & (Self::MAX_CAPACITY as u64 - 1)))
    }

    /// From a hint or a cache.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// For a hint or a cache.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Its lap.
    pub const fn lap(self) -> Lap {
        Lap(self.0 >> Self::INDEX_BITS)
    }

    /// Its slot.
    pub const fn index(self) -> u32 {
        (self.0 & (Self::MAX_CAPACITY as u64 - 1)) as u32
    }

    /// The place after it in a ring of `capacity` slots.
    #[inline]
    pub const fn next(self, capacity: u32) -> Self {
        if self.index() + 1 >= capacity { Self::new(self.lap().plus(1), 0) } else { Self(self.0 + 1) }
    }

    /// The place before it in a ring of `capacity` slots.
    pub const fn previous(self, capacity: u32) -> Self {
        if self.index() == 0 { Self::new(self.lap().plus(u64::MAX), capacity - 1) } else { Self(self.0 - 1) }
    }

    /// Whether it comes after `other`.
    pub const fn is_after(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i64) > 0
    }

    /// The later of two places.
    pub const fn later(self, other: Self) -> Self {
        if other.is_after(self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: Holder = Holder { process: 0xabcd, epoch: 0x5a };

    #[test]
    fn a_word_keeps_its_parts() {
        let word = SlotWord::held(SlotState::Leased, HOLDER, Lap::new(0x9_8765_4321));
        assert_eq!(word.bits(), 0x7abc_d5a9_8765_4321);
        assert_eq!(SlotWord::parse(word.bits(), 0), Ok(word));
        assert_eq!(SlotWord::from_own_bits(word.bits()), word);
    }

    #[test]
    fn zero_is_an_empty_slot_of_the_first_lap() {
        assert_eq!(SlotWord::parse(0, 0), Ok(SlotWord::plain(SlotState::Empty, Lap::new(0))));
    }

    #[test]
    fn unknown_states_and_names_out_of_place_are_corrupt() {
        for state in 9..16 {
            assert!(SlotWord::parse(state << 60, 7).is_err());
        }
        for state in [SlotState::Empty, SlotState::Full, SlotState::Returned, SlotState::PutBack] {
            assert!(SlotWord::parse(SlotWord::held(state, HOLDER, Lap::new(1)).bits(), 7).is_err());
        }
    }

    #[test]
    fn laps_compare_by_distance_across_the_wrap() {
        let last = Lap::new(u64::MAX);
        assert_eq!(last.plus(2).after(last), 2);
        assert_eq!(last.after(last.plus(3)), -3);
        assert_eq!(last.plus(1), Lap::new(0));
    }

    #[test]
    fn positions_follow_each_other_round_the_ring_and_across_the_wrap() {
        let end = Position::new(Lap::new(u64::MAX), 2);
        assert_eq!(end.next(3), Position::new(Lap::new(0), 0));
        assert_eq!(end.next(3).previous(3), end);
        assert!(end.next(3).is_after(end) && !end.is_after(end.next(3)) && !end.is_after(end));
        assert_eq!(Position::new(Lap::new(4), 1).next(3), Position::new(Lap::new(4), 2));
        assert_eq!(Position::new(Lap::new(4), 0).next(1), Position::new(Lap::new(5), 0));
        assert_eq!(end.later(end.next(3)), end.next(3));
    }

    #[test]
    fn a_description_keeps_its_parts_and_refuses_what_it_does_not_know() {
        let description = Description { len: 32, kind: MessageKind::Reference };
        assert_eq!(Description::parse(description.bits(0xfedc), 0), Ok(description));
        assert_eq!(Description::sender_in(description.bits(0xfedc) | Description::EXTENDED), 0xfedc);
        let frozen = Description { len: 32, kind: MessageKind::Frozen };
        for marks in [0, Description::ORIGINAL, Description::EXTENDED, Description::EXTENDED | 1 << 40] {
            assert_eq!(Description::parse(frozen.bits(1) | marks, 0), Ok(frozen));
        }
        assert_eq!(Description::parse(description.bits(0xfedc) | Description::EXTENDED, 0), Ok(description));
        let elsewhere = Description { len: 32, kind: MessageKind::Elsewhere };
        for marks in [0, Description::SPENT, Description::EXTENDED, Description::EXTENDED | 2 << 40] {
            assert_eq!(Description::parse(elsewhere.bits(u16::MAX) | marks, 0), Ok(elsewhere));
            assert_eq!(
                Description::is_unspent_elsewhere(elsewhere.bits(u16::MAX) | marks),
                marks & 2 << 40 == 0
            );
            assert!(!Description::is_unspent_elsewhere(frozen.bits(1) | marks));
        }
        for kind in [MessageKind::Foreign, MessageKind::ForeignAside] {
            let foreign = Description { len: 100, kind };
            for marks in
                [0, Description::ORIGINAL, Description::OWNED, Description::EXTENDED | Description::OWNED]
            {
                assert_eq!(Description::parse(foreign.bits(3) | marks, 0), Ok(foreign));
            }
            assert!(Description::parse(foreign.bits(3) | Description::SPENT, 0).is_err());
            assert!(Description::parse(foreign.bits(3) | 9 << 40, 0).is_err());
        }
        let flags = [1 << 40, 1 << 32 | 1 << 40, 3 << 32 | 2 << 40, 4 << 32 | 1 << 40, 4 << 32 | 3 << 40];
        for unknown in [9 << 32, 7 << 32, 8 << 40, 0x80 << 40, 3 << 32 | 8 << 40].into_iter().chain(flags) {
            assert!(Description::parse(unknown, 0).is_err(), "{unknown:#x}");
        }
    }
}
