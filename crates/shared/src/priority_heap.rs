//! Items in shared memory, of which the one with the lowest priority value comes out first; among equals, the oldest.
//!
//! A heap of `base` children a node, with room for a fixed number of items of a fixed number of 64-bit values.
//!
//! **It guards nothing by itself**: who calls anything but what only reads the header holds a lock that all its users
//! take ([`crate::lock`]).
//!
//! The idea that makes it survive its users: each item lies in a cell, which it never leaves, and the cell's ticket alone
//! says whether there is an item. The order (which cells are used, in heap order, then the free ones) and the count
//! are hints that can be made from the cells at any time:
//!
//! | step | of a push | of a pop |
//! | ---: | --- | --- |
//! | 1 | look at all that will be used | the same; the values are copied out |
//! | 2 | `pending` = PUSH | `pending` = POP |
//! | 3 | the next ticket; values and priority of a free cell | |
//! | 4 | **commit**: the cell's ticket | **commit**: the cell's ticket = 0 |
//! | 5 | order, count | order, count |
//! | 6 | `pending` = 0 | `pending` = 0 |
//!
//! Every store is a Release, so a death leaves a prefix of them. Before step 4 nothing has come in or gone; behind it
//! the item is there, or is the dead taker's; both as one word. `pending` is what tells that the hints may be wrong:
//! until [`recover`](PriorityHeap::recover) has made them anew, every operation is refused. A recovery writes only hints,
//! and `pending` last, so one that dies is done again.
//!
//! Source: Dragon, priority heap; Johnson, "Priority queues with update and finding minimum spanning trees" (1975). What
//! it does not do: it does not change the priority of an item, and it does not wait.

mod order;
mod shape;

use weyr_atomic::{AtomicU64, Ordering};

use crate::{Corrupt, Region, Strided, Table};
use order::{Cells, Key, Moves};
use shape::{HEADER_BYTES, Shape};

/// First word of a heap.
const MAGIC: u64 = u64::from_le_bytes(*b"WEYRHEP1");
/// The priority of urgent items.
const URGENT: u64 = 0;

const NOTHING: u64 = 0;
const PUSH: u64 = 1;
const POP: u64 = 2;
const RECOVERY: u64 = 3;

crate::layout! {
    /// What stands before a priority heap. Behind it: the order, one 64-bit cell index an item; then the cells.
    pub struct PriorityHeapHeader: 56, align 8 {
        /// `WEYRHEP1`; written last, by who makes it. Anything else: no heap.
        0 => magic: AtomicU64,
        /// Children of a node, 2 to 1024; written once, by who makes it.
        8 => base: AtomicU64,
        /// 64-bit values of an item, 1 to 65536; written once, by who makes it.
        16 => values: AtomicU64,
        /// Items that it has room for, 1 to 2^32; written once, by who makes it.
        24 => capacity: AtomicU64,
        /// Items in it: a hint, while `pending` is not zero. Written under the users' lock. Zero: empty.
        32 => count: AtomicU64,
        /// The ticket of the next item; above each that is in a cell. Written under the users' lock. Zero: no heap.
        40 => next_ticket: AtomicU64,
        /// What somebody is at, or died at: 1 push, 2 pop, 3 recovery. Written under the users' lock. Zero: nothing.
        48 => pending: AtomicU64,
    }
}

crate::layout! {
    /// A cell of a priority heap; its values lie behind it.
    pub struct PriorityHeapCell: 16, align 8 {
        /// The truth: the number of the push that put an item here, upwards from 1. Written under the users' lock, by a push when all else of the item is there. Zero: free.
        0 => ticket: AtomicU64,
        /// What it comes out by, the lowest first; 0: urgent. Means nothing while the cell is free.
        8 => priority: AtomicU64,
    }
}

