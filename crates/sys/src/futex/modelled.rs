//! Futex words of a model: no kernel can sleep on them.
//!
//! Under the explorer its scheduler does; there is no clock in it, so a deadline is as if it had passed whenever the
//! scheduler says so. Under loom nobody sleeps: each wait returns at once, as if the word had changed.

use super::Wait;
use std::time::Instant;
use weyr_atomic::AtomicU32;

#[cfg(weyr_face = "loom")]
pub(super) fn wait(_: &AtomicU32, _: u32, _: Option<Instant>) -> Wait {
    Wait::Changed
}

#[cfg(weyr_face = "loom")]
pub(super) fn wake(_: &AtomicU32, _: u32) -> u32 {
    0
}

#[cfg(weyr_face = "explore")]
pub(super) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
    use weyr_atomic::explore::{Woken, futex_wait, futex_wait_timed};
    let woken = if deadline.is_some() { futex_wait_timed(word, expected) } else { futex_wait(word, expected) };
    match woken {
        Woken::ByWaker => Wait::Woken,
        Woken::ValueDiffered => Wait::Changed,
        Woken::TimedOut => Wait::TimedOut,
    }
}

#[cfg(weyr_face = "explore")]
pub(super) fn wake(word: &AtomicU32, count: u32) -> u32 {
    weyr_atomic::explore::futex_wake(word, count)
}

/// Models wait for one word at a time.
pub(super) fn wait_together(_: &[(&AtomicU32, u32)], _: Option<Instant>) -> Option<Wait> {
    None
}
