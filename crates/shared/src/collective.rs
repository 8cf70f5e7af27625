//! What a known group does together: its words, and the memory of what each gives.
//!
//! A group has so many members, each with a rank. What they do together goes in **rounds**. In a round each member puts
//! what it gives into its own memory, announces it in its own seat, and waits until all have announced theirs; then
//! everybody reads what it needs of the others. Nothing is counted in one place: a member writes its own seat only.
//!
//! | from byte | what | bytes |
//! | --- | --- | --- |
//! | 0 | record | 48 |
//! | 48 | seats, one a member | members x 64 |
//! | behind them | what the members give, two buffers each, for odd and even rounds | members x 2 x a multiple of 64 |
//!
//! **Two buffers suffice.** A member writes what it gives in round n + 2 only when all have announced round n + 1, and
//! who has announced that has read all that it needed of round n. The same holds for what it says of its call.
//!
//! | word of a seat | meaning | who changes it, to what |
//! | --- | --- | --- |
//! | holder: free | nobody has the rank | who joins: taken by it |
//! | holder: taken by P | P has it | P, when it leaves: left, or free where it announced nothing in this generation; who joins, or resets, once P is dead |
//! | holder: left, g | it was left in generation g; in a later one that is free | who joins; who resets: free |
//! | announced, odd and even | the last such round that its holder announced, and in which generation | the holder |
//!
//! | state | meaning | who changes it |
//! | --- | --- | --- |
//! | generation g, whole | rounds go on | who breaks it, by exchange |
//! | generation g, broken: why, rank | no round of this generation is begun any more | who resets, by exchange: g + 1, whole |
//!
//! A round that all announced has succeeded, whatever happened to the state meanwhile. A generation that is broken stays so,
//! and its rounds, announced or not, are none of the next one's: announcements carry the generation. Who reads what others gave
//! looks behind that whether the generation is still the same ([`Collective::still`]); else they may write again already.
//!
//! Crash argument: each step is one exchange of one word, or a store to the holder's own seat. Who dies before it announced
//! has not come, and is found by those who wait: they look at the holder, then at the announcement once more, and break the
//! generation. Who dies behind it has given all that the round needs. Who breaks, resets or joins and dies has done
//! it or not; a seat that a dead one took is taken over, and its generation broken by who does that.
//!
//! What it does not do: it does not wait, and it does not know what is done with what the members give.

mod binding;
mod seat;
mod standing;

use weyr_atomic::{AtomicU32, AtomicU64, Ordering, fence, look_after_write};

use crate::fault::{self, Fault};
use crate::{Actor, Corrupt, Region, Table};

pub use binding::{Binding, ElementType, Operation};
pub use seat::{Announced, Call, CallKind};
use seat::{Holder, Holding};
pub use standing::{Rupture, Standing};

crate::layout! {
    /// What a group does together: the start of the payload block of a channel that is collective; seats follow.
    pub struct CollectiveRecord: 48, align 8 {
        /// Number of members, at least 1; written by the creator.
        0 => members: AtomicU32,
        /// `element type:8 | operation:8`; written by the creator.
        4 => kind: AtomicU32,
        /// Bytes of an element, at least 1; written by the creator.
        8 => element_bytes: AtomicU32,
        /// The most elements that a member gives in a round; written by the creator.
        12 => elements: AtomicU32,
        /// Fingerprint of the operation of the users; written by the creator; zero: it is none of theirs.
        16 => fingerprint: AtomicU64,
        /// `generation:32 | 0:8 | why it is broken:8 | rank:16`; changed by any process; zero: not made yet.
        24 => state: AtomicU64,
        /// Reserved, zero.
        32 => reserved: [AtomicU64; 2],
    }
}

crate::layout! {
    /// One member of a group, on a line of its own.
    pub struct CollectiveSeat: 64, align 8 {
        /// `state:2 | generation:14 | process:16 | epoch:32`, state 1 taken, 2 left; changed by who joins and leaves,
        /// and by who resets; zero: free.
        0 => holder: AtomicU64,
        /// `generation:32 | round:32` of the last even and the last odd round that was announced; stored by the holder.
        8 => announced: [AtomicU64; 2],
        /// `0:8 | call:8 | root:16 | bytes:32` of these; stored by the holder before it announces.
        24 => called: [AtomicU64; 2],
        /// Reserved, zero.
        40 => reserved: [AtomicU64; 3],
    }
}

