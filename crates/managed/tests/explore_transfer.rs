//! A block on the way of a message: sender, two receivers, any of which dies, and recovery with the sweep.
//!
//! The channel is one slot of the model's own; its states are those of a ring's slot.
#![cfg(weyr_face = "explore")]

mod model;

use std::collections::HashSet;

use model::{TWO, World, fails, holds, most};
use weyr_atomic::explore::{Ghost, Model, Outcome, Regions, wait_until};
use weyr_atomic::{AtomicU64, Ordering, Zeroed};
use weyr_managed::heap::lane::LaneHeap;
use weyr_managed::heap::model::Parts;
use weyr_managed::heap::recovery::Channels;
use weyr_managed::heap::word::BlockState;
use weyr_managed::{Actor, BlockReference};

const EMPTY: u64 = 0;
const FILLING: u64 = 1;
const FULL: u64 = 2;
const TAKING: u64 = 3;
const RETURNED: u64 = 4;

fn slot(state: u64, process: u64, lap: u64) -> u64 {
    state | process << 4 | lap << 20
}

fn state(word: u64) -> u64 {
    word & 15
}

/// A heap and a channel of one slot.
struct Posted {
    world: World,
    slot: AtomicU64,
    reference: AtomicU64,
    /// Who took the block.
    taken: Ghost<Option<usize>>,
    /// Whether the block word decides if a message of a dead receiver is delivered again.
    by_word: bool,
    block: BlockReference,
    /// Whether the block was the pool's before it was sent.
    published: bool,
}

impl Posted {
    fn change(&self, from: u64, to: u64) -> bool {
        self.slot.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Published memory is nobody's to lose: it stays the pool's, whoever dies with it.
    fn lives_on(&self) -> Result<(), String> {
        match self.world.steps().locate(self.block).map(|word| word.state()) {
            Some(BlockState::Pool) => Ok(()),
            _ if !self.published => Ok(()),
            state => Err(format!("published memory was lost: {state:?}")),
        }
    }

    fn message(&self) -> BlockReference {
        let word = self.reference.load(Ordering::Acquire);
        BlockReference { offset: word & 0xffff_ffff, generation: word >> 32 }
    }

    fn take(&self, own: &LaneHeap, block: BlockReference) -> bool {
        self.world.steps().take(own.lane(), block)
    }
}

impl Channels for Posted {
    fn repair(
        &self,
        actor: Actor,
        still_dead: &dyn Fn() -> bool,
        in_flight: &dyn Fn(BlockReference) -> bool,
    ) {
        let seen = self.slot.load(Ordering::Acquire);
        let (process, lap) = (seen >> 4 & 0xffff, seen >> 20);
        let names_holder = matches!(state(seen), FILLING | TAKING);
        if !names_holder || process != u64::from(actor.process) {
            return;
        }
        let untaken = state(seen) == TAKING && (!self.by_word || in_flight(self.message()));
        let repaired = if untaken { slot(RETURNED, 0, lap) } else { slot(EMPTY, 0, lap + 1) };
        if still_dead() {
            self.change(seen, repaired);
        }
    }

