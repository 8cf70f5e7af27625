//! What the command line says.

mod channel;
mod demo;
mod pool;
mod run;
mod size;
mod transfer;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use channel::*;
pub(crate) use demo::*;
pub(crate) use pool::*;
pub(crate) use run::*;
pub(crate) use size::{parse_bytes, parse_offset};
pub(crate) use transfer::*;

const EXIT_CODES: &str = "Exit codes:\n  0  well\n  1  something is wrong: a finding, a check that failed, a pool in use, a timeout\n  \
                          2  the command line asks for something impossible\n  3  the system refused";
const EXIT_CODES_OF_RUN: &str = "Exit codes:\n  The program's own; 128 and the number of the signal that ended it.\n  \
                                 2  there is no such program, or the command line asks for something impossible\n  \
                                 3  the system refused";

/// Memory that other programs can use, and channels to hand it over.
#[derive(Debug, Parser)]
#[command(name = "weyr", version, about, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Arguments {
    /// Write JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Pass a real file through shared memory between processes, without copying it, and check the result
    #[command(after_help = EXIT_CODES)]
    Demo(DemoArguments),
    /// List, show, verify and remove pools
    #[command(after_help = EXIT_CODES)]
    Pool(PoolArguments),
    /// List, show, watch and verify channels
    #[command(after_help = EXIT_CODES)]
    Channel(ChannelsArguments),
    /// Send a file or standard input through a channel of a pool
    #[command(after_help = EXIT_CODES)]
    Send(SendArguments),
    /// Receive from a channel of a pool until its sender says that the stream has ended
    #[command(after_help = EXIT_CODES)]
    Recv(ReceiveArguments),
    /// Run a program with a default pool, named to it by WEYR_POOL; the exit code is the program's
    #[command(after_help = EXIT_CODES_OF_RUN)]
    Run(RunArguments),
    /// Write the manual page, or the pages of all commands into a directory
    #[command(after_help = EXIT_CODES)]
    Man {
        /// Where to write a page for each command
        directory: Option<PathBuf>,
    },
    /// Write completions for a shell
    #[command(after_help = EXIT_CODES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Part of `demo`: reads the file into shared memory
    #[command(hide = true)]
    DemoReader(ReaderArguments),
    /// Part of `demo`: works on chunks of the file
    #[command(hide = true)]
    DemoWorker(WorkerArguments),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
