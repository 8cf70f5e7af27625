//! All rows.

mod allocation;
mod channel;
mod exchange;
mod groups;
mod locks;
mod media;
mod pool;
mod sets;
mod sleeping;
mod structures;
mod sweep;
mod thread;
mod typed;

use std::path::PathBuf;

use weyr_managed::Pool;

use crate::Result;
use crate::process::alone;
use crate::processor::Processors;
use crate::row::Row;
use crate::scratch::Scratch;

/// Size of the pools; they are sparse.
pub(crate) const POOL_BYTES: u64 = 1 << 30;

pub(crate) fn all(processors: Processors) -> Vec<Row> {
    let groups = [
        allocation::rows(processors),
        typed::rows(processors),
        media::rows(processors),
        pool::rows(processors),
        exchange::rows(processors),
        groups::rows(processors),
        sweep::rows(processors),
        sleeping::rows(processors),
        sets::rows(processors),
        thread::rows(processors),
        channel::rows(processors),
        locks::rows(processors),
        structures::rows(processors),
    ];
    groups.into_iter().flatten().collect()
}

/// Makes a pool in a process of its own, which then leaves it; returns its path.
fn make_pool(scratch: &Scratch, processor: usize, name: &str, bytes: u64) -> Result<PathBuf> {
    alone(processor, || Ok(Pool::create(&scratch.pool(name, bytes))?.path().to_owned()))
}
