//! The handle that waits for what a channel is like.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::channel::Shared;
use crate::defaults::{Defaults, Limit};
use crate::poll::{PollEvents, PollSide};
use crate::wait::{Attempt, Tried};
use crate::{Error, WaitMode};

/// Looks what a channel is like, and waits until it is what one waits for. It takes nothing: what it has seen may be
/// another's by the time it says so.
///
/// How many messages wait, exactly, is [`Channel::len`](crate::Channel::len) (POLLSIZE in *Dragon channels*).
///
/// ```
/// use weyr_channel::{Channel, ChannelAttributes, PollEvents};
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-poll-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
/// let poller = channel.poller();
///
/// let all = PollEvents::IN | PollEvents::OUT | PollEvents::EMPTY | PollEvents::FULL;
/// assert_eq!(poller.try_poll(all)?, PollEvents::OUT | PollEvents::EMPTY);
/// channel.send(b"hello")?;
/// assert_eq!(poller.poll(PollEvents::IN)?, PollEvents::IN);
/// assert_eq!(channel.len()?, 1); // polling has received nothing
/// # drop(poller);
/// channel.destroy()?;
/// pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Poller {
    shared: Arc<Shared>,
    side: PollSide,
    defaults: Defaults,
}

impl Clone for Poller {
    fn clone(&self) -> Self {
        Self { defaults: self.defaults, ..Self::new(Arc::clone(&self.shared)) }
    }
}

impl Poller {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, side: PollSide::default(), defaults: Defaults::default() }
    }

    /// The same poller, waiting in another way; [`WaitMode::Adaptive`] unless said otherwise.
    #[must_use]
    pub fn with_wait_mode(mut self, mode: WaitMode) -> Self {
        self.defaults.mode = mode;
        self
    }

    /// The same poller, whose [`poll`](Self::poll) waits for at most `timeout`; without limit unless said otherwise.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.timeout = Some(timeout);
        self
    }

    /// Which of `events` the channel is; often none. Does not wait.
    ///
    /// # Errors
    /// [`Error::Destroyed`]; [`Error::Corrupt`]; [`Error::Pool`] when a forked child cannot join the pool.
    /// Source: *Dragon channels*, `dragon_channel_poll`.
    pub fn try_poll(&self, events: PollEvents) -> Result<PollEvents, Error> {
        match self.shared.attached.try_poll(&self.side, events, Attempt::AT_ONCE)? {
            Tried::Done(found) => Ok(found),
            Tried::Blocked { .. } => Ok(PollEvents::NONE),
        }
    }

    /// Waits until the channel is one of `events`, and says which of them it is: without limit, or as long as its
    /// [timeout](Self::with_timeout) allows. For none it does not wait.
    ///
    /// A poller that sleeps for EMPTY or FULL is woken by each message that goes or comes.
    ///
    /// # Errors
    /// As [`try_poll`](Self::try_poll), and [`Error::Timeout`].
    pub fn poll(&self, events: PollEvents) -> Result<PollEvents, Error> {
        self.poll_within(events, Limit::Default)
    }

    /// As [`poll`](Self::poll), waiting until `deadline`.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn poll_until(&self, events: PollEvents, deadline: Instant) -> Result<PollEvents, Error> {
        self.poll_within(events, Limit::Until(Some(deadline)))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn poll_within(&self, events: PollEvents, limit: Limit) -> Result<PollEvents, Error> {
        let found = self.try_poll(events)?;
        if !found.is_empty() || events.is_empty() {
            return Ok(found);
        }
        let deadline = self.defaults.deadline(limit).ok_or(Error::Timeout)?;
        self.shared.attached.poll_until(&self.side, events, self.defaults.mode, deadline)
    }
}
