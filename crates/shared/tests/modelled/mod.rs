//! Small locks, each interleaving of which is run on the product's own code, and what must hold in all of them.
//!
//! Each user acquires, adds one to a number that is no atomic sum, and releases, so many times. The oracle remembers
//! who is inside. A sleep may end by itself, but then its sleeper goes on only once there is something that it could
//! do: so a lock that nobody would ever take again is an end in which somebody is blocked.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use weyr_atomic::explore::{
    self, Context, Ghost, Model, Outcome, Report, Woken, checkpoint, futex_wait, futex_wait_timed,
    futex_wake, wait_until,
};
use weyr_atomic::{AtomicU32, AtomicU64, Ordering, Zeroed};
use weyr_shared::fault::{self, Fault};
use weyr_shared::lock::queue::{INNER, Place, Queue};
use weyr_shared::lock::word::{OwnerState, OwnerWord, PlaceState, PlaceWord};
use weyr_shared::lock::{FifoLitePlace, GreedyLock, Lock, LockError, Participant, Queued};
use weyr_shared::{Actor, Awake, Futex};

/// A lock of a model: what a look at its words says.
pub(crate) trait Modelled: Lock + Zeroed + 'static {
    /// Whether `me`, who waits, could do something if its sleep ended now. `patience`: it passes whoever is slow.
    fn is_something_to_do(&self, me: Actor, patience: bool) -> bool;
    /// Whether nobody waits any more, by its words, but who is not alive.
    fn is_left(&self, fell: &dyn Fn(Actor) -> bool) -> bool;
}

fn owner(lock: &impl Lock) -> OwnerWord {
    OwnerWord(lock.owner_word().load(Ordering::SeqCst))
}

fn actor(process: usize) -> Actor {
    Actor { process: process as u16, epoch: 1 }
}

fn is_dead(actor: Actor) -> bool {
    explore::is_dead(actor.process.into())
}

impl Modelled for GreedyLock {
    fn is_something_to_do(&self, _: Actor, _: bool) -> bool {
        match owner(self).state() {
            OwnerState::Held(actor) => is_dead(actor),
            _ => true,
        }
    }

    fn is_left(&self, _: &dyn Fn(Actor) -> bool) -> bool {
        true
    }
}

/// The queue of the FIFO kinds with so many places.
pub(crate) struct Small<const PLACES: usize> {
    owner: AtomicU64,
    next_ticket: AtomicU64,
    room: AtomicU32,
    places: [FifoLitePlace; PLACES],
}

impl<const PLACES: usize> Zeroed for Small<PLACES> {
    fn zeroed() -> Self {
        Self {
            owner: Zeroed::zeroed(),
            next_ticket: Zeroed::zeroed(),
            room: Zeroed::zeroed(),
            places: Zeroed::zeroed(),
        }
    }
}

impl<const PLACES: usize> Queued for Small<PLACES> {
    type Place = FifoLitePlace;

    fn queue(&self) -> Queue<'_, FifoLitePlace> {
        Queue { owner: &self.owner, next_ticket: &self.next_ticket, room: &self.room, places: &self.places }
    }
}

impl<const PLACES: usize> Small<PLACES> {
    fn words(&self) -> impl Iterator<Item = PlaceWord> {
        self.places.iter().map(|place| PlaceWord(place.word().load(Ordering::SeqCst)))
    }
}

impl<const PLACES: usize> Modelled for Small<PLACES> {
    fn is_something_to_do(&self, me: Actor, patience: bool) -> bool {
        let has_room = self.words().any(|word| {
            word.state() == PlaceState::Free || word.state() == PlaceState::Passed || is_dead(word.actor())
        });
        let has_owner = match owner(self).state() {
            OwnerState::Held(actor) => !is_dead(actor) && owner(self).has_waiters(),
            OwnerState::Handed(place, ticket) => {
                let at = &self.places[usize::from(place)];
                let word = PlaceWord(at.word().load(Ordering::SeqCst));
                let is_there = word.state() == PlaceState::Waiting
                    && at.ticket().load(Ordering::SeqCst) == u64::from(ticket);
                is_there && !is_dead(word.actor()) && word.actor() != me && !patience
            }
            _ => false,
        };
        let is_full = self.words().all(|word| word.state() != PlaceState::Free);
        !has_owner || is_full && has_room
    }

    fn is_left(&self, fell: &dyn Fn(Actor) -> bool) -> bool {
        self.words().all(|word| word.state() == PlaceState::Free || fell(word.actor()))
    }
}

/// States of one exploration at most.
const MAX_STATES: usize = 20_000_000;
/// Schedules of a case that is too large to be seen whole on every change.
const WALKS: usize = 2000;

