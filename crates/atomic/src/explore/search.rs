//! The depth-first search over states.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Instant;

use super::crew::Crew;
use super::fingerprint::{Fingerprint, Seen};
use super::local::{LocalIndex, Locals, Segment};
use super::machine::{self, Mode, Said};
use super::operation::{Operation, slept};
use super::report::{Fate, Outcome, Report, Violation};
use super::state::{ProcessState, State, Status};
use super::step::{Effect, Step, execute, offers};
use super::trace;
use super::walk::Walks;
use super::worker::{Worker, message_of};

/// Local states without successor that are rebuilt at the end, to see that processes repeat themselves.
const REPEATED_LEAVES: usize = 20_000;

/// What must hold in every state.
pub(crate) type InvariantRule = Box<dyn Fn() -> Result<(), String>>;
/// What must hold where nobody can go on.
pub(crate) type EndRule = Box<dyn Fn(&Outcome) -> Result<(), String>>;

/// The model, without the type of its world.
pub(crate) struct Rules {
    pub(crate) programs: Vec<Rc<dyn Fn()>>,
    pub(crate) may_die: Vec<bool>,
    pub(crate) deaths: usize,
    pub(crate) may_stop: Vec<bool>,
    pub(crate) stops: usize,
    pub(crate) patience: u32,
    pub(crate) max_states: usize,
    pub(crate) order: u64,
    pub(crate) walks: Option<Walks>,
    pub(crate) invariant: Option<InvariantRule>,
    pub(crate) at_end: Option<EndRule>,
}

/// Why the search stops before it has seen everything.
pub(super) enum Stop {
    /// The model's rules are broken.
    Violated(String),
    /// The exploration means nothing.
    Diverged(String),
    Bound,
}

/// A state on the path from the start, and the ways on that were not taken yet.
pub(super) struct Frame {
    pub(super) state: State,
    pub(super) steps: Vec<Step>,
    /// The step being explored, and the answer that its process got.
    pub(super) taken: Option<(Step, u64)>,
}

/// An exploration under way.
pub(crate) struct Search {
    pub(super) rules: Rules,
    pub(super) locals: Locals,
    pub(super) seen: Seen,
    pub(super) frames: Vec<Frame>,
    pub(super) steps_taken: usize,
    /// Schedules that were drawn.
    pub(super) schedules: usize,
    pub(super) crew: Crew,
}

