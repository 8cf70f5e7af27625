//! The handle that receives.

use std::sync::Arc;
use std::time::Instant;

use weyr_managed::Taken as Block;
use weyr_shared::{MessageKind, SlotState};

use crate::channel::Shared;
use crate::receive::{ReceiveSide, Taken};
use crate::sender::Limit;
use crate::wait::{Attempt, Tried};
use crate::{Content, Error, Lease, Message, Statistics, WaitMode};

/// Receives messages from a channel. A clone remembers its own place in the ring: give each thread one.
///
/// Receiving is *taking*, which is over when the call returns, or *leasing*, which leaves message and payload in the
/// channel until the lease is done. A message whose receiver dies before it was taken, or with a lease on it, is
/// delivered again, marked so.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    side: Arc<ReceiveSide>,
    mode: WaitMode,
}

impl Clone for Receiver {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared)).with_wait_mode(self.mode)
    }
}

impl Receiver {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, side: Arc::default(), mode: WaitMode::default() }
    }

    /// The same receiver, waiting in another way; [`WaitMode::Adaptive`] unless said otherwise.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.mode = mode;
        self
    }

    /// Takes a message, if one waits. Does not wait; allocates private memory for bytes.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Destroyed`], and [`Error::Pool`] when a forked child cannot join the pool; nothing
    /// was received. [`Error::Corrupt`]: shared memory does not hold what it must; a message in such a slot is lost,
    /// later ones can be received.
    /// Source: *Dragon channels*, `dragon_chrecv_get_msg`.
    pub fn try_receive(&self) -> Result<Message, Error> {
        self.receive_within(Limit::Now)
    }

    /// Takes a message, waiting for one without limit.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), but for `Empty`.
    pub fn receive(&self) -> Result<Message, Error> {
        self.receive_within(Limit::Until(None))
    }

    /// Takes a message, waiting for one until `deadline`.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), but [`Error::Timeout`] for `Empty`.
    pub fn receive_until(&self, deadline: Instant) -> Result<Message, Error> {
        self.receive_within(Limit::Until(Some(deadline)))
    }

    /// Takes a message into the start of `buffer`, if one waits, and returns its length. Does not wait; allocates
    /// nothing. The bytes of an allocation are copied, and it is freed.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), and [`Error::TooLarge`] when `buffer` is too small: the message stays in
    /// the channel.
    #[inline]
    pub fn try_receive_into(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.receive_into_within(buffer, Limit::Now)
    }

    /// Takes a message into the start of `buffer`, waiting for one without limit, and returns its length.
    ///
    /// # Errors
    /// As [`try_receive_into`](Self::try_receive_into), but for `Empty`.
    #[inline]
    pub fn receive_into(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.receive_into_within(buffer, Limit::Until(None))
    }

    /// Takes a message into the start of `buffer`, waiting for one until `deadline`, and returns its length.
    ///
    /// # Errors
    /// As [`try_receive_into`](Self::try_receive_into), but [`Error::Timeout`] for `Empty`.
    #[inline]
    pub fn receive_into_until(&self, buffer: &mut [u8], deadline: Instant) -> Result<usize, Error> {
        self.receive_into_within(buffer, Limit::Until(Some(deadline)))
    }

    /// Leases a message, if one waits: it stays in the channel, and nobody else gets it while the lease lives. Does
    /// not wait.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive).
    pub fn try_lease(&self) -> Result<Lease, Error> {
        self.lease_within(Limit::Now)
    }

    /// Leases a message, waiting for one without limit.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), but for `Empty`.
    pub fn lease(&self) -> Result<Lease, Error> {
        self.lease_within(Limit::Until(None))
    }

    /// Leases a message, waiting for one until `deadline`.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), but [`Error::Timeout`] for `Empty`.
    pub fn lease_until(&self, deadline: Instant) -> Result<Lease, Error> {
        self.lease_within(Limit::Until(Some(deadline)))
    }

    /// What went through this handle, its leases included.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            received: self.side.messages.get(),
            bytes_copied_out: self.side.bytes_copied.get(),
            redelivered: self.side.redelivered.get(),
            claims_revoked: self.side.revoked.get(),
            ..Statistics::default()
        }
    }

    #[inline]
    fn take(&self, state: SlotState, limit: Limit) -> Result<Taken, Error> {
        let attached = &self.shared.attached;
        match attached.try_take(&self.side, state, Attempt::AT_ONCE)? {
            Tried::Done(taken) => Ok(taken),
            Tried::Blocked { .. } => match limit {
                Limit::Now => Err(Error::Empty),
                Limit::Until(deadline) => attached.take_until(&self.side, state, self.mode, deadline),
            },
        }
    }

    fn receive_within(&self, limit: Limit) -> Result<Message, Error> {
        let taken = self.take(SlotState::Taking, limit)?;
        self.shared.finish(&self.side, taken)
    }

    #[inline]
    fn receive_into_within(&self, buffer: &mut [u8], limit: Limit) -> Result<usize, Error> {
        let taken = self.take(SlotState::Taking, limit)?;
        self.shared.finish_into(&self.side, taken, buffer)
    }

    fn lease_within(&self, limit: Limit) -> Result<Lease, Error> {
        let taken = self.take(SlotState::Leased, limit)?;
        Ok(Lease::new(Arc::clone(&self.shared), Arc::clone(&self.side), taken))
    }
}

