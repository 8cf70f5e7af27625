//! The word that says who has a lock, and the word of one place in its queue.
//!
//! | owner word | bits | meaning | who changes it |
//! | --- | --- | --- | --- |
//! | state | 0 and 1 | 0 FREE; 1 HELD{actor}; 2 HANDED{place, ticket}: the next one's, who has not taken it up | FREE → HELD: who comes; HELD → FREE or HANDED: its owner, or anybody once that one is dead; HANDED → HELD: who waits in that place; HANDED → HANDED or FREE: anybody, once that one is gone, dead or slow |
//! | waiters | 2 | somebody may wait in a queue | set by who waits, and with HANDED; cleared by an owner that finds nobody |
//! | suspect | 3 | an owner died, and nobody has said since that what the lock protects is whole | set by who takes the lock from the dead; cleared by an owner |
//! | process | 8 to 23 | process slot of the owner; or the place | with the state |
//! | epoch | 24 to 51 | epoch of the owner; or the low bits of the ticket | with the state |
//!
//! All other bits are zero, and so is all of FREE but suspect. A place has the same bits with states of its own: see
//! [`PlaceState`]. Any other word is corrupt: nobody takes a lock by it, and `verify` tells of it.

use crate::Actor;

const STATE: u64 = 3;
const WAITERS: u64 = 1 << 2;
const SUSPECT: u64 = 1 << 3;
const NAME_SHIFT: u32 = 8;
const EPOCH_SHIFT: u32 = 24;
const EPOCH_BITS: u32 = 28;
pub(crate) const NAME: u64 = (1 << (EPOCH_SHIFT + EPOCH_BITS)) - (1 << NAME_SHIFT);

#[inline]
pub(crate) fn name_of(low: u16, high: u64) -> u64 {
    u64::from(low) << NAME_SHIFT | (high & ((1 << EPOCH_BITS) - 1)) << EPOCH_SHIFT
}

pub(crate) fn actor_of(word: u64) -> Actor {
    let epoch = word >> EPOCH_SHIFT & ((1 << EPOCH_BITS) - 1);
    Actor { process: (word >> NAME_SHIFT) as u16, epoch: epoch as u32 }
}

/// Who has a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    Free,
    Held(Actor),
    /// Index of a place, and the low bits of the ticket that is in it.
    Handed(u16, u32),
    /// No state of this version.
    Unknown,
}

/// A value of the owner word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerWord(pub u64);

impl OwnerWord {
    pub const FREE: Self = Self(0);

    #[inline]
    pub fn held(by: Actor) -> Self {
        Self(1 | name_of(by.process, by.epoch.into()))
    }

    pub fn handed(place: u16, ticket: u64) -> Self {
        Self(2 | name_of(place, ticket))
    }

    pub fn state(self) -> OwnerState {
        if self.0 & !(STATE | WAITERS | SUSPECT | NAME) != 0 {
            return OwnerState::Unknown;
        }
        let name = actor_of(self.0);
        match self.0 & STATE {
            0 if self.0 & !SUSPECT == 0 => OwnerState::Free,
            1 => OwnerState::Held(name),
            2 => OwnerState::Handed(name.process, name.epoch),
            _ => OwnerState::Unknown,
        }
    }

    /// Whether it names the owner that `own` does.
    pub fn is_held_as(self, own: Self) -> bool {
        matches!(self.state(), OwnerState::Held(_)) && self.state() == own.state()
    }

    pub fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    #[inline]
    pub fn with_waiters(self, waiters: bool) -> Self {
        if waiters { Self(self.0 | WAITERS) } else { Self(self.0 & !WAITERS) }
    }

    pub fn is_suspect(self) -> bool {
        self.0 & SUSPECT != 0
    }

    #[inline]
    pub fn with_suspect(self, suspect: bool) -> Self {
        if suspect { Self(self.0 | SUSPECT) } else { Self(self.0 & !SUSPECT) }
    }
}

/// What a place in a queue is.
///
/// | state | means | becomes |
/// | --- | --- | --- |
/// | 0 FREE | nobody's | ENTERING by who wants to wait |
/// | 1 ENTERING{actor} | its ticket may not be written yet | WAITING, by its holder |
/// | 2 WAITING{actor} | in the queue | FREE by its holder, which has the lock or gives up; PASSED by another |
/// | 3 PASSED{actor} | did not take up its turn in time; in the queue again when it says so | WAITING or FREE, by its holder |
///
/// What names the dead becomes FREE, by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceState {
    Free,
    Entering,
    Waiting,
    Passed,
    /// No state of this version.
    Unknown,
}

/// A value of the word of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceWord(pub u64);

impl PlaceWord {
    pub const FREE: Self = Self(0);

    pub fn entering(by: Actor) -> Self {
        Self(1 | name_of(by.process, by.epoch.into()))
    }

    pub fn waiting(by: Actor) -> Self {
        Self(2 | name_of(by.process, by.epoch.into()))
    }

    pub fn passed(by: Actor) -> Self {
        Self(3 | name_of(by.process, by.epoch.into()))
    }

    pub fn actor(self) -> Actor {
        actor_of(self.0)
    }

    pub fn state(self) -> PlaceState {
        match self.0 & STATE {
            _ if self.0 & !(STATE | NAME) != 0 => PlaceState::Unknown,
            0 if self == Self::FREE => PlaceState::Free,
            1 => PlaceState::Entering,
            2 => PlaceState::Waiting,
            3 => PlaceState::Passed,
            _ => PlaceState::Unknown,
        }
    }

    /// Whether its holder has a ticket.
    pub fn is_queued(self) -> bool {
        matches!(self.state(), PlaceState::Waiting | PlaceState::Passed)
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    const SOMEBODY: Actor = Actor { process: 0xBEEF, epoch: (1 << EPOCH_BITS) - 2 };

    #[test]
    fn words_say_what_they_were_made_of() {
        let held = OwnerWord::held(SOMEBODY).with_waiters(true).with_suspect(true);
        assert_eq!(held.state(), OwnerState::Held(SOMEBODY));
        assert!(held.has_waiters() && held.is_suspect() && held.is_held_as(OwnerWord::held(SOMEBODY)));
        let handed = OwnerWord::handed(7, (5 << EPOCH_BITS) + 9);
        assert_eq!(handed.state(), OwnerState::Handed(7, 9));
        assert_eq!(OwnerWord::FREE.with_suspect(true).state(), OwnerState::Free);
        assert_eq!(PlaceWord::passed(SOMEBODY).actor(), SOMEBODY);
    }

    #[test]
    fn words_that_nobody_writes_are_of_no_state() {
        for word in [3, 4, 1 << 8, 1 << 4 | 1, 1 << 63 | 1, u64::MAX] {
            assert_eq!(OwnerWord(word).state(), OwnerState::Unknown, "{word:#x}");
        }
        for word in [4, 8, 1 << 8, 1 << 63 | 1, u64::MAX] {
            assert_eq!(PlaceWord(word).state(), PlaceState::Unknown, "{word:#x}");
        }
    }
}
