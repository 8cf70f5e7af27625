//! What a channel holds, by one look at each slot: for its state and for people.

use weyr_atomic::{Ordering, fence};

use super::{Ring, UNSTABLE_READS};
use crate::{Corrupt, Description, MessageKind, SlotState, SlotWord};

/// A message in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Whether it waits, or is in somebody's hands.
    pub word: SlotWord,
    /// What it is.
    pub kind: MessageKind,
    /// Bytes of the message.
    pub bytes: u64,
    /// Process slot from which it was sent; who has it now may be the sender's successor.
    pub sender: u16,
}

impl Ring {
    /// The messages in FULL, TAKING, LEASED, RETURNED and PUT_BACK, each as it was at one moment.
    pub fn messages(&self) -> impl Iterator<Item = Result<Waiting, Corrupt>> {
        (0..self.slot_count).filter_map(|index| self.message_at(index).transpose())
    }

    fn message_at(&self, index: u32) -> Result<Option<Waiting>, Corrupt> {
        use SlotState::{Empty, Filling, Reserved, Revoked};
        for _ in 0..UNSTABLE_READS {
            let word = self.load(index)?;
            if matches!(word.state, Empty | Reserved | Filling | Revoked) {
                return Ok(None);
            }
            let bits = self.slot(index)?.description.load(Ordering::Relaxed);
            let (description, message) = (self.description(index), self.reference(index)?);
            // Pairs with the claim of the next sender: the same word means that nobody wrote here in between.
            fence(Ordering::Acquire);
            if self.load(index)? == word {
                let description = description?;
                let bytes = match description.kind {
                    MessageKind::Inline => description.len.into(),
                    _ => message.view_len,
                };
                let sender = Description::sender_in(bits);
                return Ok(Some(Waiting { word, kind: description.kind, bytes, sender }));
            }
        }
        Err(Corrupt::new("slot that never rests", self.word_at(index)))
    }
}
