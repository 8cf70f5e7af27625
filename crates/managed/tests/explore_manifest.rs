//! Two who want one key, who frees what has it, helpers, deaths anywhere, and one who stops for good.
#![cfg(weyr_face = "explore")]

mod model;

use model::{TWO, World, fails, heap_with_manifest, holds, most};
use weyr_atomic::Ordering;
use weyr_atomic::explore::{Ghost, Model, Outcome, Regions, is_dead, wait_until};
use weyr_managed::BlockReference;
use weyr_managed::heap::lane::LaneHeap;
use weyr_managed::heap::manifest::Key;
use weyr_managed::heap::model::{Fault, Parts, without};
use weyr_managed::heap::recovery::NoChannels;
use weyr_managed::heap::verify::Mode;
use weyr_managed::heap::word::{LaneWord, SlotState};

const KEY: Key = Key { type_id: 1, id: 7 };

/// Blocks that are there at the start, by process; and how often the key was won.
struct Keyed {
    world: World,
    blocks: Vec<BlockReference>,
    won: Ghost<u32>,
}

/// Each of the first `inserters` processes has a block; the manifest has `entries` entries.
fn keyed(processes: u32, inserters: usize, entries: u32) -> Keyed {
    let mut world = World::over(heap_with_manifest(inserters.max(2) as u64, processes + 1, entries));
    let mut blocks = Vec::new();
    for process in 0..inserters {
        let mut own = world.lane(process);
        blocks.push(world.alloc(&mut own, TWO).expect("a block of an empty heap"));
        world.lanes[process] = own;
    }
    Keyed { world, blocks, won: Ghost::new(0) }
}

fn inserter(keyed: &Keyed, process: usize) {
    let own = keyed.world.lane(process);
    let block = keyed.blocks[process];
    if keyed.world.steps().publish_typed(&own, block, KEY) {
        keyed.won.update(|won| *won += 1);
        // Whatever the place, whoever frees finds it.
        keyed.world.post(0, block);
    }
    keyed.world.finish(process);
}

/// Frees what the first winner posted, if anybody does.
fn freer(keyed: &Keyed, process: usize) {
    let world = &keyed.world;
    let mut own = world.lane(process);
    let posted = world.receive(0, |world| (0..keyed.blocks.len()).all(|inserter| world.is_over(inserter)));
    if let Some(block) = posted {
        world.issued.update(|issued| issued.begin_free(block));
        if world.steps().free_typed(&mut own, block, KEY) {
            world.issued.update(|issued| issued.end_free(block));
        }
    }
    world.finish(process);
}

fn helper(keyed: &Keyed, process: usize, helped: usize) {
    let mut own = keyed.world.lane(process);
    keyed.world.help(&mut own, helped, &NoChannels);
    keyed.world.finish(process);
}

/// At no instant two blocks have the key.
fn one_holder(keyed: &Keyed) -> Result<(), String> {
    match keyed.world.steps().holders(KEY) {
        0 | 1 => Ok(()),
        holders => Err(format!("{holders} blocks have one key")),
    }
}

fn well(keyed: &Keyed, outcome: &Outcome) -> Result<(), String> {
    let deaths = (0..keyed.world.lanes.len() - 1).any(|process| outcome.dead(process));
    if !deaths && keyed.won.get() == 0 {
        return Err("nobody won".into());
    }
    if !deaths && keyed.world.steps().holders(KEY) == 0 && keyed.world.steps().passed() > 0 {
        return Err("a bucket counts records that are not there".into());
    }
    keyed.world.settles(outcome)
}

fn model(name: &str, processes: u32, inserters: usize, entries: u32, mortal: &[usize]) -> Model<Keyed> {
    let parts = Parts { mortal: mortal.to_vec(), records: entries as usize, ..Parts::default() };
    let names = move |keyed: &Keyed, regions: &mut Regions| keyed.world.steps().name(regions, &parts);
    let build = move || keyed(processes, inserters, entries);
    let mut model = Model::new(name).memory(build).regions(names).private_elsewhere();
    for process in 0..inserters {
        model = model.process(move |keyed, _| inserter(keyed, process));
    }
    model.may_die(mortal.iter().copied()).invariant(one_holder).at_end(well)
}

