//! Timing messages between two processes: there and back, and one way.

use crate::Result;
use crate::clock::elapsed_time;
use crate::contestants::end::{End, Link};
use crate::process::{Work, together};
use crate::processor::Processors;
use crate::row::Samples;
use crate::shared_page::SharedPage;

/// Lines of a shared page at which two processes meet; the peers use the first ones.
pub(crate) const MEETING: usize = 8;
const PARTING: usize = 9;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) samples: u64,
    /// Round trips, or messages, in a sample.
    pub(crate) operations: u64,
}

/// Times round trips between two processes. `asker` and `answerer` run in them and make what asks and what answers;
/// every answer must be what was asked.
pub(crate) fn round_trips<A, B>(
    plan: Plan,
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
        let samples = samples(plan, |number| expect(ask(number)?, number))?;
        page.meet(PARTING, 1);
        Ok(samples)
    });
    let answering = Work::new(processors[1], || {
        let mut answer = answerer()?;
        page.meet(MEETING, 1);
        (0..plan.all()).try_for_each(|_| answer())?;
        page.meet(PARTING, 1);
        Ok(vec![])
    });
    let [samples, _] = together([asking, answering])?;
    Ok(samples)
}

/// Times round trips over `link`.
pub(crate) fn trips<L: Link>(plan: Plan, processors: Processors, link: &L) -> Result<Samples> {
    let page = SharedPage::new()?;
    let asker = || {
        let mut end = link.asker()?;
        Ok(move |number| {
            end.send(number)?;
            end.receive()
        })
    };
    let answerer = || {
        let mut end = link.answerer()?;
        Ok(move || end.answer())
    };
    round_trips(plan, processors, &page, asker, answerer)
}

/// Times messages that one process sends over `link` as fast as the other takes them, by the receiver's clock.
pub(crate) fn burst<L: Link>(plan: Plan, processors: Processors, link: &L) -> Result<Samples> {
    let page = SharedPage::new()?;
    let sending = Work::new(processors[0], || {
        let mut end = link.asker()?;
        page.meet(MEETING, 1);
        (1..=plan.all()).try_for_each(|number| end.send(number))?;
        // What was sent may be gone with its sender.
        page.meet(PARTING, 1);
        Ok(vec![])
    });
    let receiving = Work::new(processors[1], || {
        let mut end = link.answerer()?;
        page.meet(MEETING, 1);
        let samples = samples(plan, |number| expect(end.receive()?, number))?;
        page.meet(PARTING, 1);
        Ok(samples)
    });
    let [_, samples] = together([sending, receiving])?;
    Ok(samples)
}

impl Plan {
    /// With the sample that warms up.
    fn all(self) -> u64 {
        (self.samples + 1) * self.operations
    }
}

/// Nanoseconds that one of the operations takes, which are numbered from one.
fn samples(plan: Plan, mut operation: impl FnMut(u64) -> Result<()>) -> Result<Samples> {
    let mut number = 0;
    let mut sample = || {
        elapsed_time(plan.operations, || {
            (0..plan.operations).try_for_each(|_| {
                number += 1;
                operation(number)
            })
        })
    };
    sample()?;
    (0..plan.samples).map(|_| sample()).collect()
}

fn expect(arrived: u64, sent: u64) -> Result<()> {
    if arrived == sent { Ok(()) } else { Err(format!("message {sent} arrived as {arrived}").into()) }
}
