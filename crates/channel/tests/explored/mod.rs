//! Small channels whose every interleaving is run on the product's own code.
//!
//! Senders send `messages` each and are done; receivers receive for ever; recoverers wait for a death and repair. The
//! oracle remembers which messages were sent, read and done with, in the same step as the access that made them so.
#![allow(dead_code, reason = "each test binary uses its part")]

mod lockers;
mod look;
mod sets;

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

pub(crate) use lockers::Locker;
use weyr_atomic::explore::{
    self, Context, Fate, Ghost, Model, Outcome, Report, Woken, checkpoint, futex_wait, futex_wake, wait_until,
};
use weyr_atomic::{AtomicU32, Ordering};
use weyr_channel::protocol::{
    Attached, Awaited, Claim, Hindrance, Host, Outgoing, ReceiveSide, SendSide, Taken,
};
use weyr_channel::{Error, PollEvents, WaitMode};
use weyr_shared::fault::{self, Fault};
use weyr_shared::{
    Actor, Awake, BlockReference, Futex, Geometry, Holder, Listener, MessageReference, Position, ReadyRow,
    Ring, SlotState, SlotWord, Table, Zeroed,
};

/// Messages that one sender can send at most.
const PER_SENDER: usize = 4;
const PROCESSES: u32 = 8;

/// One small channel and what may happen to its users.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) capacity: u32,
    /// Priority levels; those above the lowest have one slot each.
    pub(crate) levels: u32,
    /// All senders send at the lowest level; else each has one of its own, or a lonely one takes them in turn.
    pub(crate) lowest: bool,
    pub(crate) senders: usize,
    pub(crate) receivers: usize,
    pub(crate) recoverers: usize,
    pub(crate) messages: usize,
    /// Messages that wait from the start, sent by nobody of these.
    pub(crate) waiting: usize,
    /// What each of those waits for who poll, once, and then leave.
    pub(crate) pollers: &'static [PollEvents],
    /// Senders wait until each message was received.
    pub(crate) receipts: bool,
    /// Those who look at the message at the head, once.
    pub(crate) peekers: usize,
    /// Those who lock the channel, and then unlock it.
    pub(crate) lockers: &'static [Locker],
    /// What each of those waits for who wait in a set, once, and then leave.
    pub(crate) sets: &'static [PollEvents],
    /// Receivers wait in sets, each in its own.
    pub(crate) by_set: bool,
    /// How often in all the patience with somebody alive may run out.
    pub(crate) patience: u8,
    pub(crate) deaths: usize,
    pub(crate) stops: usize,
    /// Which of the two the deaths and stops may hit.
    pub(crate) senders_fall: bool,
    pub(crate) receivers_fall: bool,
    pub(crate) recoverers_fall: bool,
    pub(crate) lockers_fall: bool,
    /// Which process alone may die, and which alone may stop, where all of a kind are alike.
    pub(crate) these_fall: Option<(usize, usize)>,
    /// A sleep ends by itself when there is something to do that nobody has woken for.
    pub(crate) slices: bool,
    /// Each receiver receives so many and leaves; 0: for ever.
    pub(crate) each_receives: usize,
    /// Receivers hold leases instead of taking.
    pub(crate) lease: bool,
    /// Payload is two words, so that a torn message would be seen.
    pub(crate) torn: bool,
    /// Hints are written and looked at.
    pub(crate) hints: bool,
    pub(crate) faults: &'static [Fault],
    pub(crate) tso: bool,
    /// States after which the exploration gives up.
    pub(crate) bound: usize,
    /// In which order the ways on from each state are tried.
    pub(crate) order: u64,
    /// Schedules to be drawn instead of seeing all; 0: all are to be seen.
    pub(crate) walks: usize,
}

