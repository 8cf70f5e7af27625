//! Blocks that change owner, with the pool's words of them, in every interleaving and with deaths.
//!
//! Each block has one word, `generation | state | process`, as in the pool. A sender gives its block away, a receiver
//! owns what it took until it ends; whoever is dead is recovered as the pool does it: the channels first, then a sweep
//! of the blocks that the dead owned, or had on their way without a message that refers to them.
#![cfg(weyr_face = "explore")]

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use weyr_atomic::explore::{
    self, Context, Fate, Ghost, Model, Outcome, Regions, Report, Woken, checkpoint, futex_wait, futex_wake,
    wait_until,
};
use weyr_atomic::{AtomicU32, AtomicU64, Ordering};
use weyr_channel::protocol::{Attached, Hindrance, Host, ReceiveSide, SendSide, Transfer};
use weyr_channel::{Error, WaitMode};
use weyr_shared::fault::{self, Fault};
use weyr_shared::{
    Actor, Awake, BlockReference, Futex, Geometry, Holder, MessageReference, Ring, SlotState, SlotWord,
};

const FREE: u64 = 0;
const OWNED: u64 = 1;
const IN_FLIGHT: u64 = 2;

/// A block's word.
const fn block_word(state: u64, process: usize) -> u64 {
    state << 8 | process as u64
}

/// What a case has.
#[derive(Debug, Clone)]
struct Case {
    name: &'static str,
    /// Rings, through which a block goes one after the other.
    rings: usize,
    capacity: u32,
    receivers: usize,
    recoverers: usize,
    deaths: usize,
    patience: u8,
    /// Which users may die.
    dying: Range<usize>,
    mistake: Option<Mistake>,
    /// Who removes messages without their block, which there are none of.
    repairers: usize,
    /// The first receiver sends the block again, through the same ring.
    again: bool,
}

/// What a variant that must fail does wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// A receiver empties the slot before it takes the block.
    ReleaseBeforeTake,
    /// A repair gives every message back, also one that was taken.
    EverythingReturned,
    /// The blocks are swept before the channels are repaired and looked through.
    SweepWithoutChannels,
    /// Who repairs asks for the block before it looks at the slot that it empties.
    LostBeforeSlot,
    /// Who repairs asks which senders are gone behind its look at the messages.
    GoneBehindMessages,
}

const BASE: Case = Case {
    name: "",
    rings: 1,
    capacity: 1,
    receivers: 1,
    recoverers: 1,
    deaths: 1,
    patience: 0,
    dying: 0..8,
    mistake: None,
    repairers: 0,
    again: false,
};

struct World {
    rings: Vec<Ring>,
    /// The one block that is sent.
    block: AtomicU64,
    patience: Ghost<u8>,
    /// How often somebody became its owner by a message.
    taken: Ghost<u8>,
    case: Case,
}

struct ModelHost<'w> {
    world: &'w World,
    process: usize,
    /// Which of the program's operations is on.
    operation: usize,
    remembered: Cell<u128>,
}

impl<'w> ModelHost<'w> {
    fn new(world: &'w World, process: usize, operation: usize) -> Self {
        Self { world, process, operation, remembered: Cell::new(0) }
    }

    fn merge_states(&self, step: u32) {
        let mut hasher = DefaultHasher::new();
        (self.operation, self.remembered.get(), step).hash(&mut hasher);
        checkpoint(hasher.finish());
    }
}

impl Futex for ModelHost<'_> {
    fn wait(&self, word: &AtomicU32, expected: u32, _time: Duration) -> Awake {
        match futex_wait(word, expected) {
            Woken::ByWaker => Awake::Woken,
            _ => Awake::Changed,
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        futex_wake(word, count)
    }
}

fn actor(process: usize) -> Actor {
    Actor { process: process as u16, epoch: 1 }
}

impl World {
    fn new(case: Case) -> Self {
        let geometry = Geometry { capacity: case.capacity, processes: 8, ..Geometry::PLAIN };
        let rings: Vec<Ring> = (0..case.rings).map(|_| Ring::private(&geometry).unwrap()).collect();
        for ring in &rings {
            // All messages are references, so that looking at what they are is no step.
            (0..case.capacity).for_each(|index| ring.write_reference(index, 0, &message().0).unwrap());
        }
        let block = AtomicU64::new(block_word(OWNED, 0));
        Self { rings, block, patience: Ghost::new(case.patience), taken: Ghost::new(0), case }
    }

