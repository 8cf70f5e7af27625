//! How far up a lane looks for small runs, so that pages that were used come before those that never were.
//!
//! Next fit round the whole pool would take new memory for each span that another process frees, to the pool's end, and
//! lay small runs where large ones are taken from. So a lane goes round below a ceiling of its own. Where a round finds
//! nothing the first run above is taken, and the ceiling goes up behind it; each time that a search comes round and
//! finds something it comes down by a little, so that it follows what the lane needs.
//!
//! Private memory of the lane, and no more than a place to begin: what is not found below is looked for above, to the
//! pool's end. So it cannot be wrong, only high or low, and there is nothing to repair.

use crate::geometry::DATA_CHUNK;

/// By this part of it the ceiling goes up behind what was found above. A lane that fills a pool looks at a page five
/// times for it, and who frees is that much behind who allocates.
const UP: u64 = 4;
/// By this part it comes down: little, for a round in vain may follow.
const DOWN: u64 = 16;

/// The end of the pages in which a lane goes round.
#[derive(Debug, Clone)]
pub(crate) struct Ceiling {
    page: u64,
    /// Below this it does not come: pages that are backed at once.
    least: u64,
}

impl Ceiling {
    /// For a lane of a pool with pages of `1 << page_shift` bytes.
    pub(crate) fn of_pool(page_shift: u32) -> Self {
        let least = (DATA_CHUNK >> page_shift).max(1);
        Self { page: least, least }
    }

    /// First page above it.
    pub(crate) fn page(&self) -> u64 {
        self.page
    }

