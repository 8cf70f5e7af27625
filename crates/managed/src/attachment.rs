//! A pool as one process has it: the mapping, the tables, its membership, and the lanes of its threads.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Weak};

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::{Actor, BlockReference, Region};
use weyr_sys::mapping::Mapping;
use weyr_sys::object::{Access, Object, unlink};
use weyr_sys::{Errno, fork};

use crate::Error;
use crate::allocation::explain;
use crate::geometry::METADATA_CHUNK;
use crate::heap::lane::LaneHeap;
use crate::heap::word::{BlockState, BlockWord, SlotState};
use crate::heap::{Heap, Liveness};
use crate::layout::STATE_READY;
use crate::membership::{KernelLiveness, Membership, Memberships, acquire_lane};
use crate::pool::{Gone, Member, path_error};

/// Attachments handed from an allocation to the next without counting, per thread and pool.
const SPARE: usize = 64;

/// Tells attachments of this process apart; never reused.
static NEXT_ID: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(1));

/// One attached pool. Dropped when the last handle and the last allocation are gone: the process leaves the pool,
/// then the mapping goes.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) id: u64,
    pub(crate) heap: Heap,
    /// The data area; offsets of blocks are offsets in it.
    pub(crate) data: Region,
    pub(crate) object: Arc<Object>,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) uuid: u128,
    pub(crate) zeroing: bool,
    mapping: Arc<Mapping>,
    memberships: Memberships,
    handles: Gone,
}

impl Attachment {
    pub(crate) fn new(heap: Heap, data: Region, object: Arc<Object>, name: String, path: PathBuf) -> Self {
        let header = heap.header();
        let half = |word: &AtomicU64| u128::from(word.load(Ordering::Relaxed));
        let uuid = half(&header.uuid_low) | half(&header.uuid_high) << 64;
        let zeroing = header.options.load(Ordering::Relaxed) & 1 == 1;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let mapping = Arc::clone(data.mapping());
        let (memberships, handles) = (Memberships::default(), Gone::default());
        Self { id, heap, data, object, name, path, uuid, zeroing, mapping, memberships, handles }
    }

    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// The last handle is gone; what allocations there are keep the rest.
    pub(crate) fn let_go(&self) {
        self.handles.set();
    }

    /// This process's membership; a forked child joins here.
    pub(crate) fn membership(&self) -> Result<&Membership, Error> {
        let join = || Membership::join(&self.heap, &self.object, &self.channels());
        self.memberships.current(join, |membership| membership.leave(&self.heap)).map_err(|error| match error
        {
            Error::Os { errno: errno @ (Errno::NOSPC | Errno::DQUOT), .. } => {
                self.backing_error(errno, METADATA_CHUNK)
            }
            error => error,
        })
    }

    /// Allocates a block of at least `bytes` bytes; `nonce` is this life's.
    #[inline]
    pub(crate) fn alloc(
        self: &Arc<Self>,
        bytes: u64,
        nonce: u64,
    ) -> Result<(BlockReference, Arc<Attachment>), Error> {
        if self.heap.header().state.load(Ordering::Relaxed) != STATE_READY {
            return Err(Error::Destroyed);
        }
        let mut reference = BlockReference { offset: 0, generation: 0 };
        let lent = THREAD.try_with(|thread| {
            let mut thread = thread.try_borrow_mut().ok()?;
            let entry = thread.entry(self.id, nonce)?;
            reference = self.heap.alloc_at_hand(entry.lane.as_mut()?, bytes);
            if reference.generation == 0 { None } else { Some(entry.spare.take(self)) }
        });
        match lent {
            Ok(Some(attachment)) => Ok((reference, attachment)),
            _ => self.alloc_slowly(bytes),
        }
    }

    #[cold]
    fn alloc_slowly(self: &Arc<Self>, bytes: u64) -> Result<(BlockReference, Arc<Attachment>), Error> {
        let tried = self.with_lane(|own, spare| {
            let block = self.heap.alloc(own, bytes)?;
            Ok(block.map(|reference| (reference, spare.take(self))))
        })?;
        match tried {
            Ok(Some(allocated)) => Ok(allocated),
            Ok(None) => Ok((self.alloc_under_pressure(bytes)?, Arc::clone(self))),
            Err(errno) => Err(self.backing_error(errno, bytes)),
        }
    }

    /// Allocates what a first look did not find: what others hold idle, what the dead held, more segments.
    #[cold]
    fn alloc_under_pressure(self: &Arc<Self>, bytes: u64) -> Result<BlockReference, Error> {
        let limit = self.heap.geometry.maximum_bytes().min(self.data.len());
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
        self.with_lane(|own, _| {
            let (liveness, channels) = (self.liveness(), self.channels());
            let tried = self.heap.alloc_pressed(own, bytes, &liveness, &channels, || self.grow());
            tried.map_err(|errno| self.backing_error(errno, bytes))?.ok_or(Error::NoMemory { bytes })
        })?
    }

    fn backing_error(&self, errno: Errno, bytes: u64) -> Error {
        let directory = self.path.parent().unwrap_or(std::path::Path::new("/"));
        match errno {
            Errno::NOSPC | Errno::DQUOT => Error::FilesystemFull {
                directory: directory.display().to_string(),
                bytes,
                free: weyr_sys::host::free_bytes(directory).unwrap_or(0),
            },
            errno => Error::Os { operation: "backing the pool's memory", errno },
        }
    }

