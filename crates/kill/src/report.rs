//! What a sweep found.

use std::{fmt, time::Duration};

use crate::Point;

/// One thing that a sweep found wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where, if it belongs to one point.
    pub point: Option<Point>,
    /// What.
    pub message: String,
}

/// What a sweep did and found. Its Display is one line, and one more a failure.
#[derive(Clone, Debug)]
#[must_use = "a sweep that failed says so only in its report"]
pub struct Report {
    /// What was swept.
    pub name: String,
    /// Steps of the operation when it was first looked through; a system call is one.
    pub steps: u64,
    /// Points to be told apart: the start, the end, and what lies between by the sweep's kind of points.
    pub points_distinct: usize,
    /// Points that were run.
    pub points_run: usize,
    /// Instruction boundaries that were no point, because the segment's bytes equal those of the boundary before.
    pub skipped: u64,
    /// How long all of it took.
    pub took: Duration,
    /// What was wrong; empty is what one hopes for.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Nothing was wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// Ends the test if anything was wrong.
    ///
    /// # Panics
    /// With the whole report, if there are failures.
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, steps, points_distinct, points_run, skipped, took, failures } = self;
        write!(
            formatter,
            "sweep {name}: {points_run} of {points_distinct} points run, {steps} steps ({skipped} skipped as equal), \
             {} failed, {:.2} s",
            failures.len(),
            took.as_secs_f64()
        )?;
        failures.iter().try_for_each(|failure| write!(formatter, "\n  {failure}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.point {
            Some(point) => write!(formatter, "{point}: {}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}
