//! One thread's part in the pools of its process: its lanes, and the shares of attachments that its
//! allocations have.

#![allow(clippy::vec_box, reason = "parts change places with the first, which lies in a box")]

use std::cell::{Cell, RefCell};
use std::mem::{ManuallyDrop, swap};
use std::sync::Weak;

use weyr_shared::{Lender, Stock};
use weyr_sys::fork;

use crate::Error;
use crate::heap::lane::LaneHeap;
use crate::membership::attachment::Attachment;
use crate::membership::{Membership, acquire_lane};

// Never dropped, so that looking costs one load: what has a destructor is asked first whether that has run.
thread_local! {
    /// The calling thread's part in the pool that it used last. It is taken out while the thread is inside an
    /// operation, and put back: what was used in place would be used in a closure, a call of its own.
    static FIRST: Cell<ManuallyDrop<Option<Box<Entry>>>> = const { Cell::new(ManuallyDrop::new(None)) };
    /// Its parts in other pools.
    static OTHERS: ManuallyDrop<RefCell<Vec<Box<Entry>>>> = const { ManuallyDrop::new(RefCell::new(Vec::new())) };
    /// Whether there is a first part, or one is being made: then, if it is not in its place, it is taken out.
    static HAS_FIRST: Cell<bool> = const { Cell::new(false) };
    /// Closes them at the end of the thread.
    static LEAVING: Leaving = const { Leaving };
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        let first = take_first();
        HAS_FIRST.set(false);
        let others = OTHERS.with(|others| others.take());
        others.into_iter().chain(first).for_each(|part| part.close());
    }
}

#[inline(always)]
fn take_first() -> Option<Box<Entry>> {
    ManuallyDrop::into_inner(FIRST.with(|first| first.replace(ManuallyDrop::new(None))))
}

/// The calling thread's part in one pool, taken out of its place; put back when dropped.
#[derive(Debug)]
pub(crate) struct Part {
    /// Some until dropped.
    entry: Option<Box<Entry>>,
}

impl Part {
    /// The part in the pool of attachment `id`, in the life that `nonce` says. None where the thread has none, and
    /// where a signal handler interrupted an operation of this thread.
    #[inline(always)]
    pub(crate) fn of(id: u64, nonce: u64) -> Option<Self> {
        let entry = take_first()?;
        // Most threads use one pool.
        if entry.id == id && entry.nonce == nonce {
            Some(Self::taken(entry))
        } else {
            Self::find(entry, id, nonce)
        }
    }

    #[inline(always)]
    fn taken(entry: Box<Entry>) -> Self {
        Self { entry: Some(entry) }
    }

    /// The part among the others, which changes places with the first.
    #[inline(never)]
    fn find(first: Box<Entry>, id: u64, nonce: u64) -> Option<Self> {
        let mut part = Self::taken(first);
        let found = OTHERS.with(|others| {
            let mut others = others.try_borrow_mut().ok()?;
            let other = others.iter_mut().find(|entry| entry.id == id && entry.nonce == nonce)?;
            part.entry.as_mut().map(|first| swap(first, other))
        });
        found.map(|()| part)
    }

    /// None: the process's shared lane is used.
    #[inline(always)]
    pub(crate) fn lane_and_stock(&mut self) -> Option<(&mut LaneHeap, &mut Stock<Attachment>)> {
        let entry = self.entry.as_deref_mut()?;
        entry.lane.as_mut().map(|lane| (lane, &mut entry.stock))
    }
}

impl Drop for Part {
    #[inline(always)]
    fn drop(&mut self) {
        // Nothing lies there: what interrupts an operation leaves the place as it found it.
        let entry = ManuallyDrop::new(self.entry.take());
        FIRST.with(move |first| first.set(entry));
    }
}