impl Case {
    pub(crate) const PLAIN: Self = Self {
        name: "",
        capacity: 1,
        levels: 1,
        lowest: false,
        senders: 1,
        receivers: 1,
        recoverers: 0,
        messages: 2,
        waiting: 0,
        pollers: &[],
        receipts: false,
        peekers: 0,
        lockers: &[],
        sets: &[],
        by_set: false,
        patience: 0,
        deaths: 0,
        stops: 0,
        senders_fall: false,
        receivers_fall: false,
        recoverers_fall: false,
        lockers_fall: false,
        these_fall: None,
        slices: false,
        each_receives: 0,
        lease: false,
        torn: false,
        hints: false,
        faults: &[],
        tso: false,
        bound: 8_000_000,
        order: 0,
        walks: 0,
    };

    /// Its name, and how many slots.
    fn title(&self) -> String {
        format!("{} (capacity {})", self.name, self.capacity)
    }

    fn sender_numbers(&self) -> std::ops::Range<usize> {
        0..self.senders
    }

    fn receiver_numbers(&self) -> std::ops::Range<usize> {
        self.senders..self.senders + self.receivers
    }

    fn recoverer_numbers(&self) -> std::ops::Range<usize> {
        let first = self.senders + self.receivers;
        first..first + self.recoverers
    }

    /// A lonely sender takes the levels in turn, from the highest down; several have one each, unless all have the
    /// lowest.
    fn level_of(&self, sender: usize, index: usize) -> u32 {
        if self.lowest {
            return 0;
        }
        let below = (if self.senders == 1 { index } else { sender }) as u32 % self.levels;
        self.levels - 1 - below
    }

    fn choose_faults(&self) {
        let without_hints = (!self.hints).then_some(Fault::WithoutHints);
        let faults: Vec<Fault> = self.faults.iter().copied().chain(without_hints).collect();
        fault::choose(&faults);
    }

    fn poller_numbers(&self) -> std::ops::Range<usize> {
        let first = self.recoverer_numbers().end;
        first..first + self.pollers.len()
    }

    fn locker_numbers(&self) -> std::ops::Range<usize> {
        let first = self.poller_numbers().end + self.peekers;
        first..first + self.lockers.len()
    }

    fn set_numbers(&self) -> std::ops::Range<usize> {
        let first = self.locker_numbers().end;
        first..first + self.sets.len()
    }

    /// Whether a process waits in a set.
    fn has_set(&self, process: usize) -> bool {
        self.set_numbers().contains(&process) || self.by_set && self.receiver_numbers().contains(&process)
    }

    /// Whether no sender waits for a receiver.
    fn has_room_for_all(&self) -> bool {
        self.stops == 0 && self.senders * self.messages + self.waiting <= self.capacity as usize
    }

    fn falling(&self) -> Vec<usize> {
        let of = |falls: bool, numbers: std::ops::Range<usize>| numbers.filter(move |_| falls);
        of(self.senders_fall, self.sender_numbers())
            .chain(of(self.receivers_fall, self.receiver_numbers()))
            .chain(of(self.recoverers_fall, self.recoverer_numbers()))
            .chain(of(self.lockers_fall, self.locker_numbers()))
            .collect()
    }
}

/// Of three receivers one may be killed and one stopped; nothing but the count leads to what the dead had.
pub(crate) const COUNTED: Case = Case {
    receivers: 3,
    messages: 1,
    recoverers: 1,
    deaths: 1,
    stops: 1,
    these_fall: Some((1, 2)),
    slices: true,
    faults: &[Fault::NoInspection],
    ..Case::PLAIN
};

/// What is known from outside about the messages; each has a number, and a bit in the sets.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Oracle {
    sent: u64,
    read: u64,
    done: u64,
    /// Where each message was taken for the first time.
    places: [u64; 16],
    /// How often patience may still run out.
    patience: u8,
    barred: lockers::Barred,
}

/// The world of a case.
pub(crate) struct World {
    ring: Ring,
    /// Where each process is told what it listens to.
    rows: Table<ReadyRow>,
    oracle: Ghost<Oracle>,
    case: Case,
}

fn message_number(sender: usize, index: usize) -> u64 {
    (sender * PER_SENDER + index) as u64
}

const fn bit(number: u64) -> u64 {
    1 << number
}

/// Which access the next use of the futex follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Other,
    /// A message was filled in: the next thing is its publish.
    Published(u64),
    /// A message was read: the next thing is its release.
    Released(u64),
}

