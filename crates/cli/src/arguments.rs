//! What the command line says.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "Exit codes:\n  0  well\n  1  something is wrong: a finding, a check that failed, a pool in use\n  \
                          2  the command line asks for something impossible\n  3  the system refused";

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
    /// Part of `demo`: reads the file into shared memory
    #[command(hide = true)]
    DemoReader(ReaderArguments),
    /// Part of `demo`: works on chunks of the file
    #[command(hide = true)]
    DemoWorker(WorkerArguments),
}

/// `weyr demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// File to pass through; by default the largest file of the Rust toolchain
    pub(crate) file: Option<PathBuf>,
    /// Worker processes; by default one for each processor but one, between 2 and 8
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) workers: Option<u32>,
    /// Bytes of a chunk, with an optional suffix K, M or G
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = parse_chunk)]
    pub(crate) chunk: u64,
    /// Kill one worker in the middle of its work; nothing may be lost
    #[arg(long)]
    pub(crate) kill: bool,
    /// Copy the chunks into and out of the channel instead of handing over the memory, for comparison
    #[arg(long)]
    pub(crate) copy: bool,
    /// Directory of the pool [default: $WEYR_DIR, else /dev/shm]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Let something go wrong, to see the demo notice
    #[arg(long, hide = true, value_enum)]
    pub(crate) fault: Option<Fault>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Fault {
    /// The reader, in the middle of the file.
    Reader,
    /// A worker, while it holds a lease.
    Worker,
    /// All workers, each while it holds a lease.
    Workers,
    /// Nobody, but all workers stop, each while it holds a lease.
    Stall,
}

/// What all processes of a demo share.
#[derive(Debug, Clone, Args)]
pub(crate) struct Channels {
    /// Descriptor of the channel that carries the chunks.
    #[arg(long)]
    pub(crate) work: String,
    /// Descriptor of the channel that carries the answers.
    #[arg(long)]
    pub(crate) replies: String,
}

/// The hidden reader.
#[derive(Debug, Args)]
pub(crate) struct ReaderArguments {
    #[command(flatten)]
    pub(crate) channels: Channels,
    #[arg(long)]
    pub(crate) file: PathBuf,
    #[arg(long)]
    pub(crate) chunk: u64,
    #[arg(long)]
    pub(crate) copy: bool,
    /// Stop here and say so.
    #[arg(long)]
    pub(crate) pause_at: Option<u64>,
}

/// A hidden worker.
#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    #[command(flatten)]
    pub(crate) channels: Channels,
    #[arg(long)]
    pub(crate) worker: u32,
    /// Stop in the middle of this chunk, unless it was delivered before, and say so.
    #[arg(long)]
    pub(crate) pause_at: Option<u64>,
    /// Stop in the middle of every chunk from that one on.
    #[arg(long)]
    pub(crate) pause_always: bool,
}

/// `weyr pool`.
#[derive(Debug, Args)]
pub(crate) struct PoolArguments {
    /// Directory of the pools [default: $WEYR_DIR, else /dev/shm]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: PoolCommand,
}

/// What to do with pools.
#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    /// List your pools
    List,
    /// Show what a pool holds and who has it
    Show {
        /// Name of the pool
        name: String,
    },
    /// Check the invariants of a pool, without changing or stopping anything; exits with 1 when one is broken
    Verify {
        /// Name of the pool
        name: String,
        /// Nobody uses the pool: also report what is only right in the middle of an operation
        #[arg(long)]
        quiesced: bool,
    },
    /// Destroy a pool that nobody uses
    Destroy {
        /// Name of the pool
        name: String,
        /// Also when processes use it, and when it is damaged
        #[arg(long)]
        force: bool,
    },
    /// Remove the pools whose users are all dead
    Prune {
        /// Also those from which everybody has detached
        #[arg(long)]
        unused: bool,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

/// Smallest chunk of a demo, in bytes.
pub(crate) const SMALLEST_CHUNK: u64 = 4 << 10;
/// Largest chunk of a demo, in bytes.
pub(crate) const LARGEST_CHUNK: u64 = 256 << 20;

fn parse_chunk(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if !(SMALLEST_CHUNK..=LARGEST_CHUNK).contains(&bytes) {
        return Err("choose 4K to 256M".into());
    }
    Ok(bytes)
}

/// `4096`, `64K`, `64KiB`, `1M`, `2G`: powers of 1024.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let shift = match suffix.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err("write a number with an optional suffix K, M or G".into()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number with an optional suffix K, M or G")?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_have_binary_suffixes() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("64K"), Ok(64 << 10));
        assert_eq!(parse_bytes("1 MiB"), Ok(1 << 20));
        assert_eq!(parse_bytes("2g"), Ok(2 << 30));
        assert!(
            ["", "K", "1T", "-1", "1.5M", "99999999999999G"].iter().all(|text| parse_bytes(text).is_err())
        );
        assert!(parse_chunk("1").is_err());
    }
}
