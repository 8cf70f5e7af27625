//! The builder of a model: a world, the processes that share it, and the rules.

use std::ops::Range;
use std::rc::Rc;

use super::machine::{self, Mode};
use super::report::{Outcome, Report};
use super::search::{EndRule, InvariantRule, Rules, Search};
use super::walk::Walks;

/// States after which an exploration stops, unless the model says otherwise.
const MAX_STATES: usize = 5_000_000;
/// Processes of one model.
const PROCESSES_MAX: usize = 32;

/// What a process knows about itself.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    process: usize,
}

impl Context {
    /// Number of this process in the order of `Model::process`.
    #[must_use]
    pub fn process(&self) -> usize {
        self.process
    }
}

/// Names for parts of the world, for traces; see `Model::regions`.
pub struct Regions {
    named: Vec<(Range<usize>, String)>,
}

impl Regions {
    /// Gives the bytes of `item` (not what it points to) a name; of overlapping names the later wins.
    pub fn add<T: ?Sized>(&mut self, item: &T, name: impl Into<String>) -> &mut Self {
        let start = std::ptr::from_ref(item).cast::<u8>().addr();
        self.named.push((start..start + size_of_val(item), name.into()));
        self
    }
}

type Program<T> = Rc<dyn Fn(&T, &Context)>;
type NameRegions<T> = Box<dyn FnOnce(&T, &mut Regions)>;
type Invariant<T> = Box<dyn Fn(&T) -> Result<(), String>>;
type AtEnd<T> = Box<dyn Fn(&T, &Outcome) -> Result<(), String>>;

/// A model under construction. See the module's documentation for what its parts mean.
pub struct Model<T> {
    name: String,
    memory: Box<dyn FnOnce() -> T>,
    regions: Option<NameRegions<T>>,
    private_elsewhere: bool,
    programs: Vec<Program<T>>,
    may_die: Vec<usize>,
    deaths: Option<usize>,
    may_stop: Vec<usize>,
    stops: Option<usize>,
    tso: bool,
    spin_patience: u32,
    max_states: usize,
    order: u64,
    walks: Option<Walks>,
    invariant: Option<Invariant<T>>,
    at_end: Option<AtEnd<T>>,
}

impl Model<()> {
    /// A model without world and processes.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_memory(name.into(), Box::new(|| ()))
    }

    /// Gives the model its world. `build` is called once, at the start of `run`; the world then stays where it is.
    /// [`super::Ghost`]s are created here. Call it first: it sets everything else back.
    #[must_use]
    pub fn memory<T: 'static>(self, build: impl FnOnce() -> T + 'static) -> Model<T> {
        Model::with_memory(self.name, Box::new(build))
    }
}

