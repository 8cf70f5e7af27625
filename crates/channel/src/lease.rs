//! A message that stays in the channel while it is looked at.

use std::sync::{Arc, OnceLock};

use weyr_shared::{MessageAttributes, MessageKind};

use crate::body::Body;
use crate::channel::Shared;
use crate::host::Host;
use crate::receive::{ReceiveSide, Taken};
use crate::tally::Tally;
use crate::{Error, Message};

/// A message in place: the receiver's to look at, the channel's to keep.
///
/// - [`done`](Self::done) ends it; a payload that is an allocation is freed with it, published memory is the pool's again.
/// - [`take`](Self::take) takes the message out, payload and all.
/// - Dropping it gives the message back, to be received by anybody; marked as delivered again if it was looked at.
/// - Forgetting it keeps the slot until the process ends; then the message is delivered again.
///
/// Senders go round the slot meanwhile. A lease may move between threads; a forked child cannot use its parent's.
#[derive(Debug)]
#[must_use = "dropping a lease gives the message back; call `done` or `take`"]
pub struct Lease {
    shared: Arc<Shared>,
    side: Arc<ReceiveSide>,
    /// None once the lease has ended.
    taken: Option<Taken>,
    nonce: u64,
    looks: Tally,
    /// Where the payload lies, once it was looked for.
    body: OnceLock<Body>,
}

impl Lease {
    pub(crate) fn new(shared: Arc<Shared>, side: Arc<ReceiveSide>, taken: Taken) -> Self {
        let nonce = shared.attached.host().nonce();
        Self { shared, side, taken: Some(taken), nonce, looks: Tally::new(), body: OnceLock::new() }
    }

    /// Bytes of the message.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::Corrupt`].
    pub fn len(&self) -> Result<u64, Error> {
        self.shared.kind_and_len(&self.own()?).map(|(_, len)| len)
    }

    /// Whether the message has no bytes. Errors as [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.len().map(|len| len == 0)
    }

    /// Whether an earlier receiver may have seen the message.
    pub fn is_redelivered(&self) -> bool {
        self.taken.is_some_and(|taken| taken.is_redelivered())
    }

    /// Who sent the message, as which of its messages, and what else it says of itself; none in a channel without
    /// [message attributes](crate::ChannelAttributes::message_attributes). It does not count as a look at the message.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::Corrupt`].
    pub fn attributes(&self) -> Result<Option<MessageAttributes>, Error> {
        self.shared.attributes(&self.own()?)
    }

    /// A copy of the message's bytes, from the channel or from its allocation.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::Corrupt`], and [`Error::Pool`] when the allocation is not what was sent.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        let taken = self.own()?;
        match self.shared.kind_and_len(&taken)? {
            (MessageKind::Inline, len) => {
                self.looks.add(1);
                self.shared.copy_out(&self.side, &taken, len)
            }
            (_, len) => {
                // The length is an allegation until the pool has said that the block is so long.
                self.payload()?.0.read(self.shared.attached.host(), len, &mut [])?;
                let mut bytes = vec![0; len as usize];
                self.read(0, &mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// Copies from byte `offset` of a payload that is an allocation into the whole of `bytes`.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes); [`Error::NoAllocation`] when the message is in the channel itself.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let (body, limit) = self.payload()?;
        let len = bytes.len() as u64;
        if offset.checked_add(len).is_none_or(|end| end > limit) {
            return Err(weyr_managed::Error::OutOfRange { offset, bytes: len, limit }.into());
        }
        body.read(self.shared.attached.host(), offset, bytes)?;
        self.side.bytes_copied.add(bytes.len() as u64);
        Ok(())
    }

    /// The bytes in place of a payload that is an allocation: nothing is copied.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`Error::Pool`] unless the channel's pool is
    /// [cooperative](weyr_managed::Pool::cooperative); always for memory of a pool that is not the channel's.
    pub fn as_slice(&self) -> Result<&[u8], Error> {
        match self.payload()?.0 {
            Body::Inline => Err(Error::NoAllocation),
            Body::Block(kind, message) => self.shared.attached.host().slice(*kind, message),
            Body::Foreign(memory) => Ok(memory.as_slice()?),
        }
    }

    /// A payload that is not in the slot, and its bytes.
    fn payload(&self) -> Result<(&Body, u64), Error> {
        let taken = self.own()?;
        self.looks.add(1);
        match self.shared.kind_and_len(&taken)? {
            (MessageKind::Inline, _) => Err(Error::NoAllocation),
            (kind, len) => Ok((self.body(kind, &taken)?, len)),
        }
    }

    fn body(&self, kind: MessageKind, taken: &Taken) -> Result<&Body, Error> {
        if let Some(body) = self.body.get() {
            return Ok(body);
        }
        let body = self.shared.body(kind, taken)?;
        Ok(self.body.get_or_init(|| body))
    }

    /// Ends the lease: the message is received, and a payload that is an allocation is freed.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::Corrupt`] and [`Error::Pool`] when the message was not what was sent, or is no
    /// longer this process's. The lease has ended all the same.
    pub fn done(mut self) -> Result<(), Error> {
        let taken = self.own()?;
        self.taken = None;
        match self.shared.kind_and_len(&taken) {
            Ok((kind, _)) => self.shared.finish_unkept(&self.side, kind, taken),
            Err(_) => self.shared.finish(&self.side, taken).map(drop),
        }
    }

    /// Ends the lease by receiving the message, payload and all: an allocation becomes this process's, also one that the
    /// sender's bytes were copied into because they did not fit a block.
    ///
    /// # Errors
    /// As [`done`](Self::done).
    pub fn take(mut self) -> Result<Message, Error> {
        let taken = self.own()?;
        self.taken = None;
        self.shared.finish_whole(&self.side, taken)
    }

    fn own(&self) -> Result<Taken, Error> {
        let own = self.taken.filter(|_| self.shared.attached.host().nonce() == self.nonce);
        own.ok_or(Error::Forked)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Ok(taken) = self.own() {
            // Failing means that the slot is not this process's any more, and that there is nothing to give back.
            let _ = self.shared.attached.put_back(taken, self.looks.get() > 0);
        }
    }
}
