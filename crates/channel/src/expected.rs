//! The usual case of a send and of a receive: in the slot at the handle's place stands what the handle expects.
//!
//! A sender expects its slot EMPTY in the lap of its place, a receiver FULL; nothing is locked, nobody has given a message
//! back. Then a send and a receive are one load, one exchange, and what lies between them and the commit point. All else
//! is left to the steps of [`send`](crate::send) and [`receive`](crate::receive), which go on behind what was looked at
//! here: they are the protocol, and this is their shortest way through it, kept apart so that it is made of registers
//! only.

use weyr_atomic::Ordering;
use weyr_shared::{Corrupt, Position, RingLock, SlotState, SlotWord};

use crate::attached::Attached;
use crate::claim::Claim;
use crate::host::Host;
use crate::inspect::Returned;
use crate::receive::{ReceiveSide, Taken};
use crate::send_side::SendSide;
use crate::walk::{End, Walk};

/// Why it was not the usual case, and so what there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unexpected {
    /// Nothing was looked at.
    Unknown,
    /// There may be a lock or a quiesce, or the channel is destroyed.
    Barred,
    /// Somebody has given a message back, as these counts say.
    Returned(Returned),
    /// The slot at the place has another word.
    Word {
        /// Where the handle stood.
        place: Position,
        /// What was seen there, unchecked.
        word: u64,
    },
    /// The word was right, and another was faster.
    Lost,
    /// A message was taken, and there may be a lock by now.
    MaybeLocked(Taken),
}

impl<H: Host> Attached<H> {
    /// The place at the tail, in FILLING.
    #[inline(always)]
    pub(crate) fn claim_expected(&self, side: &SendSide) -> Result<Claim, Unexpected> {
        let me = self.known().filter(|_| self.ring.levels() == 1).ok_or(Unexpected::Unknown)?;
        if self.ring.may_be_barred(RingLock::Write) {
            return Err(Unexpected::Barred);
        }
        // Acquire: as in `Walk::new`.
        let place = Position::from_bits(side.position.load(Ordering::Acquire));
        let free = SlotWord::plain(SlotState::Empty, place.lap());
        let claim = Claim::new(place.index(), free.held_by(SlotState::Filling, me));
        self.exchange_expected(place, free, claim.word())?;
        Walk::pass(self.ring.lowest(), End::Tail, place, &side.position);
        Ok(claim)
    }

    /// The message at the head, in TAKING or LEASED.
    #[inline(always)]
    pub(crate) fn take_expected(&self, side: &ReceiveSide, state: SlotState) -> Result<Taken, Unexpected> {
        let me = self.known().filter(|_| self.ring.levels() == 1).ok_or(Unexpected::Unknown)?;
        if self.ring.may_be_barred(RingLock::Read) {
            return Err(Unexpected::Barred);
        }
        if let Some(returned) = self.returned() {
            return Err(Unexpected::Returned(returned));
        }
        self.host.at_step(1);
        // Acquire: as in `Walk::new`.
        let place = Position::from_bits(side.lowest().load(Ordering::Acquire));
        let full = SlotWord::plain(SlotState::Full, place.lap());
        let taken = full.held_by(state, me).laps_later(1);
        self.exchange_expected(place, full, taken)?;
        Walk::pass(self.ring.lowest(), End::Head, place, side.lowest());
        let taken = Taken::new(place.index(), taken, false);
        if self.ring.may_be_shut(RingLock::Read) { Err(Unexpected::MaybeLocked(taken)) } else { Ok(taken) }
    }

    /// The slot's word, where it was seen.
    ///
    /// # Errors
    /// [`Corrupt`]: no such word.
    pub(crate) fn look_done(&self, unexpected: Unexpected) -> Result<Option<(Position, SlotWord)>, Corrupt> {
        let Unexpected::Word { place, word } = unexpected else { return Ok(None) };
        Ok(Some((place, self.ring.parsed(place.index(), word)?)))
    }

    /// Whether to ask who bars the way, behind what was found.
    pub(crate) fn is_barred(&self, lock: RingLock, unexpected: Unexpected) -> bool {
        match unexpected {
            Unexpected::Barred => true,
            Unexpected::Unknown => self.ring.may_be_barred(lock),
            _ => false,
        }
    }

    #[inline(always)]
    fn exchange_expected(&self, place: Position, from: SlotWord, to: SlotWord) -> Result<(), Unexpected> {
        let index = place.index();
        // No such slot: what this process remembers was overwritten, which the steps report.
        let word = self.ring.word(index).ok_or(Unexpected::Unknown)?;
        if word != from.bits() {
            return Err(Unexpected::Word { place, word });
        }
        match self.ring.claim(index, from, to) {
            Ok(true) => Ok(()),
            _ => Err(Unexpected::Lost),
        }
    }
}
