//! A barrier: so many parties wait for each other, round after round, and whoever dies among them is noticed.
//!
//! One word says which round it is, whether it is broken, and how the last rounds ended; a word a place says who came in
//! which round. A party comes by one exchange of a free place, and who finds all places taken ends the round by one
//! exchange of the word: the last that came, or, when that one stands or dies, any other that looks.
//!
//! | state word | meaning |
//! | --- | --- |
//! | bits 0 to 31 | round, from 1 on; it wraps |
//! | bits 32 to 33 | 0: parties wait; else broken: 1 aborted, 2 a party ran out of time, 3 a party died |
//! | bits 34 to 63 | how the last 30 rounds ended, the last one lowest: 1 all were let go, 0 broken and reset |
//!
//! | from | to | by |
//! | --- | --- | --- |
//! | round n, parties wait | round n+1, ended well | who sees all places taken in round n, or releases those who wait |
//! | round n, parties wait | round n, broken | who aborts, runs out of time, or sees that one that came is dead |
//! | round n, any | round n+1, ended badly | who resets |
//!
//! Crash argument: each step is one exchange from the exact value that was judged. Who dies before it came has not come;
//! who dies behind it is found in its place by the others, which break the round, or end it if all came.
//!
//! What it does not do: it does not wait, nor know how long; and it does not know who is to come, only how many.

use weyr_atomic::{AtomicU64, Ordering};

use crate::fault::{self, Fault};
use crate::{Actor, Corrupt, Region, Table};

crate::layout! {
    /// A barrier: the start of the payload block of a channel that is one; a word a party follows.
    pub struct BarrierRecord: 64, align 8 {
        /// `ended:30 | broken:2 | round:32`; changed by any party; zero: not made yet.
        0 => state: AtomicU64,
        /// Reserved, zero.
        8 => reserved: [AtomicU64; 7],
    }
}

const RECORD_BYTES: u64 = 64;
const ROUND_BITS: u32 = 20;
const EPOCH_BITS: u32 = 28;
const EPOCH_MASK: u32 = (1 << EPOCH_BITS) - 1;
const ROUND_MASK: u64 = (1 << ROUND_BITS) - 1;
/// Rounds whose end the state remembers.
const REMEMBERED: u32 = 30;

/// Why a barrier is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// Somebody aborted it.
    Aborted,
    /// A party that had come ran out of time.
    TimedOut,
    /// A party that had come died.
    Died,
    /// It was reset while this party waited.
    Reset,
}

/// What a party knows of its round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not all have come.
    Waiting,
    /// All came, or those who had were released.
    Passed,
    /// It was broken.
    Broken(Broken),
}

/// A party that came: in which round, and in which place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    round: u32,
    /// Which of the parties it is, from 0 on: another one for each in a round.
    pub place: u32,
}

