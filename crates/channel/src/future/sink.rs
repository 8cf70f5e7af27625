//! A channel as a sink.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::{Waiting, unless_blocked};
use crate::{Error, PollEvents, Sender};

/// A channel that bytes are fed to: see [`Sender::into_sink`].
#[derive(Debug)]
#[must_use = "a sink does nothing unless it is polled"]
pub struct MessageSink<B> {
    sender: Sender,
    /// What was accepted and is not sent yet.
    next: Option<B>,
    waiting: Waiting,
}

impl<B> MessageSink<B> {
    /// The sender, and what was accepted and is not sent, if that is so.
    pub fn into_parts(self) -> (Sender, Option<B>) {
        (self.sender, self.next)
    }
}

impl<B: AsRef<[u8]> + Unpin> MessageSink<B> {
    /// What cannot be sent is given up with the error.
    fn poll_send(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let Self { sender, next, waiting } = self;
        let Some(bytes) = next else { return Poll::Ready(Ok(())) };
        let attempt = || unless_blocked(sender.try_send(bytes.as_ref()));
        let outcome = ready!(waiting.poll(sender.shared(), PollEvents::OUT, context, attempt));
        *next = None;
        Poll::Ready(outcome)
    }
}

impl<B: AsRef<[u8]> + Unpin> Sink<B> for MessageSink<B> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_send(context)
    }

    /// # Panics
    /// Without a `poll_ready` before it, as the trait wants it.
    fn start_send(mut self: Pin<&mut Self>, bytes: B) -> Result<(), Error> {
        assert!(self.next.is_none(), "something was fed to a sink that was not ready");
        self.next = Some(bytes);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_send(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_send(context)
    }
}

impl Sender {
    /// The channel as a `futures_sink::Sink` of bytes. It holds one message at most, which is sent by the next call;
    /// one that cannot be sent is given up, with the error. Closing it sends what it holds, and leaves the channel open to
    /// others. Dropped, it does not send what it holds.
    pub fn into_sink<B: AsRef<[u8]> + Unpin>(self) -> MessageSink<B> {
        MessageSink { sender: self, next: None, waiting: Waiting::default() }
    }
}
