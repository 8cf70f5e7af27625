//! A lock that is handed on in the order of tickets: the protocol of both FIFO kinds.
//!
//! The idea: **one word says whose the lock is**, and nothing else does; where nobody waits, taking and releasing it are
//! one compare-exchange each. Who has to wait takes a *place*, by a word that names it, so that its death is seen; then
//! a ticket; then it says so in the owner word. An owner that is through hands the lock to the lowest ticket, by name:
//! HANDED{place, ticket} is nobody's who comes by. The one so named takes it up.
//!
//! Everybody who looks at the owner word and finds it in the hands of nobody gives it on (`attend`): free beside a
//! queue, held by the dead, handed to one that is gone, dead, or did not take it up during a whole slice of the
//! looker's sleep. So no step of an owner or waiter is one that others wait for, but the owner's own release.
//!
//! **Strict order.** The lock goes from owner to owner in the order of tickets, among those who have announced
//! themselves in the owner word before the release. One that is stopped in the queue, or starved of the processor, is
//! *passed* when its turn is not taken up; it keeps its ticket, and is first again as soon as it moves.
//!
//! Source: Mellor-Crummey and Scott 1991 (a word of its own for each waiter); Lamport 1974 (tickets that are taken
//! under a name); Dragon, `DRAGON_LOCK_FIFO`.
//!
//! What it does not do: whoever finds no place waits for one, and there is no order among those.

use weyr_atomic::{AtomicU32, AtomicU64, Ordering, look_after_write, publish_then_look};

use super::patience::{PATIENCE, Slice, Until, spin_until};
use super::word::{OwnerState, OwnerWord, PlaceState, PlaceWord};
use super::{Held, LockError, Participant, owner_corrupt};
use crate::fault::{self, Fault};
use crate::{Actor, Awake, Corrupt, Event};

/// Steps of models that keep what the step before them said.
pub const INNER: u64 = 100;

/// A place of one that waits.
pub trait Place {
    /// Who waits here, and how far it is.
    fn word(&self) -> &AtomicU64;
    /// Its ticket: written by its holder before it is WAITING.
    fn ticket(&self) -> &AtomicU64;
    /// Event word on which its holder sleeps.
    fn call(&self) -> &AtomicU32;
}

/// The words of a lock with a queue.
#[derive(Debug, Clone, Copy)]
pub struct Queue<'q, P> {
    /// Whose the lock is.
    pub owner: &'q AtomicU64,
    /// The next ticket.
    pub next_ticket: &'q AtomicU64,
    /// Event word of those who wait for a place.
    pub room: &'q AtomicU32,
    /// The places.
    pub places: &'q [P],
}

/// One that waits: where, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seat {
    place: u16,
    ticket: u64,
}

impl Seat {
    /// Whether the lock was handed to it.
    fn is_called_by(self, owner: OwnerWord) -> bool {
        owner.state() == OwnerWord::handed(self.place, self.ticket).state()
    }
}

/// For whom the owner word is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// For those who wait.
    Others,
    /// For one without a place, who has the lock where nobody waits.
    Passer(Actor),
    /// For one that waits.
    Waiter(Actor, Seat),
}

impl For {
    fn is_queued(self) -> bool {
        matches!(self, Self::Waiter(..))
    }
}

/// What became of a lock that was nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// Somebody else changed the word.
    Not,
    /// It is another's, or free.
    On,
    /// It is the caller's.
    Own(Held),
}

/// What a waiter may conclude of who is in the way.
#[derive(Debug, Clone, Copy, Default)]
struct Suspicion {
    /// A whole sleep was over, so it asks whether who is in the way is alive.
    ask: bool,
    /// What was handed to somebody before that sleep, and is given on if it is still so; 0: nothing.
    slow: u64,
}

impl Suspicion {
    /// Of one that has not slept.
    const ASKING: Self = Self { ask: true, slow: 0 };

    /// After a sleep of `slice` that was over, or ended by something else; `before` it the owner word was that.
    fn after(over: bool, slice: Slice, before: OwnerWord) -> Self {
        let handed = matches!(before.state(), OwnerState::Handed(..));
        let slow = if over && handed && slice.time >= PATIENCE { before.0 } else { 0 };
        Self { ask: over, slow }
    }

    fn numbers(self) -> (u64, u64) {
        (self.ask.into(), self.slow)
    }
}

