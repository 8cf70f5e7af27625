//! `weyr channel verify`.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use weyr::managed::Inspection;
use weyr::{Mode, Pool};

use super::find;
use crate::arguments::PoolOrChannel;
use crate::failure::Failure;
use crate::output::{self, ERROR, GOOD, Output};
use crate::pool;
use crate::pool::verify::Finding;

#[derive(Debug, Serialize)]
struct Report {
    pool: String,
    /// The channel that was meant; none: all.
    channel: Option<String>,
    quiesced: bool,
    holds: bool,
    channels: usize,
    findings: Vec<Finding>,
}

pub(super) fn run(
    directory: &Path,
    wanted: &PoolOrChannel,
    quiesced: bool,
    output: &Output,
) -> Result<(), Failure> {
    let pool = Pool::inspect(&pool::path(directory, &wanted.pool)?)?;
    let one = match &wanted.channel {
        Some(channel) => Some(find::facts(&pool, channel)?.reference.offset),
        None => None,
    };
    let findings = findings(&pool, quiesced, one);
    let report = Report {
        pool: pool.name().to_owned(),
        channel: wanted.channel.clone(),
        quiesced,
        holds: findings.is_empty(),
        channels: one.map_or_else(|| pool.channels().len(), |_| 1),
        findings,
    };
    output.write(&report, write)?;
    if report.holds { Ok(()) } else { Err(Failure::Reported) }
}

/// What is wrong with channels and their messages: at the channel `one`, or at any.
fn findings(pool: &Inspection, quiesced: bool, one: Option<u64>) -> Vec<Finding> {
    let places: Vec<u64> = pool.channels().iter().map(|facts| facts.reference.offset).collect();
    let verification = pool.verify(if quiesced { Mode::Quiesced } else { Mode::Online });
    let is_meant = |found: &weyr::managed::Finding| match one {
        Some(offset) => found.place == offset,
        None => places.contains(&found.place) || is_of_channels(found.invariant),
    };
    verification.findings.into_iter().filter(is_meant).map(Finding::from).collect()
}

/// Also what is wrong with a channel that cannot be listed, or with a block that a message has.
fn is_of_channels(invariant: &str) -> bool {
    invariant.contains("channel") || invariant.contains("message")
}

fn write(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(to, "{ERROR}{}{ERROR:#} at {:#x}: {}", finding.invariant, finding.place, finding.detail)?;
    }
    let whole = match &report.channel {
        Some(channel) => format!("{}/{channel}", report.pool),
        None => {
            format!("{} of {}", output::counted(report.channels as u64, "channel", "channels"), report.pool)
        }
    };
    match report.findings.len() as u64 {
        0 => writeln!(to, "{GOOD}holds{GOOD:#}: every invariant of {whole}"),
        broken => {
            let findings = output::counted(broken, "finding", "findings");
            writeln!(to, "{ERROR}broken{ERROR:#}: {findings} in {whole}")
        }
    }
}
