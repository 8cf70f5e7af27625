//! Where in an operation a process ended or stood.

use std::{fmt, path::Path, ptr::without_provenance_mut};

/// What happened to the process at the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It was killed, and reaped if the mode reaps.
    Died,
    /// It stands there by SIGSTOP, and still has all it had.
    Stopped,
    /// It stood there, and has since gone on to its end or was killed, as the mode says.
    Ended,
}

/// Which part of the operation had been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing.
    BeforeFirst,
    /// Everything up to the n-th write (counted from 1) and this many steps behind it (0: not one). The writes
    /// counted are those after which the segment's bytes were others than before.
    Behind {
        /// The write; 0 is the start of the operation.
        write: usize,
        /// Steps behind it that changed nothing. A run that comes to its next write in fewer stands right before that.
        steps: u64,
    },
    /// Everything up to the n-th write, and not that one: it is what the next step carries out.
    Before {
        /// The write, counted from 1.
        write: usize,
    },
    /// All of it.
    AfterLast,
}

/// One point of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its number among the points of the sweep, from 0.
    pub index: usize,
    /// How much of the operation had been carried out.
    pub place: Place,
    /// Steps that it took to come here when the operation was first looked through. A later run of the same
    /// operation may take others; the place counts.
    pub step: u64,
    /// What happened to the process.
    pub moment: Moment,
    /// The last instruction that changed the segment.
    pub(crate) written_by: Option<u64>,
}

impl Point {
    /// The source line of the last instruction that changed the segment, where the program has line tables: the
    /// innermost frame that is not the standard library's or a dependency's.
    #[must_use]
    pub fn source(&self) -> Option<String> {
        let address = usize::try_from(self.written_by?).ok()?;
        let mut ours = None;
        let mut any = None;
        backtrace::resolve(without_provenance_mut(address), |symbol| {
            let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno()) else { return };
            let text = format!("{}:{line}", file.display());
            if ours.is_none() && !is_foreign(file) {
                ours = Some(text.clone());
            }
            any.get_or_insert(text);
        });
        ours.or(any)
    }
}

/// Sources of the standard library are named below `/rustc/`, those of dependencies below the registry.
fn is_foreign(file: &Path) -> bool {
    file.starts_with("/rustc") || file.components().any(|part| part.as_os_str() == "registry")
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeFirst => formatter.write_str("before the first instruction"),
            Self::Behind { write, steps: 0 } => write!(formatter, "after write {write}"),
            Self::Behind { write, steps } => write!(formatter, "{steps} steps after write {write}"),
            Self::Before { write } => write!(formatter, "right before write {write}"),
            Self::AfterLast => formatter.write_str("after the last instruction"),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.moment {
            Moment::Died => "killed",
            Moment::Stopped => "stopped",
            Moment::Ended => "stopped, then ended",
        };
        write!(formatter, "point {}, {verb} {} (step {})", self.index, self.place, self.step)?;
        match self.source() {
            Some(source) => write!(formatter, ", last write at {source}"),
            None => Ok(()),
        }
    }
}
