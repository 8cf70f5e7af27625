//! Waiting for an event: to enter, to wait, to leave.
//!
//! Who enters says so in a place and **looks at nothing then**: a trigger that comes behind that sees the place. Who
//! sleeps arms its place's event word, looks at the place once more, and sleeps; who releases it changes the place and
//! looks at the event word then. So one of the two sees the other. The wake of a trigger that died in between does not
//! come, which is why nobody sleeps longer than a slice without a look.

use std::time::Instant;

use weyr_atomic::{AtomicU64, Ordering, hint, look_after_write, publish_then_look, thread};

use super::shape::Shape;
use super::word::{PlaceState, PlaceWord, Ticket, Why};
use super::words::{INNER, Words};
use super::{BroadcastError, WaitMode};
use crate::fault::{self, Fault};
use crate::lock::Participant;
use crate::lock::patience::{Slice, Until};
use crate::{Actor, Awake, Event};

const POLLS_BEFORE_YIELD: u32 = 50;
/// Polls of one that sleeps then. In models there are none: the interleavings are what they look for.
const POLLS_BEFORE_SLEEP: u32 =
    if cfg!(any(weyr_face = "loom", weyr_face = "explore", weyr_face = "crash")) { 0 } else { 2000 };

/// Where somebody waits, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    place: usize,
    ticket: Ticket,
    /// Whether it polls as long as it waits.
    spins: bool,
}

impl<'b> Words<'b> {
    /// Takes a place.
    ///
    /// Commit point: the place is WAITING. A death before it leaves a place that names the dead; behind it a waiter that
    /// is dead. Both are freed by who needs the place, and passed over by triggers.
    pub fn enter(&self, by: &impl Participant, mode: WaitMode) -> Result<Seat, BroadcastError> {
        let me = Self::name(by)?;
        self.check_life()?;
        let taken = self.take_place(me, mode).or_else(|| {
            let reaped = self.reap_all(by);
            if reaped > 0 { self.take_place(me, mode) } else { None }
        });
        let (index, spins) = taken.ok_or(BroadcastError::Full { limit: self.places.len() as u64 })?;
        by.at_step(&[INNER, index as u64]);
        let place = &self.places[index];
        let entering = PlaceWord::entering(me);
        // Relaxed: published by WAITING.
        place.holder.store(entering.0, Ordering::Relaxed);
        let ticket = Ticket::of(self.header.next_ticket.fetch_add(1, Ordering::SeqCst));
        let seat = Seat { place: index, ticket, spins };
        publish_then_look(&place.word, entering.0, PlaceWord::waiting(ticket).0)
            .map_err(|_| Shape::corrupt_place(index))?;
        // Behind WAITING; pairs with the arming of a trigger that waits for this one.
        Event::new(&self.header.arrivals, by.futex()).signal_all();
        // Who destroys it changes its life first and looks at the places then.
        match self.check_life() {
            Err(error) if self.change(index, PlaceWord::waiting(ticket), PlaceWord::FREE) => Err(error),
            // Who was released before that has what it was given.
            _ => Ok(seat),
        }
    }

    /// A place, and whether who has it spins: those who do lie before the others.
    fn take_place(&self, me: Actor, mode: WaitMode) -> Option<(usize, bool)> {
        let spinners = (self.shape.attributes().spinners as usize).min(self.places.len());
        let take = |index: &usize| take_free(&self.places[*index].word, me);
        let spinning = (0..spinners).find(|index| mode == WaitMode::Spin && take(index));
        let others = || (spinners..self.places.len()).chain(0..spinners).find(take);
        spinning.map(|index| (index, true)).or_else(|| others().map(|index| (index, false)))
    }

    /// Waits in a place until it is released, and frees it.
    pub fn wait(
        &self,
        by: &impl Participant,
        seat: Seat,
        mode: WaitMode,
        until: Until,
    ) -> Result<Vec<u8>, BroadcastError> {
        loop {
            by.at_step(&[1, seat.place as u64, seat.ticket.number()]);
            match self.pause(by, seat, mode, until)? {
                Pause::Released => return self.collect(seat),
                Pause::NoTime => return self.give_up(seat),
                Pause::Interrupted => {}
                Pause::Over { is_last } => {
                    self.finish_for_the_dead(by);
                    if is_last {
                        return self.give_up(seat);
                    }
                }
            }
            if let Err(error) = self.check_life() {
                return self.leave(seat).and_then(|payload| payload.ok_or(error));
            }
        }
    }

