//! One process's membership of a pool: its slot, the lock that proves it alive, and the lane that all its threads may
//! share.
//!
//! A membership belongs to one life of one process. A forked child finds the parent's, sees another nonce, and makes
//! its own at first use; it touches nothing of the parent's.

pub(crate) mod attached;
pub(crate) mod attachment;
#[cfg(test)]
mod copies;
pub(crate) mod participant;
pub(crate) mod threads;

use std::sync::{Mutex, OnceLock};

use weyr_atomic::Ordering;
use weyr_shared::{Actor, Layout as _};
use weyr_sys::object::Object;
use weyr_sys::presence::{self, Presence};
use weyr_sys::{barrier, fork, process, thread};

use crate::Error;
use crate::heap::lane::LaneHeap;
use crate::heap::recovery::Channels;
use crate::heap::word::{ProcessWord, SlotState};
use crate::heap::{Heap, Liveness, mark};
use crate::layout::{FLAG_MEMBARRIER, ProcessSlot};
use crate::pool::header;
use crate::ready::Registrations;

/// Lock bytes lie far behind any data: byte `LOCK_BASE + slot` of the object.
const LOCK_BASE: u64 = 1 << 62;

/// A membership.
#[derive(Debug)]
pub(crate) struct Membership {
    /// Which life of which process this is.
    pub(crate) nonce: u64,
    /// The process slot and its epoch.
    pub(crate) actor: Actor,
    /// Keeps the slot's lock; it goes with the process at the latest. Pools in memory have none.
    _presence: Option<Presence>,
    /// For threads that found no lane of their own, and for leaving.
    pub(crate) shared_lane: Mutex<Option<LaneHeap>>,
    /// By which bits of its row it is told what.
    pub(crate) registrations: Registrations,
}

/// The memberships of this process and, behind them, of its forked children, each in its own life.
///
/// Append-only, so that a child never waits for a lock that a thread of its parent held.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    first: OnceLock<Box<Link>>,
}

#[derive(Debug)]
struct Link {
    membership: Membership,
    next: OnceLock<Box<Link>>,
}

impl Memberships {
    /// The membership of this life, made by `join` if there is none yet.
    ///
    /// Of threads that come at once one is first; what the others joined is given to `leave`, for a process is one
    /// member.
    pub(crate) fn current(
        &self,
        join: impl Fn() -> Result<Membership, Error>,
        leave: impl Fn(&Membership),
    ) -> Result<&Membership, Error> {
        loop {
            // The place is looked for before joining: whoever was first meanwhile has taken it.
            let place = match self.find() {
                Ok(membership) => return Ok(membership),
                Err(place) => place,
            };
            let link = Box::new(Link { membership: join()?, next: OnceLock::new() });
            if let Err(second) = place.set(link) {
                leave(&second.membership);
            }
        }
    }

    /// The membership of this life, if there is one.
    pub(crate) fn existing(&self) -> Option<&Membership> {
        self.find().ok()
    }

    /// The membership of this life, or else the place for it.
    fn find(&self) -> Result<&Membership, &OnceLock<Box<Link>>> {
        let nonce = fork::nonce();
        let mut place = &self.first;
        while let Some(link) = place.get() {
            if link.membership.nonce == nonce {
                return Ok(&link.membership);
            }
            place = &link.next;
        }
        Err(place)
    }
}

impl Membership {
    /// Joins the pool: a process slot, its lock, a lane. Where the tables are full it recovers the dead first.
    ///
    /// Crash argument: the lock is taken first, then the slot's fields, and the slot's word last; a death before that
    /// leaves a free (or dead) slot, a death behind it an ordinary dead process.
    pub(crate) fn join(
        heap: &Heap,
        object: Option<&Object>,
        channels: &dyn Channels,
    ) -> Result<Membership, Error> {
        let recover = || heap.recover_dead_without_lane(&KernelLiveness { heap, object }, channels);
        let Seat { actor, presence, inherited } = take_seat(heap, object, recover)?;
        let lane = acquire_lane_or(heap, actor.process, || drop(recover()));
        let lane = lane.inspect_err(|_| leave_slot(heap, actor))?;
        if inherited {
            heap.free_inherited(&lane);
        }
        heap.share_lane(&lane);
        heap.header().attaches.fetch_add(1, Ordering::Relaxed);
        Ok(Membership {
            nonce: fork::nonce(),
            actor,
            _presence: presence,
            shared_lane: Mutex::new(Some(lane)),
            registrations: Registrations::default(),
        })
    }

