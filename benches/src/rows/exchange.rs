//! Messages between two processes that spin: round trips, bursts, memory that changes hands.

use weyr_channel::{ChannelAttributes, WaitMode};

use crate::Result;
use crate::clock::elapsed_time;
use crate::contestants::open_mpi::{self, Exchange};
use crate::contestants::sleeper::Descriptors;
use crate::contestants::two_lines;
use crate::contestants::weyr_channel::{Channels, Ends};
use crate::process::{Work, all_together, together};
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples};
use crate::shared_page::SharedPage;

const GROUP: &str = "two processes";
const MIB: usize = 1 << 20;
/// Samples a round; its figure is their median. Each is much shorter than a time slice, so that few of them have one in
/// which another program ran.
const SAMPLES: u64 = 161;
/// Round trips in a sample.
const TRIPS: u64 = 500;
/// Messages in a sample.
const BURST: u64 = 2000;
/// Line of a shared page at which two processes meet; the peers use the first ones.
const MEETING: usize = 8;

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let mut rows = vec![
        trip(8, processors)
            .with("two cache lines", move |effort| two_line_trips(processors, effort))
            .with("pipe", move |effort| pipe_trips(processors, effort)),
        trip(256, processors),
        Row::new(GROUP, "round trip of 1 MiB by ownership")
            .with("weyr", move |effort| owned_trips(processors, effort))
            .with("weyr, 8 B", move |effort| {
                weyr_trips(8, WaitMode::Spin, SAMPLES, TRIPS, processors, effort)
            })
            .with_if("Open MPI", open_mpi::there(), mpi(Exchange::Trip, MIB, 5, processors))
            .must_times(1.5, "weyr, 8 B"),
    ];
    rows.extend([(8, 0.6), (256, 0.5)].map(|(bytes, must)| {
        Row::new(GROUP, format!("burst of {bytes} B, a message"))
            .with("weyr", move |effort| crowd_bursts(1, bytes, processors, effort))
            .with_if("Open MPI", open_mpi::there(), mpi(Exchange::Burst, bytes, BURST, processors))
            .must_times(must, "Open MPI")
    }));
    rows.extend([(2, 2.0), (4, 3.0)].map(|(pairs, must)| {
        Row::new(GROUP, format!("burst of 8 B, {pairs} to {pairs} processes, a message"))
            .with("weyr", move |effort| crowd_bursts(pairs, 8, processors, effort))
            .with("1 to 1", move |effort| crowd_bursts(1, 8, processors, effort))
            .must_times(must, "1 to 1")
    }));
    rows
}

fn trip(bytes: usize, processors: Processors) -> Row {
    let row = Row::new(GROUP, format!("round trip of {bytes} B"))
        .with("weyr", move |effort| weyr_trips(bytes, WaitMode::Spin, SAMPLES, TRIPS, processors, effort))
        .with_if("Open MPI", open_mpi::there(), mpi(Exchange::Trip, bytes, TRIPS, processors));
    if bytes == 8 { row.must_times(0.8, "Open MPI") } else { row }
}

fn mpi(
    exchange: Exchange,
    bytes: usize,
    operations: u64,
    processors: Processors,
) -> impl Fn(&Effort) -> Result<Samples> {
    move |effort| open_mpi::measure(exchange, bytes, effort.operations(operations), SAMPLES, processors)
}

/// How many round trips to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trips {
    pub(crate) samples: u64,
    /// In a sample.
    pub(crate) trips: u64,
}

/// Times round trips between two processes. `asker` and `answerer` run in them and make what asks and what answers;
/// every answer must be what was asked.
pub(crate) fn round_trips<A, B>(
    Trips { samples, trips }: Trips,
    processors: Processors,
    page: &SharedPage,
    asker: impl FnOnce() -> Result<A>,
    answerer: impl FnOnce() -> Result<B>,
) -> Result<Samples>
where
    A: FnMut(u64) -> Result<u64>,
    B: FnMut() -> Result<()>,
{
    let asking = Work::new(processors[0], || {
        let mut ask = asker()?;
        page.meet(MEETING, 1);
        let mut number = 0;
        let mut sample = || {
            elapsed_time(trips, || {
                for _ in 0..trips {
                    number += 1;
                    expect(ask(number)?, number)?;
                }
                Ok(())
            })
        };
        sample()?;
        (0..samples).map(|_| sample()).collect()
    });
    let answering = Work::new(processors[1], || {
        let mut answer = answerer()?;
        page.meet(MEETING, 1);
        (0..(samples + 1) * trips).try_for_each(|_| answer())?;
        Ok(vec![])
    });
    let [samples, _] = together([asking, answering])?;
    Ok(samples)
}

fn expect(arrived: u64, sent: u64) -> Result<()> {
    if arrived == sent { Ok(()) } else { Err(format!("message {sent} arrived as {arrived}").into()) }
}

/// A channel for messages of `bytes` bytes.
fn attributes(bytes: usize) -> ChannelAttributes {
    ChannelAttributes::new().block_size(bytes.max(48) as u64)
}