    /// Adds a segment; false when the pool may not grow further.
    ///
    /// Crash argument: the object is made longer first, which only ever extends it, then the count goes up by exact
    /// compare-exchange. A death between leaves a longer file, which the next grower finds long enough.
    fn grow(&self) -> Result<bool, Errno> {
        let segments = &self.heap.header().segments;
        let seen = segments.load(Ordering::Acquire);
        let (now, next) = (self.heap.geometry.pages(seen), self.heap.geometry.pages(seen + 1));
        if next == now || next > self.heap.window_pages {
            return Ok(false);
        }
        self.object.extend(self.heap.geometry.object_bytes(next))?;
        // Release: whoever sees the new count sees a long enough object. Losing to another grower is as good.
        let _another_grew = segments.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire);
        tracing::debug!(pool = self.name, pages = next, "pool grew");
        Ok(true)
    }

    /// Frees a block that only this process can free, and keeps the attachment for this thread's next one.
    #[inline]
    pub(crate) fn free_own(self: Arc<Self>, reference: BlockReference, nonce: u64) {
        let (id, last) = (self.id, self.handles.is_set());
        let mut attachment = Some(self);
        let surplus = THREAD.try_with(|thread| {
            let mut thread = thread.try_borrow_mut().ok()?;
            let entry = thread.entry(id, nonce)?;
            let lane = entry.lane.as_mut()?;
            let attachment = attachment.take()?;
            attachment.free_affine(lane, reference);
            // What is dropped is dropped outside the borrow.
            entry.spare.give(attachment)
        });
        drop(surplus);
        if let Some(attachment) = attachment {
            let _cannot_join = attachment.with_lane_slowly(|lane, _| attachment.free_affine(lane, reference));
        }
        if last {
            forget_in_this_thread(id);
        }
    }

    #[inline]
    fn free_affine(&self, lane: &mut LaneHeap, reference: BlockReference) {
        if !self.heap.free_at_hand(lane, reference) {
            self.free_slowly(lane, reference);
        }
    }

    #[cold]
    fn free_slowly(&self, lane: &mut LaneHeap, reference: BlockReference) {
        let process = lane.process;
        let owned = |word: BlockWord| word.state() == BlockState::Alloc && word.actor() == process;
        // Nobody else can free it, so only spoilt shared memory refuses; then it stays as it is, for `verify` to see.
        if self.heap.free(lane, reference, true, owned).is_err() {
            tracing::error!(
                pool = self.name,
                ?reference,
                "an owned block could not be freed; verify the pool"
            );
        }
    }

    /// Frees a shared block whose word `allowed` accepts.
    pub(crate) fn free_shared(
        self: &Arc<Self>,
        reference: BlockReference,
        allowed: impl Fn(BlockWord) -> bool,
        action: &'static str,
    ) -> Result<(), Error> {
        let freed = self.with_lane(|own, _| self.heap.free(own, reference, false, allowed))?;
        freed.map_err(|error| explain(error, reference, action))
    }

    /// Whether some member's lock is free: it is probably dead.
    pub(crate) fn has_unlocked_member(&self) -> bool {
        let own = self.memberships.existing().map(|membership| membership.actor.process);
        let active = |process: &u16| self.heap.process_word(*process).state() != SlotState::Free;
        let others = (0..self.heap.processes.len() as u16).filter(|process| Some(*process) != own);
        others.filter(active).any(|process| !self.liveness().is_locked(process))
    }

    /// Who is attached.
    pub(crate) fn members(&self) -> Vec<Member> {
        let lanes_of = |process: u16| {
            let words = (0..self.heap.lanes.len() as u16).map(|lane| self.heap.lane_word(lane));
            words.filter(|word| word.state() != SlotState::Free && word.process() == process).count() as u32
        };
        let member = |process: u16| {
            let word = self.heap.process_word(process);
            let dead = match word.state() {
                SlotState::Free | SlotState::Unknown => return None,
                SlotState::Recovering => true,
                SlotState::Active => self.liveness().process_is_dead(process, word),
            };
            let actor = Actor { process, epoch: word.epoch() };
            Some(Member { actor, pid: word.pid(), dead, lanes: lanes_of(process) })
        };
        (0..self.heap.processes.len() as u16).filter_map(member).collect()
    }

    /// Removes the pool's name if it is still this pool's.
    pub(crate) fn unlink(&self) -> Result<(), Error> {
        let same = Object::open(&self.path, Access::ReadOnly).and_then(|object| object.identity());
        let own = self.object.identity();
        if same.is_err() || same != own {
            return Ok(());
        }
        unlink(&self.path).map_err(|errno| path_error(&self.path, &self.name, errno))
    }

    pub(crate) fn liveness(&self) -> KernelLiveness<'_> {
        KernelLiveness { heap: &self.heap, object: &self.object }
    }

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
    fn with_lane_slowly<R>(
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

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Some(membership) = self.memberships.existing() {
            membership.leave(&self.heap);
        }
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
struct Entry {
    id: u64,
    nonce: u64,
    /// None: the process's shared lane is used.
    lane: Option<LaneHeap>,
    spare: Spare,
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
struct Thread {
    entries: Vec<Entry>,
}

thread_local! {
    static THREAD: RefCell<Thread> = const { RefCell::new(Thread { entries: Vec::new() }) };
}

impl Thread {
    #[inline]
    fn entry(&mut self, id: u64, nonce: u64) -> Option<&mut Entry> {
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