const RECORD_BYTES: u64 = 48;
const SEAT_BYTES: u64 = 64;
/// What a member gives begins on a line of its own.
const LINE_BYTES: u64 = 64;

/// Why a rank could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatError {
    /// No such rank.
    NoSuchRank,
    /// A living process has it.
    Taken,
    /// Shared memory does not hold what it must.
    Corrupt(Corrupt),
}

impl From<Corrupt> for SeatError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

/// A group in shared memory. Each change that it reports is to be told to those who wait.
#[derive(Debug, Clone)]
pub struct Collective {
    record: Table<CollectiveRecord>,
    seats: Table<CollectiveSeat>,
    /// What the members give; none in a model, which has memory of its own.
    given: Option<Region>,
    binding: Binding,
}

/// Its life.
impl Collective {
    /// Bytes of a group of `binding`.
    pub const fn bytes(binding: &Binding) -> u64 {
        let given = binding.members as u64 * 2 * stride(binding);
        RECORD_BYTES + binding.members as u64 * SEAT_BYTES + given
    }

    /// Makes one at byte `offset` of `region`, whatever was there; nobody else may know it yet.
    ///
    /// # Errors
    /// [`Corrupt`]: it is not inside of the region.
    pub fn make(region: &Region, offset: u64, binding: &Binding) -> Result<Self, Corrupt> {
        let collective = Self::laid_over(region, offset, *binding)?;
        collective.write();
        Ok(collective)
    }

    /// The one at byte `offset` of `region`, which has `bytes` bytes there.
    ///
    /// # Errors
    /// [`Corrupt`]: what is bound cannot be, or is not inside of the region.
    pub fn over(region: &Region, offset: u64, bytes: u64) -> Result<Self, Corrupt> {
        let record = region.table::<CollectiveRecord>(offset, 1, "collective")?;
        let binding = Binding::stored_in(&record[0]).filter(|binding| Self::bytes(binding) <= bytes);
        Self::laid_over(region, offset, binding.ok_or(Corrupt::new("collective", offset))?)
    }

    /// One in private memory, without room for what members give: for models and tests.
    pub fn private(members: u32) -> Self {
        use weyr_atomic::Zeroed as _;
        let binding = Binding { members, ..Binding::BYTES };
        let seats = (0..members).map(|_| CollectiveSeat::zeroed()).collect();
        let record = Table::from_vec(vec![CollectiveRecord::zeroed()]);
        let collective = Self { record, seats: Table::from_vec(seats), given: None, binding };
        collective.write();
        collective
    }

    fn laid_over(region: &Region, offset: u64, binding: Binding) -> Result<Self, Corrupt> {
        let seats_at = offset + RECORD_BYTES;
        let given_at = seats_at + u64::from(binding.members) * SEAT_BYTES;
        let given = region.part(given_at, u64::from(binding.members) * 2 * stride(&binding))?;
        Ok(Self {
            record: region.table(offset, 1, "collective")?,
            seats: region.table(seats_at, binding.members.into(), "seats of a collective")?,
            given: Some(given),
            binding,
        })
    }

    fn write(&self) {
        let record = &self.record[0];
        self.binding.store_in(record);
        record.reserved.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        for seat in self.seats.iter() {
            let words = [&seat.holder].into_iter().chain(&seat.announced).chain(&seat.called);
            words.chain(&seat.reserved).for_each(|word| word.store(0, Ordering::Relaxed));
        }
        record.state.store(Standing::FIRST.bits(), Ordering::Release);
    }

    /// What is bound to it, as it was when it was opened.
    pub fn binding(&self) -> &Binding {
        &self.binding
    }
}

/// Its state.
impl Collective {
    /// Generation, and whether it is whole: one load. Orders what its caller writes for the others behind it.
    ///
    /// # Errors
    /// [`Corrupt`]: a reason that there is not.
    #[inline]
    pub fn standing(&self) -> Result<Standing, Corrupt> {
        let standing = Standing::parse(self.record[0].state.load(Ordering::SeqCst))?;
        // Pairs with `still`: who reads what is written behind this sees the generation there.
        fence(Ordering::Release);
        Ok(standing)
    }

    /// Whether the generation is still `generation`: asked behind reading what others gave in it, which is to be forgotten if
    /// not. Pairs with [`standing`](Self::standing).
    ///
    /// # Errors
    /// As [`standing`](Self::standing).
    #[inline]
    pub fn still(&self, generation: u32) -> Result<bool, Corrupt> {
        fence(Ordering::Acquire);
        let standing = Standing::parse(self.record[0].state.load(Ordering::SeqCst))?;
        Ok(standing.generation == generation || fault::is(Fault::ReadsAcrossGenerations))
    }