/// Round trips over one channel there and one back.
pub(crate) fn weyr_trips(
    bytes: usize,
    mode: WaitMode,
    samples: u64,
    trips: u64,
    processors: Processors,
    effort: &Effort,
) -> Result<Samples> {
    let (channels, page) = (Channels::new(2, &attributes(bytes), processors)?, SharedPage::new()?);
    let ends = |to, from| -> Result<Ends> {
        Ok(Ends::new(&channels.attach(to)?, &channels.attach(from)?, bytes, mode))
    };
    let asker = || {
        let mut ends = ends(0, 1)?;
        Ok(move |number| {
            ends.send(number)?;
            ends.receive()
        })
    };
    let answerer = || {
        let mut ends = ends(1, 0)?;
        Ok(move || {
            let number = ends.receive()?;
            ends.send(number)
        })
    };
    round_trips(Trips { samples, trips: effort.operations(trips) }, processors, &page, asker, answerer)
}

/// One allocation that goes there and back; its first bytes say which trip it is on.
fn owned_trips(processors: Processors, effort: &Effort) -> Result<Samples> {
    let (channels, page) = (Channels::new(2, &attributes(48), processors)?, SharedPage::new()?);
    let asker = || {
        let (to, from) = (channels.attach(0)?, channels.attach(1)?);
        let mut ends = Ends::new(&to, &from, 48, WaitMode::Spin);
        let mut memory = Some(to.pool().alloc(MIB as u64)?);
        let mut number = [0; 8];
        Ok(move |sent: u64| {
            let mut block = memory.take().ok_or("the allocation is lost")?;
            block.write(0, &sent.to_ne_bytes())?;
            ends.send_allocation(block)?;
            let block = memory.insert(ends.receive_allocation()?);
            block.read(0, &mut number)?;
            if block.len() != MIB as u64 {
                return Err(format!("{} bytes came back", block.len()).into());
            }
            Ok(u64::from_ne_bytes(number))
        })
    };
    let answerer = || {
        let mut ends = Ends::new(&channels.attach(1)?, &channels.attach(0)?, 48, WaitMode::Spin);
        Ok(move || {
            let block = ends.receive_allocation()?;
            ends.send_allocation(block)
        })
    };
    let trips = Trips { samples: SAMPLES, trips: effort.operations(TRIPS) };
    round_trips(trips, processors, &page, asker, answerer)
}

fn two_line_trips(processors: Processors, effort: &Effort) -> Result<Samples> {
    let page = SharedPage::new()?;
    let asker = || Ok(|number| two_lines::ask(&page, number));
    let answerer = || {
        let mut last = 0;
        let page = &page;
        Ok(move || two_lines::answer(page, &mut last))
    };
    let trips = Trips { samples: SAMPLES, trips: effort.operations(TRIPS) };
    round_trips(trips, processors, &page, asker, answerer)
}

fn pipe_trips(processors: Processors, effort: &Effort) -> Result<Samples> {
    let (page, pipes) = (SharedPage::new()?, Descriptors::pipes()?);
    let asker = || Ok(|number| pipes.ask(number));
    let answerer = || Ok(|| pipes.answer());
    // A trip sleeps twice, so few are enough.
    let trips = Trips { samples: SAMPLES / 4, trips: effort.operations(50) };
    round_trips(trips, processors, &page, asker, answerer)
}

/// Messages from so many processes on one processor to as many on the other, over one channel; time of a message by
/// the receivers' clocks.
fn crowd_bursts(pairs: u64, bytes: usize, processors: Processors, effort: &Effort) -> Result<Samples> {
    let (channels, page) = (Channels::new(1, &attributes(bytes), processors)?, SharedPage::new()?);
    let (channels, page) = (&channels, &page);
    let each = (effort.operations(BURST) / pairs).max(1);
    let ends = move || -> Result<Ends> {
        let channel = channels.attach(0)?;
        let ends = Ends::new(&channel, &channel, bytes, WaitMode::Spin);
        page.meet(MEETING, pairs * 2 - 1);
        Ok(ends)
    };
    let send = move || {
        let mut ends = ends()?;
        (0..(SAMPLES + 1) * each).try_for_each(|number| ends.send(number))?;
        Ok(vec![])
    };
    let receive = move || {
        let mut ends = ends()?;
        let mut last = None;
        let mut sample = || {
            elapsed_time(each * pairs, || {
                for _ in 0..each {
                    let number = ends.receive()?;
                    check_order(pairs, &mut last, number)?;
                }
                Ok(())
            })
        };
        sample()?;
        (0..SAMPLES).map(|_| sample()).collect()
    };
    let sending = (0..pairs).map(|_| Work::new(processors[0], send));
    let receiving = (0..pairs).map(|_| Work::new(processors[1], receive));
    let samples: Vec<Samples> = all_together(sending.chain(receiving).collect())?;
    if pairs > 1 {
        return whole_runs(samples);
    }
    Ok(samples.into_iter().flatten().collect())
}

/// One sender's messages come in order, without a gap.
fn check_order(pairs: u64, last: &mut Option<u64>, number: u64) -> Result<()> {
    let expected = last.map_or(0, |last| last + 1);
    if pairs == 1 && number != expected {
        return Err(format!("message {number} arrived where {expected} was due").into());
    }
    *last = Some(number);
    Ok(())
}

/// Receivers take turns on one processor, so only their whole runs say what a message took: the slowest one's.
fn whole_runs(samples: Vec<Samples>) -> Result<Samples> {
    let mean = |samples: &Samples| samples.iter().sum::<f64>() / samples.len() as f64;
    let slowest = samples.iter().filter(|samples| !samples.is_empty()).map(mean).reduce(f64::max);
    Ok(vec![slowest.ok_or("no receiver took any time")?])
}
