//! Values drawn by a seed, for tests.

/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (SplitMix64).
#[allow(unreachable_pub, reason = "a method of a public trait takes it, in tests")]
pub struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Small as often as large.
    pub(crate) fn number(&mut self) -> u64 {
        let drawn = self.next();
        drawn >> (self.next() % 64)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn text(&mut self) -> String {
        (0..self.below(9)).map(|_| ['a', 'Z', ' ', '/', '\0', 'ä', '\u{10ffff}'][self.below(7)]).collect()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