/// Why an operation on a priority heap was refused. The heap is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PriorityHeapError {
    /// No heap has so few or so many children a node.
    #[error("the base of a priority heap is 2 to 1024, not {0}")]
    InvalidBase(u64),
    /// No heap has such a capacity, or such items.
    #[error(
        "a priority heap has room for 1 to 2^32 items of 1 to 65536 values, not for {capacity} of {values}"
    )]
    InvalidShape {
        /// Items asked for.
        capacity: u64,
        /// Values of each.
        values: u64,
    },
    /// The item has not as many values as those of this heap.
    #[error("items of this heap have {expected} values, and this one {given}")]
    InvalidItem {
        /// Values of an item.
        expected: u64,
        /// Values given, or room for them.
        given: u64,
    },
    /// 0 is the priority of urgent items.
    #[error("priority 0 is that of urgent items; push this one as urgent, or use 1 or more")]
    InvalidPriority,
    /// The region is too small for it.
    #[error("the priority heap needs {needed} bytes and the region has {there}")]
    TooSmall {
        /// Bytes needed.
        needed: u64,
        /// Bytes of the region.
        there: u64,
    },
    /// There is a heap already.
    #[error("the region holds a priority heap already; attach it, or destroy it first")]
    AlreadyInitialised,
    /// There is no room for another item.
    #[error("the priority heap is full; pop an item first")]
    Full,
    /// There is no item.
    #[error("the priority heap is empty")]
    Empty,
    /// Somebody died in the middle of an operation, or is at one without the lock.
    #[error("an operation on the priority heap was not finished; recover it, with the lock held")]
    Interrupted,
    /// The memory does not hold a heap, or something of it holds what nobody writes there.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// A priority heap in a region, which it keeps mapped. Clones are the same heap. See the [module](self) for the lock.
///
/// ```
/// use std::sync::Arc;
/// use weyr_shared::{PriorityHeap, Region};
/// # use weyr_sys::mapping::Mapping;
///
/// # let mapping = Arc::new(Mapping::anonymous(4096).unwrap());
/// let region = Region::new(mapping); // of memory that others map, too
/// // Room for 10 items of one value, four children a node; the users' lock is held.
/// let heap = PriorityHeap::init(&region, 4, 10, 1)?;
/// heap.push(&[70], 7)?;
/// heap.push(&[20], 2)?;
/// heap.push(&[21], 2)?;
/// heap.push_urgent(&[1000])?;
///
/// let mut out = [0];
/// let mut order = Vec::new();
/// while !heap.is_empty() {
///     heap.pop(&mut out)?;
///     order.push(out[0]);
/// }
/// assert_eq!(order, [1000, 20, 21, 70]);
/// # Ok::<(), weyr_shared::PriorityHeapError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PriorityHeap {
    header: Table<PriorityHeapHeader>,
    order: Table<AtomicU64>,
    cells: Strided<PriorityHeapCell>,
    values: Table<AtomicU64>,
    shape: Shape,
}

impl PriorityHeap {
    /// Bytes that a heap of `base` children a node and room for `capacity` items of `values` values needs.
    ///
    /// # Errors
    /// [`PriorityHeapError::InvalidBase`], [`PriorityHeapError::InvalidShape`].
    pub fn size(base: u64, capacity: u64, values: u64) -> Result<u64, PriorityHeapError> {
        Ok(Shape::new(base, capacity, values)?.bytes())
    }

    /// Makes an empty heap at the start of `region`. One does so, before others know of it.
    ///
    /// Commit point: the magic, written last. Who dies before it leaves no heap.
    ///
    /// # Errors
    /// As [`size`](Self::size); [`PriorityHeapError::TooSmall`], [`PriorityHeapError::AlreadyInitialised`];
    /// [`PriorityHeapError::Corrupt`] when the region is misaligned.
    pub fn init(region: &Region, base: u64, capacity: u64, values: u64) -> Result<Self, PriorityHeapError> {
        let shape = Shape::new(base, capacity, values)?;
        let (needed, there) = (shape.bytes(), region.len());
        if there < needed {
            return Err(PriorityHeapError::TooSmall { needed, there });
        }
        let heap = Self::view(region, shape)?;
        if heap.header().magic.load(Ordering::Acquire) == MAGIC {
            return Err(PriorityHeapError::AlreadyInitialised);
        }
        heap.clear();
        // Release: pairs with the Acquire of `attach`.
        heap.header().magic.store(MAGIC, Ordering::Release);
        Ok(heap)
    }

    fn clear(&self) {
        for cell in 0..self.shape.capacity {
            self.order[cell].store(cell as u64, Ordering::Relaxed);
            if let Some(cell) = self.cells.get(cell) {
                cell.ticket.store(0, Ordering::Relaxed);
            }
        }
        let header = self.header();
        self.shape.write(header);
        header.count.store(0, Ordering::Relaxed);
        header.next_ticket.store(1, Ordering::Relaxed);
        header.pending.store(NOTHING, Ordering::Relaxed);
    }

