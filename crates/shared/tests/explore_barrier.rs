//! Barriers in every interleaving, with deaths, stops, deadlines, and whoever aborts, releases and resets.
//!
//! Each party comes to so many rounds, and sleeps on an event until its round is over. The oracle remembers who came to
//! which round, and how that ended for whom: a round ends the same way for all, in other places each, and well only when
//! all places were taken, or somebody released those who waited. At the end nobody waits who could go on.
#![cfg(weyr_face = "explore")]
#![forbid(unsafe_code)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use weyr_atomic::AtomicU32;
use weyr_atomic::explore::{
    self, Context, Fate, Ghost, Model, Outcome as End, Report, Woken, checkpoint, choose, futex_wait,
    futex_wait_timed, futex_wake, wait_until,
};
use weyr_shared::barrier::{Arrival, Barrier, Outcome};
use weyr_shared::fault::{self, Fault};
use weyr_shared::{Actor, Armed, Awake, Event, Futex};

/// Rounds that the oracle can tell apart.
const ROUNDS: usize = 8;
/// States of one exploration at most.
const MAX_STATES: usize = 20_000_000;

/// What somebody does who is no party, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Abort,
    Release,
    Reset,
}

/// A small barrier and what may happen at it.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    parties: u32,
    /// To how many rounds each party comes.
    rounds: u64,
    acts: &'static [Act],
    deaths: usize,
    stops: usize,
    /// The first party may run out of time whenever it waits.
    deadline: bool,
    /// Who waits sleeps on the event; else it sees by itself that there is something to do.
    asleep: bool,
    tso: bool,
    faults: &'static [Fault],
}

impl Case {
    const PLAIN: Self = Self {
        name: "",
        parties: 2,
        rounds: 2,
        acts: &[],
        deaths: 0,
        stops: 0,
        deadline: false,
        asleep: true,
        tso: false,
        faults: &[],
    };

    /// Whether somebody may leave before the others have come.
    fn may_lack_parties(&self) -> bool {
        !self.acts.is_empty() || self.deaths + self.stops > 0 || self.deadline
    }
}

/// What is known of a round.
#[derive(Debug, Clone, Copy, Hash, Default)]
struct Round {
    /// One bit a place that was taken in it.
    places: u32,
    /// Whether it ended well, for those who know.
    ended_well: Option<bool>,
}

#[derive(Debug, Clone, Hash, Default)]
struct Oracle {
    rounds: [Round; ROUNDS],
    /// One bit a party between its call and the round that it learns: it may have come.
    coming: u32,
    releases: u32,
}

impl Oracle {
    fn came(&self, round: usize) -> u32 {
        self.rounds[round].places.count_ones()
    }
}

/// What a party did before its next look.
#[derive(Debug, Clone, Copy)]
enum Last {
    Looked,
    Armed(Armed),
    /// Its sleep ended by itself.
    Doubts,
    /// It helped, and nothing came of it, when so many had come and so many of those lived.
    InVain(u32, u32),
}

struct World {
    barrier: Barrier,
    event: AtomicU32,
    oracle: Ghost<Oracle>,
    case: Case,
}

struct ModelFutex<'w>(&'w World);

impl Futex for ModelFutex<'_> {
    fn wait(&self, word: &AtomicU32, expected: u32, _: Duration) -> Awake {
        let slices = self.0.case.deaths + self.0.case.stops > 0;
        match if slices { futex_wait_timed(word, expected) } else { futex_wait(word, expected) } {
            Woken::ByWaker => Awake::Woken,
            Woken::ValueDiffered => Awake::Changed,
            Woken::TimedOut => Awake::TimedOut,
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        futex_wake(word, count)
    }
}

fn actor(process: usize) -> Actor {
    Actor { process: process as u16, epoch: 1 }
}

fn is_dead(actor: Actor) -> bool {
    explore::is_dead(actor.process.into())
}

fn place_in_code(numbers: impl Hash) {
    let mut hasher = DefaultHasher::new();
    numbers.hash(&mut hasher);
    checkpoint(hasher.finish());
}

impl World {
    fn new(case: Case) -> Self {
        let barrier = Barrier::private(case.parties);
        Self { barrier, event: AtomicU32::new(0), oracle: Ghost::new(Oracle::default()), case }
    }

    fn tell(&self) {
        Event::new(&self.event, &ModelFutex(self)).signal_all();
    }

    /// What a look by somebody alive could change: in a rule, not in a process.
    fn is_help_due(&self) -> bool {
        let (came, alive) = self.counts();
        self.barrier.broken().is_none() && (came == self.case.parties || came > alive)
    }

    fn begin(&self, process: usize) {
        self.oracle.update(|oracle| oracle.coming |= 1 << process);
    }

    fn arrive(&self, process: usize, arrival: Option<Arrival>) {
        self.oracle.update(|oracle| {
            oracle.coming &= !(1 << process);
            let Some(arrival) = arrival else { return };
            let round = &mut oracle.rounds[arrival.round() as usize];
            let place = 1 << arrival.place;
            assert_eq!(round.places & place, 0, "two have place {} of one round", arrival.place);
            round.places |= place;
        });
    }

