//! The channel itself: created, attached to, destroyed.

use std::sync::Arc;
use std::time::Instant;

use weyr_managed::{Allocation, Pool, PoolDescriptor};
use weyr_shared::lock::Participant as _;
use weyr_shared::{Actor, FlowControl, Ring, RingName};

use crate::attached::Attached;
use crate::metering::Metering;
use crate::pool_host::PoolHost;
use crate::{
    ChannelAttributes, ChannelDescriptor, Error, Lease, Message, Poller, Receiver, SendError, Sender,
    Statistics,
};

/// What all handles of a process on one channel share; the last one's end detaches.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) attached: Attached<PoolHost>,
    pub(crate) metering: Metering,
}

/// A channel to which this process is attached.
///
/// A clone has its own sender and receiver: give each thread one. The last clone, sender, receiver and lease to go
/// detaches the process; the channel lives on until it is destroyed. Detaching from one that was destroyed ends what was
/// sent meanwhile, as [`destroy`](Self::destroy) does, and may attach other pools for that. In a forked child the first
/// use attaches anew.
///
/// ```
/// use weyr_channel::{Channel, ChannelAttributes};
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-channel-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
///
/// channel.send(b"hello")?;
/// assert_eq!(channel.receive()?.into_bytes()?, b"hello");
///
/// let mut frame = pool.alloc(4096)?;
/// frame.write(0, b"pixels")?;
/// channel.send_allocation(frame)?;
/// let frame = channel.receive()?.into_allocation().ok_or("no allocation")?;
/// assert_eq!(frame.len(), 4096);
/// # drop(frame);
/// channel.destroy()?;
/// pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Channel {
    shared: Arc<Shared>,
    sender: Sender,
    receiver: Receiver,
}

impl Clone for Channel {
    fn clone(&self) -> Self {
        Self::with(Arc::clone(&self.shared))
    }
}

/// What is put into a channel that nobody else knows yet: who finds the channel finds it there.
pub(crate) type Furnish<'a> = &'a dyn Fn(&Attached<PoolHost>) -> Result<(), Error>;
/// Nothing.
pub(crate) const AS_IT_IS: Furnish<'static> = &|_| Ok(());

/// Its life.
impl Channel {
    /// Creates a channel in an allocation of its own, and attaches this process. One allocation, no system call.
    ///
    /// # Errors
    /// [`Error::InvalidBlockSize`], [`Error::InvalidCapacity`], [`Error::InvalidLevels`], [`Error::InvalidBufferPool`],
    /// [`Error::InvalidCollective`], [`Error::BufferPool`]; [`Error::TooLarge`] when the pool can never hold it; [`Error::Pool`] when it has no room now or its table of channels is full.
    /// Source: *Dragon channels*, `dragon_channel_create`.
    pub fn create(pool: &Pool, attributes: &ChannelAttributes) -> Result<Self, Error> {
        Self::create_furnished(pool, attributes, AS_IT_IS)
    }

    pub(crate) fn create_furnished(
        pool: &Pool,
        attributes: &ChannelAttributes,
        furnish: Furnish<'_>,
    ) -> Result<Self, Error> {
        let needed = attributes.bytes(pool.process_limit())?;
        let allocation = pool.alloc(needed).map_err(|error| match error {
            weyr_managed::Error::TooLarge { limit: largest, .. } => Error::TooLarge { needed, largest },
            error => error.into(),
        })?;
        Self::create_with(pool, allocation, attributes, None, furnish)
    }

    /// Creates a channel in `allocation`, of `pool`, whose bytes are overwritten, and attaches this process.
    ///
    /// # Errors
    /// As [`create`](Self::create), and [`Error::TooLarge`] when the channel needs more than the allocation has, and
    /// [`Error::OtherPool`]. The allocation is freed.
    pub fn create_in(
        pool: &Pool,
        allocation: Allocation,
        attributes: &ChannelAttributes,
    ) -> Result<Self, Error> {
        Self::create_with(pool, allocation, attributes, None, AS_IT_IS)
    }

