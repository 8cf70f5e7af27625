//! `weyr pool prune`.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use weyr::Pool;
use weyr::managed::{Error, name};

use super::users::Users;
use crate::failure::Failure;
use crate::output::{self, DIM, ERROR, GOOD, Output};

#[derive(Debug, Serialize)]
struct Report {
    directory: String,
    dry_run: bool,
    removed: Vec<Removed>,
    kept: u64,
    failed: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Removed {
    name: String,
    reason: &'static str,
    backed_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Failed {
    name: String,
    error: String,
}

pub(crate) fn run(directory: &Path, unused: bool, dry_run: bool, output: &Output) -> Result<(), Failure> {
    let mut report = Report {
        directory: directory.display().to_string(),
        dry_run,
        removed: Vec::new(),
        kept: 0,
        failed: Vec::new(),
    };
    for (name, path) in name::list(directory)? {
        match prune(&path, unused, dry_run) {
            Ok(Some((reason, backed_bytes))) => report.removed.push(Removed { name, reason, backed_bytes }),
            Ok(None) => report.kept += 1,
            // Somebody destroyed it meanwhile.
            Err(Error::NoSuchPool { .. } | Error::Destroyed) => {}
            Err(error) => report.failed.push(Failed { name, error: error.to_string() }),
        }
    }
    output.write(&report, write)?;
    if report.failed.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

/// Removes a pool that nobody needs; says why, and how many bytes the filesystem gets back.
fn prune(path: &Path, unused: bool, dry_run: bool) -> Result<Option<(&'static str, u64)>, Error> {
    let pool = Pool::inspect(path)?;
    let reason = match Users::of(&pool.members()) {
        Users { alive: 0, dead: 1.. } => "all users are dead",
        Users { alive: 0, dead: 0 } if unused => "nobody uses it",
        _ => return Ok(None),
    };
    let backed_bytes = pool.usage().backed_bytes;
    let removed = dry_run || remove(path)?;
    Ok(removed.then_some((reason, backed_bytes)))
}

/// Destroys as a member, unless somebody has come since.
fn remove(path: &Path) -> Result<bool, Error> {
    match Pool::attach_path(path) {
        Ok(pool) if Users::beside_this_process(&pool.members()).alive > 0 => Ok(false),
        Ok(pool) => pool.destroy().map(|()| true),
        Err(Error::TableFull { .. }) => Pool::inspect(path)?.remove().map(|()| true),
        Err(error) => Err(error),
    }
}

fn write(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    let verb = if report.dry_run { "would remove" } else { "removed" };
    for pool in &report.removed {
        let bytes = output::bytes(pool.backed_bytes);
        writeln!(to, "{GOOD}{verb}{GOOD:#} {} {DIM}({}, {bytes}){DIM:#}", pool.name, pool.reason)?;
    }
    for pool in &report.failed {
        writeln!(to, "{ERROR}stays:{ERROR:#} {}", pool.error)?;
    }
    let kept = output::counted(report.kept, "pool stays", "pools stay");
    match (report.removed.len() + report.failed.len(), report.kept) {
        (0, 0) => writeln!(to, "No pools in {}.", report.directory),
        (0, _) => writeln!(to, "Nothing to remove; {kept} in {}.", report.directory),
        _ => Ok(()),
    }
}