    fn learn(&self, arrival: Arrival, ended_well: bool) {
        let parties = self.case.parties;
        self.oracle.update(|oracle| {
            let round = arrival.round() as usize;
            let may_have_come = oracle.came(round) + oracle.coming.count_ones();
            assert!(
                !ended_well || may_have_come >= parties || oracle.releases > 0,
                "passed without the others"
            );
            let known = oracle.rounds[round].ended_well.get_or_insert(ended_well);
            assert_eq!(*known, ended_well, "a round ended in two ways");
        });
    }

    /// How many have come, and how many of those live.
    fn counts(&self) -> (u32, u32) {
        (self.barrier.waiting(|_| false), self.barrier.waiting(is_dead))
    }

    /// Waits as the product does: look, arm, look, sleep; after a sleep that ended by itself, help.
    fn wait(&self, index: u64, process: usize, arrival: Arrival) -> bool {
        let mut last = Last::Looked;
        loop {
            let known = match last {
                Last::Armed(armed) => (1, armed.value(), 0),
                Last::InVain(came, alive) => (2, came, alive),
                Last::Doubts => (3, 0, 0),
                Last::Looked => (4, 0, 0),
            };
            place_in_code((index, arrival.round(), arrival.place, known));
            match self.barrier.outcome(arrival) {
                Outcome::Waiting => {}
                outcome => return outcome == Outcome::Passed,
            }
            if self.case.deadline && process == 0 && choose(2) == 1 && self.barrier.give_up(arrival) {
                self.tell();
                return false;
            }
            last = self.wait_a_little(arrival, last);
        }
    }

    fn wait_a_little(&self, arrival: Arrival, last: Last) -> Last {
        let futex = ModelFutex(self);
        let event = Event::new(&self.event, &futex);
        match last {
            Last::Doubts => self.help(),
            Last::InVain(came, alive) => self.wait_for_something_to_do(arrival, (came, alive)),
            Last::Looked if self.case.asleep => Last::Armed(event.arm()),
            Last::Armed(armed)
                if futex.wait(&self.event, armed.value(), Duration::MAX) != Awake::TimedOut =>
            {
                Last::Looked
            }
            _ => self.wait_for_something_to_do(arrival, (0, 0)),
        }
    }

    fn help(&self) -> Last {
        let (came, alive) = (explore::ghost(|| self.counts().0), explore::ghost(|| self.counts().1));
        if self.barrier.help(is_dead) {
            self.tell();
            return Last::Looked;
        }
        Last::InVain(came, alive)
    }

    /// The end of a slice matters only where something can be done; elsewhere it is a turn on the spot. Where help was in
    /// vain it is again, until something has changed.
    fn wait_for_something_to_do(&self, arrival: Arrival, in_vain: (u32, u32)) -> Last {
        wait_until("the end of a slice", || {
            let is_new = self.counts() != in_vain;
            self.barrier.outcome(arrival) != Outcome::Waiting || is_new && self.is_help_due()
        });
        Last::Doubts
    }

    fn take_part(&self, process: usize) {
        fault::choose(self.case.faults);
        for index in 0..self.case.rounds {
            place_in_code(index);
            self.begin(process);
            let Ok(arrival) = self.barrier.come(actor(process), || self.tell()) else {
                self.arrive(process, None);
                return;
            };
            self.arrive(process, Some(arrival));
            let passed = self.wait(index, process, arrival);
            self.learn(arrival, passed);
        }
    }

    fn act(&self, act: Act) {
        fault::choose(self.case.faults);
        let changed = match act {
            Act::Abort => self.barrier.abort(),
            Act::Release => {
                // Before it: who sees the end of the round must find it here.
                self.oracle.update(|oracle| oracle.releases += 1);
                self.barrier.release()
            }
            Act::Reset => {
                self.barrier.reset();
                true
            }
        };
        if changed {
            self.tell();
        }
    }
}

fn judge(world: &World, end: &End) -> Result<(), String> {
    let (case, oracle) = (&world.case, world.oracle.get());
    let describe = |what: &str| Err(format!("{what}: {end}; {oracle:?}"));
    let parties = || (0..case.parties as usize).map(|party| &end.fates[party]);
    let blocked = parties().filter(|fate| matches!(fate, Fate::Blocked(_))).count() as u32;
    let waiting = world.barrier.waiting(is_dead);
    let lacking = case.may_lack_parties() && world.barrier.broken().is_none() && blocked <= waiting;
    if blocked > 0 && (!lacking || world.is_help_due()) {
        return describe("somebody waits who could go on");
    }
    // Who fell in its call may have come, and nobody learnt where to.
    let fell = oracle.coming.count_ones();
    let is_short = |round: &usize| {
        oracle.rounds[*round].ended_well == Some(true) && oracle.came(*round) + fell < case.parties
    };
    let short = (0..ROUNDS).filter(is_short).count() as u32;
    if short > oracle.releases { describe("a round ended well to which not all came") } else { Ok(()) }
}