fn two(name: &str) -> Model<Keyed> {
    model(name, 2, 2, 2, &[])
}

fn two_and_free(name: &str) -> Model<Keyed> {
    model(name, 3, 2, 3, &[]).process(|keyed, _| freer(keyed, 2))
}

/// The one record is used again at once.
fn one_record(name: &str) -> Model<Keyed> {
    model(name, 3, 2, 1, &[]).process(|keyed, _| freer(keyed, 2))
}

fn with_helpers(name: &str, mortal: &[usize], deaths: usize) -> Model<Keyed> {
    let mut model = model(name, 3 + mortal.len() as u32, 2, 3, mortal).process(|keyed, _| freer(keyed, 2));
    for (index, &helped) in mortal.iter().enumerate() {
        model = model.process(move |keyed, _| helper(keyed, 3 + index, helped));
    }
    model.deaths(deaths)
}

/// A thread ends while it enters a record; two helpers, of which one comes late; the lane's next user, and a neighbour,
/// who enter one too, in the one place there is.
fn late_helper(name: &str) -> Model<Keyed> {
    let parts = Parts { mortal: vec![0], threads: true, records: 1, ..Parts::default() };
    let names = move |keyed: &Keyed, regions: &mut Regions| keyed.world.steps().name(regions, &parts);
    let build = || {
        let mut keyed = keyed(5, 0, 1);
        let world = &mut keyed.world;
        world.heap.release_lane(world.lane(0));
        let mut own = world.steps().lane(0, 1);
        let mut alloc = || world.alloc(&mut own, TWO).expect("a block of an empty heap");
        keyed.blocks = vec![alloc(), alloc()];
        world.lanes[0] = own;
        let mut own = world.lane(4);
        keyed.blocks.push(world.alloc(&mut own, TWO).expect("a block of an empty heap"));
        world.lanes[4] = own;
        keyed
    };
    // What the lane's word says of its second user, who dies.
    let life = 1;
    let mut model = Model::new(name).memory(build).regions(names).private_elsewhere().process(|keyed, _| {
        let own = keyed.world.lane(0);
        keyed.world.steps().publish_typed(&own, keyed.blocks[0], key_of(0));
        wait_until("its end", || false);
    });
    for process in [1, 2] {
        model = model.process(move |keyed, _| {
            wait_until("an end", || is_dead(0));
            keyed.world.steps().recover_records(0, LaneWord::active(0, life));
            keyed.world.finish(process);
        });
    }
    let publish = |keyed: &Keyed, own: &LaneHeap, number: usize| {
        let block = keyed.blocks[number];
        if keyed.world.steps().publish_typed(own, block, key_of(number)) {
            keyed.world.post(number - 1, block);
        }
    };
    let newcomer = move |keyed: &Keyed| {
        let steps = keyed.world.steps();
        wait_until("a free lane", || steps.lane_word(0).state() == SlotState::Free);
        publish(keyed, &steps.lane(0, 4), 1);
        keyed.world.finish(3);
    };
    let neighbour = move |keyed: &Keyed| {
        wait_until("an end", || is_dead(0));
        publish(keyed, &keyed.world.lane(4), 2);
        keyed.world.finish(4);
    };
    let model = model.process(move |keyed, _| newcomer(keyed)).process(move |keyed, _| neighbour(keyed));
    model.may_die([0]).at_end(|keyed, outcome| {
        if !outcome.dead(0) {
            return Ok(());
        }
        outcome.nobody_blocked()?;
        for number in [1, 2] {
            let has_it = keyed.world.posted[number - 1].load(Ordering::Acquire) != 0;
            let found = keyed.world.steps().find(key_of(number));
            if found != has_it.then_some(keyed.blocks[number]) {
                return Err(format!("{found:?} has key {number}, won: {has_it}"));
            }
        }
        // A thread that ends behind winning leaves a block of its process, which lives, with the key.
        let steps = keyed.world.steps();
        if steps.holders(key_of(0)) == 1 && steps.find(key_of(0)).is_none() {
            return Ok(());
        }
        let verification = keyed.world.heap.verify(Mode::Quiesced);
        if verification.holds() { Ok(()) } else { Err(format!("{:?}", verification.findings)) }
    })
}

