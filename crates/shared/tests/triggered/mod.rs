//! Small events, each interleaving of which is run on the product's own code, and what must hold in all of them.
//!
//! Some wait, so many times each; others trigger, each as soon as so many wait. The oracle remembers what was given and
//! what was got. A sleep may end by itself, but then its sleeper goes on only once there is something that it could do:
//! so an event that has released somebody who never learns it is an end in which somebody is blocked.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use weyr_atomic::explore::{
    self, Context, Ghost, Model, Outcome, Report, Woken, checkpoint, futex_wait, futex_wait_timed,
    futex_wake, wait_until,
};
use weyr_atomic::{AtomicU32, AtomicU64, Ordering, Zeroed};
use weyr_shared::broadcast::shape::Shape;
use weyr_shared::broadcast::trigger::Count;
use weyr_shared::broadcast::word::{PlaceState, PlaceWord, RecordState, RecordWord, Why};
use weyr_shared::broadcast::words::{INNER, Words};
use weyr_shared::broadcast::{
    BroadcastAttributes, BroadcastError, BroadcastHeader, BroadcastPlace, BroadcastRecord, IN_USE, SyncType,
};
use weyr_shared::fault::{self, Fault};
use weyr_shared::lock::{Participant, Until};
use weyr_shared::{Actor, Awake, Futex, WaitMode};

const MAX_STATES: usize = 20_000_000;
/// Schedules of a case that is too large to be seen whole on every change.
const WALKS: usize = 2000;
const PLACES: usize = 2;
const RECORDS: usize = PLACES + 1;
/// Bytes of a payload: two words.
const PAYLOAD: usize = 16;

/// What one that triggers does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Triggers so many, once so many wait.
    One { when: u64 },
    /// Triggers all, once so many wait.
    All { when: u64 },
    /// Destroys the event, at any time.
    Destroy,
    /// Lets all go, once so many wait.
    Reset { when: u64 },
}

/// Who uses an event, and what may happen to them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How often each waits.
    pub(crate) waits: &'static [u32],
    /// What each of the others does.
    pub(crate) acts: &'static [&'static [Act]],
    pub(crate) sync: SyncType,
    /// Waiters that may die.
    pub(crate) dying_waiters: usize,
    /// Triggers that may die.
    pub(crate) dying_triggers: usize,
    /// Somebody, whoever it is, may stop.
    pub(crate) stops: usize,
    /// Sleeps end by themselves where there is something to do.
    pub(crate) slices: bool,
    /// The last one waits to a deadline, which may come at any time.
    pub(crate) deadline: bool,
    /// With store buffers.
    pub(crate) tso: bool,
    pub(crate) faults: &'static [Fault],
}

impl Case {
    /// One waiter, one trigger.
    pub(crate) const PLAIN: Self = Self {
        name: "",
        waits: &[1],
        acts: &[&[Act::All { when: 1 }]],
        sync: SyncType::None,
        dying_waiters: 0,
        dying_triggers: 0,
        stops: 0,
        slices: false,
        deadline: false,
        tso: true,
        faults: &[],
    };
}

/// What the oracle knows.
#[derive(Debug, Clone, Hash, Default)]
struct Oracle {
    /// Payloads got, by waiter.
    got: [u32; 4],
    /// Waits that ended without one, by waiter.
    without: [u32; 4],
    /// How many the triggers say that they released.
    given: u32,
    /// Triggers that have returned.
    done: u32,
    /// Whether each waiter was dead when the last trigger began.
    dead_before: [bool; 4],
    /// Who is inside a trigger.
    acting: [bool; 4],
}

struct World {
    header: BroadcastHeader,
    places: [BroadcastPlace; PLACES],
    records: [BroadcastRecord; RECORDS],
    payloads: [AtomicU64; RECORDS * PAYLOAD / 8],
    shape: Shape,
    oracle: Ghost<Oracle>,
    case: Case,
}

fn actor(process: usize) -> Actor {
    Actor { process: process as u16, epoch: 1 }
}

