//! Requests: operations on pools that this process cannot reach, as values.
//!
//! Three steps: here a request is made and serialized; where the pool can be reached it is executed, and the response
//! serialized; here the response completes the request. How the bytes travel is nobody's business here. In one process
//! the three steps equal the direct call, errors included: they arrive as themselves.
//!
//! The form of the bytes is `docs/wire.md`, made from the declarations in `wire.rs`, `values.rs`, `errors.rs` and
//! `operation.rs`. Source: Dragon managed memory, `dragon_memory_pool_create_gen_req` and those like it.

pub(crate) mod pool_reference;
pub(crate) mod response;

#[cfg(test)]
mod crossing;
#[cfg(test)]
mod document;
#[cfg(test)]
mod draw;
mod errors;
mod execute;
pub(crate) mod operation;
mod values;
pub(crate) mod wire;
mod words;

use std::time::Duration;

use weyr_sys::host;

use crate::frame::{self, Frame};
use crate::request::response::Completion;
use crate::{
    AllocationDescriptor, Attributes, Error, ManifestEntry, PoolAllocation, PoolAttributes, PoolDescriptor,
    Usage,
};
use operation::{AllocationMode, Answer, Operation, RequestKind};
use wire::Wire;

/// Bytes of the longest request or response. Who reads one from a stranger need not take more.
pub const MESSAGE_LIMIT: usize = 64 << 20;
/// Most entries that a response lists, which is less than [`MESSAGE_LIMIT`] bytes of them.
pub(crate) const LISTING_LIMIT: usize = 1 << 19;

/// What is wrong with the bytes of a request or response.
pub const fn damaged(reason: &'static str) -> Error {
    Error::DamagedRequest { reason }
}

/// Longer bytes than any message has are not looked at.
///
/// # Errors
/// [`Error::DamagedRequest`].
pub fn check_length(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MESSAGE_LIMIT { Err(damaged("it is longer than any can be")) } else { Ok(()) }
}

static FRAME: Frame = Frame { magic: b"WYRQ", version: 1, wrong_kind: "it is no request", damaged };

/// An operation on a pool that some other process is to execute.
///
/// ```
/// # use weyr_managed::{Error, Pool, PoolAttributes, Request, Response};
/// # let name = format!("doc-request-{}", std::process::id());
/// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// // Here: the pool is known by its descriptor.
/// let (request, completion) = Request::allocate_typed(&pool.descriptor(), 4096, 7, 42);
/// let bytes = request.to_bytes();
/// // Where it can be reached:
/// let bytes = Request::from_bytes(&bytes)?.execute().to_bytes();
/// // Here again:
/// let descriptor = completion.complete(&Response::from_bytes(&bytes)?)?;
/// assert_eq!(pool.open(&descriptor)?.id(), Some(42));
/// # pool.destroy()?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) id: u128,
    pub(crate) operation: Operation,
}

/// For `Request::of`: what an answer of this kind has.
macro_rules! answer {
    ($kind:ident) => {
        |answer| match answer {
            Answer::$kind(answer) => Some(answer.clone()),
            _ => None,
        }
    };
}

/// Each makes a request and what completes it. None looks at the pool, at shared memory or at the network, and none
/// fails: what is wrong is said by who executes it.
impl Request {
    fn of<T>(operation: Operation, take: fn(&Answer) -> Option<T>) -> (Self, Completion<T>) {
        let request = Self { id: host::random_u128(), operation };
        let completion = Completion::new(&request, take);
        (request, completion)
    }

    /// [`Pool::create`](crate::Pool::create), by the executing process's user, in its default directory unless the
    /// attributes name another. The pool must be of a type with a name, for nobody there keeps a handle on it: others are
    /// [`Error::InvalidAttribute`].
    /// Source: Dragon managed memory, `dragon_memory_pool_create_gen_req`.
    pub fn create(attributes: &PoolAttributes) -> (Self, Completion<PoolDescriptor>) {
        Self::of(Operation::Create { attributes: attributes.clone() }, answer!(Create))
    }

    /// [`Pool::destroy`](crate::Pool::destroy).
    /// Source: Dragon managed memory, `dragon_memory_pool_destroy_gen_req`.
    pub fn destroy(pool: &PoolDescriptor) -> (Self, Completion<()>) {
        Self::of(Operation::Destroy { pool: pool.clone() }, answer!(Destroy))
    }

    /// [`Pool::attributes`](crate::Pool::attributes).
    /// Source: Dragon managed memory, `dragon_memory_pool_getattr_gen_req`.
    pub fn attributes(pool: &PoolDescriptor) -> (Self, Completion<Box<Attributes>>) {
        Self::of(Operation::GetAttributes { pool: pool.clone() }, answer!(GetAttributes))
    }

    /// [`Pool::set_attributes`](crate::Pool::set_attributes), with the rights of the executing process.
    /// Source: Dragon managed memory, `dragon_memory_pool_setattr_gen_req`.
    pub fn set_attributes(pool: &PoolDescriptor, new: &Attributes) -> (Self, Completion<Box<Attributes>>) {
        let attributes = Box::new(new.clone());
        Self::of(Operation::SetAttributes { pool: pool.clone(), attributes }, answer!(SetAttributes))
    }

