//! A pool for tests: a table of blocks and a list of the dead, in private memory.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use weyr_atomic::AtomicU32;
use weyr_shared::{
    Actor, Awake, BlockReference, FlowControl, Futex, Geometry, Holder, MessageReference, Ring, SlotState,
};

use crate::Error;
use crate::attached::Attached;
use crate::host::Host;
use crate::receive::ReceiveSide;
use crate::send::{Bytes, SendSide, Transfer};
use crate::wait::{Attempt, Tried};

/// The block in which the channel is said to lie.
const CHANNEL: BlockReference = BlockReference { offset: 0, generation: 1 };

/// Who has a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Free,
    Process(u16),
    InFlight(u16),
}

#[derive(Debug, Default)]
struct Shared {
    blocks: BTreeMap<u64, (u64, Owner)>,
    dead: BTreeSet<u16>,
    recovered: Vec<u16>,
    /// How often the channel's memory was freed.
    frees: u32,
}

/// The pool and its one channel; one thread plays all processes.
#[derive(Debug, Clone)]
pub(crate) struct FakePool {
    shared: Rc<std::cell::RefCell<Shared>>,
    clock: Rc<Cell<Duration>>,
    pub(crate) ring: Ring,
}

/// The pool as one process sees it.
#[derive(Debug)]
pub(crate) struct FakeHost {
    pool: FakePool,
    actor: Actor,
    pub(crate) nonce: Cell<u64>,
    futex: FakeFutex,
}

/// Nobody sleeps; a sleep is over at once.
#[derive(Debug)]
pub(crate) struct FakeFutex;

impl Futex for FakeFutex {
    fn wait(&self, _word: &AtomicU32, _expected: u32, _time: Duration) -> Awake {
        Awake::TimedOut
    }

    fn wake(&self, _word: &AtomicU32, _count: u32) -> u32 {
        0
    }
}

/// A block in the hands of a process; dropping it is not freeing, for tests look at the owner.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FakeBlock(pub(crate) BlockReference);

impl FakePool {
    pub(crate) fn new(capacity: u32) -> Self {
        Self::with_flow_control(capacity, FlowControl::None)
    }

    pub(crate) fn with_flow_control(capacity: u32, flow_control: FlowControl) -> Self {
        let geometry = Geometry { capacity, processes: 8, flow_control, ..Geometry::PLAIN };
        let ring = Ring::private(&geometry).unwrap();
        Self { shared: Rc::default(), clock: Rc::new(Cell::new(Duration::from_secs(1))), ring }
    }

    /// The channel as process `process` has it.
    pub(crate) fn process(&self, process: u16) -> Attached<FakeHost> {
        let host = FakeHost {
            pool: self.clone(),
            actor: Actor { process, epoch: 0x1_0007 },
            nonce: Cell::new(u64::from(process) + 1),
            futex: FakeFutex,
        };
        Attached::new(self.ring.clone(), CHANNEL, host).unwrap()
    }

    pub(crate) fn kill(&self, process: u16) {
        self.shared.borrow_mut().dead.insert(process);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.set(self.clock.get() + time);
    }

    /// A message with a block of `process`.
    pub(crate) fn message(&self, offset: u64, process: u16) -> Transfer {
        self.shared.borrow_mut().blocks.insert(offset, (1, Owner::Process(process)));
        let block = BlockReference { offset, generation: 1 };
        Transfer(MessageReference { block, view_offset: 3, view_len: 8 })
    }

    pub(crate) fn owner(&self, offset: u64) -> Owner {
        self.shared.borrow().blocks[&offset].1
    }

    pub(crate) fn frees(&self) -> u32 {
        self.shared.borrow().frees
    }

    pub(crate) fn recovered(&self) -> Vec<u16> {
        self.shared.borrow().recovered.clone()
    }

