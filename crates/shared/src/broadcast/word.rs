//! The word of one that waits for an event, and the word of one trigger at work.
//!
//! | place word | bits | meaning |
//! | --- | --- | --- |
//! | state | 0 and 1 | see [`PlaceState`] |
//! | process, epoch | 8 to 23, 24 to 51 | of ENTERING: who enters |
//! | why | 4 to 19 | of RELEASED: the trigger record with the payload, or a reason above all of them |
//! | ticket | 20 to 63 | of WAITING and RELEASED: the low 44 bits of the ticket |
//!
//! | record word | bits | meaning |
//! | --- | --- | --- |
//! | state | 0 and 1 | see [`RecordState`] |
//! | process, epoch | 8 to 23, 24 to 51 | who is at work with it; zero while it rests |
//!
//! All other bits are zero. Any other word is of no state: nobody acts by it, and `verify` tells of it.

use crate::Actor;
use crate::lock::word::{NAME, actor_of, name_of};

const STATE: u64 = 3;
const WHY_SHIFT: u32 = 4;
const TICKET_SHIFT: u32 = 20;
const TICKET: u64 = (1 << (64 - TICKET_SHIFT)) - 1;
/// Bits of ENTERING, and of records.
const NAMED: u64 = STATE | NAME;
/// Bits of WAITING.
const QUEUED: u64 = STATE | TICKET << TICKET_SHIFT;
/// Bits of RELEASED.
const ALL: u64 = QUEUED | 0xFFFF << WHY_SHIFT;

/// When one began to wait: a number that comes back after 2^44 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// The ticket that a count gives.
    pub fn of(count: u64) -> Self {
        Self(count & TICKET)
    }

    /// The count, as far as the word has it.
    pub fn number(self) -> u64 {
        self.0
    }

    /// How many tickets before `other` this one was given out; none when it was not before it.
    pub fn ahead_of(self, other: Self) -> Option<u64> {
        let distance = other.0.wrapping_sub(self.0) & TICKET;
        (distance != 0 && distance <= TICKET / 2).then_some(distance)
    }
}

/// Why somebody does not wait any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was triggered, and the payload is in this record.
    Triggered(u16),
    /// The event was reset, or the notification cancelled.
    LetGo,
    /// The event was destroyed.
    Destroyed,
}

/// Records count up to here.
pub const MAX_RECORDS: u64 = 0xFF00;
const LET_GO: u16 = 0xFFFE;
const DESTROYED: u16 = 0xFFFD;

impl Why {
    fn bits(self) -> u64 {
        let number = match self {
            Self::Triggered(record) => record,
            Self::LetGo => LET_GO,
            Self::Destroyed => DESTROYED,
        };
        u64::from(number) << WHY_SHIFT
    }

    fn of(word: u64) -> Option<Self> {
        match (word >> WHY_SHIFT) as u16 {
            LET_GO => Some(Self::LetGo),
            DESTROYED => Some(Self::Destroyed),
            record if u64::from(record) < MAX_RECORDS => Some(Self::Triggered(record)),
            _ => None,
        }
    }
}

/// What a place is.
///
/// | state | means | becomes |
/// | --- | --- | --- |
/// | 0 FREE | nobody's | ENTERING, by who wants to wait |
/// | 1 ENTERING{actor} | its holder and its ticket may not be written yet | WAITING, by its holder |
/// | 2 WAITING{ticket} | waits | RELEASED, by a trigger, a reset or a destruction; FREE, by its holder |
/// | 3 RELEASED{why, ticket} | waits no more; keeps the record with its payload | FREE, by its holder |
///
/// Whatever its holder left when it died becomes FREE, by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceState {
    Free,
    Entering(Actor),
    Waiting(Ticket),
    Released(Why, Ticket),
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

    pub fn waiting(ticket: Ticket) -> Self {
        Self(2 | ticket.0 << TICKET_SHIFT)
    }

    pub fn released(why: Why, ticket: Ticket) -> Self {
        Self(3 | why.bits() | ticket.0 << TICKET_SHIFT)
    }

    pub fn state(self) -> PlaceState {
        let ticket = Ticket(self.0 >> TICKET_SHIFT);
        match self.0 & STATE {
            0 if self == Self::FREE => PlaceState::Free,
            1 if self.0 & !NAMED == 0 => PlaceState::Entering(actor_of(self.0)),
            2 if self.0 & !QUEUED == 0 => PlaceState::Waiting(ticket),
            3 if self.0 & !ALL == 0 => {
                Why::of(self.0).map_or(PlaceState::Unknown, |why| PlaceState::Released(why, ticket))
            }
            _ => PlaceState::Unknown,
        }
    }
}

