//! `weyr pool repair`.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use comfy_table::Cell;
use serde::Serialize;
use weyr::Pool;
use weyr::managed::{Repair, Repaired, Verification};

use super::verify::Finding;
use crate::failure::Failure;
use crate::output::{self, DIM, ERROR, GOOD, Output};

#[derive(Debug, Serialize)]
struct Report {
    name: String,
    holds: bool,
    findings_before: u64,
    repairs: Vec<Line>,
    findings: Vec<Finding>,
    duration_ns: u64,
}

#[derive(Debug, Serialize)]
struct Line {
    what: &'static str,
    count: u64,
}

pub(crate) fn run(name: &str, path: &Path, output: &Output) -> Result<(), Failure> {
    let begin = Instant::now();
    let repaired = Pool::repair(path)?;
    let report = Report::of(name, repaired, begin.elapsed());
    output.write(&report, write)?;
    if report.holds { Ok(()) } else { Err(Failure::Reported) }
}

impl Report {
    fn of(name: &str, repaired: Repaired, duration: Duration) -> Self {
        let Repaired { before, repairs, after } = repaired;
        let line = |Repair { what, count }: Repair| Line { what, count };
        let (holds, Verification { findings, .. }) = (after.holds(), after);
        Self {
            name: name.to_owned(),
            holds,
            findings_before: before.findings.len() as u64,
            repairs: repairs.into_iter().map(line).collect(),
            findings: findings.into_iter().map(Finding::from).collect(),
            duration_ns: duration.as_nanos() as u64,
        }
    }
}

fn write(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    let mut table = output::table(&[">REPAIRED", "WHAT"]);
    for Line { what, count } in report.repairs.iter().filter(|line| line.count > 0) {
        table.add_row([Cell::new(output::count(*count)), Cell::new(what)]);
    }
    match table.is_empty() {
        true => writeln!(to, "Nothing to repair in {}.", report.name)?,
        false => output::write_table(to, table, "")?,
    }
    for finding in &report.findings {
        writeln!(to, "{ERROR}{}{ERROR:#} at {:#x}: {}", finding.invariant, finding.place, finding.detail)?;
    }
    let duration = output::duration(Duration::from_nanos(report.duration_ns));
    match report.findings.len() as u64 {
        0 => writeln!(to, "{GOOD}holds{GOOD:#}: every invariant of {} {DIM}({duration}){DIM:#}", report.name),
        left => {
            let left = output::counted(left, "finding is left", "findings are left");
            writeln!(to, "{ERROR}broken{ERROR:#}: {left} in {} {DIM}({duration}){DIM:#}", report.name)
        }
    }
}