    pub(crate) fn create_with(
        pool: &Pool,
        allocation: Allocation,
        attributes: &ChannelAttributes,
        name: Option<&RingName>,
        furnish: Furnish<'_>,
    ) -> Result<Self, Error> {
        let attributes = attributes.for_pool(pool);
        let geometry = attributes.geometry(pool.process_limit())?;
        let host = PoolHost::with_buffers(pool, attributes.reach_buffers()?);
        host.check_own(&allocation)?;
        if geometry.bytes() > allocation.len() {
            return Err(Error::TooLarge { needed: geometry.bytes(), largest: allocation.len() });
        }
        let reference = allocation.reference();
        let ring = Ring::format(&host.block(reference, geometry.bytes())?, &geometry, reference)?;
        ring.set_record(&attributes.record());
        attributes.bound().map_or(Ok(()), |group| ring.become_collective(&group.0))?;
        name.into_iter().for_each(|name| ring.set_name(name));
        attributes.buffers().into_iter().for_each(|descriptor| ring.set_buffer_pool(&descriptor.to_bytes()));
        // Attached first: whatever happens behind the commit point, the channel has a user whose end is noticed.
        let attached = Attached::being_made(ring, reference, host)?;
        furnish(&attached)?;
        attached.host().make_channel(allocation)?;
        Ok(Self::over(attached))
    }

    /// Attaches this process to the channel that `descriptor` names, and to its pool.
    ///
    /// # Errors
    /// [`Error::Pool`] when the pool cannot be attached to or is another one, [`Error::Stale`] when the channel is
    /// gone, [`Error::Destroyed`], [`Error::NotAChannel`], [`Error::Version`], [`Error::Corrupt`],
    /// [`Error::TooManyHandles`]; [`Error::BufferPool`] when its buffer pool cannot be attached to. One that was
    /// destroyed is no hindrance: then bytes that do not fit a block are.
    /// Source: *Dragon channels*, `dragon_channel_attach`.
    pub fn attach(descriptor: &ChannelDescriptor) -> Result<Self, Error> {
        let pool = Pool::attach_descriptor(&PoolDescriptor::from_bytes(descriptor.pool())?)?;
        Self::attach_in(&pool, descriptor)
    }

    /// Attaches this process to the channel of `pool` that `descriptor` names.
    ///
    /// # Errors
    /// As [`attach`](Self::attach), and [`Error::OtherPool`].
    pub fn attach_in(pool: &Pool, descriptor: &ChannelDescriptor) -> Result<Self, Error> {
        if PoolDescriptor::from_bytes(descriptor.pool())?.uuid != pool.uuid() {
            return Err(Error::OtherPool);
        }
        let reference = descriptor.reference();
        let ring = PoolHost::new(pool).open_channel(reference)?;
        let host = PoolHost::of_channel(pool, &ring, reference)?;
        Ok(Self::over(Attached::new(ring, reference, host)?))
    }

    pub(crate) fn over(attached: Attached<PoolHost>) -> Self {
        Self::with(Arc::new(Shared { attached, metering: Metering::new() }))
    }

    /// Whether a process is known to be dead, by the pool.
    pub(crate) fn is_dead(&self, other: Actor) -> bool {
        self.pool().participant().is_ok_and(|me| me.is_dead(other))
    }

