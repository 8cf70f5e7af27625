//! A lock that somebody has.

use std::fmt;

use weyr_atomic::Ordering;

use super::word::OwnerWord;
use super::{Lock, Participant};
use crate::Corrupt;

/// What acquiring a lock gives, before it is a guard: one word, for two smaller ones would be stored one by one and
/// loaded as one, which the processor waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held(OwnerWord);

impl Held {
    /// What the word says that its owner made it.
    #[inline]
    pub(super) fn of(word: OwnerWord) -> Self {
        Self(word.with_waiters(false))
    }

    /// Whether an owner died.
    pub(super) fn owner_died(self) -> bool {
        self.0.is_suspect()
    }

    /// The word of this owner, where nobody waits and no owner died.
    #[inline]
    pub(super) fn own(self) -> OwnerWord {
        self.0.with_suspect(false)
    }

    /// Whether it is this participant's; not where it was inherited by a forked child.
    #[inline]
    fn is_of(self, by: &impl Participant) -> bool {
        by.me().is_some_and(|me| self.own() == OwnerWord::held(me))
    }
}

/// A lock that this process has, released when dropped.
///
/// It may be dropped by any thread of the process. In a process that was forked meanwhile the inherited guard holds
/// nothing, and dropping it does nothing.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard<'l, L: Lock, P: Participant> {
    lock: &'l L,
    by: &'l P,
    held: Held,
}

impl<'l, L: Lock, P: Participant> Guard<'l, L, P> {
    pub(super) fn new(lock: &'l L, by: &'l P, held: Held) -> Self {
        Self { lock, by, held }
    }

    /// Whether an owner died with the lock, and nobody has called [`mark_consistent`](Self::mark_consistent) since:
    /// what the lock protects may be half changed. Each owner is told until one of them says otherwise.
    ///
    /// An owner that died right before its release took effect counts as one that died with the lock.
    pub fn owner_died(&self) -> bool {
        self.held.owner_died()
    }

    /// Says that what the lock protects is whole again; later owners are not told of the death any more. Does not
    /// block. One write: a death before it leaves things as they were.
    pub fn mark_consistent(&mut self) {
        if self.held.is_of(self.by) {
            // Release: whoever sees the bit gone sees what was put right before.
            self.lock.owner_word().fetch_and(OwnerWord(!0).with_suspect(false).0, Ordering::Release);
            self.held = Held::of(self.held.own());
        }
    }

    /// Releases the lock, as dropping it does, and says whether its word was as it had to be. Does not block.
    ///
    /// # Errors
    /// [`Corrupt`]: the word does not name this owner; somebody has overwritten it. It is left as it is.
    #[inline]
    pub fn release(self) -> Result<(), Corrupt> {
        let guard = std::mem::ManuallyDrop::new(self);
        guard.give_back()
    }

    #[inline]
    fn give_back(&self) -> Result<(), Corrupt> {
        if self.held.is_of(self.by) { self.lock.give_back(self.by, self.held) } else { Ok(()) }
    }
}

impl<L: Lock, P: Participant> Drop for Guard<'_, L, P> {
    #[inline]
    fn drop(&mut self) {
        let _told_by_verify = self.give_back();
    }
}

impl<L: Lock, P: Participant> fmt::Debug for Guard<'_, L, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("held", &self.held).finish_non_exhaustive()
    }
}
