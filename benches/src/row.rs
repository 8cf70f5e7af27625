//! What is compared with what, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Result, amount};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "%")]
    Percent,
    #[serde(rename = "B")]
    Bytes,
}

/// Where a row stands in a series over the size of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) direction: Direction,
    pub(crate) bytes: u64,
}

/// What a message does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Direction {
    RoundTrip,
    OneWay,
}

impl fmt::Display for Sweep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.direction {
            Direction::RoundTrip => "round trip",
            Direction::OneWay => "burst",
        };
        write!(formatter, "{what} of {}", amount::size(self.bytes))
    }
}

/// What has to hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    /// The median ratio to the peer is at most this.
    Times(f64, String),
    /// The median ratio to the peer's is at most this, for ours to be so many times faster.
    Faster(f64, String),
    /// The median of the differences to the peer's is at most this, in the row's unit.
    Above(f64, String),
    /// The median figure is at most this, in the row's unit.
    AtMost(f64),
    /// In `share` of the rounds, ours is within `times` of the best of these peers.
    BestPeer { times: f64, share: f64, among: Vec<String> },
}

impl Target {
    /// The one peer that it names.
    pub(crate) fn peer(&self) -> Option<&str> {
        match self {
            Self::Times(_, peer) | Self::Faster(_, peer) | Self::Above(_, peer) => Some(peer),
            Self::AtMost(_) | Self::BestPeer { .. } => None,
        }
    }
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
    pub(crate) sweep: Option<Sweep>,
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
            sweep: None,
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

    /// Adds a peer if it is there; otherwise, why it is not.
    pub(crate) fn with_built(
        self,
        name: impl Into<String>,
        run: std::result::Result<impl Fn(&Effort) -> Result<Samples> + 'static, String>,
    ) -> Self {
        match run {
            Ok(run) => self.with(name, run),
            Err(why) => self.with_if(name, Err(why), |_| Ok(vec![])),
        }
    }

    /// One of a series.
    pub(crate) fn at(mut self, sweep: Sweep) -> Self {
        self.sweep = Some(sweep);
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
