//! How somebody who watches a channel is notified.

use std::fmt;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::time::Instant;

use weyr_managed::PoolBroadcast;
use weyr_shared::BroadcastError;
use weyr_sys::process;

use crate::{Error, PollEvents};

/// What somebody is notified of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// Which of the events that it is watched for the channel was; none when it was destroyed.
    pub events: PollEvents,
    /// Whether the channel was destroyed. This is the last notice then.
    pub is_destroyed: bool,
}

/// How somebody is notified. Each is made by a call of its name.
pub struct Notification(Kind);

enum Kind {
    Callback(Box<dyn FnMut(Notice) + Send>),
    /// A callback that panicked.
    Nothing,
    Signal(i32),
    Eventfd(std::fs::File),
    Event(Box<PoolBroadcast>, u64),
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Callback(_) => f.write_str("Callback"),
            Kind::Nothing => f.write_str("Nothing"),
            Kind::Signal(number) => f.debug_tuple("Signal").field(number).finish(),
            Kind::Eventfd(file) => f.debug_tuple("Eventfd").field(file).finish(),
            Kind::Event(event, token) => f.debug_tuple("Event").field(event).field(token).finish(),
        }
    }
}

impl Notification {
    /// `callback` is called, by the thread that serves all futures and watches of the process: it is short, and does not
    /// wait. One that panics is not called again.
    pub fn callback(callback: impl FnMut(Notice) + Send + 'static) -> Self {
        Self(Kind::Callback(Box::new(callback)))
    }

    /// This process gets the signal of that number. What it does is what the process has decided: without a handler most
    /// end it. Source: *Dragon channels*, `DRAGON_RECV_SYNC_SIGNAL`.
    pub fn signal(number: i32) -> Self {
        Self(Kind::Signal(number))
    }

    /// One is added to the counter of an eventfd(2), which any event loop can wait for.
    pub fn eventfd(eventfd: OwnedFd) -> Self {
        Self(Kind::Eventfd(eventfd.into()))
    }

    /// All who wait for `event` are released, each with `token` as eight bytes and the events as one more, of which 128
    /// says that the channel was destroyed; as far as the event takes so much. Nobody waiting is no failure: the event
    /// keeps nothing.
    pub fn event(event: PoolBroadcast, token: u64) -> Self {
        Self(Kind::Event(Box::new(event), token))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.0 {
            Kind::Signal(number) if !process::is_signal(number) => Err(Error::InvalidSignal { number }),
            _ => Ok(()),
        }
    }

    pub(crate) fn deliver(&mut self, notice: Notice) -> io::Result<()> {
        match &mut self.0 {
            Kind::Callback(callback) => {
                let call = std::panic::AssertUnwindSafe(|| callback(notice));
                let outcome = std::panic::catch_unwind(call);
                outcome.map_err(|_| {
                    self.0 = Kind::Nothing;
                    io::Error::other("the callback panicked, and is not called again")
                })
            }
            Kind::Nothing => Ok(()),
            Kind::Signal(number) => Ok(process::signal_self(*number)?),
            Kind::Eventfd(file) => add_one(file),
            Kind::Event(event, token) => release_with(event, *token, notice),
        }
    }
}

/// A counter that is full notifies already.
#[expect(clippy::host_endian_bytes, reason = "eventfd(2) wants them")]
fn add_one(eventfd: &mut std::fs::File) -> io::Result<()> {
    match eventfd.write_all(&1_u64.to_ne_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        outcome => outcome,
    }
}

/// Releases who waits for `event`, with what [`Notification::event`] says.
pub(crate) fn release_with(event: &PoolBroadcast, token: u64, notice: Notice) -> io::Result<()> {
    release(event, &payload(token, notice))
}

fn release(event: &PoolBroadcast, payload: &[u8]) -> io::Result<()> {
    match event.trigger_all_until(payload, Instant::now()) {
        Ok(_) | Err(BroadcastError::NoWaiters | BroadcastError::NoWaitersNonCritical) => Ok(()),
        Err(BroadcastError::PayloadTooLarge { limit, .. }) if limit < payload.len() as u64 => {
            release(event, &payload[..limit as usize])
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

fn payload(token: u64, notice: Notice) -> [u8; 9] {
    let mut bytes = [0; 9];
    bytes[..8].copy_from_slice(&token.to_le_bytes());
    bytes[8] = notice.events.bits() | if notice.is_destroyed { 128 } else { 0 };
    bytes
}
