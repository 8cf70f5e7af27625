//! Notification of a whole set: somebody is told when one of its channels comes to be what it is in the set for.
//!
//! Each member has a [watch](crate::Watch) of its own, whose notices go to what the set was given, with the member's
//! token. So it is told of changes, by the reactor's thread of this process, and of destroyed members; and what members are
//! added, asked for other events or taken out meanwhile changes no more than their watches.
//!
//! Source: *Dragon channels*, `dragon_channelset_notify_callback`, `dragon_channelset_notify_signal`.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use weyr_managed::PoolBroadcast;

use super::SetKey;
use super::gate::Gate;
use crate::channel::Shared;
use crate::watch::{Notice, Notification, Watch, release_with};
use crate::{Error, PollEvents};

/// What somebody is notified of by a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetNotice {
    /// Which member it is about.
    pub key: SetKey,
    /// What it was added with.
    pub token: u64,
    /// Which of the events that it is in the set for the channel was; none when it was destroyed.
    pub events: PollEvents,
    /// Whether the channel was destroyed. This is the last notice of it then.
    pub is_destroyed: bool,
}

/// How somebody is notified by a set. Each is made by a call of its name.
pub struct SetNotification(Kind);

enum Kind {
    Callback(Box<dyn FnMut(SetNotice) + Send>),
    /// A callback that panicked.
    Nothing,
    Event(Box<PoolBroadcast>),
    /// What says nothing of the member.
    Plain(Notification),
}

impl fmt::Debug for SetNotification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Callback(_) => f.write_str("Callback"),
            Kind::Nothing => f.write_str("Nothing"),
            Kind::Event(event) => f.debug_tuple("Event").field(event).finish(),
            Kind::Plain(notification) => notification.fmt(f),
        }
    }
}

impl SetNotification {
    /// `callback` is called, by the thread that serves all futures and watches of the process: it is short, and does not
    /// wait. One that panics is not called again.
    pub fn callback(callback: impl FnMut(SetNotice) + Send + 'static) -> Self {
        Self(Kind::Callback(Box::new(callback)))
    }

    /// This process gets the signal of that number, as by [`Notification::signal`]. Which member it was a wait of the set
    /// says.
    pub fn signal(number: i32) -> Self {
        Self(Kind::Plain(Notification::signal(number)))
    }

    /// One is added to the counter of an eventfd(2). Which member it was a wait of the set says.
    pub fn eventfd(eventfd: OwnedFd) -> Self {
        Self(Kind::Plain(Notification::eventfd(eventfd)))
    }

    /// All who wait for `event` are released, with the member's token and the events as by [`Notification::event`].
    pub fn event(event: PoolBroadcast) -> Self {
        Self(Kind::Event(Box::new(event)))
    }

    fn check(&self) -> Result<(), Error> {
        match &self.0 {
            Kind::Plain(notification) => notification.check(),
            _ => Ok(()),
        }
    }

    fn deliver(&mut self, notice: SetNotice) -> io::Result<()> {
        let SetNotice { token, events, is_destroyed, .. } = notice;
        let of_channel = Notice { events, is_destroyed };
        match &mut self.0 {
            Kind::Callback(callback) => catch_unwind(AssertUnwindSafe(|| callback(notice))).map_err(|_| {
                self.0 = Kind::Nothing;
                io::Error::other("the callback panicked, and is not called again")
            }),
            Kind::Nothing => Ok(()),
            Kind::Event(event) => release_with(event, token, of_channel),
            Kind::Plain(notification) => notification.deliver(of_channel),
        }
    }
}

/// What the watches of all members tell.
#[derive(Debug)]
struct Told {
    notification: Mutex<SetNotification>,
    gate: Gate,
}

impl Told {
    fn tell(&self, notice: SetNotice) {
        let mut notification = self.notification.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(_telling) = self.gate.enter() else { return };
        if let Err(error) = notification.deliver(notice) {
            tracing::warn!(%error, ?notice, "somebody who is told of a channel set could not be notified");
        }
    }
}

/// The watch of one member.
#[derive(Debug)]
struct Watched {
    watch: Watch,
    /// Closed when it is taken out.
    gate: Arc<Gate>,
}

/// Who is notified by a set, and the watches of its members. Dropping it does not wait for a notification on its way.
#[derive(Debug)]
pub(super) struct Notifier {
    told: Arc<Told>,
    watches: HashMap<SetKey, Watched>,
}

impl Notifier {
    /// # Errors
    /// [`Error::InvalidSignal`].
    pub(super) fn new(notification: SetNotification) -> Result<Self, Error> {
        notification.check()?;
        let told = Told { notification: Mutex::new(notification), gate: Gate::new() };
        Ok(Self { told: Arc::new(told), watches: HashMap::new() })
    }

    /// # Errors
    /// [`Error::Reactor`].
    pub(super) fn add(
        &mut self,
        key: SetKey,
        channel: Arc<Shared>,
        events: PollEvents,
        token: u64,
    ) -> Result<(), Error> {
        let (told, gate) = (Arc::clone(&self.told), Arc::new(Gate::new()));
        let own = Arc::clone(&gate);
        let notification = Notification::callback(move |Notice { events, is_destroyed }| {
            if let Some(_telling) = own.enter() {
                told.tell(SetNotice { key, token, events, is_destroyed });
            }
        });
        let watch = Watch::new(channel, events, notification)?;
        self.watches.insert(key, Watched { watch, gate });
        Ok(())
    }

    pub(super) fn modify(&self, key: SetKey, events: PollEvents) {
        self.watches.get(&key).into_iter().for_each(|watched| watched.watch.set_events(events));
    }

    pub(super) fn remove(&mut self, key: SetKey) {
        if let Some(watched) = self.watches.remove(&key) {
            watched.gate.close();
        }
    }

    pub(super) fn ended(&self, key: SetKey) -> Option<Error> {
        self.watches.get(&key)?.watch.ended()
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.told.gate.close();
    }
}