/// The pool as one process of the model has it.
struct ModelHost<'w> {
    world: &'w World,
    process: usize,
    futex: ModelFutex<'w>,
    pool: sets::ModelPool<'w>,
    phase: Cell<Phase>,
    /// How far the program is: what the process remembers besides what the waiter does.
    progress: Cell<u64>,
    remembered: Cell<u128>,
    /// What the process's set remembers, when the process is not in it.
    beside: Cell<u64>,
    /// In the wait of a set, which says by itself what the process remembers.
    in_set: Cell<bool>,
}

/// Sleeps by the explorer; its wakes are the explorer's choice.
#[derive(Clone)]
struct ModelFutex<'w> {
    world: &'w World,
    process: usize,
    /// Where the handle stood before the last try.
    place: Cell<u64>,
}

impl Futex for ModelFutex<'_> {
    fn wait(&self, word: &AtomicU32, expected: u32, _time: Duration) -> Awake {
        let woken = if self.world.case.slices {
            explore::futex_wait_timed(word, expected)
        } else {
            futex_wait(word, expected)
        };
        match woken {
            Woken::ByWaker => Awake::Woken,
            Woken::ValueDiffered => Awake::Changed,
            Woken::TimedOut => {
                self.world.wait_for_something_to_do(self.process, Position::from_bits(self.place.get()));
                Awake::TimedOut
            }
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        futex_wake(word, count)
    }

    fn tell(&self, listener: Listener) {
        self.world.rows[usize::from(listener.process())].tell(listener.registration(), self);
    }

    fn tell_after_death(&self, listener: Listener) {
        self.world.rows[usize::from(listener.process())].tell_after_death(listener.registration(), self);
    }
}

impl World {
    fn new(case: Case) -> Self {
        let geometry = Geometry {
            capacity: case.capacity,
            processes: PROCESSES,
            levels: case.levels,
            urgent: u32::from(case.levels > 1),
            ..Geometry::PLAIN
        };
        let oracle = Oracle {
            sent: 0,
            read: 0,
            done: 0,
            places: [u64::MAX; 16],
            patience: case.patience,
            barred: Default::default(),
        };
        let rows = Table::from_vec((0..PROCESSES).map(|_| ReadyRow::zeroed()).collect());
        let ring = Ring::private(&geometry).unwrap();
        let sent = (0..case.waiting).map(|index| put(&ring, index, message_number(case.senders, index)));
        let oracle = Oracle { sent: sent.sum(), ..oracle };
        Self { ring, rows, oracle: Ghost::new(oracle), case }
    }

    fn words(&self) -> Vec<SlotWord> {
        (0..self.ring.slot_count()).map(|index| self.ring.load(index).unwrap()).collect()
    }

    /// In one step with a publish: messages that wait, are written or are in somebody's hands.
    fn assert_within_capacity(&self) {
        if self.case.levels > 1 {
            let is_message = |word: &SlotWord| {
                !matches!(word.state, SlotState::Empty | SlotState::Revoked | SlotState::Reserved)
            };
            let messages = explore::ghost(|| self.words().iter().filter(|word| is_message(word)).count());
            assert!(messages <= self.case.capacity as usize, "{messages} messages at once");
        }
    }

    /// The end of a slice matters only where a try could do something; elsewhere it is a turn on the spot.
    fn wait_for_something_to_do(&self, process: usize, place: Position) {
        if self.case.has_set(process) {
            return sets::wait_for_something_to_find(self, process);
        }
        let sends = self.case.sender_numbers().contains(&process);
        self.assert_gets_on(process);
        wait_until("the end of a slice", || {
            let locks = self.case.locker_numbers().contains(&process);
            if locks || self.is_lock_of_the_dead() {
                let dead = self.is_lock_of_the_dead() || self.words().into_iter().any(holder_is_dead);
                return dead || locks && self.is_free_for(process);
            }
            if self.case.levels > 1 {
                // Its places are one number, and there is more room in the slots than in the channel.
                self.words().iter().any(|word| sends || word.state != SlotState::Empty)
            } else if sends {
                self.can_send_at(place)
            } else {
                self.can_receive_at(place) || self.can_inspect()
            }
        });
    }

