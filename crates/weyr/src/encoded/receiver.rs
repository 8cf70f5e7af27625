//! The handle that receives encoded values.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use weyr_channel::{Content, Message, WaitMode};
use weyr_managed::Allocation;

use super::buffer::{Buffer, offering};
use super::frame::{self, Parts};
use crate::Error;
use crate::iterators::{IntoIter, Iter, Receive, TryIter};

/// Receives values of `T` that were encoded. A clone remembers its own place in the ring: give each thread one.
///
/// A message that is no encoded `T` is an error, and it is gone: what it carried is dropped, and the next can be
/// received.
pub struct Receiver<T> {
    receiver: weyr_channel::Receiver,
    values: PhantomData<fn() -> T>,
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(self.receiver.clone())
    }
}

impl<T> Receiver<T> {
    pub(super) fn new(receiver: weyr_channel::Receiver) -> Self {
        Self { receiver, values: PhantomData }
    }

    /// The same receiver, waiting in another way.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.receiver = self.receiver.with_wait_mode(mode);
        self
    }

    /// The same receiver, whose calls that do not say how long they wait do so for at most `timeout`.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.receiver = self.receiver.with_timeout(timeout);
        self
    }

    /// The receiver of bytes that it is made of.
    pub fn untyped(&self) -> &weyr_channel::Receiver {
        &self.receiver
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// Takes a value, if one waits. Does not wait. Its [buffers](Buffer) lie where the message lay.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`try_receive`](weyr_channel::Receiver::try_receive); [`Error::Undecodable`]: it is gone.
    pub fn try_receive(&self) -> Result<T, Error> {
        decode(self.receiver.try_receive()?)
    }

    /// Takes a value, waiting for one without limit, or as long as its timeout allows.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), but [`Timeout`](weyr_channel::Error::Timeout) for `Empty`.
    pub fn receive(&self) -> Result<T, Error> {
        decode(self.receiver.receive()?)
    }

    /// Takes a value, waiting for one until `deadline`.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_until(&self, deadline: Instant) -> Result<T, Error> {
        decode(self.receiver.receive_until(deadline)?)
    }

    /// Values as they come, until the channel is destroyed.
    pub fn iter(&self) -> Iter<'_, Self> {
        Iter::new(self)
    }

    /// Values that wait; ends when none does.
    pub fn try_iter(&self) -> TryIter<'_, Self> {
        TryIter::new(self)
    }
}

fn decode<T: DeserializeOwned>(message: Message) -> Result<T, Error> {
    match message.content() {
        Content::Allocation { allocation, .. } if allocation.len() == message.len() => {
            in_pool(message.into_allocation().ok_or(Error::NoAllocation)?)
        }
        _ => in_private(message),
    }
}

fn in_pool<T: DeserializeOwned>(memory: Allocation) -> Result<T, Error> {
    let parts = frame::parse(memory.len(), |at, into| Ok(memory.read(at, into)?))?;
    let parts = parts.map_err(undecodable::<T>)?;
    let mut encoding = vec![0; parts.encoding.len()];
    memory.read(parts.encoding.start as u64, &mut encoding)?;
    let memory = Arc::new(memory);
    value(&encoding, parts, |range| Buffer::in_pool(&memory, range))
}

fn in_private<T: DeserializeOwned>(message: Message) -> Result<T, Error> {
    let bytes = Arc::new(message.into_bytes()?);
    let read = |at: u64, into: &mut [u8]| {
        into.copy_from_slice(&bytes[at as usize..at as usize + into.len()]);
        Ok(())
    };
    let parts = frame::parse(bytes.len() as u64, read)?.map_err(undecodable::<T>)?;
    let encoding = &bytes[parts.encoding.clone()];
    value(encoding, parts, |range| Buffer::in_private(&bytes, range))
}

fn value<T: DeserializeOwned>(
    encoding: &[u8],
    parts: Parts,
    view: impl Fn(std::ops::Range<usize>) -> Buffer,
) -> Result<T, Error> {
    let buffers = parts.buffers.into_iter().map(view).collect();
    let decoded = offering(buffers, || postcard::take_from_bytes(encoding));
    match decoded {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(undecodable::<T>("bytes are left over")),
        Err(error) => Err(undecodable::<T>(&error.to_string())),
    }
}

fn undecodable<T>(reason: &str) -> Error {
    Error::Undecodable { type_name: type_name::<T>(), reason: reason.to_owned() }
}

impl<T: DeserializeOwned> Receive for Receiver<T> {
    type Item = T;

    fn receive_next(&self) -> Result<T, Error> {
        self.receive()
    }

    fn try_receive_next(&self) -> Result<T, Error> {
        self.try_receive()
    }
}

impl<T: DeserializeOwned> IntoIterator for Receiver<T> {
    type Item = Result<T, Error>;
    type IntoIter = IntoIter<Self>;

    fn into_iter(self) -> IntoIter<Self> {
        IntoIter::new(self)
    }
}

impl<'r, T: DeserializeOwned> IntoIterator for &'r Receiver<T> {
    type Item = Result<T, Error>;
    type IntoIter = Iter<'r, Receiver<T>>;

    fn into_iter(self) -> Iter<'r, Receiver<T>> {
        self.iter()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&type_name::<T>()).field(&self.receiver).finish()
    }
}
