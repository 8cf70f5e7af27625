//! Breaks each item that `docs/interfaces/` maps, and looks whether the test beside it notices.
//!
//! All breaks are built at once: a copy of the tree gets one line at the start of each mapped function, which does
//! something wrong instead of the body when the environment variable `WEYR_MUTANT` names it. So each case costs a run
//! of one test, not a build.
//!
//! What a function does instead goes by what it returns: nothing done, false and true, zero, none, empty, the builder
//! as it was, an error; and a panic where no value can be written down, which shows that the test comes there at all.
//! Items that are no functions have their break in the table: `mutant = { from, to }`, an expression of the row's file.
#![forbid(unsafe_code)]

mod build;
mod change;
mod report;
mod run;
mod table;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use change::Mutant;
use report::{Case, Outcome};

/// Which broken items of docs/interfaces/ the tests beside them do not notice.
#[derive(Debug, Parser)]
#[command(name = "mutants")]
struct Arguments {
    /// Only rows whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Only rows of the tables whose file name contains this
    #[arg(long)]
    table: Option<String>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the table to this file
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let root = tree::root()?;
    let rows = table::read(&root, arguments.table.as_deref(), arguments.only.as_deref())?;
    let target = tree::target(&root);
    let copy = tree::copy(&root, &target.join("tree"))?;
    let mutants = change::of_rows(&root, &rows)?;
    let built = build::all(&copy, &target.join("build"), mutants, &rows)?;
    let cases = run_all(&built, &rows)?;
    ensure!(!cases.is_empty(), "no row has anything to break");
    let report = report::Report::new(&root, &rows, cases);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    if let Some(file) = arguments.store {
        std::fs::write(&file, report.to_string()).with_context(|| file.display().to_string())?;
    }
    Ok(if report.has_survivors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Each break, with the test of each row that maps what it breaks.
fn run_all(built: &build::Built, rows: &[table::Row]) -> Result<Vec<Case>> {
    let pairs: Vec<(&table::Row, &Mutant)> = rows
        .iter()
        .flat_map(|row| {
            built.mutants.iter().filter(move |mutant| mutant.is_of(row)).map(move |mutant| (row, mutant))
        })
        .collect();
    let progress = bar(pairs.len() as u64);
    let mut cases = Vec::new();
    for (row, mutant) in pairs {
        progress.set_message(format!("{} {}", row.name, mutant.instead));
        cases.push(Case::new(row, mutant, outcome(built, row, mutant)?));
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(cases)
}

fn outcome(built: &build::Built, row: &table::Row, mutant: &Mutant) -> Result<Outcome> {
    if mutant.is_dropped {
        return Ok(Outcome::DoesNotBuild);
    }
    let test = built.test_of(row)?;
    ensure!(run::passes(&test, None)?, "{} fails as it is", row.test());
    Ok(if run::passes(&test, Some(&mutant.id))? { Outcome::Survived } else { Outcome::Caught })
}

fn bar(cases: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {msg}");
    ProgressBar::new(cases).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A path as the tables have it.
fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
