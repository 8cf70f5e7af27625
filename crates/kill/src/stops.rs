//! An operation killed behind each of its writes, and stopped and continued at places of the caller's choice.

use crate::{Choice, Error, Mode, Point, Points, Report, Sweep};

/// Where an operation is stopped.
#[derive(Clone, Debug)]
pub struct Stops {
    places: Vec<(Points, Choice)>,
    varying: bool,
}

impl Stops {
    /// At such points, of which some are chosen.
    #[must_use]
    pub fn at(points: Points, choice: Choice) -> Self {
        Self { places: vec![(points, choice)], varying: false }
    }

    /// Before and behind each write, or a sample of so many points, and at some of all instructions.
    #[must_use]
    pub fn anywhere(around_writes: usize) -> Self {
        let mut stops = Self::at(Points::AroundWrites, Choice::from_environment(around_writes));
        stops.places.push((Points::Instructions, Choice::drawn(4, 100)));
        stops
    }

    /// Behind each write, or a sample of so many points, of an operation in the middle of which others act: see
    /// [`Sweep::varying`].
    #[must_use]
    pub fn of_varying(behind_writes: usize) -> Self {
        let choice = Choice::from_environment(behind_writes);
        Self { varying: true, ..Self::at(Points::AfterWrites, choice) }
    }
}

impl Sweep<'_> {
    /// Kills `operation` behind each of its writes, or at a sample of `kills` points, and stops and continues it at
    /// `stops`, as [`run_each`](Self::run_each) does. A report for each.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn kill_and_stop<T>(
        self,
        kills: usize,
        stops: &Stops,
        prepare: impl Fn() -> T,
        operation: impl Fn(&mut T),
        after: impl FnMut(&Point) -> Result<(), String>,
    ) -> Result<Vec<Report>, Error> {
        let mut ways = vec![(Mode::Kill, Points::AfterWrites, Choice::from_environment(kills))];
        ways.extend(stops.places.iter().map(|&(points, choice)| (Mode::StopThenContinue, points, choice)));
        let sweep = if stops.varying { self.varying() } else { self };
        sweep.run_each(&ways, prepare, operation, after)
    }
}