/// The end of a receive.
impl Shared {
    /// Takes what `taken` holds out of the channel.
    pub(crate) fn finish(&self, side: &ReceiveSide, taken: Taken) -> Result<Message, Error> {
        match self.kind_and_len(&taken) {
            Ok((MessageKind::SideLoaded, _)) => self.finish_large(side, taken),
            _ => self.finish_whole(side, taken),
        }
    }

    /// The same, but bytes that were side-loaded stay in their allocation, which becomes the receiver's.
    pub(crate) fn finish_whole(&self, side: &ReceiveSide, taken: Taken) -> Result<Message, Error> {
        let content = match self.kind_and_len(&taken) {
            Ok((MessageKind::Inline, len)) => self.copy_out(side, &taken, len).map(Content::Bytes),
            Ok(_) => self.take_allocation(&taken),
            Err(error) => Err(error),
        };
        // Whatever was there, the slot is free again: a message that cannot be read is not one.
        self.attached.release(taken)?;
        let content = content?;
        side.messages.add(1);
        Ok(Message::new(content, taken.is_redelivered()))
    }

    /// Ends a message in the channel itself without a look at it.
    pub(crate) fn finish_unread(&self, side: &ReceiveSide, taken: Taken) -> Result<(), Error> {
        self.attached.release(taken)?;
        side.messages.add(1);
        Ok(())
    }

    /// The same into a buffer; a message that is too large stays.
    #[inline]
    pub(crate) fn finish_into(
        &self,
        side: &ReceiveSide,
        taken: Taken,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let (kind, len) = match self.kind_and_len(&taken) {
            Ok(found) => found,
            Err(error) => return Err(self.discard(taken, error)),
        };
        if len > buffer.len() as u64 {
            self.attached.put_back(taken, false)?;
            return Err(Error::TooLarge { needed: len, largest: buffer.len() as u64 });
        }
        let bytes = &mut buffer[..len as usize];
        match kind {
            MessageKind::Inline => {}
            MessageKind::Reference => return self.copy_allocation(side, taken, bytes),
            MessageKind::SideLoaded => return self.finish_large_into(side, taken, bytes),
        }
        self.attached.read_bytes(&taken, bytes)?;
        self.attached.release(taken)?;
        side.messages.add(1);
        side.bytes_copied.add(len);
        Ok(bytes.len())
    }

    #[cold]
    fn copy_allocation(&self, side: &ReceiveSide, taken: Taken, bytes: &mut [u8]) -> Result<usize, Error> {
        match self.finish(side, taken)?.into_content() {
            Content::Allocation { allocation, view } => allocation.read(view.start, bytes)?,
            Content::Published { published, view } => published.read(view.start, bytes)?,
            Content::Bytes(copied) => bytes.copy_from_slice(&copied),
        }
        side.bytes_copied.add(bytes.len() as u64);
        Ok(bytes.len())
    }

    /// Frees a slot whose message makes no sense.
    #[cold]
    fn discard(&self, taken: Taken, error: Error) -> Error {
        self.attached.release(taken).err().unwrap_or(error)
    }

    /// What a message is, and how many bytes it has.
    #[inline]
    pub(crate) fn kind_and_len(&self, taken: &Taken) -> Result<(MessageKind, u64), Error> {
        let description = self.attached.description(taken)?;
        match description.kind {
            MessageKind::Inline => Ok((MessageKind::Inline, description.len.into())),
            kind => Ok((kind, self.attached.reference(taken)?.view_len)),
        }
    }

    pub(crate) fn copy_out(&self, side: &ReceiveSide, taken: &Taken, len: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; len as usize];
        self.attached.read_bytes(taken, &mut bytes)?;
        side.bytes_copied.add(len);
        Ok(bytes)
    }

    fn take_allocation(&self, taken: &Taken) -> Result<Content, Error> {
        let (block, message) = self.attached.take_block(taken)?;
        // The pool has checked that the block is as long as that.
        let view = message.view_offset..message.view_offset.saturating_add(message.view_len);
        Ok(match block {
            Block::Owned(allocation) => Content::Allocation { allocation, view },
            Block::Published(published) => Content::Published { published, view },
        })
    }
}
