//! Which of the points are run: all of them by day's end, a sample on every change.

use std::env;

/// Which points of a sweep are run. The first and the last always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Every point.
    All,
    /// Every k-th point (0 counts as 1).
    Every(usize),
    /// At most this many, drawn by the seed: the same seed draws the same points of the same number.
    AtMost {
        /// How many, the first and the last among them.
        points: usize,
        /// What they are drawn by.
        seed: u64,
    },
}

impl Choice {
    /// All points where `WEYR_SWEEP=full` is set, else at most `points`, drawn by `WEYR_SEED` (a number; 1 if it is
    /// not set or none); where `WEYR_SWEEP=few` is set, at most [`FEW`].
    #[must_use]
    pub fn from_environment(points: usize) -> Self {
        if is_full() { Self::All } else { Self::AtMost { points: or_few(points), seed: seed() } }
    }

    /// At most `full` points where `WEYR_SWEEP=full` is set, else at most `points`: for kinds of points of which there
    /// are too many to run all, as there are of instructions.
    #[must_use]
    pub fn drawn(points: usize, full: usize) -> Self {
        Self::AtMost { points: if is_full() { full } else { or_few(points) }, seed: seed() }
    }

    /// The chosen of `count` points, ascending.
    pub(crate) fn of(self, count: usize) -> Vec<usize> {
        match self {
            Self::All => (0..count).collect(),
            Self::Every(k) => {
                (0..count).filter(|index| index % k.max(1) == 0 || index + 1 == count).collect()
            }
            Self::AtMost { points, .. } if points >= count => (0..count).collect(),
            Self::AtMost { points, seed } => draw(count, points.max(2), seed),
        }
    }
}

/// Points of an operation where it is run once more in other surroundings, which change what it is in, not what it does.
pub const FEW: usize = 3;

/// The writes, counted from 1, at which a crash face ends an operation of `count` writes: all of them, or [`FEW`] where
/// `WEYR_CRASH=few` is set.
#[must_use]
pub fn writes_to_end_at(count: u64) -> Vec<u64> {
    let choice = if is_few_writes() { Choice::AtMost { points: FEW, seed: seed() } } else { Choice::All };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    choice.of(count).into_iter().map(|index| index as u64 + 1).collect()
}

/// Whether `WEYR_CRASH=few` is set.
#[must_use]
pub fn is_few_writes() -> bool {
    is("WEYR_CRASH", "few")
}

/// Whether `WEYR_SWEEP=few` is set.
#[must_use]
pub fn is_few_points() -> bool {
    is("WEYR_SWEEP", "few")
}

fn is(variable: &str, wanted: &str) -> bool {
    env::var(variable).is_ok_and(|choice| choice == wanted)
}

fn is_full() -> bool {
    is("WEYR_SWEEP", "full")
}

fn or_few(points: usize) -> usize {
    if is_few_points() { points.min(FEW) } else { points }
}

fn seed() -> u64 {
    env::var("WEYR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// The first, the last, and others drawn from between by exchanging each with a random one of those left.
fn draw(count: usize, points: usize, seed: u64) -> Vec<usize> {
    let mut between: Vec<usize> = (1..count - 1).collect();
    let wanted = (points - 2).min(between.len());
    let mut state = seed;
    for index in 0..wanted {
        let left = between.len() - index;
        let other = index + usize::try_from(next_random(&mut state) % left as u64).unwrap_or(0);
        between.swap(index, other);
    }
    between.truncate(wanted);
    between.extend([0, count - 1]);
    between.sort_unstable();
    between
}

/// Source: Steele, Lea, Flood, *Fast splittable pseudorandom number generators* (SplitMix64).
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_is_an_end_unless_few_are_wanted() {
        if !is_few_writes() {
            assert_eq!(writes_to_end_at(5), [1, 2, 3, 4, 5]);
        }
        assert_eq!(writes_to_end_at(0), []);
        assert_eq!(writes_to_end_at(1), [1]);
    }

    #[test]
    fn a_sample_has_the_first_the_last_and_no_point_twice() {
        for count in 2..40 {
            for points in 0..45 {
                let mut chosen = Choice::AtMost { points, seed: 7 }.of(count);
                assert_eq!(chosen.len(), points.clamp(2, count));
                assert_eq!((chosen[0], chosen[chosen.len() - 1]), (0, count - 1));
                chosen.dedup();
                assert_eq!(chosen.len(), points.clamp(2, count));
            }
        }
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_seed_draws_others() {
        let draw = |seed| Choice::AtMost { points: 10, seed }.of(1000);
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    fn every_third_point_and_the_last_are_chosen() {
        assert_eq!(Choice::Every(3).of(9), [0, 3, 6, 8]);
        assert_eq!(Choice::Every(0).of(3), [0, 1, 2]);
    }
}
