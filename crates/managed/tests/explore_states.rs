//! What several do to one block at once: free it, send it, take it, freeze it. One of them has it in the end.
#![cfg(weyr_face = "explore")]

mod model;

use model::{TWO, World, fails, holds, most};
use weyr_atomic::explore::{Ghost, Model, Outcome, Regions, wait_until};
use weyr_atomic::{AtomicU64, Ordering, Zeroed};
use weyr_managed::BlockReference;
use weyr_managed::heap::model::{Parts, Steps};
use weyr_managed::heap::verify::Mode;
use weyr_managed::heap::word::BlockState;

/// What was granted.
#[derive(Clone, Copy, Default, Hash, Debug)]
struct Granted {
    freed: u32,
    sent: u32,
    taken: u32,
    frozen: bool,
}

/// One block, of process 0 or published.
struct Contested {
    world: World,
    block: BlockReference,
    /// 1 once the block is in a message, 2 once it will not be.
    message: AtomicU64,
    granted: Ghost<Granted>,
}

impl Contested {
    fn new(published: bool, processes: u32) -> Self {
        let mut world = World::new(1, processes);
        let mut own = world.lane(0);
        let block = world.alloc(&mut own, TWO).expect("a block of an empty heap");
        world.lanes[0] = own;
        if published {
            let publish = |word: weyr_managed::heap::word::BlockWord| Some(word.with(BlockState::Pool, 0));
            assert!(world.steps().change(block, publish));
        }
        Self { world, block, message: AtomicU64::zeroed(), granted: Ghost::new(Granted::default()) }
    }

    fn steps(&self) -> Steps<'_> {
        self.world.steps()
    }

    fn send(&self, process: u16) {
        let sent = self.steps().send(process, self.block);
        self.granted.update(|granted| granted.sent += u32::from(sent));
        self.message.store(if sent { 1 } else { 2 }, Ordering::Release);
    }

    fn take(&self, process: u16) {
        wait_until("a message", || self.message.load(Ordering::Acquire) != 0);
        if self.message.load(Ordering::Acquire) == 1 {
            assert!(self.steps().take(process, self.block), "a message came whose memory is gone");
            self.granted.update(|granted| granted.taken += 1);
        }
    }
}

fn contested(name: &str, published: bool, processes: u32) -> Model<Contested> {
    let names = |contested: &Contested, regions: &mut Regions| {
        contested.steps().name(regions, &Parts::default());
    };
    Model::new(name).memory(move || Contested::new(published, processes)).regions(names).private_elsewhere()
}

/// Threads of one process free and send a block; another process takes it.
fn own_free(name: &str, free: fn(&Contested) -> bool) -> Model<Contested> {
    contested(name, false, 3)
        .process(move |contested, _| {
            let freed = free(contested);
            contested.granted.update(|granted| granted.freed += u32::from(freed));
        })
        .process(|contested, _| contested.send(0))
        .process(|contested, _| contested.take(2))
        .tso(true)
        .at_end(|contested, outcome| well(contested, outcome))
}

fn well(contested: &Contested, outcome: &Outcome) -> Result<(), String> {
    outcome.nobody_blocked()?;
    let granted = contested.granted.get();
    let word = contested.steps().locate(contested.block).map(|word| word.state());
    let wrong = |what: &str| Err(format!("{what}: {granted:?}, {word:?}"));
    if granted.freed > 1 {
        return wrong("freed twice");
    }
    if granted.freed > 0 && word.is_some_and(|state| state != BlockState::Free) {
        return wrong("in use although it was freed");
    }
    if granted.freed == 0 && word.is_none_or(|state| state == BlockState::Free) {
        return wrong("free although nobody freed it");
    }
    if granted.frozen && granted.freed == 0 && word != Some(BlockState::Frozen) {
        return wrong("frozen for good, and now it is not");
    }
    let verification = contested.world.heap.verify(Mode::Quiesced);
    if verification.holds() { Ok(()) } else { Err(format!("{:?}", verification.findings)) }
}

#[test]
fn a_block_is_freed_by_its_process_or_received_by_another() {
    let free = |contested: &Contested| {
        let mut own = contested.world.lane(0);
        contested.steps().free_shared(&mut own, contested.block)
    };
    // Not both: who freed it after it was sent was refused, and who received it owns it.
    let model = own_free("states: free by reference against transfer; TSO", free);
    holds(model.max_states(most()));
}

/// The free of a handle stores plainly, for nobody else can have the block: affine handles see to that.
#[test]
fn a_free_for_exclusive_owners_is_not_for_others() {
    let free = |contested: &Contested| {
        let mut own = contested.world.lane(0);
        contested.steps().free_own(&mut own, contested.block)
    };
    let model = own_free("states: free by handle against transfer; TSO", free);
    fails(model, &["could not", "whose memory is gone", "in use although"]);
}

/// Two free a published block, one freezes it, one sends it, one takes it.
fn published(name: &str, freeze: fn(&Contested) -> bool) -> Model<Contested> {
    let mut model = contested(name, true, 5)
        .process(move |contested, _| {
            let frozen = freeze(contested);
            contested.granted.update(|granted| granted.frozen = frozen);
        })
        .process(|contested, _| contested.send(1))
        .process(|contested, _| contested.take(2));
    for process in [3, 4] {
        model = model.process(move |contested, _| {
            let mut own = contested.world.lane(process);
            let freed = contested.steps().free_published(&mut own, contested.block);
            contested.granted.update(|granted| granted.freed += u32::from(freed));
        });
    }
    model.at_end(well)
}

#[test]
fn a_published_block_is_frozen_sent_and_freed_once() {
    let most = most();
    let freeze = |contested: &Contested| contested.steps().freeze(contested.block);
    holds(published("states: freeze, send, take, two frees", freeze).max_states(most));
    holds(published("states: freeze, send, take, two frees; TSO", freeze).tso(true).max_states(most));
}

#[test]
fn freezing_what_a_message_has_is_found() {
    let freeze = |contested: &Contested| {
        contested.steps().change(contested.block, |word| Some(word.with(BlockState::Frozen, 0)))
    };
    fails(
        published("states: freezing what a message has", freeze),
        &["whose memory is gone", "in use although"],
    );
}
