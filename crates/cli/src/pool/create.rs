//! `weyr pool create`.

use std::path::Path;

use serde::Serialize;
use weyr::Pool;
use weyr::managed::Error;

use crate::arguments::CreateArguments;
use crate::failure::Failure;
use crate::output::{self, DIM, GOOD, Output};

#[derive(Debug, Serialize)]
struct Report {
    name: String,
    path: String,
    uuid: String,
    size_bytes: u64,
    maximum_bytes: u64,
    page_bytes: u64,
    backed_bytes: u64,
    processes: u32,
    /// Whether the kernel was asked for huge pages; what came of it follows from use.
    huge_pages: bool,
}

pub(crate) fn run(arguments: &CreateArguments, directory: &Path, output: &Output) -> Result<(), Failure> {
    let attributes = arguments.shape.attributes(&arguments.name, arguments.size, directory);
    let pool = Pool::create(&attributes).map_err(|error| explain(error, directory))?;
    output.write(&Report::of(&pool), |to, report| {
        let size = output::bytes(report.size_bytes);
        writeln!(to, "{GOOD}created{GOOD:#} {}, {size} {DIM}{}{DIM:#}", report.name, report.path)
    })
}

/// What the errors of opening a pool mean to one that creates it.
pub(crate) fn explain(error: Error, directory: &Path) -> Failure {
    let directory = directory.display();
    match error {
        Error::NoSuchPool { .. } => Failure::System(format!(
            "there is no directory {directory}; make it, or name another with --directory or WEYR_DIR"
        )),
        Error::PermissionDenied { .. } => Failure::System(format!(
            "no permission to create a pool in {directory}; name another with --directory or WEYR_DIR"
        )),
        error => error.into(),
    }
}

impl Report {
    fn of(pool: &Pool) -> Self {
        let usage = pool.usage();
        Self {
            name: pool.name().to_owned(),
            path: pool.path().display().to_string(),
            uuid: format!("{:032x}", pool.uuid()),
            size_bytes: pool.size(),
            maximum_bytes: pool.maximum_size(),
            page_bytes: usage.page_bytes,
            backed_bytes: usage.backed_bytes,
            processes: pool.process_limit(),
            huge_pages: pool.huge_pages().asked,
        }
    }
}
