//! Channel sets: round trips between two processes, each of which waits for its channel in a set with idle ones.

use weyr_channel::WaitMode;

use crate::contestants::weyr_set::SetLink;
use crate::exchange::{Plan, trips};
use crate::processor::Processors;
use crate::row::{Effort, Row};

const GROUP: &str = "channel sets";
const MANY: usize = 1000;
const ONE_CHANNEL: &str = "one channel";
const SAMPLES: u64 = 41;
const SPINNING_TRIPS: u64 = 500;
const SLEEPING_TRIPS: u64 = 40;

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    vec![
        row("one of 1,000 active, spinning", WaitMode::Spin, SPINNING_TRIPS, processors),
        row("one of 1,000 active, asleep", WaitMode::Idle, SLEEPING_TRIPS, processors),
    ]
}

fn row(name: &str, mode: WaitMode, operations: u64, processors: Processors) -> Row {
    let with = move |members: usize| {
        move |effort: &Effort| {
            let plan = Plan { samples: SAMPLES, operations: effort.operations(operations) };
            trips(plan, processors, &SetLink::new(members, mode, processors)?)
        }
    };
    Row::new(GROUP, name)
        .with("weyr", with(MANY))
        .with(ONE_CHANNEL, with(0))
        .with("a set of one", with(1))
        .must_times(3.0, ONE_CHANNEL)
}
