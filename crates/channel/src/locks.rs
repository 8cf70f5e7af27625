//! The steps of locking a channel, and of those whom a lock or a quiesce keeps away.
//!
//! 1. **Take** the lock's word: another's is waited for, a dead process's is broken. Commit point: no message enters (or
//!    leaves) by a claim that was made behind it.
//! 2. **Look** at each slot, for claims made before: a sender's is revoked, whether it was slow or not, for that costs it
//!    no more than its turn; a receiver's, who has the message, is waited for. The dead are buried.
//!
//! Who claims looks whether there is a lock behind its claim, so one of the two sees the other. A sender then gives the
//! position up, before it has written anything; a receiver gives the message back, unmarked, to be received first.
//!
//! A lock keeps everybody away, its holder included: what its holder may do is look, and release it.

use std::time::Instant;

use weyr_shared::fault::{self, Fault};
use weyr_shared::{Holder, Lap, LockWord, RingLock, SlotState, SlotWord};

use crate::attached::Attached;
use crate::hindrance::Hindrance;
use crate::host::Host;
use crate::poll::Onlooker;
use crate::receive::Taken;
use crate::send::Claim;
use crate::wait::{Attempt, Tried, Waiter};
use crate::{Error, PollEvents, WaitMode};

/// Steps of a look at all slots that models tell apart.
const STEP_LOOK: u32 = 1 << 29;

/// How long a call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    None,
    /// Until then, or without limit.
    Until(Option<Instant>),
}

/// Whose claims are to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claims {
    Senders,
    Receivers,
    /// And those of whom a revoked sender may still write.
    All,
}

impl Claims {
    fn of(lock: RingLock) -> Self {
        match lock {
            RingLock::Write => Self::Senders,
            RingLock::Read => Self::Receivers,
        }
    }

    fn has(self, state: SlotState) -> bool {
        use SlotState::{Filling, Leased, Reserved, Taking};
        match self {
            Self::Senders => matches!(state, Filling | Reserved),
            Self::Receivers => matches!(state, Taking | Leased),
            Self::All => state.names_holder(),
        }
    }
}

/// Those whom a lock or a quiesce keeps away.
impl<H: Host> Attached<H> {
    /// What a try is told that must not go on; none: nothing is in its way. A holder that stays for longer than patience
    /// is asked whether it lives.
    ///
    /// # Errors
    /// [`Error::Destroyed`], [`Error::NotForMessages`], [`Error::Corrupt`].
    #[cold]
    pub(crate) fn held_up<T>(
        &self,
        lock: RingLock,
        hindrance: &Hindrance,
        attempt: Attempt,
    ) -> Result<Option<Tried<T>>, Error> {
        loop {
            self.check_usable()?;
            self.check_use()?;
            let bar = self.ring.bar(lock)?;
            if bar.is_quiesced {
                return Ok(Some(Tried::EMPTY));
            }
            let Some(holder) = bar.word.holder() else { return Ok(None) };
            if !self.host.is_patience_over(hindrance, as_of_slot(bar.word, holder), attempt.patience) {
                return Ok(Some(Tried::Blocked { hindered: true }));
            }
            if !self.break_lock(lock, bar.word, holder) {
                return Ok(Some(Tried::EMPTY));
            }
        }
    }

    /// Whether the holder of a lock is dead; then the pool was recovered from it, and the lock ended.
    fn break_lock(&self, lock: RingLock, word: LockWord, holder: Holder) -> bool {
        if !self.host.is_dead(holder) {
            return false;
        }
        self.host.recover(holder.process);
        // What recovery leaves: the name of one whom the pool no longer knows.
        self.ring.end_lock(lock, word, self.host.futex());
        true
    }

    /// Behind a claim, when there may be a lock: whether there is one, and the claim was given up.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; the claim was given up.
    #[cold]
    pub(crate) fn withdraw(&self, claim: Claim) -> Result<bool, Error> {
        let shut = self.ring.is_shut(RingLock::Write);
        if shut != Ok(false) {
            self.abandon(claim)?;
        }
        Ok(shut?)
    }

    /// What was taken, unless there is a lock or a quiesce by now: then it is given back.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; it was given back, if it could be.
    #[cold]
    pub(crate) fn unless_shut(&self, taken: Taken) -> Result<Tried<Taken>, Error> {
        let shut = self.ring.is_shut(RingLock::Read);
        if shut == Ok(false) {
            return Ok(Tried::Done(taken));
        }
        self.put_back(taken, false)?;
        shut?;
        Ok(Tried::EMPTY)
    }

