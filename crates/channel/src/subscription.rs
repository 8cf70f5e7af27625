//! Receiving by callback: a thread of its own that takes each message and hands it over.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use weyr_atomic::{AtomicU32, Ordering};

use crate::{Error, Message, Receiver};

/// That each message of a channel goes to a callback: see [`Receiver::on_message`]. Dropping it ends that, without waiting
/// for a callback that runs.
#[derive(Debug)]
#[must_use = "dropped, it is over"]
pub struct Subscription {
    stop: Arc<AtomicU32>,
    /// None when it was joined.
    thread: Option<JoinHandle<Receiver>>,
}

impl Subscription {
    /// Ends it, and waits for a callback that runs. Behind this no message is taken. The receiver, unless the callback
    /// panicked.
    pub fn stop(mut self) -> Option<Receiver> {
        self.tell();
        self.thread.take()?.join().ok()
    }

    /// Whether nothing more will come: an error ended it, or the callback panicked.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn tell(&self) {
        // SeqCst: behind the thread's look at the flag comes its sleep, which the token of `unpark` prevents.
        self.stop.store(1, Ordering::SeqCst);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Wakes a thread that is parked.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The next message, or none when it is to stop.
fn next(receiver: &Receiver, stop: &AtomicU32) -> Option<Result<Message, Error>> {
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let (mut context, mut receiving) = (Context::from_waker(&waker), pin!(receiver.receive_async()));
    while stop.load(Ordering::SeqCst) == 0 {
        match receiving.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => return Some(outcome),
            Poll::Pending => thread::park(),
        }
    }
    None
}

/// Whether nothing will come behind this error. A message that this process cannot reach stays at the head, and would be
/// taken again at once.
fn ends(error: &Error) -> bool {
    let is_over = matches!(error, Error::Destroyed | Error::Reactor | Error::TooManyListeners { .. });
    is_over || error.is_outside_window()
}

fn hand_over(receiver: &Receiver, stop: &AtomicU32, mut callback: impl FnMut(Result<Message, Error>)) {
    while let Some(outcome) = next(receiver, stop) {
        let ends = outcome.as_ref().is_err_and(ends);
        callback(outcome);
        if ends {
            return;
        }
    }
}

impl Receiver {
    /// Has a thread take each message as it comes, and call `callback` with it, in their order; with each error, too. It ends
    /// behind [`Error::Destroyed`], where the thread cannot be woken any more, and behind a message whose memory this
    /// process cannot reach ([`Error::MemoryUnreachable`], `OutsideWindow` of the pool): that stays at the head for others,
    /// and [`stop`](Subscription::stop) gives the receiver back, to [pop](Self::try_pop) it or to begin anew.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use weyr_channel::{Channel, ChannelAttributes};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-on-message-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    ///
    /// let (tell, told) = mpsc::channel();
    /// let subscription = channel.receiver().on_message(move |message| {
    ///     let _nobody_listens_any_more = tell.send(message.and_then(|message| message.into_bytes()));
    /// })?;
    /// channel.send(b"hello")?;
    /// assert_eq!(told.recv()??, b"hello");
    /// assert!(subscription.stop().is_some());
    /// # channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Reactor`]: no thread could be started.
    pub fn on_message(
        self,
        callback: impl FnMut(Result<Message, Error>) + Send + 'static,
    ) -> Result<Subscription, Error> {
        let stop = Arc::new(AtomicU32::new(0));
        let theirs = Arc::clone(&stop);
        let work = move || {
            hand_over(&self, &theirs, callback);
            self
        };
        let thread = thread::Builder::new().name("weyr receiver".into()).spawn(work);
        Ok(Subscription { stop, thread: Some(thread.map_err(|_| Error::Reactor)?) })
    }
}
