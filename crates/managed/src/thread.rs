//! One thread's part in the pools of its process: its lanes, and the shares of attachments that its
//! allocations have.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::Weak;

use weyr_shared::{Lender, Stock};
use weyr_sys::fork;

use crate::Error;
use crate::attachment::Attachment;
use crate::heap::lane::LaneHeap;
use crate::membership::{Membership, acquire_lane};

thread_local! {
    /// The calling thread's part in each pool; borrowed while the thread is inside an operation.
    ///
    /// Never dropped, so that looking costs one load: what has a destructor is asked first whether that has run.
    pub(crate) static ENTRIES: ManuallyDrop<RefCell<Vec<Entry>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
    /// Empties them at the end of the thread.
    static LEAVING: Leaving = const { Leaving };
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        let entries = ENTRIES.with(|entries| entries.take());
        entries.into_iter().for_each(Entry::close);
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
        let nonce = fork::nonce();
        let mut act = Some(act);
        let own = ENTRIES.with(|entries| {
            // Borrowed already: a signal handler interrupted an operation of this thread.
            let mut entries = entries.try_borrow_mut().ok()?;
            let entry = entry_of(&mut entries, self.id, nonce)?;
            let lane = entry.lane.as_mut()?;
            act.take().map(|act| act(lane, Some(&mut entry.stock)))
        });
        match (own, act) {
            (Some(result), _) => Ok(result),
            (_, Some(act)) => self.with_lane_slowly(act),
            (_, None) => Err(Error::Forked),
        }
    }

    #[cold]
    fn with_lane_slowly<R>(
        &self,
        act: impl FnOnce(&mut LaneHeap, Option<&mut Stock<Attachment>>) -> R,
    ) -> Result<R, Error> {
        let membership = self.membership()?;
        let mut act = Some(act);
        // A thread that is ending takes no part any more.
        let stays = LEAVING.try_with(|_| {}).is_ok();
        let own = ENTRIES.with(|entries| {
            let mut entries = entries.try_borrow_mut().ok().filter(|_| stays)?;
            let entry = join(&mut entries, self, membership);
            let lane = entry.lane.as_mut()?;
            act.take().map(|act| act(lane, Some(&mut entry.stock)))
        });
        if let Some(result) = own {
            return Ok(result);
        }
        // No lane left, or the thread is ending: the lane that the process shares.
        let mut shared = membership.shared_lane.lock().map_err(|_| Error::Destroyed)?;
        let lane = shared.as_mut().ok_or(Error::Destroyed)?;
        act.map_or(Err(Error::Forked), |act| Ok(act(lane, None)))
    }
}

/// One thread's part in one pool.
#[derive(Debug)]
pub(crate) struct Entry {
    id: u64,
    nonce: u64,
    /// None: the process's shared lane is used.
    pub(crate) lane: Option<LaneHeap>,
    /// Shares of the attachment for this thread's allocations.
    pub(crate) stock: Stock<Attachment>,
    attachment: Weak<Lender<Attachment>>,
}

impl Entry {
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

/// The part in the pool of attachment `id`, in the life that `nonce` says.
#[inline(always)]
pub(crate) fn entry_of(entries: &mut [Entry], id: u64, nonce: u64) -> Option<&mut Entry> {
    // Most threads use one pool.
    let first = entries.first().is_some_and(|entry| entry.id == id && entry.nonce == nonce);
    if first { entries.first_mut() } else { find_entry(entries, id, nonce) }
}

#[inline(never)]
fn find_entry(entries: &mut [Entry], id: u64, nonce: u64) -> Option<&mut Entry> {
    entries.iter_mut().find(|entry| entry.id == id && entry.nonce == nonce)
}

/// Adds this thread's part in a pool, and closes those of pools that are gone.
fn join<'e>(entries: &'e mut Vec<Entry>, attachment: &Attachment, membership: &Membership) -> &'e mut Entry {
    let nonce = membership.nonce;
    let known = entries.iter().position(|entry| entry.id == attachment.id && entry.nonce == nonce);
    let index = known.unwrap_or_else(|| {
        close_where(entries, |entry| entry.nonce != nonce || entry.attachment.strong_count() == 0);
        // Where no lane can be backed the process's is shared, as where all are in use: so a full filesystem keeps
        // nobody from freeing.
        let lane = acquire_lane(&attachment.heap, membership.actor.process).unwrap_or_default();
        let stock = Stock::of(attachment.this());
        let attachment_of = Weak::clone(attachment.this());
        entries.push(Entry { id: attachment.id, nonce, lane, stock, attachment: attachment_of });
        entries.len() - 1
    });
    &mut entries[index]
}

fn close_where(entries: &mut Vec<Entry>, gone: impl Fn(&Entry) -> bool) {
    let (closed, kept) = std::mem::take(entries).into_iter().partition(gone);
    *entries = kept;
    let _: () = Vec::into_iter(closed).for_each(Entry::close);
}

/// Drops what the calling thread keeps of a pool, so that its last handle can let it go.
pub(crate) fn forget_in_this_thread(id: u64) {
    let closed = ENTRIES.with(|entries| {
        let mut entries = entries.try_borrow_mut().ok()?;
        let index = entries.iter().position(|entry| entry.id == id)?;
        Some(entries.swap_remove(index))
    });
    // Outside the borrow: what ends with it looks at the entries again.
    closed.into_iter().for_each(Entry::close);
}
