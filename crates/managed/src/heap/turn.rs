//! Whose turn it is to reserve pages, so that no waiter is overtaken again and again.
//!
//! A reservation is one waiter's at a time, and who has just come is quicker to take the next than one that sleeps. So
//! of those without a reservation the one that has waited longest writes since when into the header, and nobody who
//! came later reserves before it. That time is its ticket.
//!
//! It is a hint. Wrong, stale or forged, it keeps others from reserving, not from allocating, and only for as long as
//! [`LASTS`] after its holder last tried: one that died or stands still is over by itself.

use weyr_atomic::Ordering;

use super::Heap;
use super::reservation::LASTS;

/// When a request began to wait for its turn: monotonic nanoseconds, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Heap {
    /// The last of all that wait now.
    pub(crate) fn new_ticket(&self) -> Ticket {
        Ticket((self.clock)().max(1))
    }

    /// Whether nobody with an earlier ticket is known to wait; then `own` is known from now on, until it is renewed no
    /// more. Two of the same instant count as one.
    pub(crate) fn is_turn_of(&self, own: Ticket) -> bool {
        let header = self.header();
        // Acquire: pairs with the exchange below, whose writer has set the end before.
        let first = header.waiting_first.load(Ordering::Acquire);
        if first != 0 && first < own.0 && self.is_ahead(header.waiting_first_end.load(Ordering::Relaxed)) {
            return false;
        }
        header.waiting_first_end.store((self.clock)().saturating_add(LASTS), Ordering::Relaxed);
        // AcqRel: publishes the end. Failing: another has come in between; the next try sees who is first.
        first == own.0
            || header
                .waiting_first
                .compare_exchange(first, own.0, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// It waits no more, or has its reservation.
    pub(crate) fn end_turn(&self, own: Ticket) {
        let first = &self.header().waiting_first;
        // Failing: it was not known, or one that came before it is.
        let _ = first.compare_exchange(own.0, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}
