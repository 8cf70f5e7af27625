//! Mistakes that models make on purpose, to see that they would be found. Outside the explore face there are none.

/// A step left out or done wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A signal that woke nobody disarms the event and leaves it at that.
    NoSecondWake,
    /// Disarming an event leaves its sequence as it is.
    DisarmKeepsSequence,
    /// A signal to all wakes one.
    OneWakeForAll,
    /// A repair wakes nobody.
    RepairWakesNobody,
    /// A repair does not raise the count of messages given back.
    RepairCountsNothing,
    /// A waiter sleeps on the word that it armed without having looked again.
    SleepWithoutSecondLook,
    /// A woken waiter that leaves does not pass on.
    NothingPassedOn,
    /// A repair counts a message given back before it gives it back, not behind it.
    CountedBeforeReturned,
    /// A message given back to the ring takes the next lap.
    ReturnedTakesNextLap,
    /// A receiver marks a count of messages given back as searched for before it searches, as if it were one bit.
    MarkedBeforeSearch,
    /// A search for messages given back leaves a slot that a sender went round meanwhile.
    SearchLeavesSlotPassed,
    /// A receiver whose sleep ended by itself does not inspect the ring.
    NoInspection,
    /// A receiver concludes as much from a lap as a sender may.
    HeadFollowsLikeTail,
    /// A slot is released by a store, in the lap in which it was taken.
    ReleasedByStore,
    /// A candidate for a name is confirmed at the first look that finds it.
    ConfirmedAtFirstSight,
    /// A signal does not look at the word of those who look on.
    OnlookersForgotten,
    /// A copy of a message that others may take is believed without a second look at its slot.
    PeekWithoutSecondLook,
    /// A repair ends the reservation of a dead sender in the lap in which it was made.
    ReservedStaysInLap,
    /// Whether a message's block is lost is asked before the look at its slot.
    LostBeforeSlot,
    /// Who waits for a receipt takes any message of a later lap for another than its own.
    LaterLapIsReceipt,
    /// A waiter for a lock does not say in the owner word that it waits.
    WaitsUnannounced,
    /// Who was woken by a lock's owner does not arm again, on behalf of those who still sleep, before it looks.
    WokenForgetsOthers,
    /// A lock is made free after one look at its queue.
    ReleaseLooksOnce,
    /// Who gives up waiting for a lock does not look whether it was handed over meanwhile.
    LeavesWithoutLook,
    /// Who hands a lock over does not look whether the other is still there.
    HandsOverBlindly,
    /// Who is released by a trigger of an event is not called.
    ReleasedUnsignalled,
    /// A waiter for an event frees its place, and then reads the payload.
    FreedBeforeRead,
    /// A trigger takes a record without a look at who points to it.
    RecordTakenBlindly,
    /// A trigger of all whose actor died is left where it was.
    DeadTriggerLeft,
    /// The dead count as waiters of an event that is synchronised.
    CountsTheDead,
    /// A signal takes the bit of who listens away and tells nobody.
    ListenersUntold,
    /// A raise tells nobody who listens.
    RaiseTellsNobody,
    /// A set looks at a channel before it says that it listens, and not behind it.
    LookBeforeListening,
    /// Who locks a channel does not say so in its state.
    LockUnannounced,
    /// Who claims a slot does not look whether the channel was locked meanwhile.
    ClaimLooksNotAgain,
    /// Who locks a channel does not look at its slots.
    LockLooksAtNoSlot,
    /// Who reads what the others gave does not look whether they were begun anew meanwhile.
    ReadsAcrossGenerations,
    /// Who announces its round has not written yet what it says of it.
    AnnouncesBeforeCall,
    /// Who begins a group anew frees the dead of the next generation, too.
    FreesAcrossGenerations,
    /// Who joins a group judges by a generation that it read before it looked at who had the rank.
    JoinsByEarlierGeneration,
    /// Who comes to a barrier takes a place that is somebody's of a later round.
    LaterPlaceTaken,
    /// A round of a barrier ends when all but the last place are taken.
    EndsWithoutLast,
    /// Who helps at a barrier breaks the round of one that died, also when all have come.
    HelpEndsNothing,
    /// No mistake, but fewer states: hints are neither written nor looked at.
    WithoutHints,
}

#[cfg(weyr_face = "explore")]
mod chosen {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        static CHOSEN: Cell<u64> = const { Cell::new(0) };
    }

    /// Whether `fault` is to be made.
    pub fn is(fault: Fault) -> bool {
        CHOSEN.get() >> fault as u64 & 1 == 1
    }

    /// From now on this thread makes these, and no others.
    pub fn choose(faults: &[Fault]) {
        CHOSEN.set(faults.iter().fold(0, |chosen, &fault| chosen | 1 << fault as u64));
    }
}

#[cfg(weyr_face = "explore")]
pub use chosen::{choose, is};

/// Whether `fault` is to be made: never.
#[cfg(not(weyr_face = "explore"))]
#[inline]
pub const fn is(_fault: Fault) -> bool {
    false
}
