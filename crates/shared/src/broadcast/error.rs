//! What can go wrong with an event.

use crate::Corrupt;
use weyr_sys::Errno;

/// Why an operation on an event was refused, or did not come to what it was asked for.
///
/// Who waited waits no more, whichever it is; who triggered has released nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    // Fix the call.
    /// An attribute has a value that no event can have.
    #[error("{attribute} of an event is {least} to {most}, not {given}")]
    InvalidAttribute {
        /// Which.
        attribute: &'static str,
        /// Least possible.
        least: u64,
        /// Most possible.
        most: u64,
        /// Given.
        given: u64,
    },
    /// The region is too small for it.
    #[error("the event needs {needed} bytes and the region has {there}")]
    TooSmall {
        /// Bytes needed.
        needed: u64,
        /// Bytes of the region.
        there: u64,
    },
    /// There is an event already.
    #[error("the region holds an event already; attach it, or destroy it first")]
    AlreadyInitialised,
    /// More bytes than the event was made for.
    #[error("a payload of {given} bytes, and the event carries up to {limit}; create it with more")]
    PayloadTooLarge {
        /// Bytes given.
        given: u64,
        /// Bytes possible.
        limit: u64,
    },
    /// A trigger of nobody.
    #[error("a trigger of 0 waiters; trigger one or more")]
    InvalidCount,
    /// The event lies in memory that no descriptor names.
    #[error("the event lies in memory that no descriptor names; create it in a pool")]
    NotSerializable,
    /// The participant is that of the process which this one was forked from.
    #[error("the handle is that of the parent process; attach anew in the forked child")]
    Forked,

    // Try again, later or with others.
    /// Nobody waits, so that nobody got the payload.
    #[error("nobody waits for the event, and nobody got the payload; trigger it again when somebody does")]
    NoWaiters,
    /// Nobody waits, and there was no payload to be lost.
    #[error("nobody waits for the event")]
    NoWaitersNonCritical,
    /// Fewer wait than the event is synchronised with, and the trigger was not to wait for them.
    #[error(
        "{waiting} wait for the event, which is triggered when {needed} do; give the trigger time to wait"
    )]
    InsufficientWaiters {
        /// How many wait.
        waiting: u64,
        /// How many must.
        needed: u64,
    },
    /// All whom the trigger would have released were dead. Their places are free.
    #[error("all {dead} that seemed to wait for the event were dead")]
    DeadWaiter {
        /// How many were.
        dead: u64,
    },
    /// The deadline has passed.
    #[error("the deadline passed before the event did what was waited for")]
    Timeout,
    /// As many wait as the event has places for.
    #[error("{limit} wait for the event already; create it for more")]
    Full {
        /// Places.
        limit: u64,
    },
    /// As many triggers are at work as the event was made for, and this one was not to wait.
    #[error("{limit} triggers of the event are at work already; try again, or create it for more")]
    Busy {
        /// Triggers at once.
        limit: u64,
    },

    // What was waited for does not come.
    /// The event was reset, or the notification cancelled.
    #[error("the wait was ended: the event was reset, or the notification cancelled")]
    LetGo,
    /// The event was destroyed.
    #[error("the event was destroyed")]
    Destroyed,

    // Notifications.
    /// The thread that calls back could not be started, or what it called panicked.
    #[error("the callback of an event: {0}")]
    Callback(&'static str),
    /// The kernel did not deliver the signal.
    #[error("signal {signal} for an event could not be sent: {errno}")]
    Signal {
        /// Number of the signal.
        signal: i32,
        /// The kernel's answer.
        errno: Errno,
    },

    // Give up on it.
    /// The memory does not hold an event, or something of it holds what nobody writes there.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}
