//! Pages that one waiter keeps the others from allocating in, so that small requests do not starve a large one.
//!
//! A run of pages becomes free only when all that lies in it is freed and nothing new put there meanwhile. So who
//! waits for whole pages chooses the run in which least is in use and writes it into the header; nobody else claims
//! pages in it or adopts a slab there while the reservation lasts, and the waiter has revoked the slabs that were
//! there. Memory outside can be had by everybody, so what those who have it free in the run moves out of it.
//!
//! It is a hint. Wrong, stale or forged, it costs others at most that run, and only for as long as [`LASTS`] after its
//! holder last renewed it: one that died or stands still is over by itself.

use weyr_atomic::Ordering;

use super::Heap;
use super::word::{BlockWord, PageState, PageWord};

/// Nanoseconds that a reservation lasts unless it is renewed: several of the holder's sleeps.
pub(crate) const LASTS: u64 = 250_000_000;

/// Pages `first ..= last`, kept for the user of `lane`: `lane + 1:16 | first:24 | last:24`. Zero is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reservation {
    lane: u16,
    first: u64,
    last: u64,
}

impl Reservation {
    const fn word(self) -> u64 {
        (self.lane as u64 + 1) | self.first << 16 | self.last << 40
    }

    /// What a word from shared memory says, if that makes sense.
    fn of(word: u64) -> Option<Self> {
        let (first, last) = (word >> 16 & 0xff_ffff, word >> 40);
        let lane = u16::try_from((word & 0xffff).checked_sub(1)?).ok()?;
        (first <= last).then_some(Self { lane, first, last })
    }

    /// Whether any of `count` pages from `page` on lies in it.
    pub(crate) const fn touches(&self, page: u64, count: u64) -> bool {
        page <= self.last && self.first < page + count
    }

    /// First page of it.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// First page behind it.
    pub(crate) const fn end(&self) -> u64 {
        self.last + 1
    }
}

impl Heap {
    /// The pages that are reserved, if not for `lane`. One load where nobody waits for pages.
    pub(crate) fn reserved_against(&self, lane: u16) -> Option<Reservation> {
        // Acquire: pairs with `reserve`, which sets the end before.
        let word = self.header().reservation.load(Ordering::Acquire);
        if word == 0 { None } else { self.standing(word).filter(|reservation| reservation.lane != lane) }
    }

    /// What a word says, as long as it holds.
    #[cold]
    fn standing(&self, word: u64) -> Option<Reservation> {
        let end = self.header().reservation_end.load(Ordering::Relaxed);
        if self.is_ahead(end) { Reservation::of(word) } else { None }
    }

    /// Whether what ends then, unless it is renewed, has not ended. What lies further ahead than [`LASTS`] never began.
    pub(super) fn is_ahead(&self, end: u64) -> bool {
        (1..=LASTS).contains(&end.saturating_sub((self.clock)()))
    }

