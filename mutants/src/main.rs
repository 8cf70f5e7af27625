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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
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
    /// How many tests run at once
    #[arg(long, default_value_t = 1)]
    jobs: usize,
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
    let cases = run_all(&built, &rows, arguments.jobs)?;
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

/// Each break, with the test of each row that maps what it breaks; a break and a test that several rows have run once.
fn run_all(built: &build::Built, rows: &[table::Row], jobs: usize) -> Result<Vec<Case>> {
    let pairs: Vec<(&table::Row, &Mutant)> = rows
        .iter()
        .flat_map(|row| {
            built.mutants.iter().filter(move |mutant| mutant.is_of(row)).map(move |mutant| (row, mutant))
        })
        .collect();
    let mut runs: BTreeMap<_, _> = BTreeMap::new();
    for (row, mutant) in &pairs {
        runs.entry((&mutant.id, row.test())).or_insert((*row, *mutant));
    }
    let outcomes = outcomes(built, runs, jobs.max(1))?;
    let case = |(row, mutant): (&table::Row, &Mutant)| {
        Case::new(row, mutant, outcomes[&(mutant.id.clone(), row.test().to_owned())])
    };
    Ok(pairs.into_iter().map(case).collect())
}

/// A break and a test, by their names.
type Outcomes = BTreeMap<(String, String), Outcome>;

/// `jobs` at once, for most of the time goes into tests that hang.
fn outcomes(
    built: &build::Built,
    runs: BTreeMap<(&String, &str), (&table::Row, &Mutant)>,
    jobs: usize,
) -> Result<Outcomes> {
    let progress = bar(runs.len() as u64);
    let left = Mutex::new(runs.into_iter());
    let work = || {
        let mut done = Outcomes::new();
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(((id, test), (row, mutant))) = next else { return Ok(done) };
            progress.set_message(format!("{} {}", row.name, mutant.instead));
            done.insert((id.clone(), test.to_owned()), outcome(built, row, mutant)?);
            progress.inc(1);
        }
    };
    let results: Vec<Result<Outcomes>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| bail!("a run panicked"))).collect()
    });
    progress.finish_and_clear();
    results.into_iter().try_fold(Outcomes::new(), |mut all, done| {
        all.append(&mut done?);
        Ok(all)
    })
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
