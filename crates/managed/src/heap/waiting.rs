//! Waiting for memory: who waits and who frees find each other without a word from the one who frees on its fast path.
//!
//! The waiter **arms** the event in the header, **makes everybody's stores visible** (membarrier), **tries once more**,
//! and sleeps on the value that it armed. Who frees has **stored**, and then **looks** at the event: one load where
//! nobody waits. Either its look came behind the arming, and it wakes all; or its store is visible to the waiter's
//! try. A signal takes the bit away and moves the sequence in one step, so frees cost a wake only between a waiter's
//! arming and the first free behind it.
//!
//! A freer that dies or stops between its store and its wake wakes nobody, and so does one whose process membarrier
//! does not reach: sleeps go in slices, and each begins with a try.

use std::time::Duration;

use weyr_atomic::light_barrier;
use weyr_shared::{BlockReference, Event, Futex, KernelFutex};
use weyr_sys::Errno;

use super::aligned::Demand;
use super::fault::{Fault, leaves_out};
use super::lane::LaneHeap;
use super::pressure::Relief;
use super::recovery::Channels;
use super::reservation::Reservation;
use super::{Heap, Liveness};

/// The longest sleep without a try.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// How long a reservation in which nothing is freed is kept at first, in nanoseconds; twice as long each time.
const PATIENCE: u64 = 500_000_000;
const LONGEST_PATIENCE: u64 = 16 * PATIENCE;
/// How long nothing is reserved then: who has memory may need some before it gives any back.
const REST: u64 = 100_000_000;

/// One request that waits, in private memory.
#[derive(Debug)]
pub(crate) struct Request {
    demand: Demand,
    /// Pages of a span that serves it, if a span does.
    pages: Option<u64>,
    reservation: Option<Reservation>,
    /// Least that was ever in use in the reservation, and since when.
    least: u64,
    since: u64,
    patience: u64,
    rest_until: u64,
    /// Pages that stayed in use for as long as patience lasted, in order.
    avoided: Vec<u64>,
}

impl Heap {
    /// Behind every free: wakes who waits for memory. One load and a branch where nobody does.
    #[inline]
    pub(crate) fn freed(&self) {
        // Between the caller's store and the look; pairs with the barrier in `look_or_sleep`.
        light_barrier();
        self.waiters(&KernelFutex).signal_all();
    }

    /// Wakes who waits for memory, to look at the pool anew.
    pub(crate) fn wake_waiters(&self) {
        self.waiters(&KernelFutex).raise();
    }

    /// Whether somebody sleeps or is about to, or died so.
    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters(&KernelFutex).is_armed()
    }

    fn waiters<'h, F: Futex>(&'h self, futex: &'h F) -> Event<'h, F> {
        Event::new(&self.header().free_event, futex)
    }

    /// Tries; where that gives nothing, sleeps until somebody frees, for at most `time`.
    pub(crate) fn look_or_sleep<T, F: Futex>(
        &self,
        futex: &F,
        liveness: &impl Liveness,
        time: Duration,
        attempt: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let event = self.waiters(futex);
        let before = leaves_out(Fault::TryBehindArming);
        let (mut attempt, mut result) = (Some(attempt), None);
        if before {
            result = attempt.take().and_then(|attempt| attempt());
        }
        let armed = event.arm();
        if !leaves_out(Fault::BarrierBehindArming) {
            // Refused where the kernel has none: then the slice bounds how late a free is seen.
            liveness.barrier();
        }
        if let Some(attempt) = attempt {
            result = attempt();
        }
        if result.is_none() {
            event.sleep(armed, time);
        }
        result
    }

    /// A request that found nothing and will wait.
    pub(crate) fn request(&self, demand: impl Into<Demand>) -> Request {
        let demand = demand.into();
        Request {
            demand,
            pages: self.pages_of(demand),
            reservation: None,
            least: u64::MAX,
            since: 0,
            patience: PATIENCE,
            rest_until: 0,
            avoided: Vec::new(),
        }
    }

    /// Tries to serve a request with all that can be done at once; what it gathered in vain is left for the others.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn try_request(
        &self,
        own: &mut LaneHeap,
        request: &mut Request,
        liveness: &impl Liveness,
        channels: &dyn Channels,
        grow: &impl Fn() -> Result<bool, Errno>,
    ) -> Result<Option<BlockReference>, Errno> {
        self.keep_reservation(own.lane, request);
        let block = match self.alloc_demand(own, request.demand)? {
            Some(block) => Some(block),
            None => self.alloc_relieved(own, request.demand, &Relief::ORDER, liveness, channels, grow)?,
        };
        if block.is_none() {
            // Slabs adopted in the search; outside the reservation others may allocate from them.
            self.let_go_of_pages(own);
        }
        Ok(block)
    }

    /// Ends a request, served or not.
    pub(crate) fn end_request(&self, request: &mut Request) {
        if let Some(reservation) = request.reservation.take() {
            self.give_up_reservation(reservation);
        }
    }

    /// Takes, renews or gives up the reservation of a request for whole pages.
    fn keep_reservation(&self, lane: u16, request: &mut Request) {
        let (Some(pages), now) = (request.pages, (self.clock)()) else { return };
        request.reservation = request.reservation.filter(|reservation| self.renew(*reservation));
        match request.reservation {
            Some(reservation) => self.review(request, reservation, now),
            None if now >= request.rest_until => {
                request.reservation = self.reserve(lane, pages, &request.avoided);
                (request.least, request.since) = (u64::MAX, now);
            }
            None => {}
        }
    }

    /// Gives up a reservation in which nothing was freed for long: another run may become free sooner, and who has
    /// memory there may wait for memory itself.
    fn review(&self, request: &mut Request, reservation: Reservation, now: u64) {
        let in_use = self.use_of(reservation);
        if in_use < request.least {
            (request.least, request.since) = (in_use, now);
        } else if now.saturating_sub(request.since) > request.patience {
            request.avoided = self.pages_in_use(reservation).collect();
            request.patience = (request.patience * 2).min(LONGEST_PATIENCE);
            request.rest_until = now.saturating_add(REST);
            self.end_request(request);
        }
    }
}
