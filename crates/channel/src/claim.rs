//! A slot that a sender has claimed.

use weyr_shared::SlotWord;

/// A slot in FILLING by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "publish it or abandon it"]
pub struct Claim {
    pub(crate) index: u32,
    /// Its slot's word, in one piece: parts would be written and read apart on their way to the caller.
    bits: u64,
}

impl Claim {
    #[inline]
    pub(crate) fn new(index: u32, word: SlotWord) -> Self {
        Self { index, bits: word.bits() }
    }

    #[inline]
    pub(crate) fn word(&self) -> SlotWord {
        SlotWord::from_own_bits(self.bits)
    }

    /// The slot.
    #[inline]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Process slot of this process.
    #[inline]
    pub fn sender(&self) -> u16 {
        self.word().holder.process
    }
}
