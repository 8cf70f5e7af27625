//! The handle that sends values of plain data.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use weyr_channel::{OutgoingMessage, SendError, WaitMode};

use super::Checked;
use crate::plain::Fit;
use crate::{Error, Owned};

/// Sends values of `T` to a channel. A clone remembers its own place in the ring: give each thread one.
///
/// A value that does not fit a block of the channel goes as an allocation, which the sender fills and the receiver can
/// keep; so does one that is [owned](Self::send_owned), without being copied at all.
pub struct Sender<T: ?Sized> {
    sender: weyr_channel::Sender,
    block_size: usize,
    values: PhantomData<fn(&T)>,
}

impl<T: ?Sized> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), ..*self }
    }
}

impl<T: ?Sized> Sender<T> {
    pub(crate) fn new(sender: weyr_channel::Sender, block_size: u32) -> Self {
        Self { sender, block_size: block_size as usize, values: PhantomData }
    }

    /// The same sender, waiting in another way.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.sender = self.sender.with_wait_mode(mode);
        self
    }

    /// The same sender, whose calls that do not say how long they wait do so for at most `timeout`.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.sender = self.sender.with_timeout(timeout);
        self
    }

    /// A sender at priority level `level`.
    ///
    /// # Errors
    /// [`Error::Channel`] when the channel does not have that level.
    pub fn with_priority(mut self, level: u32) -> Result<Self, Error> {
        self.sender = self.sender.with_priority(level)?;
        Ok(self)
    }

    /// The sender of bytes that it is made of.
    pub fn untyped(&self) -> &weyr_channel::Sender {
        &self.sender
    }
}

impl<T: Checked + ?Sized> Sender<T> {
    /// Sends a copy of `value`, if there is room at once. Does not wait. When it returns `Ok` the message is the
    /// channel's, whoever dies; until then nothing was sent.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`try_send`](weyr_channel::Sender::try_send), and
    /// [`BufferPoolFull`](weyr_channel::Error::BufferPoolFull) when a value needs an allocation and none can be had.
    #[inline]
    pub fn try_send(&self, value: &T) -> Result<(), Error> {
        match self.fitting(value) {
            Some(bytes) => Ok(self.sender.try_send(bytes)?),
            None => self.send_large(value, self.sender.message().at_once()),
        }
    }

    /// Sends a copy of `value`, waiting for room without limit, or as long as its timeout allows.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), but [`Timeout`](weyr_channel::Error::Timeout) for `Full` and `BufferPoolFull`.
    #[inline]
    pub fn send(&self, value: &T) -> Result<(), Error> {
        match self.fitting(value) {
            Some(bytes) => Ok(self.sender.send(bytes)?),
            None => self.send_large(value, self.sender.message()),
        }
    }

    /// Sends a copy of `value`, waiting for memory and room until `deadline`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_until(&self, value: &T, deadline: Instant) -> Result<(), Error> {
        match self.fitting(value) {
            Some(bytes) => Ok(self.sender.send_until(bytes, deadline)?),
            None => self.send_large(value, self.sender.message().until(deadline)),
        }
    }

    #[inline]
    fn fitting<'v>(&self, value: &'v T) -> Option<&'v [u8]> {
        Some(value.as_bytes()).filter(|bytes| bytes.len() <= self.block_size)
    }

    #[cold]
    fn send_large(&self, value: &T, message: OutgoingMessage<'_>) -> Result<(), Error> {
        let bytes = value.as_bytes();
        Ok(message.send_filled(bytes.len() as u64, |memory| Ok(memory.write(0, bytes)?))?)
    }
}

/// Giving away instead of copying.
impl<T: Fit + ?Sized> Sender<T> {
    /// Sends `value`, of the channel's pool, as it lies: nothing is copied. Waits for room as [`send`](Self::send) does.
    ///
    /// ```
    /// use weyr::prelude::*;
    /// # let name = format!("doc-send-owned-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// let (sender, receiver) = (channel.typed_sender::<[f64]>()?, channel.typed_receiver::<[f64]>()?);
    /// sender.send_owned(pool.owned(&[1.0, 2.0, 3.0][..])?)?;
    /// let numbers: Owned<[f64]> = receiver.receive_owned()?; // the same memory
    /// assert_eq!(numbers.get(2)?, 3.0);
    /// # drop(numbers);
    /// # channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Sender::send_allocation`](weyr_channel::Sender::send_allocation); each gives it back.
    pub fn send_owned(&self, value: Owned<T>) -> Result<(), SendError<Owned<T>>> {
        value.send_as(self.sender.message())
    }

    /// The same, if there is room at once.
    ///
    /// # Errors
    /// As [`send_owned`](Self::send_owned), but [`Full`](weyr_channel::Error::Full).
    pub fn try_send_owned(&self, value: Owned<T>) -> Result<(), SendError<Owned<T>>> {
        value.send_as(self.sender.message().at_once())
    }

    /// The same, waiting for room until `deadline`.
    ///
    /// # Errors
    /// As [`send_owned`](Self::send_owned).
    pub fn send_owned_until(&self, value: Owned<T>, deadline: Instant) -> Result<(), SendError<Owned<T>>> {
        value.send_as(self.sender.message().until(deadline))
    }
}

impl<T: ?Sized> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&std::any::type_name::<T>()).field(&self.sender).finish()
    }
}
