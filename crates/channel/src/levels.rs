//! Priority levels: rings side by side that together hold no more messages than the capacity of the channel.
//!
//! Nobody counts messages, for a count leaks when somebody dies: **the slot words are the count**. A level has slots
//! enough for itself, so all levels together have more slots than the channel may hold messages; the channel has room
//! as long as more slots are free than that surplus. A send with several levels is:
//!
//! 1. **Look**: too few free slots: full, or somebody in the way is dead or slow. Nothing was changed.
//! 2. **Reserve**: the place at the tail of the level, EMPTY to RESERVED{me}; what follows is seen by all.
//! 3. **Look again**, at every other slot once, until enough of them are free. A reservation in a lower level, or
//!    before this one in its own, is weaker: it is ended where it would be one too many, for nothing is written yet.
//! 4. **Claim**: RESERVED{me} to FILLING{me}; or, without room, to EMPTY one lap on, the position being over.
//!
//! No more messages than the capacity are ever there: of all that are there at one moment, the one reserved last has
//! looked at all others after that, found each in its slot or ended its reservation, and so found one free slot too few.
//! Somebody always gets on: the strongest reservation fails only for messages, never for reservations. A
//! sender that dies leaves a word that names it, and nothing else.
//!
//! A receiver tries the levels downwards. What it finds at the head of each is the truth of that moment.

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::{Corrupt, Holder, RingLock, SlotState, SlotWord};

use crate::Error;
use crate::attached::Attached;
use crate::hindrance::Hindrance;
use crate::host::Host;
use crate::receive::{ReceiveSide, Taken};
use crate::send::{Claim, Outgoing, SendSide};
use crate::wait::{Attempt, Tried};

/// Steps of a try that models tell apart; those of one level have lower numbers.
const STEP_RESERVE: u32 = 8;
const STEP_LEVEL: u32 = 16;
const STEP_COUNT: u32 = 1 << 30;

/// The step of a handle whose positions may have changed since the try began.
fn step_at(step: u32, positions: u64) -> u32 {
    (positions.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 ^ step
}

/// Where a handle was last in a level, and who held it up there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) position: AtomicU64,
    pub(crate) hindrance: Hindrance,
}

impl Default for Place {
    fn default() -> Self {
        Self { position: AtomicU64::new(0), hindrance: Hindrance::new() }
    }
}

