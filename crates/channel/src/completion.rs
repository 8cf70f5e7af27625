//! Sends that do not wait and keep the caller's buffer: the mode *none* of *Dragon channels*, by value.
//!
//! The payload goes with the call, so that nobody can write it while it is not sent, and comes back with the completion.
//! Where there is room at once the message is in the channel before the call returns. Where there is none it goes when
//! its [`SendCompletion`] is polled or waited for, and until then its sender sends nothing else: a message cannot be overtaken
//! by later ones of its sender. No thread works in the background.

use std::time::Instant;

use crate::defaults::Limit;
use crate::outgoing::OutgoingMessage;
use crate::sender::{Manner, Sender};
use crate::{Error, ReturnWhen, SendError};

/// A send that may not be done yet, and its payload.
///
/// Dropped before it is done, the message is not sent.
///
/// ```
/// use weyr_channel::{Channel, ChannelAttributes, Error};
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-completion-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let channel = Channel::create(&pool, &ChannelAttributes::new().capacity(1))?;
/// let sender = channel.sender();
///
/// let first = sender.message().send_owned(b"first".to_vec())?;
/// assert!(first.is_done());
/// let buffer = first.into_payload()?; // the caller's again
/// let mut second = sender.message().send_owned(buffer)?;
/// assert!(!second.poll()?, "there is no room");
/// assert_eq!(sender.send(b"third"), Err(Error::Pending));
/// channel.receive()?;
/// second.wait()?;
/// # drop(second);
/// # drop(sender);
/// channel.destroy()?;
/// pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A borrowed buffer is refused:
///
/// ```compile_fail,E0597
/// # use weyr_channel::Sender;
/// fn send(sender: &Sender) {
///     let buffer = vec![1, 2, 3];
///     let _ = sender.message().send_owned(&buffer[..]);
/// }
/// ```
#[derive(Debug)]
#[must_use = "until it is done the message may not be sent, and its sender sends nothing else"]
pub struct SendCompletion<'s, P: AsRef<[u8]>> {
    sender: &'s Sender,
    /// There until it is given back.
    payload: Option<P>,
    manner: Manner,
    /// Of the process that has made it.
    nonce: u64,
    is_done: bool,
}

/// Whether there may be room later.
fn is_for_now(error: &Error) -> bool {
    matches!(
        error,
        Error::Full | Error::FlowControl(_) | Error::BufferPoolFull { .. } | Error::Timeout | Error::Pending
    )
}

impl<'s> OutgoingMessage<'s> {
    /// Sends a copy of `payload` without waiting, and keeps it until that is done: see [`SendCompletion`]. Of what was
    /// said about waiting and returning nothing holds.
    ///
    /// # Errors
    /// As [`Sender::try_send`], but for want of room; [`Error::Pending`] when another completion of this sender
    /// is not done. Each gives the payload back.
    /// Source: *Dragon channels*, `DRAGON_CHANNEL_SEND_BLOCKING_NONE`.
    pub fn send_owned<P: AsRef<[u8]> + 'static>(
        self,
        payload: P,
    ) -> Result<SendCompletion<'s, P>, SendError<P>> {
        let (sender, manner) = self.into_parts();
        let manner = Manner { return_when: ReturnWhen::Deposited, ..manner };
        if sender.is_pending() {
            return Err(SendError { error: Error::Pending, payload: Some(payload) });
        }
        let nonce = sender.nonce();
        let mut completion = SendCompletion { sender, payload: Some(payload), manner, nonce, is_done: false };
        match completion.poll() {
            Ok(_) => Ok(completion),
            Err(error) => Err(SendError { error, payload: completion.payload.take() }),
        }
    }
}

impl<P: AsRef<[u8]>> SendCompletion<'_, P> {
    /// Whether the message is in the channel, and the payload the caller's.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Sends the message if there is room now, and says whether it is sent. Does not wait.
    ///
    /// # Errors
    /// As [`Sender::try_send`], but for want of room; [`Error::Forked`] in a child of the process that has made it. The
    /// message is not sent.
    pub fn poll(&mut self) -> Result<bool, Error> {
        match self.advance(Limit::Now) {
            Ok(()) => Ok(true),
            Err(error) if is_for_now(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits for room without limit, and sends the message.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn wait(&mut self) -> Result<(), Error> {
        self.advance(Limit::Until(None))
    }

    /// Waits for room until `deadline`, and sends the message.
    ///
    /// # Errors
    /// As [`poll`](Self::poll), and [`Error::Timeout`]: it may be waited for again.
    pub fn wait_until(&mut self, deadline: Instant) -> Result<(), Error> {
        self.advance(Limit::Until(Some(deadline)))
    }

    /// The payload, of a message that was sent.
    ///
    /// # Errors
    /// [`Error::Pending`], with the payload: it was not sent, and will not be.
    pub fn into_payload(mut self) -> Result<P, SendError<P>> {
        match self.payload.take() {
            Some(payload) if self.is_done => Ok(payload),
            payload => Err(SendError { error: Error::Pending, payload }),
        }
    }

    fn advance(&mut self, limit: Limit) -> Result<(), Error> {
        if self.is_done {
            return Ok(());
        }
        if self.nonce != self.sender.nonce() {
            return Err(Error::Forked);
        }
        let Some(payload) = &self.payload else { return Err(Error::Pending) };
        self.sender.set_pending(false);
        let outcome = self.sender.send_in_manner(payload.as_ref(), limit, self.manner);
        self.is_done = outcome.is_ok();
        self.sender.set_pending(!self.is_done);
        outcome
    }
}

impl<P: AsRef<[u8]>> Drop for SendCompletion<'_, P> {
    fn drop(&mut self) {
        if !self.is_done {
            self.sender.set_pending(false);
        }
    }
}
