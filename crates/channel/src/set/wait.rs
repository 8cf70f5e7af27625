//! The wait of a set: passes, and a sleep where they found nothing.
//!
//! A sleep is: **make every member quiet**, which sets its channel's bit and looks behind that; **arm** the event of each
//! row, **look** at the bits there once more, **sleep**. It goes in slices of at most 100 ms, behind each of which members
//! are looked at of which nothing was told, because whoever had to tell may have been stopped or killed before. One
//! that polls does the same as often.

use std::time::{Duration, Instant};

use weyr_atomic::{hint, thread};
use weyr_shared::Awake;
use weyr_sys::futex;

use super::Ready;
use super::gathering::Gathering;
use super::listening::{Listened, ListeningPool as _};
use super::member::Rest;
use crate::wait::{
    LONGEST_SLICE, POLLING_PATIENCE, POLLS_BEFORE_SLEEP, POLLS_BEFORE_YIELD, SLEEPING_PATIENCE,
};
use crate::{Error, WaitMode};

/// One wait.
struct Waiting {
    mode: WaitMode,
    deadline: Option<Instant>,
    polls: u32,
    slices: u64,
}

impl Waiting {
    fn polls_now(&self) -> bool {
        match self.mode {
            WaitMode::Spin => true,
            WaitMode::Adaptive => self.polls < POLLS_BEFORE_SLEEP,
            WaitMode::Idle => false,
        }
    }

    fn patience(&self) -> Duration {
        if self.slices == 0 { POLLING_PATIENCE } else { SLEEPING_PATIENCE }
    }

    fn time_left(&self) -> Result<Duration, Error> {
        let Some(deadline) = self.deadline else { return Ok(Duration::MAX) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Error::Timeout) } else { Ok(left) }
    }
}

impl<C: Listened> Gathering<C> {
    /// Puts into `ready` what can be reported now, at most `most`. Does not wait.
    pub fn try_wait(&mut self, ready: &mut Vec<Ready>, most: usize) {
        self.pass(ready, most, true, POLLING_PATIENCE);
        self.alarm.take();
    }

    /// The same, waiting for something to report, or to be woken, which reports nothing.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub fn wait_until(
        &mut self,
        ready: &mut Vec<Ready>,
        most: usize,
        mode: WaitMode,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let mut waiting = Waiting { mode, deadline, polls: 0, slices: 0 };
        loop {
            let polls = waiting.polls_now();
            self.before_pass(waiting.slices.min(1));
            let rest = self.pass(ready, most, polls, waiting.patience());
            if self.alarm.take() || !ready.is_empty() {
                return Ok(());
            }
            if polls { self.poll(&mut waiting)? } else { self.sleep(&mut waiting, rest)? }
        }
    }

    #[inline]
    fn poll(&mut self, waiting: &mut Waiting) -> Result<(), Error> {
        waiting.polls = waiting.polls.wrapping_add(1);
        if !waiting.polls.is_multiple_of(POLLS_BEFORE_YIELD) {
            hint::spin_loop();
            return Ok(());
        }
        thread::yield_now();
        waiting.time_left().map(|_| ())
    }

    fn sleep(&mut self, waiting: &mut Waiting, rest: Rest) -> Result<(), Error> {
        let left = waiting.time_left()?;
        let slice = if rest == Rest::Quiet { LONGEST_SLICE } else { SLEEPING_PATIENCE };
        if self.sleep_for(left.min(slice)) == Awake::TimedOut {
            waiting.slices += 1;
            if rest == Rest::Quiet {
                self.doubt();
            }
        }
        // Where somebody tells all the time no slice is ever over.
        self.doubt_if_due();
        Ok(())
    }

    /// Sleeps until something is told, for at most `time`. All members are quiet, or will be looked at again.
    fn sleep_for(&self, time: Duration) -> Awake {
        let mut places = self.places.iter().flatten();
        match (places.next(), places.next()) {
            (None, _) => {
                let armed = self.alarm.arm();
                if self.is_told() { Awake::Changed } else { self.alarm.sleep(armed, time) }
            }
            (Some(place), None) => {
                let event = place.row.event(place.pool.futex());
                let armed = event.arm();
                if self.is_told() { Awake::Changed } else { event.sleep(armed, time) }
            }
            _ => self.sleep_on_all(time),
        }
    }

    /// The same where the members lie in several pools.
    fn sleep_on_all(&self, time: Duration) -> Awake {
        let mut words = Vec::with_capacity(self.places.len());
        for place in self.places.iter().flatten() {
            words.push((&place.row.event, place.row.event(place.pool.futex()).arm().value()));
        }
        if self.is_told() {
            return Awake::Changed;
        }
        match futex::wait_any(&words, Instant::now().checked_add(time)) {
            futex::Wait::Woken => Awake::Woken,
            futex::Wait::Changed | futex::Wait::Interrupted => Awake::Changed,
            futex::Wait::TimedOut => Awake::TimedOut,
        }
    }
}
