//! Waiting: spinning, sleeping, and how long somebody in the way is borne with.
//!
//! A sleep is always: **arm, try once more, sleep**. It goes in slices, for somebody may have been *stopped* between
//! publishing a message and waking for it; after each slice that nobody ended the whole ring is inspected.

use std::time::{Duration, Instant};

use weyr_atomic::{hint, thread};
use weyr_shared::fault::{self, Fault};
use weyr_shared::{Armed, Awake, Event, Futex};

use crate::Error;

/// What a waiter sleeps on.
pub(crate) trait Sleep {
    /// Announces a sleep; what is waited for is looked at once more behind it.
    fn arm(&self) -> Armed;
    /// Sleeps until what was armed has changed, for at most `time`.
    fn sleep(&self, armed: Armed, time: Duration) -> Awake;
    /// Gives a wake that was not used to another sleeper.
    fn pass_on(&self);
}

impl<F: Futex> Sleep for Event<'_, F> {
    fn arm(&self) -> Armed {
        Event::arm(self)
    }

    fn sleep(&self, armed: Armed, time: Duration) -> Awake {
        Event::sleep(self, armed, time)
    }

    fn pass_on(&self) {
        self.signal();
    }
}

pub use weyr_shared::WaitMode;

/// How long a slow or dead participant is borne with by one that polls.
pub(crate) const POLLING_PATIENCE: Duration = Duration::from_micros(200);
/// The same by one that sleeps.
pub(crate) const SLEEPING_PATIENCE: Duration = Duration::from_millis(2);
/// The longest sleep without a look at the whole ring.
pub(crate) const LONGEST_SLICE: Duration = Duration::from_millis(100);

/// Polls between two looks at who has died, for one that only polls.
const POLLS_BETWEEN_INSPECTIONS: u32 = 1 << 13;
pub(crate) const POLLS_BEFORE_YIELD: u32 = 50;
pub(crate) const POLLS_BEFORE_SLEEP: u32 = 2000;

/// What one try may do beyond looking at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// How long somebody in the way is borne with.
    pub patience: Duration,
    /// Whether to look at every slot for messages given back and for the dead.
    pub inspect: bool,
}

impl Attempt {
    /// The attempt of a call that does not wait.
    pub const AT_ONCE: Self = Self { patience: POLLING_PATIENCE, inspect: false };
}

/// What came of one try.
#[derive(Debug)]
#[must_use]
pub enum Tried<T> {
    /// It succeeded.
    Done(T),
    /// It has to wait. `hindered`: for somebody whom patience will overcome.
    Blocked {
        /// Whether to come back after patience has run out.
        hindered: bool,
    },
}

impl<T> Tried<T> {
    pub(crate) const EMPTY: Self = Self::Blocked { hindered: false };

    pub(crate) fn map<U>(self, made: impl FnOnce(T) -> U) -> Tried<U> {
        match self {
            Self::Done(done) => Tried::Done(made(done)),
            Self::Blocked { hindered } => Tried::Blocked { hindered },
        }
    }
}

/// One wait, from the first try that failed to the deadline.
#[derive(Debug)]
pub(crate) struct Waiter {
    mode: WaitMode,
    deadline: Option<Instant>,
    polls: u32,
    armed: Option<Armed>,
    last: Option<Awake>,
    /// Whether somebody spent a wake on this wait, which may have been meant for another.
    woken: bool,
    slices: u32,
}

impl Waiter {
    pub(crate) fn new(mode: WaitMode, deadline: Option<Instant>) -> Self {
        Self { mode, deadline, polls: 0, armed: None, last: None, woken: false, slices: 0 }
    }

    /// How the next try is to be made.
    #[inline]
    pub(crate) fn attempt(&self) -> Attempt {
        let patience = if self.slices == 0 { POLLING_PATIENCE } else { SLEEPING_PATIENCE };
        let due = self.armed.is_some() && self.last == Some(Awake::TimedOut);
        Attempt { patience, inspect: due && !fault::is(Fault::NoInspection) }
    }

    /// All that the next tries depend on, for models.
    #[inline]
    pub(crate) fn remembered(&self, position: u64) -> u128 {
        let armed = self.armed.map_or(0, |armed| u128::from(armed.value()) + 1);
        let over = u128::from(self.last == Some(Awake::TimedOut));
        u128::from(position) << 64 | armed << 4 | over << 1 | u128::from(self.woken)
    }

    /// After a try that was blocked: waits a little, or gets ready to sleep, or sleeps; then the next try is due.
    ///
    /// # Errors
    /// [`Error::Timeout`], with a wake that was not used passed on.
    pub(crate) fn pause<S: Sleep>(&mut self, event: &S, hindered: bool) -> Result<(), Error> {
        let outcome = if self.polls_now() { self.poll() } else { self.arm_or_sleep(event, hindered) };
        if outcome.is_err() {
            self.pass_on(event, || true);
        }
        outcome
    }

    /// At the end of a wait that a wake ended: wakes the next sleeper if there is something for it. A sleeper whose
    /// wake led it to a place where it had to sleep again may have used up the wake of another.
    #[inline]
    pub(crate) fn pass_on<S: Sleep>(&self, event: &S, is_more: impl FnOnce() -> bool) {
        if self.woken && !fault::is(Fault::NothingPassedOn) && is_more() {
            event.pass_on();
        }
    }

    /// Whether it is time to look at who has died, for waits in which nobody else does: behind a slice of sleep, and now
    /// and then for one that only polls.
    pub(crate) fn is_inspection_due(&self) -> bool {
        self.attempt().inspect || self.polls > 0 && self.polls.is_multiple_of(POLLS_BETWEEN_INSPECTIONS)
    }

    /// Looks behind the first.
    pub(crate) fn polls(&self) -> u32 {
        self.polls
    }

    /// Whether it tries again without a sleep in between.
    pub(crate) fn polls_now(&self) -> bool {
        match self.mode {
            WaitMode::Spin => true,
            WaitMode::Adaptive => self.polls < POLLS_BEFORE_SLEEP,
            WaitMode::Idle => false,
        }
    }

    #[inline]
    fn poll(&mut self) -> Result<(), Error> {
        self.polls = self.polls.wrapping_add(1);
        if !self.polls.is_multiple_of(POLLS_BEFORE_YIELD) {
            hint::spin_loop();
            return Ok(());
        }
        // Without this three processes on two processors take 150 times as long.
        thread::yield_now();
        self.time_left().map(|_| ())
    }

    fn arm_or_sleep<S: Sleep>(&mut self, event: &S, hindered: bool) -> Result<(), Error> {
        let left = self.time_left()?;
        match self.armed.take() {
            None if fault::is(Fault::SleepWithoutSecondLook) => {
                self.last = Some(event.sleep(event.arm(), left.min(self.slice(hindered))));
            }
            None => self.armed = Some(event.arm()),
            Some(armed) => {
                let awake = event.sleep(armed, left.min(self.slice(hindered)));
                self.woken |= awake == Awake::Woken;
                self.last = Some(awake);
            }
        }
        Ok(())
    }

    /// The first slice is short: what it has to wait for has happened by then, or needs an inspection.
    fn slice(&mut self, hindered: bool) -> Duration {
        self.slices = self.slices.saturating_add(1);
        if hindered || self.slices == 1 { SLEEPING_PATIENCE } else { LONGEST_SLICE }
    }

    fn time_left(&self) -> Result<Duration, Error> {
        let Some(deadline) = self.deadline else { return Ok(Duration::MAX) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Error::Timeout) } else { Ok(left) }
    }
}
