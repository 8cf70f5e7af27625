//! Events in a pool: made in an allocation, named by a descriptor, waited for and triggered by its members.
//!
//! The event itself is [`weyr_shared::broadcast`]; here it meets the allocation that it lies in and the participant that
//! knows which members live. What it does not do: the allocation does not die with who made it; somebody destroys it.

use std::time::Instant;

use weyr_shared::broadcast::{Notification, Notified};
use weyr_shared::{
    Broadcast, BroadcastAttributes, BroadcastError, BroadcastState, Corrupt, Region, Registration, Triggered,
    WaitMode,
};

use crate::{AllocationDescriptor, Error, Pool, PoolParticipant};

/// An event in memory that all members of a pool share, with this process as the one that waits and triggers.
///
/// Any number of threads use one at a time. Dropping it detaches; the event is there until somebody
/// [destroys](Self::destroy_until) it, whoever dies.
///
/// ```
/// use weyr_managed::{Pool, PoolAttributes, PoolBroadcast};
/// use weyr_shared::{BroadcastAttributes, WaitMode};
///
/// # let name = format!("doc-broadcast-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let event = pool.create_broadcast(&BroadcastAttributes::new().max_payload(64))?;
/// let text = event.descriptor()?.to_string(); // for another process of the pool
///
/// let theirs = pool.open_broadcast(&text.parse()?)?;
/// let waiter = std::thread::spawn(move || theirs.wait(WaitMode::Adaptive));
/// while event.num_waiting() == 0 { std::thread::yield_now() }
/// assert_eq!(event.trigger_all(b"go")?.released, 1);
/// assert_eq!(waiter.join().unwrap()?, b"go");
///
/// event.destroy_until(std::time::Instant::now() + std::time::Duration::from_secs(1))?;
/// # pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// Source: Dragon, `bcast.h`.
#[derive(Debug, Clone)]
pub struct PoolBroadcast {
    event: Broadcast,
    by: PoolParticipant,
    /// The allocation that it lies in; none in other memory.
    descriptor: Option<AllocationDescriptor>,
}