/// What a record is.
///
/// | state | means | becomes |
/// | --- | --- | --- |
/// | 0 RESTING | nobody is at work with it; its payload stays as long as a place says RELEASED with it | WRITING, by a trigger |
/// | 1 WRITING{actor} | its payload is being written, and nobody was released with it | RELEASING, RELEASING_ALL or RESTING, by its actor |
/// | 2 RELEASING{actor} | releases some, and as many as it came to when its actor died | RESTING, by its actor |
/// | 3 RELEASING_ALL{actor} | releases all whose ticket is before its horizon | RESTING, by its actor, when that is done |
///
/// Of the dead WRITING and RELEASING become RESTING or another's WRITING, and RELEASING_ALL becomes RELEASING_ALL of one
/// that finishes it, by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordState {
    Resting,
    Writing(Actor),
    Releasing(Actor),
    ReleasingAll(Actor),
    /// No state of this version.
    Unknown,
}

/// A value of the word of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordWord(pub u64);

impl RecordWord {
    pub const RESTING: Self = Self(0);

    pub fn writing(by: Actor) -> Self {
        Self(1 | name_of(by.process, by.epoch.into()))
    }

    pub fn releasing(by: Actor) -> Self {
        Self(2 | name_of(by.process, by.epoch.into()))
    }

    pub fn releasing_all(by: Actor) -> Self {
        Self(3 | name_of(by.process, by.epoch.into()))
    }

    pub fn state(self) -> RecordState {
        let actor = actor_of(self.0);
        match self.0 & STATE {
            _ if self.0 & !NAMED != 0 => RecordState::Unknown,
            0 if self == Self::RESTING => RecordState::Resting,
            1 => RecordState::Writing(actor),
            2 => RecordState::Releasing(actor),
            3 => RecordState::ReleasingAll(actor),
            _ => RecordState::Unknown,
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    const SOMEBODY: Actor = Actor { process: 0xBEEF, epoch: (1 << 28) - 2 };

    #[test]
    fn words_say_what_they_were_made_of() {
        let ticket = Ticket::of(TICKET - 1);
        assert_eq!(PlaceWord::entering(SOMEBODY).state(), PlaceState::Entering(SOMEBODY));
        assert_eq!(PlaceWord::waiting(ticket).state(), PlaceState::Waiting(ticket));
        for why in [Why::Triggered(0), Why::Triggered(0xFEFF), Why::LetGo, Why::Destroyed] {
            assert_eq!(PlaceWord::released(why, ticket).state(), PlaceState::Released(why, ticket));
        }
        assert_eq!(RecordWord::writing(SOMEBODY).state(), RecordState::Writing(SOMEBODY));
        assert_eq!(RecordWord::releasing(SOMEBODY).state(), RecordState::Releasing(SOMEBODY));
        assert_eq!(RecordWord::releasing_all(SOMEBODY).state(), RecordState::ReleasingAll(SOMEBODY));
    }

    #[test]
    fn words_that_nobody_writes_are_of_no_state() {
        for word in [4, 1 | 1 << 4, 1 | 1 << 52, 2 | 1 << 4, 3 | 0xFF00 << 4, 3 | 4, 8 | 1, 1 << 20] {
            assert_eq!(PlaceWord(word).state(), PlaceState::Unknown, "{word:#x}");
        }
        for word in [4, 1 << 8, 1 | 1 << 4, 1 << 63 | 1, u64::MAX] {
            assert_eq!(RecordWord(word).state(), RecordState::Unknown, "{word:#x}");
        }
    }

    #[test]
    fn tickets_are_in_order_also_where_their_number_begins_anew() {
        let (last, first) = (Ticket::of(TICKET), Ticket::of(TICKET + 1));
        assert_eq!((last.ahead_of(first), first.ahead_of(last)), (Some(1), None));
        assert_eq!((last.ahead_of(last), Ticket::of(3).ahead_of(Ticket::of(8))), (None, Some(5)));
    }
}
