//! The `weyr` command: pools of shared memory listed, shown, checked and removed, and a demonstration on a real file.
//!
//! | module | concept |
//! | --- | --- |
//! | `arguments` | what the command line says |
//! | `output` | tables for people, JSON for programs |
//! | `failure` | errors and exit codes |
//! | `pool` | `weyr pool ...` |
//! | `demo` | `weyr demo ...` |
//!
//! Its one unsafe line is the promise in `demo/cooperation.rs`; pools that it only looks at get none.
#![deny(unsafe_code)]

mod arguments;
mod demo;
mod failure;
mod output;
mod pool;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output { json: arguments.json };
    match run(arguments.command, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn run(command: Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Demo(demo) => demo::run(&demo, output),
        Command::DemoReader(role) => demo::reader::run(&role),
        Command::DemoWorker(role) => demo::worker::run(&role),
        Command::Pool(pool) => pool::run(&pool, output),
    }
}

/// Says on standard error what is wrong, unless the output has said it.
fn report(failure: &Failure) -> ExitCode {
    if !matches!(failure, Failure::Reported) {
        let style = output::ERROR;
        // Where standard error is closed nobody is left to tell; the exit code stays.
        let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {failure}");
    }
    failure.exit_code()
}
