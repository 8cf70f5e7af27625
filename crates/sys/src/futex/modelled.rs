//! Futex words of a model: no kernel can sleep on them.
//!
//! Under the explorer its scheduler does. It has no clock: a wait with a deadline may time out at any moment. Under
//! loom nobody sleeps: each wait returns at once, as if the word had changed.

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

#[cfg(weyr_face = "loom")]
pub(super) fn wait_together(_: &[(&AtomicU32, u32)], _: Option<Instant>) -> Option<Wait> {
    Some(Wait::Changed)
}

#[cfg(weyr_face = "explore")]
use weyr_atomic::explore::{Woken, futex_wait, futex_wait_timed, futex_wake};

#[cfg(weyr_face = "explore")]
pub(super) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
    let woken = match deadline {
        Some(_) => futex_wait_timed(word, expected),
        None => futex_wait(word, expected),
    };
    match woken {
        Woken::ByWaker => Wait::Woken,
        Woken::ValueDiffered => Wait::Changed,
        Woken::TimedOut => Wait::TimedOut,
    }
}

#[cfg(weyr_face = "explore")]
pub(super) fn wake(word: &AtomicU32, count: u32) -> u32 {
    futex_wake(word, count)
}

/// Sleeps on the first word only, and may be woken at any moment, as if by another: wake-ups that are lost on
/// several words are not found by a model.
#[cfg(weyr_face = "explore")]
pub(super) fn wait_together(words: &[(&AtomicU32, u32)], deadline: Option<Instant>) -> Option<Wait> {
    use weyr_atomic::Ordering;
    if words.iter().any(|(word, expected)| word.load(Ordering::Acquire) != *expected) {
        return Some(Wait::Changed);
    }
    match futex_wait_timed(words[0].0, words[0].1) {
        Woken::ValueDiffered => Some(Wait::Changed),
        Woken::TimedOut if deadline.is_some() => Some(Wait::TimedOut),
        Woken::ByWaker | Woken::TimedOut => Some(Wait::Woken),
    }
}
