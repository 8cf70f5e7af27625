//! The words of an event, and what all that is done with them has in common.

use weyr_atomic::{AtomicU64, Ordering, publish_then_look};

use super::shape::Shape;
use super::word::{PlaceState, PlaceWord, Why};
use super::{BroadcastError, BroadcastHeader, BroadcastPlace, BroadcastRecord, IN_USE};
use crate::fault::{self, Fault};
use crate::lock::Participant;
use crate::{Actor, Corrupt, Event};

/// Steps of models that keep what the step before them said.
pub const INNER: u64 = 100;

/// The words of an event, wherever they lie.
#[derive(Clone, Copy)]
pub struct Words<'b> {
    /// What stands before all else.
    pub header: &'b BroadcastHeader,
    /// Those who wait.
    pub places: &'b [BroadcastPlace],
    /// Triggers, and their payloads' lengths.
    pub records: &'b [BroadcastRecord],
    /// The payloads, one behind the other.
    pub payloads: &'b [AtomicU64],
    /// What was checked when the event was attached.
    pub shape: Shape,
}

/// What came of one that was to be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It waits no more, and knows why.
    Released,
    /// It was dead, and its place is free.
    Dead,
    /// It had left, or another trigger has released it.
    Gone,
}

impl<'b> Words<'b> {
    /// The participant's name.
    pub(super) fn name(by: &impl Participant) -> Result<Actor, BroadcastError> {
        by.me().ok_or(BroadcastError::Forked)
    }

    /// Whether it can be used: a look.
    pub(super) fn check_life(&self) -> Result<(), BroadcastError> {
        match self.header.life.load(Ordering::SeqCst) {
            IN_USE => Ok(()),
            super::DESTROYED => Err(BroadcastError::Destroyed),
            _ => Err(Corrupt::new("life of an event", 48).into()),
        }
    }

    pub(super) fn place(&self, index: usize) -> PlaceWord {
        // SeqCst: behind the caller's own change of another word.
        PlaceWord(self.places[index].word.load(Ordering::SeqCst))
    }

    pub(super) fn change(&self, index: usize, from: PlaceWord, to: PlaceWord) -> bool {
        publish_then_look(&self.places[index].word, from.0, to.0).is_ok()
    }

    /// The words of all places, each of its own instant.
    pub(super) fn each_place(&self) -> impl Iterator<Item = (usize, PlaceState)> + use<'b> {
        let words = *self;
        (0..self.places.len()).map(move |index| (index, words.place(index).state()))
    }

    /// How many wait, living or not.
    pub fn waiting(&self) -> u64 {
        self.each_place().filter(|(_, state)| matches!(state, PlaceState::Waiting(_))).count() as u64
    }

    /// Who has a place that is in `seen`; none where the words say nobody.
    fn holder(&self, index: usize, seen: PlaceWord) -> Option<Actor> {
        match seen.state() {
            PlaceState::Entering(actor) => Some(actor),
            PlaceState::Waiting(_) | PlaceState::Released(..) => {
                // Relaxed: it was published by WAITING, and stays until the place is FREE.
                let holder = PlaceWord(self.places[index].holder.load(Ordering::Relaxed));
                match holder.state() {
                    PlaceState::Entering(actor) => Some(actor),
                    _ => None,
                }
            }
            PlaceState::Free | PlaceState::Unknown => None,
        }
    }

    /// Frees a place whose holder is dead.
    ///
    /// What the holder was is read between two looks at the word, the second of which is the exchange: a ticket never
    /// returns, and of one that names the dead nobody changes it but to free it.
    pub(super) fn reap(&self, by: &impl Participant, index: usize, seen: PlaceWord) -> bool {
        let is_dead = self.holder(index, seen).is_some_and(|holder| by.is_dead(holder));
        is_dead && self.change(index, seen, PlaceWord::FREE)
    }

    /// Frees the places of the dead; returns how many.
    pub(super) fn reap_all(&self, by: &impl Participant) -> u64 {
        let reaped = |&index: &usize| self.reap(by, index, self.place(index));
        (0..self.places.len()).filter(reaped).count() as u64
    }

    /// Ends the wait in a place that is WAITING in `seen`, if its holder lives.
    ///
    /// Commit point: RELEASED. Behind it the holder has what it waited for; a death of the caller there leaves it asleep
    /// for a slice.
    pub(super) fn release(&self, by: &impl Participant, index: usize, seen: PlaceWord, why: Why) -> Outcome {
        let PlaceState::Waiting(ticket) = seen.state() else { return Outcome::Gone };
        if self.reap(by, index, seen) {
            return Outcome::Dead;
        }
        if !self.change(index, seen, PlaceWord::released(why, ticket)) {
            return Outcome::Gone;
        }
        // Behind the word; pairs with the arming before the waiter's look.
        if !fault::is(Fault::ReleasedUnsignalled) {
            Event::new(&self.places[index].call, by.futex()).signal();
        }
        Outcome::Released
    }

    /// Ends the wait of everybody who waits now, in any order; returns how many.
    pub fn let_go(&self, by: &impl Participant, why: Why) -> u64 {
        let is_let_go = |&index: &usize| self.release(by, index, self.place(index), why) == Outcome::Released;
        (0..self.places.len()).filter(is_let_go).count() as u64
    }
}
