//! A pool as one process has it: the mapping, the tables, its membership.

use std::ptr::NonNull;
use std::sync::{Arc, OnceLock, Weak};

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::{Actor, BlockReference, Lender, Loan, Region};
use weyr_sys::mapping::Mapping;
use weyr_sys::object::Object;
use weyr_sys::{Errno, fork, serial};

use crate::allocation::explain;
use crate::attributes::particulars::{LEAST_ALIGNMENT, Particulars};
use crate::geometry::METADATA_CHUNK;
use crate::heap::aligned::{Alignment, Demand};
use crate::heap::lane::LaneHeap;
use crate::heap::wiping::Wiper;
use crate::heap::word::{BlockState, BlockWord, SlotState};
use crate::heap::{Heap, Liveness};
use crate::layout::{OPTION_HUGE_PAGES, OPTION_ZERO_ON_FREE, OPTION_ZEROING, STATE_READY};
use crate::membership::threads::{Part, forget_in_this_thread};
use crate::membership::{KernelLiveness, Membership, Memberships};
use crate::pool::Member;
use crate::pool::huge;
use crate::pool::medium::Medium;
use crate::pool::rebuild::Rebuilt;
use crate::ready::PoolFutex;
use crate::{Error, PoolType};

/// One attached pool. Dropped when the last handle and the last allocation are gone: the process leaves the pool,
/// then the mapping goes.
#[derive(Debug)]
pub(crate) struct Attachment {
    this: Weak<Lender<Attachment>>,
    /// Tells the attachments of this process apart: random, so that none comes back.
    pub(crate) id: u64,
    pub(crate) heap: Heap,
    /// The data area; offsets of blocks are offsets in it.
    pub(crate) data: Region,
    pub(crate) medium: Medium,
    pub(crate) name: String,
    pub(crate) uuid: u128,
    /// Whether new allocations have to be zeroed.
    pub(crate) zeroing: bool,
    pub(crate) particulars: Particulars,
    /// How members of it sleep, and reach each other.
    pub(crate) futex: PoolFutex,
    mapping: Arc<Mapping>,
    memberships: Memberships,
    /// What its opening had to put right.
    pub(crate) rebuilt: OnceLock<Rebuilt>,
    /// `id` while there is a handle, then 0, which no thread's part has: so who frees the last allocations looks.
    key: AtomicU64,
}

impl Attachment {
    pub(crate) fn new(
        mut heap: Heap,
        data: Region,
        medium: Medium,
        name: String,
        particulars: Particulars,
    ) -> Arc<Lender<Self>> {
        let header = heap.header();
        let half = |word: &AtomicU64| u128::from(word.load(Ordering::Relaxed));
        let uuid = half(&header.uuid_low) | half(&header.uuid_high) << 64;
        let is_fresh = header.rebuilds.load(Ordering::Relaxed) == 0;
        let id = serial::next();
        let mapping = Arc::clone(data.mapping());
        if particulars.has(OPTION_HUGE_PAGES) {
            heap.backing.huge = huge::allow(&mapping, &heap);
        }
        heap.starts_low = !particulars.preallocated.is_empty();
        heap.starts_zero = medium.kind != PoolType::Lent && is_fresh;
        heap.wiper = particulars.has(OPTION_ZERO_ON_FREE).then(|| Wiper { data: data.clone() });
        // Where all that is free is zero, nothing is left to be done.
        let zeroing = particulars.has(OPTION_ZEROING) && !(heap.wipes() && heap.starts_zero);
        let (memberships, rebuilt) = (Memberships::default(), OnceLock::new());
        let (key, futex) = (AtomicU64::new(id), PoolFutex::new(&heap));
        Arc::new_cyclic(|this| {
            let this = Weak::clone(this);
            let attachment = Self {
                this,
                id,
                heap,
                data,
                medium,
                name,
                uuid,
                zeroing,
                particulars,
                futex,
                mapping,
                memberships,
                rebuilt,
                key,
            };
            Lender::new(attachment)
        })
    }

    /// What the threads of this process keep of it.
    pub(crate) fn this(&self) -> &Weak<Lender<Self>> {
        &self.this
    }

    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// The last handle is gone; what allocations there are keep the rest.
    pub(crate) fn let_go(&self) {
        self.key.store(0, Ordering::Relaxed);
    }

