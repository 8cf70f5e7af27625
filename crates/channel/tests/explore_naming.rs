//! Several that want one name, in every interleaving, with deaths: at most one channel is confirmed, and whoever
//! settles the name gets that one. And several that say of what type the messages are: one number counts, for all.
#![cfg(weyr_face = "explore")]

use std::convert::Infallible;
use std::time::Duration;

use weyr_atomic::explore::{Ghost, Model, Outcome, Regions, Report};
use weyr_atomic::{AtomicU32, AtomicU64, Ordering};
use weyr_channel::protocol::{Namesakes, settle};
use weyr_shared::fault::{self, Fault};
use weyr_shared::{Awake, BlockReference, Futex, Geometry, MessageReference, Ring, SlotState};

struct Candidate {
    ring: Ring,
    /// The block's word: 1 once it is a channel.
    block: AtomicU64,
    /// Its place in the order in which candidates come.
    at: u64,
}

struct World {
    candidates: Vec<Candidate>,
    /// What those who settled got, one bit a candidate.
    given: Ghost<u64>,
}

struct NobodySleeps;

impl Futex for NobodySleeps {
    fn wait(&self, _: &AtomicU32, _: u32, _: Duration) -> Awake {
        Awake::Changed
    }

    fn wake(&self, _: &AtomicU32, _: u32) -> u32 {
        0
    }
}

impl Namesakes for &World {
    type Channel = Ring;
    type Error = Infallible;

    fn look(&self) -> Result<Vec<(u64, Ring)>, Infallible> {
        let there = |candidate: &&Candidate| {
            candidate.block.load(Ordering::Acquire) == 1 && !candidate.ring.is_destroyed()
        };
        let found = self.candidates.iter().filter(there);
        Ok(found.map(|candidate| (candidate.at, candidate.ring.clone())).collect())
    }
}

impl World {
    fn new(order: &[u64]) -> Self {
        let geometry = Geometry { processes: 1, ..Geometry::PLAIN };
        let candidate = |at: &u64| Candidate {
            ring: Ring::private(&geometry).unwrap(),
            block: AtomicU64::new(0),
            at: *at,
        };
        Self { candidates: order.iter().map(candidate).collect(), given: Ghost::new(0) }
    }

    /// Settles the name, and keeps what came of it.
    fn look_for_it(&self) -> Option<u64> {
        let Ok(settled) = settle(&self, &NobodySleeps);
        let (at, ring) = settled?;
        assert!(ring.is_named(), "got a channel without its name");
        self.given.update(|given| *given |= 1 << at);
        Some(at)
    }

    /// What `Channel::create_named` does behind the making of its channel.
    fn create(&self, index: usize) {
        let own = &self.candidates[index];
        own.block.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).unwrap();
        let is_own = self.look_for_it() == Some(own.at);
        assert!(is_own || own.ring.refuse(&NobodySleeps), "two have the name");
    }
}

fn judge(world: &World, outcome: &Outcome) -> Result<(), String> {
    let named = world.candidates.iter().filter(|candidate| candidate.ring.is_named()).count();
    let given = world.given.get();
    let created = world.candidates.iter().any(|candidate| candidate.block.load(Ordering::Relaxed) == 1);
    let nobody_died = (0..world.candidates.len()).all(|process| outcome.finished(process));
    match (named, given.count_ones()) {
        (2.., _) => Err(format!("{named} have the name: {outcome}")),
        (_, 2..) => Err(format!("they got different channels, {given:#b}: {outcome}")),
        (0, _) if created && nobody_died => Err(format!("nobody has the name: {outcome}")),
        _ => Ok(()),
    }
}

fn name_words(world: &World, regions: &mut Regions) {
    for (index, candidate) in world.candidates.iter().enumerate() {
        regions.add(&candidate.block, format!("block{index}"));
        regions.add(&candidate.ring.header().state, format!("state{index}"));
    }
}

fn explore(name: &'static str, order: &'static [u64], lookers: usize, deaths: usize) -> Report {
    let mut model = Model::new(name).memory(move || World::new(order));
    for index in 0..order.len() {
        model = model.process(move |world, _| world.create(index));
    }
    for _ in 0..lookers {
        model = model.process(|world, _| {
            world.look_for_it();
        });
    }
    let model = model.may_die(0..order.len() + lookers).deaths(deaths).tso(true);
    let report = model.regions(name_words).private_elsewhere().max_states(20_000_000).at_end(judge).run();
    log(&report);
    report
}

#[allow(clippy::print_stderr, reason = "the number of states belongs into the log of a test")]
fn log(report: &Report) {
    eprintln!("{report}");
}

