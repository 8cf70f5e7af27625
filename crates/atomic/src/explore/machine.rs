//! What stands behind the atomics of this thread: the current state, and who is looking at it.
//!
//! Atomics, ghosts and hints come here. In a model process an access becomes a question to the scheduler (or is
//! answered from the record while a coroutine is rebuilt); in an oracle it is answered from the state at once; outside
//! a model it goes to the real atomic.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::cells::Cells;
use super::fingerprint::Fingerprint;
use super::ghost::{GhostValue, Recorded};
use super::local::{Fed, Read, Segment};
use super::operation::{Access, CellIndex, Change, Operation};
use super::state::{GhostState, State};
use super::worker;

/// Who is running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// No model, or the scheduler itself: atomics are real.
    Outside,
    /// The closure that makes the world: atomics are real, ghosts may be created.
    Building,
    /// A model process.
    Process(usize),
    /// A ghost closure of a process: reads memory, changes ghosts.
    Ghost(usize),
    /// The condition of a waiting process: reads, and what it read is kept.
    Condition(usize),
    /// `invariant` or `at_end`: may change memory, on a copy that is thrown away.
    Oracle,
    /// A process that is being taken away.
    Unwinding,
}

/// What the scheduler tells the coroutine that it resumes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Answer(u64),
    Evaluate,
    Abandon,
}

/// What a coroutine says when it gives the processor back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Nothing,
    Asks(Operation),
    Evaluated(bool),
    Finished,
    Abandoned,
    Panicked(String),
    Diverged(String),
}

/// Accesses after which the destructors of a process are taken to loop.
const SWALLOWED_MAX: u32 = 1_000_000;

/// The payload with which an abandoned process unwinds.
pub(crate) struct Abandoned;
/// The payload with which a process unwinds that did not repeat itself.
pub(crate) struct Diverged(pub(crate) String);

/// The state behind the atomics of this thread.
pub(crate) struct Machine {
    pub(crate) mode: Mode,
    /// Stack of the coroutine that runs; atomics on it are its own.
    pub(crate) stack: Range<usize>,
    pub(crate) cells: Cells,
    pub(crate) state: State,
    /// Stores go through buffers.
    pub(crate) tso: bool,
    /// What the coroutine that is being rebuilt still gets from the record; `None`: it runs for the first time.
    pub(crate) record: Option<std::vec::IntoIter<Fed>>,
    pub(crate) segment: Segment,
    pub(crate) order: Order,
    pub(crate) said: Said,
    /// Accesses of destructors since the last coroutine was resumed.
    pub(crate) swallowed: u32,
    /// What the condition that is being evaluated has looked at.
    pub(crate) reads: Vec<(Read, u128)>,
}

impl Machine {
    fn new() -> Self {
        Self {
            mode: Mode::Outside,
            stack: 0..0,
            cells: Cells::default(),
            state: State::default(),
            tso: false,
            record: None,
            segment: Segment::new(0, Fingerprint::START),
            order: Order::Abandon,
            said: Said::Nothing,
            swallowed: 0,
            reads: Vec::new(),
        }
    }

    /// The value behind a `Read`, as process `index` sees it.
    pub(crate) fn look(&self, index: usize, read: Read) -> u128 {
        match read {
            Read::Cell(cell) => u128::from(self.state.value_seen_by(index, cell)),
            Read::Ghost(ghost) => self.state.ghosts[ghost].fingerprint.key(),
            Read::Dead(process) => u128::from(self.state.is_dead(process)),
        }
    }

    /// Keeps what a condition looks at.
    fn note(&mut self, read: Read) {
        if let Mode::Condition(index) = self.mode {
            self.reads.push((read, self.look(index, read)));
        }
    }

    fn turn(
        &mut self,
        address: usize,
        size_bytes: usize,
        initial: impl FnOnce() -> u64,
        access: Access,
    ) -> Turn {
        match self.mode {
            Mode::Outside | Mode::Building => return Turn::Real,
            _ if self.stack.contains(&address) => return Turn::Real,
            _ => {}
        }
        let cell = match self.cells.index(address, size_bytes, initial) {
            Err(message) => return Turn::Refused(message),
            Ok(None) => return Turn::Real,
            Ok(Some(cell)) => cell,
        };
        self.state.grow(&self.cells);
        match self.mode {
            Mode::Process(_) => Turn::Ask(Operation::Access(cell, access)),
            _ => self.observe(cell, access),
        }
    }