    fn exchange(&self, from: u64, to: u64) -> Result<(), Error> {
        let exchanged = self.block.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        exchanged.map(|_| ()).map_err(|_| Error::Stale)
    }

    fn is_in_flight(&self) -> bool {
        self.block.load(Ordering::Acquire) >> 8 == IN_FLIGHT
    }

    /// Recovery of a dead process by the pool.
    fn recover(&self, process: usize, host: &ModelHost<'_>) {
        let returned_anyway = self.case.mistake == Some(Mistake::EverythingReturned);
        for (number, ring) in self.rings.iter().enumerate() {
            let in_flight = |_| returned_anyway || self.is_in_flight();
            ring.repair(actor(process), || true, in_flight, host).unwrap();
            host.merge_states(10 + number as u32);
        }
        let referred = self.rings.iter().flat_map(Ring::references).map(offset_of).any(|offset| offset == 0);
        let referred = referred && self.case.mistake != Some(Mistake::SweepWithoutChannels);
        host.merge_states(20 + u32::from(referred));
        let word = self.block.load(Ordering::Acquire);
        let lost = word == block_word(IN_FLIGHT, process) && !referred;
        if word == block_word(OWNED, process) || lost {
            let _ = self.exchange(word, block_word(FREE, 0));
        }
    }
}

fn offset_of(found: Result<(SlotWord, BlockReference), weyr_shared::Corrupt>) -> u64 {
    found.unwrap().1.offset
}

impl<'w> Host for ModelHost<'w> {
    type Block = ();
    type Futex = Self;

    fn futex(&self) -> &Self {
        self
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

    fn is_patience_over(&self, _: &Hindrance, word: SlotWord, _: Duration) -> bool {
        let holder = usize::from(word.holder.process);
        if word.state.names_holder() && explore::ghost(|| explore::is_dead(holder)) {
            return true;
        }
        self.world.patience.read(|patience| *patience > 0)
            && explore::choose(2) == 1
            && self.world.patience.update(|patience| {
                let had = *patience > 0;
                *patience = patience.saturating_sub(1);
                had
            })
    }

    fn before_try(&self, remembered: u128) {
        self.remembered.set(remembered);
        self.merge_states(1);
    }

    fn at_step(&self, step: u32) {
        self.merge_states(step + 1);
    }

    fn is_dead(&self, holder: Holder) -> bool {
        explore::is_dead(holder.process.into())
    }

    fn recover(&self, process: u16) {
        self.world.recover(process.into(), self);
    }

    fn check_channel(&self, _: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn free_channel(&self, _: BlockReference) {}

    fn in_flight(&self, _: BlockReference) -> bool {
        self.world.is_in_flight()
    }

    fn begin_transfer(&self, _: BlockReference) -> Result<(), Error> {
        self.world.exchange(block_word(OWNED, self.process), block_word(IN_FLIGHT, self.process))
    }

    fn revert_transfer(&self, _: BlockReference) -> Result<(), Error> {
        self.world.exchange(block_word(IN_FLIGHT, self.process), block_word(OWNED, self.process))
    }

    fn take_transfer(&self, _: &MessageReference) -> Result<(), Error> {
        let word = self.world.block.load(Ordering::Acquire);
        if word >> 8 != IN_FLIGHT {
            return Err(Error::Stale);
        }
        self.world.exchange(word, block_word(OWNED, self.process))?;
        self.world.taken.update(|taken| *taken += 1);
        Ok(())
    }
}

fn attached(world: &World, process: usize, ring: usize) -> Attached<ModelHost<'_>> {
    attached_for(world, process, ring, ring)
}

/// A handle for the program's operation of this number.
fn attached_for(world: &World, process: usize, ring: usize, operation: usize) -> Attached<ModelHost<'_>> {
    choose_faults(world);
    Attached::for_model(world.rings[ring].clone(), ModelHost::new(world, process, operation), actor(process))
}

fn choose_faults(world: &World) {
    match world.case.mistake {
        Some(Mistake::LostBeforeSlot) => fault::choose(&[Fault::WithoutHints, Fault::LostBeforeSlot]),
        _ => fault::choose(&[Fault::WithoutHints]),
    }
}

