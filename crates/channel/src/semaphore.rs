//! A semaphore as a use of a channel: each unit is a message without bytes.
//!
//! Taking a unit is receiving one, giving one is sending one, and a *permit* is a lease: its unit comes back when it is
//! dropped, and when its process dies. So all that is said of channels holds for semaphores: who is killed or stopped at
//! any instruction blocks nobody, and nothing is lost but what somebody had taken for good.

use std::time::{Duration, Instant};

use weyr_managed::Pool;
use weyr_shared::RingUse;

use crate::attached::Attached;
use crate::pool_host::PoolHost;
use crate::send::{Bytes, SendSide};
use crate::wait::{Attempt, Tried};
use crate::{
    Channel, ChannelAttributes, ChannelDescriptor, Error, Lease, PollEvents, Poller, Receiver, Sender,
    WaitMode,
};

/// A bounded semaphore: units that are taken and given.
///
/// - [`acquire`](Self::acquire) gives a [`Permit`], whose unit comes back by itself, also when the process dies;
/// - [`take`](Self::take) (*P*) takes a unit for good: one that its taker does not give back is gone, whoever dies;
/// - [`give`](Self::give) (*V*) adds a unit, up to the capacity, which units of permits count towards;
/// - [`wait_for_zero`](Self::wait_for_zero) (*Z*) waits until no unit can be taken.
///
/// A handle is for one thread: clone it.
///
/// ```
/// use weyr_channel::Semaphore;
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-semaphore-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let licences = Semaphore::create(&pool, 2, 2)?;
/// let there = Semaphore::attach(&licences.descriptor())?; // in any process
///
/// let permit = there.acquire()?;
/// licences.take()?;
/// assert!(licences.try_take().is_err());
/// licences.wait_for_zero()?;
/// drop(permit); // or the end of its process
/// licences.give()?;
/// assert_eq!(there.value()?, 2);
/// # licences.destroy()?;
/// # drop(there);
/// # pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: *Dragon channels*, attributes `semaphore`, `bounded` and `initial_sem_value`; `DRAGON_SEMAPHORE_P` and its
/// like.
#[derive(Debug)]
pub struct Semaphore {
    channel: Channel,
    sender: Sender,
    receiver: Receiver,
    poller: Poller,
}

fn attributes(capacity: u32, initial: u32) -> Result<ChannelAttributes, Error> {
    if initial > capacity {
        return Err(Error::InvalidCapacity { messages: initial.into(), largest: capacity.into() });
    }
    Ok(ChannelAttributes::new().capacity(capacity.into()).block_size(48))
}

/// Makes a semaphore of a channel that nobody else knows yet.
fn make(attached: &Attached<PoolHost>, initial: u32) -> Result<(), Error> {
    let side = SendSide::default();
    for _ in 0..initial {
        match attached.try_send(&side, &Bytes(&[]), Attempt::AT_ONCE)? {
            Tried::Done(()) => {}
            Tried::Blocked { .. } => return Err(Error::Full),
        }
    }
    attached.ring().set_use(RingUse::Semaphore);
    Ok(())
}

/// A unit in use: dropping it gives it back, as does the death of its process.
#[derive(Debug)]
#[must_use = "dropping a permit gives its unit back"]
pub struct Permit(Lease);

impl Permit {
    /// Keeps the unit for good, as [`Semaphore::take`] would have.
    ///
    /// # Errors
    /// As [`Lease::done`].
    pub fn keep(self) -> Result<(), Error> {
        self.0.done()
    }
}

/// Its life.
impl Semaphore {
    /// Creates one with room for `capacity` units, of which `initial` are there, in an allocation of `pool`, and attaches
    /// this process.
    ///
    /// # Errors
    /// [`Error::InvalidCapacity`], also for more units than there is room for; as [`Channel::create`].
    pub fn create(pool: &Pool, capacity: u32, initial: u32) -> Result<Self, Error> {
        let attributes = attributes(capacity, initial)?;
        Self::checked(Channel::create_furnished(pool, &attributes, &|attached| make(attached, initial))?)
    }

    /// Attaches this process to the semaphore that `descriptor` names, and to its pool.
    ///
    /// # Errors
    /// [`Error::NotASemaphore`]; as [`Channel::attach`].
    pub fn attach(descriptor: &ChannelDescriptor) -> Result<Self, Error> {
        Self::checked(Channel::attach(descriptor)?)
    }

    /// Attaches this process to the semaphore of `pool` that `descriptor` names.
    ///
    /// # Errors
    /// [`Error::NotASemaphore`]; as [`Channel::attach_in`].
    pub fn attach_in(pool: &Pool, descriptor: &ChannelDescriptor) -> Result<Self, Error> {
        Self::checked(Channel::attach_in(pool, descriptor)?)
    }

    /// Creates one that is called `name`, and attaches this process; as [`Channel::create_named`], whose names these are: a
    /// name is that of a channel, or of what a channel is used as.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::InvalidName`]; as [`create`](Self::create).
    pub fn create_named(pool: &Pool, name: &str, capacity: u32, initial: u32) -> Result<Self, Error> {
        let attributes = attributes(capacity, initial)?;
        Self::checked(Channel::create_new(pool, name, &attributes, &|attached| make(attached, initial))?)
    }

    /// Attaches this process to the semaphore of `pool` that is called `name`.
    ///
    /// # Errors
    /// [`Error::NotASemaphore`] when something else is called so; as [`Channel::attach_named`].
    pub fn attach_named(pool: &Pool, name: &str) -> Result<Self, Error> {
        Self::checked(Channel::attach_named(pool, name)?)
    }