impl Search {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            locals: Locals::default(),
            seen: Seen::default(),
            frames: Vec::new(),
            steps_taken: 0,
            schedules: 0,
            crew: Crew::default(),
        }
    }

    pub(crate) fn run(mut self, name: String) -> Report {
        let start = Instant::now();
        let mut end = match self.rules.walks {
            Some(walks) => self.walk(walks),
            None => self.explore(),
        };
        if !matches!(end, Err(Stop::Diverged(_))) {
            end = self.repeat_leaves().and(end);
        }
        let mut report = Report {
            name,
            states: self.seen.len(),
            steps: self.steps_taken,
            complete: end.is_ok() && self.rules.walks.is_none(),
            schedules: self.schedules,
            seconds: 0.0,
            violation: None,
            error: None,
        };
        match end {
            Err(Stop::Violated(message)) => {
                report.violation = Some(Violation { message, trace: self.trace() })
            }
            Err(Stop::Diverged(message)) => report.error = Some(message),
            Ok(()) | Err(Stop::Bound) => {}
        }
        report.seconds = start.elapsed().as_secs_f64();
        report
    }

    fn explore(&mut self) -> Result<(), Stop> {
        self.start()?;
        self.visit()?;
        while let Some(frame) = self.frames.last_mut() {
            let Some(step) = frame.steps.pop() else {
                self.frames.pop();
                continue;
            };
            frame.taken = Some((step, 0));
            machine::with(|machine| {
                machine.state.clone_from(&frame.state);
                machine.state.grow(&machine.cells);
            });
            self.steps_taken += 1;
            self.take(step)?;
            self.visit()?;
        }
        Ok(())
    }

    /// Puts every process at its first question.
    pub(super) fn start(&mut self) -> Result<(), Stop> {
        let processes = (0..self.rules.programs.len()).map(|_| ProcessState {
            local: LocalIndex::NONE,
            status: Status::Running,
            patience: self.rules.patience,
            buffer: Vec::new(),
        });
        let processes: Vec<_> = processes.collect();
        machine::with(|machine| machine.state.processes = processes);
        (0..self.rules.programs.len()).try_for_each(|process| {
            let segment = Segment::new(process, Fingerprint::START.with(process as u64));
            machine::with(|machine| (machine.segment, machine.record) = (segment, None));
            let mut worker = self.crew.idle();
            let said = worker.start(process, self.job(process));
            self.settle(process, None, worker, said)
        })
    }

    /// The program of a process, with the point at which it can die after its last access.
    fn job(&self, process: usize) -> Box<dyn FnOnce()> {
        let program = self.rules.programs[process].clone();
        let may_end_early = self.rules.may_die[process] || self.rules.may_stop[process];
        Box::new(move || {
            program();
            if machine::is_process() && may_end_early {
                machine::ask(Operation::Return);
            }
        })
    }

    /// Looks at the machine's state; a new one is checked and put on the path.
    fn visit(&mut self) -> Result<(), Stop> {
        let fingerprint = machine::with(|machine| machine.state.fingerprint(&machine.cells, &self.locals));
        if !self.seen.insert(fingerprint.key()) {
            return Ok(());
        }
        let state = machine::with(|machine| machine.state.clone());
        if let Some(invariant) = &self.rules.invariant {
            oracle(invariant)?;
        }
        let mut steps = self.steps_from(&state)?;
        if self.rules.order != 0 {
            reorder(&mut steps, fingerprint.with(self.rules.order));
        }
        if !steps.iter().any(|step| step.is_progress()) {
            self.check_end(&state)?;
        }
        self.frames.push(Frame { state, steps, taken: None });
        if self.seen.len() >= self.rules.max_states { Err(Stop::Bound) } else { Ok(()) }
    }

    pub(super) fn check_end(&self, state: &State) -> Result<(), Stop> {
        let Some(at_end) = &self.rules.at_end else { return Ok(()) };
        let outcome = Outcome { fates: state.processes.iter().map(|process| self.fate(process)).collect() };
        oracle(|| at_end(&outcome))
    }

    fn fate(&self, process: &ProcessState) -> Fate {
        match process.status {
            Status::Finished => Fate::Finished,
            Status::Dead => Fate::Dead,
            Status::Stopped | Status::StoppedAsleep(_) => Fate::Stopped,
            Status::Running | Status::Sleeping(_) => {
                Fate::Blocked(trace::describe(self.locals.next(process.local)))
            }
        }
    }

    /// All ways on from the machine's state, the last to be taken first.
    pub(super) fn steps_from(&mut self, state: &State) -> Result<Vec<Step>, Stop> {
        let mut steps = Vec::new();
        let (dead, stopped) = (state.deaths(), state.stops());
        for (index, process) in state.processes.iter().enumerate().rev() {
            // Who dies or stops with stores in the buffer is seen by nobody before they have landed, so the same
            // happens when they land first.
            let may_end = process.is_alive() && process.buffer.is_empty();
            if may_end && self.rules.may_die[index] && dead < self.rules.deaths {
                steps.push(Step::Die(index));
            }
            if may_end && self.rules.may_stop[index] && stopped < self.rules.stops {
                steps.push(Step::Stop(index));
            }
            if !process.buffer.is_empty() {
                steps.push(Step::Drain(index));
            }
            self.add_own_steps(state, index, &mut steps)?;
        }
        Ok(steps)
    }

    fn add_own_steps(&mut self, state: &State, index: usize, steps: &mut Vec<Step>) -> Result<(), Stop> {
        let process = &state.processes[index];
        if !process.is_alive() {
            return Ok(());
        }
        let operation = self.locals.next(process.local);
        match (process.status, operation) {
            (Status::Sleeping(_), Operation::Sleep { may_time_out: true, .. }) => {
                steps.push(Step::TimeOut(index))
            }
            (Status::Sleeping(_), _) => {}
            (_, Operation::Wait(_)) if self.condition_holds(index, process.local)? => {
                steps.push(Step::Run(index))
            }
            _ => offers(state, index, operation, steps),
        }
        Ok(())
    }

    /// Whether the condition that the process waits for holds in the machine's state.
    fn condition_holds(&mut self, index: usize, local: LocalIndex) -> Result<bool, Stop> {
        let known = machine::with(|machine| self.locals.remembered(local, |read| machine.look(index, read)));
        if let Some(holds) = known {
            return Ok(holds);
        }
        let mut worker = self.worker_at(local)?;
        machine::with(|machine| machine.reads.clear());
        match worker.evaluate(index) {
            Said::Evaluated(holds) => {
                let reads = machine::with(|machine| std::mem::take(&mut machine.reads));
                self.locals.remember(local, reads, holds);
                self.crew.keep(local, worker);
                Ok(holds)
            }
            said => Err(unexpected(index, said)),
        }
    }

    /// Takes a step in the machine's state.
    pub(super) fn take(&mut self, step: Step) -> Result<(), Stop> {
        let process = step.process();
        match step {
            Step::Run(_) => self.run_operation(process),
            Step::Choose(_, choice) => self.advance(process, choice.into()),
            Step::Wake(_, sleepers) => self.wake(process, sleepers),
            Step::TimeOut(_) => self.end_sleep(process, slept::TIMED_OUT),
            Step::Drain(_) => {
                machine::with(|machine| machine.state.drain_one(process, self.rules.patience));
                Ok(())
            }
            Step::Die(_) => self.end(process, Status::Dead),
            Step::Stop(_) => self.stop(process),
        }
    }

    fn run_operation(&mut self, process: usize) -> Result<(), Stop> {
        let local = machine::with(|machine| machine.state.processes[process].local);
        let operation = self.locals.next(local);
        match machine::with(|machine| execute(machine, process, operation, self.rules.patience)) {
            Effect::Answer(answer) => self.advance(process, answer),
            Effect::Sleeps => Ok(()),
        }
    }

    fn wake(&mut self, waker: usize, sleepers: u64) -> Result<(), Stop> {
        for sleeper in (0..64).filter(|sleeper| sleepers & 1 << sleeper != 0) {
            match machine::with(|machine| machine.state.processes[sleeper].status) {
                Status::StoppedAsleep(_) => self.end(sleeper, Status::Stopped)?,
                _ => self.end_sleep(sleeper, slept::WOKEN)?,
            }
        }
        self.advance(waker, sleepers.count_ones().into())
    }

    fn end_sleep(&mut self, process: usize, answer: u64) -> Result<(), Stop> {
        machine::with(|machine| machine.state.processes[process].status = Status::Running);
        self.advance(process, answer)
    }

    fn stop(&mut self, process: usize) -> Result<(), Stop> {
        let status = match machine::with(|machine| machine.state.processes[process].status) {
            Status::Sleeping(cell) => Status::StoppedAsleep(cell),
            _ => Status::Stopped,
        };
        self.end(process, status)
    }

    fn end(&mut self, process: usize, status: Status) -> Result<(), Stop> {
        machine::with(|machine| {
            machine.state.processes[process].end(status);
            if status == Status::Dead {
                machine.state.refresh_others(process, self.rules.patience);
            }
        });
        Ok(())
    }

    /// Gives `process` its answer and brings it to its next question, running its code only when that is not known.
    fn advance(&mut self, process: usize, answer: u64) -> Result<(), Stop> {
        if let Some(Frame { taken: Some((step, shown)), .. }) = self.frames.last_mut()
            && step.process() == process
        {
            *shown = answer;
        }
        let local = machine::with(|machine| machine.state.processes[process].local);
        if let Some(successor) = self.locals.successor(local, answer) {
            self.place(process, successor);
            return Ok(());
        }
        let mut worker = self.worker_at(local)?;
        let segment = Segment::new(process, self.locals.fingerprint(local).with(answer));
        machine::with(|machine| (machine.segment, machine.record) = (segment, None));
        let said = worker.answer(process, answer);
        self.settle(process, Some((local, answer)), worker, said)
    }

    /// Notes where `process` stands after its code has run.
    fn settle(
        &mut self,
        process: usize,
        from: Option<(LocalIndex, u64)>,
        worker: Worker,
        said: Said,
    ) -> Result<(), Stop> {
        let next = match said {
            Said::Asks(operation) => operation,
            Said::Finished => Operation::Finished,
            said => return Err(unexpected(process, said)),
        };
        let empty = Segment::new(process, Fingerprint::START);
        let segment = machine::with(|machine| std::mem::replace(&mut machine.segment, empty));
        let local = self.locals.enter(from, segment, next).map_err(Stop::Diverged)?;
        self.crew.keep(local, worker);
        self.place(process, local);
        Ok(())
    }

    fn place(&mut self, process: usize, local: LocalIndex) {
        let finished = self.locals.next(local) == Operation::Finished;
        machine::with(|machine| {
            let here = &mut machine.state.processes[process];
            if finished {
                here.end(Status::Finished);
            } else {
                here.local = local;
            }
        });
    }

    /// A coroutine that stands at `local`: a kept one, or a new one that is fed the record.
    fn worker_at(&mut self, local: LocalIndex) -> Result<Worker, Stop> {
        if let Some(worker) = self.crew.take(local) {
            return Ok(worker);
        }
        let process = self.locals.process(local);
        let record = self.locals.record(local);
        machine::with(|machine| machine.record = Some(record.into_iter()));
        let mut worker = self.crew.idle();
        let said = worker.start(process, self.job(process));
        machine::with(|machine| machine.record = None);
        let expected = match self.locals.next(local) {
            Operation::Finished => Said::Finished,
            operation => Said::Asks(operation),
        };
        if said == expected { Ok(worker) } else { Err(not_repeated(process, &expected, said)) }
    }

    /// Rebuilds local states at which the search ended: each process must ask again what it asked.
    fn repeat_leaves(&mut self) -> Result<(), Stop> {
        for local in self.locals.leaves(REPEATED_LEAVES) {
            if let Some(worker) = self.crew.take(local) {
                self.crew.release(worker);
            }
            let worker = self.worker_at(local)?;
            self.crew.release(worker);
        }
        Ok(())
    }

    /// The path in words.
    fn trace(&self) -> Vec<String> {
        let taken = self.frames.iter().filter_map(|frame| frame.taken.map(|taken| (&frame.state, taken)));
        taken.map(|(state, (step, answer))| trace::line(&self.locals, state, step, answer)).collect()
    }
}

