//! A directory for the pools of one measurement, removed with it.
//!
//! Pools are files there, so whatever becomes of the processes that use them, nothing is left behind. What a killed run
//! left is removed by the next.

use std::path::Path;

use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;
use weyr_managed::PoolAttributes;

use crate::Result;

const PREFIX: &str = "weyr-benches.";
const POOLS: &str = weyr_managed::name::DEFAULT_DIRECTORY;

#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix(&name("")).tempdir_in(POOLS)?))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A pool in this directory.
    pub(crate) fn pool(&self, name: &str, bytes: u64) -> PoolAttributes {
        PoolAttributes::new(name, bytes).directory(self.path())
    }
}

/// `rest` behind what says which run a thing beside the pools is of.
pub(crate) fn name(rest: &str) -> String {
    format!("{PREFIX}{}.{rest}", std::process::id())
}

/// Removes what runs that were killed have left.
pub(crate) fn remove_abandoned() {
    let Ok(entries) = std::fs::read_dir(POOLS) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok());
        let dead = pid
            .and_then(Pid::from_raw)
            .is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH));
        if dead {
            // One of the two applies, and another run may be removing it as well.
            let _ = std::fs::remove_dir_all(entry.path());
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