    /// Behind a search that began at `cursor` and took the pages `page .. end`.
    pub(crate) fn follow(&mut self, cursor: u64, page: u64, end: u64) {
        if end > self.page {
            self.page = (end + end / UP).next_multiple_of(self.least);
        } else if page < cursor {
            self.page = (self.page - self.page / DOWN).max(self.least);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::lane::LaneHeap;
    use super::*;
    use crate::geometry::{Geometry, Shape};
    use crate::heap::Heap;

    /// Pages of 64 KiB, of which 32 are backed at once.
    fn heap(pages: u64) -> Heap {
        let shape = Shape {
            page_shift: 16,
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

    fn lane(heap: &Heap) -> LaneHeap {
        heap.acquire_lane(0, 0, 0).unwrap().unwrap()
    }

    fn claim(heap: &Heap, own: &mut LaneHeap, count: u64) -> Option<u64> {
        heap.claim_pages(own, count).unwrap().map(|(page, _)| page)
    }

    fn random(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    #[test]
    fn it_goes_up_behind_what_lies_above_and_down_when_a_search_comes_round() {
        let mut ceiling = Ceiling::of_pool(16);
        assert_eq!(ceiling.page(), 32);
        ceiling.follow(0, 0, 20);
        ceiling.follow(30, 0, 1);
        assert_eq!(ceiling.page(), 32);
        ceiling.follow(32, 30, 40);
        assert_eq!(ceiling.page(), 64);
        ceiling.follow(40, 1000, 1024);
        assert_eq!(ceiling.page(), 1280);
        ceiling.follow(1024, 1200, 1280);
        assert_eq!(ceiling.page(), 1280);
        ceiling.follow(1280, 7, 8);
        assert_eq!(ceiling.page(), 1200);
        (0..100).for_each(|_| ceiling.follow(8, 7, 8));
        assert_eq!(ceiling.page(), 32);
        assert_eq!((Ceiling::of_pool(12).page(), Ceiling::of_pool(14).page()), (512, 128));
    }

    #[test]
    fn every_page_is_found_wherever_the_ceiling_is() {
        let heap = heap(1000);
        let mut lanes = [lane(&heap), lane(&heap)];
        for round in 0..3 {
            let mut taken: Vec<_> = (0..).map_while(|turn| claim(&heap, &mut lanes[turn % 2], 1)).collect();
            taken.sort_unstable();
            assert_eq!(taken, (0..1000).collect::<Vec<_>>(), "round {round}");
            for page in taken {
                let lane = heap.page(page).lane();
                heap.give_back(page, lane);
            }
        }
    }

    #[test]
    fn what_is_passed_on_and_freed_by_others_is_taken_again() {
        for (waiting, count) in [(1, 1), (20, 4), (100, 16), (9, 64)] {
            let heap = heap(16_384);
            let mut own = lane(&heap);
            let mut queue: VecDeque<u64> = VecDeque::new();
            let mut highest = 0;
            for _ in 0..20_000 {
                queue.push_back(claim(&heap, &mut own, count).unwrap());
                highest = highest.max(queue.back().unwrap() + count);
                if queue.len() > waiting {
                    heap.give_back(queue.pop_front().unwrap(), own.lane());
                }
            }
            let alive = (waiting as u64 + 1) * count;
            assert!(highest <= 2 * alive + 64, "{highest} pages for {alive}");
        }
    }

    /// So a large run is had whenever the rest of the pool is free, however long small ones came and went.
    #[test]
    fn single_pages_never_lie_higher_than_a_quarter_more_than_were_in_use() {
        let heap = heap(16_384);
        let mut lanes = [lane(&heap), lane(&heap)];
        let (mut state, mut held) = (1, Vec::new());
        for turn in 0..50_000 {
            let page = claim(&heap, &mut lanes[turn % 2], 1).unwrap();
            assert!(page < 500 + 500 / 4 + 32, "{page}");
            held.push(page);
            if held.len() == 500 {
                let page = held.swap_remove(random(&mut state, 500) as usize);
                heap.give_back(page, heap.page(page).lane());
            }
        }
    }

    #[test]
    fn who_needed_much_once_goes_round_in_little_again() {
        let heap = heap(16_384);
        let mut own = lane(&heap);
        let all: Vec<_> = (0..10_000).map(|_| claim(&heap, &mut own, 1).unwrap()).collect();
        all.into_iter().for_each(|page| heap.give_back(page, own.lane()));
        let mut take = || {
            let page = claim(&heap, &mut own, 1).unwrap();
            heap.give_back(page, own.lane());
            page
        };
        (0..200_000).for_each(|_| {
            take();
        });
        assert_eq!((0..100).map(|_| take()).max(), Some(31));
    }

    /// The search as it would be without a ceiling, over plain flags.
    struct Plain {
        used: Vec<bool>,
        cursor: usize,
    }

    impl Plain {
        fn is_free(&self, page: usize, count: usize) -> bool {
            self.used.get(page..page + count).is_some_and(|pages| !pages.contains(&true))
        }

        fn claim(&mut self, count: usize) -> Option<u64> {
            let pages = self.used.len();
            let free = |page: &usize| self.is_free(*page, count);
            let page = if count > 64 {
                (0..pages).rev().find(free)
            } else {
                (self.cursor..pages).chain(0..self.cursor).find(free)
            }?;
            if count <= 64 {
                self.cursor = page + count;
            }
            self.used[page..page + count].fill(true);
            Some(page as u64)
        }

        fn free(&mut self, page: u64, count: u64) {
            self.used[page as usize..(page + count) as usize].fill(false);
        }
    }

    /// A pool, and the model of one beside it that is asked for the same.
    struct Both {
        heap: Heap,
        own: LaneHeap,
        /// What is in use by the pool's own answers.
        truth: Plain,
        model: Plain,
        held: Vec<(u64, Option<u64>, Option<u64>)>,
        /// Large runs refused by the pool, and by the model.
        refused: (u64, u64),
    }

    impl Both {
        fn new(pages: u64) -> Self {
            let plain = || Plain { used: vec![false; pages as usize], cursor: 0 };
            let heap = heap(pages);
            let own = lane(&heap);
            Self { heap, own, truth: plain(), model: plain(), held: Vec::new(), refused: (0, 0) }
        }

        fn claim(&mut self, count: u64) {
            let found = claim(&self.heap, &mut self.own, count);
            let expected = self.model.claim(count as usize);
            match found {
                Some(page) => {
                    assert!(self.truth.is_free(page as usize, count as usize), "{page} is in use");
                    self.truth.used[page as usize..(page + count) as usize].fill(true);
                }
                None => {
                    let there =
                        (0..self.truth.used.len()).find(|page| self.truth.is_free(*page, count as usize));
                    assert_eq!(there, None, "a run of {count} pages was not found");
                }
            }
            if count > 64 {
                self.refused.0 += u64::from(found.is_none());
                self.refused.1 += u64::from(expected.is_none());
            }
            self.held.push((count, found, expected));
        }

        fn free(&mut self, place: usize) {
            let (count, found, expected) = self.held.swap_remove(place);
            if let Some(page) = found {
                self.heap.give_back(page, self.own.lane());
                self.truth.free(page, count);
            }
            expected.into_iter().for_each(|page| self.model.free(page, count));
        }

        /// Frees any of the large runs, or of the small ones.
        fn free_one(&mut self, large: bool, chance: u64) {
            let places = 0..self.held.len();
            let such: Vec<usize> = places.filter(|place| (self.held[*place].0 > 64) == large).collect();
            self.free(such[chance as usize % such.len()]);
        }

        fn in_use(&self, large: bool) -> u64 {
            self.held.iter().filter(|(count, ..)| (*count > 64) == large).map(|(count, ..)| count).sum()
        }
    }

    /// Refused large runs of a pool and its model, with small runs of up to `longest` pages, `most_small` at once.
    fn refused(seed: u64, pages: u64, most_small: u64, longest: u64) -> (u64, u64) {
        let mut state = seed;
        let mut both = Both::new(pages);
        for _ in 0..2000 {
            let large = random(&mut state, 8) == 0;
            let (count, most) = if large {
                (65 + random(&mut state, 300), pages / 2)
            } else {
                (1 + random(&mut state, longest), most_small)
            };
            both.claim(count);
            while both.in_use(large) > most {
                both.free_one(large, random(&mut state, 1 << 31));
            }
        }
        both.refused
    }

    #[test]
    fn large_runs_beside_small_ones_are_served_as_often_as_without_it() {
        const PAGES: u64 = 2048;
        for longest in [1, 4, 64] {
            for most_small in [PAGES / 10, PAGES / 5, PAGES / 3] {
                let all = (0..10).map(|seed| refused(seed, PAGES, most_small, longest));
                let (refused, without) = all.fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
                assert!(
                    refused <= without,
                    "{refused} refused, {without} without: {most_small} pages in runs of up to {longest}"
                );
            }
        }
    }
}
