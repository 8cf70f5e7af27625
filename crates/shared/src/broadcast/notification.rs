//! Notifications of an event: a thread of the process waits, and calls back or sends the process a signal.
//!
//! The place is taken before the call returns, so no trigger from then on is missed. The signal is sent by the process to
//! itself, so it needs no right, and no pid that may have become another's; whoever triggers does not know of it.

use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use weyr_sys::process;

use super::wait::Seat;
use super::{Broadcast, BroadcastError};
use crate::WaitMode;
use crate::lock::{Participant, Until};

/// What a notified wait came to.
pub type Notified = Result<Vec<u8>, BroadcastError>;

/// A notification to come. Dropping it leaves it to come.
#[derive(Debug)]
#[must_use = "dropped, it cannot be cancelled any more"]
pub struct Notification<P> {
    event: Broadcast,
    by: P,
    seat: Seat,
    outcome: Arc<OnceLock<Notified>>,
    thread: JoinHandle<Result<(), BroadcastError>>,
}

impl<P> Notification<P> {
    /// What the wait came to; none as long as it has come to nothing. By one load: also in a signal's handler.
    pub fn outcome(&self) -> Option<&Notified> {
        self.outcome.get()
    }
}

impl<P: Participant> Notification<P> {
    /// Waits until all is done: the callback has returned, or the signal was sent.
    ///
    /// # Errors
    /// What the wait came to; [`BroadcastError::Callback`] when the callback panicked, [`BroadcastError::Signal`] when the
    /// signal was not delivered; [`BroadcastError::Forked`] in a forked child, where no thread waits.
    pub fn join(self) -> Notified {
        if self.by.me().is_none() {
            return Err(BroadcastError::Forked);
        }
        let panicked = BroadcastError::Callback("it panicked; the panic was reported where it happened");
        self.thread.join().unwrap_or(Err(panicked.clone()))?;
        self.outcome.get().cloned().unwrap_or(Err(panicked))
    }

    /// Ends the wait, unless a trigger was faster: the callback is called with [`BroadcastError::LetGo`], or the signal
    /// comes with it. Whether it did. Does not block.
    pub fn cancel(&self) -> bool {
        self.by.me().is_some() && self.event.words().cancel(&self.by, self.seat)
    }
}

impl Broadcast {
    /// Waits in a thread of its own, and calls `callback` there with the payload, or with why there is none. Returns when
    /// it is among those who wait.
    ///
    /// # Errors
    /// [`BroadcastError::Callback`] when no thread could be started; as [`wait`](Self::wait). `callback` is not called
    /// then.
    ///
    /// ```
    /// # use std::sync::{Arc, mpsc};
    /// # use weyr_shared::{Actor, Broadcast, BroadcastAttributes, KernelFutex, Region, WaitMode, lock::Participant};
    /// # use weyr_sys::mapping::Mapping;
    /// # #[derive(Clone)]
    /// # struct Thread(u16);
    /// # impl Participant for Thread {
    /// #     type Futex = KernelFutex;
    /// #     fn me(&self) -> Option<Actor> { Some(Actor { process: self.0, epoch: 0 }) }
    /// #     fn is_dead(&self, _: Actor) -> bool { false }
    /// #     fn futex(&self) -> &KernelFutex { &KernelFutex }
    /// # }
    /// # let (me, other) = (Thread(1), Thread(2));
    /// # let region = Region::new(Arc::new(Mapping::anonymous(16384).unwrap()));
    /// # let event = Broadcast::init(&region, &BroadcastAttributes::new().max_payload(8)).unwrap();
    /// let (tell, told) = mpsc::channel();
    /// let notification = event.notify_callback(&other, WaitMode::Idle, None, move |outcome| {
    ///     tell.send(outcome.clone()).unwrap();
    /// })?;
    /// event.trigger_one(&me, b"now")?;
    /// assert_eq!(told.recv().unwrap()?, b"now");
    /// assert_eq!(notification.join()?, b"now");
    /// # Ok::<(), weyr_shared::BroadcastError>(())
    /// ```
    /// Source: Dragon, `dragon_bcast_notify_callback`.
    pub fn notify_callback<P: Participant + Clone + Send + 'static>(
        &self,
        by: &P,
        mode: WaitMode,
        deadline: Option<Instant>,
        callback: impl FnOnce(&Notified) + Send + 'static,
    ) -> Result<Notification<P>, BroadcastError> {
        self.notify(by, mode, deadline, move |outcome| {
            callback(outcome);
            Ok(())
        })
    }

    /// Waits in a thread of its own, and sends this process the signal number `signal` when the wait is over, whatever it
    /// came to; that can be read of the notification then. Returns when it is among those who wait.
    ///
    /// What the signal does is what the process has decided: without a handler most end it.
    ///
    /// # Errors
    /// [`BroadcastError::Signal`] when there is no such signal, [`BroadcastError::Callback`] when no thread could be
    /// started; as [`wait`](Self::wait).
    /// Source: Dragon, `dragon_bcast_notify_signal`.
    pub fn notify_signal<P: Participant + Clone + Send + 'static>(
        &self,
        by: &P,
        mode: WaitMode,
        deadline: Option<Instant>,
        signal: i32,
    ) -> Result<Notification<P>, BroadcastError> {
        if !process::is_signal(signal) {
            return Err(BroadcastError::Signal { signal, errno: weyr_sys::Errno::INVAL });
        }
        self.notify(by, mode, deadline, move |_| {
            process::signal_self(signal).map_err(|errno| BroadcastError::Signal { signal, errno })
        })
    }

    fn notify<P: Participant + Clone + Send + 'static>(
        &self,
        by: &P,
        mode: WaitMode,
        deadline: Option<Instant>,
        tell: impl FnOnce(&Notified) -> Result<(), BroadcastError> + Send + 'static,
    ) -> Result<Notification<P>, BroadcastError> {
        let seat = self.words().enter(by, mode)?;
        let until = deadline.map_or(Until::Forever, Until::At);
        let (event, theirs, outcome) = (self.clone(), by.clone(), Arc::new(OnceLock::new()));
        let told = Arc::clone(&outcome);
        let work = move || {
            let notified = event.words().wait(&theirs, seat, mode, until);
            tell(told.get_or_init(|| notified))
        };
        match thread::Builder::new().name("weyr event".into()).spawn(work) {
            Ok(thread) => Ok(Notification { event: self.clone(), by: by.clone(), seat, outcome, thread }),
            Err(_) => {
                self.words().leave(seat)?;
                Err(BroadcastError::Callback(
                    "no thread could be started for it; end some, or raise the limit",
                ))
            }
        }
    }
}
