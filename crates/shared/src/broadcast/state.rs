//! What an event is at, and whether its words make sense.

use std::fmt;

use weyr_atomic::Ordering;

use super::shape::Shape;
use super::word::{MAX_RECORDS, PlaceState, PlaceWord, RecordState, RecordWord, Ticket, Why};
use super::words::Words;
use super::{BroadcastAttributes, DESTROYED, IN_USE, SyncType};
use crate::Corrupt;

/// What an event is at, each number of an instant of its own. Displayed as one line.
///
/// Source: Dragon, `dragon_bcast_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BroadcastState {
    /// What it was made for.
    pub attributes: BroadcastAttributes,
    /// Whether somebody destroyed it.
    pub is_destroyed: bool,
    /// How many wait, the dead of whom nobody knows yet included.
    pub waiting: u64,
    /// How many are about to wait.
    pub entering: u64,
    /// How many were released and have not gone yet.
    pub released: u64,
    /// Triggers at work, those of the dead of whom nobody knows yet included.
    pub triggers: u64,
    /// How many have waited since it was made, modulo 2^64.
    pub waits: u64,
}

impl fmt::Display for BroadcastState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BroadcastAttributes { payload, waiters, spinners, triggers, sync } = self.attributes;
        let life = if self.is_destroyed { "destroyed" } else { "in use" };
        write!(f, "event, {life}: {} of {waiters} wait (", self.waiting)?;
        write!(f, "{} entering, {} released), ", self.entering, self.released)?;
        write!(f, "{} of {triggers} triggers at work, {} waits so far; ", self.triggers, self.waits)?;
        write!(f, "payload up to {payload} bytes, {spinners} spinners, ")?;
        match sync {
            SyncType::None => write!(f, "not synchronised"),
            SyncType::With(needed) => write!(f, "synchronised with {needed}"),
        }
    }
}

impl Words<'_> {
    pub(super) fn state(&self) -> BroadcastState {
        let count =
            |is: fn(&PlaceState) -> bool| self.each_place().filter(|(_, state)| is(state)).count() as u64;
        BroadcastState {
            attributes: *self.shape.attributes(),
            is_destroyed: self.header.life.load(Ordering::Acquire) == DESTROYED,
            waiting: self.waiting(),
            entering: count(|state| matches!(state, PlaceState::Entering(_))),
            released: count(|state| matches!(state, PlaceState::Released(..))),
            triggers: self.at_work(),
            waits: self.header.next_ticket.load(Ordering::Acquire).wrapping_sub(1),
        }
    }

    /// What is wrong with the words, whoever is in the middle of what.
    pub fn verify(&self) -> Vec<Corrupt> {
        let life = self.header.life.load(Ordering::Acquire);
        let life = (!matches!(life, IN_USE | DESTROYED)).then_some(Corrupt::new("life of an event", 48));
        let places = (0..self.places.len()).filter(|&index| !self.is_place_sound(index));
        let records = (0..self.records.len()).filter(|&index| !self.is_record_sound(index));
        let records = records.map(|index| self.shape.corrupt_record(index));
        life.into_iter().chain(places.map(Shape::corrupt_place)).chain(records).collect()
    }

    /// Its state is known, its ticket was given out to nobody else, its holder is somebody, and its record is there.
    fn is_place_sound(&self, index: usize) -> bool {
        let (seen, holder) = self.seen_twice(index);
        let Some(seen) = seen else { return true };
        let ticket = match seen.state() {
            PlaceState::Unknown => return false,
            PlaceState::Free | PlaceState::Entering(_) => return true,
            PlaceState::Waiting(ticket) | PlaceState::Released(_, ticket) => ticket,
        };
        let has_record = match seen.state() {
            PlaceState::Released(Why::Triggered(record), _) => usize::from(record) < self.records.len(),
            _ => true,
        };
        let next = Ticket::of(self.header.next_ticket.load(Ordering::Acquire));
        let is_twin = |other: usize| match self.seen_twice(other).0.map(PlaceWord::state) {
            Some(PlaceState::Waiting(theirs) | PlaceState::Released(_, theirs)) => theirs == ticket,
            _ => false,
        };
        let is_somebody = matches!(holder.state(), PlaceState::Entering(_));
        has_record && is_somebody && ticket.ahead_of(next).is_some() && !(0..index).any(is_twin)
    }

    /// The word of a place, if it was the same around a look at its holder.
    fn seen_twice(&self, index: usize) -> (Option<PlaceWord>, PlaceWord) {
        let seen = self.place(index);
        let holder = PlaceWord(self.places[index].holder.load(Ordering::Acquire));
        (Some(seen).filter(|seen| self.place(index) == *seen), holder)
    }

    fn is_record_sound(&self, index: usize) -> bool {
        let record = &self.records[index];
        let is_known = RecordWord(record.word.load(Ordering::Acquire)).state() != RecordState::Unknown;
        let length = u64::from(record.length.load(Ordering::Acquire));
        is_known && length <= self.shape.attributes().payload && (index as u64) < MAX_RECORDS
    }
}
