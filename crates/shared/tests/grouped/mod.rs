//! Small groups, each interleaving of which is run on the product's own words, and what must hold in all of them.
//!
//! Each member gives a number that says of which generation, round and rank it is, and reads those of all. It waits as a
//! member of a channel does: it looks, arms, looks once more, sleeps; the last one to announce wakes the others, and who
//! finds that a slice has ended inspects.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use weyr_atomic::explore::{
    self, Context, Ghost, Model, Outcome, Report, Woken, checkpoint, futex_wait, futex_wait_timed,
    futex_wake, wait_until,
};
use weyr_atomic::{AtomicU32, AtomicU64, Ordering, Zeroed};
use weyr_shared::collective::{Announced, Call, CallKind, Collective, Rupture, SeatError};
use weyr_shared::fault::{self, Fault};
use weyr_shared::{Actor, Awake, Event, Futex};

const MAX_STATES: usize = 20_000_000;
const MOST: usize = 3;

/// Who is in a group, and what may happen to them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) members: usize,
    pub(crate) rounds: u32,
    pub(crate) deaths: usize,
    /// So many ranks, from 0 on, begin anew, each behind its first round.
    pub(crate) resets: usize,
    /// They do that before any round.
    pub(crate) at_once: bool,
    /// One more process joins rank 1 when its holder is dead; no other dies.
    pub(crate) successor: bool,
    pub(crate) tso: bool,
    pub(crate) faults: &'static [Fault],
}

impl Case {
    /// Two members, two rounds.
    pub(crate) const PLAIN: Self = Self {
        name: "",
        members: 2,
        rounds: 2,
        deaths: 0,
        resets: 0,
        at_once: false,
        successor: false,
        tso: true,
        faults: &[],
    };

    fn processes(&self) -> usize {
        self.members + usize::from(self.successor)
    }
}

/// What the processes made of it.
#[derive(Debug, Clone, Default, Hash)]
struct Oracle {
    /// Rounds that each passed, in all generations.
    passed: [u32; MOST],
    /// Who was told that the group is broken.
    told: [bool; MOST],
    /// Who has begun anew, or found that another did.
    has_reset: [bool; MOST],
    /// Whether rank 1 did all that its first holder had to do.
    has_finished: bool,
    /// Who found no rank to take over.
    idle: [bool; MOST],
}

struct World {
    words: Collective,
    event: AtomicU32,
    /// Of each member, for even and odd rounds.
    given: Vec<[AtomicU64; 2]>,
    oracle: Ghost<Oracle>,
    case: Case,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Passed,
    Broken,
    Anew,
}

fn actor(process: usize) -> Actor {
    Actor { process: process as u16, epoch: 1 }
}

fn is_dead(actor: Actor) -> bool {
    explore::is_dead(actor.process.into())
}

/// What a member gives and calls: of this round and rank, and of no other.
fn value(round: Announced, rank: u32) -> u64 {
    u64::from(round.generation) << 32 | u64::from(round.round) << 8 | u64::from(rank)
}

struct Sleeping<'w>(&'w World, Announced);

impl Futex for Sleeping<'_> {
    fn wait(&self, word: &AtomicU32, expected: u32, _: Duration) -> Awake {
        let Self(world, round) = self;
        let slices = world.case.deaths > 0;
        match if slices { futex_wait_timed(word, expected) } else { futex_wait(word, expected) } {
            Woken::ByWaker => Awake::Woken,
            Woken::ValueDiffered => Awake::Changed,
            Woken::TimedOut => {
                wait_until("the end of a slice", || world.is_something_to_do(*round));
                Awake::TimedOut
            }
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        futex_wake(word, count)
    }
}

impl World {
    fn new(case: Case) -> Self {
        let words = Collective::private(case.members as u32);
        (0..case.members)
            .for_each(|rank| assert_eq!(words.join(rank as u32, actor(rank), |_| false), Ok(false)));
        let given = (0..case.members).map(|_| Zeroed::zeroed()).collect();
        Self { words, event: AtomicU32::new(0), given, oracle: Ghost::new(Oracle::default()), case }
    }

    fn is_something_to_do(&self, round: Announced) -> bool {
        let died = |rank: u32| is_dead(actor(rank as usize)) && self.words.missing(round, rank) == Some(rank);
        self.has_ended(round) || (0..self.case.members as u32).any(died)
    }

    fn has_ended(&self, round: Announced) -> bool {
        let standing = self.words.standing().unwrap();
        self.words.missing(round, 0).is_none()
            || standing.broken.is_some()
            || standing.generation != round.generation
    }