    /// Leaves the pool: lanes back, then the slot. No thread of this process is inside an operation.
    pub(crate) fn leave(&self, heap: &Heap) {
        if self.nonce != fork::nonce() {
            return;
        }
        let shared = self.shared_lane.lock().ok().and_then(|mut lane| lane.take());
        let Some(shared) = shared else { return };
        heap.release_lanes_of(self.actor.process, shared.lane());
        heap.release_lane(shared);
        leave_slot(heap, self.actor);
    }
}

/// A lane for the calling thread; none when all are in use.
pub(crate) fn acquire_lane(heap: &Heap, process: u16) -> Result<Option<LaneHeap>, Error> {
    let id = thread::id();
    let start = thread::own_start_time().unwrap_or(0);
    heap.acquire_lane(process, id, start).map_err(Error::os("backing a lane"))
}

/// The process's own lane; when there is none, `recover` may make one free.
fn acquire_lane_or(heap: &Heap, process: u16, recover: impl FnOnce()) -> Result<LaneHeap, Error> {
    if let Some(lane) = acquire_lane(heap, process)? {
        return Ok(lane);
    }
    recover();
    let limit = heap.geometry.shape.lane_limit;
    acquire_lane(heap, process)?.ok_or(Error::TableFull { table: "lanes", limit })
}

/// A slot of this process, and the lock that goes with it.
struct Seat {
    actor: Actor,
    presence: Option<Presence>,
    /// It was a dead process's, whose spans are to be freed.
    inherited: bool,
}

/// Takes a slot: a free one, or one that `recover` makes free, or one of which it leaves nothing but spans.
fn take_seat(
    heap: &Heap,
    object: Option<&Object>,
    recover: impl Fn() -> Vec<(u16, ProcessWord)>,
) -> Result<Seat, Error> {
    if let Some(seat) = take_free_slot(heap, object)? {
        return Ok(seat);
    }
    loop {
        let left = recover();
        if let Some(seat) = take_free_slot(heap, object)? {
            return Ok(seat);
        }
        if let Some(seat) = inherit_slot(heap, object, &left)? {
            return Ok(seat);
        }
        // Somebody else, who has a lane, frees the spans: then there may be a free slot now.
        if left.iter().all(|&(index, dead)| heap.process_word(index) == dead) {
            let limit = heap.geometry.shape.process_limit;
            return Err(Error::TableFull { table: "process slots", limit });
        }
    }
}

fn take_free_slot(heap: &Heap, object: Option<&Object>) -> Result<Option<Seat>, Error> {
    for index in 0..heap.geometry.shape.process_limit as u16 {
        let seen = heap.process_word(index);
        if seen.state() != SlotState::Free {
            continue;
        }
        let start = heap.geometry.offsets.processes + u64::from(index) * ProcessSlot::SIZE as u64;
        heap.backing
            .metadata(start, ProcessSlot::SIZE as u64)
            .map_err(Error::os("backing a process slot"))?;
        mark(&heap.header().process_mark, index);
        if let Some(seat) = take_slot(heap, object, index, seen, seen.epoch())? {
            return Ok(Some(seat));
        }
    }
    Ok(None)
}

/// Takes the slot of a dead process of which nothing is left but spans: they are this process's then.
fn inherit_slot(
    heap: &Heap,
    object: Option<&Object>,
    left: &[(u16, ProcessWord)],
) -> Result<Option<Seat>, Error> {
    for &(index, dead) in left {
        if let Some(seat) = take_slot(heap, object, index, dead, dead.epoch().wrapping_add(1))? {
            return Ok(Some(Seat { inherited: true, ..seat }));
        }
    }
    Ok(None)
}

