//! The time of a message over its size: there and back, and one way. These rows are what the plots show.

use weyr_channel::WaitMode;

use crate::Result;
use crate::contestants::byte_stream::{ByteStream, Stream};
use crate::contestants::end::Link;
use crate::contestants::iceoryx::{self, Iceoryx, Payload};
use crate::contestants::open_mpi;
use crate::contestants::weyr_channel::WeyrLink;
use crate::contestants::weyr_ownership::Ownership;
use crate::exchange::{Plan, burst, trips};
use crate::processor::Processors;
use crate::row::{Direction, Effort, Row, Samples, Sweep};
use crate::rows::exchange::{ICEORYX, MPI, UNIX_SOCKET};

const GROUP: &str = "message size";
const SIZES: [usize; 9] = [8, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
const SAMPLES: u64 = 21;
/// Bytes, and operations, that a sample moves at most.
const SAMPLE_BYTES: usize = 16 << 20;
const SAMPLE_OPERATIONS: usize = 200;

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let of = |direction| SIZES.map(|bytes| row(Sweep { direction, bytes: bytes as u64 }, processors));
    [of(Direction::RoundTrip), of(Direction::OneWay)].into_iter().flatten().collect()
}

fn row(sweep: Sweep, processors: Processors) -> Row {
    let (direction, bytes) = (sweep.direction, sweep.bytes as usize);
    let run = move |effort: &Effort| Run { direction, plan: plan(bytes, effort), processors };
    Row::new(GROUP, sweep.to_string())
        .at(sweep)
        .with("weyr", move |effort| run(effort).over(&WeyrLink::new(bytes, WaitMode::Spin, processors)?))
        .with("weyr, by ownership", move |effort| run(effort).over(&Ownership::new(bytes, processors)?))
        .with_if(MPI, open_mpi::there(), move |effort| {
            open_mpi::measure(direction.into(), bytes, plan(bytes, effort), processors)
        })
        .with_if(ICEORYX, iceoryx::there(), move |effort| {
            run(effort).over(&Iceoryx::new(bytes, Payload::Copied)?)
        })
        .with_if("iceoryx2, loaned", iceoryx::there(), move |effort| {
            run(effort).over(&Iceoryx::new(bytes, Payload::Loaned)?)
        })
        .with(UNIX_SOCKET, move |effort| run(effort).over(&ByteStream::new(Stream::UnixSocket, bytes)?))
        .with("pipe", move |effort| run(effort).over(&ByteStream::new(Stream::Pipe, bytes)?))
}

/// Few large messages say as much as many small ones.
fn plan(bytes: usize, effort: &Effort) -> Plan {
    let operations = (SAMPLE_BYTES / bytes).clamp(4, SAMPLE_OPERATIONS);
    Plan { samples: SAMPLES, operations: effort.operations(operations as u64) }
}

struct Run {
    direction: Direction,
    plan: Plan,
    processors: Processors,
}

impl Run {
    fn over<L: Link>(self, link: &L) -> Result<Samples> {
        match self.direction {
            Direction::RoundTrip => trips(self.plan, self.processors, link),
            Direction::OneWay => burst(self.plan, self.processors, link),
        }
    }
}