    /// [`Pool::alloc`](crate::Pool::alloc), then [`Allocation::publish`](crate::Allocation::publish): what was asked for
    /// belongs to the pool, because its owner is elsewhere. Nobody's death frees it, only [`free`](Self::free) does, or
    /// the end of the pool.
    /// Source: Dragon managed memory, `dragon_memory_alloc_gen_req`.
    pub fn allocate(pool: &PoolDescriptor, bytes: u64) -> (Self, Completion<AllocationDescriptor>) {
        Self::allocate_with(pool, bytes, AllocationMode::AtOnce, None)
    }

    /// As [`allocate`](Self::allocate), waiting for memory there until `patience` is over.
    pub fn allocate_within(
        pool: &PoolDescriptor,
        bytes: u64,
        patience: Duration,
    ) -> (Self, Completion<AllocationDescriptor>) {
        Self::allocate_with(pool, bytes, AllocationMode::Within(patience), None)
    }

    /// As [`allocate`](Self::allocate), under a type (not 0) and an id, by which it is found again.
    pub fn allocate_typed(
        pool: &PoolDescriptor,
        bytes: u64,
        type_id: u32,
        id: u64,
    ) -> (Self, Completion<AllocationDescriptor>) {
        Self::allocate_with(pool, bytes, AllocationMode::AtOnce, Some((type_id, id)))
    }

    /// As [`allocate`](Self::allocate), in any mode, with or without a type and an id.
    pub fn allocate_with(
        pool: &PoolDescriptor,
        bytes: u64,
        mode: AllocationMode,
        typed: Option<(u32, u64)>,
    ) -> (Self, Completion<AllocationDescriptor>) {
        let pool = pool.clone();
        Self::of(Operation::Allocate { pool, bytes, mode, typed }, answer!(Allocate))
    }

    /// [`Pool::open`](crate::Pool::open), then [`Published::free`](crate::Published::free).
    /// Source: Dragon managed memory, `dragon_memory_free_gen_req`.
    pub fn free(pool: &PoolDescriptor, allocation: &AllocationDescriptor) -> (Self, Completion<()>) {
        Self::of(Operation::Free { pool: pool.clone(), allocation: *allocation }, answer!(Free))
    }

    /// [`Pool::find`](crate::Pool::find).
    pub fn find(pool: &PoolDescriptor, type_id: u32, id: u64) -> (Self, Completion<AllocationDescriptor>) {
        Self::of(Operation::Find { pool: pool.clone(), type_id, id }, answer!(Find))
    }

    /// [`Pool::find_by_id`](crate::Pool::find_by_id).
    pub fn find_by_id(pool: &PoolDescriptor, block_id: u64) -> (Self, Completion<AllocationDescriptor>) {
        Self::of(Operation::FindById { pool: pool.clone(), block_id }, answer!(FindById))
    }

    /// [`Pool::exists`](crate::Pool::exists).
    pub fn exists(pool: &PoolDescriptor, type_id: u32, id: u64) -> (Self, Completion<bool>) {
        Self::of(Operation::Exists { pool: pool.clone(), type_id, id }, answer!(Exists))
    }

    /// [`Pool::manifest`](crate::Pool::manifest), of up to 524,288 entries; [`Error::TooMany`] beyond.
    pub fn manifest(pool: &PoolDescriptor) -> (Self, Completion<Vec<ManifestEntry>>) {
        Self::of(Operation::Manifest { pool: pool.clone(), type_id: None }, answer!(Manifest))
    }

    /// [`Pool::manifest_of_type`](crate::Pool::manifest_of_type), as [`manifest`](Self::manifest).
    pub fn manifest_of_type(pool: &PoolDescriptor, type_id: u32) -> (Self, Completion<Vec<ManifestEntry>>) {
        Self::of(Operation::Manifest { pool: pool.clone(), type_id: Some(type_id) }, answer!(Manifest))
    }

    /// [`Pool::allocations`](crate::Pool::allocations), up to 524,288; [`Error::TooMany`] beyond.
    pub fn allocations(pool: &PoolDescriptor) -> (Self, Completion<Vec<PoolAllocation>>) {
        Self::of(Operation::Allocations { pool: pool.clone() }, answer!(Allocations))
    }

    /// [`Pool::usage`](crate::Pool::usage).
    pub fn usage(pool: &PoolDescriptor) -> (Self, Completion<Usage>) {
        Self::of(Operation::Usage { pool: pool.clone() }, answer!(Usage))
    }
}

impl Request {
    /// What tells it apart from all others: 128 random bits.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// What it asks for.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Which operation that is.
    pub fn kind(&self) -> RequestKind {
        self.operation.kind()
    }

    /// As bytes, to be carried to who can execute it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = FRAME.begin();
        self.id.write(&mut bytes);
        self.operation.write(&mut bytes);
        frame::close(bytes)
    }

    /// From bytes. Looks at nothing else; whose they are is for the caller to know.
    ///
    /// # Errors
    /// [`Error::DamagedRequest`], and [`Error::DamagedDescriptor`] for a descriptor within, when they are not what
    /// [`to_bytes`](Self::to_bytes) makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        check_length(bytes)?;
        let mut fields = FRAME.open(bytes)?;
        let (id, operation) = (Wire::read(&mut fields)?, Wire::read(&mut fields)?);
        fields.end()?;
        Ok(Self { id, operation })
    }
}
