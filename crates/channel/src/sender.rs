//! The handle that sends.

use std::sync::Arc;
use std::time::Instant;

use weyr_managed::Allocation;
use weyr_shared::MessageReference;

use crate::channel::Shared;
use crate::send::{Bytes, Outgoing, SendSide, Transfer};
use crate::wait::{Attempt, Tried};
use crate::{Error, SendError, Statistics, WaitMode};

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// It does not wait.
    Now,
    /// It waits until then, or without limit.
    Until(Option<Instant>),
}

/// Sends messages to a channel. A clone remembers its own place in the ring: give each thread one.
///
/// Threads may share a sender; its messages then have no order of their own.
#[derive(Debug)]
pub struct Sender {
    pub(crate) shared: Arc<Shared>,
    side: SendSide,
    mode: WaitMode,
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        let side = SendSide::at_level(self.side.level);
        Self { shared: Arc::clone(&self.shared), side, mode: self.mode }
    }
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, side: SendSide::default(), mode: WaitMode::default() }
    }

    /// The same sender, waiting in another way; [`WaitMode::Adaptive`] unless said otherwise.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.mode = mode;
        self
    }

    /// A sender at priority level `level`, from 0, where all senders begin, to the highest that the channel was made
    /// with: what it sends is received before what waits at lower levels. Its counts begin anew.
    ///
    /// Order holds within a level; across levels a receiver takes the most urgent message that it finds as it looks.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-priority-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new().priority_levels(2))?;
    /// let urgent = channel.sender().with_priority(1)?;
    /// channel.send(b"a frame")?;
    /// urgent.send(b"stop")?;
    /// assert_eq!(channel.receive()?.into_bytes()?, b"stop");
    /// # channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidPriority`].
    pub fn with_priority(self, level: u32) -> Result<Self, Error> {
        let levels = self.shared.attached.ring().levels();
        if level >= levels {
            return Err(Error::InvalidPriority { level, highest: levels - 1 });
        }
        Ok(Self { side: SendSide::at_level(level), ..self })
    }

    /// The priority level at which it sends.
    pub fn priority(&self) -> u32 {
        self.side.level
    }

    /// Sends a copy of `bytes`, if there is room at once. Does not wait.
    ///
    /// When it returns `Ok` the message is the channel's, whoever dies; until then nothing was sent.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::TooLarge`] for more than a block, [`Error::Destroyed`], [`Error::Corrupt`], and
    /// [`Error::Pool`] when a forked child cannot join the pool. Nothing was sent. Of a channel with
    /// [`side_loading`](crate::ChannelAttributes::side_loading): [`Error::TooLarge`] for more than the pool can ever give,
    /// [`Error::BufferPoolFull`].
    /// Source: *Dragon channels*, `dragon_chsend_send_msg`.
    #[inline]
    pub fn try_send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.send_bytes(bytes, Limit::Now)
    }

    /// Sends a copy of `bytes`, waiting for room without limit.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), but for `Full` and `BufferPoolFull`.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.send_bytes(bytes, Limit::Until(None))
    }

    /// Sends a copy of `bytes`, waiting for room until `deadline`.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), but [`Error::Timeout`] for `Full` and `BufferPoolFull`.
    #[inline]
    pub fn send_until(&self, bytes: &[u8], deadline: Instant) -> Result<(), Error> {
        self.send_bytes(bytes, Limit::Until(Some(deadline)))
    }

    /// Sends `allocation`, of this channel's pool, without copying, if there is room at once. Does not wait.
    ///
    /// When it returns `Ok` the allocation is the channel's, then its receiver's, whoever dies.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), and [`Error::OtherPool`]; each gives the allocation back.
    pub fn try_send_allocation(&self, allocation: Allocation) -> Result<(), SendError<Allocation>> {
        self.transfer(allocation, Limit::Now)
    }

    /// Sends `allocation`, waiting for room without limit.
    ///
    /// # Errors
    /// As [`try_send_allocation`](Self::try_send_allocation), but for `Full`.
    pub fn send_allocation(&self, allocation: Allocation) -> Result<(), SendError<Allocation>> {
        self.transfer(allocation, Limit::Until(None))
    }

    /// Sends `allocation`, waiting for room until `deadline`.
    ///
    /// # Errors
    /// As [`try_send_allocation`](Self::try_send_allocation), but [`Error::Timeout`] for `Full`.
    pub fn send_allocation_until(
        &self,
        allocation: Allocation,
        deadline: Instant,
    ) -> Result<(), SendError<Allocation>> {
        self.transfer(allocation, Limit::Until(Some(deadline)))
    }

    /// What went through this handle.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            sent: self.side.messages.get(),
            bytes_copied_in: self.side.bytes_copied.get(),
            claims_lost: self.side.revoked.get(),
            ..Statistics::default()
        }
    }

    #[inline]
    fn send_bytes(&self, bytes: &[u8], limit: Limit) -> Result<(), Error> {
        let largest = u64::from(self.shared.attached.ring().block_size());
        if bytes.len() as u64 > largest {
            return self.send_large(bytes, limit);
        }
        self.dispatch(&Bytes(bytes), limit)
    }

    fn transfer(&self, allocation: Allocation, limit: Limit) -> Result<(), SendError<Allocation>> {
        let host = self.shared.attached.host();
        let sent = host.check_own(&allocation).and_then(|()| {
            let (block, view_len) = (allocation.reference(), allocation.len());
            self.dispatch(&Transfer(MessageReference { block, view_offset: 0, view_len }), limit)
        });
        match sent {
            Ok(()) => {
                host.forget(allocation);
                Ok(())
            }
            Err(error) => Err(SendError { error, payload: allocation }),
        }
    }

    #[inline]
    pub(crate) fn dispatch<M>(&self, message: &M, limit: Limit) -> Result<(), Error>
    where
        M: Outgoing<crate::pool_host::PoolHost>,
    {
        let attached = &self.shared.attached;
        match attached.try_send(&self.side, message, Attempt::AT_ONCE)? {
            Tried::Done(()) => Ok(()),
            Tried::Blocked { .. } => match limit {
                Limit::Now => Err(Error::Full),
                Limit::Until(deadline) => attached.send_until(&self.side, message, self.mode, deadline),
            },
        }
    }
}
