//! What a future leaves with the reactor, and takes back when it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use weyr_sys::serial;

use super::{Order, Reactor};
use crate::channel::Shared;
use crate::error::Blocked;
use crate::{Error, PollEvents};

/// That a future wants to be woken when a channel is one of `events`.
#[derive(Debug)]
pub(crate) struct Interest {
    pub(super) number: u64,
    pub(super) events: PollEvents,
    /// By its share: then it is told of changes, as long as it is there.
    pub(super) blocked: Blocked,
    state: Mutex<State>,
}

/// What has become of it.
#[derive(Debug)]
enum State {
    /// Nothing yet.
    Waits(Waker),
    /// It was woken; who waits still leaves another one.
    Woken,
    /// Nobody can wait for it.
    Refused(Error),
}

impl Interest {
    fn state(&self) -> MutexGuard<'_, State> {
        // What is stored is stored as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(*self.state(), State::Waits(_))
    }

    /// Wakes the future. The waker runs outside of the lock, and may do whatever it likes.
    pub(super) fn wake(&self) {
        self.end(State::Woken);
    }

    /// Wakes it to be told that nobody can wait for it.
    pub(super) fn refuse(&self, error: Error) {
        self.end(State::Refused(error));
    }

    fn end(&self, with: State) {
        let before = std::mem::replace(&mut *self.state(), with);
        if let State::Waits(waker) = before {
            waker.wake();
        }
    }
}

/// A future's place with the reactor; dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Awaited {
    reactor: Reactor,
    interest: Arc<Interest>,
}

impl Awaited {
    /// Has `waker` woken, once, when the channel is one of `events`, or can no longer become that. Does not wait.
    ///
    /// # Errors
    /// [`Error::Reactor`].
    pub(crate) fn new(
        channel: &Arc<Shared>,
        events: PollEvents,
        blocked: Blocked,
        waker: &Waker,
    ) -> Result<Self, Error> {
        let reactor = Reactor::of_this_process()?;
        let state = Mutex::new(State::Waits(waker.clone()));
        let interest = Arc::new(Interest { number: serial::next(), events, blocked, state });
        reactor.order(Order::Await(Arc::clone(channel), Arc::clone(&interest)));
        Ok(Self { reactor, interest })
    }

    /// Has `waker` woken from now on. False: somebody was woken already, or it is blocked in another way by now, and
    /// another place is needed.
    ///
    /// # Errors
    /// Why nobody can wait for the channel.
    pub(crate) fn again(&self, blocked: Blocked, waker: &Waker) -> Result<bool, Error> {
        let mut state = self.interest.state();
        match &mut *state {
            State::Refused(error) => return Err(error.clone()),
            _ if blocked != self.interest.blocked => return Ok(false),
            State::Waits(known) => known.clone_from(waker),
            State::Woken if blocked == Blocked::ByShare => *state = State::Waits(waker.clone()),
            State::Woken => return Ok(false),
        }
        Ok(true)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        // One that was woken by the channel's state is no longer there.
        if self.interest.is_waiting() || self.interest.blocked == Blocked::ByShare {
            self.reactor.order(Order::Forget(self.interest.number));
        }
    }
}
