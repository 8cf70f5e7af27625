//! Futures: sending, receiving and polling without a thread that waits.
//!
//! The idea: a future tries what the call without waiting does. Where it is blocked it leaves its waker with the
//! [reactor](crate::reactor) of the process, which looks at the channel behind that and wakes it when there is reason to
//! try again. So any runtime will do, and none is needed.
//!
//! Every one of them may be dropped at any time. What is not ready has received nothing and sent nothing; a message is
//! taken, and memory changes hands, in the very poll that returns it. A future does not keep a place in a queue: who is
//! woken tries again beside all others.
//!
//! What it does not do: deadlines are the runtime's, which drops the future.

mod poll;
mod receive;
mod send;
mod sink;
mod stream;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::channel::Shared;
use crate::error::Blocked;
use crate::reactor::Awaited;
use crate::{Error, PollEvents};

pub use poll::PollFuture;
pub use receive::{LeaseFuture, ReceiveFuture};
pub use send::{SendAllocationFuture, SendFuture};
pub use sink::MessageSink;
pub use stream::MessageStream;

/// A future's place with the reactor, from its first fruitless try to its end.
#[derive(Debug, Default)]
struct Waiting {
    awaited: Option<Awaited>,
}

impl Waiting {
    /// Tries, and leaves the waker where it is blocked.
    fn poll<T>(
        &mut self,
        channel: &Arc<Shared>,
        events: PollEvents,
        context: &Context<'_>,
        mut attempt: impl FnMut() -> Result<Result<T, Error>, Blocked>,
    ) -> Poll<Result<T, Error>> {
        let blocked = match attempt() {
            Ok(outcome) => return self.end(outcome),
            Err(blocked) => blocked,
        };
        if let Err(error) = self.leave(channel, events, blocked, context.waker()) {
            return self.end(Err(error));
        }
        // Of changes one is told that come behind the waker.
        match blocked {
            Blocked::ByState => Poll::Pending,
            Blocked::ByShare => attempt().map_or(Poll::Pending, |outcome| self.end(outcome)),
        }
    }

    fn end<T>(&mut self, outcome: T) -> Poll<T> {
        self.awaited = None;
        Poll::Ready(outcome)
    }

    fn leave(
        &mut self,
        channel: &Arc<Shared>,
        events: PollEvents,
        blocked: Blocked,
        waker: &Waker,
    ) -> Result<(), Error> {
        if let Some(awaited) = &self.awaited
            && awaited.again(blocked, waker)?
        {
            return Ok(());
        }
        self.awaited = Some(Awaited::new(channel, events, blocked, waker)?);
        Ok(())
    }
}

/// What came of a call that does not wait, unless waiting may help.
fn unless_blocked<T>(outcome: Result<T, Error>) -> Result<Result<T, Error>, Blocked> {
    match outcome.as_ref().err().and_then(Error::blocked) {
        Some(blocked) => Err(blocked),
        None => Ok(outcome),
    }
}
