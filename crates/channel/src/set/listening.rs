//! What a set asks of the pools in which its channels lie, and of the channels.

use weyr_managed::Pool;
use weyr_shared::{Element, Futex, Holder, Interest, Listener, MAX_LISTENERS, ReadyRow, RegistrationMask};

use std::sync::Arc;

use crate::Error;
use crate::attached::Attached;
use crate::channel::Shared;
use crate::host::Host;
use crate::poll::PollEvents;
use crate::pool_host::PoolHost;

/// A pool, as a set has it.
pub trait ListeningPool: Clone + std::fmt::Debug {
    /// How this process sleeps.
    type Futex: Futex;

    /// Tells pools apart.
    fn identity(&self) -> u128;

    /// The futex.
    fn futex(&self) -> &Self::Futex;

    /// Where this process is told what it listens to.
    ///
    /// # Errors
    /// The pool's.
    fn row(&self) -> Result<Element<ReadyRow>, Error>;

    /// A registration of this process, for a set that has `held` already; none when too few are left.
    ///
    /// # Errors
    /// The pool's.
    fn take_registration(&self, held: u32) -> Result<Option<u16>, Error>;

    /// Gives registrations back.
    fn give_back(&self, mask: &RegistrationMask);

    /// Recovers the pool from whoever died. Asks the kernel; does not wait.
    fn reap(&self);

    /// Monotonic nanoseconds. In a model time stands still.
    fn now_ns(&self) -> u64 {
        weyr_sys::clock::monotonic_ns()
    }

    /// Called before each look at what was told, with all that the set remembers: a model tells states apart by it.
    fn before_pass(&self, _remembered: u128) {}
}

impl ListeningPool for Pool {
    type Futex = weyr_managed::PoolFutex;

    fn identity(&self) -> u128 {
        self.uuid()
    }

    fn futex(&self) -> &Self::Futex {
        Pool::futex(self)
    }

    fn row(&self) -> Result<Element<ReadyRow>, Error> {
        Ok(self.ready_row()?)
    }

    fn take_registration(&self, held: u32) -> Result<Option<u16>, Error> {
        Ok(Pool::take_registration(self, held)?)
    }

    fn give_back(&self, mask: &RegistrationMask) {
        self.give_back_registrations(mask);
    }

    fn reap(&self) {
        Pool::reap(self);
    }
}

/// The host of a channel that can be in a set.
pub trait ListeningHost: Host {
    /// The pool.
    type Pool: ListeningPool;

    /// The pool in which the channel lies.
    fn listening_pool(&self) -> &Self::Pool;
}

impl ListeningHost for PoolHost {
    type Pool = Pool;

    fn listening_pool(&self) -> &Pool {
        self.pool()
    }
}

/// A channel that can be in a set, which keeps it attached.
pub trait Listened {
    /// Its host.
    type Host: ListeningHost;

    /// The channel as this process has it.
    fn attached(&self) -> &Attached<Self::Host>;
}

impl Listened for Arc<Shared> {
    type Host = PoolHost;

    fn attached(&self) -> &Attached<PoolHost> {
        &self.attached
    }
}

/// The pool of a channel.
pub(super) type PoolOf<C> = <<C as Listened>::Host as ListeningHost>::Pool;

/// What announces that a channel may be one of `events`.
pub(super) const fn interest_of(events: PollEvents) -> Interest {
    let arrivals = events.meets(PollEvents::IN.or(PollEvents::FULL));
    let departures = events.meets(PollEvents::OUT.or(PollEvents::EMPTY));
    match (arrivals, departures) {
        (true, true) => Interest::ARRIVALS.or(Interest::DEPARTURES),
        (true, false) => Interest::ARRIVALS,
        (false, true) => Interest::DEPARTURES,
        (false, false) => Interest::NONE,
    }
}

/// Listening to one channel.
impl<H: Host> Attached<H> {
    /// Enters a listener into the channel's table; from [`listen`](Self::listen) on it is told. Entries of the dead give
    /// way.
    ///
    /// # Errors
    /// [`Error::TooManyListeners`].
    pub(super) fn add_listener(&self, listener: Listener) -> Result<(), Error> {
        let listeners = self.ring.listeners();
        if listeners.enter(listener) || self.clear_dead_listeners() > 0 && listeners.enter(listener) {
            return Ok(());
        }
        Err(Error::TooManyListeners { limit: MAX_LISTENERS })
    }

    fn clear_dead_listeners(&self) -> u32 {
        self.ring.listeners().clear(|listener| {
            self.host.is_dead(Holder { process: listener.process(), epoch: listener.epoch() as u8 })
        })
    }

    /// Says that somebody in the table listens for `events`, who looks behind this.
    pub(super) fn listen(&self, events: PollEvents) {
        let (interest, futex) = (interest_of(events), self.host.futex());
        if interest.meets(Interest::ARRIVALS) {
            self.ring.to_receivers(futex).listen();
        }
        if interest.meets(Interest::DEPARTURES) {
            self.ring.to_senders(futex).listen();
        }
    }
}
