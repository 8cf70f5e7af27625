//! `weyr send` and `weyr recv`: bytes through a channel, from one shell to another.
//!
//! A message is a piece of the stream, as large as it came; a message without bytes says that one sender's stream has
//! ended. So what other programs send is received as well, and theirs may receive what is sent here.

mod open;
mod receive;
mod send;

pub(crate) use receive::run as receive;
pub(crate) use send::run as send;

use std::time::{Duration, Instant};

use serde::Serialize;
use weyr::Channel;

use crate::arguments::ChannelArguments;

/// What went through.
#[derive(Debug, Serialize)]
struct Report {
    pool: String,
    channel: String,
    messages: u64,
    bytes: u64,
    /// Messages that an earlier receiver may have had.
    #[serde(skip_serializing_if = "Option::is_none")]
    redelivered: Option<u64>,
    /// Whether the stream was said to end.
    ended: bool,
}

impl Report {
    fn of(channel: &Channel) -> Self {
        let (pool, name) = (channel.pool().name().to_owned(), channel.name().unwrap_or_default());
        Self { pool, channel: name, messages: 0, bytes: 0, redelivered: None, ended: false }
    }

    fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// How long waits may take: each, and all together.
#[derive(Debug, Clone, Copy)]
struct Limits {
    timeout: Option<Duration>,
    end: Instant,
}

/// As far away as a number of seconds on the command line can be, which is a hundred years.
const NO_LIMIT: Duration = Duration::from_secs(1 << 32);

impl Limits {
    /// Those of a command that begins now.
    fn of(arguments: &ChannelArguments) -> Self {
        let end = Instant::now() + arguments.deadline.unwrap_or(NO_LIMIT);
        Self { timeout: arguments.timeout, end }
    }

    /// When a wait that begins now is over.
    fn deadline(&self) -> Instant {
        self.end.min(Instant::now() + self.timeout.unwrap_or(NO_LIMIT))
    }

    /// Which of the two ended a wait, in words.
    fn passed(&self) -> String {
        match self.timeout {
            Some(timeout) if Instant::now() < self.end => format!("for {timeout:?}"),
            _ => "before the deadline".to_owned(),
        }
    }
}
