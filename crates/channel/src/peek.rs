//! A look at the message that would be received next: a copy of it, and no trace of the look in shared memory.
//!
//! The slot's word is loaded, the message copied by volatile reads, and the word loaded again: the same word means that
//! nobody wrote in between, for a slot is written only after its word has become FILLING, and FULL or RETURNED of one
//! lap never comes again for another message. Another word means that somebody took it; then the next one is looked
//! for. Any number may look at once, and dying or standing anywhere in it is nothing to the others.
//!
//! What it does not do: it overcomes nobody. Behind a sender that is dead or slow in the middle of a send there is
//! nothing to see until a receiver, or a [`Poller`](crate::Poller), has seen to that.

use std::ops::Range;

use weyr_atomic::Ordering;
use weyr_shared::fault::{self, Fault};
use weyr_shared::{
    BlockReference, Corrupt, Level, MessageAttributes, MessageKind, MessageReference, RingLock, SlotWord,
};

use crate::attached::Attached;
use crate::host::Host;
use crate::receive::{ReceiveSide, View, view};
use crate::wait::{Attempt, Tried};
use crate::walk::{End, Walk};
use crate::{Error, Receiver};

/// What a look at a message found in its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Payload {
    Bytes(Vec<u8>),
    Reference(MessageReference),
    /// So many bytes of another pool.
    Foreign(u64),
}

/// A copy of a message that is still in its channel, or was when it was made: anybody may have taken it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    payload: Payload,
    redelivered: bool,
    attributes: Option<MessageAttributes>,
}

impl Peeked {
    /// Bytes of the message.
    pub fn len(&self) -> u64 {
        match &self.payload {
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Reference(message) => message.view_len,
            Payload::Foreign(bytes) => *bytes,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, if they lie in the channel itself.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.payload {
            Payload::Bytes(bytes) => Some(bytes),
            Payload::Reference(_) | Payload::Foreign(_) => None,
        }
    }

    /// The memory that it brings, if it is not in the channel itself: which, and which bytes of it. It is the
    /// channel's, or frozen; its name gives no access to it. None for memory of another pool than the channel's or that
    /// of its buffers.
    pub fn reference(&self) -> Option<(BlockReference, Range<u64>)> {
        match &self.payload {
            Payload::Bytes(_) | Payload::Foreign(_) => None,
            Payload::Reference(message) => {
                let end = message.view_offset.saturating_add(message.view_len);
                Some((message.block, message.view_offset..end))
            }
        }
    }

    /// Whether an earlier receiver may have seen the message.
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// What it says of itself, in a channel with [message attributes](crate::ChannelAttributes::message_attributes).
    pub fn attributes(&self) -> Option<&MessageAttributes> {
        self.attributes.as_ref()
    }
}

/// Looking without taking.
impl Receiver {
    /// A copy of the message that would be received next, which stays where it is: anybody may receive it, and whoever
    /// looks may find another one there when it does. Does not wait, writes nothing to shared memory; allocates
    /// private memory for bytes.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-peek-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    ///
    /// channel.send(b"still there")?;
    /// assert_eq!(channel.receiver().try_peek()?.bytes(), Some(&b"still there"[..]));
    /// assert_eq!(channel.receive()?.into_bytes()?, b"still there");
    /// channel.destroy()?;
    /// pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], also when messages were taken by others as fast as they were looked at; [`Error::Destroyed`];
    /// [`Error::Pool`] when a forked child cannot join the pool; [`Error::Corrupt`].
    /// Source: *Dragon channels*, `dragon_chrecv_peek_msg`.
    pub fn try_peek(&self) -> Result<Peeked, Error> {
        self.shared().attached.try_peek(self.side())?.ok_or(Error::Empty)
    }
}

impl<H: Host> Attached<H> {
    /// A copy of the message at the head, if one is there.
    ///
    /// # Errors
    /// [`Error::Destroyed`], [`Error::Corrupt`], or the pool's.
    pub fn try_peek(&self, side: &ReceiveSide) -> Result<Option<Peeked>, Error> {
        self.me()?;
        self.check_usable()?;
        if self.ring.may_be_barred(RingLock::Read)
            && self.held_up::<()>(RingLock::Read, &side.place(0).hindrance, Attempt::AT_ONCE)?.is_some()
            && let Some(error) = self.bar(RingLock::Read)?
        {
            return Err(error);
        }
        // Each try that fails has lost its message to a receiver.
        for _ in 0..2 * u64::from(self.ring.slot_count()) + 2 {
            let Tried::Done((index, word)) = self.find_message(side, None)? else { return Ok(None) };
            let copied = self.copy_message(index, word);
            if fault::is(Fault::PeekWithoutSecondLook) || self.ring.is_still(index, word)? {
                return Ok(copied.map(Some)?);
            }
        }
        Ok(None)
    }