impl Attachment {
    /// Calls `act` with the calling thread's lane, and its shares of the attachment if it has a lane of its own.
    ///
    /// # Errors
    /// What joining gives, in a forked child or a new thread.
    #[inline]
    pub(crate) fn with_lane<R>(
        &self,
        act: impl FnOnce(&mut LaneHeap, Option<&mut Stock<Attachment>>) -> R,
    ) -> Result<R, Error> {
        let mut part = Part::of(self.id, fork::nonce());
        match part.as_mut().and_then(Part::lane_and_stock) {
            Some((lane, stock)) => Ok(act(lane, Some(stock))),
            None => {
                drop(part);
                self.with_lane_slowly(act)
            }
        }
    }

    /// [`with_lane`](Self::with_lane) for what nearly always succeeds; else `otherwise` follows, outside the operation.
    ///
    /// The outcome is looked at where it comes from: what is stored in parts and copied as a whole stalls.
    ///
    /// # Errors
    /// As [`with_lane`](Self::with_lane), and what `otherwise` gives.
    #[inline]
    pub(crate) fn with_lane_unless<E>(
        &self,
        act: impl Fn(&mut LaneHeap) -> Result<(), E>,
        otherwise: impl Fn(E) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut part = Part::of(self.id, fork::nonce());
        let done = part.as_mut().and_then(Part::lane_and_stock).map(|(lane, _)| act(lane));
        drop(part);
        match done {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => otherwise(error),
            None => self.with_lane_slowly(|lane, _| act(lane))?.or_else(otherwise),
        }
    }

    #[cold]
    fn with_lane_slowly<R>(
        &self,
        act: impl FnOnce(&mut LaneHeap, Option<&mut Stock<Attachment>>) -> R,
    ) -> Result<R, Error> {
        let membership = self.membership()?;
        // A thread that is ending takes no part any more.
        let stays = LEAVING.try_with(|_| {}).is_ok();
        let mut part = if stays { join(self, membership) } else { None };
        if let Some((lane, stock)) = part.as_mut().and_then(Part::lane_and_stock) {
            return Ok(act(lane, Some(stock)));
        }
        drop(part);
        // No lane left, or the thread is ending: the lane that the process shares.
        let mut shared = membership.shared_lane.lock().map_err(|_| Error::Destroyed)?;
        let lane = shared.as_mut().ok_or(Error::Destroyed)?;
        Ok(act(lane, None))
    }
}

/// One thread's part in one pool.
#[derive(Debug)]
struct Entry {
    id: u64,
    nonce: u64,
    /// None: the process's shared lane is used.
    lane: Option<LaneHeap>,
    /// Shares of the attachment for this thread's allocations.
    stock: Stock<Attachment>,
    attachment: Weak<Lender<Attachment>>,
}

impl Entry {
    fn new(attachment: &Attachment, membership: &Membership) -> Self {
        // Where no lane can be backed the process's is shared, as where all are in use: so a full filesystem keeps
        // nobody from freeing.
        let lane = acquire_lane(&attachment.heap, membership.actor.process).unwrap_or_default();
        let stock = Stock::of(attachment.this());
        let attachment_of = Weak::clone(attachment.this());
        Self { id: attachment.id, nonce: membership.nonce, lane, stock, attachment: attachment_of }
    }

    /// Gives the lane back, unless it is a parent's.
    fn close(mut self) {
        let lane = self.lane.take();
        if self.nonce != fork::nonce() {
            // A forked child: what was the parent's thread's stays the parent's.
            return;
        }
        if let (Some(lane), Some(attachment)) = (lane, self.attachment.upgrade()) {
            attachment.heap.release_lane(lane);
        }
    }
}

/// This thread's part in a pool, made if it has none, and those of pools that are gone are closed. None where a signal
/// handler interrupted an operation of this thread.
fn join(attachment: &Attachment, membership: &Membership) -> Option<Part> {
    let nonce = membership.nonce;
    if let Some(part) = Part::of(attachment.id, nonce) {
        return Some(part);
    }
    let parts = take_all()?;
    let (gone, kept): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| part.nonce != nonce || part.attachment.strong_count() == 0);
    gone.into_iter().for_each(|part| part.close());
    OTHERS.with(|others| others.replace(kept));
    Some(Part::taken(Box::new(Entry::new(attachment, membership))))
}

