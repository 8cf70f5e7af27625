//! Where free pages probably are: runs of clear bits in the used hints.
//!
//! Small runs are looked for upwards from the lane's own cursor (next fit), round and round below the lane's ceiling
//! (`ceiling`), and above only when there is none. Runs of more than 64 pages are looked for downwards from the top, so
//! that small allocations do not cut up the room of large ones. A word of 64 hints is read once; 2^20 pages are 16,384
//! words. What is found is a guess: the claim decides.

use weyr_atomic::Ordering;
use weyr_sys::Errno;

use super::Heap;
use super::lane::LaneHeap;
use super::page::RunClaim;
use super::word::PageWord;

/// Runs longer than this are looked for from the top.
const LARGE_RUN: u64 = 64;

/// Bits of `free` at which `count` (1 to 64) set bits begin.
fn run_starts(mut free: u64, count: u64) -> u64 {
    let mut have = 1;
    while have < count && free != 0 {
        let step = have.min(count - have);
        free &= free >> step;
        have += step;
    }
    free
}

impl Heap {
    /// The used hints of 64 pages; pages beyond `end` count as used, and those never backed as free.
    fn used_word(&self, word: u64, end: u64) -> u64 {
        let backed = self.backing.has_metadata(self.geometry.offsets.used + word * 8);
        let used = if backed { self.used[word as usize].load(Ordering::Relaxed) } else { 0 };
        let first = word * 64;
        if first + 64 <= end { used } else { used | u64::MAX << (end - first) }
    }

    /// First run of `count` pages from `from` on, below `end`, that the hints call free.
    pub(crate) fn find_run(&self, from: u64, end: u64, count: u64) -> Option<u64> {
        let mut run = 0;
        for word in from / 64..end.div_ceil(64) {
            let below = if word == from / 64 { (1 << (from % 64)) - 1 } else { 0 };
            let used = self.used_word(word, end) | below;
            let first = word * 64;
            if run + u64::from(used.trailing_zeros()) >= count {
                return Some(first - run);
            }
            if count <= 64 {
                let starts = run_starts(!used, count);
                if starts != 0 {
                    return Some(first + u64::from(starts.trailing_zeros()));
                }
            }
            run = if used == 0 { run + 64 } else { u64::from(used.leading_zeros()) };
        }
        None
    }

    /// Last run of `count` (more than 64) pages below `end` that the hints call free.
    fn find_run_from_top(&self, end: u64, count: u64) -> Option<u64> {
        let mut top = end;
        for word in (0..end.div_ceil(64)).rev() {
            let first = word * 64;
            // Pages beyond the end count as free here: `top` bounds the run.
            let used = self.used_word(word, end)
                & if first + 64 <= end { u64::MAX } else { (1 << (end - first)) - 1 };
            let bottom = if used == 0 { first } else { first + 64 - u64::from(used.leading_zeros()) };
            if top >= bottom + count {
                return Some(top - count);
            }
            if used != 0 {
                top = first + u64::from(used.trailing_zeros());
            }
        }
        None
    }

    /// Claims `count` pages for the lane wherever there are some; moves its cursor behind them, and its ceiling.
    ///
    /// # Errors
    /// The kernel's, when the tables of the pages could not be backed.
    pub(crate) fn claim_pages(
        &self,
        own: &mut LaneHeap,
        count: u64,
    ) -> Result<Option<(u64, PageWord)>, Errno> {
        let end = self.current_pages();
        if count > end {
            return Ok(None);
        }
        if count > LARGE_RUN {
            return self.claim_from_top(own.lane, count);
        }
        let ceiling = own.ceiling.page().min(end);
        let mut claimed = self.claim_around(own, ceiling, count)?;
        if claimed.is_none() && ceiling < end {
            // It may begin below the ceiling.
            claimed = self.claim_between(own.lane, (ceiling + 1).saturating_sub(count), end, count)?;
        }
        if let Some((page, _)) = claimed {
            own.ceiling.follow(own.cursor, page, page + count);
            own.cursor = page + count;
        }
        Ok(claimed)
    }

    /// From the lane's cursor up to `end`, then from the start to the cursor.
    fn claim_around(&self, own: &LaneHeap, end: u64, count: u64) -> Result<Option<(u64, PageWord)>, Errno> {
        let start = if own.cursor < end { own.cursor } else { 0 };
        let ahead = self.claim_between(own.lane, start, end, count)?;
        if ahead.is_some() || start == 0 {
            return Ok(ahead);
        }
        self.claim_between(own.lane, 0, end.min(start + count), count)
    }

    fn claim_between(
        &self,
        lane: u16,
        mut from: u64,
        end: u64,
        count: u64,
    ) -> Result<Option<(u64, PageWord)>, Errno> {
        let reserved = self.reserved_against(lane);
        while let Some(page) = self.find_run(from, end, count) {
            if let Some(run) = reserved.filter(|run| run.touches(page, count)) {
                from = run.end();
                continue;
            }
            self.back_tables(page, count)?;
            match self.claim_run(lane, page, count) {
                RunClaim::Claimed(word) => return Ok(Some((page, word))),
                RunClaim::Conflict(conflict) => from = conflict + 1,
            }
        }
        Ok(None)
    }

    fn claim_from_top(&self, lane: u16, count: u64) -> Result<Option<(u64, PageWord)>, Errno> {
        let mut end = self.current_pages();
        let reserved = self.reserved_against(lane);
        while let Some(page) = self.find_run_from_top(end, count) {
            if let Some(run) = reserved.filter(|run| run.touches(page, count)) {
                end = run.first();
                continue;
            }
            self.back_tables(page, count)?;
            match self.claim_run(lane, page, count) {
                RunClaim::Claimed(word) => return Ok(Some((page, word))),
                RunClaim::Conflict(conflict) => end = conflict,
            }
        }
        Ok(None)
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
            lane_limit: 2,
            channel_limit: 1,
            manifest_limit: 0,
        };
        Heap::in_memory(Geometry::new(shape))
    }

    /// Length of the longest free run, and whether `page` starts one of `count`, by plain counting.
    fn is_free_run(heap: &Heap, page: u64, count: u64) -> bool {
        (page..page + count)
            .all(|page| heap.used[(page / 64) as usize].load(Ordering::Relaxed) >> (page % 64) & 1 == 0)
    }

    #[test]
    fn the_search_agrees_with_plain_counting() {
        let pages = 300;
        let mut random = 88_172_645_463_325_252u64;
        for round in 0..2000 {
            let heap = heap(pages);
            for word in heap.used.iter() {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let sparse = random & random.rotate_left(9);
                word.store(
                    if round % 5 == 0 { 0 } else { sparse & random.rotate_left(23) },
                    Ordering::Relaxed,
                );
            }
            let (from, count) = (random % pages, 1 + random / 7 % 150);
            let expected =
                (from..pages).find(|&page| page + count <= pages && is_free_run(&heap, page, count));
            assert_eq!(
                heap.find_run(from, pages, count),
                expected,
                "round {round}: {count} pages from {from}"
            );
            if count > LARGE_RUN {
                let expected =
                    (0..pages).rev().find(|&page| page + count <= pages && is_free_run(&heap, page, count));
                assert_eq!(heap.find_run_from_top(pages, count), expected, "round {round}: {count} pages");
            }
        }
    }
}
