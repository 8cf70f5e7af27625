//! Whether the laps of a channel's slots agree with each other: a check for when nobody acts.
//!
//! The tail lies at one position, and everything before it was claimed. So the lap in which each slot is claimed next
//! is the tail's for the slots from it on, and one more for those before it: once round the ring it steps down at most
//! once, by one. Each priority level has a tail of its own.

use std::ops::Range;

use crate::{Corrupt, Lap, Ring, SlotState, SlotWord};

/// The lap in which a slot of this word is claimed next.
fn next_lap(word: SlotWord) -> Lap {
    match word.state {
        SlotState::Reserved | SlotState::Filling | SlotState::Full => word.lap.plus(1),
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
        (0..self.levels()).try_for_each(|level| self.check_slots(self.level(level)?.slots()))
    }

    fn check_slots(&self, slots: Range<u32>) -> Result<(), Corrupt> {
        let before_tail = next_lap(self.load(slots.start)?);
        let mut expected = before_tail;
        for index in slots {
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
        let geometry = Geometry { capacity: 3, processes: 2, ..Geometry::PLAIN };
        let ring = Ring::private(&geometry).unwrap();
        for (index, word) in words.into_iter().enumerate() {
            ring.slot(index as u32).unwrap().word.store(word.bits(), Ordering::Relaxed);
        }
        ring
    }

    #[test]
    fn each_level_has_a_tail_of_its_own() {
        let geometry = Geometry { capacity: 3, levels: 2, urgent: 2, ..Geometry::PLAIN };
        let ring = Ring::private(&geometry).unwrap();
        let set = |index, state, lap| {
            let holder = Holder { process: 1, epoch: 1 };
            let plain = SlotWord::plain(state, Lap::new(lap));
            let word = if state.names_holder() { plain.held_by(state, holder) } else { plain };
            ring.slot(index).unwrap().word.store(word.bits(), Ordering::Relaxed);
        };
        (3..5).for_each(|index| set(index, SlotState::Empty, 9));
        assert_eq!(ring.check_order(), Ok(()));
        set(3, SlotState::Reserved, 9);
        assert_eq!(ring.check_order(), Ok(()));
        set(4, SlotState::Empty, 11);
        assert!(ring.check_order().is_err());
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