impl Place {
    /// All positions in one number, which changes with each of them and is zero for all at the start: for models.
    pub(crate) fn digest<'p>(places: impl Iterator<Item = &'p Place>) -> u64 {
        let each = |sum: u64, place: &Place| {
            sum.wrapping_add(place.position.load(Ordering::Relaxed)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        places.fold(0, each)
    }
}

/// What a slot is to a sender that counts free ones.
enum Seen {
    Free,
    Taken,
    /// In its way only as long as nobody stronger wants the room.
    Weaker(SlotWord),
}

fn seen(word: SlotWord, index: u32, reserved: Option<u32>) -> Seen {
    match word.state {
        state if !state.is_message() => Seen::Free,
        SlotState::Reserved if reserved.is_some_and(|own| index < own) => Seen::Weaker(word),
        _ => Seen::Taken,
    }
}

/// Sending.
impl<H: Host> Attached<H> {
    /// All steps of a send where there are several levels. Apart from those of one level: what the two return would go
    /// through memory, and cost a send of one level half as much again.
    #[inline(never)]
    pub(crate) fn try_send_among_levels<M: Outgoing<H>>(
        &self,
        side: &SendSide,
        message: &M,
        attempt: Attempt,
    ) -> Result<Tried<()>, Error> {
        let me = self.me()?;
        loop {
            if self.ring.may_be_barred(RingLock::Write)
                && let Some(held_up) = self.held_up(RingLock::Write, &side.hindrance, attempt)?
            {
                return Ok(held_up);
            }
            let claim = match self.claim_among_levels(side, me, attempt)? {
                Tried::Done(claim) => claim,
                Tried::Blocked { hindered } => return Ok(Tried::Blocked { hindered }),
            };
            if self.is_sent(side, claim, message)? {
                return Ok(Tried::Done(()));
            }
        }
    }

    /// Step 1 of a send where there are several levels.
    pub(crate) fn claim_among_levels(
        &self,
        side: &SendSide,
        me: Holder,
        attempt: Attempt,
    ) -> Result<Tried<Claim>, Error> {
        let level = self.ring.level(side.level)?;
        loop {
            if !self.is_room(side, None)? {
                match self.overcome_shortage(side, attempt)? {
                    Tried::Done(()) => continue,
                    Tried::Blocked { hindered } => return Ok(Tried::Blocked { hindered }),
                }
            }
            self.host.at_step(step_at(STEP_RESERVE, side.position()));
            let reserved = match self.claim_in(level, side, me, attempt, SlotState::Reserved, None)? {
                Tried::Done(reserved) => reserved,
                Tried::Blocked { hindered } => return Ok(Tried::Blocked { hindered }),
            };
            if !self.is_room(side, Some(reserved.index))? {
                self.end_reservation(reserved.index, reserved.word())?;
                return Ok(Tried::EMPTY);
            }
            let filling = reserved.word().held_by(SlotState::Filling, me);
            if self.ring.claim(reserved.index, reserved.word(), filling)? {
                return Ok(Tried::Done(Claim::new(reserved.index, filling)));
            }
        }
    }

    /// Whether the capacity has room for one more message, for who polls: without an attempt nobody is overcome.
    pub(crate) fn find_capacity(
        &self,
        side: &SendSide,
        attempt: Option<Attempt>,
    ) -> Result<Tried<()>, Error> {
        loop {
            if self.is_room(side, None)? {
                return Ok(Tried::Done(()));
            }
            let Some(attempt) = attempt else { return Ok(Tried::EMPTY) };
            if let Tried::Blocked { hindered } = self.overcome_shortage(side, attempt)? {
                return Ok(Tried::Blocked { hindered });
            }
        }
    }

    /// Whether the channel has room for one more message; `reserved` is the slot that the caller holds for it. Weaker
    /// reservations are ended if there is none otherwise.
    fn is_room(&self, side: &SendSide, reserved: Option<u32>) -> Result<bool, Error> {
        let surplus = self.ring.slot_count() - self.ring.capacity();
        let needed = if reserved.is_some() { surplus } else { surplus + 1 };
        let mut free = 0;
        let mut weaker = false;
        for index in self.likely_free_first(side) {
            let counted = STEP_COUNT + (index << 8) + (free << 2) + 2 * u32::from(weaker);
            self.host.at_step(step_at(counted + u32::from(reserved.is_some()), side.position()));
            match seen(self.ring.load(index)?, index, reserved) {
                Seen::Free => free += 1,
                Seen::Weaker(_) => weaker = true,
                Seen::Taken => {}
            }
            if free == needed {
                return Ok(true);
            }
        }
        if weaker { self.make_room(needed, reserved) } else { Ok(false) }
    }

    /// Counts again, and ends weaker reservations until there is room.
    #[cold]
    fn make_room(&self, needed: u32, reserved: Option<u32>) -> Result<bool, Error> {
        let mut free = 0;
        for index in (0..self.ring.slot_count()).rev() {
            free += u32::from(self.is_freed(index, reserved)?);
            if free == needed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_freed(&self, index: u32, reserved: Option<u32>) -> Result<bool, Error> {
        loop {
            match seen(self.ring.load(index)?, index, reserved) {
                Seen::Free => return Ok(true),
                Seen::Taken => return Ok(false),
                Seen::Weaker(word) if self.end_reservation(index, word)? => return Ok(true),
                Seen::Weaker(_) => {}
            }
        }
    }

    /// Every slot once: those of the upper levels, which are free for most of the time, then from the tail of the
    /// lowest on.
    fn likely_free_first(&self, side: &SendSide) -> impl Iterator<Item = u32> {
        let (capacity, all) = (self.ring.capacity(), self.ring.slot_count());
        // Any place will do: it decides about speed only.
        let own = (side.level == 0).then(|| side.index()).filter(|index| *index < capacity);
        let start = own.unwrap_or(0);
        (capacity..all).chain(start..capacity).chain(0..start)
    }

    /// Ends a reservation, the caller's or another's: the position is over. False: it was no longer there.
    pub(crate) fn end_reservation(&self, index: u32, word: SlotWord) -> Result<bool, Corrupt> {
        let ended = self.ring.publish(index, word, word.becomes(SlotState::Empty).laps_later(1))?;
        if ended {
            // Messages may wait behind the position, and senders for the room.
            self.ring.to_receivers(self.host.futex()).signal();
            self.ring.to_senders(self.host.futex()).signal();
        }
        Ok(ended)
    }

    /// Done: the room is to be looked at again.
    #[cold]
    fn overcome_shortage(&self, side: &SendSide, attempt: Attempt) -> Result<Tried<()>, Error> {
        self.note_full(side);
        let Some(word) = self.first_holder()? else { return Ok(Tried::EMPTY) };
        if !self.host.is_patience_over(&side.shortage, word, attempt.patience) {
            return Ok(Tried::Blocked { hindered: word.state != SlotState::Leased });
        }
        let mut changed = false;
        for index in 0..self.ring.slot_count() {
            let word = self.ring.load(index)?;
            changed |= self.bury(index, word)?
                || word.state == SlotState::Reserved && self.end_reservation(index, word)?;
        }
        Ok(if changed { Tried::Done(()) } else { Tried::EMPTY })
    }

    /// The first slot in somebody's hands, and not in those of a lease if there is another.
    fn first_holder(&self) -> Result<Option<SlotWord>, Error> {
        let mut leased = None;
        for index in 0..self.ring.slot_count() {
            let word = self.ring.load(index)?;
            match word.state {
                SlotState::Leased => leased = leased.or(Some(word)),
                state if state.is_message() && state.names_holder() => return Ok(Some(word)),
                _ => {}
            }
        }
        Ok(leased)
    }

    /// Revokes the claim of a slow sender. Where there are several levels its slot counts as free from then on.
    pub(crate) fn revoked(&self, index: u32, filling: SlotWord, revoked: SlotWord) -> Result<bool, Corrupt> {
        if self.ring.levels() == 1 {
            return self.ring.claim(index, filling, revoked);
        }
        let done = self.ring.publish(index, filling, revoked)?;
        if done {
            self.ring.to_senders(self.host.futex()).signal();
        }
        Ok(done)
    }
}

/// Receiving.
impl<H: Host> Attached<H> {
    /// Steps of a receive where there are several levels: of each, from the highest down, what was given back and then
    /// what is at the head.
    #[inline(never)]
    pub(crate) fn take_from_levels(
        &self,
        side: &ReceiveSide,
        state: SlotState,
        attempt: Attempt,
    ) -> Result<Tried<Taken>, Error> {
        let me = self.me()?;
        if self.ring.may_be_barred(RingLock::Read)
            && let Some(held_up) = self.held_up(RingLock::Read, &side.place(0).hindrance, attempt)?
        {
            return Ok(held_up);
        }
        let tried = self.take_highest(side, me, state, attempt)?;
        self.or_inspect(side, me, state, attempt, tried)
    }

    fn take_highest(
        &self,
        side: &ReceiveSide,
        me: Holder,
        state: SlotState,
        attempt: Attempt,
    ) -> Result<Tried<Taken>, Error> {
        let header = self.ring.header();
        let made = header.returned_made.load(Ordering::Acquire);
        let seen = header.returned_seen.load(Ordering::Acquire);
        let mut hindered = false;
        for number in (0..self.ring.levels()).rev() {
            let level = self.ring.level(number)?;
            if made == seen {
                let step = STEP_LEVEL + 2 * number + u32::from(hindered);
                self.host.at_step(step_at(step, side.position()));
            } else if let Some(taken) = self.search_returned(side, me, state, level.slots())? {
                return self.unless_shut(taken);
            }
            match self.take_next(level, side, me, state, attempt, None)? {
                Tried::Done(taken) => return Ok(Tried::Done(taken)),
                Tried::Blocked { hindered: here } => hindered |= here,
            }
        }
        if made != seen {
            // All slots were searched in vain for that count. Failing: another receiver has done it as well.
            let _ = header.returned_seen.compare_exchange(seen, made, Ordering::SeqCst, Ordering::SeqCst);
        }
        Ok(Tried::Blocked { hindered })
    }
}
