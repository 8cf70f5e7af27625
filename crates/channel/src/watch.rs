//! Watching a channel: somebody is notified each time it comes to be what it is watched for.
//!
//! The idea: a watch is told of **changes** (edge-triggered). It is notified when the channel is what it is watched for as
//! the watch begins, and then whenever something has happened after which it is that; several things that happen at once
//! may be one notification. So who is notified of IN receives until the channel is empty.
//!
//! The notification comes from the reactor's thread of the process that watches (`reactor.rs`), so it needs nothing of
//! who sends: not its life, not its rights. What it does not do: it starts no thread for a callback, so a callback is
//! short, and waits for nothing; [`Receiver::on_message`](crate::Receiver::on_message) has a thread of its own.
//!
//! Source: *Dragon channels*, event registrations: `dragon_channel_add_event_bcast`, `dragon_channel_update_event_mask`,
//! `dragon_channel_remove_event_bcast`, `dragon_channel_notify_on_destroy`.

mod notification;

use std::sync::{Arc, Mutex, PoisonError};

use weyr_sys::serial;

use crate::channel::Shared;
use crate::reactor::{Order, Reactor};
use crate::{Channel, Error, PollEvents};
pub(crate) use notification::release_with;
pub use notification::{Notice, Notification};

/// A watch on a channel; dropping it ends it.
///
/// ```
/// use std::sync::mpsc;
/// use weyr_channel::{Channel, ChannelAttributes, Notification, PollEvents};
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-watch-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
///
/// let (tell, told) = mpsc::channel();
/// let watch = channel.watch(PollEvents::IN, Notification::callback(move |notice| {
///     let _nobody_listens_any_more = tell.send(notice);
/// }))?;
/// channel.send(b"hello")?; // by anybody
/// assert_eq!(told.recv()?.events, PollEvents::IN);
/// drop(watch);
/// # channel.destroy()?;
/// # pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropped, it is over"]
pub struct Watch {
    reactor: Reactor,
    watched: Arc<Watched>,
}

/// What the reactor knows of a watch.
#[derive(Debug)]
pub(crate) struct Watched {
    number: u64,
    events: Mutex<PollEvents>,
    notification: Mutex<Option<Notification>>,
    /// Why it is over, if it did not end by itself.
    ended: Mutex<Option<Error>>,
}

impl Watched {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn events(&self) -> PollEvents {
        *self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies of what the channel is.
    pub(crate) fn notify(&self, events: PollEvents) {
        self.deliver(Notice { events, is_destroyed: false });
    }

    /// Notes why it is over; of the channel's end it notifies.
    pub(crate) fn end(&self, error: Error) {
        let is_destroyed = error == Error::Destroyed;
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        if is_destroyed {
            self.deliver(Notice { events: PollEvents::NONE, is_destroyed });
        }
        self.silence();
    }

    fn deliver(&self, notice: Notice) {
        let mut notification = self.notification.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notification) = notification.as_mut()
            && let Err(error) = notification.deliver(notice)
        {
            tracing::warn!(%error, ?notice, "somebody who watches a channel could not be notified");
        }
    }

    /// Nothing is delivered behind this.
    fn silence(&self) {
        *self.notification.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Watch {
    pub(crate) fn new(
        channel: Arc<Shared>,
        events: PollEvents,
        notification: Notification,
    ) -> Result<Self, Error> {
        notification.check()?;
        let reactor = Reactor::of_this_process()?;
        let watched = Arc::new(Watched {
            number: serial::next(),
            events: Mutex::new(events),
            notification: Mutex::new(Some(notification)),
            ended: Mutex::new(None),
        });
        reactor.order(Order::Watch(channel, Arc::clone(&watched)));
        Ok(Self { reactor, watched })
    }

    /// What it is notified of.
    pub fn events(&self) -> PollEvents {
        self.watched.events()
    }

    /// Is notified of `events` from now on; of the channel's end in any case. Does not wait.
    ///
    /// Source: *Dragon channels*, `dragon_channel_update_event_mask`.
    pub fn set_events(&self, events: PollEvents) {
        *self.watched.events.lock().unwrap_or_else(PoisonError::into_inner) = events;
        self.reactor.order(Order::Update(Arc::clone(&self.watched)));
    }

    /// Why nothing more will be notified: [`Error::Destroyed`] when the channel was destroyed,
    /// [`Error::TooManyListeners`] and [`Error::TooManySets`] when there was no place to listen from. None while it goes
    /// on.
    pub fn ended(&self) -> Option<Error> {
        self.watched.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.reactor.order(Order::Unwatch(self.watched.number));
    }
}

impl Channel {
    /// Has somebody notified each time something happens after which the channel is one of `events`, at once if it is
    /// already, and when it is destroyed. With no events: only then. Does not wait. Any number of watches may be on a
    /// channel, of up to 16 processes or more.
    ///
    /// # Errors
    /// [`Error::Reactor`]; [`Error::InvalidSignal`]; [`Error::NotForMessages`]. Nothing was begun. Where there is no place to listen from the watch
    /// says so by [`Watch::ended`].
    /// Source: *Dragon channels*, `dragon_channel_add_event_bcast`.
    pub fn watch(&self, events: PollEvents, notification: Notification) -> Result<Watch, Error> {
        self.attached().check_use()?;
        Watch::new(Arc::clone(self.shared()), events, notification)
    }
}
