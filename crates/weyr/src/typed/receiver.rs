//! The handle that receives values of plain data.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use weyr_channel::{Content, Error as ChannelError, Lease, Message, WaitMode};
use weyr_managed::{Allocation, Pool};

use super::Checked;
use crate::iterators::{IntoIter, Iter, Receive, TryIter};
use crate::plain::Fit;
use crate::{Error, Owned};

/// Values of up to so many bytes are received into the stack.
const SMALL: usize = 64;
/// So are values of up to so many bytes; larger ones go through private memory.
const MEDIUM: usize = 1024;

/// Receives values of `T` from a channel. A clone remembers its own place in the ring: give each thread one.
///
/// A message that is no `T` is an error, and it is gone: what it carried is dropped, and the next can be received.
pub struct Receiver<T: ?Sized> {
    receiver: weyr_channel::Receiver,
    pool: Pool,
    block_size: u64,
    values: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { receiver: self.receiver.clone(), pool: self.pool.clone(), ..*self }
    }
}

impl<T: ?Sized> Receiver<T> {
    pub(crate) fn new(receiver: weyr_channel::Receiver, pool: Pool, block_size: u32) -> Self {
        Self { receiver, pool, block_size: block_size.into(), values: PhantomData }
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

/// Copies of values.
impl<T: Checked> Receiver<T> {
    /// Takes a value, if one waits. Does not wait. Memory in which it came is freed.
    ///
    /// # Errors
    /// [`Error::Channel`], as [`try_receive_into`](weyr_channel::Receiver::try_receive_into);
    /// [`Error::WrongSize`] and [`Error::InvalidValue`] when the message is no `T`: it is gone.
    #[inline]
    pub fn try_receive(&self) -> Result<T, Error> {
        self.receive_with(|buffer| self.receiver.try_receive_into(buffer))
    }

    /// Takes a value, waiting for one without limit, or as long as its timeout allows.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), but [`Timeout`](weyr_channel::Error::Timeout) for `Empty`.
    #[inline]
    pub fn receive(&self) -> Result<T, Error> {
        self.receive_with(|buffer| self.receiver.receive_into(buffer))
    }

    /// Takes a value, waiting for one until `deadline`.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    #[inline]
    pub fn receive_until(&self, deadline: Instant) -> Result<T, Error> {
        self.receive_with(|buffer| self.receiver.receive_into_until(buffer, deadline))
    }

    /// Values as they come, until the channel is destroyed.
    ///
    /// ```
    /// use weyr::prelude::*;
    /// # let name = format!("doc-iterator-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// let (sender, receiver) = (channel.typed_sender::<u32>()?, channel.typed_receiver::<u32>()?);
    /// (1..=3).try_for_each(|number| sender.send(&number))?;
    /// assert_eq!(receiver.try_iter().sum::<Result<u32, _>>()?, 6);
    ///
    /// let sum = std::thread::spawn(move || receiver.iter().sum::<Result<u32, _>>());
    /// sender.send(&7)?;
    /// while !channel.is_empty()? { std::thread::yield_now(); }
    /// channel.destroy()?; // that ends the iterator
    /// assert_eq!(sum.join().expect("no panic")?, 7);
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> Iter<'_, Self> {
        Iter::new(self)
    }

    /// Values that wait; ends when none does.
    pub fn try_iter(&self) -> TryIter<'_, Self> {
        TryIter::new(self)
    }

    #[inline]
    fn receive_with(&self, receive: impl Fn(&mut [u8]) -> Result<usize, ChannelError>) -> Result<T, Error> {
        let size = size_of::<T>();
        if size <= SMALL {
            self.receive_through(&mut [0; SMALL], receive)
        } else if size <= MEDIUM {
            self.receive_through(&mut [0; MEDIUM], receive)
        } else {
            self.receive_through(&mut vec![0; size], receive)
        }
    }

