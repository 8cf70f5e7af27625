//! The handle that sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weyr_managed::{Allocation, Published};

use crate::channel::Shared;
use crate::defaults::{Defaults, Limit};
use crate::host::Host as _;
use crate::numbering::{Labelled, Numbering};
use crate::outgoing::OutgoingMessage;
use crate::pool_host::PoolHost;
use crate::send::{Bytes, Outgoing, SendSide};
use crate::wait::{Attempt, Tried};
use crate::{Error, SendError, Statistics, WaitMode};

/// Client id and hints of a message.
pub(crate) type Label = (u64, u64);

/// Sends messages to a channel. A clone remembers its own place in the ring: give each thread one.
///
/// Threads may share a sender; its messages then have no order of their own, and in a channel with message attributes
/// the order of their numbers may differ from that in which they arrive.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    side: SendSide,
    pub(crate) defaults: Defaults,
    client_id: u64,
    /// Whether it has more to see to than the payload: attributes, or their refusal.
    labelled: bool,
    numbering: Numbering,
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        let side = SendSide::at_level(self.side.level);
        Self { side, defaults: self.defaults, ..Self::new(Arc::clone(&self.shared)) }
            .with_client_id(self.client_id)
    }
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let labelled = shared.attached.ring().has_attributes();
        let (side, defaults, numbering) =
            (SendSide::default(), Defaults::default(), Numbering::new(labelled));
        Self { shared, side, defaults, client_id: 0, labelled, numbering }
    }

    /// The same sender, waiting in another way; [`WaitMode::Adaptive`] unless said otherwise.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.defaults.mode = mode;
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

    /// The same sender, whose calls that do not say how long they wait do so for at most `timeout`; without limit
    /// unless said otherwise. Such calls fail with [`Error::Timeout`] then; with a timeout of zero they do not wait
    /// and fail with [`Error::Full`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use weyr_channel::{Channel, ChannelAttributes, Error};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-timeout-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new().capacity(1))?;
    /// let sender = channel.sender().with_timeout(Duration::from_millis(1));
    ///
    /// sender.send(b"first")?;
    /// assert_eq!(sender.send(b"second"), Err(Error::Timeout));
    /// # drop(sender);
    /// channel.destroy()?;
    /// pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.timeout = Some(timeout);
        self
    }

    /// The same sender, on behalf of a client: its messages carry that number. Zero: of none.
    #[must_use]
    pub fn with_client_id(mut self, client_id: u64) -> Self {
        self.client_id = client_id;
        self.labelled = client_id != 0 || self.shared.attached.ring().has_attributes();
        self
    }

    /// Its id in the messages that it sends; none in a channel without
    /// [message attributes](crate::ChannelAttributes::message_attributes). A clone has another one.
    pub fn id(&self) -> Option<u128> {
        let attached = &self.shared.attached;
        attached.ring().has_attributes().then(|| self.numbering.id(attached.host().nonce()))
    }

    /// A message with more to it than its payload: attributes, a limit of its own to waiting, a destination.
    pub fn message(&self) -> OutgoingMessage<'_> {
        OutgoingMessage::new(self, self.client_id)
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

    /// Sends a copy of `bytes`, waiting for room without limit, or as long as its [timeout](Self::with_timeout) allows.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), but [`Error::Timeout`] for `Full` and `BufferPoolFull`.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.send_bytes(bytes, Limit::Default)
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
        self.message().at_once().send_allocation(allocation)
    }

    /// Sends `allocation`, waiting for room without limit, or as long as its [timeout](Self::with_timeout) allows.
    ///
    /// # Errors
    /// As [`try_send_allocation`](Self::try_send_allocation), but [`Error::Timeout`] for `Full`.
    pub fn send_allocation(&self, allocation: Allocation) -> Result<(), SendError<Allocation>> {
        self.message().send_allocation(allocation)
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
        self.message().until(deadline).send_allocation(allocation)
    }

    /// Sends `published`, of this channel's pool, without copying, waiting as [`send`](Self::send) does. It is the
    /// channel's until it is received, and the pool's again then. Other ways to wait:
    /// [`message`](Self::message).
    ///
    /// # Errors
    /// As [`OutgoingMessage::send_published`]; each gives it back.
    pub fn send_published(&self, published: Published) -> Result<(), SendError<Published>> {
        self.message().send_published(published)
    }

    /// Sends a reference to `frozen`, of this channel's pool, waiting as [`send`](Self::send) does: any number of times,
    /// for it stays as it is. Other ways to wait: [`message`](Self::message).
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes, Content};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-frozen-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    ///
    /// let mut table = pool.alloc(8)?;
    /// table.write(0, b"constant")?;
    /// let table = table.freeze()?;
    /// for _ in 0..2 {
    ///     channel.sender().send_frozen(&table)?;
    /// }
    /// for _ in 0..2 {
    ///     let Content::Frozen(table) = channel.receive()?.into_content() else { return Err("no view".into()) };
    ///     let mut bytes = [0; 8];
    ///     table.read(0, &mut bytes)?;
    ///     assert_eq!(&bytes, b"constant");
    /// }
    /// table.free()?; // nobody else does
    /// channel.destroy()?;
    /// pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`OutgoingMessage::send_frozen`].
    pub fn send_frozen(&self, frozen: &Published) -> Result<(), Error> {
        self.message().send_frozen(frozen)
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

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    #[inline]
    fn send_bytes(&self, bytes: &[u8], limit: Limit) -> Result<(), Error> {
        if !self.is_inline(bytes) {
            return self.send_large(bytes, limit, (self.client_id, 0));
        }
        if self.labelled {
            return self.post_labelled(&Bytes(bytes), limit, (self.client_id, 0));
        }
        self.post(&Bytes(bytes), limit)
    }

    /// Whether `bytes` fit a slot.
    #[inline]
    pub(crate) fn is_inline(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 <= u64::from(self.shared.attached.ring().block_size())
    }

    /// Sends what has a label of its own.
    pub(crate) fn dispatch<M>(&self, message: &M, limit: Limit, label: Label) -> Result<(), Error>
    where
        M: Outgoing<PoolHost>,
    {
        if self.labelled || label != (0, 0) {
            return self.post_labelled(message, limit, label);
        }
        self.post(message, limit)
    }

    #[cold]
    fn post_labelled<M>(&self, message: &M, limit: Limit, (client_id, hints): Label) -> Result<(), Error>
    where
        M: Outgoing<PoolHost>,
    {
        if !self.shared.attached.ring().has_attributes() {
            return if (client_id, hints) == (0, 0) {
                self.post(message, limit)
            } else {
                Err(Error::NoAttributes)
            };
        }
        let labelled = Labelled::new(message, &self.numbering, client_id, hints);
        let sent = self.post(&labelled, limit);
        if sent.is_err() {
            labelled.forget();
        }
        sent
    }

    #[inline]
    fn post<M>(&self, message: &M, limit: Limit) -> Result<(), Error>
    where
        M: Outgoing<PoolHost>,
    {
        let attached = &self.shared.attached;
        match attached.try_send(&self.side, message, Attempt::AT_ONCE)? {
            Tried::Done(()) => Ok(()),
            Tried::Blocked { .. } => match self.defaults.deadline(limit) {
                None => Err(Error::Full),
                Some(deadline) => attached.send_until(&self.side, message, self.defaults.mode, deadline),
            },
        }
    }
}
