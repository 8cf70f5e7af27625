//! boost.interprocess, where its headers and a C++ compiler are installed.

use std::path::Path;

use super::foreign;
use crate::Result;
use crate::processor::Processors;
use crate::row::Samples;

const COMPILER: &str = "g++";
const VERSION_HEADER: &str = "/usr/include/boost/version.hpp";
const HEADER: &str = "/usr/include/boost/interprocess/managed_shared_memory.hpp";

/// Its version, or that it is not installed.
pub(crate) fn version() -> std::result::Result<String, String> {
    there()?;
    let text = std::fs::read_to_string(VERSION_HEADER).map_err(|_| "unknown")?;
    let line = text.lines().find(|line| line.starts_with("#define BOOST_LIB_VERSION"));
    let version = line.and_then(|line| line.split('"').nth(1)).unwrap_or("unknown");
    Ok(version.replace('_', "."))
}

/// Whether it can take part.
pub(crate) fn there() -> std::result::Result<(), String> {
    if Path::new(HEADER).exists() && foreign::is_installed(COMPILER) {
        Ok(())
    } else {
        Err("not installed".into())
    }
}

/// Samples of `operations` allocations of `bytes` bytes, each freed at once, in one process.
pub(crate) fn pairs(bytes: usize, operations: u64, samples: u64, processors: Processors) -> Result<Samples> {
    let name = format!("weyr-benches.{}.boost", std::process::id());
    let mut command = foreign::limited(foreign::built(COMPILER, "boost_interprocess.cpp")?);
    command.args([processors[0].to_string(), name]);
    command.args([bytes as u64, operations, samples].map(|number| number.to_string()));
    foreign::samples(&mut command)
}

/// What is done with a segment that another process has made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Opening {
    /// It is opened, by a process that never had it.
    First,
    /// It is opened by a process that had it open before.
    Again,
    /// The address of a block is asked for by its handle, which checks nothing.
    Handle,
}

/// Samples of it.
pub(crate) fn opening(
    opening: Opening,
    operations: u64,
    samples: u64,
    processors: Processors,
) -> Result<Samples> {
    let what = match opening {
        Opening::First => "first",
        Opening::Again => "again",
        Opening::Handle => "handle",
    };
    let name = format!("weyr-benches.{}.boost", std::process::id());
    let mut command = foreign::limited(foreign::built(COMPILER, "boost_attach.cpp")?);
    command.args([processors[0].to_string(), name, what.to_owned()]);
    command.args([operations, samples].map(|number| number.to_string()));
    foreign::samples(&mut command)
}