    pub(crate) fn with(shared: Arc<Shared>) -> Self {
        Self {
            sender: Sender::new(Arc::clone(&shared)),
            receiver: Receiver::new(Arc::clone(&shared)),
            shared,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn attached(&self) -> &Attached<PoolHost> {
        &self.shared.attached
    }

    pub(crate) fn ring(&self) -> &Ring {
        self.shared.attached.ring()
    }

    /// Names the channel to other processes of this host.
    /// Source: *Dragon channels*, `dragon_channel_serialize`.
    pub fn descriptor(&self) -> ChannelDescriptor {
        ChannelDescriptor::new(self.pool().descriptor().to_bytes(), self.shared.attached.block())
    }

    /// The pool in which it lies.
    pub fn pool(&self) -> &Pool {
        self.shared.attached.host().pool()
    }

    /// Detaches this handle; dropping it does the same.
    /// Source: *Dragon channels*, `dragon_channel_detach`.
    pub fn detach(self) {}

    /// Destroys the channel: all its users, here and elsewhere, get [`Error::Destroyed`] from now on, sleepers
    /// included. Messages that wait are dropped and their allocations freed; a lease can still be ended. The memory
    /// is freed when the last process has detached or is dead. Does not wait for anybody, but where messages bring
    /// allocations of other pools it attaches each of these that this process can, to free them: that opens and maps
    /// files. What it cannot reach stays published in its pool.
    ///
    /// # Errors
    /// [`Error::Destroyed`] when it was before; [`Error::Pool`] when a forked child cannot join the pool.
    /// Source: *Dragon channels*, `dragon_channel_destroy`.
    pub fn destroy(self) -> Result<(), Error> {
        self.shared.attached.destroy()
    }
}

/// Its handles, and what it holds.
impl Channel {
    /// A handle to send with.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// A handle to receive with.
    pub fn receiver(&self) -> Receiver {
        self.receiver.clone()
    }

    /// A handle to wait with for what the channel is like.
    pub fn poller(&self) -> Poller {
        Poller::new(Arc::clone(&self.shared))
    }

    /// Messages that can wait at once, in all priority levels together.
    pub fn capacity(&self) -> u32 {
        self.shared.attached.ring().capacity()
    }

    /// Priority levels; the highest is received first.
    pub fn priority_levels(&self) -> u32 {
        self.shared.attached.ring().levels()
    }

    /// What bounds the share of one sending process.
    pub fn flow_control(&self) -> FlowControl {
        self.shared.attached.ring().flow_control()
    }

    /// Bytes that a message can carry by copy.
    pub fn block_size(&self) -> u32 {
        self.shared.attached.ring().block_size()
    }

    /// Messages that wait, by one look at each slot; others may have changed that when it returns.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn len(&self) -> Result<u32, Error> {
        Ok(self.shared.attached.ring().waiting()?)
    }

    /// Whether no message waits. Errors as [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.len().map(|waiting| waiting == 0)
    }

    /// Whether it was destroyed.
    pub fn is_destroyed(&self) -> bool {
        self.shared.attached.ring().is_destroyed()
    }

    /// What went through this handle's own [`send`](Self::send) and [`receive`](Self::receive) calls.
    pub fn statistics(&self) -> Statistics {
        self.sender.statistics() + self.receiver.statistics()
    }
}

/// Sending and receiving without a handle of one's own.
impl Channel {
    /// See [`Sender::try_send`].
    #[inline]
    #[expect(clippy::missing_errors_doc, reason = "said there")]
    pub fn try_send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.sender.try_send(bytes)
    }

    /// See [`Sender::send`].
    #[inline]
    #[expect(clippy::missing_errors_doc, reason = "said there")]
    pub fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.sender.send(bytes)
    }

    /// See [`Sender::send_until`].
    #[inline]
    #[expect(clippy::missing_errors_doc, reason = "said there")]
    pub fn send_until(&self, bytes: &[u8], deadline: Instant) -> Result<(), Error> {
        self.sender.send_until(bytes, deadline)
    }

    /// See [`Sender::send_allocation`].
    #[expect(clippy::missing_errors_doc, reason = "said there")]
    pub fn send_allocation(&self, allocation: Allocation) -> Result<(), SendError<Allocation>> {
        self.sender.send_allocation(allocation)
    }

    /// See [`Receiver::try_receive`].
    #[expect(clippy::missing_errors_doc, reason = "said there")]
    pub fn try_receive(&self) -> Result<Message, Error> {
        self.receiver.try_receive()
    }

    /// See [`Receiver::receive`].
    #[expect(clippy::missing_errors_doc, reason = "said there")]
    pub fn receive(&self) -> Result<Message, Error> {
        self.receiver.receive()
    }

    /// See [`Receiver::receive_until`].
    #[expect(clippy::missing_errors_doc, reason = "said there")]
    pub fn receive_until(&self, deadline: Instant) -> Result<Message, Error> {
        self.receiver.receive_until(deadline)
    }

    /// See [`Receiver::lease`].
    #[expect(clippy::missing_errors_doc, reason = "said there")]
    pub fn lease(&self) -> Result<Lease, Error> {
        self.receiver.lease()
    }
}