    /// Reserves the run of `pages` pages in which least is in use for `lane`; none while another's holds, or where
    /// there is no such run. Pages that are `avoided` are taken only if there are no others.
    pub(crate) fn reserve(&self, lane: u16, pages: u64, avoided: &[u64]) -> Option<Reservation> {
        let header = self.header();
        let seen = header.reservation.load(Ordering::Acquire);
        if self.standing(seen).is_some_and(|reservation| reservation.lane != lane) {
            return None;
        }
        let first = self.emptiest_run(pages, avoided)?;
        let reservation = Reservation { lane, first, last: first + pages - 1 };
        // Before the word: who sees that finds it standing. Two that come at once store nearly the same.
        self.prolong();
        // AcqRel: publishes the end; takes over from who gave it up.
        let taken = header.reservation.compare_exchange(
            seen,
            reservation.word(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        taken.ok().map(|_| reservation)
    }

    /// Makes a reservation last longer; false when it is another's by now.
    pub(crate) fn renew(&self, reservation: Reservation) -> bool {
        let held = self.header().reservation.load(Ordering::Relaxed) == reservation.word();
        if held {
            self.prolong();
        }
        held
    }

    fn prolong(&self) {
        self.header().reservation_end.store((self.clock)().saturating_add(LASTS), Ordering::Relaxed);
    }

    /// Gives a reservation up, and lets the others know.
    pub(crate) fn give_up_reservation(&self, reservation: Reservation) {
        let word = &self.header().reservation;
        let given_up = word.compare_exchange(reservation.word(), 0, Ordering::AcqRel, Ordering::Relaxed);
        if given_up.is_ok() {
            self.freed();
        }
    }

    /// First page of the run of `pages` pages with the fewest in use; the last of several.
    fn emptiest_run(&self, pages: u64, avoided: &[u64]) -> Option<u64> {
        let end = self.current_pages();
        if pages == 0 || pages > end {
            return None;
        }
        let cost = |page: u64| {
            let shunned = avoided.binary_search(&page).is_ok();
            u64::from(self.is_in_use(page)) + if shunned { end } else { 0 }
        };
        let mut sum: u64 = (0..pages).map(cost).sum();
        let (mut least, mut best) = (sum, 0);
        for first in 1..=end - pages {
            sum = sum + cost(first + pages - 1) - cost(first - 1).min(sum);
            if sum <= least {
                (least, best) = (sum, first);
            }
        }
        Some(best)
    }

    /// Whether the slab whose first page is `head` lies in `reservation`, in part at least.
    pub(crate) fn slab_touches(&self, head: u64, seen: PageWord, reservation: Reservation) -> bool {
        reservation.touches(head, self.class(seen).map_or(1, |class| class.pages.into()))
    }

    fn is_in_use(&self, page: u64) -> bool {
        let word = self.geometry.offsets.page_words + page * 8;
        self.backing.has_metadata(word) && self.page(page).state() != PageState::Free
    }

    /// Pages of a reservation that are in use.
    pub(crate) fn pages_in_use(&self, reservation: Reservation) -> impl Iterator<Item = u64> + '_ {
        let end = reservation.end().min(self.current_pages());
        (reservation.first..end).filter(|&page| self.is_in_use(page))
    }

    /// How much is in use in a reservation: pages, and blocks in the slabs that begin there.
    pub(crate) fn use_of(&self, reservation: Reservation) -> u64 {
        self.pages_in_use(reservation).map(|page| 1 + self.live_blocks(page)).sum()
    }

    /// Blocks in use of the slab whose first page is `page`.
    fn live_blocks(&self, page: u64) -> u64 {
        let seen = self.page(page);
        let slab = self.slab_class(page, seen).filter(|_| seen.is_slab_or_orphan());
        slab.map_or(0, |class| {
            let start = self.page_offset(page);
            let words = (0..u64::from(class.blocks)).map(|block| start + block * u64::from(class.size));
            let live =
                |offset: &u64| !BlockWord(self.block_word(class, *offset).load(Ordering::Relaxed)).is_free();
            words.filter(live).count() as u64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Geometry, Shape};

    fn heap(pages: u64) -> Heap {
        let shape = Shape {
            page_shift: 12,
            initial_pages: pages,
            segment_pages: pages,
            maximum_pages: pages,
            process_limit: 2,
            lane_limit: 4,
            channel_limit: 1,
            manifest_limit: 0,
        };
        Heap::in_memory(Geometry::new(shape))
    }

    #[test]
    fn words_keep_their_parts_apart() {
        let limits = Reservation { lane: 65_533, first: 0, last: (1 << 24) - 1 };
        assert_eq!(Reservation::of(limits.word()), Some(limits));
        let one = Reservation { lane: 0, first: 7, last: 7 };
        assert_eq!(Reservation::of(one.word()), Some(one));
        assert_eq!((Reservation::of(0), Reservation::of(1 | 2 << 16)), (None, None));
        assert!(one.touches(7, 1) && one.touches(0, 8) && !one.touches(0, 7) && !one.touches(8, 100));
    }

    #[test]
    fn the_emptiest_run_is_taken_and_nobody_elses_claims_lie_in_it() {
        let heap = heap(64);
        let mut lanes: Vec<_> = (0..3).map(|_| heap.acquire_lane(0, 0, 0).unwrap().unwrap()).collect();
        let mut spans = Vec::new();
        for page in [10, 20, 21, 50] {
            lanes[0].cursor = page;
            spans.push(heap.alloc_span(&mut lanes[0], 1).unwrap().unwrap());
        }
        let reservation = heap.reserve(lanes[1].lane(), 28, &[]).unwrap();
        assert_eq!((reservation.first(), reservation.end()), (22, 50));
        assert_eq!(heap.use_of(reservation), 0);
        assert_eq!(heap.reserve(lanes[2].lane(), 1, &[]), None);
        let outside = std::iter::from_fn(|| heap.alloc_span(&mut lanes[2], 1).unwrap()).count();
        assert_eq!(outside, 64 - 28 - 4);
        assert!(heap.alloc_span(&mut lanes[1], 28).unwrap().is_some());
        heap.give_up_reservation(reservation);
        assert_eq!(heap.reserved_against(lanes[2].lane()), None);
    }

    #[test]
    fn pages_that_are_avoided_are_left_if_there_are_others() {
        let heap = heap(16);
        let mut own = heap.acquire_lane(0, 0, 0).unwrap().unwrap();
        own.cursor = 2;
        heap.alloc_span(&mut own, 1).unwrap().unwrap();
        let first = |avoided: &[u64]| heap.reserve(own.lane(), 8, avoided).unwrap().first();
        assert_eq!((first(&[]), first(&[12]), first(&[7, 12])), (8, 4, 8));
        assert_eq!(first(&[0, 12]), 4);
    }

    #[test]
    fn a_reservation_that_has_ended_or_that_never_ends_holds_nobody_up() {
        let mut heap = heap(16);
        heap.clock = || 1000;
        let reservation = heap.reserve(0, 4, &[]).unwrap();
        assert_eq!(heap.reserved_against(1), Some(reservation));
        for end in [0, 1000, 1001 + LASTS, u64::MAX] {
            heap.header().reservation_end.store(end, Ordering::Relaxed);
            assert_eq!(heap.reserved_against(1), None, "{end}");
        }
        assert!(heap.renew(reservation));
        assert_eq!(heap.reserved_against(1), Some(reservation));
        heap.header().reservation_end.store(0, Ordering::Relaxed);
        let next = heap.reserve(1, 4, &[]).unwrap();
        assert!(!heap.renew(reservation) && heap.renew(next));
    }
}