/// Takes all parts out of their places. None where they are out already.
fn take_all() -> Option<Vec<Box<Entry>>> {
    // Before the look, so that a signal handler that comes in between takes the first for taken out.
    let had_first = HAS_FIRST.replace(true);
    let first = take_first();
    if had_first && first.is_none() {
        return None;
    }
    let mut parts = OTHERS.with(|others| others.take());
    parts.extend(first);
    Some(parts)
}

/// Drops what the calling thread keeps of a pool, so that its last handle can let it go. Allocates nothing.
pub(crate) fn forget_in_this_thread(id: u64) {
    let Some(first) = take_first() else { return };
    let (closed, kept) = if first.id == id {
        (Some(first), OTHERS.with(|others| others.borrow_mut().pop()))
    } else {
        (take_other(id), Some(first))
    };
    put_first(kept);
    // When the others are back: what ends with it looks at them again.
    closed.into_iter().for_each(|part| part.close());
}

/// While the first is taken out.
fn take_other(id: u64) -> Option<Box<Entry>> {
    OTHERS.with(|others| {
        let mut others = others.borrow_mut();
        let index = others.iter().position(|other| other.id == id)?;
        Some(others.swap_remove(index))
    })
}

/// Puts a part into the place of the first that was taken out; none is left when there is none.
fn put_first(first: Option<Box<Entry>>) {
    match first {
        None => HAS_FIRST.set(false),
        Some(first) => drop(Part::taken(first)),
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use crate::{Pool, PoolAttributes};

    fn pool(name: &str) -> Pool {
        let name = format!("thread-{name}-{}", std::process::id());
        let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20)).unwrap();
        pool.attachment().unlink().unwrap();
        pool
    }

    /// The calling thread's lane in a pool, and whether it is its own.
    fn lane(pool: &Pool) -> (u16, bool) {
        pool.attachment().with_lane(|lane, stock| (lane.lane(), stock.is_some())).unwrap()
    }

    fn lanes(pool: &Pool) -> u32 {
        pool.members().iter().map(|member| member.lanes).sum()
    }

    #[test]
    fn a_thread_keeps_its_lanes_in_several_pools() {
        let pools = ["first", "second", "third"].map(pool);
        let lanes_before = pools.each_ref().map(lane);
        assert!(lanes_before.iter().all(|(_, own)| *own));
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            order.iter().for_each(|&pool| assert_eq!(lane(&pools[pool]), lanes_before[pool]));
        }
        // The process's, and this thread's.
        assert_eq!(pools.each_ref().map(lanes), [2; 3]);
    }

    #[test]
    fn an_operation_inside_of_another_uses_the_lane_of_the_process() {
        let (outer, other) = (pool("outer"), pool("other"));
        let own = lane(&outer);
        let inner = outer.attachment().with_lane(|_, _| (lane(&outer), lane(&other))).unwrap();
        assert_ne!(inner.0.0, own.0);
        assert_eq!((inner.0.1, inner.1.1), (false, false));
        assert_eq!(lane(&outer), own);
        assert!(lane(&other).1);
    }

    #[test]
    fn what_a_thread_has_in_a_pool_goes_with_the_pool_and_with_the_thread() {
        let (kept, dropped) = (pool("kept"), pool("dropped"));
        let (own, id) = (lane(&kept), dropped.attachment().id);
        lane(&dropped);
        drop(dropped);
        assert!(Part::of(id, fork::nonce()).is_none());
        assert_eq!(lane(&kept), own);
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!((lane(&kept).1, lanes(&kept)), (true, 3))).join()
        })
        .unwrap();
        assert_eq!(lanes(&kept), 2);
    }

    #[test]
    fn a_part_is_back_when_an_operation_is_unwound() {
        let pool = pool("unwound");
        let own = lane(&pool);
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.attachment().with_lane(|_, _| std::panic::resume_unwind(Box::new(())))
        }));
        assert!(unwound.is_err());
        assert_eq!(lane(&pool), own);
    }
}
