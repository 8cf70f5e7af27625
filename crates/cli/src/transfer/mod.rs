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

/// When a wait that begins now is over; never without a timeout.
fn deadline(timeout: Option<Duration>) -> Instant {
    // As far away as `--timeout` can be, which is a hundred years.
    Instant::now() + timeout.unwrap_or(Duration::from_secs(1 << 32))
}