impl World {
    fn new(case: Case) -> Self {
        let attributes = BroadcastAttributes::new().max_payload(PAYLOAD as u64).max_waiters(PLACES as u64);
        let attributes = attributes.max_spinners(0).max_triggers(1).sync(case.sync);
        let world = Self {
            header: Zeroed::zeroed(),
            places: Zeroed::zeroed(),
            records: Zeroed::zeroed(),
            payloads: Zeroed::zeroed(),
            shape: Shape::new(&attributes).unwrap(),
            oracle: Ghost::new(Oracle::default()),
            case,
        };
        world.header.next_ticket.store(1, Ordering::SeqCst);
        world.header.life.store(IN_USE, Ordering::SeqCst);
        world
    }

    fn words(&self) -> Words<'_> {
        Words {
            header: &self.header,
            places: &self.places,
            records: &self.records,
            payloads: &self.payloads,
            shape: self.shape,
        }
    }

    fn place_states(&self) -> impl Iterator<Item = (PlaceState, Option<Actor>)> {
        self.places.iter().map(|place| {
            let holder = PlaceWord(place.holder.load(Ordering::SeqCst)).state();
            let holder = if let PlaceState::Entering(actor) = holder { Some(actor) } else { None };
            (PlaceWord(place.word.load(Ordering::SeqCst)).state(), holder)
        })
    }

    /// Whether a trigger of all died before it was through.
    fn is_left_over(&self) -> bool {
        self.records.iter().any(|record| match RecordWord(record.word.load(Ordering::SeqCst)).state() {
            RecordState::ReleasingAll(actor) => explore::is_dead(actor.process.into()),
            _ => false,
        })
    }

    /// Whether a waiter could do something if its sleep ended now.
    fn is_something_to_do(&self, me: Actor) -> bool {
        let waits = |(state, holder)| holder == Some(me) && matches!(state, PlaceState::Waiting(_));
        let is_released = !self.place_states().any(waits);
        is_released || self.is_left_over() || self.header.life.load(Ordering::SeqCst) != IN_USE
    }
}

struct ModelFutex<'w> {
    world: &'w World,
    me: Actor,
    waits_to_deadline: bool,
    /// A slice was over because of a trigger whose actor died, which the waiter has looked at then.
    looked: Cell<bool>,
}

impl Futex for ModelFutex<'_> {
    fn wait(&self, word: &AtomicU32, expected: u32, _: Duration) -> Awake {
        // One that finds it as it was leaves it there, and would look for ever.
        let in_vain = self.looked.get() && self.world.is_left_over();
        let ends = self.world.case.slices && !in_vain || self.waits_to_deadline;
        let woken = if ends { futex_wait_timed(word, expected) } else { futex_wait(word, expected) };
        match woken {
            Woken::ByWaker => Awake::Woken,
            Woken::ValueDiffered => Awake::Changed,
            Woken::TimedOut => {
                if !self.waits_to_deadline {
                    wait_until("the end of a slice", || self.world.is_something_to_do(self.me));
                    self.looked.set(self.world.is_left_over());
                }
                Awake::TimedOut
            }
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        futex_wake(word, count)
    }
}

/// One that waits or triggers.
struct User<'w> {
    world: &'w World,
    process: usize,
    futex: ModelFutex<'w>,
    now: Instant,
    /// How far its program is.
    progress: Cell<u32>,
    /// What the last step said that stands by itself.
    remembered: Cell<u64>,
}

impl<'w> User<'w> {
    fn new(world: &'w World, process: usize) -> Self {
        fault::choose(world.case.faults);
        let waits_to_deadline = world.case.deadline && process + 1 == world.case.waits.len();
        let futex = ModelFutex { world, me: actor(process), waits_to_deadline, looked: Cell::new(false) };
        Self { world, process, futex, now: Instant::now(), progress: Cell::new(0), remembered: Cell::new(0) }
    }

    fn merge_states(&self, numbers: &[u64]) {
        let mut hasher = DefaultHasher::new();
        let inner = numbers.first().is_some_and(|kind| *kind >= INNER);
        let state = (self.progress.get(), self.futex.looked.get());
        (state, inner.then(|| self.remembered.get()), numbers).hash(&mut hasher);
        if !inner {
            self.remembered.set(hasher.finish());
        }
        checkpoint(hasher.finish());
    }

    fn step(&self) {
        self.progress.set(self.progress.get() + 1);
        self.merge_states(&[]);
    }

