//! One that waits for an event, as the process has it.

use std::fmt;
use std::mem::ManuallyDrop;
use std::time::Instant;

use super::wait::Seat;
use super::{Broadcast, BroadcastError};
use crate::WaitMode;
use crate::lock::{Participant, Until};

/// A place among those who wait for an event: a trigger from now on releases it. It is left when dropped.
///
/// It may wait in any thread of the process. In a process that was forked meanwhile the inherited one is nothing:
/// waiting gives [`BroadcastError::Forked`], and dropping it does nothing.
#[must_use = "the place is left when the registration is dropped"]
pub struct Registration<'b, P: Participant> {
    event: &'b Broadcast,
    by: &'b P,
    seat: Seat,
    mode: WaitMode,
}

impl<'b, P: Participant> Registration<'b, P> {
    pub(super) fn new(event: &'b Broadcast, by: &'b P, seat: Seat, mode: WaitMode) -> Self {
        Self { event, by, seat, mode }
    }

    /// Waits until a trigger releases it, as long as it takes; returns a copy of the trigger's payload.
    ///
    /// # Errors
    /// [`BroadcastError::LetGo`], [`BroadcastError::Destroyed`], [`BroadcastError::Forked`],
    /// [`BroadcastError::Corrupt`].
    pub fn wait(self) -> Result<Vec<u8>, BroadcastError> {
        self.until(Until::Forever)
    }

    /// As [`wait`](Self::wait), up to `deadline`. Released in the last moment it has the payload, and no error.
    ///
    /// # Errors
    /// [`BroadcastError::Timeout`]; as [`wait`](Self::wait).
    pub fn wait_until(self, deadline: Instant) -> Result<Vec<u8>, BroadcastError> {
        self.until(Until::At(deadline))
    }

    fn until(self, until: Until) -> Result<Vec<u8>, BroadcastError> {
        if self.by.me().is_none() {
            return Err(BroadcastError::Forked);
        }
        let left = ManuallyDrop::new(self);
        left.event.words().wait(left.by, left.seat, left.mode, until)
    }

    /// Whether it waits no more: then waiting returns at once. Does not block.
    ///
    /// # Errors
    /// [`BroadcastError::Corrupt`].
    pub fn is_released(&self) -> Result<bool, BroadcastError> {
        self.event.words().is_released(self.seat)
    }

    /// Waits no more. What a trigger gave before that is returned. Does not block.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn leave(self) -> Result<Option<Vec<u8>>, BroadcastError> {
        if self.by.me().is_none() {
            return Err(BroadcastError::Forked);
        }
        let left = ManuallyDrop::new(self);
        left.event.words().leave(left.seat)
    }
}

impl<P: Participant> Drop for Registration<'_, P> {
    fn drop(&mut self) {
        if self.by.me().is_some() {
            let _left_or_corrupt = self.event.words().leave(self.seat);
        }
    }
}

impl<P: Participant> fmt::Debug for Registration<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("seat", &self.seat).field("mode", &self.mode).finish()
    }
}
