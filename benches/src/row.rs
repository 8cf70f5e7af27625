//! What is compared with what, as data.

use crate::Result;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Rounds a row.
    pub(crate) rounds: u32,
    /// Divides the number of operations.
    pub(crate) divisor: u64,
}

impl Effort {
    /// Operations to do where an unhurried run does `full`.
    pub(crate) fn operations(&self, full: u64) -> u64 {
        (full / self.divisor).max(1)
    }
}

/// Samples of one round, in the row's unit; the round's figure is their median.
pub(crate) type Samples = Vec<f64>;

/// Unit of a row's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Percent,
    Bytes,
}

/// What has to hold.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// The median ratio to the peer is at most this.
    Times(f64, String),
    /// The median ratio to the peer's is at most this, for ours to be so many times faster.
    Faster(f64, String),
    /// The median figure is at most this, in the row's unit.
    AtMost(f64),
    /// In `share` of the rounds, ours is within `times` of the best peer.
    BestPeer { times: f64, share: f64 },
}

type Measure = Box<dyn Fn(&Effort) -> Result<Samples>>;

/// Who takes part in a row.
pub(crate) enum Part {
    Runs(Measure),
    /// Why it does not.
    Absent(String),
}

/// One that takes part in a row. The first of a row is ours.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) part: Part,
}

/// One comparison.
pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) targets: Vec<Target>,
    /// Most rounds that make sense: what is counted, not timed, needs one.
    pub(crate) most_rounds: u32,
}

impl Row {
    pub(crate) fn new(group: &'static str, name: impl Into<String>) -> Self {
        Self {
            group,
            name: name.into(),
            unit: Unit::Nanoseconds,
            contestants: vec![],
            targets: vec![],
            most_rounds: u32::MAX,
        }
    }

    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }

    /// Counted in `unit`, the same in every round.
    pub(crate) fn counted(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self.most_rounds = 1;
        self
    }

    /// Adds a contestant; ours comes first.
    pub(crate) fn with(
        mut self,
        name: impl Into<String>,
        run: impl Fn(&Effort) -> Result<Samples> + 'static,
    ) -> Self {
        self.contestants.push(Contestant { name: name.into(), part: Part::Runs(Box::new(run)) });
        self
    }

    /// Adds a peer that may be absent.
    pub(crate) fn with_if(
        mut self,
        name: impl Into<String>,
        there: std::result::Result<(), String>,
        run: impl Fn(&Effort) -> Result<Samples> + 'static,
    ) -> Self {
        let part = match there {
            Ok(()) => Part::Runs(Box::new(run) as Measure),
            Err(why) => Part::Absent(why),
        };
        self.contestants.push(Contestant { name: name.into(), part });
        self
    }

    pub(crate) fn must(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// At most `times` what `peer` takes.
    pub(crate) fn must_times(self, times: f64, peer: &str) -> Self {
        self.must(Target::Times(times, peer.into()))
    }

    /// At most `figure`, in the row's unit.
    pub(crate) fn must_at_most(self, figure: f64) -> Self {
        self.must(Target::AtMost(figure))
    }
}
