//! The entries of a hash table: what their state words say, where a key is looked for, and whether it is where it can be
//! found.

use weyr_atomic::{AtomicU64, Ordering};

use super::shape::Shape;
use super::{HashTable, HashTableEntry, HashTableError, MAGIC, Search};
use crate::Corrupt;

const STATE_BITS: u64 = 0b11;
const REMOVED: u64 = 1;
const FULL: u64 = 2;

/// What the state word of an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Empty,
    Removed,
    /// It holds a key with this hash, but for the two bits that the state needs.
    Full(u64),
}

impl State {
    pub(super) fn full(key: &[u64]) -> Self {
        Self::Full(hash(key) & !STATE_BITS)
    }

    pub(super) fn to_word(self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Removed => REMOVED,
            Self::Full(hash) => hash | FULL,
        }
    }

    fn of_word(word: u64) -> Option<Self> {
        match (word, word & STATE_BITS) {
            (0, _) => Some(Self::Empty),
            (REMOVED, _) => Some(Self::Removed),
            (_, FULL) => Some(Self::Full(word & !STATE_BITS)),
            _ => None,
        }
    }
}

/// A part of the format: each word is mixed in by the finaliser of splitmix64.
fn hash(key: &[u64]) -> u64 {
    key.iter().fold(0, |hash: u64, word| {
        let mixed = (hash ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}

/// How full a table is, and how far its keys lie from where they are looked for first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HashTableStatistics {
    /// Keys that it has room for.
    pub capacity: u64,
    /// Keys in it.
    pub count: u64,
    /// Entries, with a key or without.
    pub entries: u64,
    /// Entries whose key was removed, and which a search still goes over.
    pub removed: u64,
    /// Keys for each key that it has room for.
    pub load: f64,
    /// Entries looked at to find a key, on average over the keys in it; 0 without any.
    pub mean_probes: f64,
    /// Entries looked at to find the key that takes the most.
    pub longest_probe: u64,
    /// Entries looked at, at most, to find that a key is not there. At least `longest_probe`; keys that were removed may
    /// have made it more.
    pub reach: u64,
}

impl HashTable {
    pub(super) fn search(&self, key: &[u64]) -> Result<Search, Corrupt> {
        let full = State::full(key);
        let mut free = None;
        for entry in self.chain(key).take(self.reach()) {
            match self.state(entry)? {
                State::Empty => return Ok(Search::Absent(free.or(Some(entry)))),
                State::Removed => free = free.or(Some(entry)),
                state if state == full && self.has_key(entry, key) => return Ok(Search::Found(entry)),
                State::Full(_) => {}
            }
        }
        Ok(Search::Absent(free))
    }

    /// Every entry once, in the order in which a key is looked for.
    pub(super) fn chain(&self, key: &[u64]) -> impl Iterator<Item = usize> + use<> {
        let (home, mask) = (self.home(key), self.shape.entries - 1);
        (0..self.shape.entries).map(move |step| (home + step) & mask)
    }

    /// The entry where a key is looked for first.
    pub(super) fn home(&self, key: &[u64]) -> usize {
        // From the upper bits: each of those that the state word keeps tells keys of one chain apart.
        (hash(key) >> 2) as usize & (self.shape.entries - 1)
    }

    pub(super) fn state(&self, entry: usize) -> Result<State, Corrupt> {
        let word = self.entry(entry)?.state.load(Ordering::Relaxed);
        State::of_word(word).ok_or(self.shape.corrupt_entry(entry))
    }

    pub(super) fn entry(&self, entry: usize) -> Result<&HashTableEntry, Corrupt> {
        self.entries.get(entry).ok_or(self.shape.corrupt_entry(entry))
    }

    fn has_key(&self, entry: usize, key: &[u64]) -> bool {
        let words = self.key_at(entry).iter().map(|word| word.load(Ordering::Relaxed));
        words.eq(key.iter().copied())
    }

    /// The key of an entry that there is.
    pub(super) fn key_at(&self, entry: usize) -> &[AtomicU64] {
        let first = self.shape.key_of(entry);
        &self.words[first..first + self.shape.key_words]
    }

    /// The value of an entry that there is.
    pub(super) fn value_at(&self, entry: usize) -> &[AtomicU64] {
        let first = self.shape.key_of(entry) + self.shape.key_words;
        &self.words[first..first + self.shape.value_words]
    }

    /// How full it is. Takes time in proportion to the capacity; the lock is held.
    ///
    /// # Errors
    /// [`HashTableError::Interrupted`], [`HashTableError::Corrupt`].
    pub fn statistics(&self) -> Result<HashTableStatistics, HashTableError> {
        let (mut count, mut removed, mut probes, mut longest) = (0, 0, 0, 0);
        for entry in 0..self.shape.entries {
            removed += u64::from(self.state(entry)? == State::Removed);
        }
        for item in self.iter()? {
            let (key, _) = item?;
            let needed = self.probes(&key)?;
            (count, probes, longest) = (count + 1, probes + needed, needed.max(longest));
        }
        Ok(HashTableStatistics {
            capacity: self.capacity(),
            count,
            entries: self.shape.entries as u64,
            removed,
            load: count as f64 / self.capacity() as f64,
            mean_probes: if count == 0 { 0.0 } else { probes as f64 / count as f64 },
            longest_probe: longest,
            reach: self.reach() as u64,
        })
    }

    /// Entries looked at to find a key that is there.
    fn probes(&self, key: &[u64]) -> Result<u64, HashTableError> {
        Ok(self.distance(self.find(key)?, key) as u64)
    }

    /// What is wrong: a header that is not what was attached, an operation that was not finished, and else the count, and
    /// each entry that nobody writes so or whose key is not found there. Empty for a sound table. The lock is held; takes
    /// time in proportion to the capacity. [`recover`](Self::recover) puts right what a death has left.
    pub fn verify(&self) -> Vec<Corrupt> {
        let header = self.header();
        let mut found = Vec::new();
        if header.magic.load(Ordering::Acquire) != MAGIC {
            found.push(Corrupt::new("magic of a hash table", 0));
        }
        if Shape::read(header) != Ok(self.shape) {
            found.push(Corrupt::new("shape of a hash table", 8));
        }
        if self.is_interrupted() {
            found.push(Corrupt::new("operation of a hash table that was not finished", 40));
            return found;
        }
        if self.count_full().is_ok_and(|count| count != self.len()) {
            found.push(Corrupt::new("count of a hash table", 32));
        }
        if header.reach.load(Ordering::Relaxed) > self.shape.entries as u64 {
            found.push(Corrupt::new("reach of a hash table", 56));
        }
        let entries = (0..self.shape.entries).filter(|entry| !self.is_sound(*entry));
        found.extend(entries.map(|entry| self.shape.corrupt_entry(entry)));
        found
    }

    /// Whether an entry holds no key, or one with its hash that is found there and not before.
    fn is_sound(&self, entry: usize) -> bool {
        let Ok(state) = self.state(entry) else { return false };
        let State::Full(_) = state else { return true };
        let key = super::load(self.key_at(entry));
        matches!(self.search(&key), Ok(Search::Found(found)) if found == entry)
    }
}