    /// Who is dead: a bit each.
    fn dead(&self) -> u64 {
        (0..self.case.processes()).map(|process| u64::from(explore::is_dead(process)) << process).sum()
    }

    /// Whether nobody is about to begin anew any more.
    fn all_have_reset(&self) -> bool {
        let oracle = self.oracle.get();
        (0..self.case.resets).all(|process| oracle.has_reset[process] || explore::is_dead(process))
    }
}

struct Member<'w> {
    world: &'w World,
    process: usize,
    rank: u32,
    at: Announced,
}

impl Member<'_> {
    fn merge(&self, numbers: &[u64]) {
        let mut hasher = DefaultHasher::new();
        (self.at.generation, self.at.round, numbers).hash(&mut hasher);
        checkpoint(hasher.finish());
    }

    fn tell(&self) {
        Event::new(&self.world.event, &Sleeping(self.world, self.at)).signal_all();
    }

    fn round(&mut self) -> Ended {
        let words = &self.world.words;
        let standing = words.standing().unwrap();
        if standing.broken.is_some() {
            return Ended::Broken;
        }
        if standing.generation != self.at.generation {
            self.at = Announced { generation: standing.generation, round: 0 };
        }
        self.at = self.at.next();
        let (round, own) = (self.at, value(self.at, self.rank));
        self.world.given[self.rank as usize][round.parity()].store(own, Ordering::Relaxed);
        let call = Call { kind: CallKind::Gather, root: 0, bytes: own as u32 };
        words.announce(self.rank, round, call).unwrap();
        self.merge(&[1]);
        let ended = match words.missing(round, 0) {
            None => {
                self.tell();
                Ended::Passed
            }
            Some(_) => self.wait(round),
        };
        if ended == Ended::Passed { self.read(round) } else { ended }
    }

    fn wait(&self, round: Announced) -> Ended {
        let (words, futex) = (&self.world.words, Sleeping(self.world, round));
        let event = Event::new(&self.world.event, &futex);
        let mut armed = None;
        loop {
            self.merge(&[2, armed.map_or(0, |armed: weyr_shared::Armed| u64::from(armed.value()) + 1)]);
            if words.missing(round, 0).is_none() {
                return Ended::Passed;
            }
            let standing = words.standing().unwrap();
            if standing.generation != round.generation {
                return Ended::Anew;
            }
            if standing.broken.is_some() {
                return if words.missing(round, 0).is_none() { Ended::Passed } else { Ended::Broken };
            }
            match armed.take() {
                None => armed = Some(event.arm()),
                Some(value) => {
                    let awake = futex.wait(&self.world.event, value.value(), Duration::ZERO);
                    if awake == Awake::TimedOut {
                        self.inspect(round);
                    }
                }
            }
        }
    }

    fn inspect(&self, round: Announced) {
        let dead = self.world.dead();
        if self.world.words.inspect(round, is_dead).unwrap() {
            self.tell();
        }
        // Nothing was found: it would come to the same as long as nothing happens, and this is no end that a model sees.
        let news = || self.world.has_ended(round) || self.world.dead() != dead;
        wait_until("the end of a round", news);
    }

    fn read(&self, round: Announced) -> Ended {
        let words = &self.world.words;
        let ranks = 0..self.world.case.members as u32;
        let read = |rank: u32| {
            let given = self.world.given[rank as usize][round.parity()].load(Ordering::Relaxed);
            (given, words.call(rank, round).map(|call| call.bytes))
        };
        let all: Vec<_> = ranks.map(read).collect();
        if !words.still(round.generation).unwrap() {
            return Ended::Anew;
        }
        for (rank, read) in all.into_iter().enumerate() {
            let expected = value(round, rank as u32);
            assert_eq!(read, (expected, Ok(expected as u32)), "{round:?} of rank {rank}");
        }
        Ended::Passed
    }

    fn run(&mut self) {
        let Case { rounds, resets, at_once, .. } = self.world.case;
        let mut has_reset = self.process >= resets;
        if at_once && !has_reset {
            has_reset = true;
            self.reset();
        }
        // A group that is begun anew does all its rounds behind that.
        while self.at.round < rounds || !self.is_last() {
            self.merge(&[0, has_reset.into()]);
            let ended = self.round();
            self.world.oracle.update(|oracle| match ended {
                Ended::Passed => oracle.passed[self.process] += 1,
                Ended::Broken => oracle.told[self.process] = true,
                Ended::Anew => {}
            });
            if !has_reset {
                has_reset = true;
                self.reset();
            } else if ended == Ended::Broken && !self.is_anew() {
                return;
            }
        }
    }

    fn reset(&self) {
        let (world, words) = (self.world, &self.world.words);
        let began = words.reset(self.rank, is_dead).unwrap();
        self.tell();
        // A rank that is free now is waited for: nobody else joins it.
        if began && world.case.deaths > 0 && !world.case.successor {
            let generation = words.standing().unwrap().generation;
            if words.joined(is_dead).unwrap() < world.case.members as u32 {
                words.break_up(generation, Rupture::Aborted, self.rank).unwrap();
                self.tell();
            }
        }
        world.oracle.update(|oracle| oracle.has_reset[self.process] = true);
    }

    /// Whether the generation is the last one: waits until nobody begins another any more.
    fn is_last(&self) -> bool {
        wait_until("the last generation", || self.world.all_have_reset());
        self.world.words.standing().unwrap().generation == self.at.generation
    }

    /// Behind a break: whether there is a next generation. Waits until there is, or nobody begins one any more.
    fn is_anew(&self) -> bool {
        let words = &self.world.words;
        let is_over = || words.standing().unwrap().generation != self.at.generation;
        wait_until("the next generation", || is_over() || self.world.all_have_reset());
        is_over()
    }
}