fn key_of(number: usize) -> Key {
    Key { id: 8 + number as u64, ..KEY }
}

#[test]
fn a_late_helper_leaves_the_lanes_next_user_alone() {
    holds(late_helper("manifest: a late helper").max_states(most()));
}

#[test]
fn of_two_that_want_one_key_exactly_one_wins() {
    let most = most();
    holds(two("manifest: two inserts of one key").max_states(most));
    holds(two("manifest: two inserts of one key; TSO").tso(true).max_states(most));
    holds(model("manifest: three inserts of one key", 3, 3, 3, &[]).max_states(most));
}

#[test]
fn a_key_is_free_with_its_block() {
    let most = most();
    holds(one_record("manifest: two inserts, a free, one record").max_states(most));
    holds(two_and_free("manifest: two inserts, a free").max_states(most));
    holds(two_and_free("manifest: two inserts, a free; TSO").tso(true).max_states(most));
    let twice = model("manifest: two inserts, two frees", 4, 2, 3, &[])
        .process(|keyed, _| freer(keyed, 2))
        .process(|keyed, _| freer(keyed, 3));
    holds(twice.max_states(most));
}

#[test]
fn deaths_leave_neither_records_nor_blocks() {
    let most = most();
    holds(with_helpers("manifest: an inserter dies", &[0], 1).max_states(most));
    holds(with_helpers("manifest: an inserter dies; TSO", &[0], 1).tso(true).max_states(most));
    holds(with_helpers("manifest: the freer dies", &[2], 1).max_states(most));
    holds(with_helpers("manifest: both inserters die", &[0, 1], 2).max_states(most));
    holds(with_helpers("manifest: an inserter and the freer die", &[0, 2], 2).max_states(most));
    let overlapping = model("manifest: an inserter dies, two helpers, one dies", 4, 2, 2, &[0, 2])
        .process(|keyed, _| helper(keyed, 2, 0))
        .process(|keyed, _| helper(keyed, 3, 0));
    holds(overlapping.deaths(2).max_states(most));
}

#[test]
fn nobody_waits_for_one_that_stops() {
    let goes_on = |keyed: &Keyed, outcome: &Outcome| {
        outcome.nobody_blocked()?;
        match keyed.won.get() + keyed.world.steps().holders(KEY) as u32 {
            0 => Err("nobody has the key, and somebody is through".to_owned()),
            _ => Ok(()),
        }
    };
    let stopping = two("manifest: one of two inserters stops for good").may_stop([0]).at_end(goes_on);
    holds(stopping.max_states(most()));
}

#[test]
fn steps_left_out_are_noticed() {
    let most = most();
    without(Fault::LookBehindEntering, || {
        fails(two("manifest: nobody looks behind entering").max_states(most), &["have one key"]);
    });
    without(Fault::ShutOut, || {
        fails(two("manifest: nobody is shut out").max_states(most), &["have one key"]);
    });
    without(Fault::RecordVersion, || {
        let model = one_record("manifest: fillings without version").max_states(most);
        fails(model, &["typed blocks have a record", "half done", "have one key"]);
    });
    without(Fault::Authority, || {
        let findings = ["has key", "typed blocks have a record"];
        fails(late_helper("manifest: a late helper does not ask").max_states(8 * most), &findings);
    });
}
