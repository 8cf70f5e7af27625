//! How far from where it is looked for first a key may lie: where a search ends that met no EMPTY entry.

use weyr_atomic::Ordering;

use super::HashTable;
use super::entries::State;
use crate::Corrupt;

impl HashTable {
    /// Entries that a search goes over at most.
    pub(super) fn reach(&self) -> usize {
        let said = self.header().reach.load(Ordering::Relaxed);
        said.min(self.shape.entries as u64) as usize
    }

    pub(super) fn set_reach(&self, reach: usize) {
        self.header().reach.store(reach as u64, Ordering::Release);
    }

    /// Raises the reach, so that a key is found in this entry.
    pub(super) fn reach_to(&self, entry: usize, key: &[u64]) {
        let distance = self.distance(entry, key);
        if distance > self.reach() {
            self.set_reach(distance);
        }
    }

    /// Entries that are looked at to find a key in this one.
    pub(super) fn distance(&self, entry: usize, key: &[u64]) -> usize {
        (entry.wrapping_sub(self.home(key)) & (self.shape.entries - 1)) + 1
    }

    /// The nearest entry beyond the reach that a key can be put into.
    pub(super) fn free_beyond(&self, key: &[u64]) -> Option<usize> {
        let is_free = |entry: &usize| matches!(self.state(*entry), Ok(State::Empty | State::Removed));
        self.chain(key).skip(self.reach()).find(is_free)
    }

    /// The least reach that all keys are found with.
    pub(super) fn needed_reach(&self) -> Result<usize, Corrupt> {
        let mut reach = 0;
        for entry in 0..self.shape.entries {
            if let State::Full(_) = self.state(entry)? {
                reach = reach.max(self.distance(entry, &super::load(self.key_at(entry))));
            }
        }
        Ok(reach)
    }
}
