//! Death, or a stop, at each instruction of an operation.
//!
//! The idea: an operation is looked through once, by single steps, to learn after which of them the shared bytes
//! are others than before. Nobody but the process itself can tell two deaths apart between which no byte changed, so
//! only the points where bytes change are run: the segment is put back, a fresh child steps to the point and is
//! killed there, and the test looks at what the others find.
//!
//! A second run of the same operation need not take the same steps (an address, a process id, a time differs), so a
//! point is named by how many times the bytes had changed, not by its step. A run that makes the known writes at
//! the known steps is believed; else its changes are counted, with a look at the segment at each instruction that is
//! known to have changed it in any run. That an instruction is about to write is not seen before it has: to stand right
//! before a write, the step is made, and taken back (registers and bytes).
//!
//! Source: *Dragon* and *UMF* have nothing like it; the method is that of crash-consistency tests of databases
//! (stop at the n-th write), at the grain of the machine's instructions.
//!
//! What it does *not* do: it does not look for deaths of two processes at once; let `after` kill another.

use std::{
    any::Any,
    collections::HashSet,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use crate::{
    Child, Choice, Error, Failure, Image, Moment, Outcome, Place, Point, Report, Segment,
    affinity::Pinned,
    path::{Path, Write},
    trace::Traced,
    walk::{Walk, Walked},
};

/// What happens to the process at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// SIGKILL; it is reaped before `after` is called.
    Kill,
    /// SIGKILL; it is a zombie while `after` is called.
    KillUnreaped,
    /// SIGSTOP; `after` is called while it stands, then it is killed, reaped, and `after` called again.
    StopThenKill,
    /// SIGSTOP; `after` is called while it stands, then it goes on, must reach its end, and `after` is called again.
    StopThenContinue,
}

/// Which instruction boundaries are points, besides the start and the end of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Points {
    /// Right after each write. For deaths, all there is.
    AfterWrites,
    /// Right before each write, when all that was read for it is as old as it can get. For processes that go on.
    BeforeWrites,
    /// Both.
    AroundWrites,
    /// Every one.
    Instructions,
}

/// A sweep to be run. Without further words it kills after each write, and runs every point.
pub struct Sweep<'a> {
    name: String,
    segment: &'a dyn Segment,
    mode: Mode,
    points: Points,
    choice: Choice,
    floor: usize,
    varying: bool,
    limit_steps: u64,
    limit_seconds: u32,
}

/// What the report is called, and which points are run how.
type Way = (String, (Mode, Points, Choice));

/// What earlier runs of the operation showed.
struct Known<'p> {
    /// The first of them.
    path: &'p Path,
    /// No run has left it yet.
    believed: bool,
    /// The instructions that changed the segment in any of them.
    writers: HashSet<u64>,
}

/// A re-run that leaves the path of the first run is tried this often.
const TRIES: usize = 20;

impl<'a> Sweep<'a> {
    /// A sweep over an operation that changes `segment`; `name` is for the report.
    #[must_use]
    pub fn new(name: impl Into<String>, segment: &'a dyn Segment) -> Self {
        Self {
            name: name.into(),
            segment,
            mode: Mode::Kill,
            points: Points::AfterWrites,
            choice: Choice::All,
            floor: 0,
            varying: false,
            limit_steps: 2_000_000,
            limit_seconds: 300,
        }
    }

    /// What happens to the process.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Which boundaries are points.
    #[must_use]
    pub fn points(self, points: Points) -> Self {
        Self { points, ..self }
    }

    /// Which of the points are run.
    #[must_use]
    pub fn choose(self, choice: Choice) -> Self {
        Self { choice, ..self }
    }

    /// Fewer distinct points than this are a failure: the operation was not what the test took it for. A sample
    /// does not lower it.
    #[must_use]
    pub fn floor(self, points: usize) -> Self {
        Self { floor: points, ..self }
    }

    /// The operation makes now more writes and now fewer, for others act in the middle of it: a point to which no run
    /// comes is not counted, instead of being a failure. The floor holds for those that are.
    #[must_use]
    pub fn varying(self) -> Self {
        Self { varying: true, ..self }
    }

    /// An operation of more steps than this gives [`Error::TooLong`]. 2,000,000 by default.
    #[must_use]
    pub fn limit_steps(self, steps: u64) -> Self {
        Self { limit_steps: steps, ..self }
    }

    /// A child that lives longer than this many seconds gives [`Error::Hung`], or a failure where it was to go on.
    /// 300 by default. It is a guard against waiting for ever, not a measure of anything.
    #[must_use]
    pub fn limit_seconds(self, seconds: u32) -> Self {
        Self { limit_seconds: seconds, ..self }
    }

