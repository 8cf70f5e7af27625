//! Publish a word, then look at another: the two halves of every handshake of Dekker's kind.
//!
//! A sleeper arms a word and then looks whether there is still reason to sleep; a waker changes the reason and then
//! looks whether somebody is armed. Neither may look before its own write is visible. On x86 a locked
//! read-modify-write drains the store buffer, so the compare-exchange is the barrier; on other machines, and under
//! loom (which treats `SeqCst` accesses as `AcqRel`), only `fence(SeqCst)` orders a store before a later load.

#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), not(weyr_face = "loom")))]
use crate::compiler_fence as after_locked;
#[cfg(not(all(any(target_arch = "x86", target_arch = "x86_64"), not(weyr_face = "loom"))))]
use crate::fence as after_locked;
use crate::{AtomicU32, AtomicU64, Ordering};

/// Changes `word` from exactly `current` to `new`; the caller's later loads see memory as it is after that change
/// is visible to everybody. Also when it fails: later loads are not satisfied before the attempt.
///
/// Does not block.
///
/// # Errors
///
/// The value found, when it was not `current`; `word` is unchanged.
#[inline]
pub fn publish_then_look(word: &AtomicU64, current: u64, new: u64) -> Result<u64, u64> {
    let outcome = word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst);
    after_locked(Ordering::SeqCst);
    outcome
}

/// [`publish_then_look`] for the 32-bit words that futexes sleep on.
///
/// # Errors
///
/// The value found, when it was not `current`; `word` is unchanged.
#[inline]
pub fn arm_then_look(word: &AtomicU32, current: u32, new: u32) -> Result<u32, u32> {
    let outcome = word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst);
    after_locked(Ordering::SeqCst);
    outcome
}

/// Stands between a read-modify-write of any kind and the look that follows it: later loads are not satisfied before
/// that write is visible. A compiler fence where the locked instruction was the barrier already.
#[inline]
pub fn look_after_write() {
    after_locked(Ordering::SeqCst);
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::{arm_then_look, publish_then_look};
    use crate::{AtomicU32, AtomicU64, Ordering};

    #[test]
    fn publishing_changes_the_word_only_from_the_exact_value() {
        let word = AtomicU64::new(7);
        assert_eq!(publish_then_look(&word, 6, 9), Err(7));
        assert_eq!(word.load(Ordering::Relaxed), 7);
        assert_eq!(publish_then_look(&word, 7, 9), Ok(7));
        assert_eq!(word.load(Ordering::Relaxed), 9);
    }

    #[test]
    fn arming_changes_the_word_only_from_the_exact_value() {
        let word = AtomicU32::new(1);
        assert_eq!(arm_then_look(&word, 0, 2), Err(1));
        assert_eq!(arm_then_look(&word, 1, 2), Ok(1));
        assert_eq!(word.load(Ordering::Relaxed), 2);
    }
}
