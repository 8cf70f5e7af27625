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
//! | `exchange` | timing messages between two processes |
//! | `processor`, `process`, `clock`, `scratch`, `shared_page` | where, in whom, and how long something ran |
//! | `run`, `machine`, `date`, `store` | a run as data with the facts that belong to it, and where it is kept |
//! | `lines`, `facts`, `amount` | what tables say, whoever prints them |
//! | `report`, `markdown` | tables for a terminal, and for the README |
//! | `plot`, `svg` | plots over the size of a message |
//!
//! What it does not do: compare figures across runs. On a shared machine only ratios within one run mean something.

mod amount;
mod arguments;
mod clock;
mod contestants;
mod date;
mod exchange;
mod facts;
mod lines;
mod machine;
mod markdown;
mod plot;
mod process;
mod processor;
mod report;
mod round;
mod row;
mod rows;
mod run;
#[cfg(test)]
mod sample;
mod scratch;
mod shared_page;
mod store;
mod svg;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use arguments::Arguments;
use processor::Processors;
use row::Row;
use run::Run;

/// What goes wrong here is told to a person, and never handled.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match act(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("benches: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every contestant that is there ran, and came to the right result.
fn act(arguments: &Arguments) -> Result<bool> {
    if let Some(path) = &arguments.plot {
        show_paths(&store::draw(&Run::read(path)?, path)?);
    } else if let Some(path) = &arguments.show {
        print!("{}", report::text(&Run::read(path)?));
    } else if let Some(path) = &arguments.readme {
        store::write_readme(&Run::read(path)?, path)?;
    } else {
        return compare(arguments);
    }
    Ok(true)
}

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
    let kept = arguments.store.as_deref().map(store::place).transpose()?;
    let run = measured(arguments, processors, &rows);
    print!("{}", report::text(&run));
    if let Some(path) = &arguments.json {
        store::write(&run, path)?;
    }
    if let Some(path) = kept {
        store::write(&run, &path)?;
        show_paths(&store::draw(&run, &path)?);
    }
    Ok(run.is_sound())
}

fn measured(arguments: &Arguments, processors: Processors, rows: &[Row]) -> Run {
    let (effort, load, start) = (arguments.effort(), machine::load(), Instant::now());
    let results = rows.iter().map(|row| round::run(row, &effort)).collect();
    eprintln!();
    let machine = machine::facts(processors, load);
    Run::new(machine, arguments.command(), effort.rounds, start.elapsed().as_secs(), results)
}

fn show_paths(paths: &[PathBuf]) {
    paths.iter().for_each(|path| println!("{}", path.display()));
}