    /// Runs the sweep. Blocks until it is through; the segment's bytes are at the end what they were before.
    ///
    /// `prepare` and `operation` run in a forked child, `prepare` at full speed. What `prepare` returns is not
    /// dropped. `after` runs here, at each point, with the moments that the mode has; its message, or its panic, is
    /// a failure of the point. It must leave nothing attached to the segment, which is put back under it.
    ///
    /// # Errors
    /// The sweep could not be carried out: [`Error`] says why. The segment may then be in any state.
    pub fn run<T>(
        &self,
        prepare: impl Fn() -> T,
        operation: impl Fn(&mut T),
        after: impl FnMut(&Point) -> Result<(), String>,
    ) -> Result<Report, Error> {
        let ways = [(self.name.clone(), (self.mode, self.points, self.choice))];
        Ok(self.go(&ways, &prepare, &operation, after)?.remove(0))
    }

    /// As [`run`](Self::run), in each of these modes, with its points and a choice of them, one after the other, and
    /// with one look through the operation for all. A report for each; its name says which.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_each<T>(
        &self,
        ways: &[(Mode, Points, Choice)],
        prepare: impl Fn() -> T,
        operation: impl Fn(&mut T),
        after: impl FnMut(&Point) -> Result<(), String>,
    ) -> Result<Vec<Report>, Error> {
        let name = |(mode, points, _): &(Mode, Points, _)| format!("{}, {mode:?} {points:?}", self.name);
        let ways: Vec<Way> = ways.iter().map(|way| (name(way), *way)).collect();
        self.go(&ways, &prepare, &operation, after)
    }

    fn go<T>(
        &self,
        ways: &[Way],
        prepare: &impl Fn() -> T,
        operation: &impl Fn(&mut T),
        mut after: impl FnMut(&Point) -> Result<(), String>,
    ) -> Result<Vec<Report>, Error> {
        if cfg!(not(target_arch = "x86_64")) {
            return Err(Error::Unsupported);
        }
        let mut started = Instant::now();
        let image = self.segment.save().map_err(Error::io("save the segment"))?;
        let path = self.look_through(prepare, operation)?;
        let mut known = Known { writers: path.writers(), believed: true, path: &path };
        let mut reports = Vec::new();
        for (name, (mode, points, choice)) in ways {
            let points = path.points(*points, *mode);
            let chosen = choice.of(points.len());
            let (mut failures, mut missed) = (Vec::new(), 0);
            for point in chosen.iter().map(|index| &points[*index]) {
                let process = (prepare, operation);
                match self.visit(*mode, point, &image, &mut known, process, &mut after)? {
                    Some(found) => failures.extend(found),
                    None if self.varying => missed += 1,
                    None => failures.push(not_reached(point)),
                }
            }
            failures.extend(self.too_few(points.len() - missed));
            self.put_back(&image)?;
            let report = Report {
                name: name.clone(),
                steps: path.steps,
                points_distinct: points.len() - missed,
                points_run: chosen.len() - missed,
                skipped: (path.steps + 1).saturating_sub(points.len() as u64),
                took: started.elapsed(),
                failures,
            };
            started = Instant::now();
            crate::notes::append(&report).map_err(Error::io("append to the file that WEYR_REPORT names"))?;
            reports.push(report);
        }
        Ok(reports)
    }

    fn too_few(&self, points: usize) -> Vec<Failure> {
        if points >= self.floor {
            return Vec::new();
        }
        let message = format!("{points} distinct points, and at least {} were expected", self.floor);
        vec![Failure { point: None, message }]
    }

    fn put_back(&self, image: &Image) -> Result<(), Error> {
        self.segment.restore(image).map_err(Error::io("put the segment back"))
    }

    /// The first pass: every step of the operation, and which of them changed the segment.
    fn look_through<T>(&self, prepare: &impl Fn() -> T, operation: &impl Fn(&mut T)) -> Result<Path, Error> {
        let _pinned = Pinned::here();
        let mut walk = self.start(prepare, operation)?;
        let mut path = Path::default();
        loop {
            let address = walk.traced.next_instruction()?;
            match walk.step()? {
                Walked::Changed => path.writes.push(Write { step: walk.traced.steps(), address }),
                Walked::AtEnd => break,
                _ => {}
            }
        }
        path.steps = walk.traced.steps();
        Ok(path)
    }

    fn start<'w, T>(
        &'w self,
        prepare: &impl Fn() -> T,
        operation: &impl Fn(&mut T),
    ) -> Result<Walk<'w>, Error> {
        let traced = Traced::start(prepare, operation, self.limit_seconds)?;
        Walk::new(traced, self.segment, self.limit_steps)
    }

    /// One point: put the segment back, bring a child there, and let `after` look. Gives what is wrong;
    /// none if no run came there.
    fn visit<T>(
        &self,
        mode: Mode,
        point: &Point,
        image: &Image,
        known: &mut Known<'_>,
        (prepare, operation): (&impl Fn() -> T, &impl Fn(&mut T)),
        after: &mut impl FnMut(&Point) -> Result<(), String>,
    ) -> Result<Option<Vec<Failure>>, Error> {
        for attempt in 0..TRIES {
            self.put_back(image)?;
            if attempt > 1 {
                // The children inherit what `after` did to this process's own memory, and may write elsewhere.
                known.writers.extend(self.look_through(prepare, operation)?.writers());
                self.put_back(image)?;
            }
            if let Some(traced) = self.walk_to(point.place, known, prepare, operation)? {
                return strike(mode, traced, point, after).map(Some);
            }
            known.believed = false;
        }
        Ok(None)
    }

    /// None if the operation took another way, and has no such place.
    fn walk_to<T>(
        &self,
        place: Place,
        known: &Known<'_>,
        prepare: &impl Fn() -> T,
        operation: &impl Fn(&mut T),
    ) -> Result<Option<Traced>, Error> {
        let _pinned = Pinned::here();
        let mut walk = self.start(prepare, operation)?;
        let arrived = match place {
            Place::BeforeFirst => true,
            Place::AfterLast => walk.traced.run_to_end().map(|()| true)?,
            _ if known.believed => walk.retrace(place, &known.path.writes)?,
            _ => walk.seek(place, &known.writers)?,
        };
        Ok(arrived.then_some(walk.traced))
    }
}