impl Arrival {
    /// In which round: its number, which wraps.
    pub const fn round(self) -> u32 {
        self.round
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State(u64);

impl State {
    const FIRST: Self = Self(1);

    const fn round(self) -> u32 {
        self.0 as u32
    }

    const fn broken(self) -> Option<Broken> {
        match self.0 >> 32 & 3 {
            0 => None,
            1 => Some(Broken::Aborted),
            2 => Some(Broken::TimedOut),
            _ => Some(Broken::Died),
        }
    }

    const fn breaking(self, why: Broken) -> Self {
        let code = match why {
            Broken::Aborted | Broken::Reset => 1,
            Broken::TimedOut => 2,
            Broken::Died => 3,
        };
        Self(self.0 | code << 32)
    }

    const fn next(self, ended_well: bool) -> Self {
        let ended = (self.0 >> 34) << 1 | ended_well as u64;
        Self(ended << 34 | self.round().wrapping_add(1) as u64)
    }

    /// How `round` ended. One so long ago that nothing is known of it counts as reset.
    const fn outcome(self, round: u32) -> Outcome {
        let ago = self.round().wrapping_sub(round);
        match (ago, self.broken()) {
            (0, None) => Outcome::Waiting,
            (0, Some(why)) => Outcome::Broken(why),
            _ if ago <= REMEMBERED && self.0 >> (33 + ago) & 1 == 1 => Outcome::Passed,
            _ => Outcome::Broken(Broken::Reset),
        }
    }
}

/// `process:16 | epoch:28 | round:20`: who came, in a round of which the low bits tell it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(u64);

impl Place {
    fn new(actor: Actor, round: u32) -> Self {
        let epoch = u64::from(actor.epoch & EPOCH_MASK);
        Self((u64::from(actor.process) << EPOCH_BITS | epoch) << ROUND_BITS | u64::from(round) & ROUND_MASK)
    }

    fn actor(self) -> Actor {
        let epoch = (self.0 >> ROUND_BITS) as u32 & EPOCH_MASK;
        Actor { process: (self.0 >> (ROUND_BITS + EPOCH_BITS)) as u16, epoch }
    }

    /// How many rounds ago somebody came; more than half of all that can be told: in a later round.
    fn ago(self, round: u32) -> u64 {
        (u64::from(round)).wrapping_sub(self.0) & ROUND_MASK
    }

    fn is_of(self, round: u32) -> bool {
        self.ago(round) == 0
    }

    fn is_later_than(self, round: u32) -> bool {
        self.ago(round) > ROUND_MASK / 2
    }
}

/// A barrier in shared memory. Each change that it reports is to be told to those who wait.
#[derive(Debug, Clone)]
pub struct Barrier {
    record: Table<BarrierRecord>,
    places: Table<AtomicU64>,
}

impl Barrier {
    /// Bytes of a barrier for `parties`.
    pub const fn bytes(parties: u32) -> u64 {
        RECORD_BYTES + parties as u64 * 8
    }

    /// The barrier at byte `offset` of `region`, which has `bytes` bytes.
    ///
    /// # Errors
    /// [`Corrupt`]: it is not inside of the region.
    pub fn over(region: &Region, offset: u64, bytes: u64) -> Result<Self, Corrupt> {
        let parties = bytes.saturating_sub(RECORD_BYTES) / 8;
        Ok(Self {
            record: region.table(offset, 1, "barrier")?,
            places: region.table(offset + RECORD_BYTES, parties, "places of a barrier")?,
        })
    }

    /// One in private memory, for models and tests.
    pub fn private(parties: u32) -> Self {
        use weyr_atomic::Zeroed as _;
        let places = (0..parties).map(|_| AtomicU64::zeroed()).collect();
        let barrier =
            Self { record: Table::from_vec(vec![BarrierRecord::zeroed()]), places: Table::from_vec(places) };
        barrier.make();
        barrier
    }

    /// Makes it, whatever was there; nobody else may know it yet.
    pub fn make(&self) {
        let record = &self.record[0];
        record.reserved.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        self.places.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        record.state.store(State::FIRST.0, Ordering::Release);
    }

    /// How many have to come.
    pub fn parties(&self) -> u32 {
        self.places.len() as u32
    }

    fn state(&self) -> State {
        State(self.record[0].state.load(Ordering::SeqCst))
    }

    /// SeqCst: who arms and then looks sees it, or its signal sees who armed.
    fn exchange(&self, from: State, to: State) -> bool {
        let state = &self.record[0].state;
        state.compare_exchange(from.0, to.0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Comes, as `me`; `tell` tells those who wait that a round has ended. Commit point: the exchange of a place.
    ///
    /// # Errors
    /// It is broken.
    pub fn come(&self, me: Actor, tell: impl Fn()) -> Result<Arrival, Broken> {
        loop {
            let state = self.state();
            if let Some(why) = state.broken() {
                return Err(why);
            }
            let place = self.take_place(me, state.round());
            if self.end_if_all_came(state) {
                tell();
            }
            // Without a place: all were taken, or the round was over, and the next one is looked at.
            if let Some(place) = place {
                return Ok(Arrival { round: state.round(), place });
            }
        }
    }

    /// None: no place is free in `round`, or it is over.
    fn take_place(&self, me: Actor, round: u32) -> Option<u32> {
        for (index, word) in self.places.iter().enumerate() {
            let mut seen = Place(word.load(Ordering::SeqCst));
            while !seen.is_of(round) {
                if seen.is_later_than(round) && !fault::is(Fault::LaterPlaceTaken) {
                    return None;
                }
                let own = Place::new(me, round);
                match word.compare_exchange(seen.0, own.0, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => return Some(index as u32),
                    Err(now) => seen = Place(now),
                }
            }
        }
        None
    }

    /// Ends the round if all have come. Whether this call did; then all are to be told.
    fn end_if_all_came(&self, state: State) -> bool {
        let awaited =
            if fault::is(Fault::EndsWithoutLast) { self.places.len() - 1 } else { self.places.len() };
        let mut places = self.places.iter().take(awaited);
        let all = places.all(|word| Place(word.load(Ordering::SeqCst)).is_of(state.round()));
        all && state.broken().is_none() && self.exchange(state, state.next(true))
    }

    /// How the round of `arrival` went so far: one load.
    pub fn outcome(&self, arrival: Arrival) -> Outcome {
        self.state().outcome(arrival.round)
    }

    /// Does what others may have died before: ends the round if all have come, and breaks it if one of them is dead.
    /// Whether anything was changed, and all are to be told.
    pub fn help(&self, is_dead: impl Fn(Actor) -> bool) -> bool {
        let state = self.state();
        if state.broken().is_some() {
            return false;
        }
        let came = self.places.iter().map(|word| Place(word.load(Ordering::SeqCst)));
        let died = came.filter(|place| place.is_of(state.round())).any(|place| is_dead(place.actor()));
        let ended = !fault::is(Fault::HelpEndsNothing) && self.end_if_all_came(state);
        ended || died && self.exchange(state, state.breaking(Broken::Died))
    }

    /// Breaks the round of `arrival`, which ran out of time, unless it has ended. Whether anything was changed.
    pub fn give_up(&self, arrival: Arrival) -> bool {
        let state = self.state();
        // An exchange that fails has lost to the end of the round.
        state.outcome(arrival.round) == Outcome::Waiting
            && self.exchange(state, state.breaking(Broken::TimedOut))
    }

    /// Breaks it, unless it is broken. Whether anything was changed.
    pub fn abort(&self) -> bool {
        self.change(|state| state.broken().is_none().then(|| state.breaking(Broken::Aborted)))
    }

    /// Lets those go who wait, though not all have come. Whether anything was changed: it is not if it is broken.
    pub fn release(&self) -> bool {
        self.change(|state| state.broken().is_none().then(|| state.next(true)))
    }

    /// Begins a new round, as if it were new; those who wait find it broken.
    pub fn reset(&self) {
        self.change(|state| Some(state.next(false)));
    }

    fn change(&self, judge: impl Fn(State) -> Option<State>) -> bool {
        loop {
            let seen = self.state();
            let Some(next) = judge(seen) else { return false };
            if self.exchange(seen, next) {
                return true;
            }
        }
    }

    /// Why it is broken, if it is.
    pub fn broken(&self) -> Option<Broken> {
        self.state().broken()
    }

    /// How many have come in this round, and are not known to be dead.
    pub fn waiting(&self, is_dead: impl Fn(Actor) -> bool) -> u32 {
        let round = self.state().round();
        let came = self.places.iter().map(|word| Place(word.load(Ordering::SeqCst)));
        came.filter(|place| place.is_of(round) && !is_dead(place.actor())).count() as u32
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    const NOBODY_DIED: fn(Actor) -> bool = |_| false;

    fn actor(process: u16) -> Actor {
        Actor { process, epoch: 3 }
    }

    /// Comes, tells nobody, and has to wait.
    fn waits(barrier: &Barrier, process: u16) -> Arrival {
        let arrival = barrier.come(actor(process), || panic!("a round has ended")).unwrap();
        assert_eq!(barrier.outcome(arrival), Outcome::Waiting);
        arrival
    }

    #[test]
    fn the_last_that_comes_lets_all_go_round_after_round() {
        let barrier = Barrier::private(2);
        for _ in 0..70 {
            let first = waits(&barrier, 1);
            assert_eq!((barrier.outcome(first), barrier.waiting(NOBODY_DIED)), (Outcome::Waiting, 1));
            let told = std::cell::Cell::new(0);
            let second = barrier.come(actor(2), || told.set(told.get() + 1)).unwrap();
            assert_eq!(told.get(), 1, "the last one tells");
            assert_eq!([first.place, second.place], [0, 1]);
            assert_eq!([barrier.outcome(first), barrier.outcome(second)], [Outcome::Passed; 2]);
            assert_eq!(barrier.waiting(NOBODY_DIED), 0);
        }
    }

    #[test]
    fn who_comes_late_knows_how_each_of_thirty_rounds_ended() {
        let mut state = State::FIRST;
        for number in 1..=40_u32 {
            state = state.next(number % 3 == 0);
            for round in number.saturating_sub(29).max(1)..=number {
                let expected = if round % 3 == 0 { Outcome::Passed } else { Outcome::Broken(Broken::Reset) };
                assert_eq!(state.outcome(round), expected, "{round} of {number}");
            }
        }
        assert_eq!(state.outcome(3), Outcome::Broken(Broken::Reset), "forgotten");
        assert_eq!(State(u64::from(u32::MAX)).next(true).outcome(u32::MAX), Outcome::Passed);
    }

    #[test]
    fn one_that_came_and_died_breaks_the_round_and_all_are_told() {
        let barrier = Barrier::private(3);
        let (dead, alive) = (actor(1), waits(&barrier, 2));
        waits(&barrier, 1);
        assert!(!barrier.help(NOBODY_DIED));
        assert!(barrier.help(|other| other == dead));
        assert_eq!(barrier.outcome(alive), Outcome::Broken(Broken::Died));
        assert_eq!(barrier.come(actor(3), || ()), Err(Broken::Died));
        assert_eq!(barrier.broken(), Some(Broken::Died));
        assert!(!barrier.abort() && !barrier.release());
        barrier.reset();
        assert_eq!(barrier.outcome(alive), Outcome::Broken(Broken::Reset));
        assert_eq!(waits(&barrier, 2).place, 0);
    }

    #[test]
    fn one_that_died_before_it_ended_the_round_is_helped() {
        let barrier = Barrier::private(2);
        let first = waits(&barrier, 1);
        // The second has its place, and nothing else.
        assert_eq!(barrier.take_place(actor(2), 1), Some(1));
        assert_eq!(barrier.outcome(first), Outcome::Waiting);
        assert!(barrier.help(|other| other == actor(2)), "all have come, dead or not");
        assert_eq!(barrier.outcome(first), Outcome::Passed);
        // The same by one that comes for the next round: it tells the others, and waits there.
        barrier.take_place(actor(1), 2);
        barrier.take_place(actor(2), 2);
        let told = std::cell::Cell::new(false);
        let third = barrier.come(actor(3), || told.set(true)).unwrap();
        assert_eq!((third.round, told.get(), barrier.outcome(third)), (3, true, Outcome::Waiting));
    }

    #[test]
    fn a_party_of_an_earlier_round_takes_no_place_of_a_later_one() {
        let barrier = Barrier::private(2);
        barrier.release();
        waits(&barrier, 1);
        assert_eq!(barrier.take_place(actor(9), 1), None, "it had looked at the state before the release");
        assert_eq!(barrier.waiting(NOBODY_DIED), 1);
    }

    #[test]
    fn whoever_gives_up_breaks_the_round_unless_it_has_ended() {
        let barrier = Barrier::private(2);
        let first = waits(&barrier, 1);
        assert!(barrier.give_up(first) && !barrier.give_up(first));
        assert_eq!(barrier.outcome(first), Outcome::Broken(Broken::TimedOut));
        barrier.reset();
        let first = waits(&barrier, 1);
        assert!(barrier.release() && !barrier.give_up(first));
        assert_eq!(barrier.outcome(first), Outcome::Passed);
    }
}
