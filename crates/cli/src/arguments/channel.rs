//! `weyr channel`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::pool::LookArguments;
use super::transfer::ChannelName;

/// `weyr channel`.
#[derive(Debug, Args)]
pub(crate) struct ChannelsArguments {
    /// Directory of the pools [default: $WEYR_DIR, else /dev/shm]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: ChannelCommand,
}

/// What `weyr channel watch` says of its ends.
const WATCH: &str = "On a terminal it draws; elsewhere it writes each look as text, with --json as one object a line.\n\
    It maps the pool read-only and is no member, so it takes no message and holds nobody up. PASSED counts the positions\n\
    that receivers have left behind: messages, and positions whose sender died.\n\n\
    Exit codes:\n  0  ended: by q, Ctrl-C, SIGTERM or SIGHUP, after --count looks, or because nobody reads the output any more\n  \
    1  the channel or its pool was destroyed while it was watched, or is damaged\n  \
    2  the command line asks for something impossible\n  3  the system refused: there is no such channel";

/// What to do with channels.
#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// List the channels of a pool
    #[command(after_help = super::EXIT_CODES)]
    List {
        /// Name of the pool [default: the one that WEYR_POOL names]
        pool: Option<String>,
    },
    /// Show what a channel is, what waits in it, level by level, and who has it
    #[command(after_help = super::EXIT_CODES)]
    Show {
        #[command(flatten)]
        channel: NamedChannel,
    },
    /// Show what happens in a channel, again and again, without touching it; q ends it
    #[command(after_help = WATCH)]
    Watch {
        #[command(flatten)]
        channel: NamedChannel,
        #[command(flatten)]
        looks: LookArguments,
    },
    /// Check the invariants of the channels of a pool, or of one, without changing or stopping anything; exits with 1 when
    /// one is broken
    #[command(after_help = super::EXIT_CODES)]
    Verify {
        /// The pool, or POOL/CHANNEL
        #[arg(value_name = "POOL[/CHANNEL]")]
        channel: PoolOrChannel,
        /// Nobody uses the pool: also report what is only right in the middle of an operation
        #[arg(long)]
        quiesced: bool,
    },
}

/// Which channel.
#[derive(Debug, Args)]
pub(crate) struct NamedChannel {
    /// The channel: POOL/NAME, or only NAME in the pool that WEYR_POOL names; one without a name by its offset, as `weyr
    /// channel list` shows it
    #[arg(value_name = "POOL/CHANNEL")]
    pub(crate) channel: ChannelName,
}

/// `POOL`, or `POOL/CHANNEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolOrChannel {
    /// The pool.
    pub(crate) pool: String,
    /// The channel in it; none: all of them.
    pub(crate) channel: Option<String>,
}

impl std::str::FromStr for PoolOrChannel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pool, channel) = match text.split_once('/') {
            Some((pool, channel)) => (pool, Some(channel)),
            None => (text, None),
        };
        let is_wrong = pool.is_empty() || channel.is_some_and(|name| name.is_empty() || name.contains('/'));
        if is_wrong {
            return Err("write POOL, or POOL/CHANNEL".into());
        }
        Ok(Self { pool: pool.to_owned(), channel: channel.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_named_with_or_without_a_channel() {
        let name = |text: &str| text.parse::<PoolOrChannel>().map(|found| (found.pool, found.channel));
        assert_eq!(name("p/c"), Ok(("p".into(), Some("c".into()))));
        assert_eq!(name("p"), Ok(("p".into(), None)));
        assert!(["", "/", "p/", "/c", "p/c/d"].iter().all(|text| name(text).is_err()));
    }
}
