//! The steps of a receive.
//!
//! 1. **Take**: a message that was given back, if the counters say that there is one; else, from the handle's
//!    position, the one at the head: FULL to TAKING{me}, or to LEASED{me} for a lease.
//! 2. **Read**: copy the bytes out, or make the block this process's. Commit point for a block: its own word in the
//!    pool; the message is taken even if its slot still says otherwise.
//! 3. **Release**: to EMPTY, in whatever lap senders have put the slot by now. Commit point for bytes: a receiver that
//!    dies before leaves a message that is delivered again.
//!
//! The receivers' part of repair lies here too: a sender at the head that is slower than patience loses its turn.

use std::time::Instant;

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::{
    Corrupt, Description, Holder, Level, MAX_LEVELS, MessageKind, MessageReference, Position, RingLock,
    Sleeper, SlotState, SlotWord,
};

use crate::attached::Attached;
use crate::hindrance::Hindrance;
use crate::host::Host;
use crate::levels::Place;
use crate::pace::Pace;
use crate::tally::Tally;
use crate::wait::{Attempt, Tried, Waiter};
use crate::walk::{End, Walk};
use crate::{Error, WaitMode};

/// What one receiving handle remembers, in private memory.
#[derive(Debug)]
pub struct ReceiveSide {
    lowest: Place,
    upper: [Place; MAX_LEVELS as usize - 1],
    pub(crate) fruitless: Tally,
    pub(crate) pace: Pace,
    pub(crate) inspected_ns: AtomicU64,
    pub(crate) messages: Tally,
    pub(crate) redelivered: Tally,
    pub(crate) revoked: Tally,
    pub(crate) bytes_copied: Tally,
}

impl ReceiveSide {
    /// Where the handle will look next, for models.
    #[doc(hidden)]
    pub fn position(&self) -> u64 {
        self.lowest.position.load(Ordering::Relaxed).wrapping_add(Place::digest(self.upper.iter()))
    }

    #[inline(always)]
    pub(crate) fn lowest(&self) -> &AtomicU64 {
        &self.lowest.position
    }

    #[inline]
    pub(crate) fn place(&self, level: u32) -> &Place {
        // A ring has no more levels than there are places.
        level.checked_sub(1).and_then(|above| self.upper.get(above as usize)).unwrap_or(&self.lowest)
    }
}

impl Default for ReceiveSide {
    fn default() -> Self {
        Self {
            lowest: Place::default(),
            upper: Default::default(),
            fruitless: Tally::new(),
            pace: Pace::new(),
            inspected_ns: AtomicU64::new(0),
            messages: Tally::new(),
            redelivered: Tally::new(),
            revoked: Tally::new(),
            bytes_copied: Tally::new(),
        }
    }
}

/// A message in the hands of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "release it"]
pub struct Taken {
    pub(crate) index: u32,
    /// Its slot's word, in one piece: parts would be written and read apart on their way to the caller.
    bits: u64,
    again: bool,
}

impl Taken {
    #[inline]
    pub(crate) fn new(index: u32, word: SlotWord, again: bool) -> Self {
        Self { index, bits: word.bits(), again }
    }

    #[inline]
    fn word(&self) -> SlotWord {
        SlotWord::from_own_bits(self.bits)
    }

    /// The slot in which it is, and its lap there: later messages of a channel have later ones.
    pub fn place(&self) -> Position {
        Position::new(self.word().lap, self.index)
    }

    /// Whether an earlier receiver may have seen it.
    pub fn is_redelivered(&self) -> bool {
        self.again
    }
}

/// What a receiver sees in the slot at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// A message.
    Ready,
    /// The place is over, or another receiver's.
    Over,
    /// A sender writes.
    Filling,
    /// Nothing was sent here yet; whoever is named there is no obstacle unless dead.
    Empty,
    /// A lap that no slot can have while the place is not after the head.
    Impossible,
}

pub(crate) fn view(word: SlotWord, place: Position) -> View {
    match (word.lap.after(place.lap()), word.state) {
        (0, SlotState::Full) => View::Ready,
        (0, SlotState::Filling | SlotState::Reserved) => View::Filling,
        (0, _) => View::Empty,
        (1.., _) => View::Over,
        _ => View::Impossible,
    }
}