    fn can_send_at(&self, place: Position) -> bool {
        let word = self.ring.load(place.index()).unwrap();
        let at_once = word.state == SlotState::Leased || word.state.is_returned();
        let passable = word.state.may_be_passed() && (at_once || self.case.patience > 0);
        match word.lap.after(place.lap()) {
            0 => !word.state.may_be_passed() || passable || holder_is_dead(word),
            ahead => ahead > 0 || holder_is_dead(word),
        }
    }

    fn can_receive_at(&self, place: Position) -> bool {
        let header = self.ring.header();
        let counted = self.case.deaths > 0
            && header.returned_made.load(Ordering::SeqCst) != header.returned_seen.load(Ordering::SeqCst);
        let word = self.ring.load(place.index()).unwrap();
        let slow = word.state == SlotState::Filling && self.case.patience > 0;
        let here = word.state == SlotState::Full || slow || holder_is_dead(word);
        counted || word.lap.after(place.lap()) > 0 || here
    }

    fn can_inspect(&self) -> bool {
        let inspects = !self.case.faults.contains(&Fault::NoInspection);
        inspects && self.words().into_iter().any(|word| word.state.is_returned() || holder_is_dead(word))
    }

    fn repair(&self, process: usize, futex: &ModelFutex<'_>) {
        self.ring.repair(actor(process), || true, |_| true, futex).unwrap();
    }
}

/// Makes a message wait that nobody sends; its bit.
fn put(ring: &Ring, index: usize, number: u64) -> u64 {
    let (index, block) = (index as u32, BlockReference { offset: number, generation: number });
    ring.write_reference(index, 0, &MessageReference { block, view_offset: 0, view_len: 0 }).unwrap();
    let empty = ring.load(index).unwrap();
    assert!(ring.publish(index, empty, empty.becomes(SlotState::Full)).unwrap());
    bit(number)
}

fn holder_is_dead(word: SlotWord) -> bool {
    word.state.names_holder() && explore::is_dead(word.holder.process.into())
}

fn actor(process: usize) -> Actor {
    Actor { process: process as u16, epoch: 1 }
}

impl<'w> ModelHost<'w> {
    fn new(world: &'w World, process: usize) -> Self {
        world.case.choose_faults();
        let futex = ModelFutex { world, process, place: Cell::new(0) };
        Self {
            world,
            process,
            pool: sets::ModelPool::new(futex.clone()),
            futex,
            phase: Cell::new(Phase::Other),
            progress: Cell::new(0),
            remembered: Cell::new(0),
            beside: Cell::new(0),
            in_set: Cell::new(false),
        }
    }

    fn attached(self) -> Attached<Self> {
        let (ring, actor) = (self.world.ring.clone(), actor(self.process));
        Attached::for_model(ring, self, actor)
    }

    /// From here on the process remembers nothing but what is hashed here.
    fn merge_states(&self, step: u32) {
        if self.in_set.get() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (self.progress.get(), self.remembered.get(), self.beside.get(), step).hash(&mut hasher);
        checkpoint(hasher.finish());
    }

    fn merge_states_behind_take(&self, side: &ReceiveSide, taken: &Taken) {
        let mut hasher = DefaultHasher::new();
        (side.position(), taken.place().bits(), taken.is_redelivered()).hash(&mut hasher);
        self.remembered.set(hasher.finish().into());
        self.merge_states(4);
    }

    /// The same behind a claim: of the wait nothing counts any more but whether it was woken.
    fn merge_states_behind_claim(&self, ring: &Ring, index: u32) {
        let word = explore::ghost(|| ring.load(index).unwrap().bits());
        let mut hasher = DefaultHasher::new();
        (index, word, self.remembered.get() & 1).hash(&mut hasher);
        self.remembered.set(u128::from(hasher.finish()) << 64 | self.remembered.get() & 1);
        self.merge_states(2);
    }
}

impl<'w> Host for ModelHost<'w> {
    type Block = BlockReference;
    type Futex = ModelFutex<'w>;