/// Removes messages without their block, once.
fn repair(world: &World, context: &Context) {
    choose_faults(world);
    let host = ModelHost::new(world, context.process(), 0);
    for ring in &world.rings {
        let removed = ring.remove_lost(actor(context.process()).into(), |_| !world.is_in_flight(), &host);
        assert_eq!(removed, Ok(0), "a message was removed that has its block");
    }
    if world.case.deaths > 0 {
        take_in_lost_block(world);
    }
}

/// What the pool's repair does with a block in flight that no message has, if its sender is gone.
fn take_in_lost_block(world: &World) {
    let gone =
        || -> Vec<usize> { (0..1 + world.case.receivers).filter(|&user| explore::is_dead(user)).collect() };
    let before = gone();
    let referred = world.rings.iter().flat_map(Ring::references).map(offset_of).any(|offset| offset == 0);
    let gone = if world.case.mistake == Some(Mistake::GoneBehindMessages) { gone() } else { before };
    let word = world.block.load(Ordering::Acquire);
    if !referred && gone.iter().any(|&sender| word == block_word(IN_FLIGHT, sender)) {
        let _by_who_recovers = world.exchange(word, block_word(FREE, 0));
    }
}

fn message() -> Transfer {
    let block = BlockReference { offset: 0, generation: 1 };
    Transfer(MessageReference { block, view_offset: 0, view_len: 0 })
}

fn send(world: &World, context: &Context) {
    let channel = attached(world, context.process(), 0);
    channel.send_until(&SendSide::default(), &message(), WaitMode::Idle, None).unwrap();
}

/// Takes the block; through the second ring, if there is one, gives it to the last receiver.
fn receive(world: &World, context: &Context) {
    let last = context.process() == world.case.receivers;
    let ring = if last { world.case.rings - 1 } else { 0 };
    let channel = attached(world, context.process(), ring);
    let taken = channel.take_until(&ReceiveSide::default(), SlotState::Taking, WaitMode::Idle, None).unwrap();
    if world.case.mistake == Some(Mistake::ReleaseBeforeTake) {
        channel.release(taken).unwrap();
        let _ = channel.take_block(&taken);
    } else {
        channel.take_block(&taken).unwrap();
        channel.release(taken).unwrap();
    }
    let again = world.case.again && context.process() == 1;
    if world.case.rings > 1 && !last || again {
        drop(channel);
        let next = attached_for(world, context.process(), usize::from(!again), 1);
        next.send_until(&SendSide::default(), &message(), WaitMode::Idle, None).unwrap();
    }
}

/// Recovers whoever dies, for ever.
fn recover(world: &World, context: &Context) {
    let mut host = ModelHost::new(world, context.process(), 0);
    let mut recovered = 0_u64;
    loop {
        checkpoint(recovered);
        let others: Vec<usize> =
            (0..1 + world.case.receivers).filter(|user| recovered >> user & 1 == 0).collect();
        wait_until("a death", || others.iter().any(|&user| explore::is_dead(user)));
        for user in others {
            if explore::is_dead(user) {
                host.operation = user << 8 | recovered as usize;
                world.recover(user, &host);
                recovered |= 1 << user;
            }
        }
    }
}

fn judge(world: &World, outcome: &Outcome) -> Result<(), String> {
    let word = world.block.load(Ordering::Relaxed);
    let (state, owner) = (word >> 8, (word & 0xff) as usize);
    let referred: Vec<u64> = world.rings.iter().flat_map(Ring::references).map(offset_of).collect();
    let describe = |what: &str| Err(format!("{what}: block {word:#x}, referred {referred:?}, {outcome}"));
    let deaths = outcome.fates.iter().filter(|fate| **fate == Fate::Dead).count();
    let recovered = (1 + world.case.receivers..outcome.fates.len()).any(|number| !outcome.dead(number));
    if referred.len() > 1 {
        return describe("two messages have one block");
    }
    match state {
        FREE if deaths == 0 => describe("freed although nobody died"),
        FREE if !referred.is_empty() => describe("a message has a block that was freed"),
        OWNED if !referred.is_empty() => describe("a message has a block that somebody owns"),
        OWNED if outcome.dead(owner) && recovered => describe("a dead process owns the block"),
        IN_FLIGHT if referred.is_empty() && recovered => describe("on its way in no message"),
        IN_FLIGHT if outcome.anybody_blocked() && deaths == 0 => {
            describe("on its way while its receiver sleeps")
        }
        _ => Ok(()),
    }
}

