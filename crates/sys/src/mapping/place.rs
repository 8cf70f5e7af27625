//! Where a mapping at an aligned address is tried first: below the last one.
//!
//! The kernel aligns mappings to pages only. To get more one reserves too much, maps over it and gives the rest back:
//! three calls, and page tables that come and go. An address that is known to be aligned costs one call, and the kernel
//! takes it if it is free. It is asked for and never insisted on, so a wrong guess costs time and nothing else.

use crate::private_word::PrivateWord;

/// The lowest mapping that was placed here begins at this address; 0: none was.
static LOWEST: PrivateWord = PrivateWord::new(0);

/// An address for `len` bytes that is a multiple of `alignment`, a power of two. Nobody has reserved it.
pub(super) fn proposed(len: usize, alignment: usize) -> Option<usize> {
    below(LOWEST.load() as usize, len, alignment)
}

fn below(lowest: usize, len: usize, alignment: usize) -> Option<usize> {
    let place = lowest.checked_sub(len)? & !(alignment - 1);
    (place > 0).then_some(place)
}

/// A mapping at an aligned address begins at `address`: the next one is tried below it.
pub(super) fn taken(address: usize) {
    LOWEST.store(address as u64);
}

/// The mapping of `len` bytes at `address` is no more: if it was the lowest, its place is the next one's.
pub(super) fn given_back(address: usize, len: usize) {
    let _was_not_the_lowest = LOWEST.exchange(address as u64, address.saturating_add(len) as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_aligned_and_below_the_lowest() {
        assert_eq!(below(0x40_0000, 0x1000, 0x20_0000), Some(0x20_0000));
        assert_eq!(below(0x40_0000, 0x20_0000, 0x20_0000), Some(0x20_0000));
        assert_eq!(below(0x60_1000, 0x20_1000, 0x20_0000), Some(0x40_0000));
    }

    #[test]
    fn where_there_is_no_room_below_nothing_is_proposed() {
        assert_eq!(below(0, 0x1000, 0x20_0000), None);
        assert_eq!(below(0x20_0000, 0x20_0000, 0x20_0000), None);
        assert_eq!(below(0x20_0000, 0x20_1000, 0x20_0000), None);
    }
}
