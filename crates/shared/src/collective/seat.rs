//! The words of a member's seat: who has it, what it announced, and what it does.

use weyr_atomic::{AtomicU64, Ordering};

use crate::{Actor, Corrupt};

/// Who has a rank: `state:2 | generation:14 | process:16 | epoch:32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    Free,
    Taken(Actor),
    /// In the generation with these low bits.
    Left(u16),
}

impl Holder {
    pub(super) const FREE: Self = Self(0);
    const GENERATIONS: u64 = (1 << 14) - 1;
    const STATE_SHIFT: u32 = 62;
    const GENERATION_SHIFT: u32 = 48;

    pub(super) fn parse(bits: u64) -> Result<Self, Corrupt> {
        let generation = bits >> Self::GENERATION_SHIFT & Self::GENERATIONS;
        match bits >> Self::STATE_SHIFT {
            0 if bits == 0 => Ok(Self(bits)),
            1 if generation == 0 => Ok(Self(bits)),
            2 => Ok(Self(bits)),
            _ => Err(Corrupt::new("holder of a rank", 0)),
        }
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn taken_by(actor: Actor) -> Self {
        Self(1 << Self::STATE_SHIFT | (actor.process as u64) << 32 | actor.epoch as u64)
    }

    pub(super) const fn left_in(generation: u32, actor: Actor) -> Self {
        let generation = generation as u64 & Self::GENERATIONS;
        let name = (actor.process as u64) << 32 | actor.epoch as u64;
        Self(2 << Self::STATE_SHIFT | generation << Self::GENERATION_SHIFT | name)
    }

    pub(super) const fn holding(self) -> Holding {
        match self.0 >> Self::STATE_SHIFT {
            1 => Holding::Taken(Actor { process: (self.0 >> 32) as u16, epoch: self.0 as u32 }),
            2 => Holding::Left((self.0 >> Self::GENERATION_SHIFT & Self::GENERATIONS) as u16),
            _ => Holding::Free,
        }
    }

    /// Whether the low bits of a generation are those of `generation`.
    pub(super) const fn is_of(left: u16, generation: u32) -> bool {
        left as u64 == generation as u64 & Self::GENERATIONS
    }
}

/// A round of a generation: `generation:32 | round:32`.
///
/// Rounds wrap: a seat's word is of this round or of the one two before, so that nobody takes one for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Of the group.
    pub generation: u32,
    /// From 1 on in each generation.
    pub round: u32,
}

impl Announced {
    pub(super) fn of(word: &AtomicU64) -> Self {
        let bits = word.load(Ordering::SeqCst);
        Self { generation: (bits >> 32) as u32, round: bits as u32 }
    }

    pub(super) const fn bits(self) -> u64 {
        (self.generation as u64) << 32 | self.round as u64
    }

    /// Which of the two words, and of the two buffers, are this round's.
    pub const fn parity(self) -> usize {
        (self.round & 1) as usize
    }

    /// The round behind it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { round: self.round.wrapping_add(1), ..self }
    }
}

/// What a member does in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CallKind {
    /// It waits for the others.
    Barrier = 1,
    /// One gives, all get it.
    Broadcast,
    /// All give, one gets what they fold to.
    Reduce,
    /// All give, all get what they fold to.
    AllReduce,
    /// The same for many elements: each gives the others the share that it folded.
    Share,
    /// All give, one gets it.
    Gather,
    /// All give, all get it.
    AllGather,
}

impl CallKind {
    const ALL: [Self; 7] = [
        Self::Barrier,
        Self::Broadcast,
        Self::Reduce,
        Self::AllReduce,
        Self::Share,
        Self::Gather,
        Self::AllGather,
    ];
}

/// What a member says of its call: `0:8 | call:8 | root:16 | bytes:32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What it does.
    pub kind: CallKind,
    /// The one that gives or gets; 0 where that is everybody.
    pub root: u16,
    /// Bytes that it gives, or, of a broadcast, wants.
    pub bytes: u32,
}

impl Call {
    pub(super) fn parse(bits: u64) -> Result<Self, Corrupt> {
        let of_code = |kind: &&CallKind| **kind as u64 == bits >> 48;
        let kind = CallKind::ALL.iter().find(of_code).ok_or(Corrupt::new("call of a member", 24))?;
        Ok(Self { kind: *kind, root: (bits >> 32) as u16, bytes: bits as u32 })
    }

    pub(super) const fn bits(self) -> u64 {
        (self.kind as u64) << 48 | (self.root as u64) << 32 | self.bytes as u64
    }

    /// Whether two members do the same. What they give to be gathered may differ in length.
    pub fn meets(self, other: Self) -> bool {
        let any_length = matches!(self.kind, CallKind::Gather | CallKind::AllGather | CallKind::Share);
        (self.kind, self.root) == (other.kind, other.root) && (any_length || self.bytes == other.bytes)
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    const ME: Actor = Actor { process: 0xabcd, epoch: 0xdead_beef };

    #[test]
    fn holders_are_what_they_were_written_as_and_others_are_corrupt() {
        assert_eq!(Holder::parse(0).unwrap().holding(), Holding::Free);
        assert_eq!(Holder::parse(Holder::taken_by(ME).bits()).unwrap().holding(), Holding::Taken(ME));
        let left = Holder::parse(Holder::left_in(0x1_0005, ME).bits()).unwrap();
        assert_eq!(left.holding(), Holding::Left(5));
        assert!(Holder::is_of(5, 0x1_0005) && !Holder::is_of(5, 6));
        for bits in [1, 1 << 62 | 1 << 48, 3 << 62, u64::MAX] {
            assert!(Holder::parse(bits).is_err(), "{bits:#x}");
        }
    }

    #[test]
    fn calls_are_what_they_were_written_as_and_meet_their_like() {
        for kind in CallKind::ALL {
            let call = Call { kind, root: 0xffff, bytes: u32::MAX };
            assert_eq!(Call::parse(call.bits()), Ok(call));
            assert!(call.meets(call) && !call.meets(Call { root: 1, ..call }));
            let any_length = matches!(kind, CallKind::Gather | CallKind::AllGather | CallKind::Share);
            assert_eq!(call.meets(Call { bytes: 3, ..call }), any_length);
        }
        assert!(!Call::parse(1 << 48).unwrap().meets(Call::parse(2 << 48).unwrap()));
        for bits in [0, 8 << 48, 1 << 56, u64::MAX] {
            assert!(Call::parse(bits).is_err(), "{bits:#x}");
        }
    }

    #[test]
    fn rounds_follow_each_other_in_two_places_and_wrap() {
        let last = Announced { generation: 9, round: u32::MAX };
        assert_eq!(Announced::of(&AtomicU64::new(last.bits())), last);
        assert_eq!((last.next().round, last.next().parity(), last.parity()), (0, 0, 1));
    }
}
