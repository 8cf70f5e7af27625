//! Round trips between two processes that sleep while they wait.

use weyr_channel::WaitMode;

use crate::Result;
use crate::contestants::sleeper::{Descriptors, on_futex};
use crate::contestants::weyr_broadcast::WeyrEvents;
use crate::contestants::weyr_channel::WeyrLink;
use crate::exchange::{Plan, round_trips, trips};
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples, Target};
use crate::rows::exchange::UNIX_SOCKET;
use crate::shared_page::SharedPage;

const SAMPLES: u64 = 41;
const TRIPS: u64 = 40;
/// Those that ours must be as fast as.
const BEST_OF: [&str; 3] = ["futex", "eventfd", "pipe"];

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let row = Row::new("sleeping receivers", "round trip of 8 B")
        .with("weyr", move |effort| {
            trips(plan(effort), processors, &WeyrLink::new(8, WaitMode::Idle, processors)?)
        })
        .with("futex", move |effort| futex_trips(processors, effort))
        .with("eventfd", move |effort| descriptor_trips(Descriptors::eventfds()?, processors, effort))
        .with("pipe", move |effort| descriptor_trips(Descriptors::pipes()?, processors, effort))
        .with(UNIX_SOCKET, move |effort| descriptor_trips(Descriptors::unix_socket()?, processors, effort));
    let among = BEST_OF.map(String::from).to_vec();
    let events = Row::new("sleeping receivers", "round trip of 8 B by two events")
        .with("weyr", move |effort| event_trips(processors, effort))
        .with("futex", move |effort| futex_trips(processors, effort));
    vec![row.must(Target::BestPeer { times: 1.1, share: 0.9, among }), events]
}

fn plan(effort: &Effort) -> Plan {
    Plan { samples: SAMPLES, operations: effort.operations(TRIPS) }
}

fn futex_trips(processors: Processors, effort: &Effort) -> Result<Samples> {
    let page = SharedPage::new()?;
    let asker = || Ok(|number| on_futex::ask(&page, number));
    let answerer = || {
        let (page, mut last) = (&page, 0);
        Ok(move || on_futex::answer(page, &mut last))
    };
    round_trips(plan(effort), processors, &page, asker, answerer)
}

fn event_trips(processors: Processors, effort: &Effort) -> Result<Samples> {
    let (page, events) = (SharedPage::new()?, WeyrEvents::new(processors)?);
    let asker = || {
        let pair = events.attach()?;
        Ok(move |number| pair.ask(number))
    };
    let answerer = || {
        let pair = events.attach()?;
        Ok(move || pair.answer())
    };
    round_trips(plan(effort), processors, &page, asker, answerer)
}

fn descriptor_trips(descriptors: Descriptors, processors: Processors, effort: &Effort) -> Result<Samples> {
    let page = SharedPage::new()?;
    let asker = || Ok(|number| descriptors.ask(number));
    let answerer = || Ok(|| descriptors.answer());
    round_trips(plan(effort), processors, &page, asker, answerer)
}
