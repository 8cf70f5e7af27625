//! What arrives, as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::{Waiting, unless_blocked};
use crate::{Error, Message, PollEvents, Receiver};

/// The messages of a channel, as they are taken: see [`Receiver::into_stream`].
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct MessageStream {
    receiver: Receiver,
    waiting: Waiting,
    has_ended: bool,
}

impl MessageStream {
    /// The receiver. No message was taken that was not handed out.
    pub fn into_receiver(self) -> Receiver {
        self.receiver
    }
}

impl Stream for MessageStream {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { receiver, waiting, has_ended } = self.get_mut();
        if *has_ended {
            return Poll::Ready(None);
        }
        let attempt = || unless_blocked(receiver.try_receive());
        waiting.poll(receiver.shared(), PollEvents::IN, context, attempt).map(|next| {
            let is_destroyed = matches!(next, Err(Error::Destroyed));
            // What this process cannot reach stays at the head, and would be the next item again.
            *has_ended = is_destroyed || next.as_ref().is_err_and(Error::is_outside_window);
            (!is_destroyed).then_some(next)
        })
    }
}

impl FusedStream for MessageStream {
    fn is_terminated(&self) -> bool {
        self.has_ended
    }
}

impl Receiver {
    /// The messages of the channel as a `futures_core::Stream`, which ends when the channel is destroyed. Any other error
    /// is an item, behind which the stream goes on; but behind a message whose memory this process cannot reach
    /// ([`Error::MemoryUnreachable`], `OutsideWindow` of the pool) it ends, for that stays at the head for others.
    /// [`into_receiver`](MessageStream::into_receiver) gives the receiver back, to [pop](Self::try_pop) it.
    pub fn into_stream(self) -> MessageStream {
        MessageStream { receiver: self, waiting: Waiting::default(), has_ended: false }
    }
}