    /// This process's membership; a forked child joins here.
    pub(crate) fn membership(&self) -> Result<&Membership, Error> {
        if !self.medium.is_here() {
            return Err(Error::Forked);
        }
        self.require_writable()?;
        let join = || Membership::join(&self.heap, self.object(), &self.channels());
        self.memberships.current(join, |membership| membership.leave(&self.heap)).map_err(|error| match error
        {
            Error::Os { errno: errno @ (Errno::NOSPC | Errno::DQUOT), .. } => {
                self.backing_error(errno, METADATA_CHUNK)
            }
            error => error,
        })
    }

    /// The membership of this life, if there is one.
    pub(crate) fn member(&self) -> Option<&Membership> {
        self.memberships.existing()
    }

    /// The fast path of an allocation: a block that the calling thread has at hand, and in `loan` a share of `owner`,
    /// which is this attachment. None when there is none, or more is to be done; `nonce` is this life's.
    ///
    /// What it has at hand of a class was found by [`alloc`](Self::alloc), so it is as large and lies as the pool's
    /// attributes want it: no class is filled that does not.
    ///
    /// A call of its own, and its results in registers: what is stored in parts and copied as a whole stalls.
    #[inline(never)]
    pub(crate) fn alloc_at_hand(
        &self,
        owner: &Arc<Lender<Self>>,
        bytes: u64,
        nonce: u64,
        loan: &mut Option<Loan<Self>>,
    ) -> BlockReference {
        if self.zeroing || self.heap.header().state.load(Ordering::Relaxed) != STATE_READY {
            return BlockReference::NONE;
        }
        let Some(mut part) = Part::of(self.id, nonce) else { return BlockReference::NONE };
        let Some((lane, stock)) = part.lane_and_stock() else { return BlockReference::NONE };
        let block = self.heap.alloc_at_hand(lane, bytes);
        if block.generation != 0 {
            *loan = Some(stock.lend(owner));
        }
        block
    }

    /// Allocates a block of at least `bytes` bytes.
    pub(crate) fn alloc(
        &self,
        owner: &Arc<Lender<Self>>,
        bytes: u64,
    ) -> Result<(BlockReference, Loan<Self>), Error> {
        if self.heap.header().state.load(Ordering::Relaxed) != STATE_READY {
            return Err(Error::Destroyed);
        }
        let demand = self.demand(bytes);
        let tried = self.with_lane(|own, stock| {
            let block = self.heap.alloc_demand(own, demand)?;
            let lend = || stock.map_or_else(|| Loan::single(owner), |stock| stock.lend(owner));
            Ok(block.map(|reference| (reference, lend())))
        })?;
        match tried {
            Ok(Some(allocated)) => Ok(allocated),
            Ok(None) => Ok((self.alloc_under_pressure(demand)?, Loan::single(owner))),
            Err(errno) => Err(self.backing_error(errno, bytes)),
        }
    }

    /// What an allocation of `bytes` bytes is to be in this pool.
    pub(crate) fn demand(&self, bytes: u64) -> Demand {
        self.demand_at(bytes, LEAST_ALIGNMENT)
    }

    /// The same at a multiple of `alignment` bytes at least.
    fn demand_at(&self, bytes: u64, alignment: u64) -> Demand {
        let alignment = alignment.max(self.particulars.alignment);
        let bias = self.data_address() % alignment;
        let beyond = alignment > LEAST_ALIGNMENT;
        Demand {
            bytes: bytes.max(self.particulars.minimum_block),
            alignment: beyond.then_some(Alignment { bytes: alignment, bias }),
        }
    }

    /// Allocates what a first look did not find: what others hold idle, what the dead held, more segments.
    #[cold]
    fn alloc_under_pressure(&self, demand: Demand) -> Result<BlockReference, Error> {
        let bytes = demand.bytes;
        let limit = self.heap.geometry.maximum_bytes().min(self.data.len());
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
        self.with_lane(|own, _| {
            let (liveness, channels) = (self.liveness(), self.channels());
            let tried = self.heap.alloc_pressed(own, demand, &liveness, &channels, || self.grow());
            tried.map_err(|errno| self.backing_error(errno, bytes))?.ok_or(Error::NoMemory { bytes })
        })?
    }