    fn observe(&mut self, cell: CellIndex, access: Access) -> Turn {
        self.note(Read::Cell(cell));
        let value = match self.mode {
            Mode::Ghost(process) | Mode::Condition(process) => self.state.value_seen_by(process, cell),
            _ => self.state.value(cell),
        };
        let written = match access {
            Access::Load => return Turn::Answered(value),
            Access::Store { value, .. } => value,
            Access::Change(change) => change.applied_to(value) & self.cells.mask(cell),
        };
        if self.mode != Mode::Oracle {
            return Turn::Refused("a ghost closure or a condition must not write to atomics".into());
        }
        self.state.memory[cell.0 as usize] = written;
        Turn::Answered(value)
    }

    /// The next entry of the record for what the process does now.
    fn fed(&mut self) -> Next {
        match &mut self.record {
            None => Next::Live,
            Some(record) => record.next().map_or(Next::End, Next::Fed),
        }
    }
}

/// What becomes of an access.
enum Turn {
    Real,
    Answered(u64),
    Ask(Operation),
    Refused(String),
}

enum Next {
    /// The process runs for the first time.
    Live,
    Fed(Fed),
    /// The coroutine stands where it was to be rebuilt.
    End,
}

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::new(Machine::new());
}

/// Uses the machine of this thread; `f` calls no closure of the user.
pub(crate) fn with<R>(f: impl FnOnce(&mut Machine) -> R) -> R {
    MACHINE.with_borrow_mut(f)
}

/// Forgets everything about the last model.
pub(crate) fn reset() {
    with(|machine| *machine = Machine::new());
}

/// Runs a user's closure in another mode.
pub(crate) fn in_mode<R>(mode: Mode, f: impl FnOnce() -> R) -> R {
    let former = with(|machine| std::mem::replace(&mut machine.mode, mode));
    let result = f();
    with(|machine| machine.mode = former);
    result
}

/// Who is calling. `Unwinding` is a destructor that runs while its process is taken away or panics; a process that
/// has caught its own end does not come back from here.
pub(crate) fn mode() -> Mode {
    let mode = with(|machine| machine.mode);
    if matches!(mode, Mode::Outside | Mode::Building) {
        return mode;
    }
    if std::thread::panicking() {
        count_swallowed();
        return Mode::Unwinding;
    }
    if mode == Mode::Unwinding { abandon() } else { mode }
}

fn count_swallowed() {
    let count = with(|machine| {
        machine.swallowed += 1;
        machine.swallowed
    });
    assert!(count < SWALLOWED_MAX, "a destructor loops while its process is taken away");
}

/// What an access of such a destructor answers: nothing changes, and exchanges succeed.
fn swallowed(access: Access) -> u64 {
    match access {
        Access::Change(Change::Exchange { current, .. }) => current,
        _ => 0,
    }
}

pub(crate) fn is_process() -> bool {
    matches!(mode(), Mode::Process(_))
}

/// One access of an atomic; `None`: it is the real one's.
pub(crate) fn access(
    address: usize,
    size_bytes: usize,
    initial: impl FnOnce() -> u64,
    access: Access,
) -> Option<u64> {
    if mode() == Mode::Unwinding {
        return Some(swallowed(access));
    }
    match with(|machine| machine.turn(address, size_bytes, initial, access)) {
        Turn::Real => None,
        Turn::Answered(value) => Some(value),
        Turn::Ask(operation) => Some(ask(operation)),
        Turn::Refused(message) => panic!("{message}"),
    }
}

/// The cell of an atomic, for a futex call.
///
/// # Panics
///
/// When it is private to the process, or overlaps another.
pub(crate) fn cell(address: usize, size_bytes: usize, initial: impl FnOnce() -> u64) -> CellIndex {
    let cell = with(|machine| machine.cells.index(address, size_bytes, initial));
    let cell =
        cell.unwrap_or_else(|message| panic!("{message}")).expect("a futex word lies in a shared region");
    with(|machine| machine.state.grow(&machine.cells));
    cell
}

