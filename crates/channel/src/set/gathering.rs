//! The members of a set, and the passes over those that are to be looked at.
//!
//! Members wait in one queue, in which each has at most one place. A pass takes those at its front: one that is ready
//! is reported and goes to its end, for it will be ready the next time as well, unless something was done about it;
//! one that is not becomes quiet, and comes to the end of the queue when it is told of. So a channel that is always
//! busy comes once in each round, and nobody else waits for more than one round.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use weyr_shared::Listener;

use super::listening::{Listened, ListeningHost as _, ListeningPool as _, PoolOf, interest_of};
use super::member::{Look, Member, Rest, Trigger};
use super::place::Place;
use super::waker::Alarm;
use super::{Ready, SetKey};
use crate::Error;
use crate::poll::PollEvents;
use crate::wait::{Attempt, LONGEST_SLICE};

/// Most members that are watched at once, rather than made to tell.
const MOST_WATCHED: usize = 8;
/// Most members that one round of looks by itself takes.
const MOST_LOOKED_AT: usize = 1024;
/// After how many passes one that never sleeps asks the clock.
const PASSES_PER_CLOCK: u32 = 64;
/// How many of these are looked at slot by slot.
const INSPECTED: usize = 8;

/// A slot of the table of members.
#[derive(Debug)]
struct Entry<C> {
    /// Counts the members that were here.
    serial: u32,
    member: Option<Box<Member<C>>>,
}

/// The members of a set.
#[derive(Debug)]
pub struct Gathering<C: Listened> {
    entries: Vec<Entry<C>>,
    free: Vec<u32>,
    pub(super) places: Vec<Option<Place<PoolOf<C>>>>,
    queue: VecDeque<u32>,
    pub(super) alarm: Arc<Alarm>,
    /// Where the next round of looks by itself begins, and its inspections.
    round: usize,
    inspected: usize,
    /// When that is due again, in monotonic nanoseconds; 0: it never was.
    doubts_at: u64,
    passes: u32,
}

impl<C: Listened> Default for Gathering<C> {
    fn default() -> Self {
        let alarm = Arc::new(Alarm::new());
        let (entries, free, places, queue) = (Vec::new(), Vec::new(), Vec::new(), VecDeque::new());
        Self { entries, free, places, queue, alarm, round: 0, inspected: 0, doubts_at: 0, passes: 0 }
    }
}

/// Who is in it.
impl<C: Listened> Gathering<C> {
    /// Takes a channel in, to be reported as `token`; the next wait looks at it.
    ///
    /// # Errors
    /// [`Error::TooManyListeners`], [`Error::TooManySets`], or the pool's.
    pub fn add(&mut self, channel: C, events: PollEvents, token: u64) -> Result<SetKey, Error> {
        let actor = channel.attached().actor()?;
        let place = self.place_for(&channel, actor.process)?;
        let registration = self.registration_in(place)?;
        let listener = Listener::new(actor, registration, interest_of(events));
        if let Err(error) = channel.attached().add_listener(listener) {
            self.release(place, registration);
            return Err(error);
        }
        let key = self.insert(Member::new(channel, events, token, listener, place));
        if let Some(place) = self.at(place) {
            place.add(registration, key.index);
        }
        self.enqueue(key.index);
        Ok(key)
    }

    fn registration_in(&mut self, place: usize) -> Result<u16, Error> {
        let registration = self.at(place).ok_or(Error::TooManySets)?.registration();
        registration.inspect_err(|_| self.drop_unused(place))
    }

    /// Has the member reported when something has happened behind which it is ready, and not each time that it is.
    ///
    /// # Errors
    /// [`Error::NotInSet`].
    pub fn report_changes(&mut self, key: SetKey) -> Result<(), Error> {
        self.found(key)?.trigger = Trigger::CHANGE;
        Ok(())
    }

