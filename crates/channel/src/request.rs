//! Requests: operations on channels that this process cannot reach, as values.
//!
//! In the same form as those for pools (`weyr_managed::Request`): made here, executed where the pool can be reached,
//! completed here by the response; in one process the three steps equal the direct call, errors included. How the bytes
//! travel is nobody's business here; what they are is `docs/wire-channels.md`, made from the declarations below.
//!
//! Source: *Dragon channels*, `dragon_channel_create_gen_req` and those like it.

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod direct;
#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod document;
mod errors;
mod execute;
mod held;
mod operation;
mod response;
pub(crate) mod values;

use std::time::Duration;

use weyr_managed::PoolDescriptor;
use weyr_managed::wire::{self, Frame, Wire};
use weyr_sys::host;

use crate::{ChannelAttributes, ChannelDescriptor, ChannelState, CurrentAttributes, Error};
use operation::Answer;
pub use operation::{ChannelOperation, ChannelRequestKind};
pub use response::{ChannelCompletion, ChannelResponse};

static FRAME: Frame =
    Frame { magic: b"WYCQ", version: 1, wrong_kind: "it is no request on a channel", damaged: wire::damaged };

/// An operation on a channel that some other process is to execute.
///
/// ```
/// # use weyr_channel::{Channel, ChannelAttributes, ChannelRequest, ChannelResponse};
/// # use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-channel-request-{}", std::process::id());
/// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// // Here: the pool is known by its descriptor.
/// let attributes = ChannelAttributes::new().capacity(10);
/// let (request, completion) = ChannelRequest::create(&pool.descriptor(), None, &attributes);
/// let bytes = request.to_bytes();
/// // Where it can be reached:
/// let bytes = ChannelRequest::from_bytes(&bytes)?.execute().to_bytes();
/// // Here again:
/// let descriptor = completion.complete(&ChannelResponse::from_bytes(&bytes)?)?;
/// assert_eq!(Channel::attach(&descriptor)?.capacity(), 10);
/// # pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRequest {
    id: u128,
    operation: ChannelOperation,
}

/// For `ChannelRequest::of`: what an answer of this kind has.
macro_rules! answer {
    ($kind:ident) => {
        |answer| match answer {
            Answer::$kind(answer) => Some(answer.clone()),
            _ => None,
        }
    };
}

/// Each makes a request and what completes it. None looks at shared memory or at the network, and none fails: what is
/// wrong is said by who executes it.
impl ChannelRequest {
    fn of<T>(operation: ChannelOperation, take: fn(&Answer) -> Option<T>) -> (Self, ChannelCompletion<T>) {
        let request = Self { id: host::random_u128(), operation };
        let completion = ChannelCompletion::new(&request, take);
        (request, completion)
    }

    /// [`Channel::create`](crate::Channel::create), or, with a name,
    /// [`create_named`](crate::Channel::create_named). The channel belongs to its pool: nobody there keeps a handle on it,
    /// and it stays until it is destroyed.
    /// Source: *Dragon channels*, `dragon_channel_create_gen_req`.
    pub fn create(
        pool: &PoolDescriptor,
        name: Option<&str>,
        attributes: &ChannelAttributes,
    ) -> (Self, ChannelCompletion<ChannelDescriptor>) {
        let (pool, name, attributes) = (pool.clone(), name.map(str::to_owned), attributes.clone());
        Self::of(ChannelOperation::Create { pool, name, attributes }, answer!(Create))
    }

    /// [`Channel::attach_named`](crate::Channel::attach_named), for its descriptor.
    pub fn find(pool: &PoolDescriptor, name: &str) -> (Self, ChannelCompletion<ChannelDescriptor>) {
        Self::of(ChannelOperation::Find { pool: pool.clone(), name: name.to_owned() }, answer!(Find))
    }

    /// [`Channel::destroy`](crate::Channel::destroy).
    /// Source: *Dragon channels*, `dragon_channel_destroy_gen_req`.
    pub fn destroy(channel: &ChannelDescriptor) -> (Self, ChannelCompletion<()>) {
        Self::of(ChannelOperation::Destroy { channel: channel.clone() }, answer!(Destroy))
    }

    /// [`Channel::len`](crate::Channel::len): messages that wait.
    pub fn waiting(channel: &ChannelDescriptor) -> (Self, ChannelCompletion<u32>) {
        Self::of(ChannelOperation::Waiting { channel: channel.clone() }, answer!(Waiting))
    }

    /// [`Channel::attributes`](crate::Channel::attributes).
    pub fn attributes(channel: &ChannelDescriptor) -> (Self, ChannelCompletion<CurrentAttributes>) {
        Self::of(ChannelOperation::GetAttributes { channel: channel.clone() }, answer!(GetAttributes))
    }