    fn wait(&self) {
        let until = if self.futex.waits_to_deadline {
            Until::At(self.now + Duration::from_millis(1))
        } else {
            Until::Forever
        };
        let words = self.world.words();
        let outcome = words.enter(self, WaitMode::Idle).and_then(|seat| {
            self.merge_states(&[INNER + 50]);
            words.wait(self, seat, WaitMode::Idle, until)
        });
        match outcome {
            Ok(payload) => {
                assert_eq!(payload.len(), PAYLOAD);
                assert!(payload.iter().all(|byte| *byte == payload[0] && *byte != 0), "torn: {payload:?}");
                self.world.oracle.update(|oracle| oracle.got[self.process] += 1);
            }
            Err(BroadcastError::Timeout) if self.futex.waits_to_deadline => {
                self.world.oracle.update(|oracle| oracle.without[self.process] += 1);
            }
            Err(BroadcastError::Destroyed | BroadcastError::LetGo) => {
                self.world.oracle.update(|oracle| oracle.without[self.process] += 1);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn act(&self, number: u8, act: Act) {
        let when = match act {
            Act::One { when } | Act::All { when } | Act::Reset { when } => when,
            Act::Destroy => 0,
        };
        let words = self.world.words();
        if when > 0 {
            wait_until("those who wait", || words.waiting() >= when);
        }
        let waiters = self.world.case.waits.len();
        // A step of its own: what is remembered is of now, and not of the start.
        self.world.header.life.load(Ordering::SeqCst);
        self.world.oracle.update(|oracle| {
            (0..waiters).for_each(|waiter| oracle.dead_before[waiter] = explore::is_dead(waiter));
            oracle.acting[self.process] = true;
        });
        self.step();
        let payload = [number; PAYLOAD];
        let outcome = match act {
            Act::One { .. } => words.trigger(self, Count::Some(1), &payload, Until::Forever),
            Act::All { .. } => words.trigger(self, Count::All, &payload, Until::Forever),
            Act::Reset { .. } => {
                words.let_go(self, Why::LetGo);
                return self.done(0);
            }
            Act::Destroy => {
                self.world.header.life.swap(2, Ordering::SeqCst);
                words.let_go(self, Why::Destroyed);
                return self.done(0);
            }
        };
        let given = match outcome {
            Ok(triggered) => triggered.released as u32,
            Err(BroadcastError::NoWaiters | BroadcastError::DeadWaiter { .. }) => 0,
            Err(error) => panic!("{error}"),
        };
        self.done(given);
        self.world.oracle.update(|oracle| oracle.done += 1);
    }

    fn done(&self, given: u32) {
        self.world.oracle.update(|oracle| {
            oracle.given += given;
            oracle.acting[self.process] = false;
        });
    }

    fn run(&self) {
        let case = &self.world.case;
        if let Some(&waits) = case.waits.get(self.process) {
            for _ in 0..waits {
                self.step();
                self.wait();
            }
        } else {
            let acts = case.acts[self.process - case.waits.len()];
            for (number, act) in acts.iter().enumerate() {
                self.step();
                self.act((self.process * 10 + number) as u8 + 1, *act);
            }
        }
    }
}

impl<'w> Participant for User<'w> {
    type Futex = ModelFutex<'w>;

    fn me(&self) -> Option<Actor> {
        Some(actor(self.process))
    }

    fn is_dead(&self, other: Actor) -> bool {
        explore::is_dead(other.process.into())
    }

    fn futex(&self) -> &ModelFutex<'w> {
        &self.futex
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn at_step(&self, numbers: &[u64]) {
        self.merge_states(numbers);
    }
}

fn judge(world: &World, outcome: &Outcome) -> Result<(), String> {
    let oracle = world.oracle.get();
    let waiters = world.case.waits.len();
    let of_waiters = 0..waiters;
    let mut of_triggers = waiters..outcome.fates.len();
    let wrong = world.words().verify();
    if !wrong.is_empty() {
        return Err(format!("{wrong:?}"));
    }
    // One released, whoever released it, learns it; and nobody is left to a trigger of all whose record says so.
    for (state, holder) in world.place_states() {
        let lives = holder.is_some_and(|holder| {
            !outcome.dead(holder.process.into()) && !outcome.finished(holder.process.into())
        });
        let excused = world.case.stops > 0 || world.case.dying_triggers > 0 && !world.case.slices;
        match state {
            PlaceState::Released(..) if lives && !excused => {
                return Err(format!("one was released and does not know it: {outcome}"));
            }
            _ => {}
        }
    }
    let is_left_over = world.records.iter().any(|record| {
        matches!(RecordWord(record.word.load(Ordering::SeqCst)).state(), RecordState::ReleasingAll(actor)
            if outcome.dead(actor.process.into()))
    });
    let somebody_waits = of_waiters.clone().any(|waiter| !outcome.dead(waiter) && !outcome.finished(waiter));
    if world.case.slices && world.case.stops == 0 && is_left_over && somebody_waits {
        return Err(format!("a trigger of all was left where its actor died: {outcome}"));
    }
    let blocked = |trigger: usize| oracle.acting[trigger] && !outcome.dead(trigger);
    if of_triggers.clone().any(blocked) && world.case.stops == 0 && world.case.dying_waiters == 0 {
        return Err(format!("a trigger waits: {outcome}"));
    }
    let needs = if let SyncType::With(needed) = world.case.sync { needed } else { 0 };
    let died_before = oracle.dead_before.iter().any(|dead| *dead);
    if oracle.done > 0 && u64::from(oracle.given) < needs && died_before {
        return Err(format!("the dead were counted, and {} released: {outcome}", oracle.given));
    }
    let all_live =
        (0..outcome.fates.len()).all(|process| outcome.finished(process) || !outcome.dead(process));
    let got: u32 = oracle.got.iter().sum();
    let moved = (0..outcome.fates.len()).all(|process| outcome.finished(process));
    if all_live && moved && got != oracle.given && oracle.done > 0 {
        return Err(format!("{} were given and {got} got: {outcome}", oracle.given));
    }
    // A trigger that began when one was dead and another waited must have released that one.
    let of_one_trigger = world.case.acts.len() == 1 && world.case.acts[0].len() == 1;
    let finished = of_triggers.all(|trigger| outcome.finished(trigger));
    if of_one_trigger
        && finished
        && world.case.waits.len() == 2
        && !world.case.deadline
        && world.case.stops == 0
    {
        for (dead, other) in [(0, 1), (1, 0)] {
            let waits = !outcome.dead(other) && !outcome.finished(other);
            if oracle.dead_before[dead] && waits && oracle.done == 1 {
                return Err(format!("{other} waits, and the trigger was the dead one's: {outcome}"));
            }
        }
    }
    Ok(())
}

/// Explores `case` whole.
pub(crate) fn explore(case: Case) -> Report {
    run(model(case))
}

/// Explores so many schedules of `case`, drawn; all of it where everything is asked for.
pub(crate) fn walk(case: Case) {
    if std::env::var("WEYR_MODEL").is_ok_and(|how| how == "full") {
        explore(case).assert_holds();
    } else {
        run(model(case).walks(WALKS, 1)).assert_walked(WALKS / 2);
    }
}

fn model(case: Case) -> Model<World> {
    let processes = case.waits.len() + case.acts.len();
    let mut model = Model::new(case.name).memory(move || World::new(case));
    for _ in 0..processes {
        model = model.process(|world: &World, context: &Context| User::new(world, context.process()).run());
    }
    let deaths = case.dying_waiters + case.dying_triggers;
    let model = match (case.dying_waiters > 0, case.dying_triggers > 0) {
        (true, true) => model.may_die(0..processes).deaths(deaths),
        (true, false) => model.may_die(0..case.waits.len()).deaths(deaths),
        (false, true) => model.may_die(case.waits.len()..processes).deaths(deaths),
        (false, false) => model,
    };
    let model = if case.stops > 0 { model.may_stop(0..processes).stops(case.stops) } else { model };
    model.tso(case.tso).max_states(MAX_STATES).at_end(judge)
}

fn run(model: Model<World>) -> Report {
    let report = model.run();
    fault::choose(&[]);
    log(&report);
    report
}

#[allow(clippy::print_stderr, reason = "the number of states belongs into the log of a test")]
fn log(report: &Report) {
    eprintln!("{report}");
}
