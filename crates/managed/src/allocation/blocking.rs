//! Allocation that waits until somebody frees.
//!
//! The first try is an ordinary allocation. What finds nothing there becomes a request: try with all that can be done at
//! once, sleep until somebody frees, try again. The protocols are the heap's (`heap/waiting.rs`,
//! `heap/reservation.rs`); here are the clock and the caller's deadline.

use std::time::{Duration, Instant};

use weyr_atomic::Ordering;
use weyr_shared::{BlockReference, KernelFutex};

use crate::Error;
use crate::heap::waiting::{Request, SLICE};
use crate::layout::STATE_READY;
use crate::membership::attachment::Attachment;

/// Pause between two tries that were woken in vain: what others free for each other is not worth more than that.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

impl Attachment {
    /// Waits for a block of at least `bytes` bytes, which was not there at once, until `deadline` or without limit.
    #[cold]
    pub(crate) fn wait_for(&self, bytes: u64, deadline: Option<Instant>) -> Result<BlockReference, Error> {
        let mut request = self.heap.request(self.demand(bytes));
        let served = self.wait_with(&mut request, bytes, deadline);
        self.heap.end_request(&mut request);
        served
    }

    fn wait_with(
        &self,
        request: &mut Request,
        bytes: u64,
        deadline: Option<Instant>,
    ) -> Result<BlockReference, Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            let left = deadline.map_or(SLICE, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(self.timeout(bytes));
            }
            let began = Instant::now();
            let attempt = || self.try_once(request, bytes).transpose();
            let found = self.heap.look_or_sleep(&KernelFutex, &self.liveness(), left.min(SLICE), attempt);
            if let Some(served) = found {
                return served;
            }
            // A sleep that lasted was a pause already.
            let left = deadline.map_or(pause, |at| at.saturating_duration_since(Instant::now()));
            std::thread::sleep(pause.saturating_sub(began.elapsed()).min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One try of a request; none when there is nothing.
    fn try_once(&self, request: &mut Request, bytes: u64) -> Result<Option<BlockReference>, Error> {
        if self.heap.header().state.load(Ordering::Acquire) != STATE_READY {
            return Err(Error::Destroyed);
        }
        self.with_lane(|own, _| {
            let (liveness, channels) = (self.liveness(), self.channels());
            let tried = self.heap.try_request(own, request, &liveness, &channels, &|| self.grow());
            tried.map_err(|errno| self.backing_error(errno, bytes))
        })?
    }

    fn timeout(&self, bytes: u64) -> Error {
        let usage = self.heap.usage();
        Error::Timeout { bytes, free: usage.free_pages * usage.page_bytes }
    }
}
