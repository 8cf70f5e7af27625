//! A message that was received.

use std::ops::Range;

use weyr_managed::{Allocation, Published};
use weyr_shared::MessageAttributes;

use crate::Error;

/// What a message carries.
#[derive(Debug)]
pub enum Content {
    /// Bytes, copied out of the channel.
    Bytes(Vec<u8>),
    /// An allocation, which is the receiver's now; dropping it frees it.
    Allocation {
        /// The whole allocation.
        allocation: Allocation,
        /// Its bytes that belong to the message.
        view: Range<u64>,
    },
    /// Memory that was published before it was sent, and is the pool's again.
    Published {
        /// All of it.
        published: Published,
        /// Its bytes that belong to the message.
        view: Range<u64>,
    },
    /// Frozen memory, which nobody writes any more and everybody may read: what was sent of it. It stays when this is
    /// dropped; [`Published::free`] frees it for everybody, if the sender had more than a view.
    Frozen(Published),
}

/// A message that was received.
#[derive(Debug)]
pub struct Message {
    content: Content,
    redelivered: bool,
    attributes: Option<MessageAttributes>,
}

impl Message {
    pub(crate) fn new(content: Content, redelivered: bool, attributes: Option<MessageAttributes>) -> Self {
        Self { content, redelivered, attributes }
    }

    /// Bytes of the message.
    pub fn len(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Allocation { view, .. } | Content::Published { view, .. } => view.end - view.start,
            Content::Frozen(frozen) => frozen.len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an earlier receiver may have seen it: it died, or gave the message back after a look at it. Such a
    /// message comes out of turn.
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// Who sent it, as which of its messages, and what else it says of itself; none in a channel without
    /// [message attributes](crate::ChannelAttributes::message_attributes).
    pub fn attributes(&self) -> Option<&MessageAttributes> {
        self.attributes.as_ref()
    }

    /// What it carries.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// What it carries.
    pub fn into_content(self) -> Content {
        self.content
    }

    /// Its bytes; those of an allocation are copied, and the allocation is freed; those of published or frozen memory are
    /// copied.
    ///
    /// # Errors
    /// [`Error::Pool`] when the allocation cannot be read.
    pub fn into_bytes(self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.len() as usize];
        match self.content {
            Content::Bytes(bytes) => return Ok(bytes),
            Content::Allocation { allocation, view } => allocation.read(view.start, &mut bytes)?,
            Content::Published { published, view } => published.read(view.start, &mut bytes)?,
            Content::Frozen(frozen) => frozen.read(0, &mut bytes)?,
        }
        Ok(bytes)
    }

    /// The allocation, if it carries one that is the receiver's; anything else is dropped.
    pub fn into_allocation(self) -> Option<Allocation> {
        match self.content {
            Content::Allocation { allocation, .. } => Some(allocation),
            Content::Bytes(_) | Content::Published { .. } | Content::Frozen(_) => None,
        }
    }
}
