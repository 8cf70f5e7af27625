//! Locks as users hold them.

use std::sync::Arc;
use std::time::Instant;

use weyr_shared::{LockWord, RingLock};

use crate::channel::Shared;
use crate::host::Host as _;
use crate::locks::Patience;
use crate::{Channel, Error};

/// An unlock that was refused, with the lock, which stays.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct UnlockError<L> {
    /// Why.
    #[source]
    pub error: Error,
    /// The lock.
    pub lock: L,
}

/// A lock of this process on a channel.
#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
    lock: RingLock,
    word: LockWord,
    nonce: u64,
}

impl Held {
    fn new(shared: &Arc<Shared>, lock: RingLock, patience: Patience) -> Result<Self, Error> {
        let word = shared.attached.lock(lock, patience)?;
        let nonce = shared.attached.host().nonce();
        Ok(Self { shared: Arc::clone(shared), lock, word, nonce })
    }

    /// # Errors
    /// [`Error::Quiesced`], [`Error::Forked`]: the lock stays.
    fn unlock(&self) -> Result<(), Error> {
        if !self.is_own() {
            return Err(Error::Forked);
        }
        self.shared.attached.unlock(self.lock, self.word)
    }

    fn is_own(&self) -> bool {
        self.shared.attached.host().nonce() == self.nonce
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Of a word that has ended nothing happens: it never comes again.
        if self.is_own() {
            self.shared.attached.end_lock(self.lock, self.word);
        }
    }
}

/// Nobody sends to the channel as long as this process has it, this process included; see [`Channel::write_lock`].
///
/// Dropping it releases the lock, also of a quiesced channel; so does the end of the process. A forked child does not have
/// it.
#[derive(Debug)]
#[must_use = "dropping a lock releases it"]
pub struct WriteLock(Held);

/// Nobody receives from the channel as long as this process has it, this process included; see [`Channel::read_lock`].
///
/// Dropping it releases the lock, also of a quiesced channel; so does the end of the process. A forked child does not have
/// it.
#[derive(Debug)]
#[must_use = "dropping a lock releases it"]
pub struct ReadLock(Held);

impl WriteLock {
    /// Releases the lock.
    ///
    /// # Errors
    /// [`Error::Quiesced`] while the channel is quiesced, [`Error::Forked`] in a forked child; the lock comes back with it.
    /// Source: *Dragon channels*, `dragon_channel_write_unlock`.
    pub fn unlock(self) -> Result<(), UnlockError<Self>> {
        self.0.unlock().map_err(|error| UnlockError { error, lock: self })
    }
}

impl ReadLock {
    /// Releases the lock.
    ///
    /// # Errors
    /// [`Error::Quiesced`] while the channel is quiesced, [`Error::Forked`] in a forked child; the lock comes back with it.
    /// Source: *Dragon channels*, `dragon_channel_read_unlock`.
    pub fn unlock(self) -> Result<(), UnlockError<Self>> {
        self.0.unlock().map_err(|error| UnlockError { error, lock: self })
    }
}

/// Locks.
impl Channel {
    /// Keeps everybody from sending, this process too, until the lock is released or its holder is dead. When this returns
    /// no message enters any more. Receiving goes on, and the channel can be destroyed.
    ///
    /// Who sends waits; calls that do not wait get [`Error::WriteLocked`]. Somebody in the middle of a send loses its
    /// turn, and sends when the lock is gone. Waits, without limit, for another's lock.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes, Error};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-write-lock-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// channel.send(b"before")?;
    /// let lock = channel.write_lock()?;
    /// assert!(matches!(channel.try_send(b"meanwhile"), Err(Error::WriteLocked { .. })));
    /// assert_eq!(channel.receive()?.into_bytes()?, b"before");
    /// drop(lock);
    /// channel.send(b"after")?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Quiesced`], [`Error::Destroyed`], [`Error::Corrupt`]; [`Error::Pool`] when a forked child cannot join the
    /// pool. The lock is not taken.
    /// Source: *Dragon channels*, `dragon_channel_write_lock`.
    pub fn write_lock(&self) -> Result<WriteLock, Error> {
        self.lock(RingLock::Write, Patience::Until(None)).map(WriteLock)
    }

    /// The same, waiting for another's lock until `deadline`.
    ///
    /// # Errors
    /// As [`write_lock`](Self::write_lock), and [`Error::Timeout`].
    pub fn write_lock_until(&self, deadline: Instant) -> Result<WriteLock, Error> {
        self.lock(RingLock::Write, Patience::Until(Some(deadline))).map(WriteLock)
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// As [`write_lock`](Self::write_lock), and [`Error::WriteLocked`] when a living process has the lock.
    pub fn try_write_lock(&self) -> Result<WriteLock, Error> {
        self.lock(RingLock::Write, Patience::None).map(WriteLock)
    }

    /// Keeps everybody from receiving and looking at messages, this process too, until the lock is released or its holder
    /// is dead. When this returns nobody has a message of the channel in hands. Sending goes on, and the channel can be
    /// destroyed.
    ///
    /// Who receives waits; calls that do not wait get [`Error::ReadLocked`]. Waits, without limit, for another's lock, and
    /// then for leases to end and messages to be copied.
    ///
    /// # Errors
    /// [`Error::Quiesced`], [`Error::Destroyed`], [`Error::Corrupt`]; [`Error::Pool`] when a forked child cannot join the
    /// pool. The lock is not taken.
    /// Source: *Dragon channels*, `dragon_channel_read_lock`.
    pub fn read_lock(&self) -> Result<ReadLock, Error> {
        self.lock(RingLock::Read, Patience::Until(None)).map(ReadLock)
    }

    /// The same, waiting until `deadline`.
    ///
    /// # Errors
    /// As [`read_lock`](Self::read_lock); [`Error::Timeout`] when the lock is another's till then, [`Error::InHands`] when
    /// a living process has a message in hands.
    pub fn read_lock_until(&self, deadline: Instant) -> Result<ReadLock, Error> {
        self.lock(RingLock::Read, Patience::Until(Some(deadline))).map(ReadLock)
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// As [`read_lock`](Self::read_lock); [`Error::ReadLocked`] when a living process has the lock, [`Error::InHands`] when
    /// one has a message in hands.
    pub fn try_read_lock(&self) -> Result<ReadLock, Error> {
        self.lock(RingLock::Read, Patience::None).map(ReadLock)
    }

    fn lock(&self, lock: RingLock, patience: Patience) -> Result<Held, Error> {
        Held::new(self.shared(), lock, patience)
    }
}
