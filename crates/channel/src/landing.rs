//! Landing pads: memory that is there before the message, into which its payload is put.
//!
//! A receiver brings one to the message ([`Receiver::receive_to`]), or a sender names one
//! ([`OutgoingMessage::send_into`](crate::OutgoingMessage::send_into)). Payload goes through a small private buffer
//! from any kind of memory to any other, so that no reference into shared memory is needed.
//!
//! A pad that is too small is an error that says how much is needed, and the message stays in the channel. So it does
//! when the pad cannot be written: the payload is the channel's until all of it has been put down.

use std::time::Instant;

use weyr_managed::{Allocation, Published};
use weyr_shared::{MessageAttributes, MessageKind, SlotState};

use crate::body::Body;
use crate::channel::Shared;
use crate::defaults::Limit;
use crate::receive::{ReceiveSide, Taken};
use crate::{Error, Receiver};

/// Bytes that are on their way at once: they stay in the first cache of a processor.
const CHUNK: usize = 8192;

/// Memory into which a payload can be put: an [`Allocation`], [`Published`] memory, or a byte slice.
pub trait LandingPad {
    /// Bytes that there are.
    fn room(&self) -> u64;
    /// Copies `bytes` to byte `offset`.
    ///
    /// # Errors
    /// Those of the memory.
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error>;
}

/// Memory from which a payload can be copied: an [`Allocation`], [`Published`] memory, or a byte slice.
pub trait Source {
    /// Bytes of it.
    fn bytes(&self) -> u64;
    /// Copies from byte `offset` into the whole of `bytes`.
    ///
    /// # Errors
    /// Those of the memory.
    fn get(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error>;
}

macro_rules! shared_memory {
    ($($memory:ty),*) => { $(
        impl LandingPad for $memory {
            fn room(&self) -> u64 {
                self.len()
            }

            fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
                Ok(self.write(offset, bytes)?)
            }
        }

        impl Source for $memory {
            fn bytes(&self) -> u64 {
                self.len()
            }

            fn get(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
                Ok(self.read(offset, bytes)?)
            }
        }
    )* };
}

shared_memory!(Allocation, Published);

impl LandingPad for [u8] {
    fn room(&self) -> u64 {
        self.len() as u64
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let largest = self.room();
        let place = self.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
        let needed = offset.saturating_add(bytes.len() as u64);
        place.ok_or(Error::TooLarge { needed, largest })?.copy_from_slice(bytes);
        Ok(())
    }
}

