//! `weyr pool copy`.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use weyr::Pool;
use weyr::managed::Error;

use crate::arguments::CopyArguments;
use crate::failure::Failure;
use crate::output::{self, DIM, GOOD, Output};

#[derive(Debug, Serialize)]
struct Report {
    name: String,
    path: String,
    uuid: String,
    length_bytes: u64,
    duration_ns: u64,
}

pub(crate) fn run(
    arguments: &CopyArguments,
    path: &Path,
    directory: &Path,
    output: &Output,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let pool = Pool::inspect(path)?;
    let to = arguments.to.as_deref().unwrap_or(directory);
    let copy = pool.copy_to(to, &arguments.copy).map_err(|error| explain(error, to))?;
    let report = Report {
        name: arguments.copy.clone(),
        uuid: format!("{:032x}", pool.uuid()),
        length_bytes: std::fs::metadata(&copy)?.len(),
        path: copy.display().to_string(),
        duration_ns: begin.elapsed().as_nanos() as u64,
    };
    output.write(&report, |to, report| {
        let (length, name) = (output::bytes(report.length_bytes), &report.name);
        writeln!(to, "{GOOD}copied{GOOD:#} to {name}, {length} {DIM}{}{DIM:#}", report.path)
    })
}

fn explain(error: Error, directory: &Path) -> Failure {
    match error {
        Error::InUse { .. } => Failure::Wrong(error.to_string()),
        error => super::explain_creation(error, directory),
    }
}