/// Whether the full forms are to run: millions of states.
fn is_full() -> bool {
    std::env::var("WEYR_MODEL").is_ok_and(|form| form == "full")
}

fn explore(case: Case) -> Report {
    let mut model = Model::new(case.name).memory(move || World::new(case));
    for _ in 0..case.parties {
        model = model.process(|world: &World, context: &Context| world.take_part(context.process()));
    }
    for act in case.acts {
        model = model.process(|world: &World, _: &Context| world.act(*act));
    }
    let all = 0..case.parties as usize;
    let fall = |count: usize| if count > 0 { all.clone() } else { 0..0 };
    let model =
        model.may_die(fall(case.deaths)).deaths(case.deaths).may_stop(fall(case.stops)).stops(case.stops);
    let report = model.tso(case.tso).max_states(MAX_STATES).at_end(judge).run();
    fault::choose(&[]);
    log(&report);
    report
}

#[allow(clippy::print_stderr, reason = "the number of states belongs into the log of a test")]
fn log(report: &Report) {
    eprintln!("{report}");
}

fn holds(case: Case) {
    explore(case).assert_holds();
}

fn is_found(faults: &'static [Fault], case: Case, message: &str) {
    explore(Case { faults, ..case }).assert_violated(message);
}

const PLAIN: Case = Case::PLAIN;
/// Three parties, who do not sleep.
const THREE: Case = Case { parties: 3, asleep: false, ..PLAIN };
const DYING: Case = Case { deaths: 1, ..PLAIN };
const STOPPING: Case = Case { stops: 1, ..PLAIN };

#[test]
fn all_pass_together_round_after_round_and_nobody_sleeps_for_ever() {
    holds(Case { name: "barrier, 2 parties", ..PLAIN });
    holds(Case { name: "barrier, 2 parties, buffered", tso: true, ..PLAIN });
    holds(Case { name: "barrier, 3 parties", ..THREE });
}

#[test]
fn one_that_dies_lets_the_others_pass_or_breaks_their_round() {
    holds(Case { name: "barrier, 2 parties, a death", ..DYING });
    let acts: &[Act] = &[Act::Reset];
    holds(Case { name: "barrier, 2 parties, a death, a reset", acts, asleep: false, ..DYING });
    holds(Case { name: "barrier, 3 parties, a death", rounds: 1, deaths: 1, ..THREE });
}

#[test]
fn one_that_stands_still_behind_its_coming_holds_up_nobody() {
    holds(Case { name: "barrier, 2 parties, a stop", ..STOPPING });
    holds(Case { name: "barrier, 3 parties, a stop", rounds: 1, stops: 1, ..THREE });
}

#[test]
fn who_aborts_releases_or_resets_ends_a_round_in_one_way_for_all() {
    for (name, acts) in [
        ("barrier, 2 parties, an abort", &[Act::Abort][..]),
        ("barrier, 2 parties, a release", &[Act::Release]),
        ("barrier, 2 parties, a reset", &[Act::Reset]),
    ] {
        holds(Case { name, acts, ..PLAIN });
    }
    for (name, acts) in [
        ("barrier, 2 parties, an abort and a reset", &[Act::Abort, Act::Reset][..]),
        ("barrier, 2 parties, a release and a reset", &[Act::Release, Act::Reset]),
        ("barrier, 2 parties, an abort and a release", &[Act::Abort, Act::Release]),
    ] {
        holds(Case { name, acts, asleep: false, rounds: if is_full() { 2 } else { 1 }, ..PLAIN });
    }
    if is_full() {
        let acts: &[Act] = &[Act::Release];
        holds(Case { name: "barrier, 3 parties, a release", acts, rounds: 1, ..THREE });
    }
}

#[test]
fn who_runs_out_of_time_breaks_the_round_unless_it_has_ended() {
    let case = Case { deadline: true, ..PLAIN };
    holds(Case { name: "barrier, 2 parties, a deadline", ..case });
    holds(Case { name: "barrier, 2 parties, a deadline, a death", deaths: 1, asleep: false, ..case });
    let acts: &[Act] = &[Act::Release];
    holds(Case { name: "barrier, 2 parties, a deadline, a release", acts, asleep: false, ..case });
    holds(Case { name: "barrier, 3 parties, a deadline", deadline: true, rounds: 1, ..THREE });
}

/// What each step is there for: without it, something is found.
#[test]
fn a_step_left_out_is_found() {
    let released = Case { acts: &[Act::Release], asleep: false, ..PLAIN };
    is_found(&[Fault::LaterPlaceTaken], Case { name: "barrier, a later place is taken", ..released }, "");
    let early = Case { name: "barrier, ended without the last", asleep: false, ..PLAIN };
    is_found(&[Fault::EndsWithoutLast], early, "passed without the others");
    let stands = Case { name: "barrier, nobody ends a round for another", asleep: false, ..STOPPING };
    is_found(&[Fault::HelpEndsNothing], stands, "somebody waits who could go on");
    let untold =
        Case { name: "barrier, those who sleep are told by one wake", parties: 3, rounds: 1, ..PLAIN };
    is_found(&[Fault::OneWakeForAll], untold, "somebody waits who could go on");
}
