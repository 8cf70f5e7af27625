//! One message on its way out: what goes with it, how long sending may take, and what it carries.

use std::time::Instant;

use weyr_managed::{Allocation, Pool, Published};
use weyr_shared::MessageReference;

use crate::defaults::Limit;
use crate::destination::Destination;
use crate::landing::{self, Source};
use crate::pool_host::PoolHost;
use crate::return_mode::Unfinished;
use crate::send::{Outgoing, Transfer};
use crate::sender::Manner;
use crate::share::Share;
use crate::{Error, ReturnWhen, SendError, Sender};

/// One message to be sent: made by [`Sender::message`], sent by one of its `send` calls.
///
/// ```
/// use weyr_channel::{Channel, ChannelAttributes};
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-outgoing-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let channel = Channel::create(&pool, &ChannelAttributes::new().message_attributes(true))?;
/// let sender = channel.sender();
///
/// sender.message().hints(0b10).client_id(7).send(b"hello")?;
/// let message = channel.receive()?;
/// let attributes = message.attributes().ok_or("no attributes")?;
/// assert_eq!((attributes.hints, attributes.client_id, attributes.sequence), (0b10, 7, 1));
/// # drop(sender);
/// channel.destroy()?;
/// pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "it is sent by one of its `send` calls"]
pub struct OutgoingMessage<'s> {
    sender: &'s Sender,
    manner: Manner,
    limit: Limit,
}

/// What goes with it.
impl<'s> OutgoingMessage<'s> {
    pub(crate) fn new(sender: &'s Sender, client_id: u64, return_when: ReturnWhen) -> Self {
        Self {
            sender,
            manner: Manner { client_id, hints: 0, return_when, drawn: false },
            limit: Limit::Default,
        }
    }

    /// Bits that mean something to sender and receiver only; none unless said. In a channel without
    /// [message attributes](crate::ChannelAttributes::message_attributes) sending them is
    /// [`Error::NoAttributes`].
    pub fn hints(self, hints: u64) -> Self {
        Self { manner: Manner { hints, ..self.manner }, ..self }
    }

    /// The client on whose behalf it is sent; the sender's own unless said. As for [`hints`](Self::hints).
    pub fn client_id(self, client_id: u64) -> Self {
        Self { manner: Manner { client_id, ..self.manner }, ..self }
    }

    /// Sending it returns when `when` says; else when the [sender](Sender::with_return_when) says.
    pub fn return_when(self, when: ReturnWhen) -> Self {
        Self { manner: Manner { return_when: when, ..self.manner }, ..self }
    }

    /// Sending it does not wait.
    pub fn at_once(self) -> Self {
        Self { limit: Limit::Now, ..self }
    }

    /// Sending it waits for room until `deadline`.
    pub fn until(self, deadline: Instant) -> Self {
        Self { limit: Limit::Until(Some(deadline)), ..self }
    }

    /// Sending it waits for room without limit, whatever the sender's own timeout is.
    pub fn without_limit(self) -> Self {
        Self { limit: Limit::Until(None), ..self }
    }
}

/// What it carries.
impl<'s> OutgoingMessage<'s> {
    /// Sends a copy of `bytes`.
    ///
    /// # Errors
    /// As [`Sender::try_send`]; [`Error::Timeout`] for `Full` and `BufferPoolFull` where it waits; [`Error::NoAttributes`].
    pub fn send(self, bytes: &[u8]) -> Result<(), Error> {
        self.sender.send_in_manner(bytes, self.limit, self.manner)
    }

    /// Allocates `bytes` bytes of the channel's pool, lets `fill` write them, and sends them as an allocation, which is
    /// the receiver's then. One deadline for memory and slot.
    ///
    /// # Errors
    /// As [`send`](Self::send), [`Error::BufferPoolFull`] and [`Error::TooLarge`] when the pool has no room, now or at
    /// all; and what `fill` says. The memory is freed.
    pub fn send_filled(
        self,
        bytes: u64,
        fill: impl FnOnce(&mut Allocation) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (message, deadline) = self.with_deadline();
        let mut memory = message.memory(bytes, deadline)?;
        fill(&mut memory)?;
        Ok(message.send_allocation(memory)?)
    }

    /// Sends `allocation`, of the channel's pool or of any other, without copying; it is the receiver's then.
    ///
    /// On its way one of another pool is that pool's, as if it was published: no death frees it. When the sender dies in
    /// the middle of the call, or nobody receives the message who can use that pool, it stays there.
    ///
    /// # Errors
    /// As [`send`](Self::send), but for its length. For memory of another pool, whose name lies in memory of the channel's
    /// where it fits no block, [`Error::BufferPoolFull`] when there is none. Each gives the allocation back.
    pub fn send_allocation(self, allocation: Allocation) -> Result<(), SendError<Allocation>> {
        let len = allocation.len();
        self.transfer(allocation, len)
    }

