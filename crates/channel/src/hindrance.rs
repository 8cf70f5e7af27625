//! How long a handle has been held up by the same word: the clock behind patience.
//!
//! It decides when somebody is asked whether it lives, and when a slow sender loses its turn: about speed, never about
//! what is right. So threads that share a handle may disturb each other's times.

use std::time::Duration;

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::SlotWord;

/// The last word that held a handle up, and since when.
#[derive(Debug)]
pub struct Hindrance {
    word: AtomicU64,
    since_ns: AtomicU64,
}

impl Hindrance {
    pub(crate) fn new() -> Self {
        Self { word: AtomicU64::new(0), since_ns: AtomicU64::new(0) }
    }

    /// Whether `word` has been in the way for longer than `patience`; if so, the time starts anew.
    pub fn outlasts(&self, word: SlotWord, patience: Duration, now: Duration) -> bool {
        self.outlasts_number(word.bits(), patience, now)
    }

    /// The same of anything that one number names.
    pub(crate) fn outlasts_number(&self, number: u64, patience: Duration, now: Duration) -> bool {
        let now_ns = now.as_nanos() as u64;
        let known = self.word.load(Ordering::Relaxed) == number;
        let waited_ns = now_ns.saturating_sub(self.since_ns.load(Ordering::Relaxed));
        let over = known && waited_ns >= patience.as_nanos() as u64;
        if !known || over {
            self.word.store(number, Ordering::Relaxed);
            self.since_ns.store(now_ns, Ordering::Relaxed);
        }
        over
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use weyr_shared::{Lap, SlotState};

    use super::*;

    #[test]
    fn patience_counts_from_the_first_look_at_a_word_and_anew_for_each_word() {
        let (first, second) = (
            SlotWord::plain(SlotState::Filling, Lap::new(1)),
            SlotWord::plain(SlotState::Filling, Lap::new(2)),
        );
        let (hindrance, patience, at) = (Hindrance::new(), Duration::from_micros(10), Duration::from_micros);
        assert!(!hindrance.outlasts(first, patience, at(100)));
        assert!(!hindrance.outlasts(first, patience, at(109)));
        assert!(!hindrance.outlasts(second, patience, at(110)));
        assert!(hindrance.outlasts(second, patience, at(120)));
        assert!(!hindrance.outlasts(second, patience, at(121)));
    }
}