    /// Breaks generation `generation`, unless it is broken or over. Whether this call did.
    ///
    /// # Errors
    /// As [`standing`](Self::standing).
    pub fn break_up(&self, generation: u32, why: Rupture, rank: u32) -> Result<bool, Corrupt> {
        let seen = self.standing()?;
        let ours = seen.generation == generation && seen.broken.is_none();
        Ok(ours && self.exchange(seen, Standing { broken: Some((why, rank as u16)), ..seen }))
    }

    /// Begins the next generation, with the ranks free of those that died or left. Those who wait find the old one over.
    /// `rank` asks for it. False: another began one meanwhile. Commit point: the exchange of the state; before it the
    /// generation is broken.
    ///
    /// # Errors
    /// As [`standing`](Self::standing).
    pub fn reset(&self, rank: u32, is_dead: impl Fn(Actor) -> bool) -> Result<bool, Corrupt> {
        let generation = self.standing()?.generation;
        // First broken: who waits for one whose seat is free by now would not know that it died.
        self.break_up(generation, Rupture::Aborted, rank)?;
        self.free_the_gone(generation, is_dead)?;
        let broken = self.standing()?;
        Ok(broken.generation == generation && self.exchange(broken, broken.next()))
    }

    fn free_the_gone(&self, generation: u32, is_dead: impl Fn(Actor) -> bool) -> Result<(), Corrupt> {
        for seat in self.seats.iter() {
            let seen = Holder::parse(seat.holder.load(Ordering::SeqCst))?;
            // Also who left: the seat's few bits of a generation are of this one or the one before, and of none long ago.
            let gone = match seen.holding() {
                Holding::Taken(actor) => is_dead(actor),
                Holding::Left(_) => true,
                Holding::Free => false,
            };
            // Behind the look at who is gone: it went before the next generation began, so that it has no part in that, however
            // late it is freed. Later on another may have begun one, in which it took part: then it is to be missed.
            if gone && (self.is_at(generation)? || fault::is(Fault::FreesAcrossGenerations)) {
                // One that fails was taken over.
                let _ = change(&seat.holder, seen, Holder::FREE);
            }
        }
        Ok(())
    }

    fn is_at(&self, generation: u32) -> Result<bool, Corrupt> {
        Ok(self.standing()?.generation == generation)
    }

    fn exchange(&self, from: Standing, to: Standing) -> bool {
        // SeqCst: who arms and then looks sees it, or its signal sees who armed.
        let state = &self.record[0].state;
        let changed = state.compare_exchange(from.bits(), to.bits(), Ordering::SeqCst, Ordering::SeqCst);
        look_after_write();
        changed.is_ok()
    }
}

