//! What bounds the share of one sending process, and how it is found: by one look at the slots, each of which names the
//! process slot of its sender. Nothing is counted, so nothing is left wrong by a death; the messages of a dead sender
//! count for who has its process slot next, until they are received.

use std::fmt;

use weyr_atomic::Ordering;

use super::Ring;
use crate::{Corrupt, Description, Level, MessageKind, Position, SlotState, SlotWord};

const KIND_SHIFT: u32 = 8;
const RESOURCES: u32 = 1;
const MEMORY: u32 = 2;
const MESSAGES: u32 = 3;

/// How many of the last messages of a level tell how large the share of a sender is.
const RECENT: usize = 64;

/// What bounds the share that one sending process may have of a channel.
/// Source: *Dragon channels*, `dragonChannelFC_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FlowControl {
    /// Nothing does.
    None,
    /// While others wait for room, a process that has sent more than its share of the last messages lets them go first. A
    /// lonely sender has all of the channel, and so have several that are not in each other's way.
    #[default]
    Resources,
    /// Bytes of blocks and side buffers that a process may have in the channel. A message takes the whole block of its slot,
    /// and the bytes that were copied into a side buffer for it. Memory that a message hands over or refers to (an
    /// allocation, frozen memory, memory of another pool) is not the channel's, and counts nothing beside the block.
    Memory {
        /// How many, at least those of one block.
        bytes: u64,
    },
    /// Messages that a process may have in the channel.
    Messages {
        /// How many, at least 1.
        messages: u64,
    },
}

impl fmt::Display for FlowControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Resources => write!(f, "a fair share while others wait"),
            Self::Memory { bytes } => write!(f, "{bytes} bytes of blocks and side buffers a process"),
            Self::Messages { messages } => write!(f, "{messages} messages a process"),
        }
    }
}

impl FlowControl {
    pub(super) const fn flags(self) -> u32 {
        let kind = match self {
            Self::None => 0,
            Self::Resources => RESOURCES,
            Self::Memory { .. } => MEMORY,
            Self::Messages { .. } => MESSAGES,
        };
        kind << KIND_SHIFT
    }

    /// Its number; zero where it has none.
    pub const fn limit(self) -> u64 {
        match self {
            Self::None | Self::Resources => 0,
            Self::Memory { bytes } => bytes,
            Self::Messages { messages } => messages,
        }
    }

    /// Whether it lets anything through, in a channel with blocks of `block_size` bytes.
    pub const fn is_valid(self, block_size: u64) -> bool {
        match self.amount(block_size, 0) {
            None => true,
            Some(least) => 0 < self.limit() && least <= self.limit(),
        }
    }

    /// What a message counts for that has a block of `block_size` bytes and `side` bytes in a side buffer, in the unit
    /// of the limit; none where there is no limit.
    #[inline]
    pub const fn amount(self, block_size: u64, side: u64) -> Option<u64> {
        match self {
            Self::None | Self::Resources => None,
            Self::Memory { .. } => Some(block_size.saturating_add(side)),
            Self::Messages { .. } => Some(1),
        }
    }

    pub(super) const fn of(flags: u32, limit: u64) -> Self {
        match flags >> KIND_SHIFT & 3 {
            RESOURCES => Self::Resources,
            MEMORY => Self::Memory { bytes: limit },
            MESSAGES => Self::Messages { messages: limit },
            _ => Self::None,
        }
    }
}

/// Whether a message of somebody is in a slot of that word.
fn is_there(word: SlotWord) -> bool {
    use SlotState::{Full, Leased, PutBack, Returned, Taking};
    matches!(word.state, Full | Taking | Leased | Returned | PutBack)
}

impl Ring {
    /// What bounds the share of a sender.
    #[inline]
    pub fn flow_control(&self) -> FlowControl {
        self.geometry.flow_control
    }