    /// Waits for at most a slice.
    fn pause(
        &self,
        by: &impl Participant,
        seat: Seat,
        mode: WaitMode,
        until: Until,
    ) -> Result<Pause, BroadcastError> {
        if seat.spins && POLLS_BEFORE_SLEEP > 0 {
            return self.spin(by, seat, until);
        }
        if mode != WaitMode::Idle {
            self.poll(seat, POLLS_BEFORE_SLEEP);
        }
        let event = Event::new(&self.places[seat.place].call, by.futex());
        let armed = event.arm();
        by.at_step(&[2, seat.place as u64, seat.ticket.number(), armed.value().into()]);
        if self.is_released(seat)? {
            return Ok(Pause::Released);
        }
        let Some(Slice { time, is_last }) = until.slice(by) else { return Ok(Pause::NoTime) };
        let over = event.sleep(armed, time) == Awake::TimedOut;
        Ok(if over { Pause::Over { is_last } } else { Pause::Interrupted })
    }

    /// Polls for a slice, or to the deadline.
    fn spin(&self, by: &impl Participant, seat: Seat, until: Until) -> Result<Pause, BroadcastError> {
        let slice = until.slice(by);
        let end = slice.and_then(|slice| Instant::now().checked_add(slice.time));
        loop {
            self.poll(seat, POLLS_BEFORE_YIELD);
            if self.is_released(seat)? {
                return Ok(Pause::Released);
            }
            let Some(slice) = slice else { return Ok(Pause::NoTime) };
            if end.is_none_or(|end| Instant::now() >= end) {
                return Ok(Pause::Over { is_last: slice.is_last });
            }
            thread::yield_now();
        }
    }

    /// Looks so often whether it is released, and ends at the first look that says so.
    fn poll(&self, seat: Seat, polls: u32) {
        let waiting = PlaceWord::waiting(seat.ticket).0;
        for _ in 0..polls {
            if self.places[seat.place].word.load(Ordering::Relaxed) != waiting {
                return;
            }
            hint::spin_loop();
        }
    }

    /// Whether a seat is released, by what its place says.
    pub fn is_released(&self, seat: Seat) -> Result<bool, BroadcastError> {
        match self.place(seat.place).state() {
            PlaceState::Waiting(ticket) if ticket == seat.ticket => Ok(false),
            PlaceState::Released(_, ticket) if ticket == seat.ticket => Ok(true),
            _ => Err(Shape::corrupt_place(seat.place).into()),
        }
    }

    /// Takes what a released seat got, and frees its place.
    ///
    /// Commit point: the place is FREE. Before it the record is kept; a death there leaves both to who needs them.
    fn collect(&self, seat: Seat) -> Result<Vec<u8>, BroadcastError> {
        let word = self.place(seat.place);
        let got = match word.state() {
            PlaceState::Released(Why::Triggered(record), _) => {
                if fault::is(Fault::FreedBeforeRead) {
                    self.free_place(seat, word);
                }
                self.read(record)
            }
            PlaceState::Released(Why::Destroyed, _) => Err(BroadcastError::Destroyed),
            _ => Err(BroadcastError::LetGo),
        };
        self.free_place(seat, word);
        got
    }

    fn free_place(&self, seat: Seat, from: PlaceWord) {
        let place = &self.places[seat.place].word;
        // Release: the reads of the payload come before it. Pairs with the look of who takes the record anew.
        let _freed = place.compare_exchange(from.0, PlaceWord::FREE.0, Ordering::AcqRel, Ordering::Relaxed);
        look_after_write();
    }

    fn give_up(&self, seat: Seat) -> Result<Vec<u8>, BroadcastError> {
        self.leave(seat)?.ok_or(BroadcastError::Timeout)
    }

    /// Waits no more. With what a trigger gave in the last moment, which is nobody else's.
    ///
    /// Commit point: WAITING becomes FREE. Whoever triggers sees the place before that, or does not.
    pub fn leave(&self, seat: Seat) -> Result<Option<Vec<u8>>, BroadcastError> {
        let left = self.change(seat.place, PlaceWord::waiting(seat.ticket), PlaceWord::FREE);
        if left || fault::is(Fault::LeavesWithoutLook) || !self.is_released(seat)? {
            return Ok(None);
        }
        self.collect(seat).map(Some)
    }

    /// Lets one go, for a notification that is cancelled.
    pub fn cancel(&self, by: &impl Participant, seat: Seat) -> bool {
        let waiting = PlaceWord::waiting(seat.ticket);
        let cancelled = self.change(seat.place, waiting, PlaceWord::released(Why::LetGo, seat.ticket));
        Event::new(&self.places[seat.place].call, by.futex()).signal();
        cancelled
    }
}

/// How a slice of waiting ended.
enum Pause {
    Released,
    /// There is no time to wait.
    NoTime,
    /// Something ended the sleep.
    Interrupted,
    /// The slice is over, and perhaps all waiting.
    Over {
        is_last: bool,
    },
}

fn take_free(word: &AtomicU64, me: Actor) -> bool {
    // Relaxed look; the exchange orders what follows behind the last holder's.
    word.load(Ordering::Relaxed) == PlaceWord::FREE.0
        && word
            .compare_exchange(
                PlaceWord::FREE.0,
                PlaceWord::entering(me).0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
}