    /// The heap at the start of `region`. Needs no lock.
    ///
    /// # Errors
    /// [`PriorityHeapError::Corrupt`] when there is none, or it does not lie inside the region.
    pub fn attach(region: &Region) -> Result<Self, PriorityHeapError> {
        let header = region.view::<PriorityHeapHeader>(0)?;
        // Acquire: pairs with the Release of `init`.
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(Corrupt::new("magic of a priority heap", 0).into());
        }
        Self::view(region, Shape::read(header)?)
    }

    fn view(region: &Region, shape: Shape) -> Result<Self, PriorityHeapError> {
        let (cells, count) = (shape.cells_at(), shape.capacity as u64);
        Ok(Self {
            header: region.table(0, 1, "header of a priority heap")?,
            order: region.table(HEADER_BYTES, count, "order of a priority heap")?,
            cells: region.strided(cells, shape.stride(), count, "cells of a priority heap")?,
            values: region.table(cells, count * shape.stride() / 8, "cells of a priority heap")?,
            shape,
        })
    }

    fn header(&self) -> &PriorityHeapHeader {
        &self.header[0]
    }

    /// Ends the heap and what is in it: nobody attaches it any more.
    pub fn destroy(self) {
        self.header().magic.store(0, Ordering::Release);
    }

    /// Items that it has room for.
    pub fn capacity(&self) -> u64 {
        self.shape.capacity as u64
    }

    /// Children of a node.
    pub fn base(&self) -> u64 {
        self.shape.base as u64
    }

    /// 64-bit values of an item.
    pub fn values(&self) -> u64 {
        self.shape.values as u64
    }

    /// Items in it: of this instant, where the lock is not held.
    pub fn len(&self) -> u64 {
        self.header().count.load(Ordering::Relaxed)
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether somebody died in the middle of an operation, or, where the lock is not held, is at one.
    pub fn is_interrupted(&self) -> bool {
        self.header().pending.load(Ordering::Acquire) != NOTHING
    }

    /// Puts an item in, behind those of the same priority. The lowest priority comes out first. Does not block.
    ///
    /// Commit point: the ticket of its cell. Whoever dies before it has put nothing in.
    ///
    /// # Errors
    /// [`PriorityHeapError::InvalidPriority`] when it is 0, [`PriorityHeapError::InvalidItem`],
    /// [`PriorityHeapError::Full`], [`PriorityHeapError::Interrupted`], [`PriorityHeapError::Corrupt`].
    pub fn push(&self, values: &[u64], priority: u64) -> Result<(), PriorityHeapError> {
        if priority == URGENT {
            return Err(PriorityHeapError::InvalidPriority);
        }
        self.insert(values, priority)
    }

    /// Puts an item in before all that are not urgent, and behind those that are. Does not block.
    ///
    /// # Errors
    /// As [`push`](Self::push), but for the priority.
    pub fn push_urgent(&self, values: &[u64]) -> Result<(), PriorityHeapError> {
        self.insert(values, URGENT)
    }

    fn insert(&self, values: &[u64], priority: u64) -> Result<(), PriorityHeapError> {
        self.check_item(values)?;
        let count = self.ready()?;
        if count == self.shape.capacity {
            return Err(PriorityHeapError::Full);
        }
        let cell = self.cell_in_order(count)?;
        let ticket = self.next_ticket()?;
        if self.ticket(cell)? != 0 {
            return Err(self.shape.corrupt_cell(cell).into());
        }
        let moves = self.climb(count, cell, Key { priority, ticket })?;
        self.header().pending.store(PUSH, Ordering::Release);
        self.header().next_ticket.store(ticket + 1, Ordering::Release);
        self.fill(cell, values, priority, ticket)?;
        self.finish(&moves, count + 1);
        Ok(())
    }

    /// Takes out the item that comes first, into `values`; returns its priority, 0 for an urgent one. Does not block.
    ///
    /// Commit point: the ticket of its cell is 0. Whoever dies before it has taken nothing; behind it the item was the
    /// dead one's, as it is when the call has returned.
    ///
    /// # Errors
    /// [`PriorityHeapError::InvalidItem`], [`PriorityHeapError::Empty`], [`PriorityHeapError::Interrupted`],
    /// [`PriorityHeapError::Corrupt`].
    pub fn pop(&self, values: &mut [u64]) -> Result<u64, PriorityHeapError> {
        self.check_item(values)?;
        let (count, cell, key) = self.first()?;
        let moves = self.sink(count)?;
        self.copy_out(cell, values);
        self.header().pending.store(POP, Ordering::Release);
        self.cell(cell)?.ticket.store(0, Ordering::Release);
        self.finish(&moves, count - 1);
        Ok(key.priority)
    }

    /// Copies the item that comes first into `values`, and leaves it where it is; returns its priority, 0 for an urgent
    /// one. Does not block.
    ///
    /// # Errors
    /// As [`pop`](Self::pop).
    pub fn peek(&self, values: &mut [u64]) -> Result<u64, PriorityHeapError> {
        self.check_item(values)?;
        let (_, cell, key) = self.first()?;
        self.copy_out(cell, values);
        Ok(key.priority)
    }

    /// How many items there are, and the cell and the key of the first.
    fn first(&self) -> Result<(usize, usize, Key), PriorityHeapError> {
        let count = self.ready()?;
        if count == 0 {
            return Err(PriorityHeapError::Empty);
        }
        let cell = self.cell_in_order(0)?;
        Ok((count, cell, self.key(cell)?))
    }

    fn check_item(&self, values: &[u64]) -> Result<(), PriorityHeapError> {
        let (expected, given) = (self.values(), values.len() as u64);
        if expected == given { Ok(()) } else { Err(PriorityHeapError::InvalidItem { expected, given }) }
    }

    /// The count, if nobody is at an operation or died there.
    fn ready(&self) -> Result<usize, PriorityHeapError> {
        if self.is_interrupted() {
            return Err(PriorityHeapError::Interrupted);
        }
        let count = self.len();
        if count > self.capacity() {
            return Err(Corrupt::new("count of a priority heap", 32).into());
        }
        Ok(count as usize)
    }

    fn next_ticket(&self) -> Result<u64, Corrupt> {
        let ticket = self.header().next_ticket.load(Ordering::Relaxed);
        if matches!(ticket, 0 | u64::MAX) {
            Err(Corrupt::new("ticket of a priority heap", 40))
        } else {
            Ok(ticket)
        }
    }

    fn fill(&self, cell: usize, values: &[u64], priority: u64, ticket: u64) -> Result<(), Corrupt> {
        let first = self.shape.values_of(cell);
        for (word, value) in self.values.iter().skip(first).zip(values) {
            word.store(*value, Ordering::Release);
        }
        let cell = self.cell(cell)?;
        cell.priority.store(priority, Ordering::Release);
        cell.ticket.store(ticket, Ordering::Release);
        Ok(())
    }

    fn copy_out(&self, cell: usize, values: &mut [u64]) {
        let first = self.shape.values_of(cell);
        for (value, word) in values.iter_mut().zip(self.values.iter().skip(first)) {
            *value = word.load(Ordering::Relaxed);
        }
    }

    fn finish(&self, moves: &Moves, count: usize) {
        moves.each(|place, cell| self.order[place].store(cell as u64, Ordering::Release));
        self.header().count.store(count as u64, Ordering::Release);
        self.header().pending.store(NOTHING, Ordering::Release);
    }

    /// Makes order and count anew from the cells, after a death in an operation or whatever else; returns whether an
    /// operation was not finished. What was put in and not taken out is in it, once. Takes time and private memory in
    /// proportion to the capacity; the lock is held.
    ///
    /// Commit point: `pending` is 0. Who dies before it leaves the heap to be recovered again.
    ///
    /// # Errors
    /// [`PriorityHeapError::Corrupt`] when a cell holds a ticket that nobody gave out. Nothing was changed.
    pub fn recover(&self) -> Result<bool, PriorityHeapError> {
        let was_interrupted = self.is_interrupted();
        let Cells { used, free } = self.cells_by_key()?;
        let last = used.iter().map(|(key, _)| key.ticket).max().unwrap_or(0);
        let next = self.header().next_ticket.load(Ordering::Relaxed);
        let above = last.checked_add(1).ok_or(Corrupt::new("ticket of a priority heap", 40))?;
        self.header().pending.store(RECOVERY, Ordering::Release);
        self.header().next_ticket.store(next.max(above), Ordering::Release);
        let order = used.iter().map(|(_, cell)| cell).chain(&free);
        for (place, cell) in self.order.iter().zip(order) {
            place.store(*cell as u64, Ordering::Release);
        }
        self.header().count.store(used.len() as u64, Ordering::Release);
        self.header().pending.store(NOTHING, Ordering::Release);
        Ok(was_interrupted)
    }
}