    /// What keeps users away now, as an error.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub(crate) fn bar(&self, lock: RingLock) -> Result<Option<Error>, Error> {
        let bar = self.ring.bar(lock)?;
        let locked = bar.word.holder().map(|holder| locked(lock, holder));
        Ok(if bar.is_quiesced { Some(Error::Quiesced) } else { locked })
    }

    /// What a call that does not wait says after a try that was blocked: `blocked`, unless a lock or a quiesce was in the
    /// way. Where one came or went meanwhile it tries again.
    ///
    /// # Errors
    /// [`Error::WriteLocked`], [`Error::ReadLocked`], [`Error::Quiesced`], `blocked`; those of `again`.
    #[cold]
    pub(crate) fn say_why<T>(
        &self,
        lock: RingLock,
        blocked: Error,
        again: impl Fn() -> Result<Tried<T>, Error>,
    ) -> Result<T, Error> {
        loop {
            let before = self.ring.bar(lock)?;
            if before.is_new() {
                return Err(blocked);
            }
            if let Some(error) = self.bar(lock)? {
                return Err(error);
            }
            match again()? {
                Tried::Done(done) => return Ok(done),
                Tried::Blocked { .. } if self.ring.bar(lock)? == before => return Err(blocked),
                Tried::Blocked { .. } => {}
            }
        }
    }
}

fn locked(lock: RingLock, holder: Holder) -> Error {
    let process = holder.process;
    match lock {
        RingLock::Write => Error::WriteLocked { process },
        RingLock::Read => Error::ReadLocked { process },
    }
}

/// For the clock behind patience.
fn as_of_slot(word: LockWord, holder: Holder) -> SlotWord {
    SlotWord::held(SlotState::Leased, holder, Lap::new(word.number()))
}

/// Those who lock.
impl<H: Host> Attached<H> {
    /// Locks the channel: nobody sends, or receives, any more, and nobody is in the middle of it.
    ///
    /// # Errors
    /// [`Error::Quiesced`], [`Error::Destroyed`], [`Error::Corrupt`]. Without patience [`Error::WriteLocked`] or
    /// [`Error::ReadLocked`], and else [`Error::Timeout`], when it is another's; [`Error::InHands`] when somebody keeps a
    /// message in hands. The lock is not this process's then.
    pub fn lock(&self, lock: RingLock, patience: Patience) -> Result<LockWord, Error> {
        let (mut waiter, onlooker) = (idle_waiter(patience), self.onlooker());
        let word = loop {
            self.host.before_try(waiter.remembered(1));
            match self.try_take_lock(lock)? {
                Ok(word) => break word,
                Err(holder) if patience == Patience::None => return Err(locked(lock, holder)),
                Err(_) => waiter.pause(&onlooker, false)?,
            }
        };
        let over = self.wait_for_end_of(Claims::of(lock), patience, word.bits());
        if over.is_err() {
            self.ring.end_lock(lock, word, self.host.futex());
        }
        over.map(|()| word)
    }

    /// Ends a lock of this process.
    ///
    /// # Errors
    /// [`Error::Quiesced`]: it stays.
    pub fn unlock(&self, lock: RingLock, word: LockWord) -> Result<(), Error> {
        if self.ring.is_quiesced() {
            return Err(Error::Quiesced);
        }
        self.end_lock(lock, word);
        Ok(())
    }

    /// The same, also while the channel is quiesced.
    pub fn end_lock(&self, lock: RingLock, word: LockWord) {
        let _ended_before = self.ring.end_lock(lock, word, self.host.futex());
    }

    /// The word of the lock, this process's now, or else whose it is.
    fn try_take_lock(&self, lock: RingLock) -> Result<Result<LockWord, Holder>, Error> {
        let me = self.me()?;
        loop {
            self.check_usable()?;
            if self.ring.is_quiesced() {
                return Err(Error::Quiesced);
            }
            let seen = self.ring.lock(lock)?;
            match seen.holder() {
                Some(holder) if !self.break_lock(lock, seen, holder) => return Ok(Err(holder)),
                Some(_) => {}
                None => {
                    if let Some(word) = self.ring.take_lock(lock, seen, me) {
                        return Ok(Ok(word));
                    }
                }
            }
        }
    }

    /// Behind a lock or a quiesce, whose word is `behind`: until nobody whom it is about is in the middle of a message.
    ///
    /// # Errors
    /// [`Error::InHands`] at the end of patience; [`Error::Destroyed`], [`Error::Corrupt`].
    pub(crate) fn wait_for_end_of(
        &self,
        claims: Claims,
        patience: Patience,
        behind: u64,
    ) -> Result<(), Error> {
        let (mut waiter, onlooker) = (idle_waiter(patience), self.onlooker());
        loop {
            self.check_usable()?;
            self.host.before_try(waiter.remembered(behind));
            let Some(holder) = self.end_claims(claims)? else { return Ok(()) };
            if claims == Claims::All && !self.ring.is_quiesced() {
                return Ok(());
            }
            let in_hands = Error::InHands { process: holder.process };
            if patience == Patience::None {
                return Err(in_hands);
            }
            waiter
                .pause(&onlooker, false)
                .map_err(|error| if error == Error::Timeout { in_hands } else { error })?;
        }
    }

