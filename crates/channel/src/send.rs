//! The steps of a send.
//!
//! 1. **Claim**: from the handle's position, find the slot at the tail; EMPTY to FILLING{me}.
//! 2. **Fill**: write the message; a block goes on its way only now, so that a claim that is lost costs nothing.
//! 3. **Publish**: FILLING{me} to FULL. Commit point: before it nothing was sent, after it the message is the
//!    channel's, whoever dies. It fails when a receiver has revoked the claim of a slow sender: then the block is taken
//!    back first, the slot given back next, and all begins again.
//!
//! A sender that dies before its publish leaves a slot that names it, and perhaps a block on its way that no message
//! refers to; recovery ends the one and frees the other. A position at which somebody holds the slot for longer than
//! patience lasts is left out, the slot moving on by a lap in its holder's hands: **going round**.

use std::time::Instant;

use weyr_shared::{Corrupt, Holder, Level, Position, RingLock, Sleeper, SlotState, SlotWord};

use crate::attached::Attached;
pub use crate::claim::Claim;
use crate::expected::Unexpected;
use crate::host::Host;
pub use crate::payload::{Bytes, Outgoing, Transfer};
pub use crate::send_side::SendSide;
use crate::wait::{Attempt, Tried, Waiter};
use crate::walk::{End, Walk};
use crate::{Error, WaitMode};

/// What a sender sees in the slot at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Free for this place.
    Free,
    /// The place is over, or another sender's.
    Over,
    /// Somebody has the slot in hand since the lap before.
    Held,
    /// A message of the lap before, or one being written.
    Full,
    /// A lap that no slot can have while the place is the tail.
    Impossible,
}

/// What is to be thought of somebody in the way of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It was dead: the slot is to be looked at again.
    Gone,
    /// There is room behind it.
    Passable,
    /// It is to be waited for. `hindered`: until patience has run out.
    Stays {
        /// Whether to come back then.
        hindered: bool,
    },
}

pub(crate) fn view(word: SlotWord, place: Position) -> View {
    use SlotState::{Empty, Filling, Full, Reserved};
    match (word.lap.after(place.lap()), word.state) {
        (0, Empty) => View::Free,
        (0, Reserved | Filling | Full) | (1.., _) => View::Over,
        (0, _) => View::Held,
        (-1, Reserved | Filling | Full) => View::Full,
        _ => View::Impossible,
    }
}

/// Whether a slot behind those that are held is free for senders, or was already used by one.
pub(crate) fn is_room_behind(level: Level<'_>, place: Position) -> Result<bool, Corrupt> {
    let mut place = place.next(level.capacity());
    for _ in 1..level.capacity() {
        match view(level.load(place)?, place) {
            View::Free | View::Over => return Ok(true),
            View::Held => place = place.next(level.capacity()),
            View::Full | View::Impossible => return Ok(false),
        }
    }
    Ok(false)
}

/// The steps.
impl<H: Host> Attached<H> {
    /// Step 1.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    #[inline]
    pub fn claim(&self, side: &SendSide, me: Holder, attempt: Attempt) -> Result<Tried<Claim>, Error> {
        if self.ring.levels() > 1 {
            return self.claim_among_levels(side, me, attempt);
        }
        self.claim_in(self.ring.lowest(), side, me, attempt, SlotState::Filling, None)
    }

    /// The place at the tail of `level`, by making its slot FILLING or RESERVED; `seen`: a look that was
    /// done already.
    pub(crate) fn claim_in(
        &self,
        level: Level<'_>,
        side: &SendSide,
        me: Holder,
        attempt: Attempt,
        state: SlotState,
        seen: Option<(Position, SlotWord)>,
    ) -> Result<Tried<Claim>, Error> {
        let mut walk = Walk::new(level, End::Tail, &side.position).behind(seen);
        let mut rounds = 0;
        while let Some(word) = walk.look()? {
            match view(word, walk.place) {
                View::Free => {
                    let claim = Claim::new(level.slot_at(walk.place), word.held_by(state, me));
                    if self.is_claimed(claim, word)? {
                        walk.advance(&side.position);
                        return Ok(Tried::Done(claim));
                    }
                }
                View::Over => walk.go_on(word)?,
                View::Held | View::Full => {
                    match self.overcome(level, side, walk.place, word, attempt, &mut rounds)? {
                        Tried::Done(()) => {}
                        Tried::Blocked { hindered } => {
                            walk.keep(&side.position);
                            return Ok(Tried::Blocked { hindered });
                        }
                    }
                }
                View::Impossible => {
                    return Err(Corrupt::new("lap of a slot", walk.place.index().into()).into());
                }
            }
        }
        walk.keep(&side.position);
        Ok(Tried::EMPTY)
    }

