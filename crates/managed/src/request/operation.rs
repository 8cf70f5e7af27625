//! What can be asked of another process, and what it answers: one line an operation.

use std::time::Duration;

use crate::frame::Fields;
use crate::{
    AllocationDescriptor, Attributes, Error, ManifestEntry, PoolAllocation, PoolAttributes, PoolDescriptor,
    Usage,
};

use super::wire::{Wire, choice};

/// How memory is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllocationMode {
    /// Now: [`Pool::alloc`](crate::Pool::alloc).
    AtOnce,
    /// Now, at a multiple of so many bytes: [`Pool::alloc_aligned`](crate::Pool::alloc_aligned).
    Aligned(u64),
    /// Now, at a multiple of so many bytes, and zero: [`Pool::alloc_zeroed`](crate::Pool::alloc_zeroed).
    Zeroed(u64),
    /// Before so much time has passed where the request is executed, beginning there:
    /// [`Pool::alloc_until`](crate::Pool::alloc_until). Clocks do not cross the wire, so the way there and back is extra.
    Within(Duration),
    /// However long it takes: [`Pool::alloc_blocking`](crate::Pool::alloc_blocking).
    Blocking,
}

macro_rules! operations {
    ($($(#[$about:meta])* $code:literal $name:ident $verb:literal
        { $($(#[$meaning:meta])* $field:ident: $kind:ty),* $(,)? } -> $answer:ty;)*) => {
        /// What a request asks for.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Operation {
            $($(#[$about])* $name { $($(#[$meaning])* $field: $kind),* },)*
        }

        choice! { Operation as u16 "operation" { $($code $name { $($field),* }),* } }

        /// What an operation gave.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum Answer {
            $($name($answer),)*
        }

        choice! { Answer as u16 "kind of answer" { $($code $name(answer)),* } }

        /// Which operation a request asks for, or a response answers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum RequestKind {
            $($(#[$about])* $name = $code,)*
        }

        choice! { RequestKind as u16 "kind of request" { $($code $name),* } }

        impl RequestKind {
            /// What it asks for, as a person says it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $verb,)*
                }
            }
        }

        impl Operation {
            /// Which it is.
            pub fn kind(&self) -> RequestKind {
                match self {
                    $(Self::$name { .. } => RequestKind::$name,)*
                }
            }
        }

        impl Answer {
            pub(crate) fn kind(&self) -> RequestKind {
                match self {
                    $(Self::$name(_) => RequestKind::$name,)*
                }
            }
        }
    };
}

// Numbers are for ever, those of operations that are gone included.
operations! {
    /// A pool is created.
    1 Create "create a pool" {
        /// What it is asked to be.
        attributes: PoolAttributes,
    } -> PoolDescriptor;

    /// A pool is destroyed.
    2 Destroy "destroy a pool" {
        /// Which.
        pool: PoolDescriptor,
    } -> ();

    /// The attributes of a pool are looked at.
    3 GetAttributes "look at a pool's attributes" {
        /// Of which.
        pool: PoolDescriptor,
    } -> Box<Attributes>;

    /// The attributes of a pool are set.
    4 SetAttributes "set a pool's attributes" {
        /// Of which.
        pool: PoolDescriptor,
        /// To what.
        attributes: Box<Attributes>,
    } -> Box<Attributes>;

    /// Memory is allocated, and published.
    5 Allocate "allocate" {
        /// From which.
        pool: PoolDescriptor,
        /// How many.
        bytes: u64,
        /// How it is to be had.
        mode: AllocationMode,
        /// Type (not 0) and id that it gets.
        typed: Option<(u32, u64)>,
    } -> AllocationDescriptor;

    /// An allocation is freed.
    6 Free "free an allocation" {
        /// Where it lies.
        pool: PoolDescriptor,
        /// Which.
        allocation: AllocationDescriptor,
    } -> ();

    /// An allocation is looked for by type and id.
    7 Find "find an allocation by type and id" {
        /// Where.
        pool: PoolDescriptor,
        /// Its type.
        type_id: u32,
        /// Its id within the type.
        id: u64,
    } -> AllocationDescriptor;

    /// An allocation is looked for by its block id.
    8 FindById "find an allocation by its block id" {
        /// Where.
        pool: PoolDescriptor,
        /// Its block id.
        block_id: u64,
    } -> AllocationDescriptor;

    /// Whether there is an allocation of a type and id.
    9 Exists "say whether an allocation exists" {
        /// Where.
        pool: PoolDescriptor,
        /// Its type.
        type_id: u32,
        /// Its id within the type.
        id: u64,
    } -> bool;

    /// Allocations with a type are listed.
    10 Manifest "list the manifest" {
        /// Of which.
        pool: PoolDescriptor,
        /// Those of one type only.
        type_id: Option<u32>,
    } -> Vec<ManifestEntry>;

    /// All allocations are listed.
    11 Allocations "list all allocations" {
        /// Of which.
        pool: PoolDescriptor,
    } -> Vec<PoolAllocation>;

    /// What a pool holds is counted.
    12 Usage "count what a pool holds" {
        /// Of which.
        pool: PoolDescriptor,
    } -> Usage;
}

impl Operation {
    /// The pool that it concerns; none for one that is yet to be created.
    pub fn pool(&self) -> Option<&PoolDescriptor> {
        match self {
            Self::Create { .. } => None,
            Self::Destroy { pool }
            | Self::GetAttributes { pool }
            | Self::SetAttributes { pool, .. }
            | Self::Allocate { pool, .. }
            | Self::Free { pool, .. }
            | Self::Find { pool, .. }
            | Self::FindById { pool, .. }
            | Self::Exists { pool, .. }
            | Self::Manifest { pool, .. }
            | Self::Allocations { pool }
            | Self::Usage { pool } => Some(pool),
        }
    }
}

/// What came of an operation: the answer, or the error of the process that executed it.
pub(crate) type Outcome = Result<Answer, Error>;

/// Whether there is an error (u8), which operation this is about (u16), then the answer or the error.
pub(crate) fn write_outcome(kind: RequestKind, outcome: &Outcome, to: &mut Vec<u8>) {
    outcome.is_err().write(to);
    match outcome {
        Ok(answer) => answer.write(to),
        Err(error) => {
            kind.write(to);
            error.write(to);
        }
    }
}

pub(crate) fn read_outcome(from: &mut Fields<'_>) -> Result<(RequestKind, Outcome), Error> {
    if bool::read(from)? {
        return Ok((RequestKind::read(from)?, Err(Error::read(from)?)));
    }
    let answer = Answer::read(from)?;
    Ok((answer.kind(), Ok(answer)))
}