/// Who uses a lock, and what may happen to them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How often each acquires it.
    pub(crate) rounds: &'static [u32],
    pub(crate) deaths: usize,
    pub(crate) stops: usize,
    /// Sleeps end by themselves where there is something to do.
    pub(crate) slices: bool,
    /// The last one waits to a deadline, which may come at any time.
    pub(crate) deadline: bool,
    /// How often in all somebody slow is passed.
    pub(crate) patience: u8,
    /// With store buffers.
    pub(crate) tso: bool,
    pub(crate) faults: &'static [Fault],
}

impl Case {
    /// Two users, one acquisition each.
    pub(crate) const PLAIN: Self = Self {
        name: "",
        rounds: &[1, 1],
        deaths: 0,
        stops: 0,
        slices: false,
        deadline: false,
        patience: 0,
        tso: true,
        faults: &[],
    };
}

/// What the oracle knows.
#[derive(Debug, Clone, Hash)]
struct Oracle {
    /// Who is inside, by number.
    inside: Option<usize>,
    /// How many were.
    entered: u32,
    /// Who gave up.
    gave_up: u32,
    patience: u8,
}

struct World<L> {
    lock: L,
    number: AtomicU64,
    oracle: Ghost<Oracle>,
    case: Case,
}

/// A user of the lock.
struct User<'w, L> {
    world: &'w World<L>,
    process: usize,
    futex: ModelFutex<'w, L>,
    now: Instant,
    /// How far its program is.
    progress: Cell<u32>,
    /// What the last step said that stands by itself.
    remembered: Cell<u64>,
}

struct ModelFutex<'w, L> {
    world: &'w World<L>,
    me: Actor,
    waits_to_deadline: bool,
}

impl<L: Modelled> Futex for ModelFutex<'_, L> {
    fn wait(&self, word: &AtomicU32, expected: u32, _: Duration) -> Awake {
        let ends = self.world.case.slices || self.waits_to_deadline;
        let woken = if ends { futex_wait_timed(word, expected) } else { futex_wait(word, expected) };
        match woken {
            Woken::ByWaker => Awake::Woken,
            Woken::ValueDiffered => Awake::Changed,
            Woken::TimedOut => {
                if !self.waits_to_deadline {
                    self.world.wait_for_something_to_do(self.me);
                }
                Awake::TimedOut
            }
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        futex_wake(word, count)
    }
}

impl<L: Modelled> World<L> {
    fn new(case: Case) -> Self {
        let oracle = Oracle { inside: None, entered: 0, gave_up: 0, patience: case.patience };
        Self { lock: L::zeroed(), number: AtomicU64::new(0), oracle: Ghost::new(oracle), case }
    }

    fn wait_for_something_to_do(&self, me: Actor) {
        wait_until("the end of a slice", || {
            let patience = self.oracle.get().patience > 0;
            self.lock.is_something_to_do(me, patience)
        });
        self.oracle.update(|oracle| {
            // Only where there is nothing else to do: else it would be spent on the spot.
            if !self.lock.is_something_to_do(me, false) {
                oracle.patience -= 1;
            }
        });
    }

    /// In one step with the acquisition. Who was inside and is dead must have been told of.
    fn enter(&self, process: usize, owner_died: bool) {
        self.oracle.update(|oracle| {
            match oracle.inside {
                Some(other) if !explore::is_dead(other) => panic!("{process} and {other} are inside"),
                Some(other) if !owner_died => panic!("{process} was not told that {other} died inside"),
                _ => {}
            }
            oracle.inside = Some(process);
            oracle.entered += 1;
        });
    }
}

impl<'w, L: Modelled> User<'w, L> {
    fn new(world: &'w World<L>, process: usize) -> Self {
        fault::choose(world.case.faults);
        let waits_to_deadline = world.case.deadline && process + 1 == world.case.rounds.len();
        let futex = ModelFutex { world, me: actor(process), waits_to_deadline };
        Self { world, process, futex, now: Instant::now(), progress: Cell::new(0), remembered: Cell::new(0) }
    }

    fn merge_states(&self, numbers: &[u64]) {
        let mut hasher = DefaultHasher::new();
        let inner = numbers.first().is_some_and(|kind| *kind >= INNER);
        (self.progress.get(), inner.then(|| self.remembered.get()), numbers).hash(&mut hasher);
        if !inner {
            self.remembered.set(hasher.finish());
        }
        checkpoint(hasher.finish());
    }