fn name_words(world: &World, regions: &mut Regions) {
    regions.add(&world.block, "block");
    for (number, ring) in world.rings.iter().enumerate() {
        let header = ring.header();
        regions.add(&header.returned_made, format!("made of {number}"));
        regions.add(&header.returned_seen, format!("seen of {number}"));
        regions.add(&header.to_receivers, format!("to_receivers of {number}"));
        regions.add(&header.to_senders, format!("to_senders of {number}"));
        for index in 0..world.case.capacity {
            let slot = ring.slot(index).unwrap();
            regions.add(&slot.word, format!("slot {index} of {number}"));
        }
    }
}

fn explore(case: Case) -> Report {
    let world = case.clone();
    let mut model = Model::new(case.name).memory(move || World::new(world)).process(send);
    for _ in 0..case.receivers {
        model = model.process(receive);
    }
    for _ in 0..case.recoverers {
        model = model.process(recover);
    }
    for _ in 0..case.repairers {
        model = model.process(repair);
    }
    let everybody = 1 + case.receivers + case.recoverers.saturating_sub(1);
    let dying = case.dying.start..case.dying.end.min(everybody);
    let model = model.may_die(dying).deaths(case.deaths).regions(name_words).private_elsewhere();
    let report = model.max_states(10_000_000).at_end(judge).run();
    log(&report);
    report
}

#[allow(clippy::print_stderr, reason = "the number of states belongs into the log of a test")]
fn log(report: &Report) {
    eprintln!("{report}");
}

#[test]
fn a_block_is_delivered_or_freed_whoever_dies() {
    explore(Case { name: "1 to 1", ..BASE }).assert_holds();
    explore(Case { name: "1 to 1, two deaths", deaths: 2, ..BASE }).assert_holds();
    explore(Case { name: "1 to 1, slow sender", patience: 1, capacity: 2, ..BASE }).assert_holds();
    for dying in [0..1, 1..2] {
        explore(Case { name: "1 to 2", receivers: 2, dying, ..BASE }).assert_holds();
    }
}

#[test]
fn a_block_survives_two_recoverers_of_which_one_dies() {
    explore(Case { name: "1 to 1, two recoverers", recoverers: 2, deaths: 2, ..BASE }).assert_holds();
}

#[test]
fn a_block_goes_through_two_channels() {
    explore(Case { name: "two channels", rings: 2, receivers: 2, dying: 1..2, ..BASE }).assert_holds();
}

#[test]
fn a_repair_leaves_messages_alone_that_have_their_block() {
    let case = Case { repairers: 1, deaths: 0, recoverers: 0, ..BASE };
    explore(Case { name: "a repair, 1 to 1", ..case.clone() }).assert_holds();
    explore(Case { name: "a repair, slow sender", patience: 1, capacity: 2, ..case.clone() }).assert_holds();
    explore(Case { name: "a repair, sent again", again: true, receivers: 2, ..case.clone() }).assert_holds();
    explore(Case { name: "a repair, a user dies", deaths: 1, recoverers: 1, ..case }).assert_holds();
}

#[test]
fn asking_for_the_senders_behind_the_messages_is_found() {
    let mistake = Some(Mistake::GoneBehindMessages);
    let case = Case { name: "senders behind messages", mistake, repairers: 1, ..BASE };
    explore(case).assert_violated("Stale");
}

#[test]
fn asking_for_the_block_before_the_slot_is_found() {
    let case = Case {
        name: "asked before the slot",
        mistake: Some(Mistake::LostBeforeSlot),
        repairers: 1,
        again: true,
        deaths: 0,
        recoverers: 0,
        receivers: 2,
        ..BASE
    };
    explore(case).assert_violated("a message was removed that has its block");
}

#[test]
fn emptying_a_slot_before_taking_its_block_is_found() {
    let case = Case { name: "release before take", mistake: Some(Mistake::ReleaseBeforeTake), ..BASE };
    explore(case).assert_violated("on its way in no message");
}

#[test]
fn giving_back_what_was_taken_is_found() {
    let case = Case { name: "everything returned", mistake: Some(Mistake::EverythingReturned), ..BASE };
    explore(case).assert_violated("a message has a block");
}

#[test]
fn sweeping_blocks_without_a_look_at_the_channels_is_found() {
    let case = Case { name: "sweep without channels", mistake: Some(Mistake::SweepWithoutChannels), ..BASE };
    explore(case).assert_violated("Stale");
}
