//! Who is attached to a channel: one word a process slot of the pool, so that its memory is freed by the last.

use weyr_atomic::{AtomicU64, Ordering, publish_then_look};

use super::{ATTACHMENTS_AT, Ring};
use crate::{Actor, Corrupt};

/// `tag:32 | epoch:16 | handles:16`: how many handles the process in one process slot has on the channel.
///
/// The tag is made from the channel's own reference, so that an attacher that comes too late cannot change memory
/// that has become something else; the epoch, so that a late repairer cannot detach the slot's next user.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Attachment(pub(super) u64);

impl Attachment {
    pub(super) const fn new(tag: u32, epoch: u16, handles: u16) -> Self {
        Self((tag as u64) << 32 | (epoch as u64) << 16 | handles as u64)
    }

    const fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    const fn epoch(self) -> u16 {
        (self.0 >> 16) as u16
    }

    const fn handles(self) -> u16 {
        self.0 as u16
    }
}

/// Why a process could not be attached to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The memory is no longer this channel.
    #[error("the channel no longer exists")]
    Gone,
    /// The process has 65,535 handles already.
    #[error("this process has too many handles on one channel; clone a handle instead of attaching again")]
    TooManyHandles,
    /// The process slot is beyond those that the channel was made for.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}
/// Attaching: what keeps the memory of a channel.
impl Ring {
    /// Counts one more handle of `actor`. Until it is taken back the memory of the channel is not freed. The caller
    /// then looks whether the block is still this channel, and whether it was destroyed.
    ///
    /// # Errors
    /// [`AttachError`]; nothing was changed.
    pub fn attach(&self, actor: Actor) -> Result<(), AttachError> {
        let word = self.attachment_word(actor.process)?;
        loop {
            let seen = Attachment(word.load(Ordering::SeqCst));
            if seen.tag() != self.tag {
                return Err(AttachError::Gone);
            }
            let handles = if seen.epoch() == actor.epoch as u16 { seen.handles() } else { 0 };
            let more = handles.checked_add(1).ok_or(AttachError::TooManyHandles)?;
            if self.exchange_attachment(word, seen, actor.epoch as u16, more) {
                return Ok(());
            }
        }
    }

    /// Takes back one handle of `actor`. True: the channel is destroyed and nobody is attached, so the caller frees
    /// it (of several, the pool lets one succeed). Who detaches from a destroyed channel drains it first.
    ///
    /// # Errors
    /// [`Corrupt`]: no such process slot.
    pub fn detach(&self, actor: Actor) -> Result<bool, Corrupt> {
        let word = self.attachment_word(actor.process)?;
        loop {
            let seen = Attachment(word.load(Ordering::SeqCst));
            let counted = seen.tag() == self.tag && seen.epoch() == actor.epoch as u16 && seen.handles() > 0;
            if !counted {
                return Ok(false);
            }
            let (fewer, epoch) = match seen.handles() - 1 {
                0 => (0, 0),
                fewer => (fewer, seen.epoch()),
            };
            if self.exchange_attachment(word, seen, epoch, fewer) {
                return Ok(self.is_destroyed() && !self.is_attached());
            }
        }
    }

    /// Whether any process has a handle.
    pub fn is_attached(&self) -> bool {
        self.attachments.iter().any(|word| Attachment(word.load(Ordering::SeqCst)).handles() > 0)
    }

    /// Who is attached: process slot, low half of the epoch, and handles. Others may have changed that when it returns.
    pub fn attached(&self) -> impl Iterator<Item = (u16, u16, u16)> {
        let words = self.attachments.iter().map(|word| Attachment(word.load(Ordering::Relaxed)));
        let users = words.enumerate().filter(|(_, word)| word.tag() == self.tag && word.handles() > 0);
        users.map(|(process, word)| (process as u16, word.epoch(), word.handles()))
    }

    pub(super) fn detach_dead(&self, actor: Actor, still_dead: &impl Fn() -> bool) -> Result<(), Corrupt> {
        let word = self.attachment_word(actor.process)?;
        loop {
            let seen = Attachment(word.load(Ordering::SeqCst));
            let named = seen.tag() == self.tag && seen.epoch() == actor.epoch as u16 && seen.handles() > 0;
            if !named || !still_dead() || self.exchange_attachment(word, seen, 0, 0) {
                return Ok(());
            }
        }
    }

    fn exchange_attachment(&self, word: &AtomicU64, seen: Attachment, epoch: u16, handles: u16) -> bool {
        let next = Attachment::new(self.tag, epoch, handles);
        publish_then_look(word, seen.0, next.0).is_ok()
    }

    /// The attachment word of one process slot, for models.
    ///
    /// # Errors
    /// [`Corrupt`]: no such process slot.
    pub fn attachment_word(&self, process: u16) -> Result<&AtomicU64, Corrupt> {
        let at = ATTACHMENTS_AT + 8 * u64::from(process);
        self.attachments.get(usize::from(process)).ok_or(Corrupt::new("process slot of a channel", at))
    }
}
