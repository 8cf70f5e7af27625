//! Ending a set's wait from another thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use weyr_atomic::{AtomicU32, Ordering, fence};
use weyr_shared::{Armed, Awake, Element, Event, KernelFutex, ReadyRow};
use weyr_sys::fork;

/// What a set and its wakers share.
#[derive(Debug)]
pub(super) struct Alarm {
    /// 1: the wait that is going on, or the next, is to end.
    raised: AtomicU32,
    /// On which a set without channels sleeps.
    own: AtomicU32,
    /// On which it sleeps else.
    rows: Mutex<Vec<Element<ReadyRow>>>,
    nonce: u64,
}

impl Alarm {
    pub(super) fn new() -> Self {
        let zero = || AtomicU32::new(0);
        Self { raised: zero(), own: zero(), rows: Mutex::default(), nonce: fork::nonce() }
    }

    /// Whether it was raised.
    #[inline]
    pub(super) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst) != 0
    }

    /// The same, and no longer.
    #[inline]
    pub(super) fn take(&self) -> bool {
        self.is_raised() && self.raised.swap(0, Ordering::SeqCst) != 0
    }

    /// From now on the set sleeps on these.
    pub(super) fn set_rows(&self, rows: Vec<Element<ReadyRow>>) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    fn raise(&self) {
        // A child of fork(2) has nobody to wake, and the lock may be as a thread of its parent held it.
        if self.nonce != fork::nonce() {
            return;
        }
        self.raised.store(1, Ordering::SeqCst);
        // Pairs with the barrier of who arms: either it sees the flag, or this sees its bit.
        fence(Ordering::SeqCst);
        self.event().signal_all();
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().for_each(|row| row.event(&KernelFutex).signal_all());
    }

    fn event(&self) -> Event<'_, KernelFutex> {
        Event::new(&self.own, &KernelFutex)
    }

    pub(super) fn arm(&self) -> Armed {
        self.event().arm()
    }

    pub(super) fn sleep(&self, armed: Armed, time: Duration) -> Awake {
        self.event().sleep(armed, time)
    }
}

/// Ends the wait of a [`ChannelSet`](crate::ChannelSet) from another thread of the process.
///
/// A thread that waits on a set cannot change it. Who wants it changed says so in some way of the program's, and
/// wakes that thread, which then finds no channel, or some, and does what it was asked to.
#[derive(Debug, Clone)]
pub struct SetWaker(pub(super) Arc<Alarm>);

impl SetWaker {
    /// Makes the wait that is going on return at once, or the next one if there is none; however often it is called
    /// until then, one. In a forked child it does nothing. Waits for nobody; may make a system call.
    pub fn wake(&self) {
        self.0.raise();
    }
}