    #[inline]
    fn is_claimed(&self, claim: Claim, free: SlotWord) -> Result<bool, Corrupt> {
        match claim.word().state {
            // Behind it the sender looks at the other slots, as do all others that reserve.
            SlotState::Reserved => self.ring.publish(claim.index, free, claim.word()),
            _ => self.ring.claim(claim.index, free, claim.word()),
        }
    }

    /// Done: the slot is to be looked at again.
    #[cold]
    fn overcome(
        &self,
        level: Level<'_>,
        side: &SendSide,
        place: Position,
        word: SlotWord,
        attempt: Attempt,
        rounds: &mut u32,
    ) -> Result<Tried<()>, Error> {
        match self.judge_obstacle(level, side, place, word, attempt)? {
            Obstacle::Gone => Ok(Tried::Done(())),
            Obstacle::Passable if *rounds < level.capacity() => {
                *rounds += 1;
                // Failed or not, the word is another one now.
                self.ring.claim(level.slot_at(place), word, word.laps_later(1))?;
                Ok(Tried::Done(()))
            }
            Obstacle::Passable => Ok(Tried::Blocked { hindered: true }),
            Obstacle::Stays { hindered } => Ok(Tried::Blocked { hindered }),
        }
    }

    /// What is to be thought of who has the slot at the tail. The dead are buried.
    pub(crate) fn judge_obstacle(
        &self,
        level: Level<'_>,
        side: &SendSide,
        place: Position,
        word: SlotWord,
        attempt: Attempt,
    ) -> Result<Obstacle, Error> {
        if word.state == SlotState::Full {
            self.note_full(side);
            return Ok(Obstacle::Stays { hindered: false });
        }
        let outlasted = self.host.is_patience_over(&side.hindrance, word, attempt.patience);
        if outlasted && self.bury(level.slot_at(place), word)? {
            return Ok(Obstacle::Gone);
        }
        // Nobody expects a lease or a message given back to be over soon.
        let at_once = word.state == SlotState::Leased || word.state.is_returned();
        let may_pass = word.state.may_be_passed() && (outlasted || at_once);
        if may_pass && is_room_behind(level, place)? {
            return Ok(Obstacle::Passable);
        }
        Ok(Obstacle::Stays { hindered: !outlasted })
    }

    /// Step 2.
    ///
    /// # Errors
    /// Those of the pool; the claim was abandoned then.
    #[inline]
    pub fn fill<M: Outgoing<H>>(&self, claim: Claim, message: &M) -> Result<(), Error> {
        if self.ring.has_buffer_pool() {
            self.end_leftover(claim.index)?;
        }
        let filled = message.fill(&self.host, &self.ring, claim);
        if filled.is_err() {
            // Nothing was lent, so the slot has nothing.
            self.ring.spend(claim.index)?;
            self.abandon(claim)?;
        }
        filled
    }

    /// Step 3. False: revoked; the message has not been sent and the slot is still this process's, to be given back.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    #[inline]
    pub fn publish(&self, claim: Claim) -> Result<bool, Error> {
        Ok(self.ring.publish(claim.index, claim.word(), claim.word().becomes(SlotState::Full))?)
    }

    /// After a publish that failed: gives the slot back. What the message had on its way was taken back before.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: the slot is no longer this process's.
    pub fn give_back(&self, claim: Claim) -> Result<(), Error> {
        let revoked = claim.word().held_by(SlotState::Revoked, claim.word().holder).laps_later(1);
        self.ring.release(claim.index, revoked, SlotState::Empty)?;
        self.ring.to_senders(self.host.futex()).signal();
        Ok(())
    }

    /// Gives up a claim for which there is no message: its position is over.
    pub(crate) fn abandon(&self, claim: Claim) -> Result<(), Error> {
        let over = claim.word().becomes(SlotState::Empty).laps_later(1);
        if !self.ring.publish(claim.index, claim.word(), over)? {
            return self.give_back(claim);
        }
        self.ring.to_receivers(self.host.futex()).signal();
        self.ring.to_senders(self.host.futex()).signal();
        Ok(())
    }

