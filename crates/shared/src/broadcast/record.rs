//! Records of triggers: the payload lies in one, written once, and everybody who is released is pointed to it.
//!
//! **A record is taken first and looked after then.** Who has it in its name, and it alone, points anybody to it. So once
//! the name is in the word, the places that point to it become fewer and never more, and if none does, none will: the
//! payload can be written. If one does, the record is put back. There are as many records as places and triggers at
//! once: each place points to one at most, each trigger has one at most, so one is left.

use weyr_atomic::{Ordering, look_after_write, publish_then_look};

use super::BroadcastError;
use super::word::{PlaceState, RecordState, RecordWord, Ticket, Why};
use super::words::{Outcome, Words};
use crate::fault::{self, Fault};
use crate::lock::Participant;
use crate::lock::patience::{Slice, Until};
use crate::{Actor, Event};

/// How many a pass came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) released: u64,
    pub(super) dead: u64,
}

impl Counted {
    pub(super) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Released => self.released += 1,
            Outcome::Dead => self.dead += 1,
            Outcome::Gone => {}
        }
    }
}

impl Words<'_> {
    fn record(&self, index: usize) -> RecordWord {
        RecordWord(self.records[index].word.load(Ordering::SeqCst))
    }

    pub(super) fn change_record(&self, index: usize, from: RecordWord, to: RecordWord) -> bool {
        publish_then_look(&self.records[index].word, from.0, to.0).is_ok()
    }

    /// How many triggers are at work, living or not.
    pub(super) fn at_work(&self) -> u64 {
        let is_at_work = |&index: &usize| self.record(index) != RecordWord::RESTING;
        (0..self.records.len()).filter(is_at_work).count() as u64
    }

    /// Takes a record to which nobody points.
    ///
    /// # Errors
    /// [`BroadcastError::Busy`], [`BroadcastError::Timeout`] when there is none in time.
    pub(super) fn claim(
        &self,
        by: &impl Participant,
        me: Actor,
        until: Until,
    ) -> Result<usize, BroadcastError> {
        let event = Event::new(&self.header.room, by.futex());
        loop {
            by.at_step(&[20]);
            if let Some(record) = self.try_claim(by, me) {
                return Ok(record);
            }
            let armed = event.arm();
            by.at_step(&[21, armed.value().into()]);
            if let Some(record) = self.try_claim(by, me) {
                return Ok(record);
            }
            let limit = self.shape.attributes().triggers;
            let busy =
                if until == Until::Now { BroadcastError::Busy { limit } } else { BroadcastError::Timeout };
            let Some(Slice { time, is_last }) = until.slice(by) else { return Err(busy) };
            if event.sleep(armed, time) == crate::Awake::TimedOut && is_last {
                return self.try_claim(by, me).ok_or(busy);
            }
        }
    }

    fn try_claim(&self, by: &impl Participant, me: Actor) -> Option<usize> {
        // A hint: behind the record that was taken last.
        let start = self.header.last_record.load(Ordering::Relaxed) as usize + 1;
        let order = (0..self.records.len()).map(|step| (start + step) % self.records.len());
        let claimed = order.into_iter().find(|&record| self.claim_one(by, me, record))?;
        self.header.last_record.store(claimed as u32, Ordering::Relaxed);
        Some(claimed)
    }

    fn claim_one(&self, by: &impl Participant, me: Actor, record: usize) -> bool {
        let seen = self.record(record);
        let is_free = match seen.state() {
            RecordState::Resting => true,
            RecordState::Writing(actor) | RecordState::Releasing(actor) => by.is_dead(actor),
            RecordState::ReleasingAll(_) | RecordState::Unknown => false,
        };
        if !is_free || !self.change_record(record, seen, RecordWord::writing(me)) {
            return false;
        }
        // Behind the claim.
        if !fault::is(Fault::RecordTakenBlindly) && self.is_pointed_to(by, record) {
            self.rest(by, record, RecordWord::writing(me));
            return false;
        }
        true
    }

    /// Whether a living waiter has still to read the payload. The dead are freed in passing.
    fn is_pointed_to(&self, by: &impl Participant, record: usize) -> bool {
        (0..self.places.len()).any(|index| {
            let seen = self.place(index);
            match seen.state() {
                PlaceState::Released(Why::Triggered(other), _) if usize::from(other) == record => {
                    !self.reap(by, index, seen)
                }
                _ => false,
            }
        })
    }

    /// Writes the payload. The record is the caller's.
    pub(super) fn fill(&self, record: usize, payload: &[u8]) {
        let first = record * self.shape.payload_words() as usize;
        for (word, bytes) in self.payloads[first..].iter().zip(payload.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            // Relaxed: published by the word of each that is released.
            word.store(u64::from_le_bytes(whole), Ordering::Relaxed);
        }
        self.records[record].length.store(payload.len() as u32, Ordering::Relaxed);
    }

    /// The payload of a record, for one that points to it.
    pub(super) fn read(&self, record: u16) -> Result<Vec<u8>, BroadcastError> {
        let index = usize::from(record);
        let corrupt = self.shape.corrupt_record(index);
        let length = self.records.get(index).ok_or(corrupt)?.length.load(Ordering::Relaxed);
        if u64::from(length) > self.shape.attributes().payload {
            return Err(corrupt.into());
        }
        let (length, words) = (length as usize, self.shape.payload_words() as usize);
        let mut bytes = Vec::with_capacity(length.next_multiple_of(8));
        for word in &self.payloads[index * words..][..length.div_ceil(8)] {
            bytes.extend(word.load(Ordering::Relaxed).to_le_bytes());
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Is at work with a record no more.
    pub(super) fn rest(&self, by: &impl Participant, record: usize, from: RecordWord) {
        let _rested = self.change_record(record, from, RecordWord::RESTING);
        look_after_write();
        Event::new(&self.header.room, by.futex()).signal();
    }

    /// Releases everybody who waits since before the record's horizon, in any order.
    ///
    /// Done once or twice, by one that has the record in its name, it comes to the same: who waits since later is left.
    pub(super) fn release_all(&self, by: &impl Participant, record: usize) -> Counted {
        let horizon = Ticket::of(self.records[record].horizon.load(Ordering::Relaxed));
        let mut counted = Counted::default();
        for index in 0..self.places.len() {
            let seen = self.place(index);
            let PlaceState::Waiting(ticket) = seen.state() else { continue };
            if ticket.ahead_of(horizon).is_some() {
                counted.add(self.release(by, index, seen, Why::Triggered(record as u16)));
            }
        }
        counted
    }

    /// Finishes what the dead were at: a trigger of all. Returns how many there were.
    ///
    /// Commit point: RELEASING_ALL names the caller, who alone goes on with it. One that dies there is the next one's.
    pub fn finish_for_the_dead(&self, by: &impl Participant) -> u64 {
        let Some(me) = by.me().filter(|_| !fault::is(Fault::DeadTriggerLeft)) else { return 0 };
        (0..self.records.len()).filter(|&record| self.finish(by, me, record)).count() as u64
    }

    fn finish(&self, by: &impl Participant, me: Actor, record: usize) -> bool {
        let seen = self.record(record);
        let RecordState::ReleasingAll(actor) = seen.state() else { return false };
        let own = RecordWord::releasing_all(me);
        if !by.is_dead(actor) || !self.change_record(record, seen, own) {
            return false;
        }
        self.release_all(by, record);
        self.rest(by, record, own);
        true
    }

    /// Puts down what the dead had in hand and released nobody with, or only some. Returns how many there were.
    pub(super) fn rest_for_the_dead(&self, by: &impl Participant) -> u64 {
        let rests = |&record: &usize| {
            let seen = self.record(record);
            let is_dead = match seen.state() {
                RecordState::Writing(actor) | RecordState::Releasing(actor) => by.is_dead(actor),
                _ => false,
            };
            if is_dead {
                self.rest(by, record, seen);
            }
            is_dead
        };
        (0..self.records.len()).filter(rests).count() as u64
    }
}
