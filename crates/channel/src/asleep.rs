//! Waits that are counted once they sleep, so that the state of a channel says how many do.

use std::cell::Cell;
use std::time::Duration;

use weyr_shared::{Armed, Awake, Holder, Sleeper};

use crate::attached::Attached;
use crate::host::Host;
use crate::wait::Sleep;

/// The sleeps of one wait of a sender or receiver: counted from the first one to the end of the wait.
pub(crate) struct Counted<'a, H: Host, S> {
    attached: &'a Attached<H>,
    sleeper: Sleeper,
    event: S,
    /// Under which name it is counted.
    counted: Cell<Option<Holder>>,
}

impl<H: Host> Attached<H> {
    /// The same sleeps, counted.
    #[inline]
    pub(crate) fn counted<S: Sleep>(&self, sleeper: Sleeper, event: S) -> Counted<'_, H, S> {
        Counted { attached: self, sleeper, event, counted: Cell::new(None) }
    }
}

impl<H: Host, S: Sleep> Sleep for Counted<'_, H, S> {
    fn arm(&self) -> Armed {
        self.event.arm()
    }

    fn sleep(&self, armed: Armed, time: Duration) -> Awake {
        // Who cannot say who it is has failed before it sleeps.
        if self.counted.get().is_none()
            && let Ok(me) = self.attached.me()
        {
            self.attached.ring().fall_asleep(me, self.sleeper);
            self.counted.set(Some(me));
        }
        self.event.sleep(armed, time)
    }

    fn pass_on(&self) {
        self.event.pass_on();
    }
}

impl<H: Host, S> Drop for Counted<'_, H, S> {
    #[inline]
    fn drop(&mut self) {
        if let Some(me) = self.counted.get() {
            self.attached.ring().wake_up(me, self.sleeper);
        }
    }
}