/// Does to the process what the mode says, and lets `after` look.
fn strike(
    mode: Mode,
    traced: Traced,
    point: &Point,
    after: &mut impl FnMut(&Point) -> Result<(), String>,
) -> Result<Vec<Failure>, Error> {
    let mut failures = Vec::new();
    let mut look = |moment| {
        let point = Point { moment, ..point.clone() };
        let looked = catch_unwind(AssertUnwindSafe(|| after(&point)));
        if let Err(message) = looked.unwrap_or_else(|panic| Err(message_of(&*panic))) {
            failures.push(Failure { point: Some(point), message });
        }
    };
    match mode {
        Mode::Kill => {
            kill(&mut traced.into_child())?;
            look(Moment::Died);
        }
        Mode::KillUnreaped => {
            let child = traced.into_child();
            child.kill().and_then(|()| child.wait_dead()).map_err(Error::io("kill the child"))?;
            look(Moment::Died);
        }
        Mode::StopThenKill => {
            let mut child = traced.leave_stopped()?;
            look(Moment::Stopped);
            kill(&mut child)?;
            look(Moment::Ended);
        }
        Mode::StopThenContinue => {
            let mut child = traced.leave_stopped()?;
            look(Moment::Stopped);
            let outcome = go_on(&mut child).map_err(Error::io("let the child go on"))?;
            look(Moment::Ended);
            failures.extend(unless_at_end(outcome, point));
        }
    }
    Ok(failures)
}

/// What a panic of `after` said, so that an assertion in it is a failure of its point, and the others are run.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("after panicked").to_owned()
}

fn kill(child: &mut Child) -> Result<(), Error> {
    child.kill().and_then(|()| child.wait()).map_err(Error::io("kill the child"))?;
    Ok(())
}

/// Lets a stopped child run to its end, where it stops itself once more.
fn go_on(child: &mut Child) -> io::Result<Outcome> {
    loop {
        child.cont()?;
        if child.wait_for(rustix::process::WaitOptions::UNTRACED)?.is_none() {
            return child.wait();
        }
    }
}

fn not_reached(point: &Point) -> Failure {
    let message = format!("not reached in {TRIES} runs: the operation takes another way each time");
    Failure { point: Some(point.clone()), message }
}

fn unless_at_end(outcome: Outcome, point: &Point) -> Option<Failure> {
    if outcome == Outcome::Exited(0) {
        return None;
    }
    let point = Point { moment: Moment::Ended, ..point.clone() };
    Some(Failure { point: Some(point), message: format!("it went on, and did not reach its end: {outcome}") })
}