    /// Allocates a block whose address in this process is a multiple of `alignment`, which is more than 64.
    pub(crate) fn alloc_aligned(&self, bytes: u64, alignment: u64) -> Result<BlockReference, Error> {
        if self.heap.header().state.load(Ordering::Relaxed) != STATE_READY {
            return Err(Error::Destroyed);
        }
        let demand = self.demand_at(bytes, alignment);
        let tried = self.with_lane(|own, _| self.heap.alloc_demand(own, demand))?;
        match tried.map_err(|errno| self.backing_error(errno, bytes))? {
            Some(block) => Ok(block),
            None => self.alloc_under_pressure(demand),
        }
    }

    /// Address of the data area in this process.
    fn data_address(&self) -> u64 {
        self.mapping.as_ptr() as u64 + self.heap.geometry.offsets.data
    }

    /// Data offset of an address; of one outside the pool, some number that no block has.
    pub(crate) fn offset_of(&self, address: NonNull<u8>) -> u64 {
        (address.addr().get() as u64).wrapping_sub(self.data_address())
    }

    pub(crate) fn backing_error(&self, errno: Errno, bytes: u64) -> Error {
        let directory = self.medium.directory();
        match errno {
            Errno::NOSPC | Errno::DQUOT => Error::FilesystemFull {
                directory: directory.display().to_string(),
                bytes,
                free: weyr_sys::host::free_bytes(directory).unwrap_or(0),
            },
            errno => {
                let of_the_kernel = Error::Os { operation: "backing the pool's memory", errno };
                self.check_length().err().unwrap_or(of_the_kernel)
            }
        }
    }

    /// A share of `owner`, which is this attachment, for what the calling thread is about to have.
    pub(crate) fn lend(&self, owner: &Arc<Lender<Self>>) -> Loan<Self> {
        let mut part = Part::of(self.id, fork::nonce());
        let stock = part.as_mut().and_then(Part::lane_and_stock);
        stock.map_or_else(|| Loan::single(owner), |(_, stock)| stock.lend(owner))
    }

    /// Keeps a share that is used no more for this thread's next, if a handle of the pool is left.
    pub(crate) fn give_back(loan: Loan<Self>) {
        let mut part = Part::of(loan.key.load(Ordering::Relaxed), fork::nonce());
        if let Some((_, stock)) = part.as_mut().and_then(Part::lane_and_stock) {
            stock.put_back(loan);
        }
    }

    /// Frees a block of `bytes` bytes that only this process can free, and keeps its share for this thread's next. A
    /// forked child, where `nonce` is not this life's, leaves the block to its parent.
    #[inline(never)]
    pub(crate) fn free_own(loan: Loan<Self>, reference: BlockReference, bytes: u64, nonce: u64) {
        if nonce != fork::nonce() {
            return drop(loan);
        }
        if let Some(loan) = Self::free_here(loan, reference, bytes, nonce) {
            Self::free_slowly(loan, reference);
        }
    }

    /// Gives the share back, having done nothing, where the thread has no lane, and where no handle is left.
    #[inline(always)]
    fn free_here(loan: Loan<Self>, reference: BlockReference, bytes: u64, nonce: u64) -> Option<Loan<Self>> {
        let Some(mut part) = Part::of(loan.key.load(Ordering::Relaxed), nonce) else { return Some(loan) };
        let Some((lane, stock)) = part.lane_and_stock() else { return Some(loan) };
        loan.heap.wipe_block(reference);
        if !loan.heap.free_at_hand(lane, reference, bytes) {
            loan.free_affine(lane, reference);
        }
        loan.heap.freed();
        stock.put_back(loan);
        None
    }

    #[cold]
    fn free_slowly(loan: Loan<Self>, reference: BlockReference) {
        let _cannot_join = loan.with_lane(|lane, _| loan.free_wiped(lane, reference));
        loan.heap.freed();
        let last = (loan.key.load(Ordering::Relaxed) == 0).then_some(loan.id);
        drop(loan);
        if let Some(id) = last {
            forget_in_this_thread(id);
        }
    }