    fn references(&self) -> Option<HashSet<BlockReference>> {
        let full = matches!(state(self.slot.load(Ordering::Acquire)), FULL | TAKING | RETURNED);
        Some(full.then(|| self.message()).into_iter().collect())
    }
}

fn posted(by_word: bool, published: bool) -> Posted {
    let mut world = World::new(1, 6);
    let mut own = world.lane(0);
    let block = world.alloc(&mut own, TWO).expect("a block of an empty heap");
    world.post(0, block);
    world.lanes[0] = own;
    if published {
        assert!(world.steps().change(block, |word| Some(word.with(BlockState::Pool, 0))));
    }
    Posted {
        world,
        block,
        published,
        slot: AtomicU64::zeroed(),
        reference: AtomicU64::zeroed(),
        taken: Ghost::new(None),
        by_word,
    }
}

fn sender(posted: &Posted) {
    let own = posted.world.lane(0);
    let block = posted.world.receive(0, |_| false).expect("posted at the start");
    let filling = slot(FILLING, 0, 0);
    if posted.change(slot(EMPTY, 0, 0), filling) {
        posted.reference.store(block.offset | block.generation << 32, Ordering::Release);
        assert!(posted.world.steps().send(own.lane(), block), "an own block can be sent");
        assert!(posted.change(filling, slot(FULL, 0, 0)), "a living sender is not repaired");
    }
    posted.world.finish(0);
}

fn receiver(posted: &Posted, process: usize) {
    let own = posted.world.lane(process);
    let now = || state(posted.slot.load(Ordering::Acquire));
    // Nothing comes any more when the sender and its helper are through and nobody is taking.
    let over = || now() == EMPTY && posted.world.is_over(0) && posted.world.is_over(3);
    wait_until("a message", || matches!(now(), FULL | RETURNED) || over());
    let seen = posted.slot.load(Ordering::Acquire);
    let lap = seen >> 20;
    let taking = slot(TAKING, process as u64, lap);
    if matches!(state(seen), FULL | RETURNED) && posted.change(seen, taking) {
        let block = posted.message();
        assert!(posted.take(&own, block), "a message came whose memory is gone");
        posted.taken.update(|taken| {
            assert!(taken.is_none_or(weyr_atomic::explore::is_dead), "two have taken one block");
            *taken = Some(process);
        });
        posted.world.issued.update(|issued| issued.hand_over(block, process));
        posted.change(taking, slot(EMPTY, 0, lap + 1));
    }
    posted.world.finish(process);
}

fn helper(posted: &Posted, process: usize, helped: usize) {
    let mut own = posted.world.lane(process);
    posted.world.help(&mut own, helped, posted);
    posted.world.finish(process);
}

fn well(posted: &Posted, outcome: &Outcome) -> Result<(), String> {
    posted.world.settles_with(outcome, posted, |own| {
        let seen = posted.slot.load(Ordering::Acquire);
        match state(seen) {
            FILLING | TAKING => Err(format!("the slot is stuck: {seen:#x}")),
            FULL | RETURNED if !posted.take(own, posted.message()) => Err("a message without memory".into()),
            _ => posted.lives_on(),
        }
    })
}

fn transfer(name: &str, mortal: &[usize], by_word: bool) -> Model<Posted> {
    sent(name, mortal, move || posted(by_word, false))
}

fn sent(name: &str, mortal: &[usize], build: impl FnOnce() -> Posted + 'static) -> Model<Posted> {
    let parts = Parts { mortal: mortal.to_vec(), ..Parts::default() };
    let names = move |posted: &Posted, regions: &mut Regions| posted.world.steps().name(regions, &parts);
    let model = Model::new(name).memory(build).regions(names).private_elsewhere();
    let mut model = model.process(|posted, _| sender(posted));
    for process in [1, 2] {
        model = model.process(move |posted, _| receiver(posted, process));
    }
    for helped in [0, 1, 2] {
        model = model.process(move |posted, _| helper(posted, 3 + helped, helped));
    }
    model.may_die(mortal.iter().copied()).at_end(well)
}

#[test]
fn a_message_is_delivered_once_whoever_dies() {
    let most = most();
    holds(transfer("transfer: sender and a receiver may die", &[0, 1], true).max_states(most));
    holds(transfer("transfer: both receivers may die", &[1, 2], true).max_states(most));
    holds(transfer("transfer: all three may die", &[0, 1, 2], true).max_states(most));
    holds(transfer("transfer: all three may die; TSO", &[0, 1, 2], true).tso(true).max_states(most));
}

#[test]
fn published_memory_outlives_everybody_who_sends_or_receives_it() {
    let most = most();
    let sent = |name: &str, mortal: &[usize]| sent(name, mortal, || posted(true, true)).max_states(most);
    holds(sent("transfer: published memory, sender and a receiver may die", &[0, 1]));
    holds(sent("transfer: published memory, both receivers may die", &[1, 2]));
    holds(sent("transfer: published memory, sender and a receiver may die; TSO", &[0, 1]).tso(true));
}

#[test]
fn a_message_that_is_always_returned_is_delivered_without_its_memory() {
    fails(transfer("transfer: always returned", &[1], false), &["whose memory is gone", "without memory"]);
}
