//! Sending as a future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use weyr_managed::Allocation;

use super::{Waiting, unless_blocked};
use crate::error::Blocked;
use crate::{Error, PollEvents, SendError, Sender};

/// What [`Sender::send_async`] gives.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct SendFuture<'s> {
    sender: &'s Sender,
    bytes: &'s [u8],
    waiting: Waiting,
}

impl Future for SendFuture<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (sender, bytes) = (self.sender, self.bytes);
        let attempt = || unless_blocked(sender.try_send(bytes));
        self.waiting.poll(sender.shared(), PollEvents::OUT, context, attempt)
    }
}

/// What [`Sender::send_allocation_async`] gives. Dropped before it is ready it frees the allocation, unless that was
/// [taken back](Self::into_allocation).
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct SendAllocationFuture<'s> {
    sender: &'s Sender,
    /// None when it is sent.
    allocation: Option<Allocation>,
    waiting: Waiting,
}

impl SendAllocationFuture<'_> {
    /// The allocation, which was not sent; none if it was.
    pub fn into_allocation(self) -> Option<Allocation> {
        self.allocation
    }

    fn attempt(sender: &Sender, held: &mut Option<Allocation>) -> Result<Result<(), Error>, Blocked> {
        let Some(allocation) = held.take() else { return Ok(Ok(())) };
        let outcome = match sender.try_send_allocation(allocation) {
            Ok(()) => Ok(()),
            Err(SendError { error, payload }) => {
                *held = payload;
                Err(error)
            }
        };
        unless_blocked(outcome)
    }
}

impl Future for SendAllocationFuture<'_> {
    type Output = Result<(), SendError<Allocation>>;

    /// # Panics
    /// When it was ready before, as other futures do.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sender, allocation, waiting } = self.get_mut();
        assert!(allocation.is_some(), "the future was polled after it was ready");
        let attempt = || Self::attempt(sender, allocation);
        waiting.poll(sender.shared(), PollEvents::OUT, context, attempt).map(|outcome| match outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(SendError { error, payload: allocation.take() }),
        })
    }
}

/// Sending without a thread that waits.
impl Sender {
    /// Sends a copy of `bytes`, when there is room. Needs no particular runtime. Dropped before it is ready it has sent
    /// nothing.
    ///
    /// ```
    /// use std::task::{Context, Waker};
    /// use weyr_channel::{Channel, ChannelAttributes};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-send-async-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new().capacity(1))?;
    /// let sender = channel.sender();
    /// sender.send(b"first")?;
    ///
    /// let mut sending = std::pin::pin!(sender.send_async(b"second")); // or, in a task: .await
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(sending.as_mut().poll(&mut context).is_pending());
    /// assert_eq!(channel.receive()?.into_bytes()?, b"first");
    /// assert!(sending.as_mut().poll(&mut context).is_ready());
    /// # channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), but `Full` and `BufferPoolFull`; [`Error::Reactor`] and
    /// [`Error::TooManyListeners`] when nobody can wait for it here.
    pub fn send_async<'s>(&'s self, bytes: &'s [u8]) -> SendFuture<'s> {
        SendFuture { sender: self, bytes, waiting: Waiting::default() }
    }

    /// Sends `allocation`, of this channel's pool, without copying, when there is room.
    ///
    /// # Errors
    /// As [`send_async`](Self::send_async), and [`Error::OtherPool`]; each gives the allocation back.
    pub fn send_allocation_async(&self, allocation: Allocation) -> SendAllocationFuture<'_> {
        SendAllocationFuture { sender: self, allocation: Some(allocation), waiting: Waiting::default() }
    }
}