    /// The semaphore of `pool` called `name`, created with room for `capacity` units, of which `initial` are there, if there
    /// is none. One that is there stays as it is.
    ///
    /// # Errors
    /// [`Error::NotASemaphore`]; as [`create_named`](Self::create_named), but for `NameTaken`.
    pub fn attach_or_create_named(
        pool: &Pool,
        name: &str,
        capacity: u32,
        initial: u32,
    ) -> Result<Self, Error> {
        let attributes = attributes(capacity, initial)?;
        let make = |attached: &Attached<PoolHost>| make(attached, initial);
        Self::checked(Channel::attach_or_furnish(pool, name, &attributes, &make)?)
    }

    /// What it is called, if it was given a name.
    pub fn name(&self) -> Option<String> {
        self.channel.name()
    }

    fn checked(channel: Channel) -> Result<Self, Error> {
        if channel.ring().used_as() != Some(RingUse::Semaphore) {
            return Err(Error::NotASemaphore);
        }
        channel.attached().be_by_use();
        let (sender, receiver, poller) = (channel.sender(), channel.receiver(), channel.poller());
        Ok(Self { channel, sender, receiver, poller })
    }

    /// Names it to other processes of this host.
    pub fn descriptor(&self) -> ChannelDescriptor {
        self.channel.descriptor()
    }

    /// Destroys it: those who wait get [`Error::Destroyed`]. Its memory is freed when the last process has detached.
    ///
    /// # Errors
    /// As [`Channel::destroy`].
    pub fn destroy(self) -> Result<(), Error> {
        self.channel.clone().destroy()
    }

    /// The same semaphore, waiting in another way; [`WaitMode::Adaptive`] unless said otherwise.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.sender = self.sender.with_wait_mode(mode);
        self.receiver = self.receiver.with_wait_mode(mode);
        self.poller = self.poller.with_wait_mode(mode);
        self
    }

    /// The same semaphore, whose calls that do not say how long they wait do so for at most `timeout`.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.sender = self.sender.with_timeout(timeout);
        self.receiver = self.receiver.with_timeout(timeout);
        self.poller = self.poller.with_timeout(timeout);
        self
    }
}

/// Its use.
impl Semaphore {
    /// Takes a unit for good, waiting for one without limit, or as long as its [timeout](Self::with_timeout) allows.
    ///
    /// # Errors
    /// As [`Receiver::receive_into`].
    pub fn take(&self) -> Result<(), Error> {
        self.receiver.receive_into(&mut []).map(drop)
    }

    /// Takes a unit, if one is there. Does not wait.
    ///
    /// # Errors
    /// As [`Receiver::try_receive_into`]: [`Error::Empty`].
    pub fn try_take(&self) -> Result<(), Error> {
        self.receiver.try_receive_into(&mut []).map(drop)
    }

    /// Takes a unit, waiting for one until `deadline`.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_until(&self, deadline: Instant) -> Result<(), Error> {
        self.receiver.receive_into_until(&mut [], deadline).map(drop)
    }

    /// Takes a unit that comes back when the permit is dropped, waiting as [`take`](Self::take) does.
    ///
    /// # Errors
    /// As [`Receiver::lease`].
    pub fn acquire(&self) -> Result<Permit, Error> {
        self.receiver.lease().map(Permit)
    }

    /// The same, if a unit is there. Does not wait.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), but [`Error::Empty`].
    pub fn try_acquire(&self) -> Result<Permit, Error> {
        self.receiver.try_lease().map(Permit)
    }

    /// The same, waiting until `deadline`.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub fn acquire_until(&self, deadline: Instant) -> Result<Permit, Error> {
        self.receiver.lease_until(deadline).map(Permit)
    }

    /// Adds a unit; where there are as many as there is room for, waits until one was taken, without limit or as long
    /// as its [timeout](Self::with_timeout) allows. A process that died in the midst of giving one has left its place
    /// taken until the units before it are.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub fn give(&self) -> Result<(), Error> {
        self.sender.send(&[])
    }

    /// Adds a unit, if there is room for it. Does not wait, and so may find none for some 200 microseconds after the place
    /// at which the next unit would lie came to be a permit's, though there is room elsewhere.
    ///
    /// # Errors
    /// As [`Sender::try_send`]: [`Error::Full`].
    pub fn try_give(&self) -> Result<(), Error> {
        self.sender.try_send(&[])
    }

    /// Adds a unit, waiting for room until `deadline`.
    ///
    /// # Errors
    /// As [`give`](Self::give).
    pub fn give_until(&self, deadline: Instant) -> Result<(), Error> {
        self.sender.send_until(&[], deadline)
    }

    /// Waits until no unit can be taken, without limit or as long as its [timeout](Self::with_timeout) allows. Others may
    /// have given one when it returns.
    ///
    /// # Errors
    /// As [`Poller::poll`].
    pub fn wait_for_zero(&self) -> Result<(), Error> {
        self.poller.poll(PollEvents::EMPTY).map(drop)
    }

    /// The same, waiting until `deadline`.
    ///
    /// # Errors
    /// As [`wait_for_zero`](Self::wait_for_zero).
    pub fn wait_for_zero_until(&self, deadline: Instant) -> Result<(), Error> {
        self.poller.poll_until(PollEvents::EMPTY, deadline).map(drop)
    }

    /// Units that can be taken; others may have changed that when it returns.
    ///
    /// # Errors
    /// As [`Channel::len`].
    pub fn value(&self) -> Result<u32, Error> {
        self.channel.len()
    }

    /// Units that there is room for.
    pub fn capacity(&self) -> u32 {
        self.channel.capacity()
    }
}

impl Clone for Semaphore {
    fn clone(&self) -> Self {
        let (sender, receiver) = (self.sender.clone(), self.receiver.clone());
        Self { channel: self.channel.clone(), sender, receiver, poller: self.poller.clone() }
    }
}