    /// Ends the claims that can be ended; one whose claim stays, if there is any.
    fn end_claims(&self, claims: Claims) -> Result<Option<Holder>, Error> {
        let mut stays = None;
        if fault::is(Fault::LockLooksAtNoSlot) {
            return Ok(None);
        }
        for index in 0..self.ring.slot_count() {
            self.host.at_step(STEP_LOOK + 2 * index + u32::from(stays.is_some()));
            stays = stays.or(self.end_claim(claims, index)?);
        }
        Ok(stays)
    }

    fn end_claim(&self, claims: Claims, index: u32) -> Result<Option<Holder>, Error> {
        loop {
            let word = self.ring.load(index)?;
            if !claims.has(word.state) {
                return Ok(None);
            }
            if self.bury(index, word)? {
                continue;
            }
            match word.state {
                SlotState::Filling => {
                    let revoked = word.held_by(SlotState::Revoked, word.holder).laps_later(1);
                    self.revoked(index, word, revoked)?;
                }
                SlotState::Reserved => {
                    self.end_reservation(index, word)?;
                }
                _ => return Ok(Some(word.holder)),
            }
        }
    }

    /// A sleep that ends when a message goes, comes back or is given up, or when a lock ends, and that takes nobody's
    /// wake.
    fn onlooker(&self) -> Onlooker<'_, H::Futex> {
        Onlooker::new(&self.ring, self.host.futex(), PollEvents::IN.or(PollEvents::OUT))
    }
}