/// Why an event was not made, opened or freed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolBroadcastError {
    /// By the pool.
    #[error(transparent)]
    Pool(#[from] Error),
    /// By the event.
    #[error(transparent)]
    Event(#[from] BroadcastError),
}

impl Pool {
    /// Makes an event in an allocation of this pool.
    ///
    /// Commit point: the allocation is published. Who dies before it leaves an allocation that dies with it.
    ///
    /// # Errors
    /// [`PoolBroadcastError::Event`] for its attributes; as [`alloc`](Self::alloc) and [`actor`](Self::actor).
    /// Source: Dragon, `dragon_bcast_create`.
    pub fn create_broadcast(
        &self,
        attributes: &BroadcastAttributes,
    ) -> Result<PoolBroadcast, PoolBroadcastError> {
        let by = self.participant()?;
        let mut memory = self.alloc_aligned(Broadcast::size(attributes)?, CACHE_LINE)?;
        memory.fill(0)?;
        let published = memory.publish()?;
        match Broadcast::init(&published.region()?, attributes) {
            Ok(event) => Ok(PoolBroadcast { event, by, descriptor: Some(published.descriptor()) }),
            Err(error) => {
                published.free()?;
                Err(error.into())
            }
        }
    }

    /// The event that a descriptor names. One whose maker died, or has not come, before it was an event is corrupt.
    ///
    /// # Errors
    /// [`PoolBroadcastError::Event`] when there is none, or it was destroyed; as [`open`](Self::open) and [`actor`](Self::actor).
    /// Source: Dragon, `dragon_bcast_attach`.
    pub fn open_broadcast(
        &self,
        descriptor: &AllocationDescriptor,
    ) -> Result<PoolBroadcast, PoolBroadcastError> {
        let event = Broadcast::attach(&self.open(descriptor)?.region()?)?;
        Ok(PoolBroadcast { event, by: self.participant()?, descriptor: Some(*descriptor) })
    }

    /// The event at the start of `region`, in memory that all members share but no descriptor names.
    ///
    /// # Errors
    /// [`PoolBroadcastError::Event`] when there is none, or it was destroyed; as [`actor`](Self::actor).
    /// Source: Dragon, `dragon_bcast_attach_at`.
    pub fn attach_broadcast(&self, region: &Region) -> Result<PoolBroadcast, PoolBroadcastError> {
        Ok(PoolBroadcast { event: Broadcast::attach(region)?, by: self.participant()?, descriptor: None })
    }
}

/// So that places lie on cache lines of their own.
const CACHE_LINE: u64 = 64;

impl PoolBroadcast {
    /// Names it to other members of the pool: an allocation's descriptor, with text and bytes.
    ///
    /// # Errors
    /// [`BroadcastError::NotSerializable`] for one that lies in other memory.
    /// Source: Dragon, `dragon_bcast_serialize`.
    pub fn descriptor(&self) -> Result<AllocationDescriptor, BroadcastError> {
        self.descriptor.ok_or(BroadcastError::NotSerializable)
    }

    /// The event itself, for other participants.
    pub fn event(&self) -> &Broadcast {
        &self.event
    }

    /// As whom this process waits and triggers.
    pub fn participant(&self) -> &PoolParticipant {
        &self.by
    }

    /// As [`Broadcast::wait`].
    ///
    /// # Errors
    /// As these.
    pub fn wait(&self, mode: WaitMode) -> Result<Vec<u8>, BroadcastError> {
        self.event.wait(&self.by, mode)
    }

    /// As [`Broadcast::wait_until`].
    ///
    /// # Errors
    /// As these.
    pub fn wait_until(&self, mode: WaitMode, deadline: Instant) -> Result<Vec<u8>, BroadcastError> {
        self.event.wait_until(&self.by, mode, deadline)
    }

    /// As [`Broadcast::register`].
    ///
    /// # Errors
    /// As these.
    pub fn register(&self, mode: WaitMode) -> Result<Registration<'_, PoolParticipant>, BroadcastError> {
        self.event.register(&self.by, mode)
    }

    /// As [`Broadcast::trigger_one`].
    ///
    /// # Errors
    /// As these.
    pub fn trigger_one(&self, payload: &[u8]) -> Result<Triggered, BroadcastError> {
        self.event.trigger_one(&self.by, payload)
    }

    /// As [`Broadcast::trigger_some`].
    ///
    /// # Errors
    /// As these.
    pub fn trigger_some(&self, count: u64, payload: &[u8]) -> Result<Triggered, BroadcastError> {
        self.event.trigger_some(&self.by, count, payload)
    }

    /// As [`Broadcast::trigger_all`].
    ///
    /// # Errors
    /// As these.
    pub fn trigger_all(&self, payload: &[u8]) -> Result<Triggered, BroadcastError> {
        self.event.trigger_all(&self.by, payload)
    }

    /// As [`Broadcast::trigger_one_until`].
    ///
    /// # Errors
    /// As these.
    pub fn trigger_one_until(&self, payload: &[u8], deadline: Instant) -> Result<Triggered, BroadcastError> {
        self.event.trigger_one_until(&self.by, payload, deadline)
    }

    /// As [`Broadcast::trigger_some_until`].
    ///
    /// # Errors
    /// As these.
    pub fn trigger_some_until(
        &self,
        count: u64,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<Triggered, BroadcastError> {
        self.event.trigger_some_until(&self.by, count, payload, deadline)
    }

    /// As [`Broadcast::trigger_all_until`].
    ///
    /// # Errors
    /// As these.
    pub fn trigger_all_until(&self, payload: &[u8], deadline: Instant) -> Result<Triggered, BroadcastError> {
        self.event.trigger_all_until(&self.by, payload, deadline)
    }

    /// As [`Broadcast::notify_callback`].
    ///
    /// # Errors
    /// As these.
    pub fn notify_callback(
        &self,
        mode: WaitMode,
        deadline: Option<Instant>,
        callback: impl FnOnce(&Notified) + Send + 'static,
    ) -> Result<Notification<PoolParticipant>, BroadcastError> {
        self.event.notify_callback(&self.by, mode, deadline, callback)
    }

    /// As [`Broadcast::notify_signal`].
    ///
    /// # Errors
    /// As these.
    pub fn notify_signal(
        &self,
        mode: WaitMode,
        deadline: Option<Instant>,
        signal: i32,
    ) -> Result<Notification<PoolParticipant>, BroadcastError> {
        self.event.notify_signal(&self.by, mode, deadline, signal)
    }

    /// As [`Broadcast::num_waiting`].
    pub fn num_waiting(&self) -> u64 {
        self.event.num_waiting()
    }

    /// As [`Broadcast::reset`].
    ///
    /// # Errors
    /// As these.
    pub fn reset(&self) -> Result<u64, BroadcastError> {
        self.event.reset(&self.by)
    }

    /// As [`Broadcast::recover`].
    ///
    /// # Errors
    /// As these.
    pub fn recover(&self) -> Result<u64, BroadcastError> {
        self.event.recover(&self.by)
    }

    /// As [`Broadcast::state`].
    pub fn state(&self) -> BroadcastState {
        self.event.state()
    }

    /// As [`Broadcast::verify`].
    pub fn verify(&self) -> Vec<Corrupt> {
        self.event.verify()
    }

    /// As [`Broadcast::destroy`]: the allocation stays, for those who are still inside.
    ///
    /// # Errors
    /// As these.
    pub fn destroy(&self) -> Result<u64, BroadcastError> {
        self.event.destroy(&self.by)
    }

    /// Destroys the event, waits up to `deadline` until every living member has left it, and frees its allocation. What
    /// handles are left are on what may be somebody else's memory by then: they must not be used any more.
    ///
    /// # Errors
    /// [`BroadcastError::Timeout`] when somebody is still inside; then it is destroyed, and this
    /// can be called again. As [`destroy`](Self::destroy), but for one that was destroyed before;
    /// [`Published::free`](crate::Published::free).
    /// Source: Dragon, `dragon_bcast_destroy`.
    pub fn destroy_until(&self, deadline: Instant) -> Result<(), PoolBroadcastError> {
        match self.destroy() {
            Ok(_) | Err(BroadcastError::Destroyed) => {}
            Err(error) => return Err(error.into()),
        }
        if !self.event.is_left_until(&self.by, deadline) {
            return Err(BroadcastError::Timeout.into());
        }
        if let Some(descriptor) = self.descriptor {
            self.by.pool().open(&descriptor)?.free()?;
        }
        Ok(())
    }
}
