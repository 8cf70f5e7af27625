//! How long somebody waits for a lock, and how often it looks around meanwhile.
//!
//! Time proves nothing here: it only says when to ask again whether somebody is alive.

use std::time::{Duration, Instant};

use super::Participant;

/// The longest sleep without a look at who is in the way: a death, or a stop, is noticed so late at most.
pub(crate) const SLICE: Duration = Duration::from_millis(10);

/// Who takes up its turn not within a sleep of this length, or a longer one, is passed.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1);

/// Looks at a word before its waiter sleeps: some microseconds.
const SPINS: u32 =
    if cfg!(any(weyr_face = "loom", weyr_face = "explore", weyr_face = "crash")) { 0 } else { 200 };

/// Until when somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Not at all.
    Now,
    /// Until then.
    At(Instant),
    /// Without limit.
    Forever,
}

/// A sleep to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    pub(crate) time: Duration,
    /// When it is over, so is all waiting.
    pub(crate) is_last: bool,
}

impl Until {
    /// The next sleep; none when the time is over.
    pub(crate) fn slice(self, by: &impl Participant) -> Option<Slice> {
        match self {
            Self::Now => None,
            Self::Forever => Some(Slice { time: SLICE, is_last: false }),
            Self::At(deadline) => {
                let left = deadline.saturating_duration_since(by.now());
                let slice = Slice { time: left.min(SLICE), is_last: left <= SLICE };
                Some(slice).filter(|slice| !slice.time.is_zero())
            }
        }
    }
}

/// Looks a bounded number of times whether `is_over`, for those that are through in a moment.
pub(crate) fn spin_until(is_over: impl Fn() -> bool) -> bool {
    (0..SPINS).any(|_| {
        weyr_atomic::hint::spin_loop();
        is_over()
    })
}
