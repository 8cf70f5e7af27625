//! Requests are executed here: with what this process can reach, and so that nothing but a response comes of it.

use std::time::Instant;

use crate::{
    Allocation, AllocationDescriptor, Error, Pool, PoolAttributes, PoolDescriptor, PoolType, Published,
    Response,
};

use super::operation::{AllocationMode, Answer, Operation, Outcome};
use super::{LISTING_LIMIT, Request};

impl Request {
    /// Does what is asked for with this process's rights, and says what came of it: an error is a response, too.
    ///
    /// A pool that this process has attached is used as it is; another is attached for as long as this takes. So
    /// whoever serves requests on a pool keeps a handle on it. Waits only where the request is to [wait for
    /// memory](AllocationMode), and then as long as it says: a process that serves many gives it a thread, or looks at
    /// [`operation`](Self::operation) first and refuses. That is also where to look at what a stranger asks for, by
    /// [`Response::refusal`] if need be: nothing but this process's rights is asked here.
    ///
    /// A request that is executed twice is done twice. Where an answer can be lost on its way, memory is asked for under
    /// a type and an id ([`allocate_typed`](Self::allocate_typed)): the second time is [`Error::KeyTaken`], and
    /// [`find`](Self::find) finds the first.
    /// Source: Dragon managed memory, `dragon_memory_pool_exec_req`, `dragon_memory_exec_req`.
    pub fn execute(&self) -> Response {
        Response::new(self, self.operation.perform())
    }
}

impl Operation {
    fn perform(&self) -> Outcome {
        Ok(match self {
            Self::Create { attributes } => Answer::Create(create(attributes)?),
            Self::Destroy { pool } => Answer::Destroy(reach(pool)?.destroy()?),
            Self::GetAttributes { pool } => Answer::GetAttributes(Box::new(reach(pool)?.attributes()?)),
            Self::SetAttributes { pool, attributes } => {
                Answer::SetAttributes(Box::new(reach(pool)?.set_attributes(attributes)?))
            }
            Self::Allocate { pool, bytes, mode, typed } => {
                Answer::Allocate(allocate(&reach(pool)?, *bytes, *mode, *typed)?)
            }
            Self::Free { pool, allocation } => Answer::Free(reach(pool)?.open(allocation)?.free()?),
            Self::Find { pool, type_id, id } => Answer::Find(reach(pool)?.find(*type_id, *id)?.descriptor()),
            Self::FindById { pool, block_id } => {
                Answer::FindById(reach(pool)?.find_by_id(*block_id)?.descriptor())
            }
            Self::Exists { pool, type_id, id } => Answer::Exists(reach(pool)?.exists(*type_id, *id)),
            Self::Manifest { pool, type_id: None } => Answer::Manifest(listed(reach(pool)?.manifest())?),
            Self::Manifest { pool, type_id: Some(type_id) } => {
                Answer::Manifest(listed(reach(pool)?.manifest_of_type(*type_id))?)
            }
            Self::Allocations { pool } => {
                Answer::Allocations(listed(reach(pool)?.allocations().into_iter())?)
            }
            Self::Usage { pool } => Answer::Usage(reach(pool)?.usage()),
        })
    }
}

/// The pool, as this process has it already, or attached.
fn reach(descriptor: &PoolDescriptor) -> Result<Pool, Error> {
    Pool::attached(descriptor).map_or_else(|| Pool::attach_descriptor(descriptor), Ok)
}

/// Nobody here keeps what is created, so it must have a name.
fn create(attributes: &PoolAttributes) -> Result<PoolDescriptor, Error> {
    if matches!(attributes.kind, PoolType::Private | PoolType::Sealed) {
        let reason = format!(
            "a pool of type {} has no name and lives as long as somebody has it; ask for one with a name, or create it \
             where it is kept",
            attributes.kind.name()
        );
        return Err(Error::InvalidAttribute { attribute: "type", reason });
    }
    Pool::create(attributes).map(|pool| pool.descriptor())
}

/// Memory that is nobody's but the pool's from the start: who asked for it has no place among the pool's processes.
fn allocate(
    pool: &Pool,
    bytes: u64,
    mode: AllocationMode,
    typed: Option<(u32, u64)>,
) -> Result<AllocationDescriptor, Error> {
    let allocation = allocate_in(pool, bytes, mode)?;
    let published = match typed {
        None => allocation.publish(),
        Some((type_id, id)) => allocation.publish_as(type_id, id),
    };
    published.as_ref().map(Published::descriptor).map_err(Error::clone)
}

fn allocate_in(pool: &Pool, bytes: u64, mode: AllocationMode) -> Result<Allocation, Error> {
    match mode {
        AllocationMode::AtOnce => pool.alloc(bytes),
        AllocationMode::Aligned(alignment) => pool.alloc_aligned(bytes, alignment),
        AllocationMode::Zeroed(alignment) => pool.alloc_zeroed(bytes, alignment),
        AllocationMode::Blocking => pool.alloc_blocking(bytes),
        AllocationMode::Within(patience) => match Instant::now().checked_add(patience) {
            Some(deadline) => pool.alloc_until(bytes, deadline),
            // Beyond what clocks count.
            None => pool.alloc_blocking(bytes),
        },
    }
}

/// As many as a response carries.
fn listed<T>(found: impl Iterator<Item = T>) -> Result<Vec<T>, Error> {
    let listed: Vec<T> = found.take(LISTING_LIMIT + 1).collect();
    let limit = LISTING_LIMIT as u64;
    if listed.len() > LISTING_LIMIT { Err(Error::TooMany { what: "allocations", limit }) } else { Ok(listed) }
}