/// The steps.
impl<H: Host> Attached<H> {
    /// Step 1; `state` is TAKING or LEASED.
    ///
    /// # Errors
    /// [`Error::Destroyed`], [`Error::Corrupt`], or the pool's.
    #[inline]
    pub fn try_take(
        &self,
        side: &ReceiveSide,
        state: SlotState,
        attempt: Attempt,
    ) -> Result<Tried<Taken>, Error> {
        match self.take_expected(side, state) {
            Ok(taken) => Ok(Tried::Done(taken)),
            Err(unexpected) => self.take_unexpected(side, state, attempt, unexpected),
        }
    }

    /// The message at the head of `level`; `seen`: a look that was done already.
    pub(crate) fn take_next(
        &self,
        level: Level<'_>,
        side: &ReceiveSide,
        me: Holder,
        state: SlotState,
        attempt: Attempt,
        seen: Option<(Position, SlotWord)>,
    ) -> Result<Tried<Taken>, Error> {
        let place = side.place(level.number());
        let mut walk = Walk::new(level, End::Head, &place.position).behind(seen);
        while let Some(word) = walk.look()? {
            let index = level.slot_at(walk.place);
            match view(word, walk.place) {
                View::Ready => {
                    let taken = word.held_by(state, me).laps_later(1);
                    if self.ring.claim(index, word, taken)? {
                        walk.advance(&place.position);
                        let taken = Taken::new(index, taken, false);
                        if self.ring.may_be_shut(RingLock::Read) {
                            return self.unless_shut(taken);
                        }
                        return Ok(Tried::Done(taken));
                    }
                }
                View::Over => walk.go_on(word)?,
                View::Filling | View::Empty => {
                    match self.overcome_sender(side, &place.hindrance, index, word, attempt)? {
                        Tried::Done(()) => {}
                        Tried::Blocked { hindered } => {
                            walk.keep(&place.position);
                            return Ok(Tried::Blocked { hindered });
                        }
                    }
                }
                View::Impossible => return Err(Corrupt::new("lap of a slot", index.into()).into()),
            }
        }
        walk.keep(&place.position);
        Ok(Tried::EMPTY)
    }

    /// Done: the slot is to be looked at again.
    pub(crate) fn overcome_sender(
        &self,
        side: &ReceiveSide,
        hindrance: &Hindrance,
        index: u32,
        word: SlotWord,
        attempt: Attempt,
    ) -> Result<Tried<()>, Error> {
        if !word.state.names_holder() {
            return Ok(Tried::EMPTY);
        }
        if !self.host.is_patience_over(hindrance, word, attempt.patience) {
            return Ok(Tried::Blocked { hindered: true });
        }
        if self.bury(index, word)? {
            return Ok(Tried::Done(()));
        }
        match word.state {
            SlotState::Filling => self.revoke(side, index, word)?,
            // Nothing is written there yet.
            SlotState::Reserved => side.revoked.add(u64::from(self.end_reservation(index, word)?)),
            _ => return Ok(Tried::EMPTY),
        }
        Ok(Tried::Done(()))
    }

    fn revoke(&self, side: &ReceiveSide, index: u32, word: SlotWord) -> Result<(), Error> {
        let revoked = word.held_by(SlotState::Revoked, word.holder).laps_later(1);
        if self.revoked(index, word, revoked)? {
            side.revoked.add(1);
        }
        Ok(())
    }

    /// Step 1, waiting for a message until `deadline`.
    ///
    /// # Errors
    /// As [`try_take`](Self::try_take), and [`Error::Timeout`].
    pub fn take_until(
        &self,
        side: &ReceiveSide,
        state: SlotState,
        mode: WaitMode,
        deadline: Option<Instant>,
    ) -> Result<Taken, Error> {
        let mut waiter = Waiter::new(mode, deadline);
        let pace = side.pace.of(&waiter);
        pace.begin(side.messages.get());
        let event = self.counted(Sleeper::Receiver, self.ring.to_receivers(self.host.futex()));
        loop {
            self.host.before_try(waiter.remembered(side.position()));
            match self.try_take(side, state, waiter.attempt()) {
                Ok(Tried::Blocked { hindered }) => pace.lost_with(waiter.pause(&event, hindered))?,
                Ok(Tried::Done(taken)) => {
                    pace.end(waiter.polls());
                    waiter.pass_on(&event, || self.is_ready_at(side));
                    return Ok(taken);
                }
                Err(error) => {
                    waiter.pass_on(&event, || true);
                    return Err(error);
                }
            }
        }
    }

