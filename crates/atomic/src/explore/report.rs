//! What an exploration found, for people and for tests.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;

/// How a process stood at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Its code returned.
    Finished,
    /// It was killed.
    Dead,
    /// It was stopped for good, and is not dead.
    Stopped,
    /// It waits, spins or sleeps, and nothing will let it go on; what it asks for, in words.
    Blocked(String),
}

/// How everybody stood at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// By process number.
    pub fates: Vec<Fate>,
}

impl Outcome {
    /// Whether the code of `process` returned.
    ///
    /// # Panics
    ///
    /// When there is no such process.
    #[must_use]
    pub fn finished(&self, process: usize) -> bool {
        self.fates[process] == Fate::Finished
    }

    /// Whether `process` was killed.
    ///
    /// # Panics
    ///
    /// When there is no such process.
    #[must_use]
    pub fn dead(&self, process: usize) -> bool {
        self.fates[process] == Fate::Dead
    }

    /// Whether somebody is blocked.
    #[must_use]
    pub fn anybody_blocked(&self) -> bool {
        self.fates.iter().any(|fate| matches!(fate, Fate::Blocked(_)))
    }

    /// `Ok` when nobody is blocked.
    ///
    /// # Errors
    ///
    /// A sentence that names who is blocked, on what.
    pub fn nobody_blocked(&self) -> Result<(), String> {
        if self.anybody_blocked() { Err(format!("nobody can go on: {self}")) } else { Ok(()) }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (process, fate) in self.fates.iter().enumerate() {
            let comma = if process == 0 { "" } else { ", " };
            match fate {
                Fate::Finished => write!(f, "{comma}P{process} finished")?,
                Fate::Dead => write!(f, "{comma}P{process} dead")?,
                Fate::Stopped => write!(f, "{comma}P{process} stopped")?,
                Fate::Blocked(asks) => write!(f, "{comma}P{process} blocked in {asks}")?,
            }
        }
        Ok(())
    }
}

/// A schedule that breaks the model's rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// What is broken.
    pub message: String,
    /// The steps from the start, one a line.
    pub trace: Vec<String>,
}

/// The result of `Model::run`.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// The model's name.
    pub name: String,
    /// Distinct states seen.
    pub states: usize,
    /// Steps taken between states, those into known states included.
    pub steps: usize,
    /// Schedules that were drawn and taken to their end; zero where all were to be seen.
    pub schedules: usize,
    /// Whether every reachable state was seen (false when the bound was hit, or something was found).
    pub complete: bool,
    /// Wall-clock time.
    pub seconds: f64,
    /// The first violation found.
    pub violation: Option<Violation>,
    /// Why the exploration means nothing: a process did not repeat itself when it was given the same answers, or a
    /// checkpoint stood for two local states.
    pub error: Option<String>,
}

impl Report {
    /// Whether every state was seen, and all kept the rules.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.complete && self.violation.is_none() && self.error.is_none()
    }

    /// For tests of what must hold.
    ///
    /// # Panics
    ///
    /// With the report, unless [`Report::holds`].
    #[track_caller]
    pub fn assert_holds(&self) {
        assert!(self.holds(), "{self}");
    }

    /// For tests of what must hold in schedules that were drawn.
    ///
    /// # Panics
    ///
    /// With the report, unless at least `schedules` of them, and one, came to their end and all kept the rules.
    #[track_caller]
    pub fn assert_walked(&self, schedules: usize) {
        let clean = self.violation.is_none() && self.error.is_none();
        assert!(clean && self.schedules >= schedules.max(1), "{self}");
    }

    /// For tests of what must be found.
    ///
    /// # Panics
    ///
    /// With the report, unless there is a violation whose message contains `part`.
    #[track_caller]
    pub fn assert_violated(&self, part: &str) {
        let found = self.violation.as_ref().is_some_and(|violation| violation.message.contains(part));
        assert!(found && self.error.is_none(), "expected a violation that says {part:?}; {self}");
    }
}

impl Report {
    /// Appends the numbers to the file that `WEYR_REPORT` names, for who runs tests with a runner that shows
    /// nothing of those that pass.
    pub(super) fn note(&self) {
        let Some(path) = std::env::var_os("WEYR_REPORT") else { return };
        let Self { name, states, steps, seconds, .. } = self;
        let end = match (&self.error, &self.violation) {
            (Some(error), _) => format!("means nothing: {error}"),
            (None, Some(violation)) => format!("found: {}", violation.message),
            (None, None) if self.complete => "complete".to_owned(),
            (None, None) => "bound hit".to_owned(),
        };
        let end = end.lines().next().unwrap_or_default();
        let line = format!("explore {name}: {states} states, {steps} steps, {seconds:.1} s, {end}\n");
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("the file that WEYR_REPORT names takes a line");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, states, steps, seconds, .. } = self;
        write!(f, "{name}: {states} states, {steps} steps, {seconds:.2} s, ")?;
        if let Some(error) = &self.error {
            return write!(f, "MEANS NOTHING: {error}");
        }
        if self.schedules > 0 {
            write!(f, "{} schedules drawn, ", self.schedules)?;
        }
        let Some(violation) = &self.violation else {
            if self.schedules > 0 {
                return f.write_str("all hold");
            }
            return if self.complete {
                f.write_str("complete, holds")
            } else {
                write!(f, "bounded at {states} states, holds so far")
            };
        };
        write!(f, "VIOLATION: {}", violation.message)?;
        for (number, line) in violation.trace.iter().enumerate() {
            write!(f, "\n  {:>3}  {line}", number + 1)?;
        }
        Ok(())
    }
}