    /// All steps, without waiting.
    ///
    /// # Errors
    /// [`Error::Destroyed`], [`Error::Corrupt`], or the pool's. Nothing was sent.
    #[inline]
    pub fn try_send<M: Outgoing<H>>(
        &self,
        side: &SendSide,
        message: &M,
        attempt: Attempt,
    ) -> Result<Tried<()>, Error> {
        let unexpected = match self.claim_expected(side) {
            Ok(claim) if self.is_sent(side, claim, message)? => return Ok(Tried::Done(())),
            Ok(_) => Unexpected::Unknown,
            Err(unexpected) => unexpected,
        };
        self.send_unexpected(side, message, attempt, unexpected)
    }

    /// The same behind [`claim_expected`](Self::claim_expected).
    #[cold]
    pub(crate) fn send_unexpected<M: Outgoing<H>>(
        &self,
        side: &SendSide,
        message: &M,
        attempt: Attempt,
        mut unexpected: Unexpected,
    ) -> Result<Tried<()>, Error> {
        if self.ring.levels() > 1 {
            return self.try_send_among_levels(side, message, attempt);
        }
        let (me, mut seen) = (self.me()?, self.look_done(unexpected)?);
        loop {
            if self.is_barred(RingLock::Write, unexpected)
                && let Some(held_up) = self.held_up(RingLock::Write, &side.hindrance, attempt)?
            {
                return Ok(held_up);
            }
            let level = self.ring.lowest();
            let claim = match self.claim_in(level, side, me, attempt, SlotState::Filling, seen.take())? {
                Tried::Done(claim) => claim,
                Tried::Blocked { hindered } => return Ok(Tried::Blocked { hindered }),
            };
            if self.is_sent(side, claim, message)? {
                return Ok(Tried::Done(()));
            }
            unexpected = Unexpected::Unknown;
        }
    }

    /// Steps 2 and 3, unless the channel was locked meanwhile. False: revoked or locked, and all was taken back.
    #[inline(always)]
    pub(crate) fn is_sent<M: Outgoing<H>>(
        &self,
        side: &SendSide,
        claim: Claim,
        message: &M,
    ) -> Result<bool, Error> {
        if self.ring.may_be_shut(RingLock::Write) && self.withdraw(claim)? {
            return Ok(false);
        }
        self.fill(claim, message)?;
        if !self.publish(claim)? {
            self.lose_turn(side, claim, message)?;
            return Ok(false);
        }
        self.ring.to_receivers(self.host.futex()).signal();
        side.messages.add(1);
        side.bytes_copied.add(message.bytes_copied());
        Ok(true)
    }

    #[cold]
    fn lose_turn<M: Outgoing<H>>(&self, side: &SendSide, claim: Claim, message: &M) -> Result<(), Error> {
        side.revoked.add(1);
        let taken_back = message.take_back(&self.host);
        if taken_back.is_ok() {
            self.ring.spend(claim.index)?;
        }
        self.give_back(claim)?;
        taken_back
    }

    /// All steps, waiting for a slot until `deadline`.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), and [`Error::Timeout`].
    pub fn send_until<M: Outgoing<H>>(
        &self,
        side: &SendSide,
        message: &M,
        mode: WaitMode,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let outcome = self.send_waiting(side, message, mode, deadline);
        self.end_wish(side);
        outcome
    }

    fn send_waiting<M: Outgoing<H>>(
        &self,
        side: &SendSide,
        message: &M,
        mode: WaitMode,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let mut waiter = Waiter::new(mode, deadline);
        let pace = side.pace.of(&waiter);
        pace.begin(side.messages.get());
        let event = self.counted(Sleeper::Sender, self.ring.to_senders(self.host.futex()));
        loop {
            self.host.before_try(waiter.remembered(side.position()));
            if side.courtesy.is_wary() && self.is_held_back(side, true)? {
                // The wake that it was given is for who is to go first.
                waiter.pass_on(&event, || true);
                self.give_way(side, deadline)?;
            }
            match self.try_send(side, message, waiter.attempt()) {
                Ok(Tried::Blocked { hindered }) => {
                    self.make_wish(side, waiter.polls_now())?;
                    pace.lost_with(waiter.pause(&event, hindered))?;
                }
                Ok(Tried::Done(())) => {
                    pace.end(waiter.polls());
                    waiter.pass_on(&event, || self.is_free_at(side));
                    return Ok(());
                }
                Err(error) => {
                    waiter.pass_on(&event, || true);
                    return Err(error);
                }
            }
        }
    }

