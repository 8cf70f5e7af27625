//! The handle that sends encoded values.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use serde::Serialize;
use weyr_channel::{Error as ChannelError, OutgoingMessage, WaitMode};

use super::buffer::collecting;
use super::frame::Frame;
use crate::Error;

/// Sends values of `T`, encoded. A clone remembers its own place in the ring: give each thread one.
pub struct Sender<T> {
    sender: weyr_channel::Sender,
    block_size: u64,
    values: PhantomData<fn(&T)>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), ..*self }
    }
}

impl<T> Sender<T> {
    pub(super) fn new(sender: weyr_channel::Sender, block_size: u32) -> Self {
        Self { sender, block_size: block_size.into(), values: PhantomData }
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

impl<T: Serialize> Sender<T> {
    /// Sends `value`, if there is room at once. Does not wait. Allocates private memory for the encoding, and memory of
    /// the channel's pool for what does not fit a block, and wherever there is a [`Buffer`](super::Buffer).
    ///
    /// # Errors
    /// [`Error::Unencodable`]; [`Error::Channel`], as [`try_send`](weyr_channel::Sender::try_send), and
    /// [`BufferPoolFull`](weyr_channel::Error::BufferPoolFull). Nothing was sent.
    pub fn try_send(&self, value: &T) -> Result<(), Error> {
        self.post(value, self.sender.message().at_once())
    }

    /// Sends `value`, waiting for memory and room without limit, or as long as its timeout allows.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), but [`Timeout`](weyr_channel::Error::Timeout) for `Full` and `BufferPoolFull`.
    pub fn send(&self, value: &T) -> Result<(), Error> {
        self.post(value, self.sender.message())
    }

    /// Sends `value`, waiting for memory and room until `deadline`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_until(&self, value: &T, deadline: Instant) -> Result<(), Error> {
        self.post(value, self.sender.message().until(deadline))
    }

    fn post(&self, value: &T, message: OutgoingMessage<'_>) -> Result<(), Error> {
        let frame = encode(value)?;
        if let Some(bytes) = frame.as_bytes().filter(|_| frame.len() <= self.block_size) {
            return Ok(message.send(bytes)?);
        }
        let mut refused = None;
        let sent = message.send_filled(frame.len(), |memory| {
            frame.write(memory).map_err(|error| {
                refused = Some(error);
                ChannelError::Stale
            })
        });
        refused.map_or_else(|| Ok(sent?), Err)
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Frame, Error> {
    let (encoding, buffers) = collecting(|| postcard::to_allocvec(value));
    let encoding = encoding
        .map_err(|error| Error::Unencodable { type_name: type_name::<T>(), reason: error.to_string() })?;
    Ok(Frame::new(&encoding, buffers))
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&type_name::<T>()).field(&self.sender).finish()
    }
}
