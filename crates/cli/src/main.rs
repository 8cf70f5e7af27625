//! The `weyr` command: pools of shared memory made, shown, checked, repaired and removed, bytes sent
//! through their channels, programs run with one, and a demonstration on a real file.
//!
//! | module | concept |
//! | --- | --- |
//! | `arguments` | what the command line says |
//! | `output` | tables for people, JSON for programs |
//! | `failure` | errors and exit codes |
//! | `pool` | `weyr pool ...` |
//! | `channel` | `weyr channel ...` |
//! | `transfer` | `weyr send` and `weyr recv` |
//! | `run` | `weyr run` |
//! | `manual` | `weyr man` and `weyr completions` |
//! | `demo` | `weyr demo ...` |
//!
//! Its one unsafe line is the promise in `demo/cooperation.rs`; pools that it only looks at get none.
#![deny(unsafe_code)]

mod arguments;
mod channel;
mod demo;
mod failure;
mod manual;
mod output;
mod pool;
mod run;
mod transfer;

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
        Ok(code) => code,
        Err(failure) => report(&failure),
    }
}

fn run(command: Command, output: &Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(program) => return run::run(&program),
        Command::Channel(channel) => channel::run(&channel, output),
        Command::Send(send) => transfer::send(&send, output),
        Command::Recv(receive) => transfer::receive(&receive, output),
        Command::Man { directory } => manual::pages(directory.as_deref(), output),
        Command::Completions { shell } => manual::completions(shell, output),
        Command::Demo(demo) => demo::run(&demo, output),
        Command::DemoReader(role) => demo::reader::run(&role),
        Command::DemoWorker(role) => demo::worker::run(&role),
        Command::Pool(pool) => pool::run(&pool, output),
    }
    .map(|()| ExitCode::SUCCESS)
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
