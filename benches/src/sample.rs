//! A made-up run, for tests of what is made from data.

use crate::machine::{Machine, Peer};
use crate::round::{ContestantResult, Outcome, RowResult};
use crate::row::{Direction, Sweep, Target, Unit};
use crate::run::Run;

pub(crate) fn run() -> Run {
    let sizes = [8, 4 << 10, 1 << 20];
    let sweeps = [Direction::RoundTrip, Direction::OneWay]
        .into_iter()
        .flat_map(|direction| sizes.map(|bytes| sweep_row(Sweep { direction, bytes })));
    Run::new(machine(), "./x bench".into(), 2, 3, std::iter::once(pair()).chain(sweeps).collect())
}

fn machine() -> Machine {
    Machine {
        processor: "Difference Engine".into(),
        processors_online: 2,
        processors_used: [0, 1],
        governor: Some("performance".into()),
        virtual_machine: true,
        memory_bytes: 24 << 30,
        kernel: "Linux 6.1".into(),
        compiler: "rustc 1.88.0".into(),
        weyr: "0.1.0".into(),
        peers: [("twin", "1.0"), ("gone", "not installed")].map(peer).to_vec(),
        load_before: "0.10".into(),
        load_after: "1.00".into(),
        date: "2026-01-31".into(),
    }
}

fn peer((name, version): (&str, &str)) -> Peer {
    Peer { name: name.into(), version: version.into() }
}

fn contestant(name: &str, outcome: Outcome) -> ContestantResult {
    ContestantResult { name: name.into(), outcome }
}

fn pair() -> RowResult {
    RowResult {
        group: "allocate".into(),
        name: "pair".into(),
        unit: Unit::Nanoseconds,
        sweep: None,
        contestants: vec![
            contestant("weyr", Outcome::Figures(vec![20.0, 22.0])),
            contestant("twin", Outcome::Figures(vec![10.0, 11.0])),
            contestant("gone", Outcome::Absent("not installed".into())),
            contestant("broken", Outcome::Failed("it | broke".into())),
        ],
        targets: vec![
            Target::AtMost(50.0),
            Target::Times(1.5, "twin".into()),
            Target::Above(1.0, "gone".into()),
        ],
    }
}

/// Contestants that take so long, and so long for each byte.
fn sweep_row(sweep: Sweep) -> RowResult {
    let costs = [
        ("weyr", 200.0, 0.2),
        ("weyr, by ownership", 250.0, 0.0),
        ("Open MPI", 300.0, 0.15),
        ("iceoryx2", 900.0, 0.3),
        ("iceoryx2, loaned", 880.0, 0.0),
        ("Unix socket", 4000.0, 0.4),
        ("pipe", 3800.0, 0.45),
    ];
    let mut contestants: Vec<_> = costs
        .iter()
        .map(|(name, fixed, byte)| {
            let time = fixed + byte * sweep.bytes as f64;
            contestant(name, Outcome::Figures(vec![time, time * 1.1]))
        })
        .collect();
    contestants.push(contestant("gone", Outcome::Absent("not installed".into())));
    RowResult {
        group: "message size".into(),
        name: sweep.to_string(),
        unit: Unit::Nanoseconds,
        sweep: Some(sweep),
        contestants,
        targets: vec![],
    }
}
