//! Messages between two processes that spin: round trips, bursts, memory that changes hands.

use weyr_channel::WaitMode;

use crate::Result;
use crate::clock::elapsed_time;
use crate::contestants::byte_stream::{ByteStream, Stream};
use crate::contestants::end::End;
use crate::contestants::iceoryx::{self, Iceoryx, Payload};
use crate::contestants::open_mpi::{self, Exchange};
use crate::contestants::two_lines;
use crate::contestants::weyr_channel::{Channels, Ends, WeyrLink, attributes};
use crate::contestants::weyr_ownership::Ownership;
use crate::exchange::{MEETING, Plan, burst, round_trips, trips};
use crate::process::{Work, all_together};
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples, Target};
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
/// Of what goes through the kernel, a tenth is enough.
const STREAM_SHARE: u64 = 10;
pub(crate) const MPI: &str = "Open MPI";
pub(crate) const ICEORYX: &str = "iceoryx2";
pub(crate) const UNIX_SOCKET: &str = "Unix socket";

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let mut rows = vec![
        trip(8, processors)
            .must_times(0.8, MPI)
            .must(Target::Faster(3.0, ICEORYX.into()))
            .with("two cache lines", move |effort| two_line_trips(processors, effort))
            .with(UNIX_SOCKET, move |effort| stream_trips(Stream::UnixSocket, processors, effort))
            .with("pipe", move |effort| stream_trips(Stream::Pipe, processors, effort)),
        trip(256, processors),
        owned_trip(processors),
        one_way(8, processors).must_times(0.6, MPI).must(Target::Faster(8.0, ICEORYX.into())).with(
            UNIX_SOCKET,
            move |effort| {
                burst(stream_plan(BURST, effort), processors, &ByteStream::new(Stream::UnixSocket, 8)?)
            },
        ),
        one_way(256, processors).must_times(0.5, MPI).must(Target::Faster(4.0, ICEORYX.into())),
    ];
    rows.extend([(2, 2.0), (4, 3.0)].map(|(pairs, must)| crowd(pairs, must, processors)));
    rows
}

fn plan(operations: u64, effort: &Effort) -> Plan {
    Plan { samples: SAMPLES, operations: effort.operations(operations) }
}

fn stream_plan(operations: u64, effort: &Effort) -> Plan {
    Plan { samples: SAMPLES / 4, operations: effort.operations(operations / STREAM_SHARE) }
}

fn trip(bytes: usize, processors: Processors) -> Row {
    Row::new(GROUP, format!("round trip of {bytes} B"))
        .with("weyr", move |effort| weyr_trips(bytes, processors, effort))
        .with_if(MPI, open_mpi::there(), mpi(Exchange::Trip, bytes, TRIPS, processors))
        .with_if(ICEORYX, iceoryx::there(), move |effort| {
            trips(plan(TRIPS, effort), processors, &Iceoryx::new(bytes, Payload::Copied)?)
        })
}

fn owned_trip(processors: Processors) -> Row {
    Row::new(GROUP, "round trip of 1 MiB by ownership")
        .with("weyr", move |effort| trips(plan(TRIPS, effort), processors, &Ownership::new(MIB, processors)?))
        .with("weyr, 8 B", move |effort| weyr_trips(8, processors, effort))
        .with_if(MPI, open_mpi::there(), mpi(Exchange::Trip, MIB, 5, processors))
        .with_if("iceoryx2, loaned", iceoryx::there(), move |effort| {
            trips(plan(TRIPS, effort), processors, &Iceoryx::new(MIB, Payload::Loaned)?)
        })
        .must_times(1.5, "weyr, 8 B")
}

fn one_way(bytes: usize, processors: Processors) -> Row {
    Row::new(GROUP, format!("burst of {bytes} B, a message"))
        .with("weyr", move |effort| crowd_bursts(1, bytes, processors, effort))
        .with_if(MPI, open_mpi::there(), mpi(Exchange::Burst, bytes, BURST, processors))
        .with_if(ICEORYX, iceoryx::there(), move |effort| {
            burst(plan(BURST / 4, effort), processors, &Iceoryx::new(bytes, Payload::Copied)?)
        })
}

fn crowd(pairs: u64, must: f64, processors: Processors) -> Row {
    Row::new(GROUP, format!("burst of 8 B, {pairs} to {pairs} processes, a message"))
        .with("weyr", move |effort| crowd_bursts(pairs, 8, processors, effort))
        .with("1 to 1", move |effort| crowd_bursts(1, 8, processors, effort))
        .must_times(must, "1 to 1")
}

fn mpi(
    exchange: Exchange,
    bytes: usize,
    operations: u64,
    processors: Processors,
) -> impl Fn(&Effort) -> Result<Samples> {
    move |effort| open_mpi::measure(exchange, bytes, plan(operations, effort), processors)
}

fn weyr_trips(bytes: usize, processors: Processors, effort: &Effort) -> Result<Samples> {
    trips(plan(TRIPS, effort), processors, &WeyrLink::new(bytes, WaitMode::Spin, processors)?)
}

fn stream_trips(stream: Stream, processors: Processors, effort: &Effort) -> Result<Samples> {
    trips(stream_plan(TRIPS, effort), processors, &ByteStream::new(stream, 8)?)
}

fn two_line_trips(processors: Processors, effort: &Effort) -> Result<Samples> {
    let page = SharedPage::new()?;
    let asker = || Ok(|number| two_lines::ask(&page, number));
    let answerer = || {
        let mut last = 0;
        let page = &page;
        Ok(move || two_lines::answer(page, &mut last))
    };
    round_trips(plan(TRIPS, effort), processors, &page, asker, answerer)
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
