//! Polling as a future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Waiting;
use crate::error::Blocked;
use crate::{Error, PollEvents, Poller};

/// What [`Poller::poll_async`] gives.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct PollFuture<'p> {
    poller: &'p Poller,
    events: PollEvents,
    waiting: Waiting,
}

impl PollFuture<'_> {
    fn attempt(poller: &Poller, events: PollEvents) -> Result<Result<PollEvents, Error>, Blocked> {
        let found = poller.try_poll(events);
        let is_blocked = !events.is_empty() && found.as_ref().is_ok_and(|found| found.is_empty());
        if is_blocked { Err(Blocked::ByState) } else { Ok(found) }
    }
}

impl Future for PollFuture<'_> {
    type Output = Result<PollEvents, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (poller, events) = (self.poller, self.events);
        self.waiting.poll(poller.shared(), events, context, || Self::attempt(poller, events))
    }
}

impl Poller {
    /// Which of `events` the channel is, when it is one of them. Needs no particular runtime, and takes nothing.
    ///
    /// # Errors
    /// As [`try_poll`](Self::try_poll); [`Error::Reactor`] and [`Error::TooManyListeners`] when nobody can wait for it
    /// here.
    pub fn poll_async(&self, events: PollEvents) -> PollFuture<'_> {
        PollFuture { poller: self, events, waiting: Waiting::default() }
    }
}
