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
use super::turn::Ticket;
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
    /// Since when it waits for a reservation.
    ticket: Ticket,
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
        if self.has_waiters() {
            self.tell_waiters();
        }
    }

    /// A call of its own: the event is made only where there is something to tell.
    #[cold]
    #[inline(never)]
    fn tell_waiters(&self) {
        self.waiters(&KernelFutex).signal_all();
    }

    /// Wakes who waits for memory, to look at the pool anew.
    pub(crate) fn wake_waiters(&self) {
        self.waiters(&KernelFutex).raise();
    }

    /// Whether somebody sleeps or is about to, or died so.
    #[inline]
    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters(&KernelFutex).is_armed()
    }

    #[inline]
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
            ticket: self.new_ticket(),
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
        self.end_turn(request.ticket);
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
            None if now >= request.rest_until && self.is_turn_of(request.ticket) => {
                request.reservation = self.reserve(lane, pages, &request.avoided);
                (request.least, request.since) = (u64::MAX, now);
                let is_anothers = || self.reserved_against(lane).is_some();
                if request.reservation.is_some() || !is_anothers() {
                    self.end_turn(request.ticket);
                    // Without one there is no such run for it now.
                    request.ticket = self.new_ticket();
                }
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
            // Those who have waited meanwhile come first.
            request.ticket = self.new_ticket();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use weyr_atomic::Ordering;

    use super::super::reservation::LASTS;
    use super::*;
    use crate::geometry::{Geometry, Shape};

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    fn later(by: u64) {
        NOW.set(NOW.get() + by);
    }

    fn heap() -> Heap {
        let shape = Shape {
            page_shift: 12,
            initial_pages: 64,
            segment_pages: 64,
            maximum_pages: 64,
            process_limit: 2,
            lane_limit: 4,
            channel_limit: 1,
            manifest_limit: 0,
        };
        let mut heap = Heap::in_memory(Geometry::new(shape));
        heap.clock = || NOW.get();
        heap
    }

    /// One who waits for half of the pool, at each look a moment later than the one before.
    struct Waiter<'h> {
        heap: &'h Heap,
        lane: u16,
        request: Request,
    }

    impl<'h> Waiter<'h> {
        fn new(heap: &'h Heap, lane: u16) -> Self {
            Self::of_pages(heap, lane, 32)
        }

        fn of_pages(heap: &'h Heap, lane: u16, pages: u64) -> Self {
            later(1);
            Self { heap, lane, request: heap.request(pages << 12) }
        }

        /// Whether it has the reservation behind a try.
        fn tries(&mut self) -> bool {
            later(1);
            self.heap.keep_reservation(self.lane, &mut self.request);
            self.request.reservation.is_some()
        }

        fn ends(&mut self) {
            self.heap.end_request(&mut self.request);
        }
    }

    #[test]
    fn who_comes_later_does_not_reserve_before_one_that_sleeps() {
        let heap = heap();
        let [mut first, mut second] = [0, 1].map(|lane| Waiter::new(&heap, lane));
        assert!(first.tries() && !second.tries());
        for _ in 0..10 {
            // The second sleeps while others come, are served and come again.
            first.ends();
            first = Waiter::new(&heap, 0);
            assert!(!first.tries());
        }
        let mut third = Waiter::new(&heap, 2);
        assert!(!third.tries() && second.tries() && !first.tries());
        second.ends();
        assert!(!third.tries() && first.tries());
        first.ends();
        assert!(third.tries());
        third.ends();
        assert_eq!(heap.header().waiting_first.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_for_which_there_is_no_run_keeps_nobody_from_reserving() {
        let heap = heap();
        let mut too_large = Waiter::of_pages(&heap, 0, 65);
        let mut other = Waiter::new(&heap, 1);
        assert!(!too_large.tries() && other.tries() && !too_large.tries());
    }

    #[test]
    fn one_whose_reservation_was_for_nothing_waits_behind_the_others() {
        let heap = heap();
        let [mut first, mut second] = [0, 1].map(|lane| Waiter::new(&heap, lane));
        assert!(first.tries() && !second.tries());
        let mut turns = 0;
        while first.tries() {
            later(LASTS / 2);
            assert!(!second.tries());
            turns += 1;
        }
        assert!(turns > 1);
        later(REST);
        assert!(!first.tries() && second.tries() && !first.tries());
        second.ends();
        assert!(first.tries());
    }

    #[test]
    fn one_that_waited_longest_and_died_holds_nobody_up_for_long() {
        let heap = heap();
        let [mut first, mut dying, mut third] = [0, 1, 2].map(|lane| Waiter::new(&heap, lane));
        assert!(first.tries() && !dying.tries());
        first.ends();
        assert!(!third.tries());
        later(LASTS);
        assert!(third.tries());
        third.ends();
        for forged in [1, u64::MAX] {
            heap.header().waiting_first.store(1, Ordering::Relaxed);
            heap.header().waiting_first_end.store(NOW.get() + LASTS + forged.min(1 << 60), Ordering::Relaxed);
            let mut another = Waiter::new(&heap, 2);
            later(LASTS);
            assert!(another.tries(), "{forged}");
            another.ends();
        }
    }
}