    /// [`Channel::set_attributes`](crate::Channel::set_attributes).
    pub fn set_attributes(
        channel: &ChannelDescriptor,
        new: &CurrentAttributes,
    ) -> (Self, ChannelCompletion<CurrentAttributes>) {
        let (channel, attributes) = (channel.clone(), new.clone());
        Self::of(ChannelOperation::SetAttributes { channel, attributes }, answer!(SetAttributes))
    }

    /// [`Channel::state`](crate::Channel::state).
    pub fn state(channel: &ChannelDescriptor) -> (Self, ChannelCompletion<ChannelState>) {
        Self::of(ChannelOperation::State { channel: channel.clone() }, answer!(State))
    }

    /// [`Channel::write_lock`](crate::Channel::write_lock), waiting there for up to `patience`, or without limit; with none
    /// at all it does not wait. The lock is the executing process's, which keeps it until it executes
    /// [`write_unlock`](Self::write_unlock), or ends.
    /// Source: *Dragon channels*, `dragon_channel_write_lock_gen_req`.
    pub fn write_lock(
        channel: &ChannelDescriptor,
        patience: Option<Duration>,
    ) -> (Self, ChannelCompletion<()>) {
        Self::of(ChannelOperation::WriteLock { channel: channel.clone(), patience }, answer!(WriteLock))
    }

    /// [`WriteLock::unlock`](crate::WriteLock::unlock) of the lock that the executing process has for such a request;
    /// [`Error::NotLocked`] when it has none.
    /// Source: *Dragon channels*, `dragon_channel_write_unlock_gen_req`.
    pub fn write_unlock(channel: &ChannelDescriptor) -> (Self, ChannelCompletion<()>) {
        Self::of(ChannelOperation::WriteUnlock { channel: channel.clone() }, answer!(WriteUnlock))
    }

    /// [`Channel::read_lock`](crate::Channel::read_lock), as [`write_lock`](Self::write_lock).
    /// Source: *Dragon channels*, `dragon_channel_read_lock_gen_req`.
    pub fn read_lock(
        channel: &ChannelDescriptor,
        patience: Option<Duration>,
    ) -> (Self, ChannelCompletion<()>) {
        Self::of(ChannelOperation::ReadLock { channel: channel.clone(), patience }, answer!(ReadLock))
    }

    /// [`ReadLock::unlock`](crate::ReadLock::unlock), as [`write_unlock`](Self::write_unlock).
    /// Source: *Dragon channels*, `dragon_channel_read_unlock_gen_req`.
    pub fn read_unlock(channel: &ChannelDescriptor) -> (Self, ChannelCompletion<()>) {
        Self::of(ChannelOperation::ReadUnlock { channel: channel.clone() }, answer!(ReadUnlock))
    }

    /// [`Channel::quiesce`](crate::Channel::quiesce), waiting as [`write_lock`](Self::write_lock). It stays so whoever
    /// ends.
    /// Source: *Dragon channels*, `dragon_channel_quiesce_gen_req`.
    pub fn quiesce(channel: &ChannelDescriptor, patience: Option<Duration>) -> (Self, ChannelCompletion<()>) {
        Self::of(ChannelOperation::Quiesce { channel: channel.clone(), patience }, answer!(Quiesce))
    }

    /// [`Channel::unquiesce`](crate::Channel::unquiesce).
    /// Source: *Dragon channels*, `dragon_channel_unquiesce_gen_req`.
    pub fn unquiesce(channel: &ChannelDescriptor) -> (Self, ChannelCompletion<()>) {
        Self::of(ChannelOperation::Unquiesce { channel: channel.clone() }, answer!(Unquiesce))
    }
}

impl ChannelRequest {
    /// What tells it apart from all others: 128 random bits.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// What it asks for.
    pub fn operation(&self) -> &ChannelOperation {
        &self.operation
    }

    /// Which operation that is.
    pub fn kind(&self) -> ChannelRequestKind {
        self.operation.kind()
    }

    /// As bytes, to be carried to who can execute it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = FRAME.begin();
        self.id.write(&mut bytes);
        self.operation.write(&mut bytes);
        wire::close(bytes)
    }

    /// From bytes. Looks at nothing else; whose they are is for the caller to know.
    ///
    /// # Errors
    /// [`Error::Pool`] with [`DamagedRequest`](weyr_managed::Error::DamagedRequest) or
    /// [`DamagedDescriptor`](weyr_managed::Error::DamagedDescriptor), when they are not what
    /// [`to_bytes`](Self::to_bytes) makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        wire::check_length(bytes)?;
        let mut fields = FRAME.open(bytes)?;
        let (id, operation) = (Wire::read(&mut fields)?, Wire::read(&mut fields)?);
        fields.end()?;
        Ok(Self { id, operation })
    }
}
