//! A pool as one process has it: the mapping, the tables, its membership.

use std::path::PathBuf;
use std::sync::Arc;

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::{Actor, BlockReference, Region};
use weyr_sys::mapping::Mapping;
use weyr_sys::object::{Access, Object, unlink};
use weyr_sys::{Errno, host};

use crate::Error;
use crate::allocation::explain;
use crate::geometry::METADATA_CHUNK;
use crate::heap::lane::LaneHeap;
use crate::heap::word::{BlockState, BlockWord, SlotState};
use crate::heap::{Heap, Liveness};
use crate::layout::STATE_READY;
use crate::membership::{KernelLiveness, Membership, Memberships};
use crate::pool::{Gone, Member, path_error};
use crate::thread::{THREAD, forget_in_this_thread};

/// One attached pool. Dropped when the last handle and the last allocation are gone: the process leaves the pool,
/// then the mapping goes.
#[derive(Debug)]
pub(crate) struct Attachment {
    /// Tells the attachments of this process apart: random, so that none comes back.
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
        let id = host::random_u128() as u64;
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

    pub(crate) fn backing_error(&self, errno: Errno, bytes: u64) -> Error {
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
        let (now, next) = (self.heap.geometry.pages(seen), self.heap.geometry.pages(seen.saturating_add(1)));
        if next == now || next > self.heap.window_pages {
            return Ok(false);
        }
        self.object.extend(self.heap.geometry.object_bytes(next))?;
        // Release: whoever sees the new count sees a long enough object. Losing to another grower is as good.
        let _another_grew =
            segments.compare_exchange(seen, seen.saturating_add(1), Ordering::AcqRel, Ordering::Acquire);
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
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Some(membership) = self.memberships.existing() {
            membership.leave(&self.heap);
        }
    }
}