impl<T: 'static> Model<T> {
    fn with_memory(name: String, memory: Box<dyn FnOnce() -> T>) -> Self {
        Self {
            name,
            memory,
            regions: None,
            private_elsewhere: false,
            programs: Vec::new(),
            may_die: Vec::new(),
            deaths: None,
            may_stop: Vec::new(),
            stops: None,
            tso: false,
            spin_patience: 1,
            max_states: MAX_STATES,
            order: 0,
            walks: None,
            invariant: None,
            at_end: None,
        }
    }

    /// Adds a process; its number is the count of those before it. The code must be deterministic in what it reads
    /// from atomics and ghosts, and is run many times.
    #[must_use]
    pub fn process(mut self, program: impl Fn(&T, &Context) + 'static) -> Self {
        self.programs.push(Rc::new(program));
        self
    }

    /// These processes may be killed before each of their accesses, and before they return.
    #[must_use]
    pub fn may_die(mut self, processes: impl IntoIterator<Item = usize>) -> Self {
        self.may_die = processes.into_iter().collect();
        self
    }

    /// At most so many deaths in one schedule; without this call, as many as there are processes that may die.
    #[must_use]
    pub fn deaths(mut self, deaths: usize) -> Self {
        self.deaths = Some(deaths);
        self
    }

    /// These processes may be stopped for good before each of their accesses, without being dead.
    #[must_use]
    pub fn may_stop(mut self, processes: impl IntoIterator<Item = usize>) -> Self {
        self.may_stop = processes.into_iter().collect();
        self
    }

    /// At most so many stops in one schedule; without this call, as many as there are processes that may stop.
    #[must_use]
    pub fn stops(mut self, stops: usize) -> Self {
        self.stops = Some(stops);
        self
    }

    /// Whether stores pass through x86 store buffers; without this call they do not.
    #[must_use]
    pub fn tso(mut self, tso: bool) -> Self {
        self.tso = tso;
        self
    }

    /// Spin points that a process may pass in a row while nobody else changes memory (1 without this call). Code that
    /// spins a bounded number of times and then does something else needs one more than that number.
    #[must_use]
    pub fn spin_patience(mut self, points: u32) -> Self {
        self.spin_patience = points;
        self
    }

    /// Checked in each state in which nobody can go on: all finished, dead, stopped or blocked. May call the
    /// product's code, which works on a copy of the state.
    #[must_use]
    pub fn at_end(mut self, check: impl Fn(&T, &Outcome) -> Result<(), String> + 'static) -> Self {
        self.at_end = Some(Box::new(check));
        self
    }

    /// Checked in each state, on memory without the buffered stores.
    #[must_use]
    pub fn invariant(mut self, check: impl Fn(&T) -> Result<(), String> + 'static) -> Self {
        self.invariant = Some(Box::new(check));
        self
    }

    /// Names parts of the world for traces. Without it, an atomic in the world's own bytes is shown by its offset and
    /// one behind a pointer by a number.
    #[must_use]
    pub fn regions(mut self, name: impl FnOnce(&T, &mut Regions) + 'static) -> Self {
        self.regions = Some(Box::new(name));
        self
    }

    /// Atomics outside the world's own bytes and the named regions belong to the process that touches them, are real
    /// and are no scheduling points. Without this call only those on a process's stack are.
    #[must_use]
    pub fn private_elsewhere(mut self) -> Self {
        self.private_elsewhere = true;
        self
    }

    /// Stops after so many states (5 million without this call); the report is then not complete.
    #[must_use]
    pub fn max_states(mut self, states: usize) -> Self {
        self.max_states = states;
        self
    }

    /// Tries the ways on from each state in an order of its own for each `order`; 0 is that of the processes. Which
    /// states there are is the same. An exploration that is bounded, or finds something, sees others first.
    #[must_use]
    pub fn order(mut self, order: u64) -> Self {
        self.order = order;
        self
    }

    /// Instead of all schedules, takes so many drawn by `seed`, each from the start to its end: for models that are too
    /// large to be seen whole. Of the ways on in each state one is drawn, a death or stop seldom. One that does not end
    /// within 20,000 steps is left and not counted.
    #[must_use]
    pub fn walks(mut self, count: usize, seed: u64) -> Self {
        self.walks = Some(Walks { count, seed });
        self
    }

    /// Explores. Blocks until everything was seen, something was found, or the bound was hit.
    ///
    /// # Panics
    ///
    /// Inside a model, and when the model is not one: no process, more than 32, a number that is no process.
    #[must_use]
    pub fn run(self) -> Report {
        self.check();
        machine::reset();
        let name = self.name.clone();
        let report = Search::new(self.into_rules()).run(name);
        machine::reset();
        report.note();
        report
    }

    fn check(&self) {
        assert!(!super::is_modelled(), "a model cannot run inside a model");
        let count = self.programs.len();
        assert!((1..=PROCESSES_MAX).contains(&count), "a model has 1 to {PROCESSES_MAX} processes");
        let mut named = self.may_die.iter().chain(&self.may_stop);
        assert!(named.all(|&process| process < count), "may_die and may_stop take numbers of processes");
    }

    fn into_rules(self) -> Rules {
        let world = Rc::new(machine::in_mode(Mode::Building, self.memory));
        let mut regions = Regions { named: Vec::new() };
        regions.add(&*world, "world");
        if let Some(name) = self.regions {
            name(&world, &mut regions);
        }
        machine::with(|machine| {
            machine.tso = self.tso;
            regions.named.into_iter().for_each(|(range, name)| machine.cells.name_region(range, name));
            if self.private_elsewhere {
                machine.cells.set_private_elsewhere();
            }
        });
        let may = |list: &[usize]| (0..self.programs.len()).map(|process| list.contains(&process)).collect();
        Rules {
            may_die: may(&self.may_die),
            deaths: self.deaths.unwrap_or(self.may_die.len()),
            may_stop: may(&self.may_stop),
            stops: self.stops.unwrap_or(self.may_stop.len()),
            patience: self.spin_patience,
            max_states: self.max_states,
            order: self.order,
            walks: self.walks,
            programs: bind_programs(self.programs, &world),
            invariant: self.invariant.map(|check| bind_invariant(check, world.clone())),
            at_end: self.at_end.map(|check| bind_at_end(check, world)),
        }
    }
}

fn bind_programs<T: 'static>(programs: Vec<Program<T>>, world: &Rc<T>) -> Vec<Rc<dyn Fn()>> {
    let bind = |(process, program): (usize, Program<T>)| {
        let world = world.clone();
        Rc::new(move || program(&world, &Context { process })) as Rc<dyn Fn()>
    };
    programs.into_iter().enumerate().map(bind).collect()
}

fn bind_invariant<T: 'static>(check: Invariant<T>, world: Rc<T>) -> InvariantRule {
    Box::new(move || check(&world))
}

fn bind_at_end<T: 'static>(check: AtEnd<T>, world: Rc<T>) -> EndRule {
    Box::new(move |outcome| check(&world, outcome))
}
