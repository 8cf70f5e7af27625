//! The handle that receives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weyr_managed::Taken as Block;
use weyr_shared::{MessageAttributes, MessageKind, RingLock, SlotState};

use crate::channel::Shared;
use crate::defaults::{Defaults, Limit};
use crate::expected::Unexpected;
use crate::receive::{ReceiveSide, Taken};
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
    defaults: Defaults,
}

impl Clone for Receiver {
    fn clone(&self) -> Self {
        Self { defaults: self.defaults, ..Self::new(Arc::clone(&self.shared)) }
    }
}

impl Receiver {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, side: Arc::default(), defaults: Defaults::default() }
    }

    /// The same receiver, waiting in another way; [`WaitMode::Adaptive`] unless said otherwise.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.defaults.mode = mode;
        self
    }

    /// The same receiver, whose calls that do not say how long they wait do so for at most `timeout`; without limit
    /// unless said otherwise. Such calls fail with [`Error::Timeout`] then; with a timeout of zero they do not wait
    /// and fail with [`Error::Empty`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.timeout = Some(timeout);
        self
    }

    /// Takes a message, if one waits. Does not wait; allocates private memory for bytes.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Destroyed`], and [`Error::Pool`] when a forked child cannot join the pool; nothing
    /// was received. [`Error::Corrupt`]: shared memory does not hold what it must; a message in such a slot is lost,
    /// later ones can be received. Of a message with memory of another pool: [`Error::Stale`] when it was freed and
    /// [`Error::MemoryGone`] when the pool was seen destroyed, and the message is over; [`Error::MemoryUnreachable`] when
    /// the pool cannot be used here, and the message **stays at the head**: who cannot reach it gets it again with each
    /// call, and the messages behind it not before another process has received it, or somebody has
    /// [popped](Self::try_pop) it. A pool that was destroyed before this process ever attached it is among those, for its
    /// name is gone either way.
    /// Source: *Dragon channels*, `dragon_chrecv_get_msg`.
    pub fn try_receive(&self) -> Result<Message, Error> {
        self.receive_within(Limit::Now)
    }

    /// Takes a message, waiting for one without limit, or as long as its
    /// [timeout](Self::with_timeout) allows.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), but [`Error::Timeout`] for `Empty`.
    pub fn receive(&self) -> Result<Message, Error> {
        self.receive_within(Limit::Default)
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

    /// Takes a message into the start of `buffer`, waiting for one without limit, or as long as its
    /// [timeout](Self::with_timeout) allows, and returns its length.
    ///
    /// # Errors
    /// As [`try_receive_into`](Self::try_receive_into), but [`Error::Timeout`] for `Empty`.
    #[inline]
    pub fn receive_into(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.receive_into_within(buffer, Limit::Default)
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

    /// Leases a message, waiting for one without limit, or as long as its
    /// [timeout](Self::with_timeout) allows.
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), but [`Error::Timeout`] for `Empty`.
    pub fn lease(&self) -> Result<Lease, Error> {
        self.lease_within(Limit::Default)
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

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn side(&self) -> &ReceiveSide {
        &self.side
    }

    #[inline]
    pub(crate) fn take(&self, state: SlotState, limit: Limit) -> Result<Taken, Error> {
        match self.shared.attached.take_expected(&self.side, state) {
            Ok(taken) => Ok(taken),
            Err(unexpected) => self.take_unexpected(state, limit, unexpected),
        }
    }

    /// Takes one that is not the expected one, or waits for it.
    #[cold]
    fn take_unexpected(
        &self,
        state: SlotState,
        limit: Limit,
        mut unexpected: Unexpected,
    ) -> Result<Taken, Error> {
        let attached = &self.shared.attached;
        loop {
            let taken = self.take_any(state, limit, unexpected)?;
            if !taken.is_redelivered() || !self.shared.is_received(&taken)? {
                return Ok(taken);
            }
            attached.release(taken)?;
            unexpected = Unexpected::Unknown;
        }
    }

    fn take_any(&self, state: SlotState, limit: Limit, unexpected: Unexpected) -> Result<Taken, Error> {
        let attached = &self.shared.attached;
        match attached.take_unexpected(&self.side, state, Attempt::AT_ONCE, unexpected)? {
            Tried::Done(taken) => Ok(taken),
            Tried::Blocked { .. } => self.take_later(state, limit),
        }
    }

    /// After a try that was blocked.
    #[cold]
    fn take_later(&self, state: SlotState, limit: Limit) -> Result<Taken, Error> {
        let attached = &self.shared.attached;
        match self.defaults.deadline(limit) {
            None => attached.say_why(RingLock::Read, Error::Empty, || {
                attached.try_take(&self.side, state, Attempt::AT_ONCE)
            }),
            Some(deadline) => attached.take_until(&self.side, state, self.defaults.mode, deadline),
        }
    }

    fn receive_within(&self, limit: Limit) -> Result<Message, Error> {
        let taken = self.take(SlotState::Taking, limit)?;
        self.shared.finish(&self.side, taken)
    }

    #[inline]
    fn receive_into_within(&self, buffer: &mut [u8], limit: Limit) -> Result<usize, Error> {
        match self.shared.attached.take_expected(&self.side, SlotState::Taking) {
            Ok(taken) => self.shared.finish_into(&self.side, taken, buffer),
            Err(unexpected) => self.receive_into_unexpected(buffer, limit, unexpected),
        }
    }

    #[cold]
    fn receive_into_unexpected(
        &self,
        buffer: &mut [u8],
        limit: Limit,
        unexpected: Unexpected,
    ) -> Result<usize, Error> {
        let taken = self.take_unexpected(SlotState::Taking, limit, unexpected)?;
        self.shared.finish_into(&self.side, taken, buffer)
    }

    fn lease_within(&self, limit: Limit) -> Result<Lease, Error> {
        let taken = self.take(SlotState::Leased, limit)?;
        self.shared.attached.tell_pollers_of_lease();
        Ok(Lease::new(Arc::clone(&self.shared), Arc::clone(&self.side), taken))
    }
}

/// The end of a receive.
impl Shared {
    /// Takes what `taken` holds out of the channel.
    pub(crate) fn finish(&self, side: &ReceiveSide, taken: Taken) -> Result<Message, Error> {
        match self.kind_and_len(&taken) {
            Ok((kind @ (MessageKind::SideLoaded | MessageKind::Elsewhere), _)) => {
                self.finish_large(side, kind, taken)
            }
            _ => self.finish_whole(side, taken),
        }
    }

    /// The same, but bytes that were side-loaded stay in their allocation, which becomes the receiver's.
    pub(crate) fn finish_whole(&self, side: &ReceiveSide, taken: Taken) -> Result<Message, Error> {
        let content = match self.kind_and_len(&taken) {
            Ok((MessageKind::Inline, len)) => self.copy_out(side, &taken, len).map(Content::Bytes),
            Ok((MessageKind::Reference | MessageKind::SideLoaded, _)) => self.take_allocation(&taken),
            Ok((MessageKind::Elsewhere, _)) => self.take_elsewhere(&taken),
            Ok((MessageKind::Frozen, _)) => self.open_frozen(&taken),
            Ok((MessageKind::Foreign | MessageKind::ForeignAside, _)) => self.take_foreign(&taken),
            Err(error) => Err(error),
        };
        let content = content.and_then(|content| Ok((content, self.attributes(&taken)?)));
        let (content, attributes) = match content {
            Ok(found) => found,
            Err(error) => return Err(self.discard(taken, error)),
        };
        self.attached.release(taken)?;
        side.messages.add(1);
        Ok(Message::new(content, taken.is_redelivered(), attributes))
    }

    /// Ends a message whose payload nobody keeps: that of a reference is freed, or the pool's again.
    pub(crate) fn finish_unkept(
        &self,
        side: &ReceiveSide,
        kind: MessageKind,
        taken: Taken,
    ) -> Result<(), Error> {
        match kind {
            MessageKind::Reference | MessageKind::SideLoaded | MessageKind::Elsewhere => {
                return self.finish_unread(side, taken);
            }
            MessageKind::Foreign | MessageKind::ForeignAside => self.discard_foreign(&taken),
            MessageKind::Inline | MessageKind::Frozen => {}
        }
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
            MessageKind::SideLoaded | MessageKind::Elsewhere => {
                return self.finish_large_into(side, kind, taken, bytes);
            }
            _ => return self.copy_reference(side, taken, bytes),
        }
        self.attached.read_bytes(&taken, bytes)?;
        self.attached.release(taken)?;
        side.messages.add(1);
        side.bytes_copied.add(len);
        Ok(bytes.len())
    }

    #[cold]
    fn copy_reference(&self, side: &ReceiveSide, taken: Taken, bytes: &mut [u8]) -> Result<usize, Error> {
        match self.finish(side, taken)?.into_content() {
            Content::Allocation { allocation, view } => allocation.read(view.start, bytes)?,
            Content::Published { published, view } => published.read(view.start, bytes)?,
            Content::Frozen(frozen) => frozen.read(0, bytes)?,
            Content::Bytes(copied) => bytes.copy_from_slice(&copied),
        }
        side.bytes_copied.add(bytes.len() as u64);
        Ok(bytes.len())
    }

    /// Frees the slot of a message that cannot be read, for it is none; one whose memory this process cannot
    /// reach stays, for others may.
    #[cold]
    pub(crate) fn discard(&self, taken: Taken, error: Error) -> Error {
        let ended = if error.is_outside_window() {
            self.attached.put_back(taken, false)
        } else {
            if self.attached.description(&taken).is_ok_and(|found| found.kind.is_foreign()) {
                self.discard_foreign(&taken);
            }
            self.attached.release(taken)
        };
        ended.err().unwrap_or(error)
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

    /// What a message says of itself.
    pub(crate) fn attributes(&self, taken: &Taken) -> Result<Option<MessageAttributes>, Error> {
        let ring = self.attached.ring();
        if ring.has_attributes() { Ok(ring.attributes(taken.index)?) } else { Ok(None) }
    }

    pub(crate) fn copy_out(&self, side: &ReceiveSide, taken: &Taken, len: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; len as usize];
        self.attached.read_bytes(taken, &mut bytes)?;
        side.bytes_copied.add(len);
        Ok(bytes)
    }

    fn open_frozen(&self, taken: &Taken) -> Result<Content, Error> {
        let (message, original) =
            (self.attached.reference(taken)?, self.attached.ring().is_original(taken.index)?);
        self.attached.host().open_frozen(&message, original).map(Content::Frozen)
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