    #[inline]
    fn receive_through(
        &self,
        buffer: &mut [u8],
        receive: impl Fn(&mut [u8]) -> Result<usize, ChannelError>,
    ) -> Result<T, Error> {
        let size = size_of::<T>();
        let bytes = &mut buffer[..size];
        loop {
            match receive(bytes) {
                Ok(len) if len == size => {
                    return T::try_read_from_bytes(bytes).map_err(|_| Error::invalid::<T>());
                }
                Ok(len) => return Err(Error::wrong_size::<T>(len as u64, size)),
                Err(ChannelError::TooLarge { .. }) => self.drop_larger(size)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the message that comes next out of the channel if it has more bytes than `size`; then that is the error.
    #[cold]
    fn drop_larger(&self, size: usize) -> Result<(), Error> {
        let lease = match self.receiver.try_lease() {
            // Somebody else took it.
            Err(ChannelError::Empty) => return Ok(()),
            lease => lease?,
        };
        let len = lease.len()?;
        if len <= size as u64 {
            return Ok(());
        }
        lease.done()?;
        Err(Error::wrong_size::<T>(len, size))
    }
}

/// Values in place.
impl<T: Fit + ?Sized> Receiver<T> {
    /// Takes a value in the memory in which it came, if one waits; one that came in a slot is copied into memory of the
    /// channel's pool. Does not wait.
    ///
    /// # Errors
    /// As [`try_receive`](Receiver::try_receive); [`Error::Pool`] when memory is needed and none is there: the message
    /// stays then.
    pub fn try_receive_owned(&self) -> Result<Owned<T>, Error> {
        self.take_owned(self.receiver.try_lease()?)
    }

    /// The same, waiting for a value without limit, or as long as its timeout allows.
    ///
    /// # Errors
    /// As [`try_receive_owned`](Self::try_receive_owned), but [`Timeout`](weyr_channel::Error::Timeout) for `Empty`.
    pub fn receive_owned(&self) -> Result<Owned<T>, Error> {
        self.take_owned(self.receiver.lease()?)
    }

    /// The same, waiting for a value until `deadline`.
    ///
    /// # Errors
    /// As [`receive_owned`](Self::receive_owned).
    pub fn receive_owned_until(&self, deadline: Instant) -> Result<Owned<T>, Error> {
        self.take_owned(self.receiver.lease_until(deadline)?)
    }

    fn take_owned(&self, lease: Lease) -> Result<Owned<T>, Error> {
        let len = lease.len()?;
        if let Err(error) = T::check(len) {
            lease.done()?;
            return Err(error);
        }
        // Asked for before the message is taken: without it the message stays.
        let spare = (len <= self.block_size).then(|| self.pool.alloc(len)).transpose()?;
        Owned::from_allocation(self.whole(lease.take()?, spare)?)
    }

    /// An allocation of all bytes of `message`, and of nothing else.
    fn whole(&self, message: Message, spare: Option<Allocation>) -> Result<Allocation, Error> {
        let len = message.len();
        if matches!(message.content(), Content::Allocation { allocation, .. } if allocation.len() == len) {
            return message.into_allocation().ok_or(Error::NoAllocation);
        }
        let mut memory = spare.map_or_else(|| self.pool.alloc(len), Ok)?;
        memory.write(0, &message.into_bytes()?)?;
        Ok(memory)
    }
}

impl<T: Checked> Receive for Receiver<T> {
    type Item = T;

    fn receive_next(&self) -> Result<T, Error> {
        self.receive()
    }

    fn try_receive_next(&self) -> Result<T, Error> {
        self.try_receive()
    }
}

impl<T: Checked> IntoIterator for Receiver<T> {
    type Item = Result<T, Error>;
    type IntoIter = IntoIter<Self>;

    fn into_iter(self) -> IntoIter<Self> {
        IntoIter::new(self)
    }
}

impl<'r, T: Checked> IntoIterator for &'r Receiver<T> {
    type Item = Result<T, Error>;
    type IntoIter = Iter<'r, Receiver<T>>;

    fn into_iter(self) -> Iter<'r, Receiver<T>> {
        self.iter()
    }
}

impl<T: ?Sized> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&type_name::<T>()).field(&self.receiver).finish()
    }
}