    /// The product asks for the futex right after a publish or release that succeeded, in the same step.
    fn futex(&self) -> &ModelFutex<'w> {
        match self.phase.replace(Phase::Other) {
            Phase::Other => {}
            Phase::Published(number) => {
                self.world.assert_within_capacity();
                self.world.assert_may_send();
                self.world.oracle.update(|oracle| oracle.sent |= bit(number));
                self.merge_states(3);
            }
            Phase::Released(number) => {
                self.world.assert_may_receive();
                self.world.oracle.update(|oracle| {
                    assert_eq!(oracle.done & bit(number), 0, "message {number} was finished twice");
                    oracle.done |= bit(number);
                });
                self.merge_states(5);
            }
        }
        &self.futex
    }

    fn nonce(&self) -> u64 {
        1
    }

    fn me(&self) -> Result<Actor, Error> {
        Ok(actor(self.process))
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    /// With the dead it is over; with the living when the model chooses so.
    fn is_patience_over(&self, _: &Hindrance, word: SlotWord, _: Duration) -> bool {
        let holder = usize::from(word.holder.process);
        if word.state.names_holder() && explore::ghost(|| explore::is_dead(holder)) {
            return true;
        }
        self.world.oracle.read(|oracle| oracle.patience > 0) && explore::choose(2) == 1 && {
            self.world.oracle.update(|oracle| match oracle.patience.checked_sub(1) {
                Some(less) => {
                    oracle.patience = less;
                    true
                }
                None => false,
            })
        }
    }

    fn before_try(&self, remembered: u128) {
        self.remembered.set(remembered);
        self.futex.place.set((remembered >> 64) as u64);
        self.merge_states(0);
    }

    fn at_step(&self, step: u32) {
        self.merge_states(step);
    }

    fn is_dead(&self, holder: Holder) -> bool {
        explore::is_dead(holder.process.into())
    }

    fn recover(&self, process: u16) {
        self.world.repair(process.into(), &self.futex);
    }

    fn check_channel(&self, _: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn free_channel(&self, _: BlockReference) {}

    fn in_flight(&self, _: BlockReference) -> bool {
        true
    }

    fn begin_transfer(&self, _: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn revert_transfer(&self, _: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn take_transfer(&self, message: &MessageReference) -> Result<BlockReference, Error> {
        Ok(message.block)
    }
}

/// Two words, written one after the other, so that torn messages are seen.
struct Numbered(u64);

impl Outgoing<ModelHost<'_>> for Numbered {
    fn fill(&self, host: &ModelHost<'_>, ring: &Ring, claim: Claim) -> Result<(), Error> {
        host.merge_states_behind_claim(ring, claim.index());
        let block = BlockReference { offset: self.0, generation: self.0 };
        ring.write_reference(
            claim.index(),
            claim.sender(),
            &MessageReference { block, view_offset: 0, view_len: 0 },
        )?;
        host.phase.set(Phase::Published(self.0));
        Ok(())
    }

    fn take_back(&self, host: &ModelHost<'_>) -> Result<(), Error> {
        host.phase.set(Phase::Other);
        Ok(())
    }

    fn bytes_copied(&self) -> u64 {
        0
    }
}

fn send_all(world: &World, context: &Context) {
    let channel = ModelHost::new(world, context.process()).attached();
    let sides: Vec<SendSide> = (0..world.case.levels).map(SendSide::at_level).collect();
    for index in 0..world.case.messages {
        let side = &sides[world.case.level_of(context.process(), index) as usize];
        channel.host().progress.set(index as u64);
        let message = Numbered(message_number(context.process(), index));
        if world.case.receipts {
            send_and_wait(world, &channel, side, &message);
        } else {
            channel.send_until(side, &message, WaitMode::Idle, None).unwrap();
        }
    }
}

fn send_and_wait(world: &World, channel: &Attached<ModelHost<'_>>, side: &SendSide, message: &Numbered) {
    let awaited = Awaited::new(message);
    channel.send_until(side, &awaited, WaitMode::Idle, None).unwrap();
    let sent = awaited.sent().unwrap();
    // What is still to be waited for is another state than what is still to be sent.
    channel.host().progress.set(channel.host().progress.get() | 1 << 32);
    channel.await_receipt(&sent, WaitMode::Idle, None).unwrap();
    let done = world.oracle.read(|oracle| oracle.done);
    assert_ne!(done & bit(message.0), 0, "message {} was said to be received, and was not", message.0);
}

fn receive_all(world: &World, context: &Context) {
    let channel = sets::Member(Rc::new(ModelHost::new(world, context.process()).attached()));
    let side = ReceiveSide::default();
    let mut set = world.case.by_set.then(|| sets::set_of(&channel, PollEvents::IN));
    let state = if world.case.lease { SlotState::Leased } else { SlotState::Taking };
    let mut received = 0;
    while world.case.each_receives == 0 || received < world.case.each_receives {
        if world.case.each_receives > 0 {
            channel.0.host().progress.set(received as u64);
        }
        let taken = match &mut set {
            Some(set) => sets::take_in_set(&channel, set, &side, state),
            None => channel.0.take_until(&side, state, WaitMode::Idle, None).unwrap(),
        };
        let channel = &channel.0;
        channel.host().merge_states_behind_take(&side, &taken);
        let number = read(world, channel, &taken);
        channel.host().remembered.set(u128::from(side.position()));
        channel.host().phase.set(Phase::Released(number));
        channel.release(taken).unwrap();
        received += 1;
    }
}

/// Reads a message and judges it.
fn read(world: &World, channel: &Attached<ModelHost<'_>>, taken: &Taken) -> u64 {
    world.assert_may_receive();
    let block = channel.reference(taken).unwrap().block;
    if world.case.torn {
        assert_eq!(block.offset, block.generation, "the payload was torn or replaced under the reader");
    }
    let number = block.offset;
    let place = taken.place().bits();
    let again = taken.is_redelivered();
    world.oracle.update(|oracle| {
        assert_ne!(oracle.sent & bit(number), 0, "message {number} was received and never sent");
        if !again {
            assert_eq!(oracle.read & bit(number), 0, "message {number} was delivered twice without mark");
            oracle.places[number as usize] = place;
            assert_in_order(world, oracle, number as usize);
        }
        oracle.read |= bit(number);
    });
    number
}

/// The messages of one sender to one level were taken at places that follow each other.
fn assert_in_order(world: &World, oracle: &Oracle, number: usize) {
    let first = number / PER_SENDER * PER_SENDER;
    let level = |number: usize| world.case.level_of(number / PER_SENDER, number % PER_SENDER);
    let known = |other: &usize| oracle.places[*other] != u64::MAX && level(*other) == level(number);
    let before = (first..number).filter(known).all(|other| oracle.places[other] < oracle.places[number]);
    let after = (number + 1..first + PER_SENDER).filter(known);
    let after = after.into_iter().all(|other| oracle.places[other] > oracle.places[number]);
    assert!(before && after, "the messages of one sender are out of order");
}

/// Repairs what the first one to die left, then what the second did.
fn recover_all(world: &World, context: &Context) {
    let host = ModelHost::new(world, context.process());
    let mut repaired = 0_u64;
    loop {
        host.progress.set(repaired);
        host.merge_states(0);
        let users = (0..world.case.senders + world.case.receivers).chain(world.case.locker_numbers());
        let unrepaired: Vec<usize> = users.filter(|&user| repaired & bit(user as u64) == 0).collect();
        wait_until("a death", || unrepaired.iter().any(|&user| explore::is_dead(user)));
        for user in unrepaired {
            if explore::is_dead(user) {
                world.repair(user, &host.futex);
                repaired |= bit(user as u64);
            }
        }
    }
}

fn name_words(world: &World, regions: &mut explore::Regions) {
    let header = world.ring.header();
    if world.case.deaths > 0 || !world.case.lockers.is_empty() {
        // Else nobody changes them, and looking at them is no step.
        regions.add(&header.returned_made, "made").add(&header.returned_seen, "seen");
    }
    if world.case.hints {
        regions.add(&header.tail, "tail").add(&header.head, "head");
        for number in 1..world.case.levels {
            let level = world.ring.level(number).unwrap();
            regions.add(level.tail(), format!("tail{number}")).add(level.head(), format!("head{number}"));
        }
    }
    regions.add(&header.to_receivers, "to_receivers").add(&header.to_senders, "to_senders");
    if !world.case.lockers.is_empty() {
        regions.add(&header.state, "state").add(&header.lock, "lock").add(&header.read_lock, "read_lock");
    }
    if !world.case.pollers.is_empty() || !world.case.lockers.is_empty() || world.case.receipts {
        regions.add(&header.to_pollers, "to_pollers");
    }
    let listening = (0..PROCESSES as usize).filter(|process| world.case.has_set(*process));
    for (entry, process) in listening.enumerate() {
        regions.add(world.ring.listener_word(entry).unwrap(), format!("listener{entry}"));
        let row = &world.rows[process];
        regions.add(&row.event, format!("row{process}")).add(&row.ready[0], format!("ready{process}"));
    }
    for index in 0..world.ring.slot_count() {
        let slot = world.ring.slot(index).unwrap();
        regions.add(&slot.word, format!("slot{index}")).add(&slot.offset, format!("payload{index}"));
        let told_apart = world.case.receipts && world.case.walks > 0;
        if world.case.torn || told_apart {
            regions.add(&slot.generation, format!("payload{index}'"));
        }
        if told_apart {
            // Elsewhere no case takes long enough to need it.
            regions.add(&slot.description, format!("description{index}"));
            regions
                .add(&slot.view_offset, format!("view{index}"))
                .add(&slot.view_len, format!("view{index}'"));
        }
    }
}

/// A message that waits although a later one of its sender was received.
fn overtaken(world: &World, oracle: &Oracle, words: &[SlotWord]) -> Option<u64> {
    let waiting = (0..).zip(words).filter(|(_, word)| word.state == SlotState::Full);
    let mut numbers = waiting.map(|(index, _)| world.ring.reference(index).unwrap().block.offset);
    numbers.find(|&number| {
        let end = (number / PER_SENDER as u64 + 1) * PER_SENDER as u64;
        (number + 1..end).any(|later| oracle.read & bit(later) != 0)
    })
}

/// Whether everything is as it should be when nobody can go on.
fn judge(world: &World, outcome: &Outcome) -> Result<(), String> {
    let (case, oracle, words) = (&world.case, world.oracle.get(), world.words());
    look::judge_pollers(world, outcome, &words)?;
    sets::judge(world, outcome, &words)?;
    lockers::judge(world, outcome)?;
    if world.rests_for_ever() {
        return Ok(());
    }
    let is = |process: usize, fate: &Fate| outcome.fates[process] == *fate;
    let alive = |process: usize| !is(process, &Fate::Dead) && !is(process, &Fate::Stopped);
    if let Some(number) = overtaken(world, &oracle, &words) {
        return Err(format!("message {number} was overtaken: {outcome}; {words:?}; {oracle:?}"));
    }
    let describe = |what: &str| Err(format!("{what}: {outcome}; {words:?}; {oracle:?}"));
    let sends_on = case.sender_numbers().any(|sender| alive(sender) && !is(sender, &Fate::Finished));
    if sends_on && !case.lockers.is_empty() && case.has_room_for_all() {
        return describe("a sender waits for ever");
    }
    let receiving = |process: usize| alive(process) && !is(process, &Fate::Finished);
    if !case.receiver_numbers().any(receiving) && case.each_receives == 0 {
        return Ok(());
    }
    let stopped =
        |word: &SlotWord| word.state.names_holder() && is(word.holder.process.into(), &Fate::Stopped);
    let out_of_patience = case.patience > 0 && oracle.patience == 0;
    if words.iter().all(stopped) || case.stops > 0 && out_of_patience {
        return Ok(());
    }
    if sends_on {
        return describe("a sender waits for ever");
    }
    if case.each_receives > 0 {
        let enough = oracle.sent.count_ones() as usize >= case.receivers * case.each_receives;
        let waits = |receiver| alive(receiver) && !is(receiver, &Fate::Finished);
        let others_fall = case.senders_fall || case.receivers_fall || case.recoverers_fall;
        let stuck = enough && !others_fall && case.receiver_numbers().any(waits);
        return if stuck { describe("a receiver waits for ever") } else { Ok(()) };
    }
    let held = (0..world.ring.slot_count()).filter(|index| stopped(&words[*index as usize]));
    let held = held.fold(0, |held, index| held | bit(world.ring.reference(index).unwrap().block.offset));
    if oracle.sent & !oracle.done & !held != 0 { describe("a message was lost") } else { Ok(()) }
}

/// Whether the full forms are to run.
pub(crate) fn full() -> bool {
    std::env::var("WEYR_MODEL").is_ok_and(|form| form == "full")
}

/// States after which the exploration of a large case ends, complete or not.
fn most() -> usize {
    if full() { 4_000_000 } else { 150_000 }
}

/// In how many orders else a case is explored that was too large.
const OTHER_ORDERS: u64 = 2;

/// Explores a case that may be too large to be seen whole, as far as the form says: what was seen must hold. Where the
/// bound is reached, smaller explorations in other orders see something of what lies elsewhere.
pub(crate) fn explore_so_far(case: Case) {
    for order in 0..=OTHER_ORDERS {
        let bound = if order == 0 { most() } else { most() / 8 };
        let report = explore(Case { bound, order, ..case });
        assert!(report.violation.is_none() && report.error.is_none(), "{report}");
        if report.complete {
            return;
        }
        assert_eq!(report.states, bound, "{report}");
    }
}

/// Explores a case in which something must be found, in one order after the other.
pub(crate) fn found(case: Case, message: &str) {
    first_found(case).assert_violated(message);
}

/// The same, where the order decides which of several things shows first.
pub(crate) fn found_as_one_of(case: Case, messages: &[&str]) {
    let report = first_found(case);
    let violation = report.violation.as_ref().map_or("", |violation| &violation.message);
    let shows = messages.iter().find(|message| violation.contains(**message));
    report.assert_violated(shows.copied().unwrap_or(messages[0]));
}

fn first_found(case: Case) -> Report {
    let mut reports = (0..64).map(|order| explore(Case { order, bound: 1 << 17, ..case }));
    let ended = |report: &Report| report.violation.is_some() || report.complete || report.error.is_some();
    reports.find(ended).expect("something is found, in some order")
}

/// Explores a case.
pub(crate) fn explore(case: Case) -> Report {
    let mut model = Model::new(case.title()).memory(move || World::new(case));
    for _ in case.sender_numbers() {
        model = model.process(send_all);
    }
    for _ in case.receiver_numbers() {
        model = model.process(receive_all);
    }
    for _ in case.recoverer_numbers() {
        model = model.process(recover_all);
    }
    for _ in case.poller_numbers() {
        model = model.process(look::poll_once);
    }
    for _ in 0..case.peekers {
        model = model.process(look::peek_once);
    }
    for _ in case.locker_numbers() {
        model = model.process(lockers::lock_once);
    }
    for _ in case.set_numbers() {
        model = model.process(sets::wait_once);
    }
    let (one_dies, one_stops) = case.these_fall.unzip();
    let fall = |count: usize, one: Option<usize>| match (count, one) {
        (0, _) => Vec::new(),
        (_, Some(one)) => vec![one],
        _ => case.falling(),
    };
    let (deadly, stopping) = (fall(case.deaths, one_dies), fall(case.stops, one_stops));
    let model = model.may_die(deadly).deaths(case.deaths).may_stop(stopping).stops(case.stops);
    let model =
        model.regions(name_words).private_elsewhere().tso(case.tso).max_states(case.bound).order(case.order);
    let model = if case.walks > 0 { model.walks(case.walks, seed()) } else { model };
    let report = model.at_end(judge).run();
    eprintln_report(&report);
    report
}

/// What schedules are drawn by.
fn seed() -> u64 {
    std::env::var("WEYR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

#[allow(clippy::print_stderr, reason = "the number of states belongs into the log of a test")]
fn eprintln_report(report: &Report) {
    eprintln!("{report}");
}