impl Source for [u8] {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn get(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let place = <[u8]>::get(self, offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        let needed = offset.saturating_add(bytes.len() as u64);
        bytes.copy_from_slice(place.ok_or(Error::TooLarge { needed, largest: self.bytes() })?);
        Ok(())
    }
}

/// Copies all of `source` to the start of `pad`; returns its length.
pub(crate) fn copy(
    source: &(impl Source + ?Sized),
    pad: &mut (impl LandingPad + ?Sized),
) -> Result<u64, Error> {
    let len = source.bytes();
    put_down(len, pad, |offset, bytes| source.get(offset, bytes)).map(|()| len)
}

/// Puts `len` bytes, which `read` reads, to the start of `pad`.
fn put_down(
    len: u64,
    pad: &mut (impl LandingPad + ?Sized),
    read: impl Fn(u64, &mut [u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    if len > pad.room() {
        return Err(Error::TooLarge { needed: len, largest: pad.room() });
    }
    let mut buffer = [0; CHUNK];
    let mut offset = 0;
    while offset < len {
        let chunk = &mut buffer[..(len - offset).min(CHUNK as u64) as usize];
        read(offset, chunk)?;
        pad.put(offset, chunk)?;
        offset += chunk.len() as u64;
    }
    Ok(())
}

/// A message whose payload was put into a landing pad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// Bytes of it, from the start of the pad on.
    pub len: u64,
    /// Whether an earlier receiver may have seen it.
    pub redelivered: bool,
    /// What it says of itself, in a channel with [message attributes](crate::ChannelAttributes::message_attributes).
    pub attributes: Option<MessageAttributes>,
}

/// Receiving into memory that is there already.
impl Receiver {
    /// Takes a message into the start of `pad`, if one waits. Does not wait; a payload that is an allocation is copied
    /// and freed.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive); [`Error::TooLarge`], with what would be needed, when the pad is too
    /// small; [`Error::Pool`] when the pad cannot be written. In the last two cases the message stays; the pad may
    /// have been written in part in the last one.
    pub fn try_receive_to(&self, pad: &mut (impl LandingPad + ?Sized)) -> Result<Landed, Error> {
        self.receive_to_within(pad, Limit::Now)
    }

    /// Takes a message into the start of `pad`, waiting for one as long as the receiver's
    /// [timeout](Self::with_timeout) allows.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes, Error};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-landing-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// let receiver = channel.receiver();
    ///
    /// channel.send(b"seven bytes and more")?;
    /// let mut pad = pool.alloc(7)?;
    /// assert_eq!(receiver.receive_to(&mut pad), Err(Error::TooLarge { needed: 20, largest: 7 }));
    /// let mut pad = pool.alloc(20)?; // the message is still there
    /// assert_eq!(receiver.receive_to(&mut pad)?.len, 20);
    /// # drop((pad, receiver));
    /// channel.destroy()?;
    /// pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_receive_to`](Self::try_receive_to), but [`Error::Timeout`] for `Empty`.
    pub fn receive_to(&self, pad: &mut (impl LandingPad + ?Sized)) -> Result<Landed, Error> {
        self.receive_to_within(pad, Limit::Default)
    }

    /// Takes a message into the start of `pad`, waiting for one until `deadline`.
    ///
    /// # Errors
    /// As [`receive_to`](Self::receive_to).
    pub fn receive_to_until(
        &self,
        pad: &mut (impl LandingPad + ?Sized),
        deadline: Instant,
    ) -> Result<Landed, Error> {
        self.receive_to_within(pad, Limit::Until(Some(deadline)))
    }

    fn receive_to_within(&self, pad: &mut (impl LandingPad + ?Sized), limit: Limit) -> Result<Landed, Error> {
        let taken = self.take(SlotState::Taking, limit)?;
        self.shared().finish_to(self.side(), taken, pad)
    }
}

impl Shared {
    /// Puts what `taken` holds into `pad`, and then ends it; what could not be put down stays.
    fn finish_to(
        &self,
        side: &ReceiveSide,
        taken: Taken,
        pad: &mut (impl LandingPad + ?Sized),
    ) -> Result<Landed, Error> {
        let (kind, len, body, attributes) = match self.whole(&taken) {
            Ok(found) => found,
            Err(error) => return Err(self.discard(taken, error)),
        };
        match put_down(len, pad, |offset, bytes| self.read_part(&taken, &body, offset, bytes)) {
            Ok(()) => {}
            // The payload went away under the copy: nobody else will find it either.
            Err(error @ (Error::Stale | Error::Corrupt(_))) => return Err(self.discard(taken, error)),
            Err(error) => {
                self.attached.put_back(taken, false)?;
                return Err(error);
            }
        }
        self.finish_unkept(side, kind, taken)?;
        side.bytes_copied.add(len);
        Ok(Landed { len, redelivered: taken.is_redelivered(), attributes })
    }

    /// Kind, length, place and attributes of a message that is what it says it is; any error means that it is none.
    fn whole(&self, taken: &Taken) -> Result<(MessageKind, u64, Body, Option<MessageAttributes>), Error> {
        let (kind, len) = self.kind_and_len(taken)?;
        let body = self.body(kind, taken)?;
        // The length is an allegation until the pool has said that the block is so long.
        body.read(self.attached.host(), len, &mut [])?;
        Ok((kind, len, body, self.attributes(taken)?))
    }

    fn read_part(&self, taken: &Taken, body: &Body, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        match body {
            Body::Inline => Ok(self.attached.ring().read_inline_from(taken.index, offset, bytes)?),
            body => body.read(self.attached.host(), offset, bytes),
        }
    }
}
