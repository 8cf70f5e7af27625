//! How large a hash table is, and what lies where in it.

use weyr_atomic::{AtomicU64, Ordering};

use super::{HashTableError, HashTableHeader};
use crate::Corrupt;

pub(super) const HEADER_BYTES: u64 = 64;
/// Words of an entry before its key.
const ENTRY_WORDS: usize = 1;
const MAX_CAPACITY: u64 = 1 << 32;
const MAX_KEY_WORDS: u64 = 1024;
const MAX_VALUE_WORDS: u64 = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) capacity: usize,
    pub(super) key_words: usize,
    pub(super) value_words: usize,
    /// A power of two, and more than the capacity.
    pub(super) entries: usize,
}

impl Shape {
    pub(super) fn new(capacity: u64, key_words: u64, value_words: u64) -> Result<Self, HashTableError> {
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            return Err(HashTableError::InvalidCapacity(capacity));
        }
        if !(1..=MAX_KEY_WORDS).contains(&key_words) {
            return Err(HashTableError::InvalidKey(key_words));
        }
        if !(1..=MAX_VALUE_WORDS).contains(&value_words) {
            return Err(HashTableError::InvalidValue(value_words));
        }
        let entries = (capacity + capacity / 3 + 1).next_power_of_two() as usize;
        let (capacity, key_words, value_words) =
            (capacity as usize, key_words as usize, value_words as usize);
        Ok(Self { capacity, key_words, value_words, entries })
    }

    pub(super) fn read(header: &HashTableHeader) -> Result<Self, Corrupt> {
        let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
        Self::new(word(&header.capacity), word(&header.key_words), word(&header.value_words))
            .map_err(|_| Corrupt::new("shape of a hash table", 8))
    }

    pub(super) fn write(&self, header: &HashTableHeader) {
        header.key_words.store(self.key_words as u64, Ordering::Relaxed);
        header.value_words.store(self.value_words as u64, Ordering::Relaxed);
        header.capacity.store(self.capacity as u64, Ordering::Relaxed);
    }

    /// Bytes from entry to entry.
    pub(super) fn stride(&self) -> u64 {
        (ENTRY_WORDS + self.key_words + self.value_words) as u64 * 8
    }

    /// Where the entries begin.
    pub(super) fn entries_at(&self) -> u64 {
        HEADER_BYTES + self.value_words as u64 * 8
    }

    pub(super) fn bytes(&self) -> u64 {
        self.entries_at() + self.entries as u64 * self.stride()
    }

    /// The word, from the first entry on, with the first word of the key of `entry`.
    pub(super) fn key_of(&self, entry: usize) -> usize {
        entry * (ENTRY_WORDS + self.key_words + self.value_words) + ENTRY_WORDS
    }

    pub(super) fn corrupt_entry(&self, entry: usize) -> Corrupt {
        Corrupt::new("entry of a hash table", self.entries_at() + entry as u64 * self.stride())
    }
}