    /// Frees a block of this process, wiped where the pool wants it.
    #[cold]
    pub(crate) fn free_wiped(&self, lane: &mut LaneHeap, reference: BlockReference) {
        self.heap.wipe_block(reference);
        self.free_affine(lane, reference);
    }

    /// Frees a block of this process as it is.
    #[cold]
    pub(crate) fn free_affine(&self, lane: &mut LaneHeap, reference: BlockReference) {
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

    /// Makes a block of this process the pool's, as `state` says. Commit point: one compare-exchange of its word.
    #[inline(never)]
    pub(crate) fn share(&self, reference: BlockReference, state: BlockState) -> Result<(), Error> {
        let process = self.membership()?.actor.process;
        let owned = |word: BlockWord| word.state() == BlockState::Alloc && word.actor() == process;
        let change = |word: BlockWord| owned(word).then_some(word.with(state, 0));
        let changed = self.heap.change_block(reference, change);
        changed.map(|_| ()).map_err(|error| explain(error, reference, "publishing it"))
    }

    /// Frees a shared block whose word `allowed` accepts.
    pub(crate) fn free_shared(
        &self,
        reference: BlockReference,
        allowed: impl Fn(BlockWord) -> bool,
        action: &'static str,
    ) -> Result<(), Error> {
        self.with_lane_unless(
            |own| self.heap.free_wiped(own, reference, &allowed),
            |error| Err(explain(error, reference, action)),
        )?;
        self.heap.freed();
        Ok(())
    }

    /// Refuses what this process could not map.
    pub(crate) fn check_window(&self, reference: BlockReference) -> Result<(), Error> {
        if !self.heap.is_outside_window(reference.offset) {
            return Ok(());
        }
        let window = self.heap.window_pages * self.heap.geometry.page_bytes();
        Err(Error::OutsideWindow { offset: reference.offset, window })
    }

    /// Whether some member is probably dead: its lock is free, or, where there are none, its process is gone.
    pub(crate) fn has_dead_member(&self) -> bool {
        let own = self.memberships.existing().map(|membership| membership.actor.process);
        let active = |process: &u16| self.heap.process_word(*process).state() != SlotState::Free;
        let others = self.heap.process_numbers().filter(|process| Some(*process) != own);
        others.filter(active).any(|process| self.liveness().is_probably_dead(process))
    }

    /// Who is attached.
    pub(crate) fn members(&self) -> Vec<Member> {
        let lanes_of = |process: u16| {
            self.heap.lane_numbers().filter(move |lane| {
                let word = self.heap.lane_word(*lane);
                word.state() != SlotState::Free && word.process() == process
            })
        };
        let member = |process: u16| {
            let word = self.heap.process_word(process);
            let dead = match word.state() {
                SlotState::Free | SlotState::Unknown => return None,
                SlotState::Recovering => true,
                SlotState::Active => self.liveness().process_is_dead(process, word),
            };
            let actor = Actor { process, epoch: word.epoch() };
            let revoked = lanes_of(process).filter(|lane| self.heap.is_revoked(*lane)).count() as u32;
            Some(Member { actor, pid: word.pid(), dead, lanes: lanes_of(process).count() as u32, revoked })
        };
        self.heap.process_numbers().filter_map(member).collect()
    }

    /// # Errors
    /// [`Error::ReadOnly`].
    pub(crate) fn require_writable(&self) -> Result<(), Error> {
        let refused = || Error::ReadOnly { name: self.name.clone() };
        if self.medium.is_writable() { Ok(()) } else { Err(refused()) }
    }

    /// Removes the pool's name if it is still this pool's.
    pub(crate) fn unlink(&self) -> Result<(), Error> {
        self.medium.unlink(&self.name)
    }

    /// What the locks of its members lie on; memory has none.
    pub(crate) fn object(&self) -> Option<&Object> {
        self.medium.object().map(Arc::as_ref)
    }

    pub(crate) fn liveness(&self) -> KernelLiveness<'_> {
        KernelLiveness { heap: &self.heap, object: self.object() }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Some(membership) = self.memberships.existing() {
            membership.leave(&self.heap);
        }
    }
}
