//! Python's `multiprocessing.shared_memory`, where there is a Python.

use std::process::Command;

use super::foreign;
use crate::Result;
use crate::processor::Processors;
use crate::row::Samples;

const INTERPRETER: &str = "python3";

/// Its version, or that it is not installed.
pub(crate) fn version() -> std::result::Result<String, String> {
    there()?;
    let output = Command::new(INTERPRETER).arg("--version").output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.trim().strip_prefix("Python ").unwrap_or("unknown").to_owned())
}

/// Whether it can take part.
pub(crate) fn there() -> std::result::Result<(), String> {
    if foreign::is_installed(INTERPRETER) { Ok(()) } else { Err("not installed".into()) }
}

/// Samples of opening a block of shared memory by its name, by a process that had it open before or by one that never had it.
pub(crate) fn opening(had_it: bool, samples: u64, processors: Processors) -> Result<Samples> {
    let name = format!("weyr-benches.{}.python", std::process::id());
    let mut command = foreign::limited(INTERPRETER);
    command.arg(foreign::place("python_attach.py")).args([processors[0].to_string(), name]);
    command.args([if had_it { "again" } else { "first" }.to_owned(), samples.to_string()]);
    foreign::samples(&mut command)
}
