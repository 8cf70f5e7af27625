//! Free pages whose memory is there already come before those that would take more.
//!
//! The search goes round the pool (next fit), so without this a program that passes spans on, and has them freed by
//! others, would walk through all of the pool: new memory for each, and none given back. What has been used comes
//! first: for all but the first to come by it there is nothing to allocate and to clear.
//!
//! While a pool fills, nothing that was used is free, and looking for it again and again would make filling quadratic.
//! So each look in vain puts off the next, up to [`LONGEST_REST`] searches.

use super::Heap;

/// Searches that are made without a look at most.
const LONGEST_REST: u32 = 63;

/// Whether a lane's next search for pages looks among those that were used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Thrift {
    /// Searches left without a look.
    rest: u32,
    /// Searches that the last look in vain put it off for.
    vain: u32,
}

impl Thrift {
    /// Whether this search looks.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.rest == 0;
        self.rest = self.rest.saturating_sub(1);
        due
    }

    /// What came of a look.
    pub(crate) fn looked(&mut self, found: bool) {
        self.vain = if found { 0 } else { (2 * self.vain + 1).min(LONGEST_REST) };
        self.rest = self.vain;
    }
}

impl Heap {
    /// First run of `count` pages from `from` on, below `end`, that the hints call free, and that was backed before.
    pub(crate) fn find_backed_run(&self, from: u64, end: u64, count: u64) -> Option<u64> {
        let mut from = from;
        loop {
            let page = self.find_run(from, end, count)?;
            let hole = self.backing.first_hole(self.page_offset(page)..self.page_offset(page + count));
            let Some(hole) = hole else { return Some(page) };
            // Behind the hole, which begins in the run: so it is behind `page`, too.
            from = self.backing.next_backed(hole)? >> self.geometry.shape.page_shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_in_vain_become_rare_and_one_that_finds_makes_them_frequent_again() {
        let mut thrift = Thrift::default();
        let mut looks = 0;
        for _ in 0..10_000 {
            if thrift.is_due() {
                looks += 1;
                thrift.looked(false);
            }
        }
        assert!((10_000 / 64..10_000 / 60).contains(&looks), "{looks}");
        while !thrift.is_due() {}
        thrift.looked(true);
        assert!((0..100).all(|_| {
            let due = thrift.is_due();
            thrift.looked(true);
            due
        }));
    }
}