    /// What of the channel process slot `sender` has, in the unit of the channel's limit: messages, or bytes of
    /// blocks and side buffers. By one look at each slot; what others take or send meanwhile may be counted or not.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be.
    pub fn used_by(&self, sender: u16) -> Result<u64, Corrupt> {
        (0..self.slot_count).try_fold(0, |used: u64, index| {
            let word = self.load(index)?;
            let counts = is_there(word) && self.sender(index)? == sender;
            let amount = if counts { self.amount_in(index, word)? } else { 0 };
            Ok(used.saturating_add(amount))
        })
    }

    fn amount_in(&self, index: u32, word: SlotWord) -> Result<u64, Corrupt> {
        let FlowControl::Memory { .. } = self.geometry.flow_control else { return Ok(1) };
        let description = self.description(index);
        let bytes = self.reference(index)?.view_len;
        if !self.is_still(index, word)? {
            // It was taken, or given back: looked at in the lap after, it would be another's.
            return Ok(0);
        }
        let is_side_buffer = matches!(description?.kind, MessageKind::SideLoaded | MessageKind::Elsewhere);
        let side = if is_side_buffer { bytes } else { 0 };
        Ok(self.geometry.flow_control.amount(self.geometry.block_size.into(), side).unwrap_or(0))
    }

    /// Of the last messages of `level` before `place`, at most 64: how many process slots `one` and `other` have sent,
    /// how many there were, and how many processes have sent them, of which both are taken for one.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be.
    pub fn recent_share(
        &self,
        level: Level<'_>,
        place: Position,
        one: u16,
        other: u16,
    ) -> Result<Shares, Corrupt> {
        let (mut place, mut senders, mut there) = (place, Vec::with_capacity(RECENT), 0);
        for _ in 0..RECENT.min(level.capacity() as usize) {
            place = place.previous(level.capacity());
            let word = level.load(place)?;
            there += usize::from(word.state.is_message());
            // In the first lap nobody has sent anything into an empty slot.
            if word.state != SlotState::Empty || word.lap.number() > 0 {
                let description = &self.slot(level.slot_at(place))?.description;
                senders.push(Description::sender_in(description.load(Ordering::Relaxed)));
            }
        }
        let of = |process: u16| senders.iter().filter(|sender| **sender == process).count();
        let (ones, others, all) = (of(one), of(other), senders.len());
        senders.extend([one, other]);
        senders.sort_unstable();
        senders.dedup();
        Ok(Shares { ones, others, all, senders: senders.len(), there })
    }

    /// Who waits for room and asks that others let it go first: a hint, which names a process slot and a wait.
    #[inline]
    pub fn wish(&self) -> Option<Wish> {
        Wish::of(self.header().wish.load(Ordering::Relaxed))
    }

