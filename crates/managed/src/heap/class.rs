//! Size classes of slabs: 64-byte steps to 256 bytes, then four sizes a doubling, up to two pages.
//!
//! All of it follows from the class in a page word and the pool's page size; nothing here is read from shared memory.

/// Number of classes that any page size can have.
pub const CLASS_LIMIT: usize = 40;

/// Bytes of the largest class.
pub const LARGEST_BLOCK: u64 = 1 << 17;

/// Tiers of block words: one word per so many bytes of data, as a power of two.
pub const TIER_SHIFTS: [u32; 4] = [12, 10, 8, 6];

/// Geometry of the slabs of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// Bytes of a block.
    pub size: u32,
    /// Pages of a slab; zero where this pool has no such slabs.
    pub pages: u32,
    /// Blocks of a slab.
    pub blocks: u32,
    /// Which tier holds the block words.
    pub tier: u8,
    /// ceil(2^32 / size), for [`Class::index`].
    reciprocal: u64,
}

impl Class {
    /// Index of the block that starts `offset` bytes into the slab, if one does.
    #[inline]
    pub const fn index(&self, offset: u64) -> Option<u32> {
        if offset >= self.blocks as u64 * self.size as u64 {
            return None;
        }
        // Exact for offsets below 2^19 and sizes below 2^18: the reciprocal's error stays below one part of a block.
        let index = (offset * self.reciprocal) >> 32;
        if index * self.size as u64 == offset { Some(index as u32) } else { None }
    }
    /// Words of 64 bits that hold one bit a block.
    pub const fn rows(&self) -> usize {
        self.blocks.div_ceil(64) as usize
    }
}

/// Bytes of a block of `class`.
pub const fn class_size(class: usize) -> u32 {
    if class < 4 {
        return (class as u32 + 1) * 64;
    }
    let (doubling, quarter) = ((class - 4) / 4, (class - 4) % 4);
    (256 << doubling) + (64 << doubling) * (quarter as u32 + 1)
}

/// The smallest class that holds `bytes`, by a table; none for no bytes, and for more than the largest class has.
#[inline(always)]
pub fn class_at_once(bytes: u64) -> Option<usize> {
    CLASSES.get((bytes.wrapping_sub(1) / LINE) as usize).map(|&class| class.into())
}

/// What [`class_at_once`] looks up: the class of each number of lines.
static CLASSES: [u8; (LARGEST_BLOCK / LINE) as usize] = {
    let mut table = [0; (LARGEST_BLOCK / LINE) as usize];
    let mut lines = 0;
    while lines < table.len() {
        table[lines] = class_of((lines as u64 + 1) * LINE) as u8;
        lines += 1;
    }
    table
};

/// Sizes of blocks are multiples of this.
const LINE: u64 = 64;

/// The smallest class that holds `bytes`, whether or not a pool has slabs of it.
pub const fn class_of(bytes: u64) -> usize {
    if bytes <= 256 {
        return if bytes == 0 { 0 } else { ((bytes - 1) / 64) as usize };
    }
    let last = bytes - 1;
    let top = last.ilog2();
    4 + (top as usize - 8) * 4 + ((last >> (top - 2)) & 3) as usize
}

/// The classes of a pool with pages of `1 << page_shift` bytes and `pages` of them.
///
/// A slab has one page for blocks up to an eighth of it, then four, then eight. Pools of fewer than 64 pages have
/// slabs of one page only, so that no slab takes more than a small part of the pool.
pub fn classes(page_shift: u32, pages: u64) -> [Class; CLASS_LIMIT] {
    std::array::from_fn(|class| one_class(class_size(class), page_shift, pages))
}

fn one_class(size: u32, page_shift: u32, pages: u64) -> Class {
    let page = 1u32 << page_shift;
    let pages_of_slab = match size {
        _ if size <= page / 8 => 1,
        _ if pages < 64 => u32::from(size <= page / 2),
        _ if size <= page / 2 => 4,
        _ if size <= 2 * page => 8,
        _ => 0,
    };
    let bytes = pages_of_slab << page_shift;
    let blocks = bytes / size;
    // A slab that cannot use an eighth of itself is worse than spans.
    let wasteful = pages_of_slab > 1 && bytes - blocks * size >= bytes / 8;
    let pages = if wasteful { 0 } else { pages_of_slab };
    let tier = TIER_SHIFTS.iter().position(|&shift| size >= 1 << shift).unwrap_or(TIER_SHIFTS.len() - 1);
    Class { size, pages, blocks, tier: tier as u8, reciprocal: (1u64 << 32) / size as u64 + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_goes_to_the_smallest_class_that_holds_it() {
        for bytes in 1..=131_072u64 {
            let class = class_of(bytes);
            assert!(u64::from(class_size(class)) >= bytes, "{bytes}");
            assert!(class == 0 || u64::from(class_size(class - 1)) < bytes, "{bytes}");
        }
        assert_eq!(class_of(131_072), CLASS_LIMIT - 1);
    }

    #[test]
    fn the_table_says_what_the_formula_says() {
        (1..=LARGEST_BLOCK)
            .for_each(|bytes| assert_eq!(class_at_once(bytes), Some(class_of(bytes)), "{bytes}"));
        assert_eq!([class_at_once(0), class_at_once(LARGEST_BLOCK + 1), class_at_once(u64::MAX)], [None; 3]);
    }

    #[test]
    fn blocks_are_found_at_their_starts_and_nowhere_else() {
        for (shift, pages) in [(12, 8), (12, 256), (14, 4096), (16, 16_384)] {
            for class in classes(shift, pages).iter().filter(|class| class.pages > 0) {
                for offset in 0..u64::from(class.pages) << shift {
                    let expected = offset.is_multiple_of(class.size.into())
                        && offset / u64::from(class.size) < class.blocks.into();
                    assert_eq!(class.index(offset).is_some(), expected, "{} at {offset}", class.size);
                }
            }
        }
    }

    #[test]
    fn no_two_blocks_of_a_slab_share_a_block_word() {
        for class in classes(16, 16_384).iter().filter(|class| class.pages > 0) {
            assert!(class.size >= 1 << TIER_SHIFTS[class.tier as usize]);
        }
    }

    #[test]
    fn waste_at_the_end_of_a_slab_stays_below_an_eighth() {
        for class in classes(16, 16_384).iter().filter(|class| class.pages > 0) {
            let bytes = class.pages << 16;
            assert!((bytes - class.blocks * class.size) * 8 < bytes, "{}", class.size);
        }
    }
}
