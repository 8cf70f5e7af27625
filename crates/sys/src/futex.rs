//! Waiting until a shared word changes, across processes: futex(2), futex_waitv(2).
//!
//! A waiter names the value that it saw; it sleeps only if the word still holds it. A waker changes the word first
//! and wakes then. The words may lie in any shared mapping: the kernel knows them by object and offset.
//!
//! Every return is a hint: look at the word again, whatever the answer was.
//!
//! What it does not do: it keeps no count of waiters, and a waker that dies between its store and its wake wakes
//! nobody. Protocols above limit their sleeps for that.

#[cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]
#[path = "futex/kernel.rs"]
mod face;
#[cfg(any(weyr_face = "loom", weyr_face = "explore"))]
#[path = "futex/modelled.rs"]
mod face;

use std::time::{Duration, Instant};
use weyr_atomic::{AtomicU32, Ordering};

/// Why a wait has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Somebody woke this waiter; or the kernel did, for no reason.
    Woken,
    /// The word did not hold the expected value: nothing was waited for.
    Changed,
    /// The deadline has passed.
    TimedOut,
    /// A signal handler has run; or the kernel could not look at the word (its object was truncated).
    Interrupted,
}

/// How long one word is slept on where only one at a time can be.
const SLICE: Duration = Duration::from_millis(1);

/// Sleeps while `word` holds `expected`, until woken or until `deadline` (without one: for as long as it takes).
///
/// A deadline in the past gives [`Wait::TimedOut`], or [`Wait::Changed`] if that is so.
///
/// ```
/// use weyr_atomic::{AtomicU32, Ordering};
/// use weyr_sys::futex::{Wait, wait, wake};
///
/// let word = AtomicU32::new(0);
/// word.store(1, Ordering::Release);
/// assert_eq!(wake(&word, 1), 0);
/// assert_eq!(wait(&word, 0, None), Wait::Changed);
/// ```
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
    face::wait(word, expected, deadline)
}

/// Wakes at most `count` of those who sleep on `word`, and tells how many. Does not block.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    face::wake(word, count)
}

/// Sleeps while each of the words holds the value beside it, until one is woken or until `deadline`.
///
/// Which word it was is not told: look at all of them. No word at all gives [`Wait::Changed`].
///
/// Beyond 128 words, and where the kernel has no futex_waitv(2) (before Linux 5.16, or refused by a filter), it
/// sleeps on one word after the other for 1 ms each, and looks at all of them in between. Then a wake without a
/// change of the word is noticed only while its word has the turn, and a change up to 1 ms late.
pub fn wait_any(words: &[(&AtomicU32, u32)], deadline: Option<Instant>) -> Wait {
    if words.is_empty() {
        return Wait::Changed;
    }
    face::wait_together(words, deadline).unwrap_or_else(|| wait_in_turns(words, deadline))
}

/// The fallback of [`wait_any`]: one word at a time, round robin.
fn wait_in_turns(words: &[(&AtomicU32, u32)], deadline: Option<Instant>) -> Wait {
    for (word, expected) in words.iter().cycle() {
        if words.iter().any(|(word, expected)| word.load(Ordering::Acquire) != *expected) {
            return Wait::Changed;
        }
        let slice = Instant::now() + SLICE;
        let until = deadline.map_or(slice, |deadline| deadline.min(slice));
        match face::wait(word, *expected, Some(until)) {
            Wait::TimedOut if Some(until) != deadline => {}
            answer => return answer,
        }
    }
    Wait::Changed
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[test]
    fn in_turns_a_change_of_any_word_is_seen() {
        let words: [AtomicU32; 3] = Default::default();
        for (chosen, word) in words.iter().enumerate() {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let pairs: Vec<_> = words.iter().map(|word| (word, 0)).collect();
                    while words[chosen].load(Ordering::Acquire) == 0 {
                        assert!(matches!(wait_in_turns(&pairs, None), Wait::Woken | Wait::Changed));
                    }
                });
                // A slice or more goes by: the words have turns.
                while wake(word, 1) == 0 {
                    std::thread::yield_now();
                }
                word.store(1, Ordering::Release);
                wake(word, 1);
            });
            word.store(0, Ordering::Release);
        }
    }

    #[test]
    fn in_turns_a_deadline_ends_the_wait_and_a_change_prevents_it() {
        let words: [AtomicU32; 2] = Default::default();
        let pairs = [(&words[0], 0), (&words[1], 0)];
        assert_eq!(wait_in_turns(&pairs, Some(Instant::now())), Wait::TimedOut);
        let later = Instant::now() + 5 * SLICE;
        assert_eq!(wait_in_turns(&pairs, Some(later)), Wait::TimedOut);
        assert!(Instant::now() >= later);
        words[1].store(1, Ordering::Release);
        assert_eq!(wait_in_turns(&pairs, None), Wait::Changed);
        assert_eq!(wait_in_turns(&pairs, Some(Instant::now())), Wait::Changed);
    }
}