    /// Has the member waited for by other events.
    ///
    /// # Errors
    /// [`Error::NotInSet`], [`Error::TooManyListeners`].
    pub fn modify(&mut self, key: SetKey, events: PollEvents) -> Result<(), Error> {
        self.found(key)?.modify(events)?;
        self.enqueue(key.index);
        Ok(())
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// [`Error::NotInSet`].
    pub fn remove(&mut self, key: SetKey) -> Result<(), Error> {
        self.found(key)?;
        let entry = &mut self.entries[key.index as usize];
        entry.serial = entry.serial.wrapping_add(1);
        let member = entry.member.take().ok_or(Error::NotInSet)?;
        member.leave();
        self.free.push(key.index);
        if member.queued {
            self.queue.retain(|index| *index != key.index);
        }
        if let Some(place) = self.at(member.place) {
            place.remove(member.listener.registration(), key.index);
        }
        self.drop_unused(member.place);
        Ok(())
    }

    /// Those that are in it, in no order.
    pub(super) fn members(&self) -> impl Iterator<Item = (SetKey, &Member<C>)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let key = SetKey { index: index as u32, serial: entry.serial };
            Some((key, entry.member.as_deref()?))
        })
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all out: of this process, for whoever signals the channels.
    pub(super) fn leave(&mut self) {
        self.entries.iter().filter_map(|entry| entry.member.as_ref()).for_each(|member| member.leave());
        self.places.iter_mut().flatten().for_each(Place::leave);
    }

    fn insert(&mut self, member: Member<C>) -> SetKey {
        let index = self.free.pop().unwrap_or(self.entries.len() as u32);
        if index as usize == self.entries.len() {
            self.entries.push(Entry { serial: 0, member: None });
        }
        let entry = &mut self.entries[index as usize];
        entry.member = Some(Box::new(member));
        SetKey { index, serial: entry.serial }
    }

    /// The member of that key.
    pub(super) fn member(&self, key: SetKey) -> Option<&Member<C>> {
        let entry = self.entries.get(key.index as usize).filter(|entry| entry.serial == key.serial)?;
        entry.member.as_deref()
    }

    fn found(&mut self, key: SetKey) -> Result<&mut Member<C>, Error> {
        let entry = self.entries.get_mut(key.index as usize).filter(|entry| entry.serial == key.serial);
        entry.and_then(|entry| entry.member.as_deref_mut()).ok_or(Error::NotInSet)
    }

    fn at(&mut self, place: usize) -> Option<&mut Place<PoolOf<C>>> {
        self.places.get_mut(place).and_then(Option::as_mut)
    }

    /// The place in the pool of a channel.
    fn place_for(&mut self, channel: &C, process: u16) -> Result<usize, Error> {
        let pool = channel.attached().host().listening_pool();
        let is_here = |place: &Place<PoolOf<C>>| place.is_of(pool, process);
        let known = self.places.iter().position(|place| place.as_ref().is_some_and(is_here));
        if let Some(known) = known {
            return Ok(known);
        }
        let place = Some(Place::new(pool.clone(), process)?);
        let index = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        match self.places.get_mut(index) {
            Some(free) => *free = place,
            None => self.places.push(place),
        }
        self.tell_alarm();
        Ok(index)
    }

    fn release(&mut self, place: usize, registration: u16) {
        if let Some(place) = self.at(place) {
            place.release_unused(registration);
        }
        self.drop_unused(place);
    }

    fn drop_unused(&mut self, place: usize) {
        if self.at(place).is_some_and(|place| place.is_unused()) {
            self.places[place] = None;
            self.tell_alarm();
        }
    }

    fn tell_alarm(&self) {
        self.alarm.set_rows(self.places.iter().flatten().map(|place| place.row.clone()).collect());
    }
}

/// Looking at them.
impl<C: Listened> Gathering<C> {
    fn enqueue(&mut self, index: u32) {
        let Self { entries, queue, .. } = self;
        enqueue_in(entries, queue, index);
    }