    /// Sends `published`, of the channel's pool or of any other, without copying; its receiver has a handle on it. When
    /// the sender dies before the message was sent it stays the pool's.
    ///
    /// While it is on its way nobody else can free, freeze or send it, and then it is the pool's again. Memory of another
    /// pool is that pool's all the time: a message that is received after somebody has freed it is [`Error::Stale`].
    ///
    /// # Errors
    /// As [`send_allocation`](Self::send_allocation); [`Error::Pool`] when this is a view, when it is frozen, or when
    /// another message has it; [`Error::Stale`] when it was freed. Each gives it back.
    pub fn send_published(self, published: Published) -> Result<(), SendError<Published>> {
        let len = published.len();
        self.transfer(published, len)
    }

    /// Sends `frozen`, of any pool, without copying or giving it away: as often as one likes, to as many as one likes. It stays frozen, and somebody frees it in the end; a message that is received after that is
    /// [`Error::Stale`]. A view is sent as a view, whose receiver cannot free the memory.
    ///
    /// # Errors
    /// As [`send`](Self::send), and for memory of another pool as [`send_allocation`](Self::send_allocation);
    /// [`Error::Pool`] when it is not frozen; [`Error::Stale`] when it was freed.
    pub fn send_frozen(self, frozen: &Published) -> Result<(), Error> {
        frozen.check_frozen()?;
        let (block, view_offset, view_len) = (frozen.reference(), frozen.view_offset(), frozen.len());
        let message = MessageReference { block, view_offset, view_len };
        if !frozen.is_in(self.pool()) {
            return Ok(self.send_foreign(frozen, message)?);
        }
        Ok(self.dispatch(&Share { message, original: frozen.is_original() })?)
    }

    /// Copies `payload` to the start of `destination`, of the channel's pool or of any other, and sends that: its receiver
    /// finds the payload there. Memory that a receiver has published is so filled by whoever it has told of it. Payload and
    /// destination may be the same memory.
    ///
    /// # Errors
    /// As [`send_allocation`](Self::send_allocation) or [`send_published`](Self::send_published), and
    /// [`Error::TooLarge`], with what would be needed, when the destination is too small: nothing was copied then.
    /// Each gives the destination back.
    pub fn send_into<D: Destination>(
        self,
        mut destination: D,
        payload: &(impl Source + ?Sized),
    ) -> Result<(), SendError<D>> {
        let ready = destination.check(self.pool()).and_then(|()| landing::copy(payload, &mut destination));
        match ready {
            Ok(len) => self.transfer(destination, len),
            Err(error) => Err(SendError { error, payload: Some(destination) }),
        }
    }

    pub(crate) fn into_parts(self) -> (&'s Sender, Manner) {
        (self.sender, self.manner)
    }

    pub(crate) fn pool(&self) -> &Pool {
        self.sender.shared().attached.host().pool()
    }

    pub(crate) fn sender(&self) -> &Sender {
        self.sender
    }

    /// The same with one deadline for all that it waits for, which is returned: none where it does not wait.
    pub(crate) fn with_deadline(self) -> (Self, Option<Option<Instant>>) {
        let deadline = self.sender.defaults.deadline(self.limit);
        (Self { limit: deadline.map_or(Limit::Now, Limit::Until), ..self }, deadline)
    }

    /// Memory of the channel's pool.
    pub(crate) fn memory(&self, bytes: u64, deadline: Option<Option<Instant>>) -> Result<Allocation, Error> {
        let attached = &self.sender.shared().attached;
        attached.host().memory(self.pool(), bytes, deadline, || attached.check_usable())
    }

    fn transfer<D: Destination>(self, memory: D, view_len: u64) -> Result<(), SendError<D>> {
        let outcome = memory.check(self.pool()).map_err(Unfinished::from).and_then(|()| {
            let message = MessageReference { block: memory.block(), view_offset: 0, view_len };
            match memory.is_foreign(self.pool()) {
                true => self.send_foreign(&memory, message),
                false => self.dispatch(&Transfer(message)),
            }
        });
        match outcome {
            Err(Unfinished { error, sent: false }) => Err(SendError { error, payload: Some(memory) }),
            outcome => {
                memory.leave(self.pool());
                outcome.map_err(|Unfinished { error, .. }| SendError { error, payload: None })
            }
        }
    }

    pub(crate) fn dispatch<M: Outgoing<PoolHost>>(&self, message: &M) -> Result<(), Unfinished> {
        self.sender.dispatch(message, self.limit, self.manner)
    }
}
