//! `weyr demo`: a real file, through shared memory, between processes.
//!
//! One process, the *reader*, fills allocations of a pool from the file and sends them, by ownership, over one channel.
//! *Workers* lease each message, compute the chunk's SHA-256 and byte histogram in place, answer over a second channel,
//! and then end the lease. The *parent* compares all answers with a plain pass over the same file.
//!
//! | module | concept |
//! | --- | --- |
//! | `input` | which file |
//! | `plan` | how large the chunks and the pool are |
//! | `tally` | what is computed, and the plain pass |
//! | `message` | what the processes tell each other |
//! | `parent`, `answers`, `killing` | who starts, collects and compares |
//! | `children` | processes started, watched and reaped |
//! | `reader`, `worker`, `role` | the other processes |
//! | `report` | the result |

mod answers;
mod children;
mod clock;
mod cooperation;
mod input;
mod interrupt;
mod killing;
mod message;
mod parent;
mod plan;
mod progress;
pub(crate) mod reader;
mod report;
mod role;
mod tally;
pub(crate) mod worker;

use crate::arguments::DemoArguments;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(arguments: &DemoArguments, output: &Output) -> Result<(), Failure> {
    interrupt::catch()?;
    let report = parent::run(arguments)?;
    output.write(&report, report::write)?;
    if report.ok { Ok(()) } else { Err(Failure::Reported) }
}
