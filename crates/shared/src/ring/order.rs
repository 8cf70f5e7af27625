//! Whether the laps of a channel's slots agree with each other: a check for when nobody acts.
//!
//! The tail lies at one position, and everything before it was claimed. So the lap in which each slot is claimed next
//! is the tail's for the slots from it on, and one more for those before it: once round the ring it steps down at most
//! once, by one.

use crate::{Corrupt, Lap, Ring, SlotState, SlotWord};

/// The lap in which a slot of this word is claimed next.
fn next_lap(word: SlotWord) -> Lap {
    match word.state {
        SlotState::Filling | SlotState::Full => word.lap.plus(1),
        _ => word.lap,
    }
}

impl Ring {
    /// Checks the laps of all slots against each other. Loads only; while others act, it sees words of different
    /// instants, and its answer says nothing.
    ///
    /// # Errors
    /// [`Corrupt`]: a word that cannot be, or that no channel has beside the other words.
    pub fn check_order(&self) -> Result<(), Corrupt> {
        let before_tail = next_lap(self.load(0)?);
        let mut expected = before_tail;
        for index in 0..self.capacity() {
            let next = next_lap(self.load(index)?);
            if next != expected && next.plus(1) == before_tail {
                expected = next;
            }
            if next != expected {
                return Err(Corrupt::new("lap of a slot", self.word_at(index)));
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use weyr_atomic::Ordering;

    use super::*;
    use crate::{Geometry, Holder};

    fn ring(words: [SlotWord; 3]) -> Ring {
        let geometry = Geometry { block_size: 48, capacity: 3, attributes: false, processes: 2 };
        let ring = Ring::private(&geometry).unwrap();
        for (index, word) in words.into_iter().enumerate() {
            ring.slot(index as u32).unwrap().word.store(word.bits(), Ordering::Relaxed);
        }
        ring
    }

    #[test]
    fn the_tail_divides_the_slots_into_two_laps() {
        let plain = |state, lap| SlotWord::plain(state, Lap::new(lap));
        let held = |state, lap| SlotWord::held(state, Holder { process: 1, epoch: 1 }, Lap::new(lap));
        let (empty, full) = (SlotState::Empty, SlotState::Full);
        let sound = [
            [plain(empty, 0), plain(empty, 0), plain(empty, 0)],
            [plain(full, 4), plain(empty, 4), plain(empty, 4)],
            [plain(full, 4), held(SlotState::Filling, 4), plain(full, 3)],
            [held(SlotState::Leased, 5), held(SlotState::Revoked, 5), plain(SlotState::Returned, 4)],
            [plain(empty, 0), plain(full, (1 << 36) - 2), plain(empty, (1 << 36) - 1)],
        ];
        sound.into_iter().for_each(|words| assert_eq!(ring(words).check_order(), Ok(()), "{words:?}"));
        let impossible = [
            [plain(empty, 0), plain(empty, 1), plain(empty, 0)],
            [plain(full, 4), plain(empty, 4), plain(empty, 5)],
            [plain(full, 5), plain(empty, 4), plain(empty, 4)],
            [plain(empty, 4), plain(full, 4), plain(empty, 4)],
        ];
        impossible.into_iter().for_each(|words| assert!(ring(words).check_order().is_err(), "{words:?}"));
    }
}