#[test]
fn one_of_several_candidates_has_the_name() {
    explore("2 candidates, deaths", &[0, 1], 0, 2).assert_holds();
    explore("2 candidates, the later one first, a death", &[1, 0], 0, 1).assert_holds();
    explore("2 candidates, somebody looks, a death", &[0, 1], 1, 1).assert_holds();
    explore("2 candidates, the later one first, somebody looks", &[1, 0], 1, 0).assert_holds();
}

#[test]
fn confirming_at_first_sight_gives_two_the_name() {
    fault::choose(&[Fault::ConfirmedAtFirstSight]);
    let reports =
        [explore("first sight", &[0, 1], 1, 0), explore("first sight, the later one first", &[1, 0], 1, 0)];
    fault::choose(&[]);
    assert!(reports.iter().any(|report| !report.holds()), "a mistake that the model does not see");
}

/// What two say who say of what type the messages are, and what the others saw.
struct Typed {
    ring: Ring,
    /// Who was told that its number is agreed on: one bit each.
    agreed: Ghost<u64>,
}

/// The numbers of those who say one, by process.
const TYPES: [u64; 2] = [7, 8];

impl Typed {
    fn new() -> Self {
        let geometry = Geometry { capacity: 3, processes: 4, ..Geometry::PLAIN };
        Self { ring: Ring::private(&geometry).unwrap(), agreed: Ghost::new(0) }
    }

    /// Sends a message of type `said` in its own slot.
    fn publish(&self, process: usize, said: u64) {
        let index = process as u32;
        let block = BlockReference { offset: said, generation: 1 };
        let message = MessageReference { block, view_offset: 0, view_len: 0 };
        self.ring.write_reference(index, 0, &message).unwrap();
        let empty = self.ring.load(index).unwrap();
        assert!(self.ring.publish(index, empty, empty.becomes(SlotState::Full)).unwrap());
    }

    /// Says its type, and sends where that is the one.
    fn say(&self, process: usize) {
        let own = TYPES[process];
        match self.ring.agree_on_type(own) {
            Ok(()) => {
                self.agreed.update(|agreed| *agreed |= 1 << process);
                self.publish(process, own);
            }
            Err(other) => assert_eq!(other, TYPES[1 - process], "told of a type that nobody said"),
        }
        assert_eq!(self.ring.agree_on_type(own).is_ok(), self.ring.message_type() == own, "it has changed");
    }

    /// Sends messages of the type that it finds.
    fn send(&self) {
        let found = self.ring.message_type();
        self.publish(2, found);
        let later = self.ring.message_type();
        assert!(found == 0 || later == found, "{found} was agreed on, and then {later}");
    }

    /// Finds for each message that is of a type that it is the one agreed on.
    fn look(&self) {
        for index in 0..3 {
            if self.ring.load(index).unwrap().state != SlotState::Full {
                continue;
            }
            let said = self.ring.reference(index).unwrap().block.offset;
            let agreed = self.ring.message_type();
            assert!(said == 0 || agreed == said, "a message of type {said} where {agreed} was agreed on");
        }
    }
}

fn judge_types(world: &Typed, outcome: &Outcome) -> Result<(), String> {
    let (agreed, found) = (world.agreed.get(), world.ring.message_type());
    let is_own = |process: usize| agreed >> process & 1 == 0 || found == TYPES[process];
    match agreed.count_ones() {
        0 if (0..2).all(|process| outcome.finished(process)) => {
            Err(format!("nobody's type counts: {outcome}"))
        }
        2 => Err(format!("both types count: {outcome}")),
        _ if !(0..2).all(is_own) => Err(format!("{found} is found of {agreed:#b}: {outcome}")),
        _ => Ok(()),
    }
}

#[test]
fn two_that_say_a_type_agree_on_one_and_messages_are_of_it() {
    let mut model = Model::new("2 types, a sender and a receiver, deaths").memory(Typed::new);
    for process in 0..2 {
        model = model.process(move |world, _| world.say(process));
    }
    let model = model.process(|world, _| world.send()).process(|world, _| world.look());
    let report = model.may_die(0..3).deaths(2).tso(true).regions(name_types).private_elsewhere();
    let report = report.max_states(20_000_000).at_end(judge_types).run();
    log(&report);
    report.assert_holds();
}

fn name_types(world: &Typed, regions: &mut Regions) {
    regions.add(&world.ring.header().message_type, "type");
    for index in 0..3 {
        let slot = world.ring.slot(index).unwrap();
        regions.add(&slot.word, format!("slot{index}")).add(&slot.offset, format!("payload{index}"));
    }
}
