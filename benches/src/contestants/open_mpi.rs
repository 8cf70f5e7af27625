//! Open MPI, where its compiler is installed: a C program of two ranks.

use std::process::{Command, Stdio};

use super::foreign;
use crate::Result;
use crate::exchange::Plan;
use crate::processor::Processors;
use crate::row::{Direction, Samples};

const COMPILER: &str = "mpicc";
const LAUNCHER: &str = "mpirun";

/// What its two ranks do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exchange {
    Trip,
    Burst,
    /// Of one number of each.
    AllReduce,
    Barrier,
}

/// Its version, or that it is not installed.
pub(crate) fn version() -> std::result::Result<String, String> {
    there()?;
    let output = Command::new(LAUNCHER).arg("--version").stderr(Stdio::null()).output();
    let text =
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).map_err(|_| "unknown")?;
    Ok(text.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or("unknown").to_owned())
}

/// Whether it can take part.
pub(crate) fn there() -> std::result::Result<(), String> {
    let all = [COMPILER, LAUNCHER].into_iter().all(foreign::is_installed);
    if all { Ok(()) } else { Err("not installed".into()) }
}

impl From<Direction> for Exchange {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::RoundTrip => Self::Trip,
            Direction::OneWay => Self::Burst,
        }
    }
}

/// Samples of messages of `bytes` bytes each.
pub(crate) fn measure(
    exchange: Exchange,
    bytes: usize,
    plan: Plan,
    processors: Processors,
) -> Result<Samples> {
    let exchange = match exchange {
        Exchange::Trip => "trip",
        Exchange::Burst => "burst",
        Exchange::AllReduce => "allreduce",
        Exchange::Barrier => "barrier",
    };
    let program = foreign::built(COMPILER, "open_mpi.c")?;
    let mut command = foreign::limited(LAUNCHER);
    // The ranks bind themselves, and spin: that is what is compared.
    command.args(["-n", "2", "--bind-to", "none", "--oversubscribe", "--mca", "mpi_yield_when_idle", "0"]);
    if rustix::process::geteuid().is_root() {
        command.arg("--allow-run-as-root");
    }
    command.arg(program).args(processors.map(|processor| processor.to_string())).arg(exchange);
    command.args([bytes as u64, plan.operations, plan.samples].map(|number| number.to_string()));
    foreign::samples(&mut command)
}
