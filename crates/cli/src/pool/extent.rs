//! `weyr pool grow` and `weyr pool trim`.

use std::path::Path;

use serde::Serialize;
use weyr::Pool;
use weyr::managed::Error;

use crate::failure::Failure;
use crate::output::{self, DIM, GOOD, Output};

#[derive(Debug, Serialize)]
struct Grown {
    name: String,
    size_bytes: u64,
    maximum_bytes: u64,
    segments: u64,
}

/// Adds `segments` segments.
pub(crate) fn grow(path: &Path, segments: u64, output: &Output) -> Result<(), Failure> {
    let pool = Pool::attach_path(path)?;
    for _ in 0..segments {
        pool.grow().map_err(|error| no_larger(&pool, error))?;
    }
    let (name, maximum_bytes) = (pool.name().to_owned(), pool.maximum_size());
    let report = Grown { name, size_bytes: pool.size(), maximum_bytes, segments };
    output.write(&report, |to, report| {
        let (size, maximum) = (output::bytes(report.size_bytes), output::bytes(report.maximum_bytes));
        writeln!(to, "{GOOD}grown{GOOD:#} {} to {size} {DIM}(of at most {maximum}){DIM:#}", report.name)
    })
}

fn no_larger(pool: &Pool, error: Error) -> Failure {
    match error {
        Error::TooLarge { .. } => {
            let (name, size) = (pool.name(), output::bytes(pool.size()));
            Failure::Wrong(format!("pool {name:?} may not be larger than its {size}; create it with --grow"))
        }
        error => error.into(),
    }
}

#[derive(Debug, Serialize)]
struct Trimmed {
    name: String,
    given_bytes: u64,
    backed_bytes: u64,
}

/// Gives memory that nobody uses back.
pub(crate) fn trim(path: &Path, output: &Output) -> Result<(), Failure> {
    let pool = Pool::attach_path(path)?;
    let given_bytes = pool.trim()?;
    let (name, backed_bytes) = (pool.name().to_owned(), pool.usage().backed_bytes);
    output.write(&Trimmed { name, given_bytes, backed_bytes }, |to, report| {
        let (given, left) = (output::bytes(report.given_bytes), output::bytes(report.backed_bytes));
        writeln!(to, "{GOOD}trimmed{GOOD:#} {}: {given} given back, {left} left", report.name)
    })
}
