//! How large a priority heap is, and what lies where in it.

use weyr_atomic::Ordering;

use super::{PriorityHeapError, PriorityHeapHeader};
use crate::Corrupt;

pub(super) const HEADER_BYTES: u64 = 56;
/// Words of a cell before its values.
const CELL_WORDS: usize = 2;
const MAX_BASE: u64 = 1024;
const MAX_CAPACITY: u64 = 1 << 32;
const MAX_VALUES: u64 = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) base: usize,
    pub(super) capacity: usize,
    pub(super) values: usize,
}

impl Shape {
    pub(super) fn new(base: u64, capacity: u64, values: u64) -> Result<Self, PriorityHeapError> {
        if !(2..=MAX_BASE).contains(&base) {
            return Err(PriorityHeapError::InvalidBase(base));
        }
        if !(1..=MAX_CAPACITY).contains(&capacity) || !(1..=MAX_VALUES).contains(&values) {
            return Err(PriorityHeapError::InvalidShape { capacity, values });
        }
        Ok(Self { base: base as usize, capacity: capacity as usize, values: values as usize })
    }

    pub(super) fn read(header: &PriorityHeapHeader) -> Result<Self, Corrupt> {
        let word = |word: &weyr_atomic::AtomicU64| word.load(Ordering::Relaxed);
        Self::new(word(&header.base), word(&header.capacity), word(&header.values))
            .map_err(|_| Corrupt::new("shape of a priority heap", 8))
    }

    pub(super) fn write(&self, header: &PriorityHeapHeader) {
        header.base.store(self.base as u64, Ordering::Relaxed);
        header.values.store(self.values as u64, Ordering::Relaxed);
        header.capacity.store(self.capacity as u64, Ordering::Relaxed);
    }

    /// Bytes from cell to cell.
    pub(super) fn stride(&self) -> u64 {
        (CELL_WORDS + self.values) as u64 * 8
    }

    /// Where the cells begin.
    pub(super) fn cells_at(&self) -> u64 {
        HEADER_BYTES + self.capacity as u64 * 8
    }

    pub(super) fn bytes(&self) -> u64 {
        self.cells_at() + self.capacity as u64 * self.stride()
    }

    /// The word, from the first cell on, with the first value of `cell`.
    pub(super) fn values_of(&self, cell: usize) -> usize {
        cell * (CELL_WORDS + self.values) + CELL_WORDS
    }

    pub(super) fn corrupt_cell(&self, cell: usize) -> Corrupt {
        Corrupt::new("cell of a priority heap", self.cells_at() + cell as u64 * self.stride())
    }
}