/// Asks the scheduler, or the record; a process that is to go away does not come back from here.
pub(crate) fn ask(operation: Operation) -> u64 {
    match with(Machine::fed) {
        Next::Fed(Fed::Answer(asked, answer)) if asked == operation => answer,
        Next::Fed(other) => diverge(format!("{operation:?} where {other:?} was recorded")),
        Next::Live | Next::End => match say(Said::Asks(operation)) {
            Order::Answer(answer) => answer,
            Order::Evaluate | Order::Abandon => abandon(),
        },
    }
}

/// `wait_until`: answered once `condition` holds.
pub(crate) fn wait(label: &'static str, mut condition: impl FnMut() -> bool) {
    let operation = Operation::Wait(label);
    match with(Machine::fed) {
        Next::Fed(Fed::Answer(asked, _)) if asked == operation => return,
        Next::Fed(other) => diverge(format!("{operation:?} where {other:?} was recorded")),
        Next::Live | Next::End => {}
    }
    let mut order = say(Said::Asks(operation));
    while order == Order::Evaluate {
        let holds = condition();
        order = say(Said::Evaluated(holds));
    }
    if order == Order::Abandon {
        abandon();
    }
}

/// Gives the processor back to the scheduler, and returns what it orders.
fn say(said: Said) -> Order {
    with(|machine| machine.said = said);
    worker::suspend();
    with(|machine| machine.order)
}

fn abandon() -> ! {
    std::panic::resume_unwind(Box::new(Abandoned))
}

fn diverge(what: String) -> ! {
    std::panic::resume_unwind(Box::new(Diverged(what)))
}

/// Runs `f` once, without a scheduling point, and records what it returns.
pub(crate) fn ghost<R: Recorded>(f: impl FnOnce() -> R) -> R {
    let process = match mode() {
        Mode::Process(process) => process,
        Mode::Unwinding => return R::from_word(0),
        _ => return f(),
    };
    match with(Machine::fed) {
        Next::Fed(Fed::Ghost(word)) => R::from_word(word),
        Next::Fed(other) => diverge(format!("a ghost closure where {other:?} was recorded")),
        Next::End => diverge("a ghost closure where none was recorded".into()),
        Next::Live => {
            let word = in_mode(Mode::Ghost(process), f).to_word();
            with(|machine| {
                machine.segment.ghosted = true;
                machine.segment.ghosts.push(word);
                machine.segment.fingerprint = machine.segment.fingerprint.with(word);
            });
            R::from_word(word)
        }
    }
}

/// Names the local state of the running process by a number.
pub(crate) fn checkpoint(number: u64) {
    let Mode::Process(process) = mode() else { return };
    with(|machine| {
        machine.segment.fingerprint = Fingerprint::START.with(!0).with(process as u64).with(number);
        machine.segment.checkpoint = Some(number);
    });
}

/// `is_dead` of an oracle.
pub(crate) fn observe_dead(process: usize) -> bool {
    with(|machine| {
        machine.note(Read::Dead(process));
        machine.state.is_dead(process)
    })
}

/// Adds a ghost to the first state; its index.
pub(crate) fn add_ghost(value: Rc<dyn GhostValue>, fingerprint: Fingerprint) -> usize {
    with(|machine| {
        assert!(machine.mode == Mode::Building, "Ghost::new outside the closure given to Model::memory");
        machine.state.ghosts.push(GhostState { value, fingerprint });
        machine.state.ghosts.len() - 1
    })
}

pub(crate) fn set_ghost(index: usize, value: Rc<dyn GhostValue>, fingerprint: Fingerprint) {
    with(|machine| {
        let may_change = !matches!(machine.mode, Mode::Condition(_));
        assert!(may_change, "the condition of wait_until must not change a ghost");
        machine.state.ghosts[index] = GhostState { value, fingerprint };
    });
}

pub(crate) fn ghost_value(index: usize) -> Rc<dyn GhostValue> {
    with(|machine| {
        machine.note(Read::Ghost(index));
        let ghost = machine.state.ghosts.get(index);
        ghost.expect("a ghost used outside the model that it was created for").value.clone()
    })
}
