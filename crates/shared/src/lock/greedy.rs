//! The lock that whoever comes first gets: the smallest and, where many want it, the fastest.
//!
//! One word says who has it, one is what its waiters sleep on ([`Event`]). A release makes it free and wakes one; a
//! newcomer may be faster than that one, so a waiter can be overtaken any number of times. Until the one that was woken
//! runs, and announces itself and the others again, releases wake nobody: who has the processor may take the lock many
//! times for one wake.
//!
//! Whoever dies or stands still is in nobody's way but as the owner: a waiter has no place that anybody waits for. A
//! wake that was spent on one that is dead or stopped is made good by the others, each of which looks at the lock once
//! in 10 ms.
//!
//! Source: Dragon, `DRAGON_LOCK_GREEDY`; pthread_mutexattr_setrobust(3).

use weyr_atomic::{AtomicU32, AtomicU64, Ordering, publish_then_look};

use super::patience::{Slice, Until, spin_until};
use super::word::{OwnerState, OwnerWord};
use super::{Held, Lock, LockError, Participant, owner_corrupt};
use crate::fault::{self, Fault};
use crate::{Actor, Awake, Corrupt, Event};

crate::layout! {
    /// A lock that whoever comes first gets. All zero: free, and nobody waits.
    pub struct GreedyLock: 16, align 8 {
        /// Who has it: `state:2 | waiters:1 | suspect:1 | zero:4 | process:16 | epoch:28 | zero:12`; changed by compare-exchange, by who takes and releases it. Zero: free.
        0 => owner: AtomicU64,
        /// Event word of those who wait; zero: nobody ever slept.
        8 => waiters: AtomicU32,
        /// Zero.
        12 => reserved: AtomicU32,
    }
}

impl GreedyLock {
    fn load(&self) -> OwnerWord {
        OwnerWord(self.owner.load(Ordering::SeqCst))
    }

    /// Commit point of acquiring: the word names the new owner.
    fn change(&self, from: OwnerWord, to: OwnerWord) -> bool {
        publish_then_look(&self.owner, from.0, to.0).is_ok()
    }

    /// Takes it if it is free, or if `ask` and its owner is dead.
    fn take_now(&self, by: &impl Participant, me: Actor, ask: bool) -> Result<Option<Held>, Corrupt> {
        loop {
            let seen = self.load();
            let suspect = match seen.state() {
                OwnerState::Free => seen.is_suspect(),
                OwnerState::Held(owner) if ask && by.is_dead(owner) => true,
                OwnerState::Held(_) => return Ok(None),
                OwnerState::Handed(..) | OwnerState::Unknown => return Err(owner_corrupt()),
            };
            let own = OwnerWord::held(me).with_suspect(suspect);
            if self.change(seen, own) {
                return Ok(Some(Held::of(own)));
            }
        }
    }

    #[cold]
    fn take_slowly(&self, by: &impl Participant, me: Actor, until: Until) -> Result<Held, LockError> {
        if until == Until::Now {
            return self.take_now(by, me, true)?.ok_or(LockError::Busy);
        }
        spin_until(|| self.load().state() == OwnerState::Free);
        let mut ask = false;
        loop {
            by.at_step(&[1, u64::from(ask)]);
            // Before the look, and for the others too: who woke this one has taken the bit away.
            let armed = Event::new(&self.waiters, by.futex()).arm();
            by.at_step(&[2, u64::from(ask), armed.value().into()]);
            if let Some(held) = self.take_now(by, me, ask)? {
                return Ok(held);
            }
            let Some(Slice { time, is_last }) = until.slice(by) else { return Err(LockError::Timeout) };
            let awake = Event::new(&self.waiters, by.futex()).sleep(armed, time);
            ask = awake == Awake::TimedOut;
            if awake == Awake::Woken
                && fault::is(Fault::WokenForgetsOthers)
                && let Some(held) = self.take_now(by, me, false)?
            {
                return Ok(held);
            }
            if ask && is_last {
                return self.take_now(by, me, true)?.ok_or(LockError::Timeout);
            }
        }
    }
}

impl Lock for GreedyLock {
    fn owner_word(&self) -> &AtomicU64 {
        &self.owner
    }

    #[inline]
    fn take(&self, by: &impl Participant, until: Until) -> Result<Held, LockError> {
        let me = by.me().ok_or(LockError::Forked)?;
        let own = OwnerWord::held(me);
        // Acquire: pairs with the release of the last owner.
        match self.owner.compare_exchange(OwnerWord::FREE.0, own.0, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(Held::of(own)),
            Err(_) => self.take_slowly(by, me, until),
        }
    }

    /// Commit point: the word is FREE. Before it the lock is still its owner's, and a death is that of an owner; behind
    /// it somebody may miss a wake, and looks by itself.
    #[inline]
    fn give_back(&self, by: &impl Participant, held: Held) -> Result<(), Corrupt> {
        let own = held.own();
        // SeqCst: the look at the event word comes behind it.
        let seen = match publish_then_look(&self.owner, own.0, OwnerWord::FREE.0) {
            Ok(_) => own,
            Err(seen) => OwnerWord(seen),
        };
        // An owner's word changes under it in nothing but `suspect`, by itself.
        if seen != own {
            let free = OwnerWord::FREE.with_suspect(true);
            if seen != own.with_suspect(true) || !self.change(seen, free) {
                return Err(owner_corrupt());
            }
        }
        Event::new(&self.waiters, by.futex()).signal_next();
        Ok(())
    }

    fn recover(&self, by: &impl Participant) -> Result<u32, LockError> {
        let seen = self.load();
        match seen.state() {
            OwnerState::Held(owner) if by.is_dead(owner) => {}
            OwnerState::Free | OwnerState::Held(_) => return Ok(0),
            OwnerState::Handed(..) | OwnerState::Unknown => return Err(owner_corrupt().into()),
        }
        let recovered = self.change(seen, OwnerWord::FREE.with_suspect(true));
        Event::new(&self.waiters, by.futex()).signal_next();
        Ok(recovered.into())
    }

    fn verify(&self) -> Vec<Corrupt> {
        let seen = self.load();
        let is_known = matches!(seen.state(), OwnerState::Free | OwnerState::Held(_)) && !seen.has_waiters();
        if is_known { vec![] } else { vec![owner_corrupt()] }
    }
}