    /// Says that a process waits, where `instead` stands now: nobody's wish, or that of one who may come later. Whether it
    /// is the caller's wish that stands.
    pub fn make_wish(&self, wish: Wish, instead: Option<Wish>) -> bool {
        let before = instead.map_or(0, Wish::bits);
        let word = &self.header().wish;
        word.compare_exchange(before, wish.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Takes a wish back: one's own, or that of one who did not come.
    pub fn end_wish(&self, wish: Wish) {
        let _another_by_now =
            self.header().wish.compare_exchange(wish.0, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Who has sent the last messages of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Those of the one.
    pub ones: usize,
    /// Those of the other.
    pub others: usize,
    /// Those of all.
    pub all: usize,
    /// How many processes these are.
    pub senders: usize,
    /// Those that are in the channel still, or will be.
    pub there: usize,
}

/// Somebody's wish to be let go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish(u64);

impl Wish {
    const PROCESS_BITS: u32 = 17;

    /// Of process slot `process`, which waits for `place`: another place is another wait.
    pub const fn new(process: u16, place: Position) -> Self {
        let owner = process as u64 + 1;
        Self(place.bits() << Self::PROCESS_BITS | owner)
    }

    /// From what [`bits`](Self::bits) made of it; none of zero.
    pub fn of(bits: u64) -> Option<Self> {
        (bits & ((1 << Self::PROCESS_BITS) - 1) != 0).then_some(Self(bits))
    }

    /// Whose it is.
    pub const fn process(self) -> u16 {
        ((self.0 & ((1 << Self::PROCESS_BITS) - 1)) - 1) as u16
    }

    /// In one number.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use crate::{Geometry, Holder, Lap, MessageReference};

    fn fill(ring: &Ring, index: u32, sender: u16, to: SlotWord) {
        ring.write_inline(index, sender, b"x").unwrap();
        let word = ring.load(index).unwrap();
        assert!(ring.claim(index, word, to).unwrap());
    }

    #[test]
    fn what_a_process_has_is_what_slots_say() {
        let flow_control = FlowControl::Messages { messages: 5 };
        let ring = Ring::private(&Geometry { capacity: 6, flow_control, ..Geometry::PLAIN }).unwrap();
        let lap = Lap::new(0);
        let leased = SlotWord::held(SlotState::Leased, Holder { process: 3, epoch: 1 }, lap);
        fill(&ring, 0, 7, SlotWord::plain(SlotState::Full, lap));
        fill(&ring, 1, 3, SlotWord::plain(SlotState::Full, lap));
        fill(&ring, 2, 7, leased);
        fill(&ring, 3, 7, SlotWord::plain(SlotState::Returned, lap));
        fill(&ring, 4, 7, SlotWord::plain(SlotState::Empty, lap.plus(1)));
        assert_eq!([7, 3, 0].map(|sender| ring.used_by(sender).unwrap()), [3, 1, 0]);
        let share = ring.recent_share(ring.lowest(), Position::new(lap, 5), 7, 9).unwrap();
        let expected = Shares { ones: 4, others: 0, all: 5, senders: 3, there: 4 };
        assert_eq!(share, expected, "messages that were received count, too");
    }

    #[test]
    fn bytes_are_those_of_blocks_and_side_buffers() {
        let flow_control = FlowControl::Memory { bytes: 1000 };
        let ring = Ring::private(&Geometry { capacity: 4, flow_control, ..Geometry::PLAIN }).unwrap();
        let block = crate::BlockReference { offset: 64, generation: 1 };
        let message = MessageReference { block, view_offset: 0, view_len: 300 };
        ring.write_side_loaded(0, 7, &message).unwrap();
        ring.write_reference(1, 7, &message).unwrap();
        for index in 0..2 {
            let word = ring.load(index).unwrap();
            assert!(ring.claim(index, word, word.becomes(SlotState::Full)).unwrap());
        }
        fill(&ring, 2, 7, SlotWord::plain(SlotState::Full, Lap::new(0)));
        // What is handed over is not the channel's.
        assert_eq!(ring.used_by(7).unwrap(), 300 + 3 * u64::from(ring.block_size()));
    }

    #[test]
    fn a_limit_is_for_one_message_at_least() {
        let lets_through = |flow_control: FlowControl| flow_control.is_valid(64);
        assert!([FlowControl::None, FlowControl::Resources].into_iter().all(lets_through));
        assert!([0, 1].map(|messages| lets_through(FlowControl::Messages { messages })) == [false, true]);
        assert!([63, 64].map(|bytes| lets_through(FlowControl::Memory { bytes })) == [false, true]);
        assert!(!FlowControl::Memory { bytes: 0 }.is_valid(0));
    }

    #[test]
    fn a_wish_stands_until_it_is_ended() {
        let ring = Ring::private(&Geometry { capacity: 2, ..Geometry::PLAIN }).unwrap();
        let place = Position::new(Lap::new(4), 1);
        let (one, other) = (Wish::new(u16::MAX, place), Wish::new(0, place));
        assert_eq!((one.process(), other.process()), (u16::MAX, 0));
        assert!(ring.wish().is_none() && ring.make_wish(other, None) && !ring.make_wish(one, None));
        assert!(ring.make_wish(one, Some(other)) && ring.make_wish(other, Some(one)));
        ring.end_wish(one);
        assert_eq!(ring.wish(), Some(other));
        ring.end_wish(other);
        assert_eq!(ring.wish(), None);
    }
}