/// Takes the slot whose word was seen as `seen`; none when somebody else has it.
fn take_slot(
    heap: &Heap,
    object: Option<&Object>,
    index: u16,
    seen: ProcessWord,
    epoch: u32,
) -> Result<Option<Seat>, Error> {
    let presence = match object.map(|object| presence::acquire(object, LOCK_BASE + u64::from(index))) {
        None => None,
        Some(Ok(Some(presence))) => Some(presence),
        // Held by somebody who is just joining, or by a child that was forked in the middle of it.
        Some(Ok(None)) => return Ok(None),
        // The object is opened anew for it, by who may not any more.
        Some(Err(weyr_sys::Errno::ACCESS | weyr_sys::Errno::PERM)) => {
            let name = header::read_name(heap.header()).unwrap_or_default();
            return Err(Error::PermissionDenied { name });
        }
        Some(Err(errno)) => return Err(Error::os("locking a process slot")(errno)),
    };
    let Some(slot) = heap.process_slot(index).filter(|_| heap.process_word(index) == seen) else {
        return Ok(None);
    };
    let active = ProcessWord::active(epoch, process::current().pid);
    if presence.is_some() {
        describe(slot);
    } else {
        // Who has the pid, but not when it started: nobody takes that for dead as long as there is such a pid.
        slot.start_time.store(0, Ordering::Relaxed);
    }
    // Release: publishes the fields above.
    let joined = slot.word.compare_exchange(seen.0, active.0, Ordering::AcqRel, Ordering::Acquire);
    if joined.is_err() {
        return Ok(None);
    }
    if presence.is_none() {
        describe(slot);
    }
    let actor = Actor { process: index, epoch: active.epoch() };
    Ok(Some(Seat { actor, presence, inherited: false }))
}

/// Says in a slot who this process is.
///
/// Crash argument: under the slot's lock, before its word names this process; without locks behind that, and until then
/// the start of the process is 0, by which nobody is taken for dead while there is such a pid.
fn describe(slot: &ProcessSlot) {
    let identity = process::current();
    slot.pid_namespace.store(identity.pid_namespace, Ordering::Relaxed);
    slot.nonce.store(fork::nonce(), Ordering::Relaxed);
    slot.flags.store(if barrier::register() { FLAG_MEMBARRIER } else { 0 }, Ordering::Relaxed);
    // Release: with the start come the namespaces in which it holds.
    slot.start_time.store(identity.start_time, Ordering::Release);
}

fn leave_slot(heap: &Heap, actor: Actor) {
    let Some(slot) = heap.process_slot(actor.process) else { return };
    let seen = heap.process_word(actor.process);
    if seen.state() == SlotState::Active && seen.epoch() == actor.epoch {
        let free = ProcessWord::free(actor.epoch.wrapping_add(1));
        let _taken_for_dead = slot.word.compare_exchange(seen.0, free.0, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Liveness as the kernel tells it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelLiveness<'p> {
    pub(crate) heap: &'p Heap,
    /// What the members' locks lie on. Without it they are all of one pid namespace.
    pub(crate) object: Option<&'p Object>,
}

impl KernelLiveness<'_> {
    /// Whether the member's lock is held; what cannot be asked counts as held.
    pub(crate) fn is_locked(&self, process: u16) -> bool {
        let held = |object: &Object| presence::is_held(object, LOCK_BASE + u64::from(process));
        !matches!(self.object.map(held), Some(Ok(false)))
    }

    /// By the lock alone, where there are locks: what costs little.
    pub(crate) fn is_probably_dead(&self, process: u16) -> bool {
        match self.object {
            Some(_) => !self.is_locked(process),
            None => self.process_is_dead(process, self.heap.process_word(process)),
        }
    }

    fn identity(&self, process: u16, word: ProcessWord) -> Option<process::Identity> {
        let slot = self.heap.process_slot(process)?;
        // Acquire: pairs with `describe`, where there are no locks.
        let start_time = slot.start_time.load(Ordering::Acquire);
        let pid_namespace = match self.object {
            Some(_) => slot.pid_namespace.load(Ordering::Relaxed),
            None => process::current().pid_namespace,
        };
        Some(process::Identity { pid: word.pid(), start_time, pid_namespace })
    }
}

impl Liveness for KernelLiveness<'_> {
    fn process_is_dead(&self, process: u16, word: ProcessWord) -> bool {
        let Some(identity) = self.identity(process, word) else { return false };
        match process::standing(&identity) {
            process::Standing::Gone => true,
            process::Standing::Alive => false,
            // Another pid namespace: there the lock decides. What cannot be asked is not dead.
            process::Standing::Unknown => !self.is_locked(process),
        }
    }

    fn thread_is_dead(&self, process: u16, thread: u32, start: u64) -> bool {
        let word = self.heap.process_word(process);
        let identity = self.identity(process, word).filter(|_| word.state() == SlotState::Active);
        identity.is_some_and(|identity| thread::standing(&identity, thread, start) == process::Standing::Gone)
    }

    fn barrier(&self) -> bool {
        weyr_atomic::heavy_barrier(barrier::expedited)
    }
}
