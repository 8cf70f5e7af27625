//! Triggering an event.

use super::record::Counted;
use super::word::{PlaceState, PlaceWord, RecordWord, Ticket, Why};
use super::words::{Outcome, Words};
use super::{BroadcastError, SyncType};
use crate::fault::{self, Fault};
use crate::lock::Participant;
use crate::lock::patience::{Slice, Until};
use crate::{Actor, Awake, Event};
use weyr_atomic::Ordering;

/// How many are to be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many, of who has waited longest.
    Some(u64),
    /// Everybody.
    All,
}

/// What a trigger came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Triggered {
    /// How many it released, one or more. Each has the payload, whatever becomes of who triggered.
    pub released: u64,
    /// How many dead it found among those who seemed to wait. They count for nothing, and their places are free.
    pub dead: u64,
}

impl Words<'_> {
    /// Triggers the event; see [`Broadcast::trigger_all`](super::Broadcast::trigger_all).
    ///
    /// Commit points: of a trigger of all, that the record is RELEASING_ALL: whoever comes finishes it. Of any other, each
    /// RELEASED by itself.
    pub fn trigger(
        &self,
        by: &impl Participant,
        count: Count,
        payload: &[u8],
        until: Until,
    ) -> Result<Triggered, BroadcastError> {
        let me = Self::name(by)?;
        let (given, limit) = (payload.len() as u64, self.shape.attributes().payload);
        if given > limit {
            return Err(BroadcastError::PayloadTooLarge { given, limit });
        }
        if count == Count::Some(0) {
            return Err(BroadcastError::InvalidCount);
        }
        self.check_life()?;
        self.finish_for_the_dead(by);
        self.gather(by, until)?;
        // Behind what the caller did before: who entered by then is seen.
        if self.waiting() == 0 {
            return Err(nobody(Counted::default(), payload));
        }
        let record = self.claim(by, me, until)?;
        by.at_step(&[11, record as u64]);
        self.fill(record, payload);
        let counted = match count {
            Count::All => self.trigger_all(by, me, record),
            Count::Some(wanted) => self.trigger_some(by, me, record, wanted),
        };
        if counted.released == 0 {
            return Err(nobody(counted, payload));
        }
        Ok(Triggered { released: counted.released, dead: counted.dead })
    }

    fn trigger_all(&self, by: &impl Participant, me: Actor, record: usize) -> Counted {
        // SeqCst: behind what the caller did before, so who entered by then has a ticket before it.
        let horizon = self.header.next_ticket.load(Ordering::SeqCst);
        self.records[record].horizon.store(horizon, Ordering::Relaxed);
        let own = RecordWord::releasing_all(me);
        let mut counted = Counted::default();
        if self.change_record(record, RecordWord::writing(me), own) {
            counted = self.release_all(by, record);
        }
        self.rest(by, record, own);
        counted
    }

    fn trigger_some(&self, by: &impl Participant, me: Actor, record: usize, wanted: u64) -> Counted {
        let own = RecordWord::releasing(me);
        let mut counted = Counted::default();
        if self.change_record(record, RecordWord::writing(me), own) {
            // Where all whom it looked at left meanwhile, others may have come before the last of those left.
            while self.release_some(by, record, wanted, &mut counted) && counted.released == 0 {}
        }
        self.rest(by, record, own);
        counted
    }

    /// Releases up to `wanted`, longest wait first, of who waits by now. Whether somebody left under its hands.
    fn release_some(&self, by: &impl Participant, record: usize, wanted: u64, counted: &mut Counted) -> bool {
        let horizon = Ticket::of(self.header.next_ticket.load(Ordering::SeqCst));
        let (mut last, mut somebody_left) = (u64::MAX, false);
        while counted.released < wanted {
            let Some((ahead, index, seen)) = self.longest(horizon, last) else { break };
            last = ahead;
            let outcome = self.release(by, index, seen, Why::Triggered(record as u16));
            somebody_left |= outcome == Outcome::Gone;
            counted.add(outcome);
        }
        somebody_left
    }

    /// Who has waited longest of those who came before `horizon`, less than `last` tickets before it.
    fn longest(&self, horizon: Ticket, last: u64) -> Option<(u64, usize, PlaceWord)> {
        let waits = |index: usize| {
            let seen = self.place(index);
            let PlaceState::Waiting(ticket) = seen.state() else { return None };
            let ahead = ticket.ahead_of(horizon).filter(|ahead| *ahead < last)?;
            Some((ahead, index, seen))
        };
        (0..self.places.len()).filter_map(waits).max_by_key(|(ahead, ..)| *ahead)
    }

    /// Waits until as many wait as the event is synchronised with, all of them alive when they were asked for.
    fn gather(&self, by: &impl Participant, until: Until) -> Result<(), BroadcastError> {
        let SyncType::With(needed) = self.shape.attributes().sync else { return Ok(()) };
        let event = Event::new(&self.header.arrivals, by.futex());
        loop {
            by.at_step(&[12]);
            let armed = event.arm();
            by.at_step(&[13, armed.value().into()]);
            self.check_life()?;
            let waiting = self.living(by, needed);
            if waiting >= needed {
                return Ok(());
            }
            if until == Until::Now {
                return Err(BroadcastError::InsufficientWaiters { waiting, needed });
            }
            let Some(Slice { time, is_last }) = until.slice(by) else { return Err(BroadcastError::Timeout) };
            if event.sleep(armed, time) == Awake::TimedOut && is_last && self.living(by, needed) < needed {
                return Err(BroadcastError::Timeout);
            }
        }
    }

    /// How many wait; without the dead, if there seem to be `needed`.
    fn living(&self, by: &impl Participant, needed: u64) -> u64 {
        let waiting = self.waiting();
        if waiting < needed || fault::is(Fault::CountsTheDead) {
            return waiting;
        }
        self.reap_all(by);
        self.waiting()
    }
}

/// The error of a trigger that released nobody.
fn nobody(counted: Counted, payload: &[u8]) -> BroadcastError {
    match (counted.dead, payload.len()) {
        (0, 0) => BroadcastError::NoWaitersNonCritical,
        (0, _) => BroadcastError::NoWaiters,
        (dead, _) => BroadcastError::DeadWaiter { dead },
    }
}
