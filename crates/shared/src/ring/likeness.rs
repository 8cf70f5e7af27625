//! What tells the message in a slot from another one.

use weyr_atomic::Ordering;

use super::{MessageAttributes, MessageReference, Ring};
use crate::{Corrupt, Description, MessageKind};

/// Bytes of an inline message that are compared: what every block has.
const START: usize = 48;

/// What stands in a slot about its message and does not change while it is there: its description, its reference or the
/// start of its bytes, and its attributes, where the channel has them.
///
/// Two messages of one slot that differ in it are two. With attributes no two are alike: the number of a message in
/// its handle is one of them. Without them two are alike that say the same and come from the same process slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Likeness {
    description: u64,
    /// Of what is not inline, its reference.
    reference: Option<MessageReference>,
    /// Of what is inline, its first bytes, zeros behind them.
    start: [u8; START],
    attributes: Option<MessageAttributes>,
}

impl Ring {
    /// What the message in slot `index` is like. It means something to who holds the slot, or
    /// [finds its word unchanged](Self::is_still) behind this.
    ///
    /// # Errors
    /// [`Corrupt`]: no such slot, a description that makes no sense, or attributes where the channel has no room for them.
    pub fn likeness(&self, index: u32) -> Result<Likeness, Corrupt> {
        let bits = self.slot(index)?.description.load(Ordering::Relaxed);
        let Description { len, kind } = self.description(index)?;
        let is_inline = kind == MessageKind::Inline;
        let mut start = [0; START];
        if is_inline {
            self.copy_inline(index, &mut start[..(len as usize).min(START)])?;
        }
        Ok(Likeness {
            // Receivers mark a block as spent while the message is still theirs.
            description: bits & !Description::SPENT,
            reference: (!is_inline).then(|| self.reference(index)).transpose()?,
            start,
            attributes: self.attributes(index)?,
        })
    }
}