fn idle_waiter(patience: Patience) -> Waiter {
    match patience {
        // Never asked to wait.
        Patience::None => Waiter::new(WaitMode::Idle, None),
        Patience::Until(deadline) => Waiter::new(WaitMode::Idle, deadline),
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fake_pool::{FakeHost, FakePool, receive, send};
    use crate::receive::ReceiveSide;
    use crate::send::{Bytes, SendSide};
    use crate::wait::POLLING_PATIENCE;

    type Process = Attached<FakeHost>;

    fn lock(process: &Process, lock: RingLock) -> Result<LockWord, Error> {
        process.lock(lock, Patience::None)
    }

    #[test]
    fn a_sender_whose_claim_comes_behind_a_write_lock_gives_it_up() {
        let pool = FakePool::new(2);
        let (slow, locker, to) = (pool.process(1), pool.process(2), ReceiveSide::default());
        let from = SendSide::default();
        let Ok(Tried::Done(late)) = slow.claim(&from, slow.me().unwrap(), Attempt::AT_ONCE) else { panic!() };
        let word = locker.ring.take_lock(
            RingLock::Write,
            locker.ring.lock(RingLock::Write).unwrap(),
            locker.me().unwrap(),
        );
        assert!(!slow.is_sent(&from, late, &Bytes(&[1])).unwrap());
        assert_eq!(receive(&locker, &to), None);
        locker.end_lock(RingLock::Write, word.unwrap());
        assert!(send(&slow, &from, 2));
        assert_eq!(receive(&locker, &to), Some((2, false)));
    }

    #[test]
    fn a_write_lock_revokes_who_is_in_the_middle_of_a_send() {
        let pool = FakePool::new(2);
        let (slow, locker) = (pool.process(1), pool.process(2));
        let (from, to) = (SendSide::default(), ReceiveSide::default());
        let Ok(Tried::Done(claim)) = slow.claim(&from, slow.me().unwrap(), Attempt::AT_ONCE) else {
            panic!()
        };
        slow.fill(claim, &Bytes(&[1])).unwrap();
        let word = lock(&locker, RingLock::Write).unwrap();
        assert!(!slow.publish(claim).unwrap());
        slow.give_back(claim).unwrap();
        assert!(!send(&slow, &from, 1) && receive(&locker, &to).is_none());
        assert_eq!(locker.unlock(RingLock::Write, word), Ok(()));
        assert!(send(&slow, &from, 1));
    }

    #[test]
    fn what_was_taken_before_a_read_lock_was_seen_is_given_back_unmarked_and_comes_first() {
        let pool = FakePool::new(3);
        let (late, locker) = (pool.process(1), pool.process(2));
        let (from, to) = (SendSide::default(), ReceiveSide::default());
        assert!((1..4).all(|byte| send(&late, &from, byte)));
        let tried = late.take_next(
            late.ring.lowest(),
            &to,
            late.me().unwrap(),
            SlotState::Taking,
            Attempt::AT_ONCE,
            None,
        );
        let Ok(Tried::Done(taken)) = tried else { panic!() };
        assert_eq!(lock(&locker, RingLock::Read), Err(Error::InHands { process: 1 }));
        let free = locker.ring.lock(RingLock::Read).unwrap();
        let word = locker.ring.take_lock(RingLock::Read, free, locker.me().unwrap()).unwrap();
        assert!(matches!(late.unless_shut(taken), Ok(Tried::Blocked { .. })));
        assert_eq!(receive(&late, &to), None);
        locker.end_lock(RingLock::Read, word);
        let received: Vec<_> = (0..3).filter_map(|_| receive(&late, &to)).collect();
        assert_eq!(received, [(1, false), (2, false), (3, false)]);
    }

    #[test]
    fn a_dead_holders_lock_is_broken_by_who_is_hindered_and_by_who_locks() {
        for kind in RingLock::ALL {
            let pool = FakePool::new(2);
            let (dying, other) = (pool.process(1), pool.process(2));
            let (from, to) = (SendSide::default(), ReceiveSide::default());
            assert!(send(&other, &from, 1));
            lock(&dying, kind).unwrap();
            assert_eq!(lock(&other, kind), Err(locked(kind, dying.me().unwrap())));
            let held_up = |pool: &FakePool| {
                let first = if kind == RingLock::Write {
                    send(&other, &from, 2)
                } else {
                    receive(&other, &to).is_some()
                };
                pool.pass(POLLING_PATIENCE);
                let second = if kind == RingLock::Write {
                    send(&other, &from, 2)
                } else {
                    receive(&other, &to).is_some()
                };
                (first, second)
            };
            assert_eq!(held_up(&pool), (false, false));
            pool.kill(1);
            assert_eq!(held_up(&pool), (false, true));
            assert_eq!(pool.recovered(), [1]);
            let word = lock(&other, kind).unwrap();
            other.end_lock(kind, word);
        }
    }

    #[test]
    fn the_repair_of_the_dead_ends_their_locks() {
        let pool = FakePool::new(2);
        let (dying, other) = (pool.process(1), pool.process(2));
        for kind in RingLock::ALL {
            lock(&dying, kind).unwrap();
        }
        pool.kill(1);
        pool.recover(1);
        assert!(RingLock::ALL.iter().all(|kind| !other.ring.is_shut(*kind).unwrap()));
    }

    #[test]
    fn a_call_that_does_not_wait_says_what_was_in_its_way() {
        let pool = FakePool::new(1);
        let (one, from) = (pool.process(1), SendSide::default());
        let again = || one.try_send(&from, &Bytes(&[1]), Attempt::AT_ONCE);
        assert!(send(&one, &from, 1));
        assert_eq!(one.say_why(RingLock::Write, Error::Full, again), Err(Error::Full));
        let word = lock(&one, RingLock::Write).unwrap();
        assert_eq!(one.say_why(RingLock::Write, Error::Full, again), Err(Error::WriteLocked { process: 1 }));
        one.end_lock(RingLock::Write, word);
        assert_eq!(one.say_why(RingLock::Write, Error::Full, again), Err(Error::Full));
        assert_eq!(receive(&one, &ReceiveSide::default()), Some((1, false)));
        assert_eq!(
            one.say_why(RingLock::Write, Error::Full, again),
            Ok(()),
            "the lock was all that was in the way"
        );
    }

    #[test]
    fn waiting_for_a_lock_ends_at_the_deadline() {
        let pool = FakePool::new(1);
        let (one, two, from) = (pool.process(1), pool.process(2), SendSide::default());
        let soon = || Patience::Until(Some(Instant::now() + Duration::from_millis(1)));
        let word = lock(&one, RingLock::Read).unwrap();
        assert_eq!(two.lock(RingLock::Read, soon()), Err(Error::Timeout));
        one.end_lock(RingLock::Read, word);
        assert!(send(&one, &from, 1));
        let lease = one.try_take(&ReceiveSide::default(), SlotState::Leased, Attempt::AT_ONCE).unwrap();
        assert_eq!(two.lock(RingLock::Read, soon()), Err(Error::InHands { process: 1 }));
        assert!(!two.ring.is_shut(RingLock::Read).unwrap());
        let Tried::Done(lease) = lease else { panic!() };
        one.release(lease).unwrap();
        assert!(lock(&two, RingLock::Read).is_ok());
    }
}
