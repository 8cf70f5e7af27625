//! `weyr send` and `weyr recv`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use weyr::WaitMode;

use super::size::parse_bytes;

/// Which channel, and what to do when it is missing.
#[derive(Debug, Args)]
pub(crate) struct ChannelArguments {
    /// The channel: POOL/NAME, or only NAME in the pool that WEYR_POOL names
    pub(crate) channel: ChannelName,
    /// Directory of the pools [default: $WEYR_DIR, else /dev/shm]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Create the channel, and the pool, if they are missing
    #[arg(long)]
    pub(crate) create: bool,
    /// Bytes of a pool that is created
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = parse_bytes, requires = "create")]
    pub(crate) size: u64,
    /// Messages that can wait in a channel that is created
    #[arg(long, value_name = "NUMBER", default_value_t = 100, requires = "create")]
    pub(crate) capacity: u64,
    /// Bytes that fit into a message itself in a channel that is created; more goes as memory of the pool
    #[arg(long, value_name = "SIZE", default_value = "1K", value_parser = parse_bytes, requires = "create")]
    pub(crate) block_size: u64,
    /// Priority levels of a channel that is created, from 1 to 8
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "create")]
    pub(crate) levels: u32,
    /// Give up when nothing can be sent or received for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Give up when not all is sent or received so many seconds from now
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) deadline: Option<Duration>,
    /// How to wait: spin (fastest, keeps a processor busy), adaptive (spins a little, then sleeps) or idle (sleeps)
    #[arg(long, value_name = "MODE", default_value = "adaptive", value_parser = parse_wait_mode)]
    pub(crate) wait: WaitMode,
}

/// `POOL/NAME`, or `NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelName {
    /// The pool; none: the one that the environment names.
    pub(crate) pool: Option<String>,
    /// The channel in it.
    pub(crate) name: String,
}

impl std::str::FromStr for ChannelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pool, name) = match text.split_once('/') {
            Some((pool, name)) => (Some(pool.to_owned()), name),
            None => (None, text),
        };
        let is_empty = name.is_empty() || pool.as_ref().is_some_and(String::is_empty);
        if is_empty || name.contains('/') {
            return Err("write POOL/NAME, or NAME".into());
        }
        Ok(Self { pool, name: name.to_owned() })
    }
}

/// `weyr send`.
#[derive(Debug, Args)]
pub(crate) struct SendArguments {
    #[command(flatten)]
    pub(crate) channel: ChannelArguments,
    /// File to send; by default standard input, each piece as soon as it is there
    pub(crate) file: Option<PathBuf>,
    /// Most bytes of a message
    #[arg(long, value_name = "SIZE", default_value = "64K", value_parser = parse_chunk)]
    pub(crate) chunk: usize,
    /// Priority level: what is sent at a higher one is received first
    #[arg(long, value_name = "LEVEL", default_value_t = 0)]
    pub(crate) priority: u32,
    /// Each line is a message of its own
    #[arg(long)]
    pub(crate) lines: bool,
    /// Do not say that the stream has ended: more comes from another sender
    #[arg(long)]
    pub(crate) more: bool,
}

/// `weyr recv`.
#[derive(Debug, Args)]
pub(crate) struct ReceiveArguments {
    #[command(flatten)]
    pub(crate) channel: ChannelArguments,
    /// File to write; by default standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// End after so many messages; that one stream has ended does not end it then
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "follow")]
    pub(crate) count: Option<u64>,
    /// Write the message that would be received next, and leave it where it is; a message that is memory of the pool
    /// cannot be looked at so
    #[arg(long, conflicts_with_all = ["follow", "count", "destroy", "no_lease"])]
    pub(crate) peek: bool,
    /// Take each message before it is written: faster, but lost if this process dies in between
    #[arg(long)]
    pub(crate) no_lease: bool,
    /// Go on when a sender says that its stream has ended
    #[arg(long)]
    pub(crate) follow: bool,
    /// Destroy the channel when the stream has ended
    #[arg(long, conflicts_with = "follow")]
    pub(crate) destroy: bool,
}

fn parse_wait_mode(text: &str) -> Result<WaitMode, String> {
    match text {
        "spin" => Ok(WaitMode::Spin),
        "adaptive" => Ok(WaitMode::Adaptive),
        "idle" => Ok(WaitMode::Idle),
        _ => Err("the modes are spin, adaptive, idle".into()),
    }
}

fn parse_chunk(text: &str) -> Result<usize, String> {
    match parse_bytes(text)? {
        bytes @ 1..=0x1000_0000 => Ok(bytes as usize),
        _ => Err("choose 1 to 256M".into()),
    }
}

pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    // Beyond that a point in time cannot be had of every clock.
    seconds
        .filter(|timeout| timeout.as_secs() < 1 << 32)
        .ok_or_else(|| "write seconds, such as 5 or 0.2".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_named_with_or_without_its_pool() {
        let name = |text: &str| text.parse::<ChannelName>().map(|channel| (channel.pool, channel.name));
        assert_eq!(name("p/c"), Ok((Some("p".into()), "c".into())));
        assert_eq!(name("c"), Ok((None, "c".into())));
        assert!(["", "/", "p/", "/c", "p/c/d"].iter().all(|text| name(text).is_err()));
    }

    #[test]
    fn timeouts_are_seconds() {
        assert_eq!(parse_seconds("0.2"), Ok(Duration::from_millis(200)));
        assert!(["", "-1", "nan", "1e300", "5s"].iter().all(|text| parse_seconds(text).is_err()));
    }
}
