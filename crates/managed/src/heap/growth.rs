//! How many segments a pool has and may have: one word, so that no grower passes a limit that was set before.
//!
//! Crash argument: each change is one compare-exchange; a death leaves the word as it was or as it was to become.

use weyr_atomic::Ordering;
use weyr_sys::Errno;

use super::Heap;
use super::fault::{Fault, leaves_out};

/// `stopped:1 | limit:31 | segments:32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentsWord(pub u64);

impl SegmentsWord {
    const COUNT: u64 = u32::MAX as u64;
    const LIMIT: u64 = (1 << 31) - 1;

    /// Segments there are; 0 only where shared memory was spoilt.
    #[inline]
    pub const fn segments(self) -> u64 {
        self.0 & Self::COUNT
    }

    /// Segments there may be; none: as many as the maximum has pages for.
    pub const fn limit(self) -> Option<u64> {
        match self.0 >> 32 & Self::LIMIT {
            0 => None,
            limit => Some(limit),
        }
    }

    /// Whether it was said to grow no more.
    pub const fn is_stopped(self) -> bool {
        self.0 >> 63 == 1
    }

    /// Whether another segment is allowed.
    pub fn may_grow(self) -> bool {
        let below = self.limit().is_none_or(|limit| self.segments() < limit);
        below && !self.is_stopped() && self.segments() < Self::COUNT
    }

    /// With one segment more.
    #[must_use]
    pub const fn grown(self) -> Self {
        Self(self.0 + 1)
    }

    /// Whether the limits of both are the same.
    pub const fn is_bounded_as(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }

    /// As many segments, under the limit of `other`.
    #[must_use]
    pub const fn bounded_as(self, other: Self) -> Self {
        Self(self.segments() | other.0 >> 32 << 32)
    }

    /// As many segments, under another limit.
    #[must_use]
    pub const fn under(self, bound: Bound) -> Self {
        let above = match bound {
            Bound::Maximum => 0,
            Bound::Segments(limit) => limit & Self::LIMIT,
            Bound::Present => 1 << 31,
        };
        Self(self.segments() | above << 32)
    }
}

/// How far a pool may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// As far as there are tables.
    Maximum,
    /// To so many segments, at least 1.
    Segments(u64),
    /// Not at all.
    Present,
}

impl Heap {
    /// The present number of segments and its limit.
    #[inline]
    pub fn segments(&self) -> SegmentsWord {
        // Acquire: pairs with the grower's compare-exchange, behind which the object is long enough.
        SegmentsWord(self.header().segments.load(Ordering::Acquire))
    }

    /// Adds a segment, behind `extend`, which makes the object long enough for so many pages; false when the pool may not
    /// grow further, or this process could not see it.
    ///
    /// Commit point: the compare-exchange. A death before it leaves a longer object, which the next grower finds long
    /// enough. Losing to another grower is as good, and to one who changed the limit: the next look sees it.
    ///
    /// # Errors
    /// What `extend` answers.
    pub fn add_segment(&self, extend: impl FnOnce(u64) -> Result<(), Errno>) -> Result<bool, Errno> {
        let seen = self.segments();
        let pages = |segments| self.geometry.pages(segments);
        let (now, next) = (pages(seen.segments()), pages(seen.segments() + 1));
        if !seen.may_grow() || next == now || next > self.window_pages {
            return Ok(false);
        }
        extend(next)?;
        let _another_was_first = self.change_segments(seen, seen.grown());
        Ok(true)
    }

    /// Sets the limit that `decide` says for the present number of segments; none leaves it. Returns the word before and
    /// behind it.
    ///
    /// Commit point: the compare-exchange, from the number that was judged.
    ///
    /// # Errors
    /// What `decide` says; nothing has changed then.
    pub fn bound_segments<E>(
        &self,
        decide: impl Fn(SegmentsWord) -> Result<Option<Bound>, E>,
    ) -> Result<(SegmentsWord, SegmentsWord), E> {
        loop {
            let before = self.segments();
            let after = decide(before)?.map_or(before, |bound| before.under(bound));
            let seen = if leaves_out(Fault::LimitOfWhatWasSeen) { self.segments() } else { before };
            if before == after || self.change_segments(seen, seen.bounded_as(after)) {
                return Ok((before, after));
            }
        }
    }

    /// Sets the limit back from `after` to that of `before`, unless it was set anew since. Growth meanwhile stays.
    pub(crate) fn unbound_segments(&self, before: SegmentsWord, after: SegmentsWord) {
        loop {
            let seen = self.segments();
            let done = before == after || !seen.is_bounded_as(after);
            if done || self.change_segments(seen, seen.bounded_as(before)) {
                return;
            }
        }
    }

    fn change_segments(&self, seen: SegmentsWord, next: SegmentsWord) -> bool {
        // Release: whoever sees a new count sees a long enough object.
        let segments = &self.header().segments;
        segments.compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_stops_growth_and_keeps_the_count() {
        let three = SegmentsWord(3);
        assert!(three.may_grow() && three.limit().is_none());
        let limited = three.under(Bound::Segments(4));
        assert_eq!((limited.segments(), limited.limit(), limited.is_stopped()), (3, Some(4), false));
        assert!(limited.may_grow() && !limited.grown().may_grow());
        let stopped = limited.under(Bound::Present);
        assert_eq!((stopped.segments(), stopped.limit(), stopped.is_stopped()), (3, None, true));
        assert!(!stopped.may_grow());
        assert_eq!(stopped.under(Bound::Maximum), three);
        assert!(!SegmentsWord(u64::MAX).may_grow() && !SegmentsWord(u32::MAX.into()).may_grow());
    }
}