impl<P: Place> Queue<'_, P> {
    /// Takes the lock, in order. One compare-exchange where it is free.
    #[inline]
    pub fn take(&self, by: &impl Participant, until: Until) -> Result<Held, LockError> {
        let me = by.me().ok_or(LockError::Forked)?;
        let own = OwnerWord::held(me);
        // Acquire: pairs with the release of the last owner. Nobody waits where the word is FREE.
        match self.owner.compare_exchange(OwnerWord::FREE.0, own.0, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(Held::of(own)),
            Err(_) => self.take_slowly(by, me, until),
        }
    }

    #[cold]
    fn take_slowly(&self, by: &impl Participant, me: Actor, until: Until) -> Result<Held, LockError> {
        if until == Until::Now {
            return self.attend(by, For::Passer(me), Suspicion::ASKING)?.ok_or(LockError::Busy);
        }
        by.at_step(&[0]);
        match self.enter(by, me)? {
            Some(seat) => self.wait(by, me, seat, until),
            None => self.wait_for_place(by, me, until),
        }
    }

    /// Waits until there is a place, and then in it.
    fn wait_for_place(&self, by: &impl Participant, me: Actor, until: Until) -> Result<Held, LockError> {
        let (event, mut suspicion) = (Event::new(self.room, by.futex()), Suspicion::default());
        loop {
            let (ask, slow) = suspicion.numbers();
            by.at_step(&[1, ask, slow]);
            if suspicion.ask {
                self.reap_all(by);
            }
            let armed = event.arm();
            by.at_step(&[6, ask, slow, armed.value().into()]);
            if let Some(seat) = self.enter(by, me)? {
                return self.wait(by, me, seat, until);
            }
            if let Some(held) = self.attend(by, For::Passer(me), suspicion)? {
                return Ok(held);
            }
            let Some(slice) = until.slice(by) else { return Err(self.timeout(by)) };
            let before = self.load();
            let over = event.sleep(armed, slice.time) == Awake::TimedOut;
            suspicion = Suspicion::after(over, slice, before);
            if over && slice.is_last {
                by.at_step(&[7, suspicion.slow]);
                let held = self.attend(by, For::Passer(me), suspicion)?;
                return held.ok_or_else(|| self.timeout(by));
            }
        }
    }

    /// Leaves those who wait for a place; a wake that was meant for it goes to another.
    fn timeout(&self, by: &impl Participant) -> LockError {
        Event::new(self.room, by.futex()).signal();
        LockError::Timeout
    }

    /// Waits in a place until the lock is taken up.
    fn wait(&self, by: &impl Participant, me: Actor, seat: Seat, until: Until) -> Result<Held, LockError> {
        let (place, mut suspicion) = (&self.places[usize::from(seat.place)], Suspicion::default());
        let event = Event::new(place.call(), by.futex());
        loop {
            let (ask, slow) = suspicion.numbers();
            by.at_step(&[2, ask, slow, seat.ticket, seat.place.into()]);
            spin_until(|| self.is_there_for(seat));
            // Before the looks: who hands it over behind them sees the bit.
            let armed = event.arm();
            by.at_step(&[3, ask, slow, seat.ticket, seat.place.into(), armed.value().into()]);
            self.come_back(place, me);
            let attended = self.attend(by, For::Waiter(me, seat), suspicion).transpose();
            if let Some(ended) = attended {
                by.at_step(&[9, seat.place.into(), ended.is_ok_and(Held::owner_died).into()]);
                self.leave(by, place);
                return Ok(ended?);
            }
            let Some(slice) = until.slice(by) else {
                return self.give_up(by, me, seat, Suspicion::ASKING);
            };
            let before = self.load();
            let over = event.sleep(armed, slice.time) == Awake::TimedOut;
            suspicion = Suspicion::after(over, slice, before);
            if over && slice.is_last {
                return self.give_up(by, me, seat, suspicion);
            }
        }
    }

    fn is_there_for(&self, seat: Seat) -> bool {
        let seen = OwnerWord(self.owner.load(Ordering::Relaxed));
        seen.state() == OwnerState::Free || seat.is_called_by(seen)
    }

    /// Takes a place and a ticket, if there is a place.
    ///
    /// Commit point: the place is WAITING. A death before it leaves a place that names the dead, which is in no queue.
    fn enter(&self, by: &impl Participant, me: Actor) -> Result<Option<Seat>, Corrupt> {
        let entering = PlaceWord::entering(me);
        let free = self.places.iter().position(|place| {
            let word = place.word();
            // Relaxed look; the exchange orders what follows behind the last holder's.
            word.load(Ordering::Relaxed) == PlaceWord::FREE.0
                && word
                    .compare_exchange(PlaceWord::FREE.0, entering.0, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        });
        let Some(index) = free else { return Ok(None) };
        by.at_step(&[8, index as u64]);
        let place = &self.places[index];
        let ticket = self.next_ticket.fetch_add(1, Ordering::AcqRel);
        // Relaxed: published by WAITING.
        place.ticket().store(ticket, Ordering::Relaxed);
        // SeqCst: the looks at the owner word come behind it; pairs with `release_slowly`.
        publish_then_look(place.word(), entering.0, PlaceWord::waiting(me).0)
            .map_err(|_| place_corrupt(index))?;
        Ok(Some(Seat { place: index as u16, ticket }))
    }

    /// Is in the queue again, if others went on without it.
    fn come_back(&self, place: &P, me: Actor) {
        let passed = PlaceWord::passed(me).0;
        if place.word().load(Ordering::Relaxed) == passed {
            let _waiting = publish_then_look(place.word(), passed, PlaceWord::waiting(me).0);
        }
    }

    /// Leaves the place to others. Its holder has the lock, or wants it no more.
    fn leave(&self, by: &impl Participant, place: &P) {
        by.at_step(&[INNER + 2]);
        // SeqCst: the looks at the owner word and at the event word come behind it; pairs with `give`.
        place.word().swap(PlaceWord::FREE.0, Ordering::SeqCst);
        look_after_write();
        Event::new(self.room, by.futex()).signal();
    }

    /// Leaves the queue: with the lock, if it was handed over just now or its owner is dead.
    fn give_up(
        &self,
        by: &impl Participant,
        me: Actor,
        seat: Seat,
        suspicion: Suspicion,
    ) -> Result<Held, LockError> {
        by.at_step(&[4, seat.ticket, seat.place.into(), suspicion.slow]);
        let place = &self.places[usize::from(seat.place)];
        let attended = self.attend(by, For::Waiter(me, seat), suspicion);
        let held = attended.ok().flatten();
        by.at_step(&[10, seat.ticket, held.is_some().into(), held.is_some_and(Held::owner_died).into()]);
        self.leave(by, place);
        if let Some(held) = attended? {
            return Ok(held);
        }
        // Who handed it to this place before it was left may be gone by now, and who does so behind it sees that.
        let called = self.load();
        if seat.is_called_by(called) && !fault::is(Fault::LeavesWithoutLook) {
            return self.take_up(me, called).ok_or(LockError::Timeout);
        }
        Err(LockError::Timeout)
    }

    /// Commit point of acquiring what was handed over.
    fn take_up(&self, me: Actor, called: OwnerWord) -> Option<Held> {
        let own = OwnerWord::held(me).with_waiters(true).with_suspect(called.is_suspect());
        self.change(called, own).then(|| Held::of(own))
    }

    /// Looks at the owner word, and gives the lock on where nobody has it. The lock, if it is the caller's now.
    fn attend(
        &self,
        by: &impl Participant,
        whom: For,
        suspicion: Suspicion,
    ) -> Result<Option<Held>, Corrupt> {
        loop {
            by.at_step(&[INNER]);
            let seen = self.load();
            let mut flags = seen;
            match seen.state() {
                OwnerState::Free if whom == For::Others && self.first().is_none() => return Ok(None),
                OwnerState::Free => {}
                OwnerState::Held(owner) if suspicion.ask && by.is_dead(owner) => {
                    flags = seen.with_suspect(true);
                }
                OwnerState::Held(_) if seen.has_waiters() || !whom.is_queued() => return Ok(None),
                OwnerState::Held(_) if self.announce(seen) => return Ok(None),
                OwnerState::Held(_) => continue,
                OwnerState::Handed(place, _) => match whom {
                    For::Waiter(me, seat) if seat.is_called_by(seen) => match self.take_up(me, seen) {
                        None => continue,
                        held => return Ok(held),
                    },
                    _ if self.is_coming(by, place, seen, suspicion) => return Ok(None),
                    _ => {}
                },
                OwnerState::Unknown => return Err(owner_corrupt()),
            }
            if let Given::Own(held) = self.give(by, seen, flags.is_suspect(), whom) {
                return Ok(Some(held));
            }
        }
    }

    /// Says in the owner word that somebody waits.
    fn announce(&self, seen: OwnerWord) -> bool {
        fault::is(Fault::WaitsUnannounced) || self.change(seen, seen.with_waiters(true))
    }

    /// Whether the one that the lock was handed to is there, alive as far as was asked, and was not waited for yet.
    fn is_coming(&self, by: &impl Participant, place: u16, seen: OwnerWord, suspicion: Suspicion) -> bool {
        let Some(at) = self.places.get(usize::from(place)) else { return false };
        let word = PlaceWord(at.word().load(Ordering::SeqCst));
        let ticket = at.ticket().load(Ordering::Relaxed);
        if word.state() != PlaceState::Waiting || OwnerWord::handed(place, ticket).state() != seen.state() {
            return false;
        }
        if suspicion.ask && by.is_dead(word.actor()) {
            self.free_place_of_dead(at, word);
            return false;
        }
        if suspicion.slow == seen.0 {
            let passed = PlaceWord::passed(word.actor());
            let _left_or_passed = publish_then_look(at.word(), word.0, passed.0);
            return false;
        }
        true
    }

    /// Changes the owner word from `from`, which is nobody's or the caller's to release, to the first of those who wait.
    ///
    /// Commit point: that exchange. A death behind it leaves a waiter that was not called, and looks by itself.
    fn give(&self, by: &impl Participant, from: OwnerWord, suspect: bool, whom: For) -> Given {
        let first = self.first();
        let waiters = from.state() != OwnerState::Free || whom.is_queued();
        let (to, own) = match (first, whom) {
            (Some(seat), For::Waiter(me, own)) if seat == own => (OwnerWord::held(me), Some(me)),
            (Some(seat), _) => (OwnerWord::handed(seat.place, seat.ticket), None),
            (None, For::Passer(me) | For::Waiter(me, _)) => (OwnerWord::held(me), Some(me)),
            (None, For::Others) => (OwnerWord::FREE, None),
        };
        let waiters = to != OwnerWord::FREE && (waiters || own.is_none());
        let to = to.with_waiters(waiters).with_suspect(suspect);
        by.at_step(&[INNER + 1, from.0, to.0]);
        if !self.change(from, to) {
            return Given::Not;
        }
        if let (Some(seat), None) = (first, own) {
            // Behind the owner word; pairs with the arming before the waiter's looks.
            self.call(by, seat);
            // It is on its way while that one works: where there are more who wait than processors, a turn would last
            // as long as a wake otherwise.
            if let Some(next) = self.behind(seat) {
                self.call(by, next);
            }
        }
        own.map_or(Given::On, |_| Given::Own(Held::of(to)))
    }

    /// Wakes one that waits. It alone sleeps on that word, and arms it anew before each look.
    fn call(&self, by: &impl Participant, seat: Seat) {
        Event::new(self.places[usize::from(seat.place)].call(), by.futex()).signal_next();
    }

    /// The one whose turn comes behind that of `seat`.
    fn behind(&self, seat: Seat) -> Option<Seat> {
        self.seats().filter(|other| other.ticket > seat.ticket).min_by_key(|seat| seat.ticket)
    }

    /// The lowest ticket in the queue.
    fn first(&self) -> Option<Seat> {
        self.seats().min_by_key(|seat| seat.ticket)
    }

    fn seats(&self) -> impl Iterator<Item = Seat> {
        let queued = |(index, place): (usize, &P)| {
            // SeqCst: behind the caller's own change. Its ticket was published by it.
            let word = PlaceWord(place.word().load(Ordering::SeqCst));
            let ticket = || place.ticket().load(Ordering::Relaxed);
            (word.state() == PlaceState::Waiting).then(|| Seat { place: index as u16, ticket: ticket() })
        };
        self.places.iter().enumerate().filter_map(queued)
    }

    /// Frees a place whose holder is dead.
    fn reap(&self, by: &impl Participant, place: &P) -> bool {
        let word = PlaceWord(place.word().load(Ordering::Acquire));
        let is_named = !matches!(word.state(), PlaceState::Free | PlaceState::Unknown);
        is_named && by.is_dead(word.actor()) && self.free_place_of_dead(place, word)
    }

    fn reap_all(&self, by: &impl Participant) -> usize {
        self.places.iter().filter(|place| self.reap(by, place)).count()
    }

    /// The dead do not come back, so the word is the same until somebody frees it.
    fn free_place_of_dead(&self, place: &P, word: PlaceWord) -> bool {
        publish_then_look(place.word(), word.0, PlaceWord::FREE.0).is_ok()
    }

    /// Releases the lock. One compare-exchange where nobody waits.
    ///
    /// Commit point: the owner word names another, or is FREE. Before it a death is that of an owner.
    #[inline]
    pub fn give_back(&self, by: &impl Participant, held: Held) -> Result<(), Corrupt> {
        let own = held.own();
        // Release: pairs with the next owner's acquiring. Who waits changes this word, so there is nobody to look for.
        match self.owner.compare_exchange(own.0, OwnerWord::FREE.0, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => self.release_slowly(by, own),
        }
    }

    #[cold]
    fn release_slowly(&self, by: &impl Participant, own: OwnerWord) -> Result<(), Corrupt> {
        loop {
            by.at_step(&[5]);
            let seen = self.load();
            if !seen.is_held_as(own) {
                return Err(owner_corrupt());
            }
            if self.first().is_some() {
                match self.give(by, seen, seen.is_suspect(), For::Others) {
                    Given::Not => continue,
                    // The one that it was handed to may have left before that.
                    _ if fault::is(Fault::HandsOverBlindly) => return Ok(()),
                    _ => return self.attend(by, For::Others, Suspicion::default()).map(drop),
                }
            }
            // Nobody waits. Who announced itself before the bit is gone is seen by the next look at the queue; who
            // comes behind it sets the bit again, and the word is not as it was.
            let to = if seen.has_waiters() && !fault::is(Fault::ReleaseLooksOnce) {
                seen.with_waiters(false)
            } else {
                OwnerWord::FREE.with_suspect(seen.is_suspect())
            };
            if self.change(seen, to) && to.state() == OwnerState::Free {
                return Ok(());
            }
        }
    }

    /// Puts right what the dead have left: the lock, and their places. Returns how many.
    pub fn recover(&self, by: &impl Participant) -> Result<u32, LockError> {
        let places = self.reap_all(by);
        let seen = self.load();
        let is_dead = matches!(seen.state(), OwnerState::Held(owner) if by.is_dead(owner));
        self.attend(by, For::Others, Suspicion::ASKING)?;
        if places > 0 {
            Event::new(self.room, by.futex()).signal();
        }
        Ok(places as u32 + u32::from(is_dead))
    }

    /// How many wait in places, in this instant.
    pub fn waiters(&self) -> usize {
        let words = self.places.iter().map(|place| PlaceWord(place.word().load(Ordering::Acquire)));
        words.filter(|word| word.is_queued()).count()
    }

    /// What is wrong with the words, whoever is in the middle of what.
    pub fn verify(&self) -> Vec<Corrupt> {
        let owner = self.load();
        let is_known = match owner.state() {
            OwnerState::Unknown => false,
            OwnerState::Handed(place, _) => usize::from(place) < self.places.len() && owner.has_waiters(),
            OwnerState::Free | OwnerState::Held(_) => true,
        };
        let wrong = (0..self.places.len()).filter(|&index| !self.is_sound(index)).map(place_corrupt);
        (!is_known).then(owner_corrupt).into_iter().chain(wrong).collect()
    }

    /// A place is of a known state, and its ticket was given out, to nobody else.
    fn is_sound(&self, index: usize) -> bool {
        let seat = |index: usize| {
            let place = &self.places[index];
            let (word, ticket) =
                (place.word().load(Ordering::Acquire), place.ticket().load(Ordering::Acquire));
            (PlaceWord(word), ticket, place.word().load(Ordering::Acquire) == word)
        };
        let (word, ticket, stood) = seat(index);
        if word.state() == PlaceState::Unknown || !word.is_queued() || !stood {
            return word.state() != PlaceState::Unknown;
        }
        let is_twin = |other: usize| {
            let (word, theirs, stood) = seat(other);
            word.is_queued() && theirs == ticket && stood
        };
        ticket < self.next_ticket.load(Ordering::Acquire) && !(0..index).any(is_twin)
    }

    fn load(&self) -> OwnerWord {
        // SeqCst: behind the caller's own change of a place.
        OwnerWord(self.owner.load(Ordering::SeqCst))
    }

    fn change(&self, from: OwnerWord, to: OwnerWord) -> bool {
        publish_then_look(self.owner, from.0, to.0).is_ok()
    }
}

fn place_corrupt(index: usize) -> Corrupt {
    Corrupt::new("place in the queue of a lock", index as u64)
}