    fn use_once(&self) -> Result<(), LockError> {
        let lock = &self.world.lock;
        let mut guard = if self.futex.waits_to_deadline {
            lock.acquire_until(self, self.now + Duration::from_millis(1))?
        } else {
            lock.acquire(self)?
        };
        self.world.enter(self.process, guard.owner_died());
        self.progress.set(self.progress.get() + 100);
        self.merge_states(&[guard.owner_died().into()]);
        let number = self.world.number.load(Ordering::Relaxed);
        self.world.number.store(number + 1, Ordering::Relaxed);
        if guard.owner_died() {
            guard.mark_consistent();
        }
        self.world.oracle.update(|oracle| oracle.inside = None);
        self.progress.set(self.progress.get() + 100);
        self.merge_states(&[]);
        guard.release()?;
        Ok(())
    }

    fn run(&self) {
        for round in 0..self.world.case.rounds[self.process] {
            self.progress.set(round + 1);
            self.merge_states(&[]);
            match self.use_once() {
                Ok(()) => {}
                Err(LockError::Timeout) if self.futex.waits_to_deadline => {
                    self.world.oracle.update(|oracle| oracle.gave_up += 1);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl<'w, L: Modelled> Participant for User<'w, L> {
    type Futex = ModelFutex<'w, L>;

    fn me(&self) -> Option<Actor> {
        Some(actor(self.process))
    }

    fn is_dead(&self, other: Actor) -> bool {
        explore::is_dead(other.process.into())
    }

    fn futex(&self) -> &ModelFutex<'w, L> {
        &self.futex
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn at_step(&self, numbers: &[u64]) {
        self.merge_states(numbers);
    }
}

fn judge<L: Modelled>(world: &World<L>, outcome: &Outcome) -> Result<(), String> {
    let stops = world.case.stops > 0;
    let oracle = world.oracle.get();
    if let Some(inside) = oracle.inside.filter(|&inside| !outcome.finished(inside) && !outcome.dead(inside)) {
        // It was stopped with the lock, and the others wait for it.
        return if stops { Ok(()) } else { Err(format!("{inside} is inside: {outcome}")) };
    }
    let owner = owner(&world.lock);
    let is_fallen = |actor: Actor| !outcome.finished(actor.process.into());
    if let (OwnerState::Held(actor), true) = (owner.state(), stops) {
        if is_fallen(actor) && !outcome.dead(actor.process.into()) {
            return Ok(());
        }
    }
    // Without slices nobody looks who is not woken; then a death may be what the others wait for.
    let excused = !world.case.slices && (0..outcome.fates.len()).any(|process| outcome.dead(process));
    // Who waits would pass the one that was stopped, but all the patience of the model was spent before.
    let excused = excused || stops && oracle.patience == 0;
    if outcome.anybody_blocked() && !excused {
        return outcome.nobody_blocked();
    }
    let all = (0..outcome.fates.len()).all(|process| outcome.finished(process));
    let wanted: u32 = world.case.rounds.iter().sum();
    if all && oracle.entered + oracle.gave_up != wanted {
        return Err(format!("{} entered and {} gave up of {wanted}", oracle.entered, oracle.gave_up));
    }
    let number = world.number.load(Ordering::Relaxed);
    if all && number != u64::from(oracle.entered) {
        return Err(format!("{number} counted of {}", oracle.entered));
    }
    if all && owner != OwnerWord::FREE {
        return Err(format!("nobody has the lock, and its word is {:?}", owner.state()));
    }
    if !excused && !world.lock.is_left(&is_fallen) {
        return Err(format!("a place is somebody's who left: {outcome}"));
    }
    let wrong = world.lock.verify();
    if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?}")) }
}

/// Explores `case` whole.
pub(crate) fn explore<L: Modelled>(case: Case) -> Report {
    run(model::<L>(case))
}

/// Explores so many schedules of `case`, drawn; all of it where everything is asked for.
pub(crate) fn walk<L: Modelled>(case: Case) {
    if is_full() {
        explore::<L>(case).assert_holds();
    } else {
        run(model::<L>(case).walks(WALKS, 1)).assert_walked(WALKS / 2);
    }
}

fn model<L: Modelled>(case: Case) -> Model<World<L>> {
    let mut model = Model::new(case.name).memory(move || World::<L>::new(case));
    for _ in case.rounds {
        model =
            model.process(|world: &World<L>, context: &Context| User::new(world, context.process()).run());
    }
    let all = 0..case.rounds.len();
    let model = if case.deaths > 0 { model.may_die(all.clone()).deaths(case.deaths) } else { model };
    let model = if case.stops > 0 { model.may_stop(all).stops(case.stops) } else { model };
    model.tso(case.tso).max_states(MAX_STATES).at_end(judge)
}

fn run<L: Modelled>(model: Model<World<L>>) -> Report {
    let report = model.run();
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
