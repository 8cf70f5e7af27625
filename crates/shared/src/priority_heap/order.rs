//! The order of a priority heap: what has to move for an item to come or to go, and whether it is right.
//!
//! All is looked at before the first write, so that an operation that finds nonsense has changed nothing.

use weyr_atomic::Ordering;

use super::{HEADER_BYTES, MAGIC, PriorityHeap};
use crate::Corrupt;
use crate::priority_heap::shape::Shape;

/// Levels of a heap of 2^32 items with two children a node, and one.
const MAX_MOVES: usize = 35;

/// What an item comes out by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) priority: u64,
    pub(super) ticket: u64,
}

/// Which cell comes to which place of the order.
pub(super) struct Moves {
    list: [(usize, usize); MAX_MOVES],
    count: usize,
}

impl Moves {
    fn new() -> Self {
        Self { list: [(0, 0); MAX_MOVES], count: 0 }
    }

    fn add(&mut self, place: usize, cell: usize) {
        self.list[self.count] = (place, cell);
        self.count += 1;
    }

    pub(super) fn each(&self, mut write: impl FnMut(usize, usize)) {
        self.list[..self.count].iter().for_each(|(place, cell)| write(*place, *cell));
    }
}

/// The cells of a heap.
pub(super) struct Cells {
    /// Those with an item, in the order in which they come out.
    pub(super) used: Vec<(Key, usize)>,
    /// Those without.
    pub(super) free: Vec<usize>,
}

impl PriorityHeap {
    /// The way up of an item with `key`, in `cell`, from place `count` on.
    pub(super) fn climb(&self, count: usize, cell: usize, key: Key) -> Result<Moves, Corrupt> {
        let mut moves = Moves::new();
        let mut place = count;
        while place > 0 {
            let parent = (place - 1) / self.shape.base;
            let above = self.cell_in_order(parent)?;
            if self.key(above)? <= key {
                break;
            }
            moves.add(place, above);
            place = parent;
        }
        moves.add(place, cell);
        Ok(moves)
    }

    /// What moves when the first of `count` items goes: the last one down from its place.
    pub(super) fn sink(&self, count: usize) -> Result<Moves, Corrupt> {
        let (first, rest) = (self.cell_in_order(0)?, count - 1);
        let last = self.cell_in_order(rest)?;
        let key = self.key(last)?;
        let mut moves = Moves::new();
        let mut place = 0;
        while let Some((child, cell, least)) = self.least_child(place, rest)? {
            if least > key {
                break;
            }
            moves.add(place, cell);
            place = child;
        }
        if rest > 0 {
            moves.add(place, last);
        }
        moves.add(rest, first);
        Ok(moves)
    }

    /// The child of `place`, among the first `count`, that comes out first: its place, cell and key.
    fn least_child(&self, place: usize, count: usize) -> Result<Option<(usize, usize, Key)>, Corrupt> {
        let first = place * self.shape.base + 1;
        let mut least: Option<(usize, usize, Key)> = None;
        for child in first..(first + self.shape.base).min(count) {
            let cell = self.cell_in_order(child)?;
            let key = self.key(cell)?;
            if least.is_none_or(|(_, _, least)| key < least) {
                least = Some((child, cell, key));
            }
        }
        Ok(least)
    }

    /// The cell at a place of the order.
    pub(super) fn cell_in_order(&self, place: usize) -> Result<usize, Corrupt> {
        let wrong = Corrupt::new("order of a priority heap", HEADER_BYTES + place as u64 * 8);
        let cell = self.order.get(place).ok_or(wrong)?.load(Ordering::Relaxed);
        if cell < self.capacity() { Ok(cell as usize) } else { Err(wrong) }
    }

    pub(super) fn cell(&self, cell: usize) -> Result<&super::PriorityHeapCell, Corrupt> {
        self.cells.get(cell).ok_or(self.shape.corrupt_cell(cell))
    }

    pub(super) fn ticket(&self, cell: usize) -> Result<u64, Corrupt> {
        Ok(self.cell(cell)?.ticket.load(Ordering::Relaxed))
    }

    /// The key of an item.
    pub(super) fn key(&self, cell: usize) -> Result<Key, Corrupt> {
        let ticket = self.ticket(cell)?;
        let priority = self.cell(cell)?.priority.load(Ordering::Relaxed);
        if ticket == 0 { Err(self.shape.corrupt_cell(cell)) } else { Ok(Key { priority, ticket }) }
    }

    /// All cells.
    pub(super) fn cells_by_key(&self) -> Result<Cells, Corrupt> {
        let (mut used, mut free) = (Vec::new(), Vec::new());
        for cell in 0..self.shape.capacity {
            match self.ticket(cell)? {
                0 => free.push(cell),
                _ => used.push((self.key(cell)?, cell)),
            }
        }
        used.sort_unstable();
        Ok(Cells { used, free })
    }

    /// What is wrong: a header that is not what was attached, an operation that was not finished, and else each place of
    /// the order and each cell that cannot be. Empty for a sound heap. The lock is held; takes time and private memory in
    /// proportion to the capacity. [`recover`](Self::recover) puts right what a death has left.
    pub fn verify(&self) -> Vec<Corrupt> {
        let header = self.header();
        let mut found = Vec::new();
        if header.magic.load(Ordering::Acquire) != MAGIC {
            found.push(Corrupt::new("magic of a priority heap", 0));
        }
        if Shape::read(header) != Ok(self.shape) {
            found.push(Corrupt::new("shape of a priority heap", 8));
        }
        if self.is_interrupted() {
            found.push(Corrupt::new("operation of a priority heap that was not finished", 48));
        } else {
            self.verify_order(&mut found);
            self.verify_tickets(&mut found);
        }
        found
    }

    /// The first `count` places name each cell with an item once, none before its parent; the others the free ones.
    fn verify_order(&self, found: &mut Vec<Corrupt>) {
        let count = self.len() as usize;
        if self.len() > self.capacity() {
            return found.push(Corrupt::new("count of a priority heap", 32));
        }
        let mut is_named = vec![false; self.shape.capacity];
        for place in 0..self.shape.capacity {
            let wrong = Corrupt::new("order of a priority heap", HEADER_BYTES + place as u64 * 8);
            let cell =
                self.cell_in_order(place).ok().filter(|cell| !std::mem::replace(&mut is_named[*cell], true));
            let is_right = cell.is_some_and(|cell| match place < count {
                true => self.key(cell).is_ok_and(|key| self.is_behind_parent(place, key)),
                false => self.ticket(cell) == Ok(0),
            });
            if !is_right {
                found.push(wrong);
            }
        }
    }

    fn is_behind_parent(&self, place: usize, key: Key) -> bool {
        let Some(before) = place.checked_sub(1) else { return true };
        self.cell_in_order(before / self.shape.base)
            .and_then(|parent| self.key(parent))
            .is_ok_and(|above| above <= key)
    }

    /// Each ticket was given out, and to one cell.
    fn verify_tickets(&self, found: &mut Vec<Corrupt>) {
        let Ok(Cells { used, .. }) = self.cells_by_key() else { return };
        let mut tickets: Vec<(u64, usize)> = used.iter().map(|(key, cell)| (key.ticket, *cell)).collect();
        tickets.sort_unstable();
        let next = self.header().next_ticket.load(Ordering::Relaxed);
        if tickets.last().is_some_and(|(last, _)| *last >= next) || matches!(next, 0 | u64::MAX) {
            found.push(Corrupt::new("ticket of a priority heap", 40));
        }
        let twice = tickets.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        found.extend(twice.map(|pair| self.shape.corrupt_cell(pair[1].1)));
    }
}
