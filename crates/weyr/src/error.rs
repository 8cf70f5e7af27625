//! What can go wrong with typed memory and typed channels.

use std::any::type_name;

/// An error of typed memory or of a typed channel. Nothing was changed, unless a variant or the call says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The memory has another length than the type.
    #[error("{found} bytes are not a {type_name}; {expected}")]
    WrongSize {
        /// Bytes there are.
        found: u64,
        /// What the type needs, in words.
        expected: String,
        /// The type.
        type_name: &'static str,
    },
    /// The type needs a stricter alignment than allocations have.
    #[error("a {type_name} is aligned to {needed} bytes, allocations are to {given}; use a type with less")]
    Misaligned {
        /// Alignment of the type, in bytes.
        needed: usize,
        /// Alignment of every allocation, in bytes.
        given: usize,
        /// The type.
        type_name: &'static str,
    },
    /// No element has that index.
    #[error("there is no element {index}; there are {len}")]
    NoElement {
        /// Asked for.
        index: usize,
        /// Elements there are.
        len: usize,
    },
    /// The memory is shared, not frozen: others may still write it.
    #[error("the memory is not frozen, so others may write it; open it as `Shared`, or freeze it first")]
    NotFrozen,
    /// The message carries bytes or published memory, not an allocation.
    #[error("the message carries no allocation; read its bytes instead")]
    NoAllocation,
    /// The message carries something else than published memory.
    #[error("the message carries no shared memory; look at what it carries with `content`")]
    NotPublished,
    /// The message has as many bytes as the type, but these are none of its values.
    #[error("the bytes of the message are no {type_name}; it was dropped")]
    InvalidValue {
        /// The type.
        type_name: &'static str,
    },
    /// The value cannot be encoded.
    #[error("the {type_name} cannot be encoded: {reason}")]
    Unencodable {
        /// The type.
        type_name: &'static str,
        /// What its `Serialize` or the encoding says.
        reason: String,
    },
    /// The message is no encoded value of the type.
    #[error("the message is no encoded {type_name}: {reason}; it was dropped")]
    Undecodable {
        /// The type.
        type_name: &'static str,
        /// What its `Deserialize` or the encoding says.
        reason: String,
    },
    /// The channel refused.
    #[error(transparent)]
    Channel(#[from] weyr_channel::Error),
    /// The pool refused.
    #[error(transparent)]
    Pool(#[from] weyr_managed::Error),
}

impl Error {
    pub(crate) fn invalid<T>() -> Self {
        Self::InvalidValue { type_name: type_name::<T>() }
    }

    pub(crate) fn wrong_size<T>(found: u64, size: usize) -> Self {
        Self::WrongSize { found, expected: format!("it has exactly {size}"), type_name: type_name::<T>() }
    }
}
