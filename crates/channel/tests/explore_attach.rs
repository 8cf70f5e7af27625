//! Attaching, destroying, detaching and freeing in every interleaving, with deaths: the memory of a channel is freed
//! once it is destroyed and nobody is attached, and never under the feet of somebody who is.
#![cfg(weyr_face = "explore")]

use std::time::Duration;

use weyr_atomic::explore::{self, Context, Ghost, Model, Outcome, Regions, Report, wait_until};
use weyr_atomic::{AtomicU32, AtomicU64, Ordering};
use weyr_channel::Error;
use weyr_channel::protocol::{Attached, Host};
use weyr_shared::{Actor, Awake, BlockReference, Futex, Geometry, Holder, MessageReference, Ring};

const CHANNEL: BlockReference = BlockReference { offset: 0, generation: 1 };

struct World {
    ring: Ring,
    /// The block's word: 1 while it is a channel.
    block: AtomicU64,
    /// Processes that rely on the memory, one bit each.
    users: Ghost<u64>,
    without_check: bool,
}

struct ModelHost<'w> {
    world: &'w World,
    process: usize,
}

impl Futex for ModelHost<'_> {
    fn wait(&self, _: &AtomicU32, _: u32, _: Duration) -> Awake {
        Awake::Changed
    }

    fn wake(&self, _: &AtomicU32, _: u32) -> u32 {
        0
    }
}

fn actor(process: usize) -> Actor {
    Actor { process: process as u16, epoch: 1 }
}

impl Host for ModelHost<'_> {
    type Block = ();
    type Futex = Self;

    fn futex(&self) -> &Self {
        self
    }

    fn nonce(&self) -> u64 {
        self.process as u64 + 1
    }

    fn me(&self) -> Result<Actor, Error> {
        Ok(actor(self.process))
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn is_dead(&self, holder: Holder) -> bool {
        explore::is_dead(holder.process.into())
    }

    fn recover(&self, _: u16) {}

    fn check_channel(&self, _: BlockReference) -> Result<(), Error> {
        match self.world.block.load(Ordering::SeqCst) {
            1 => Ok(()),
            _ => Err(Error::Stale),
        }
    }

    fn free_channel(&self, _: BlockReference) {
        if self.world.block.compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.world.users.read(|users| assert_eq!(*users, 0, "freed while somebody uses it"));
        }
    }

    fn in_flight(&self, _: BlockReference) -> bool {
        true
    }

    fn begin_transfer(&self, _: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn revert_transfer(&self, _: BlockReference) -> Result<(), Error> {
        Ok(())
    }

    fn take_transfer(&self, _: &MessageReference) -> Result<(), Error> {
        Ok(())
    }
}

impl World {
    fn new(without_check: bool) -> Self {
        let geometry = Geometry { capacity: 1, processes: 4, ..Geometry::PLAIN };
        let ring = Ring::private(&geometry).unwrap();
        ring.attach(actor(0)).unwrap();
        Self { ring, block: AtomicU64::new(1), users: Ghost::new(0), without_check }
    }

    fn uses(&self, process: usize, does: bool) {
        self.users.update(|users| *users = *users & !(1 << process) | u64::from(does) << process);
    }

    fn host(&self, process: usize) -> ModelHost<'_> {
        ModelHost { world: self, process }
    }
}

/// Attached from the start; destroys and goes.
fn destroy(world: &World, context: &Context) {
    let channel = Attached::for_model(world.ring.clone(), world.host(context.process()), actor(0));
    channel.destroy().unwrap();
    drop(channel);
}

/// Attaches, relies on the memory for a moment, and goes.
fn attach(world: &World, context: &Context) {
    let process = context.process();
    if world.without_check {
        // As if being in the memory once were a reason to stay.
        world.ring.attach(actor(process)).unwrap();
        world.uses(process, true);
        let _ = world.ring.header().state.load(Ordering::SeqCst);
        world.uses(process, false);
        return;
    }
    if let Ok(channel) = Attached::new(world.ring.clone(), CHANNEL, world.host(process)) {
        world.uses(process, true);
        assert_eq!(world.block.load(Ordering::SeqCst), 1, "attached to memory that was freed");
        world.uses(process, false);
        drop(channel);
    }
}

/// What recovery does for the dead, and then for the channels that they destroyed.
fn recover(world: &World, context: &Context) {
    let (process, mut recovered) = (context.process(), 0_u64);
    loop {
        explore::checkpoint(recovered);
        let others: Vec<usize> = (0..process).filter(|user| recovered >> user & 1 == 0).collect();
        wait_until("a death", || others.iter().any(|&user| explore::is_dead(user)));
        for user in others {
            if explore::is_dead(user) {
                recover_one(world, process, user);
                recovered |= 1 << user;
            }
        }
    }
}

fn recover_one(world: &World, process: usize, user: usize) {
    world.uses(user, false);
    let host = world.host(process);
    if world.block.load(Ordering::SeqCst) != 1 || world.ring.attach(actor(process)).is_err() {
        return;
    }
    if world.block.load(Ordering::SeqCst) == 1 {
        world.ring.repair(actor(user), || true, |_| true, &host).unwrap();
    }
    if world.ring.detach(actor(process)).unwrap() {
        host.free_channel(CHANNEL);
    }
}

fn judge(world: &World, outcome: &Outcome) -> Result<(), String> {
    let freed = world.block.load(Ordering::Relaxed) == 0;
    let destroyed = world.ring.is_destroyed();
    let attached = world.ring.is_attached();
    let describe = |what: &str| Err(format!("{what}: destroyed {destroyed}, attached {attached}, {outcome}"));
    match (destroyed, freed) {
        (true, false) => describe("a destroyed channel was never freed"),
        (false, true) => describe("freed, and not destroyed"),
        (_, false) if attached => describe("somebody who is gone is attached"),
        _ => Ok(()),
    }
}

fn name_words(world: &World, regions: &mut Regions) {
    regions.add(&world.block, "block").add(&world.ring.header().state, "state");
    (0..4).for_each(|process| {
        regions.add(world.ring.attachment_word(process).unwrap(), format!("attachment{process}"));
    });
}

fn explore(name: &'static str, attachers: usize, deaths: usize, without_check: bool) -> Report {
    let mut model = Model::new(name).memory(move || World::new(without_check)).process(destroy);
    for _ in 0..attachers {
        model = model.process(attach);
    }
    let model = model.process(recover).may_die(0..=attachers).deaths(deaths);
    let report = model.regions(name_words).private_elsewhere().max_states(8_000_000).at_end(judge).run();
    log(&report);
    report
}

#[allow(clippy::print_stderr, reason = "the number of states belongs into the log of a test")]
fn log(report: &Report) {
    eprintln!("{report}");
}

#[test]
fn a_destroyed_channel_is_freed_once_and_under_nobodys_feet() {
    explore("1 attacher", 1, 0, false).assert_holds();
    explore("2 attachers", 2, 0, false).assert_holds();
    explore("1 attacher, deaths", 1, 2, false).assert_holds();
    explore("2 attachers, a death", 2, 1, false).assert_holds();
}

#[test]
fn attaching_without_looking_whether_it_was_destroyed_is_found() {
    explore("without a look", 1, 0, true).assert_violated("");
}