    fn is_free_at(&self, side: &SendSide) -> bool {
        let Ok(level) = self.ring.level(side.level) else { return false };
        let mut walk = Walk::new(level, End::Tail, &side.position);
        matches!(walk.look(), Ok(Some(word)) if view(word, walk.place) == View::Free)
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use std::time::Duration;

    use weyr_atomic::Ordering;

    use super::*;
    use crate::fake_pool::{FakeHost, FakePool, Owner, receive, send};
    use crate::receive::ReceiveSide;
    use crate::wait::POLLING_PATIENCE;

    type Process = Attached<FakeHost>;

    fn claim(process: &Process, side: &SendSide) -> Claim {
        match process.claim(side, process.me().unwrap(), Attempt::AT_ONCE).unwrap() {
            Tried::Done(claim) => claim,
            Tried::Blocked { .. } => panic!("no slot is free"),
        }
    }

    #[test]
    fn messages_arrive_in_order_at_every_capacity() {
        for capacity in 1..5 {
            let pool = FakePool::new(capacity);
            let (sender, receiver) = (pool.process(1), pool.process(2));
            let (from, to) = (SendSide::default(), ReceiveSide::default());
            for round in 0..40_u8 {
                let batch = round % capacity as u8 + 1;
                (0..batch).for_each(|k| assert!(send(&sender, &from, round ^ k << 6)));
                (0..batch).for_each(|k| assert_eq!(receive(&receiver, &to), Some((round ^ k << 6, false))));
                assert_eq!(receive(&receiver, &to), None);
            }
        }
    }

    #[test]
    fn a_full_channel_takes_no_more_until_one_is_received() {
        let pool = FakePool::new(2);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        assert!(send(&process, &from, 1) && send(&process, &from, 2) && !send(&process, &from, 3));
        assert_eq!(receive(&process, &to), Some((1, false)));
        assert!(send(&process, &from, 3) && !send(&process, &from, 4));
    }

    #[test]
    fn a_new_handle_finds_the_tail_after_many_laps() {
        let pool = FakePool::new(3);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        for byte in 0..100 {
            assert!(send(&process, &from, byte));
            assert_eq!(receive(&process, &to), Some((byte, false)));
        }
        assert!(send(&process, &SendSide::default(), 7));
        assert_eq!(receive(&process, &ReceiveSide::default()), Some((7, false)));
    }

    #[test]
    fn a_hint_that_lies_is_not_believed() {
        let pool = FakePool::new(3);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        assert!(send(&process, &from, 1));
        for lie in [u64::MAX, u64::MAX >> 1, 3, 2, 1 << 28 | 5, 5 << 28] {
            pool.ring.header().tail.store(lie, Ordering::Relaxed);
            pool.ring.header().head.store(lie, Ordering::Relaxed);
            assert!(send(&process, &SendSide::default(), 2));
            assert_eq!(receive(&process, &to).map(|(byte, _)| byte != 0), Some(true));
        }
    }

    #[test]
    fn a_slow_sender_loses_its_turn_and_sends_again_behind_the_others() {
        let pool = FakePool::new(2);
        let (slow, quick, receiver) = (pool.process(1), pool.process(2), pool.process(3));
        let (from_slow, from_quick, to) = (SendSide::default(), SendSide::default(), ReceiveSide::default());
        let lost = claim(&slow, &from_slow);
        assert!(send(&quick, &from_quick, 2));
        assert_eq!(receive(&receiver, &to), None);
        pool.pass(POLLING_PATIENCE);
        assert_eq!(receive(&receiver, &to), Some((2, false)));
        slow.fill(lost, &Bytes(&[1])).unwrap();
        assert!(!slow.publish(lost).unwrap());
        slow.give_back(lost).unwrap();
        assert!(send(&slow, &from_slow, 1));
        assert_eq!(receive(&receiver, &to), Some((1, false)));
    }

    #[test]
    fn the_ring_goes_round_a_slot_whose_sender_was_revoked() {
        let pool = FakePool::new(3);
        let (slow, quick) = (pool.process(1), pool.process(2));
        let (from_slow, from_quick, to) = (SendSide::default(), SendSide::default(), ReceiveSide::default());
        let lost = claim(&slow, &from_slow);
        assert_eq!(receive(&quick, &to), None);
        pool.pass(POLLING_PATIENCE);
        assert_eq!(receive(&quick, &to), None);
        for byte in 0..20 {
            let sent = send(&quick, &from_quick, byte) || {
                pool.pass(POLLING_PATIENCE);
                send(&quick, &from_quick, byte)
            };
            assert!(sent);
            assert_eq!(receive(&quick, &to), Some((byte, false)));
        }
        slow.fill(lost, &Bytes(&[1])).unwrap();
        assert!(!slow.publish(lost).unwrap());
        slow.give_back(lost).unwrap();
        assert!(send(&slow, &from_slow, 1));
        assert_eq!(receive(&quick, &to), Some((1, false)));
    }

    #[test]
    fn a_revoked_block_is_the_senders_again_before_its_slot_is_given_back() {
        let pool = FakePool::new(2);
        let (slow, receiver) = (pool.process(1), pool.process(2));
        let (from, to) = (SendSide::default(), ReceiveSide::default());
        let message = pool.message(64, 1);
        let lost = claim(&slow, &from);
        slow.fill(lost, &message).unwrap();
        assert_eq!(pool.owner(64), Owner::InFlight(1));
        assert_eq!(receive(&receiver, &to), None);
        pool.pass(POLLING_PATIENCE);
        assert_eq!(receive(&receiver, &to), None);
        assert!(!slow.publish(lost).unwrap());
        slow.lose_turn(&from, lost, &message).unwrap();
        assert_eq!(pool.owner(64), Owner::Process(1));
        assert_eq!(slow.ring.references().count(), 0);
    }

    #[test]
    fn a_block_that_is_not_the_senders_to_give_costs_only_a_position() {
        let pool = FakePool::new(2);
        let (process, from, to) = (pool.process(1), SendSide::default(), ReceiveSide::default());
        let message = pool.message(64, 5);
        let tried = process.try_send(&from, &message, Attempt::AT_ONCE);
        assert_eq!(tried.err(), Some(Error::Stale));
        assert!(send(&process, &from, 1) && send(&process, &from, 2));
        assert_eq!(receive(&process, &to), Some((1, false)));
    }

    #[test]
    fn a_sender_that_died_in_its_claim_is_buried_by_the_receiver_that_it_hinders() {
        let pool = FakePool::new(2);
        let (dying, other) = (pool.process(1), pool.process(2));
        let (from, to) = (SendSide::default(), ReceiveSide::default());
        let message = pool.message(64, 1);
        let claimed = claim(&dying, &SendSide::default());
        dying.fill(claimed, &message).unwrap();
        pool.kill(1);
        assert!(send(&other, &from, 2));
        assert_eq!(receive(&other, &to), None);
        pool.pass(POLLING_PATIENCE);
        assert_eq!(receive(&other, &to), Some((2, false)));
        assert_eq!((pool.owner(64), pool.recovered()), (Owner::Free, vec![1]));
    }

    #[test]
    fn a_dead_receiver_is_buried_by_the_sender_that_it_hinders_and_its_message_comes_again() {
        let pool = FakePool::new(1);
        let (dying, other) = (pool.process(1), pool.process(2));
        let (from, to) = (SendSide::default(), ReceiveSide::default());
        assert!(send(&other, &from, 1));
        let taken = dying.try_take(&ReceiveSide::default(), SlotState::Taking, Attempt::AT_ONCE).unwrap();
        assert!(matches!(taken, Tried::Done(_)));
        pool.kill(1);
        assert!(!send(&other, &from, 2));
        pool.pass(POLLING_PATIENCE);
        assert!(!send(&other, &from, 2));
        assert_eq!(receive(&other, &to), Some((1, true)));
        assert!(send(&other, &from, 2));
        assert_eq!(receive(&other, &to), Some((2, false)));
    }

    #[test]
    fn waiting_for_a_slot_ends_at_the_deadline() {
        let pool = FakePool::new(1);
        let (process, from) = (pool.process(1), SendSide::default());
        assert!(send(&process, &from, 1));
        for mode in [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle] {
            let deadline = Some(Instant::now() + Duration::from_millis(1));
            assert_eq!(process.send_until(&from, &Bytes(&[2]), mode, deadline), Err(Error::Timeout));
        }
    }

    #[test]
    fn impossible_laps_are_corrupt() {
        let pool = FakePool::new(2);
        let (process, from) = (pool.process(1), SendSide::default());
        assert!(send(&process, &from, 1));
        let (full, empty) = (pool.ring.load(0).unwrap(), pool.ring.load(1).unwrap());
        assert!(pool.ring.claim(1, empty, empty.laps_later(u64::MAX)).unwrap());
        let tried = process.try_send(&from, &Bytes(&[1]), Attempt::AT_ONCE);
        assert!(matches!(tried, Err(Error::Corrupt(_))));
        assert!(pool.ring.claim(0, full, full.laps_later(u64::MAX)).unwrap());
        let tried = process.try_take(&ReceiveSide::default(), SlotState::Taking, Attempt::AT_ONCE);
        assert!(matches!(tried, Err(Error::Corrupt(_))));
    }
}
