//! `weyr pool verify`.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use weyr::managed::{Inspection, Verification};
use weyr::{Mode, Pool};

use crate::failure::Failure;
use crate::output::{self, DIM, ERROR, GOOD, Output};

#[derive(Debug, Serialize)]
struct Report {
    name: String,
    quiesced: bool,
    holds: bool,
    pages: u64,
    blocks: u64,
    manifest_entries: u64,
    hidden_pages: u64,
    leftover_entries: u64,
    duration_ns: u64,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) invariant: &'static str,
    pub(crate) place: u64,
    pub(crate) detail: String,
}

impl From<weyr::managed::Finding> for Finding {
    fn from(found: weyr::managed::Finding) -> Self {
        let weyr::managed::Finding { invariant, place, detail } = found;
        Self { invariant, place, detail }
    }
}

pub(crate) fn run(path: &Path, quiesced: bool, output: &Output) -> Result<(), Failure> {
    let pool = Pool::inspect(path)?;
    let begin = Instant::now();
    let verification = pool.verify(if quiesced { Mode::Quiesced } else { Mode::Online });
    let report = Report::of(&pool, quiesced, begin.elapsed(), verification);
    output.write(&report, write)?;
    if report.holds { Ok(()) } else { Err(Failure::Reported) }
}

impl Report {
    fn of(pool: &Inspection, quiesced: bool, duration: Duration, verification: Verification) -> Self {
        let holds = verification.holds();
        let Verification { findings, pages, blocks, records, hidden_pages, leftover_entries } = verification;
        let findings = findings.into_iter();
        Self {
            name: pool.name().to_owned(),
            quiesced,
            holds,
            pages,
            blocks,
            manifest_entries: records,
            hidden_pages,
            leftover_entries,
            duration_ns: duration.as_nanos() as u64,
            findings: findings.map(Finding::from).collect(),
        }
    }
}

fn write(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(to, "{ERROR}{}{ERROR:#} at {:#x}: {}", finding.invariant, finding.place, finding.detail)?;
    }
    let verdict = match report.findings.len() as u64 {
        0 => format!("{GOOD}holds{GOOD:#}: every invariant of {}", report.name),
        broken => format!(
            "{ERROR}broken{ERROR:#}: {} in {}",
            output::counted(broken, "finding", "findings"),
            report.name
        ),
    };
    writeln!(to, "{verdict}")?;
    let pages = output::counted(report.pages, "page", "pages");
    let blocks = output::counted(report.blocks, "block", "blocks");
    let duration = output::duration(Duration::from_nanos(report.duration_ns));
    writeln!(to, "{DIM}{pages} and {blocks} looked at in {duration}{DIM:#}")
}
