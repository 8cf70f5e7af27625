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
