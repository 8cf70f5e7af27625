//! The handle that sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weyr_managed::{Allocation, Published};
use weyr_shared::RingLock;

use crate::channel::Shared;
use crate::defaults::{Defaults, Limit};
use crate::expected::Unexpected;
use crate::host::Host as _;
use crate::numbering::{Labelled, Numbering};
use crate::outgoing::OutgoingMessage;
use crate::pool_host::PoolHost;
use crate::return_mode::Unfinished;
use crate::send::{Bytes, Outgoing, SendSide};
use crate::wait::{Attempt, Tried};
use crate::{Error, ReturnWhen, SendError, Statistics, WaitMode};

/// How a message is sent beside its payload and the limit to waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) client_id: u64,
    pub(crate) hints: u64,
    pub(crate) return_when: ReturnWhen,
    /// Whether flow control has let it through already.
    pub(crate) drawn: bool,
}

impl Manner {
    fn is_plain(&self) -> bool {
        (self.client_id, self.hints) == (0, 0) && self.return_when != ReturnWhen::Received
    }
}

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
    /// Whether it has more to see to than the payload: attributes, or their refusal, a receipt, or what it may send.
    elaborate: bool,
    return_when: ReturnWhen,
    numbering: Numbering,
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        let side = SendSide::at_level(self.side.level);
        Self { side, defaults: self.defaults, ..Self::new(Arc::clone(&self.shared)) }
            .with_client_id(self.client_id)
            .with_return_when(self.return_when)
    }
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let elaborate = shared.attached.ring().has_attributes();
        let (side, defaults, numbering) =
            (SendSide::default(), Defaults::default(), Numbering::new(elaborate));
        let return_when = ReturnWhen::default();
        Self { shared, side, defaults, client_id: 0, elaborate, return_when, numbering }.note_what_to_see_to()
    }

    fn note_what_to_see_to(mut self) -> Self {
        self.elaborate = self.client_id != 0
            || self.amount_of(0).is_some()
            || self.return_when == ReturnWhen::Received
            || self.shared.attached.ring().has_attributes();
        self
    }

    /// The same sender, whose sends return when `when` says; [`ReturnWhen::Buffered`] unless said otherwise.
    ///
    /// With [`ReturnWhen::Received`] the limit of a call covers the way into the channel and the wait for the receipt. A
    /// call that fails with [`Error::NotReceived`] or [`Error::ReceiptLost`] has sent its message.
    ///
    /// ```
    /// use std::time::Duration;
    /// use weyr_channel::{Channel, ChannelAttributes, Error, ReturnWhen};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-received-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// let sender = channel.sender().with_return_when(ReturnWhen::Received);
    ///
    /// std::thread::scope(|scope| {
    ///     let receiver = scope.spawn(|| channel.receive());
    ///     sender.send(b"read by somebody when this returns")?;
    ///     receiver.join().expect("it does not panic").map(drop)
    /// })?;
    /// let hasty = sender.with_timeout(Duration::from_millis(1));
    /// assert_eq!(hasty.send(b"nobody is there"), Err(Error::NotReceived));
    /// assert_eq!(channel.receive()?.into_bytes()?, b"nobody is there");
    /// # drop(hasty);
    /// channel.destroy()?;
    /// pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    /// Source: *Dragon channels*, attribute `return_mode` of a send handle.
    #[must_use]
    pub fn with_return_when(mut self, when: ReturnWhen) -> Self {
        self.return_when = when;
        self.note_what_to_see_to()
    }

    /// When its sends return.
    pub fn return_when(&self) -> ReturnWhen {
        self.return_when
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
        self.note_what_to_see_to()
    }

    /// Its id in the messages that it sends; none in a channel without
    /// [message attributes](crate::ChannelAttributes::message_attributes). A clone has another one.
    pub fn id(&self) -> Option<u128> {
        let attached = &self.shared.attached;
        attached.ring().has_attributes().then(|| self.numbering.id(attached.host().nonce()))
    }

    /// A message with more to it than its payload: attributes, a limit of its own to waiting, a destination.
    pub fn message(&self) -> OutgoingMessage<'_> {
        OutgoingMessage::new(self, self.client_id, self.return_when)
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
            return Ok(self.send_large(bytes, limit, self.usual())?);
        }
        if self.elaborate {
            return Ok(self.post_elaborate(&Bytes(bytes), limit, self.usual())?);
        }
        self.post(&Bytes(bytes), limit)
    }

    /// Whether `bytes` fit a slot.
    #[inline]
    pub(crate) fn is_inline(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 <= u64::from(self.shared.attached.ring().block_size())
    }

    /// Sends bytes of any size in a manner of their own.
    pub(crate) fn send_in_manner(&self, bytes: &[u8], limit: Limit, manner: Manner) -> Result<(), Error> {
        if !self.is_inline(bytes) {
            return Ok(self.send_large(bytes, limit, manner)?);
        }
        Ok(self.dispatch(&Bytes(bytes), limit, manner)?)
    }

    fn usual(&self) -> Manner {
        Manner { client_id: self.client_id, hints: 0, return_when: self.return_when, drawn: false }
    }

    /// Sends what has a manner of its own.
    pub(crate) fn dispatch<M>(&self, message: &M, limit: Limit, manner: Manner) -> Result<(), Unfinished>
    where
        M: Outgoing<PoolHost>,
    {
        if self.elaborate || !manner.is_plain() {
            return self.post_elaborate(message, limit, manner);
        }
        Ok(self.post(message, limit)?)
    }

    #[cold]
    fn post_elaborate<M>(&self, message: &M, limit: Limit, manner: Manner) -> Result<(), Unfinished>
    where
        M: Outgoing<PoolHost>,
    {
        if !self.shared.attached.ring().has_attributes() {
            return if (manner.client_id, manner.hints) == (0, 0) {
                self.post_until(message, limit, manner)
            } else {
                Err(Error::NoAttributes.into())
            };
        }
        let labelled = Labelled::new(message, &self.numbering, manner.client_id, manner.hints);
        let outcome = self.post_until(&labelled, limit, manner);
        if outcome.as_ref().is_err_and(|unfinished| !unfinished.sent) {
            labelled.forget();
        }
        outcome
    }

    #[inline]
    pub(crate) fn post<M>(&self, message: &M, limit: Limit) -> Result<(), Error>
    where
        M: Outgoing<PoolHost>,
    {
        let attached = &self.shared.attached;
        if self.side.courtesy.is_wary() && self.comes_later(limit)? {
            return self.post_behind_others(message, limit);
        }
        match attached.claim_expected(&self.side) {
            Ok(claim) => match attached.is_sent(&self.side, claim, message) {
                Ok(true) => Ok(()),
                Ok(false) => self.post_unexpected(message, limit, Unexpected::Unknown),
                Err(error) => Err(error),
            },
            Err(unexpected) => self.post_unexpected(message, limit, unexpected),
        }
    }

    /// Where the slot at its place is not free for it.
    #[cold]
    fn post_unexpected<M>(&self, message: &M, limit: Limit, unexpected: Unexpected) -> Result<(), Error>
    where
        M: Outgoing<PoolHost>,
    {
        let attached = &self.shared.attached;
        match attached.send_unexpected(&self.side, message, Attempt::AT_ONCE, unexpected)? {
            Tried::Done(()) => Ok(()),
            Tried::Blocked { .. } => self.post_later(message, limit),
        }
    }

    /// After a try that was blocked.
    #[cold]
    fn post_later<M>(&self, message: &M, limit: Limit) -> Result<(), Error>
    where
        M: Outgoing<PoolHost>,
    {
        let attached = &self.shared.attached;
        match self.defaults.deadline(limit) {
            None => attached.say_why(RingLock::Write, Error::Full, || {
                attached.try_send(&self.side, message, Attempt::AT_ONCE)
            }),
            Some(deadline) => attached.send_until(&self.side, message, self.defaults.mode, deadline),
        }
    }

    /// Whether others are to be let go first.
    #[cold]
    fn comes_later(&self, limit: Limit) -> Result<bool, Error> {
        if self.is_pending() {
            return Err(Error::Pending);
        }
        self.shared.attached.is_held_back(&self.side, self.defaults.waits(limit))
    }

    /// Whether a message of this sender waits in the hands of a [`SendCompletion`](crate::SendCompletion).
    pub(crate) fn is_pending(&self) -> bool {
        self.side.courtesy.is_pending()
    }

    pub(crate) fn set_pending(&self, pending: bool) {
        self.side.courtesy.set_pending(pending);
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.shared.attached.host().nonce()
    }

    #[cold]
    fn post_behind_others<M>(&self, message: &M, limit: Limit) -> Result<(), Error>
    where
        M: Outgoing<PoolHost>,
    {
        let attached = &self.shared.attached;
        match self.defaults.deadline(limit) {
            None => Err(Error::FlowControl(attached.ring().flow_control())),
            Some(deadline) => attached.send_until(&self.side, message, self.defaults.mode, deadline),
        }
    }
}
