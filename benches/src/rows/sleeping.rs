//! Round trips between two processes that sleep while they wait.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use weyr_channel::{Channel, ChannelAttributes, Error, WaitMode};
use weyr_managed::Pool;

use crate::Result;
use crate::contestants::sleeper::{Descriptors, on_futex};
use crate::contestants::weyr_broadcast::WeyrEvents;
use crate::contestants::weyr_channel::WeyrLink;
use crate::exchange::{Plan, round_trips, trips};
use crate::process::alone;
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples, Target, Unit};
use crate::rows::POOL_BYTES;
use crate::rows::exchange::UNIX_SOCKET;
use crate::scratch::Scratch;
use crate::shared_page::SharedPage;

const SAMPLES: u64 = 41;
const TRIPS: u64 = 40;
const IDLE: Duration = Duration::from_millis(500);
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
    let idle = Row::new("sleeping receivers", "processor time of a receiver that nobody sends to")
        .counted(Unit::Percent)
        .with("weyr", move |_| alone(processors[0], idle_share))
        .must_at_most(1.0);
    vec![row.must(Target::BestPeer { times: 1.1, share: 0.9, among }), events, idle]
}

/// Percent of a processor that a receiver takes while it sleeps to its deadline.
fn idle_share() -> Result<Samples> {
    let scratch = Scratch::new()?;
    let pool = Pool::create(&scratch.pool("idle", POOL_BYTES))?;
    let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    let receiver = channel.receiver().with_wait_mode(WaitMode::Idle);
    let (start, before) = (Instant::now(), processor_time());
    if !matches!(receiver.receive_until(start + IDLE), Err(Error::Timeout)) {
        return Err("nobody sends, and it received".into());
    }
    let (worked, lasted) = (processor_time() - before, start.elapsed());
    Ok(vec![100.0 * worked.as_secs_f64() / lasted.as_secs_f64()])
}

/// That of this process until now.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
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