    fn is_ready_at(&self, side: &ReceiveSide) -> bool {
        (0..self.ring.levels()).any(|number| {
            let Ok(level) = self.ring.level(number) else { return false };
            let mut walk = Walk::new(level, End::Head, &side.place(number).position);
            matches!(walk.look(), Ok(Some(word)) if view(word, walk.place) == View::Ready)
        })
    }

    /// What the message is.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    #[inline]
    pub fn description(&self, taken: &Taken) -> Result<Description, Error> {
        Ok(self.ring.description(taken.index)?)
    }

    /// Step 2 for bytes: copies the start of the message into the whole of `bytes`.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    #[inline]
    pub fn read_bytes(&self, taken: &Taken, bytes: &mut [u8]) -> Result<(), Error> {
        Ok(self.ring.read_inline(taken.index, bytes)?)
    }

    /// What the message refers to.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn reference(&self, taken: &Taken) -> Result<MessageReference, Error> {
        Ok(self.ring.reference(taken.index)?)
    }

    /// Step 2 for a block: it is this process's from now on.
    ///
    /// # Errors
    /// [`Error::Corrupt`], or the pool's: it is not on its way by this reference.
    pub fn take_block(&self, taken: &Taken) -> Result<(H::Block, MessageReference), Error> {
        let message = self.ring.reference(taken.index)?;
        Ok((self.host.take_transfer(&message)?, message))
    }

    /// Step 2 for a block that nobody keeps: it is freed, or the pool's again.
    ///
    /// # Errors
    /// As [`take_block`](Self::take_block).
    pub(crate) fn discard_block(&self, taken: &Taken) -> Result<(), Error> {
        let block = self.ring.reference(taken.index)?.block;
        match self.ring.description(taken.index)?.kind {
            MessageKind::Elsewhere => self.discard_buffer(taken.index, block),
            _ => self.host.discard_transfer(block),
        }
    }

    /// Step 3: the message is done with.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: the slot is no longer this process's; it may have been delivered again.
    #[inline]
    pub fn release(&self, taken: Taken) -> Result<(), Error> {
        self.ring.release(taken.index, taken.word(), SlotState::Empty)?;
        self.ring.to_senders(self.host.futex()).signal();
        Ok(())
    }

    /// Instead of step 3: gives the message back, to be received by anybody. `seen`: it is then marked as delivered
    /// again. Does not wait. Dying before the count is raised leaves that to the repair.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: the slot is no longer this process's.
    pub fn put_back(&self, taken: Taken, seen: bool) -> Result<(), Error> {
        let state = if seen || taken.again { SlotState::Returned } else { SlotState::PutBack };
        self.ring.release(taken.index, taken.word(), state)?;
        self.ring.count_returned();
        self.ring.to_receivers(self.host.futex()).signal();
        Ok(())
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fake_pool::{FakeHost, FakePool, Owner, send};
    use crate::send::{Bytes, SendSide};

    type Process = Attached<FakeHost>;

    fn take(process: &Process, side: &ReceiveSide, state: SlotState) -> Option<Taken> {
        match process.try_take(side, state, Attempt::AT_ONCE).unwrap() {
            Tried::Done(taken) => Some(taken),
            Tried::Blocked { .. } => None,
        }
    }

    fn byte(process: &Process, taken: &Taken) -> u8 {
        let mut byte = [0];
        process.read_bytes(taken, &mut byte).unwrap();
        byte[0]
    }

    fn send_block(pool: &FakePool, process: &Process, side: &SendSide, offset: u64) {
        let message = pool.message(offset, process.me().unwrap().process);
        assert!(matches!(process.try_send(side, &message, Attempt::AT_ONCE), Ok(Tried::Done(()))));
    }

    #[test]
    fn each_message_goes_to_one_receiver() {
        let pool = FakePool::new(4);
        let (process, from) = (pool.process(1), SendSide::default());
        let (one, two) = (ReceiveSide::default(), ReceiveSide::default());
        for number in 0..40 {
            assert!(send(&process, &from, number));
            let side = if number % 3 == 0 { &one } else { &two };
            let taken = take(&process, side, SlotState::Taking).unwrap();
            assert_eq!(byte(&process, &taken), number);
            assert!(take(&process, &one, SlotState::Taking).is_none());
            assert!(take(&process, &two, SlotState::Taking).is_none());
            process.release(taken).unwrap();
        }
    }

    #[test]
    fn a_receiver_concludes_less_from_a_lap_than_a_sender() {
        let pool = FakePool::new(3);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        assert!(send(&process, &from, 1) && send(&process, &from, 2));
        let first = take(&process, &to, SlotState::Leased).unwrap();
        let second = take(&process, &to, SlotState::Taking).unwrap();
        process.release(second).unwrap();
        assert!(send(&process, &from, 3) && send(&process, &from, 4));
        // The first slot is a lap ahead of the head by now: the sender went round the lease in it.
        assert_eq!(pool.ring.load(0).unwrap().lap.number(), 2);
        pool.ring.header().head.store(0, Ordering::Relaxed);
        let late = ReceiveSide::default();
        let third = take(&process, &late, SlotState::Taking).unwrap();
        assert_eq!(byte(&process, &third), 3);
        let _ = first;
    }

    #[test]
    fn the_ring_goes_round_a_lease() {
        let pool = FakePool::new(3);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        assert!(send(&process, &from, 99));
        let lease = take(&process, &to, SlotState::Leased).unwrap();
        for number in 0..30 {
            assert!(send(&process, &from, number));
            let taken = take(&process, &to, SlotState::Taking).unwrap();
            assert_eq!(byte(&process, &taken), number);
            process.release(taken).unwrap();
        }
        assert_eq!(byte(&process, &lease), 99);
        process.release(lease).unwrap();
        assert!(take(&process, &to, SlotState::Taking).is_none());
        assert!((0..3).all(|number| send(&process, &from, number)) && !send(&process, &from, 3));
    }

    #[test]
    fn a_ring_all_of_whose_slots_are_leased_is_full() {
        let pool = FakePool::new(2);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        assert!(send(&process, &from, 1) && send(&process, &from, 2));
        let leases = [(); 2].map(|()| take(&process, &to, SlotState::Leased).unwrap());
        pool.pass(Duration::from_secs(1));
        assert!(!send(&process, &from, 3) && !send(&process, &from, 3));
        process.release(leases[1]).unwrap();
        assert!(send(&process, &from, 3));
        assert_eq!(byte(&process, &take(&process, &to, SlotState::Taking).unwrap()), 3);
    }

    #[test]
    fn a_message_put_back_unseen_is_not_marked_and_one_that_was_seen_is() {
        let pool = FakePool::new(2);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        assert!(send(&process, &from, 1));
        let first = take(&process, &to, SlotState::Leased).unwrap();
        process.put_back(first, false).unwrap();
        let second = take(&process, &to, SlotState::Leased).unwrap();
        assert!(!second.is_redelivered());
        process.put_back(second, true).unwrap();
        let third = take(&process, &to, SlotState::Leased).unwrap();
        assert!(third.is_redelivered());
        process.put_back(third, false).unwrap();
        assert!(take(&process, &to, SlotState::Leased).unwrap().is_redelivered());
    }

    #[test]
    fn what_a_dead_receiver_held_comes_again_and_what_it_had_taken_is_freed() {
        let pool = FakePool::new(4);
        let (dying, other) = (pool.process(1), pool.process(2));
        let (from, to, dying_to) = (SendSide::default(), ReceiveSide::default(), ReceiveSide::default());
        send_block(&pool, &other, &from, 64);
        send_block(&pool, &other, &from, 128);
        assert!(send(&other, &from, 3));
        let _ = take(&dying, &dying_to, SlotState::Leased).unwrap();
        let taken = take(&dying, &dying_to, SlotState::Taking).unwrap();
        dying.take_block(&taken).unwrap();
        let _ = take(&dying, &dying_to, SlotState::Taking).unwrap();
        pool.kill(1);
        pool.recover(1);
        pool.recover(1);
        assert_eq!((pool.owner(64), pool.owner(128)), (Owner::InFlight(2), Owner::Free));
        let (again, inline) =
            (take(&other, &to, SlotState::Taking).unwrap(), take(&other, &to, SlotState::Taking).unwrap());
        assert!(again.is_redelivered() && inline.is_redelivered());
        let (block, message) = other.take_block(&again).unwrap();
        assert_eq!((block.0.offset, message.view_offset, message.view_len), (64, 3, 8));
        assert_eq!(byte(&other, &inline), 3);
        assert!(take(&other, &to, SlotState::Taking).is_none());
    }

    #[test]
    fn a_block_in_a_slot_outlives_its_dead_sender() {
        let pool = FakePool::new(2);
        let (dying, other) = (pool.process(1), pool.process(2));
        let to = ReceiveSide::default();
        send_block(&pool, &dying, &SendSide::default(), 64);
        pool.kill(1);
        pool.recover(1);
        let taken = take(&other, &to, SlotState::Taking).unwrap();
        other.take_block(&taken).unwrap();
        other.release(taken).unwrap();
        assert_eq!(pool.owner(64), Owner::Process(2));
    }

    #[test]
    fn a_lonely_receiver_finds_what_the_dead_had_taken_by_inspection() {
        let pool = FakePool::new(2);
        let (dying, other) = (pool.process(1), pool.process(2));
        assert!(send(&other, &SendSide::default(), 1));
        let _ = take(&dying, &ReceiveSide::default(), SlotState::Taking).unwrap();
        pool.kill(1);
        let deadline = Some(Instant::now() + Duration::from_secs(60));
        let taken =
            other.take_until(&ReceiveSide::default(), SlotState::Taking, WaitMode::Idle, deadline).unwrap();
        assert!(taken.is_redelivered() && pool.recovered() == [1]);
    }

    #[test]
    fn destroying_frees_what_waits_and_ends_everything() {
        let pool = FakePool::new(2);
        let (one, two) = (pool.process(1), pool.process(2));
        let (from, to) = (SendSide::default(), ReceiveSide::default());
        send_block(&pool, &one, &from, 64);
        send_block(&pool, &one, &from, 128);
        let held = take(&two, &to, SlotState::Leased).unwrap();
        one.destroy().unwrap();
        assert_eq!(one.destroy(), Err(Error::Destroyed));
        assert_eq!((pool.owner(64), pool.owner(128)), (Owner::InFlight(1), Owner::Process(1)));
        assert!(matches!(two.try_take(&to, SlotState::Taking, Attempt::AT_ONCE), Err(Error::Destroyed)));
        assert!(matches!(two.try_send(&from, &Bytes(&[1]), Attempt::AT_ONCE), Err(Error::Destroyed)));
        two.put_back(held, false).unwrap();
        drop(one);
        assert_eq!((pool.frees(), pool.owner(64)), (0, Owner::Process(1)));
        drop(two);
        assert_eq!(pool.frees(), 1);
    }

    #[test]
    fn the_last_one_to_detach_frees_only_a_destroyed_channel() {
        let pool = FakePool::new(2);
        let (one, two, three) = (pool.process(1), pool.process(2), pool.process(1));
        drop((one, two));
        assert!(pool.ring.is_attached());
        drop(three);
        assert_eq!((pool.ring.is_attached(), pool.frees()), (false, 0));
    }

    #[test]
    fn a_forked_child_attaches_itself_and_leaves_the_parents_attachment_alone() {
        let pool = FakePool::new(2);
        let (untouched, used) = (pool.process(1), pool.process(1));
        let actor = used.actor().unwrap();
        untouched.host.nonce.set(77);
        used.host.nonce.set(77);
        used.me().unwrap();
        drop((untouched, used));
        for _ in 0..2 {
            assert!(pool.ring.is_attached());
            pool.ring.detach(actor).unwrap();
        }
        assert!(!pool.ring.is_attached());
    }

    #[test]
    fn repair_detaches_the_dead_and_counts_even_if_nothing_was_changed() {
        let pool = FakePool::new(2);
        let process = pool.process(1);
        let made = || pool.ring.header().returned_made.load(Ordering::Relaxed);
        pool.recover(1);
        assert_eq!((made(), pool.ring.is_attached()), (1, false));
        pool.recover(1);
        assert_eq!(made(), 2);
        drop(process);
    }

    #[test]
    fn a_length_beyond_the_block_is_corrupt() {
        let pool = FakePool::new(1);
        let (process, to) = (pool.process(1), ReceiveSide::default());
        assert!(send(&process, &SendSide::default(), 1));
        let taken = take(&process, &to, SlotState::Taking).unwrap();
        assert_eq!(process.description(&taken).unwrap().len, 1);
        assert!(process.read_bytes(&taken, &mut [0; 49]).is_err());
        process.read_bytes(&taken, &mut [0; 48]).unwrap();
    }
}
