//! What two processes that spin do together: a barrier, and a sum of one number of each.

use weyr_channel::{ChannelAttributes, Collective, Member, Operation, WaitMode};

use crate::Result;
use crate::contestants::open_mpi::{self, Exchange};
use crate::contestants::weyr_channel::Channels;
use crate::exchange::{Plan, round_trips};
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples};
use crate::rows::exchange::MPI;
use crate::shared_page::SharedPage;

const GROUP: &str = "two processes";
const SAMPLES: u64 = 161;
/// Calls in a sample.
const CALLS: u64 = 500;

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    vec![
        Row::new(GROUP, "sum of 8 B of each, to all")
            .with("weyr", move |effort| together(processors, effort, sum))
            .with_if(MPI, open_mpi::there(), move |effort| mpi(Exchange::AllReduce, processors, effort)),
        Row::new(GROUP, "barrier").with("weyr", move |effort| together(processors, effort, barrier)).with_if(
            MPI,
            open_mpi::there(),
            move |effort| mpi(Exchange::Barrier, processors, effort),
        ),
    ]
}

fn plan(effort: &Effort) -> Plan {
    Plan { samples: SAMPLES, operations: effort.operations(CALLS) }
}

fn mpi(exchange: Exchange, processors: Processors, effort: &Effort) -> Result<Samples> {
    open_mpi::measure(exchange, 8, plan(effort), processors)
}

/// Gives `number`, and one more by rank 1; what both come to.
fn sum(member: &mut Member, number: u64) -> Result<u64> {
    let mut values = [number + u64::from(member.rank())];
    member.all_reduce(&mut values)?;
    if values == [2 * number + 1] { Ok(number) } else { Err(format!("{number} came to {values:?}").into()) }
}

fn barrier(member: &mut Member, number: u64) -> Result<u64> {
    member.barrier()?;
    Ok(number)
}

fn together(
    processors: Processors,
    effort: &Effort,
    call: fn(&mut Member, u64) -> Result<u64>,
) -> Result<Samples> {
    let sums = Collective::reducing::<u64>(2, Operation::Sum, 1);
    let channels = Channels::new(1, &ChannelAttributes::new().collective(sums), processors)?;
    let page = SharedPage::new()?;
    let join =
        |rank| -> Result<Member> { Ok(channels.attach(0)?.join(rank)?.with_wait_mode(WaitMode::Spin)) };
    let first = || {
        let mut member = join(0)?;
        Ok(move |number| call(&mut member, number))
    };
    let second = || {
        let (mut member, mut number) = (join(1)?, 0);
        Ok(move || {
            number += 1;
            call(&mut member, number).map(drop)
        })
    };
    round_trips(plan(effort), processors, &page, first, second)
}
