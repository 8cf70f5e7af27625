//! weyr beside its peers.
//!
//! A *row* compares ours with others that do the same. In each *round* every contestant of a row runs once, in an order
//! that rotates, in fresh processes pinned to processors; so each round gives one ratio of ours to each peer, taken
//! within a moment. What is reported is the median of the ratios with the smallest and the largest, beside the ratio
//! that the row must hold.
//!
//! | module | concept |
//! | --- | --- |
//! | `row` | what is compared, and what must hold: data |
//! | `rows` | all of them |
//! | `contestants` | who runs, one file each |
//! | `round` | running the rows |
//! | `processor`, `process`, `clock`, `scratch`, `shared_page` | where, in whom, and how long something ran |
//! | `machine`, `report` | what is printed |
//!
//! What it does not do: compare figures across runs. On a shared machine only ratios within one run mean something.

mod arguments;
mod clock;
mod contestants;
mod machine;
mod process;
mod processor;
mod report;
mod round;
mod row;
mod rows;
mod scratch;
mod shared_page;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

/// What goes wrong here is told to a person, and never handled.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match compare(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("benches: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every contestant that is there ran, and came to the right result.
fn compare(arguments: &Arguments) -> Result<bool> {
    scratch::remove_abandoned();
    let processors = processor::chosen()?;
    let mut rows = rows::all(processors);
    rows.retain(|row| arguments.selects(&row.title()));
    if rows.is_empty() {
        return Err(format!("no row has {:?} in its name; --list shows them", arguments.only).into());
    }
    if arguments.list {
        rows.iter().for_each(|row| println!("{}", row.title()));
        return Ok(true);
    }
    let effort = arguments.effort();
    let results: Vec<_> = rows.iter().map(|row| round::run(row, &effort)).collect();
    eprintln!();
    let machine = machine::facts(processors);
    println!("{}", report::table(&results));
    println!("{}", report::footnotes(&machine, &effort));
    if let Some(path) = &arguments.json {
        std::fs::write(path, report::json(&results, &machine, &effort)?)?;
    }
    Ok(results.iter().all(round::RowResult::is_sound))
}