    fn change(&self, reference: BlockReference, from: Owner, to: Owner) -> Result<(), Error> {
        match self.shared.borrow_mut().blocks.get_mut(&reference.offset) {
            Some((generation, owner)) if *generation == reference.generation && *owner == from => {
                *owner = to;
                Ok(())
            }
            _ => Err(Error::Stale),
        }
    }

    fn in_flight(&self, reference: BlockReference) -> Option<Owner> {
        match self.shared.borrow().blocks.get(&reference.offset) {
            Some((generation, owner @ Owner::InFlight(_))) if *generation == reference.generation => {
                Some(*owner)
            }
            _ => None,
        }
    }

    /// What recovery of a pool does: the channels first, then one sweep of the blocks.
    pub(crate) fn recover(&self, process: u16) {
        let actor = Actor { process, epoch: 0x1_0007 };
        let repaired = self.ring.repair(actor, || true, |block| self.in_flight(block).is_some(), &FakeFutex);
        repaired.unwrap();
        let referred: BTreeSet<u64> = self.ring.references().map(|found| found.unwrap().1.offset).collect();
        let mut shared = self.shared.borrow_mut();
        for (offset, (_, owner)) in &mut shared.blocks {
            let lost = *owner == Owner::InFlight(process) && !referred.contains(offset);
            if *owner == Owner::Process(process) || lost {
                *owner = Owner::Free;
            }
        }
        shared.recovered.push(process);
    }
}

impl Host for FakeHost {
    type Block = FakeBlock;
    type Futex = FakeFutex;

    fn futex(&self) -> &FakeFutex {
        &self.futex
    }

    fn nonce(&self) -> u64 {
        self.nonce.get()
    }

    fn me(&self) -> Result<Actor, Error> {
        Ok(self.actor)
    }

    fn now(&self) -> Duration {
        self.pool.clock.get()
    }

    fn is_dead(&self, holder: Holder) -> bool {
        self.pool.shared.borrow().dead.contains(&holder.process)
    }

    fn recover(&self, process: u16) {
        self.pool.recover(process);
    }

    fn check_channel(&self, _: BlockReference) -> Result<(), Error> {
        if self.pool.frees() == 0 { Ok(()) } else { Err(Error::Stale) }
    }

    fn free_channel(&self, _: BlockReference) {
        self.pool.shared.borrow_mut().frees += 1;
    }

    fn in_flight(&self, reference: BlockReference) -> bool {
        self.pool.in_flight(reference).is_some()
    }

    fn begin_transfer(&self, reference: BlockReference) -> Result<(), Error> {
        let me = self.actor.process;
        self.pool.change(reference, Owner::Process(me), Owner::InFlight(me))
    }

    fn revert_transfer(&self, reference: BlockReference) -> Result<(), Error> {
        let me = self.actor.process;
        self.pool.change(reference, Owner::InFlight(me), Owner::Process(me))
    }

    fn take_transfer(&self, message: &MessageReference) -> Result<FakeBlock, Error> {
        let reference = message.block;
        let owner = self.pool.in_flight(reference).ok_or(Error::Stale)?;
        self.pool.change(reference, owner, Owner::Process(self.actor.process))?;
        Ok(FakeBlock(reference))
    }
}

/// Sends one byte; whether there was room.
pub(crate) fn send(process: &Attached<FakeHost>, side: &SendSide, byte: u8) -> bool {
    let tried = process.try_send(side, &Bytes(&[byte]), Attempt::AT_ONCE).unwrap();
    matches!(tried, Tried::Done(()))
}

/// Receives one byte, and whether an earlier receiver may have seen it, if a message waits.
pub(crate) fn receive(process: &Attached<FakeHost>, side: &ReceiveSide) -> Option<(u8, bool)> {
    match process.try_take(side, SlotState::Taking, Attempt::AT_ONCE).unwrap() {
        Tried::Done(taken) => {
            let mut byte = [0];
            process.read_bytes(&taken, &mut byte).unwrap();
            process.release(taken).unwrap();
            Some((byte[0], taken.is_redelivered()))
        }
        Tried::Blocked { .. } => None,
    }
}
