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
use weyr_shared::collective::{Announced, Call, CallKind, Collective};
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
    /// Rank 0 begins anew behind its first round.
    pub(crate) resets: bool,
    pub(crate) tso: bool,
    pub(crate) faults: &'static [Fault],
}

impl Case {
    /// Two members, two rounds.
    pub(crate) const PLAIN: Self =
        Self { name: "", members: 2, rounds: 2, deaths: 0, resets: false, tso: true, faults: &[] };
}

/// What the members made of it.
#[derive(Debug, Clone, Default, Hash)]
struct Oracle {
    /// Rounds that each passed, in all generations.
    passed: [u32; MOST],
    /// Who was told that somebody died.
    told: [bool; MOST],
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
        let standing = self.words.standing().unwrap();
        let died = |rank: u32| is_dead(actor(rank as usize)) && self.words.missing(round, rank) == Some(rank);
        self.words.missing(round, 0).is_none()
            || standing.broken.is_some()
            || standing.generation != round.generation
            || (0..self.case.members as u32).any(died)
    }
}

struct Member<'w> {
    world: &'w World,
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
                    let over = awake == Awake::TimedOut;
                    if over && words.inspect(round, is_dead).unwrap() {
                        self.tell();
                    }
                }
            }
        }
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
        fault::choose(self.world.case.faults);
        let Case { rounds, resets, .. } = self.world.case;
        let mut has_reset = self.rank != 0 || !resets;
        // A group that is begun anew does all its rounds behind that.
        while self.at.round < rounds || resets && self.at.generation == 1 {
            self.merge(&[0, has_reset.into()]);
            let ended = self.round();
            self.world.oracle.update(|oracle| match ended {
                Ended::Passed => oracle.passed[self.rank as usize] += 1,
                Ended::Broken => oracle.told[self.rank as usize] = true,
                Ended::Anew => {}
            });
            match ended {
                // The one who begins anew is about to.
                Ended::Broken if resets => {
                    self.world.wait_until_anew(self.at.generation);
                }
                Ended::Broken => return,
                _ if !has_reset => {
                    has_reset = true;
                    assert_eq!(self.world.words.reset(self.rank, is_dead), Ok(true));
                    self.tell();
                }
                _ => {}
            }
        }
    }
}

impl World {
    fn wait_until_anew(&self, generation: u32) {
        wait_until("the next generation", || self.words.standing().unwrap().generation != generation);
    }
}

fn judge(world: &World, outcome: &Outcome) -> Result<(), String> {
    outcome.nobody_blocked()?;
    let oracle = world.oracle.get();
    for rank in (0..world.case.members).filter(|rank| outcome.finished(*rank)) {
        let (passed, told) = (oracle.passed[rank], oracle.told[rank]);
        let died = (0..world.case.members).any(|rank| outcome.dead(rank));
        if !told && passed < world.case.rounds {
            return Err(format!("rank {rank} passed {passed} rounds, and was told nothing"));
        }
        if told && !died && !world.case.resets {
            return Err(format!("rank {rank} was told of a death that was none"));
        }
    }
    Ok(())
}

/// Explores `case` whole.
pub(crate) fn explore(case: Case) -> Report {
    let mut model = Model::new(case.name).memory(move || World::new(case));
    for _ in 0..case.members {
        model = model.process(|world: &World, context: &Context| {
            let at = Announced { generation: 1, round: 0 };
            Member { world, rank: context.process() as u32, at }.run();
        });
    }
    let all = 0..case.members;
    let model = if case.deaths > 0 { model.may_die(all).deaths(case.deaths) } else { model };
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
