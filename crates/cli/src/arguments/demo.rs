//! `weyr demo` and the processes that it starts.

use std::path::PathBuf;

use clap::Args;

use super::size::parse_bytes;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_limits() {
        assert!(parse_chunk("1").is_err() && parse_chunk("1G").is_err());
        assert_eq!(parse_chunk("4K"), Ok(4096));
    }
}