fn judge(world: &World, outcome: &Outcome) -> Result<(), String> {
    outcome.nobody_blocked()?;
    let oracle = world.oracle.get();
    for process in (0..world.case.processes()).filter(|process| outcome.finished(*process)) {
        let (passed, told) = (oracle.passed[process], oracle.told[process]);
        let died = (0..world.case.processes()).any(|process| outcome.dead(process));
        if !told && passed < world.case.rounds && !oracle.idle[process] {
            return Err(format!("process {process} passed {passed} rounds, and was told nothing"));
        }
        if told && !died && world.case.resets == 0 {
            return Err(format!("process {process} was told of a death that was none"));
        }
    }
    Ok(())
}

/// Takes over rank 1 from one that is dead, unless that has done all it had to do.
fn succeed(world: &World, context: &Context) {
    const RANK: u32 = 1;
    fault::choose(world.case.faults);
    let (words, process) = (&world.words, context.process());
    loop {
        match words.join(RANK, actor(process), is_dead) {
            Err(SeatError::Taken) => {
                let has_finished = || world.oracle.get().has_finished;
                wait_until("a death, or that there is none", || {
                    explore::is_dead(RANK as usize) || has_finished()
                });
                if !explore::is_dead(RANK as usize) {
                    return world.oracle.update(|oracle| oracle.idle[process] = true);
                }
            }
            told => {
                let standing = words.standing().unwrap();
                let at = Announced { generation: standing.generation, round: 0 };
                let mut member = Member { world, process, rank: RANK, at };
                let is_new = |round: Announced| words.missing(round, RANK) == Some(RANK);
                let from_the_start = is_new(at.next()) && is_new(at.next().next());
                assert!(from_the_start || standing.broken.is_some(), "it goes on for another");
                if told.unwrap() {
                    member.tell();
                }
                return member.run();
            }
        }
    }
}

/// Explores `case` whole.
pub(crate) fn explore(case: Case) -> Report {
    let mut model = Model::new(case.name).memory(move || World::new(case));
    for _ in 0..case.members {
        model = model.process(|world: &World, context: &Context| {
            fault::choose(world.case.faults);
            let (process, at) = (context.process(), Announced { generation: 1, round: 0 });
            Member { world, process, rank: process as u32, at }.run();
            if process == 1 {
                world.oracle.update(|oracle| oracle.has_finished = true);
            }
        });
    }
    let dying = if case.successor { 1..2 } else { 0..case.members };
    let model = if case.successor { model.process(succeed) } else { model };
    let model = if case.deaths > 0 { model.may_die(dying).deaths(case.deaths) } else { model };
    let report = model.tso(case.tso).max_states(MAX_STATES).at_end(judge).run();
    fault::choose(&[]);
    log(&report);
    report
}

pub(crate) fn is_full() -> bool {
    std::env::var("WEYR_MODEL").is_ok_and(|how| how == "full")
}

#[allow(clippy::print_stderr, reason = "the number of states belongs into the log of a test")]
fn log(report: &Report) {
    eprintln!("{report}");
}