/// Shuffles steps, the last to be taken first. Deaths and stops mostly come last: else nobody would get far.
fn reorder(steps: &mut [Step], mut random: Fingerprint) {
    steps.sort_by_cached_key(|step| {
        random = random.with(1);
        let drawn = random.key() as u64;
        if step.is_progress() || drawn.is_multiple_of(16) { drawn } else { 0 }
    });
}

/// Runs a rule on a copy of the machine's state.
pub(super) fn oracle(check: impl Fn() -> Result<(), String>) -> Result<(), Stop> {
    let (saved, cells) = machine::with(|machine| (machine.state.clone(), machine.cells.len()));
    let result = machine::in_mode(Mode::Oracle, || catch_unwind(AssertUnwindSafe(&check)));
    machine::with(|machine| {
        machine.state = saved;
        machine.cells.truncate(cells);
    });
    match result {
        Ok(verdict) => verdict.map_err(Stop::Violated),
        Err(payload) => Err(Stop::Violated(format!("a rule panicked: {}", message_of(payload.as_ref())))),
    }
}

fn unexpected(process: usize, said: Said) -> Stop {
    match said {
        Said::Panicked(message) => Stop::Violated(format!("P{process} panicked: {message}")),
        said => Stop::Diverged(format!("P{process} did not repeat itself: {said:?}")),
    }
}

fn not_repeated(process: usize, expected: &Said, said: Said) -> Stop {
    let did = match said {
        Said::Diverged(what) => what,
        said => format!("{said:?} where {expected:?} was recorded"),
    };
    Stop::Diverged(format!("P{process} did not repeat itself when it was given the same answers: {did}"))
}
