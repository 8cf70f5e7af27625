//! 128-bit fingerprints: two states with one fingerprint are taken for one state.
//!
//! Two lanes of multiply-and-fold, each seeing every word. At ten million states the chance that any two distinct
//! ones collide is below 2^-80, so a pruned state is taken for a seen one without comparing it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A running hash of 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fingerprint(u64, u64);

impl Fingerprint {
    pub(crate) const START: Self = Self(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);

    /// The fingerprint of what was seen so far, then `word`.
    #[inline]
    #[must_use]
    pub(crate) fn with(self, word: u64) -> Self {
        Self(
            fold(self.0 ^ word, 0xa076_1d64_78bd_642f),
            fold(self.1 ^ word.rotate_left(32), 0xe703_7ed1_a0b4_28db).wrapping_add(word),
        )
    }

    /// The fingerprint of what was seen so far, then `other`.
    #[inline]
    #[must_use]
    pub(crate) fn with_fingerprint(self, other: Self) -> Self {
        self.with(other.0).with(other.1)
    }

    /// The fingerprint of a value's `Hash`.
    pub(crate) fn of<T: Hash + ?Sized>(value: &T) -> Self {
        let mut hasher = Absorb(Self::START);
        value.hash(&mut hasher);
        hasher.0
    }

    /// Both lanes as the key of a table.
    #[inline]
    pub(crate) fn key(self) -> u128 {
        u128::from(self.0) << 64 | u128::from(self.1)
    }
}

/// The 128-bit product of the two, folded; the constants are odd and dense.
#[inline]
fn fold(word: u64, constant: u64) -> u64 {
    let product = u128::from(word ^ 0x9e37_79b9_7f4a_7c15) * u128::from(constant);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Feeds a `Hash` implementation into a fingerprint.
struct Absorb(Fingerprint);

impl Hasher for Absorb {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.with(u64::from_le_bytes(word));
        }
        self.0 = self.0.with(bytes.len() as u64);
    }

    fn finish(&self) -> u64 {
        self.0.0
    }
}

/// For keys that are fingerprints or addresses already: takes a part of them.
#[derive(Default)]
pub(crate) struct Taken(u64);

impl Hasher for Taken {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn write_usize(&mut self, key: usize) {
        self.0 = fold(key as u64, 0xa076_1d64_78bd_642f);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A set of fingerprints.
pub(crate) type Seen = HashSet<u128, BuildHasherDefault<Taken>>;
/// A table by fingerprint or by address.
pub(crate) type Table<K, V> = HashMap<K, V, BuildHasherDefault<Taken>>;

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn order_and_number_of_words_matter() {
        let start = Fingerprint::START;
        assert_ne!(start.with(1).with(2), start.with(2).with(1));
        assert_ne!(start.with(0), start.with(0).with(0));
        assert_ne!(Fingerprint::of("ab"), Fingerprint::of("ba"));
    }

    #[test]
    fn a_million_small_words_do_not_collide() {
        let mut seen = super::Seen::default();
        for word in 0..1_000_000 {
            assert!(seen.insert(Fingerprint::START.with(word & 1023).with(word >> 10).key()));
        }
    }
}
