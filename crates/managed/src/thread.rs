//! One thread's part in the pools of its process: its lanes, and the attachments that it lends to allocations.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use weyr_sys::fork;

use crate::Error;
use crate::attachment::Attachment;
use crate::heap::lane::LaneHeap;
use crate::membership::{Membership, acquire_lane};

/// Attachments handed from an allocation to the next without counting, per thread and pool.
const SPARE: usize = 64;

impl Attachment {
    /// Calls `act` with the calling thread's lane.
    ///
    /// # Errors
    /// What joining gives, in a forked child or a new thread.
    #[inline]
    pub(crate) fn with_lane<R>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut LaneHeap, &mut Spare) -> R,
    ) -> Result<R, Error> {
        let nonce = fork::nonce();
        let mut act = Some(act);
        let own = THREAD.try_with(|thread| {
            // Borrowed already: a signal handler interrupted an operation of this thread.
            let mut thread = thread.try_borrow_mut().ok()?;
            let entry = thread.entry(self.id, nonce)?;
            let lane = entry.lane.as_mut()?;
            act.take().map(|act| act(lane, &mut entry.spare))
        });
        match (own, act) {
            (Ok(Some(result)), _) => Ok(result),
            (_, Some(act)) => self.with_lane_slowly(act),
            (_, None) => Err(Error::Forked),
        }
    }

    #[cold]
    pub(crate) fn with_lane_slowly<R>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut LaneHeap, &mut Spare) -> R,
    ) -> Result<R, Error> {
        let membership = self.membership()?;
        let mut act = Some(act);
        let own = THREAD.try_with(|thread| {
            let mut thread = thread.try_borrow_mut().ok()?;
            let entry = match thread.join(self, membership) {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            let lane = entry.lane.as_mut()?;
            act.take().map(|act| Ok(act(lane, &mut entry.spare)))
        });
        if let Ok(Some(result)) = own {
            return result;
        }
        // No lane left, or no thread-local memory (any more): the lane that the process shares.
        let mut shared = membership.shared_lane.lock().map_err(|_| Error::Destroyed)?;
        let lane = shared.as_mut().ok_or(Error::Destroyed)?;
        act.map_or(Err(Error::Forked), |act| Ok(act(lane, &mut Spare::default())))
    }
}

/// Attachments that freed allocations of this thread left behind, for the next ones: moving one costs nothing, while
/// counting one is a locked instruction on a line that all threads share.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<Arc<Attachment>>);

impl Spare {
    /// One for a new allocation.
    #[inline]
    pub(crate) fn take(&mut self, attachment: &Arc<Attachment>) -> Arc<Attachment> {
        self.0.pop().unwrap_or_else(|| Arc::clone(attachment))
    }

    /// One that a freed allocation had.
    #[inline]
    pub(crate) fn give(&mut self, attachment: Arc<Attachment>) -> Option<Arc<Attachment>> {
        if self.0.len() < SPARE {
            self.0.push(attachment);
            return None;
        }
        Some(attachment)
    }
}

/// One thread's part in one pool.
#[derive(Debug)]
pub(crate) struct Entry {
    id: u64,
    nonce: u64,
    /// None: the process's shared lane is used.
    pub(crate) lane: Option<LaneHeap>,
    pub(crate) spare: Spare,
    attachment: Weak<Attachment>,
}

impl Entry {
    /// Gives the lane back, unless it is a parent's.
    fn close(mut self) {
        let lane = self.lane.take();
        if self.nonce != fork::nonce() {
            // A forked child: what was the parent's thread's stays the parent's.
            self.spare.0.clear();
            return;
        }
        if let (Some(lane), Some(attachment)) = (lane, self.attachment.upgrade()) {
            attachment.heap.release_lane(lane);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Thread {
    entries: Vec<Entry>,
}

thread_local! {
    pub(crate) static THREAD: RefCell<Thread> = const { RefCell::new(Thread { entries: Vec::new() }) };
}

impl Thread {
    #[inline]
    pub(crate) fn entry(&mut self, id: u64, nonce: u64) -> Option<&mut Entry> {
        // Most threads use one pool.
        let first = self.entries.first().is_some_and(|entry| entry.id == id && entry.nonce == nonce);
        if first {
            return self.entries.first_mut();
        }
        self.entries.iter_mut().find(|entry| entry.id == id && entry.nonce == nonce)
    }

    /// Adds this thread's part in a pool, and closes those of pools that are gone.
    fn join(&mut self, attachment: &Arc<Attachment>, membership: &Membership) -> Result<&mut Entry, Error> {
        let known = self
            .entries
            .iter()
            .position(|entry| entry.id == attachment.id && entry.nonce == membership.nonce);
        let index = match known {
            Some(index) => index,
            None => {
                self.close_where(|entry| {
                    entry.nonce != membership.nonce || entry.attachment.strong_count() == 0
                });
                // Where no lane can be backed the process's is shared, as where all are in use: so a full
                // filesystem keeps nobody from freeing.
                let lane = acquire_lane(&attachment.heap, membership.actor.process).unwrap_or_default();
                let entry = Entry {
                    id: attachment.id,
                    nonce: membership.nonce,
                    lane,
                    spare: Spare::default(),
                    attachment: Arc::downgrade(attachment),
                };
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        Ok(&mut self.entries[index])
    }

    fn close_where(&mut self, gone: impl Fn(&Entry) -> bool) {
        let (closed, kept) = std::mem::take(&mut self.entries).into_iter().partition(gone);
        self.entries = kept;
        let _: () = Vec::into_iter(closed).for_each(Entry::close);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        std::mem::take(&mut self.entries).into_iter().for_each(Entry::close);
    }
}

/// Drops what the calling thread keeps of a pool, so that its last handle can let it go.
pub(crate) fn forget_in_this_thread(id: u64) {
    let closed = THREAD.try_with(|thread| {
        thread.try_borrow_mut().ok().and_then(|mut thread| {
            let index = thread.entries.iter().position(|entry| entry.id == id)?;
            Some(thread.entries.swap_remove(index))
        })
    });
    if let Ok(Some(entry)) = closed {
        entry.close();
    }
}
