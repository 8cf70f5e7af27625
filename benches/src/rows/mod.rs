//! All rows.

mod allocation;

use std::path::PathBuf;

use weyr_managed::Pool;

use crate::Result;
use crate::process::alone;
use crate::processor::Processors;
use crate::row::Row;
use crate::scratch::Scratch;

pub(crate) fn all(processors: Processors) -> Vec<Row> {
    allocation::rows(processors)
}

/// Makes a pool in a process of its own, which then leaves it; returns its path.
fn make_pool(scratch: &Scratch, processor: usize, name: &str, bytes: u64) -> Result<PathBuf> {
    alone(processor, || Ok(Pool::create(&scratch.pool(name, bytes))?.path().to_owned()))
}
