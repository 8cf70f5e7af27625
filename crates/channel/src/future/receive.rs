//! Receiving as a future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Waiting, unless_blocked};
use crate::{Error, Lease, Message, PollEvents, Receiver};

/// What [`Receiver::receive_async`] gives.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct ReceiveFuture<'r> {
    receiver: &'r Receiver,
    waiting: Waiting,
}

impl Future for ReceiveFuture<'_> {
    type Output = Result<Message, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receiver = self.receiver;
        let attempt = || unless_blocked(receiver.try_receive());
        self.waiting.poll(receiver.shared(), PollEvents::IN, context, attempt)
    }
}

/// What [`Receiver::lease_async`] gives.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct LeaseFuture<'r> {
    receiver: &'r Receiver,
    waiting: Waiting,
}

impl Future for LeaseFuture<'_> {
    type Output = Result<Lease, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receiver = self.receiver;
        let attempt = || unless_blocked(receiver.try_lease());
        self.waiting.poll(receiver.shared(), PollEvents::IN, context, attempt)
    }
}

/// Receiving without a thread that waits.
impl Receiver {
    /// Takes a message, when one waits. Needs no particular runtime. Dropped before it is ready it has taken nothing.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    /// use weyr_channel::{Channel, ChannelAttributes};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-receive-async-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// let receiver = channel.receiver();
    ///
    /// let mut receiving = std::pin::pin!(receiver.receive_async()); // or, in a task: .await
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(receiving.as_mut().poll(&mut context).is_pending());
    /// channel.send(b"hello")?;
    /// let Poll::Ready(message) = receiving.as_mut().poll(&mut context) else { return Err("it is there".into()) };
    /// assert_eq!(message?.into_bytes()?, b"hello");
    /// # channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_receive`](Self::try_receive), but `Empty`; [`Error::Reactor`] and [`Error::TooManyListeners`] when nobody
    /// can wait for it here.
    pub fn receive_async(&self) -> ReceiveFuture<'_> {
        ReceiveFuture { receiver: self, waiting: Waiting::default() }
    }

    /// Leases a message, when one waits; see [`receive_async`](Self::receive_async).
    ///
    /// # Errors
    /// As there.
    pub fn lease_async(&self) -> LeaseFuture<'_> {
        LeaseFuture { receiver: self, waiting: Waiting::default() }
    }
}