    /// Looks once at who is to be looked at, until `ready` has `most`. `watch`: who is not ready may stay unquiet.
    pub(super) fn pass(
        &mut self,
        ready: &mut Vec<Ready>,
        most: usize,
        watch: bool,
        patience: Duration,
    ) -> Rest {
        self.passes = self.passes.wrapping_add(1);
        if self.passes.is_multiple_of(PASSES_PER_CLOCK) {
            self.doubt_if_due();
        }
        self.take_told();
        let watch = watch && self.queue.len() <= MOST_WATCHED;
        let (mut rest, attempt) = (Rest::Quiet, Attempt { patience, inspect: false });
        for _ in 0..self.queue.len() {
            if ready.len() >= most {
                break;
            }
            let Some(index) = self.queue.pop_front() else { break };
            let entry = self.entries.get_mut(index as usize);
            let Some(member) = entry.and_then(|entry| entry.member.as_mut()) else { continue };
            match member.look(watch, attempt) {
                Look::Quiet => {
                    member.queued = false;
                    continue;
                }
                Look::Changed(found) => {
                    member.queued = false;
                    ready.push(found);
                    continue;
                }
                Look::Again(kept) => rest = rest.max(kept),
                Look::Ready(found) => ready.push(found),
            }
            self.queue.push_back(index);
        }
        rest
    }

    fn take_told(&mut self) {
        let Self { entries, queue, places, .. } = self;
        for place in places.iter().flatten() {
            place.take_told(|index| {
                entry_of(entries, index).into_iter().for_each(|member| member.tell());
                enqueue_in(entries, queue, index);
            });
        }
    }

    /// Whether there is nothing to look at but what hinders.
    pub(super) fn is_told(&self) -> bool {
        self.alarm.is_raised() || self.places.iter().flatten().any(Place::is_told)
    }

    /// Has members looked at of which nothing was told: for tellers that were stopped or killed before they told. The
    /// pools are recovered from the dead; of a few members all slots are looked at, in turn.
    pub(super) fn doubt(&mut self) {
        self.places.iter().flatten().for_each(|place| place.pool.reap());
        let count = self.entries.len();
        for number in 0..count.min(MOST_LOOKED_AT) {
            self.enqueue(((self.round + number) % count) as u32);
        }
        for number in 0..count.min(INSPECTED) {
            let entry = &mut self.entries[(self.inspected + number) % count];
            if let Some(member) = &mut entry.member {
                member.inspect = true;
                member.keep_entry();
            }
        }
        self.round = self.round.wrapping_add(MOST_LOOKED_AT) % count.max(1);
        self.inspected = self.inspected.wrapping_add(INSPECTED) % count.max(1);
    }

    /// The same, when there was none for as long as a sleep may last.
    pub(super) fn doubt_if_due(&mut self) {
        let Some(place) = self.places.iter().flatten().next() else { return };
        let now = place.pool.now_ns();
        let due = self.doubts_at != 0 && self.doubts_at <= now;
        if due || self.doubts_at == 0 {
            self.doubts_at = now.saturating_add(LONGEST_SLICE.as_nanos() as u64);
        }
        if due {
            self.doubt();
        }
    }

    /// Tells models what the next pass depends on.
    pub(super) fn before_pass(&self, slept: u64) {
        let Some(place) = self.places.iter().flatten().next() else { return };
        if !cfg!(weyr_face = "explore") {
            return;
        }
        place.pool.before_pass(u128::from(slept) << 64 | u128::from(self.remembered()));
    }

    /// What the next pass depends on, for models.
    #[doc(hidden)]
    pub fn remembered(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for entry in &self.entries {
            entry.member.as_ref().map(|member| member.remembered()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn entry_of<C: Listened>(entries: &mut [Entry<C>], index: u32) -> Option<&mut Member<C>> {
    entries.get_mut(index as usize)?.member.as_deref_mut()
}

fn enqueue_in<C: Listened>(entries: &mut [Entry<C>], queue: &mut VecDeque<u32>, index: u32) {
    let Some(member) = entry_of(entries, index) else { return };
    if !member.queued {
        member.queued = true;
        queue.push_back(index);
    }
}