    fn copy_message(&self, index: u32, word: SlotWord) -> Result<Peeked, Corrupt> {
        let description = self.ring.description(index)?;
        let payload = if description.kind == MessageKind::Inline {
            let mut bytes = vec![0; description.len as usize];
            self.ring.copy_inline(index, &mut bytes)?;
            Payload::Bytes(bytes)
        } else if description.kind.is_foreign() {
            Payload::Foreign(self.ring.reference(index)?.view_len)
        } else {
            Payload::Reference(self.ring.reference(index)?)
        };
        let attributes = if self.ring.has_attributes() { self.ring.attributes(index)? } else { None };
        let redelivered = word.state == weyr_shared::SlotState::Returned;
        Ok(Peeked { payload, redelivered, attributes })
    }

    /// The slot and word of the message that would be received next. Without an attempt nobody in the way is overcome,
    /// and nothing is changed; with one, as a receiver does it.
    pub(crate) fn find_message(
        &self,
        side: &ReceiveSide,
        attempt: Option<Attempt>,
    ) -> Result<Tried<(u32, SlotWord)>, Error> {
        let header = self.ring.header();
        let made = header.returned_made.load(Ordering::Acquire);
        let given_back = made != header.returned_seen.load(Ordering::Acquire);
        let mut hindered = false;
        for number in (0..self.ring.levels()).rev() {
            let level = self.ring.level(number)?;
            if given_back && let Some(found) = self.find_returned(level)? {
                return Ok(Tried::Done(found));
            }
            match self.find_at_head(level, side, attempt)? {
                Tried::Done(found) => return Ok(Tried::Done(found)),
                Tried::Blocked { hindered: here } => hindered |= here,
            }
        }
        Ok(Tried::Blocked { hindered })
    }

    fn find_at_head(
        &self,
        level: Level<'_>,
        side: &ReceiveSide,
        attempt: Option<Attempt>,
    ) -> Result<Tried<(u32, SlotWord)>, Error> {
        let place = side.place(level.number());
        let mut walk = Walk::new(level, End::Head, &place.position);
        let mut outcome = Tried::EMPTY;
        while let Some(word) = walk.look()? {
            let index = level.slot_at(walk.place);
            match view(word, walk.place) {
                View::Ready => {
                    outcome = Tried::Done((index, word));
                    break;
                }
                View::Over => walk.go_on(word)?,
                View::Filling | View::Empty => {
                    let Some(attempt) = attempt else { break };
                    if let Tried::Blocked { hindered } =
                        self.overcome_sender(side, &place.hindrance, index, word, attempt)?
                    {
                        outcome = Tried::Blocked { hindered };
                        break;
                    }
                }
                View::Impossible => return Err(Corrupt::new("lap of a slot", index.into()).into()),
            }
        }
        walk.keep(&place.position);
        Ok(outcome)
    }

    /// A message of `level` that was given back.
    fn find_returned(&self, level: Level<'_>) -> Result<Option<(u32, SlotWord)>, Error> {
        for index in level.slots() {
            let word = self.ring.load(index)?;
            if word.state.is_returned() {
                return Ok(Some((index, word)));
            }
        }
        Ok(None)
    }
}
