//! What a future leaves with the reactor, and takes back when it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use weyr_sys::serial;

use super::{Order, Reactor};
use crate::channel::Shared;
use crate::{Error, PollEvents};

/// That a future wants to be woken when a channel is one of `events`.
#[derive(Debug)]
pub(crate) struct Interest {
    pub(super) number: u64,
    pub(super) events: PollEvents,
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
    pub(crate) fn new(channel: &Arc<Shared>, events: PollEvents, waker: &Waker) -> Result<Self, Error> {
        let reactor = Reactor::of_this_process()?;
        let state = Mutex::new(State::Waits(waker.clone()));
        let interest = Arc::new(Interest { number: serial::next(), events, state });
        reactor.order(Order::Await(Arc::clone(channel), Arc::clone(&interest)));
        Ok(Self { reactor, interest })
    }

    /// Has `waker` woken from now on. False: somebody was woken already, and another place is needed.
    ///
    /// # Errors
    /// Why nobody can wait for the channel.
    pub(crate) fn again(&self, waker: &Waker) -> Result<bool, Error> {
        match &mut *self.interest.state() {
            State::Waits(known) => {
                known.clone_from(waker);
                Ok(true)
            }
            State::Woken => Ok(false),
            State::Refused(error) => Err(error.clone()),
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if self.interest.is_waiting() {
            self.reactor.order(Order::Forget(self.interest.number));
        }
    }
}