fn change(word: &AtomicU64, from: Holder, to: Holder) -> bool {
    word.compare_exchange(from.bits(), to.bits(), Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

/// Its members.
impl Collective {
    fn seat(&self, rank: u32) -> Result<&CollectiveSeat, Corrupt> {
        self.seats.get(rank as usize).ok_or(Corrupt::new("rank of a collective", rank.into()))
    }

    /// Takes `rank` for `me`: it is free, or whose it was is dead, which breaks the generation. Whether others are to be
    /// told of that. Commit point: the exchange of the holder.
    ///
    /// # Errors
    /// [`SeatError`]; nothing has changed then.
    pub fn join(&self, rank: u32, me: Actor, is_dead: impl Fn(Actor) -> bool) -> Result<bool, SeatError> {
        let seat = self.seats.get(rank as usize).ok_or(SeatError::NoSuchRank)?;
        let mut told = false;
        loop {
            let early = fault::is(Fault::JoinsByEarlierGeneration).then(|| self.standing()).transpose()?;
            let seen = Holder::parse(seat.holder.load(Ordering::SeqCst))?;
            let holding = seen.holding();
            if matches!(holding, Holding::Taken(actor) if !is_dead(actor)) {
                return Err(SeatError::Taken);
            }
            // Behind the look at who had it, which went by then: it took no part in a generation that is begun later.
            let generation = early.map_or_else(|| self.standing(), Ok)?.generation;
            let gone = match holding {
                Holding::Taken(_) => Some(Rupture::Died),
                Holding::Left(left) if Holder::is_of(left, generation) => Some(Rupture::Left),
                Holding::Free | Holding::Left(_) => None,
            };
            // Before the seat is taken: else its new holder would hide from those who wait that the old one is gone.
            if let Some(why) = gone {
                told |= self.break_up(generation, why, rank)?;
            }
            if change(&seat.holder, seen, Holder::taken_by(me)) {
                return Ok(told);
            }
        }
    }

    /// Leaves `rank`, which is `me`'s. Whether others are to be told.
    ///
    /// # Errors
    /// [`Corrupt`]: no such rank, or a state that cannot be.
    pub fn leave(&self, rank: u32, me: Actor) -> Result<bool, Corrupt> {
        let seat = self.seat(rank)?;
        let generation = self.standing()?.generation;
        let came = seat.announced.iter().any(|word| Announced::of(word).generation == generation);
        let next = if came { Holder::left_in(generation, me) } else { Holder::FREE };
        Ok(change(&seat.holder, Holder::taken_by(me), next) && came)
    }

    /// Announces round `round`, in which `rank` does `call`; what it gives was written before. Commit point: the exchange.
    ///
    /// # Errors
    /// [`Corrupt`]: no such rank.
    #[inline]
    pub fn announce(&self, rank: u32, round: Announced, call: Call) -> Result<(), Corrupt> {
        let (seat, parity) = (self.seat(rank)?, round.parity());
        if !fault::is(Fault::AnnouncesBeforeCall) {
            seat.called[parity].store(call.bits(), Ordering::Relaxed);
        }
        // SeqCst: of two that announce and then look, one sees the other; and who armed and looks sees it.
        seat.announced[parity].swap(round.bits(), Ordering::SeqCst);
        look_after_write();
        if fault::is(Fault::AnnouncesBeforeCall) {
            seat.called[parity].store(call.bits(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// The first member from `first` on that has not announced `round`. None: all from there on have, and what they
    /// gave can be read.
    #[inline]
    pub fn missing(&self, round: Announced, first: u32) -> Option<u32> {
        let seats = self.seats.iter().skip(first as usize);
        let has =
            |seat: &CollectiveSeat| seat.announced[round.parity()].load(Ordering::SeqCst) == round.bits();
        let ahead = seats.take_while(|seat| has(seat)).count() as u32;
        Some(first.saturating_add(ahead)).filter(|rank| *rank < self.binding.members)
    }

    /// What `rank` does in `round`, which it has announced.
    ///
    /// # Errors
    /// [`Corrupt`]: no such rank, or no call of any version.
    #[inline]
    pub fn call(&self, rank: u32, round: Announced) -> Result<Call, Corrupt> {
        Call::parse(self.seat(rank)?.called[round.parity()].load(Ordering::Relaxed))
    }

    /// Looks for members that will not announce `round` any more, and breaks the generation if there are any. Whether it did.
    ///
    /// # Errors
    /// [`Corrupt`]: words that cannot be.
    pub fn inspect(&self, round: Announced, is_dead: impl Fn(Actor) -> bool) -> Result<bool, Corrupt> {
        let mut first = 0;
        while let Some(rank) = self.missing(round, first) {
            let gone = match Holder::parse(self.seat(rank)?.holder.load(Ordering::SeqCst))?.holding() {
                Holding::Taken(actor) if is_dead(actor) => Some(Rupture::Died),
                Holding::Left(left) if Holder::is_of(left, round.generation) => Some(Rupture::Left),
                _ => None,
            };
            // Once more: it may have announced before it went.
            if let Some(why) = gone.filter(|_| self.missing(round, rank) == Some(rank)) {
                return self.break_up(round.generation, why, rank);
            }
            first = rank + 1;
        }
        Ok(false)
    }

    /// How many have a rank, and are not known to be dead.
    ///
    /// # Errors
    /// [`Corrupt`]: words that cannot be.
    pub fn joined(&self, is_dead: impl Fn(Actor) -> bool) -> Result<u32, Corrupt> {
        let mut joined = 0;
        for seat in self.seats.iter() {
            let holder = Holder::parse(seat.holder.load(Ordering::SeqCst))?.holding();
            joined += u32::from(matches!(holder, Holding::Taken(actor) if !is_dead(actor)));
        }
        Ok(joined)
    }
}

/// What they give.
impl Collective {
    fn place(&self, rank: u32, round: Announced, from: u64, len: u64) -> Result<(&Region, u64), Corrupt> {
        let at = (u64::from(rank) * 2 + round.parity() as u64) * stride(&self.binding);
        let wrong = Corrupt::new("what a member gives", at);
        let inside = from.checked_add(len).is_some_and(|end| end <= self.binding.bytes());
        let given = self.given.as_ref().filter(|_| inside && rank < self.binding.members);
        given.map(|given| (given, at + from)).ok_or(wrong)
    }

    /// Writes what `rank` gives in `round`, from its byte `from` on; before it is announced.
    ///
    /// # Errors
    /// [`Corrupt`]: it does not fit; nothing was written then.
    pub fn give(&self, rank: u32, round: Announced, from: u64, bytes: &[u8]) -> Result<(), Corrupt> {
        let (given, at) = self.place(rank, round, from, bytes.len() as u64)?;
        given.copy_in(at, bytes)
    }

    /// Reads what `rank` gave in `round`, from its byte `from` on. It counts only if the generation is
    /// [still](Self::still) the same behind it.
    ///
    /// # Errors
    /// [`Corrupt`]: there is not so much.
    pub fn read(&self, rank: u32, round: Announced, from: u64, into: &mut [u8]) -> Result<(), Corrupt> {
        let (given, at) = self.place(rank, round, from, into.len() as u64)?;
        given.copy_out_of_changing(at, into)
    }
}

/// Bytes from buffer to buffer.
const fn stride(binding: &Binding) -> u64 {
    binding.bytes().next_multiple_of(LINE_BYTES)
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use std::sync::Arc;

    use weyr_sys::mapping::Mapping;

    use super::*;

    const BINDING: Binding = Binding { members: 2, elements: 100, ..Binding::BYTES };
    const ROUND: Announced = Announced { generation: 1, round: 1 };
    const CALL: Call = Call { kind: CallKind::Gather, root: 0, bytes: 3 };

    fn actor(process: u16) -> Actor {
        Actor { process, epoch: 7 }
    }

    fn region() -> Region {
        Region::new(Arc::new(Mapping::anonymous(4096).unwrap()))
    }

    fn nobody(_: Actor) -> bool {
        false
    }

    #[test]
    fn what_is_given_is_read_in_its_round_and_nothing_lies_outside() {
        let region = region();
        let made = Collective::make(&region, 16, &BINDING).unwrap();
        let there = Collective::over(&region, 16, Collective::bytes(&BINDING)).unwrap();
        assert_eq!(there.binding(), &BINDING);
        made.give(1, ROUND, 97, b"odd").unwrap();
        made.give(1, ROUND.next(), 97, b"eve").unwrap();
        let mut bytes = [0; 3];
        there.read(1, ROUND, 97, &mut bytes).unwrap();
        assert_eq!(&bytes, b"odd");
        assert!(made.give(1, ROUND, 98, b"odd").is_err() && made.give(2, ROUND, 0, b"odd").is_err());
        assert!(there.read(1, ROUND, u64::MAX, &mut bytes).is_err());
        assert!(there.read(2, ROUND, 0, &mut bytes).is_err() && there.call(2, ROUND).is_err());
        assert!(Collective::over(&region, 16, Collective::bytes(&BINDING) - 1).is_err());
        assert!(Collective::make(&region, 4096 - 48, &BINDING).is_err());
    }

    #[test]
    fn a_round_is_there_when_all_have_announced_it_and_who_will_not_is_found() {
        let group = Collective::private(2);
        assert_eq!(group.join(0, actor(0), nobody), Ok(false));
        assert_eq!(group.join(1, actor(1), nobody), Ok(false));
        assert_eq!(group.join(1, actor(2), nobody), Err(SeatError::Taken));
        assert_eq!(group.join(2, actor(2), nobody), Err(SeatError::NoSuchRank));
        group.announce(0, ROUND, CALL).unwrap();
        assert_eq!((group.missing(ROUND, 0), group.missing(ROUND, 1)), (Some(1), Some(1)));
        assert_eq!(group.inspect(ROUND, nobody), Ok(false));
        group.announce(1, ROUND, CALL).unwrap();
        assert_eq!((group.missing(ROUND, 0), group.call(1, ROUND)), (None, Ok(CALL)));
        // Dead, but it had come.
        let is_dead = |other: Actor| other == actor(1);
        assert_eq!(group.inspect(ROUND, is_dead), Ok(false));
        group.announce(0, ROUND.next(), CALL).unwrap();
        assert_eq!(group.inspect(ROUND.next(), is_dead), Ok(true));
        assert_eq!(group.standing().unwrap().broken, Some((Rupture::Died, 1)));
        assert_eq!(group.break_up(1, Rupture::Aborted, 0), Ok(false), "the first reason stays");

        assert_eq!(group.reset(0, is_dead), Ok(true));
        let anew = group.standing().unwrap();
        assert_eq!((anew, group.still(1)), (Standing { generation: 2, broken: None }, Ok(false)));
        assert_eq!((group.joined(nobody), group.join(1, actor(2), nobody)), (Ok(1), Ok(false)));
        assert_eq!(group.missing(Announced { generation: 2, ..ROUND }, 0), Some(0));
    }

    #[test]
    fn who_takes_a_rank_over_from_the_dead_breaks_the_group() {
        let group = Collective::private(1);
        group.join(0, actor(1), nobody).unwrap();
        assert_eq!(group.join(0, actor(2), |other| other == actor(1)), Ok(true));
        assert_eq!(group.standing().unwrap().broken, Some((Rupture::Died, 0)));
    }

    #[test]
    fn who_leaves_is_missed_if_it_took_part() {
        let group = Collective::private(2);
        for _ in 0..2 {
            assert_eq!(group.join(1, actor(1), nobody), Ok(false));
            assert_eq!((group.leave(1, actor(0)), group.leave(1, actor(1))), (Ok(false), Ok(false)));
        }
        group.join(1, actor(1), nobody).unwrap();
        group.announce(1, ROUND, CALL).unwrap();
        assert_eq!(group.leave(1, actor(1)), Ok(true));
        assert_eq!(group.inspect(ROUND, nobody), Ok(false), "the other one has not joined yet");
        assert_eq!(group.inspect(ROUND.next(), nobody), Ok(true));
        assert_eq!(group.standing().unwrap().broken, Some((Rupture::Left, 1)));
        assert_eq!(group.reset(0, nobody), Ok(true));
        assert_eq!(group.inspect(Announced { generation: 2, ..ROUND }, nobody), Ok(false));
        assert_eq!(group.join(1, actor(3), nobody), Ok(false));
    }

    #[test]
    fn who_left_once_is_not_missed_in_a_generation_with_the_same_low_bits() {
        let group = Collective::private(2);
        group.join(1, actor(1), nobody).unwrap();
        group.announce(1, ROUND, CALL).unwrap();
        assert_eq!(group.leave(1, actor(1)), Ok(true));
        (0..1 << 14).for_each(|_| assert_eq!(group.reset(0, nobody), Ok(true)));
        let generation = group.standing().unwrap().generation;
        assert!(Holder::is_of(1, generation));
        assert_eq!(group.inspect(Announced { generation, ..ROUND }, nobody), Ok(false));
        assert_eq!(group.join(1, actor(2), nobody), Ok(false));
    }

    #[test]
    fn words_that_cannot_be_are_corrupt() {
        let region = region();
        let group = Collective::make(&region, 16, &BINDING).unwrap();
        let record = region.view::<CollectiveRecord>(16).unwrap();
        let bytes = Collective::bytes(&BINDING);
        for (word, value) in [
            (&record.members, 0),
            (&record.members, 3),
            (&record.members, u32::MAX),
            (&record.kind, 0xff),
            (&record.kind, 11 << 8),
            (&record.kind, 1 << 16),
            (&record.element_bytes, 0),
            (&record.element_bytes, 2),
            (&record.elements, u32::MAX),
        ] {
            let before = word.swap(value, Ordering::Relaxed);
            assert!(Collective::over(&region, 16, bytes).is_err(), "{value:#x}");
            word.store(before, Ordering::Relaxed);
        }
        record.fingerprint.store(1, Ordering::Relaxed);
        assert!(Collective::over(&region, 16, bytes).is_err());
        group.seats[1].holder.store(u64::MAX, Ordering::Relaxed);
        assert!(matches!(group.join(1, actor(0), nobody), Err(SeatError::Corrupt(_))));
        assert!(group.inspect(ROUND, nobody).is_err() && group.joined(nobody).is_err());
        assert!(group.reset(0, nobody).is_err(), "and it is broken");
        record.state.store(u64::MAX, Ordering::Relaxed);
        assert!(group.standing().is_err() && group.still(1).is_err() && group.leave(0, actor(0)).is_err());
        assert!(group.break_up(1, Rupture::Aborted, 0).is_err());
        // A call of a length that there is not, too.
        group.seats[0].called[1].store(u64::MAX, Ordering::Relaxed);
        assert!(group.call(0, ROUND).is_err());
    }
}
