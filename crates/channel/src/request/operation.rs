//! What can be asked of another process, and what it answers: one line an operation.

use std::time::Duration;

use weyr_managed::wire::{Fields, Wire};
use weyr_managed::{Error as PoolError, PoolDescriptor};

use super::values::choice;
use crate::{ChannelAttributes, ChannelDescriptor, ChannelState, CurrentAttributes, Error};

/// What came of an operation.
pub(super) type Outcome = Result<Answer, Error>;

macro_rules! operations {
    ($($(#[$about:meta])* $code:literal $name:ident $verb:literal
        { $($(#[$meaning:meta])* $field:ident $form:literal: $kind:ty),* $(,)? }
        -> $answer_form:literal $answer:ty;)*) => {
        /// What a request asks for.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ChannelOperation {
            $($(#[$about])* $name { $($(#[$meaning])* $field: $kind),* },)*
        }

        choice! { ChannelOperation as u16 "operation" { $($code $name { $($field $form),* }),* } }

        /// What an operation gave.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum Answer {
            $($name($answer),)*
        }

        choice! { Answer as u16 "kind of answer" { $($code $name(answer $answer_form)),* } }

        /// Which operation a request asks for, or a response answers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum ChannelRequestKind {
            $($(#[$about])* $name = $code,)*
        }

        choice! { ChannelRequestKind as u16 "kind of request" { $($code $name),* } }

        impl ChannelRequestKind {
            /// What it asks for, as a person says it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $verb,)*
                }
            }
        }

        impl ChannelOperation {
            /// Which it is.
            pub fn kind(&self) -> ChannelRequestKind {
                match self {
                    $(Self::$name { .. } => ChannelRequestKind::$name,)*
                }
            }
        }

        impl Answer {
            pub(crate) fn kind(&self) -> ChannelRequestKind {
                match self {
                    $(Self::$name(_) => ChannelRequestKind::$name,)*
                }
            }
        }
    };
}

// Numbers are for ever, those of operations that are gone included.
operations! {
    /// A channel is created.
    1 Create "create a channel" {
        /// In which pool.
        pool "pool": PoolDescriptor,
        /// Under which name; none: without one.
        name "optional text": Option<String>,
        /// What it is asked to be.
        attributes "channel attributes": ChannelAttributes,
    } -> "channel" ChannelDescriptor;

    /// A channel is looked for by its name.
    2 Find "find a channel by name" {
        /// In which pool.
        pool "pool": PoolDescriptor,
        /// Its name.
        name "text": String,
    } -> "channel" ChannelDescriptor;

    /// A channel is destroyed.
    3 Destroy "destroy a channel" {
        /// Which.
        channel "channel": ChannelDescriptor,
    } -> "nothing" ();

    /// The messages that wait are counted.
    4 Waiting "count the messages of a channel" {
        /// Of which.
        channel "channel": ChannelDescriptor,
    } -> "u32" u32;

    /// The attributes of a channel are looked at.
    5 GetAttributes "look at a channel's attributes" {
        /// Of which.
        channel "channel": ChannelDescriptor,
    } -> "current attributes" CurrentAttributes;

    /// The attributes of a channel are set.
    6 SetAttributes "set a channel's attributes" {
        /// Of which.
        channel "channel": ChannelDescriptor,
        /// To what.
        attributes "current attributes": CurrentAttributes,
    } -> "current attributes" CurrentAttributes;

    /// What a channel holds, and who waits, is looked at.
    7 State "look at a channel's state" {
        /// Of which.
        channel "channel": ChannelDescriptor,
    } -> "channel state" ChannelState;

    /// Senders are kept away.
    8 WriteLock "lock a channel for writing" {
        /// Which.
        channel "channel": ChannelDescriptor,
        /// How long it may take there; none: without limit.
        patience "optional duration": Option<Duration>,
    } -> "nothing" ();

    /// Senders are let in again.
    9 WriteUnlock "unlock a channel for writing" {
        /// Which.
        channel "channel": ChannelDescriptor,
    } -> "nothing" ();

    /// Receivers are kept away.
    10 ReadLock "lock a channel for reading" {
        /// Which.
        channel "channel": ChannelDescriptor,
        /// How long it may take there; none: without limit.
        patience "optional duration": Option<Duration>,
    } -> "nothing" ();

    /// Receivers are let in again.
    11 ReadUnlock "unlock a channel for reading" {
        /// Which.
        channel "channel": ChannelDescriptor,
    } -> "nothing" ();

    /// A channel is brought to rest.
    12 Quiesce "quiesce a channel" {
        /// Which.
        channel "channel": ChannelDescriptor,
        /// How long it may take there; none: without limit.
        patience "optional duration": Option<Duration>,
    } -> "nothing" ();

    /// A channel is woken.
    13 Unquiesce "resume a channel" {
        /// Which.
        channel "channel": ChannelDescriptor,
    } -> "nothing" ();
}

/// 0, then the answer; or 1, the kind of request, and the error.
pub(super) fn write_outcome(kind: ChannelRequestKind, outcome: &Outcome, to: &mut Vec<u8>) {
    match outcome {
        Ok(answer) => {
            0_u8.write(to);
            answer.write(to);
        }
        Err(error) => {
            1_u8.write(to);
            kind.write(to);
            error.write(to);
        }
    }
}

pub(super) fn read_outcome(from: &mut Fields<'_>) -> Result<(ChannelRequestKind, Outcome), PoolError> {
    match u8::read(from)? {
        0 => Answer::read(from).map(|answer| (answer.kind(), Ok(answer))),
        1 => Ok((Wire::read(from)?, Err(Wire::read(from)?))),
        _ => Err(from.damaged("it is neither an answer nor an error")),
    }
}
