//! The manifest is repaired while others give keys and free what has them, and die: what they are at is left alone.
#![cfg(weyr_face = "explore")]

mod model;

use model::{TWO, World, fails, heap_with_manifest, holds, most};
use weyr_atomic::explore::{Ghost, Model, Outcome, Regions};
use weyr_managed::BlockReference;
use weyr_managed::heap::manifest::Key;
use weyr_managed::heap::model::{Fault, Parts, without};
use weyr_managed::heap::recovery::NoChannels;
use weyr_managed::heap::word::{BlockState, BlockWord};

/// Blocks of the first processes, each to have a key of its own or one for all; and what came of it.
struct Keyed {
    world: World,
    blocks: Vec<BlockReference>,
    keys: Vec<Key>,
    /// Processes whose blocks have their keys, as bits.
    typed: Ghost<u32>,
}

const LAST_LANE: u16 = 63;

/// Processes 0 .. inserters have a block each. Records: so many, of which the first is spoilt if `spoilt`.
fn keyed(processes: u32, inserters: usize, one_key: bool, entries: u32, spoilt: bool) -> Keyed {
    let mut world = World::over(heap_with_manifest(inserters.max(2) as u64, processes + 1, entries));
    let alloc = |world: &mut World, process: usize| {
        let mut own = world.lane(process);
        let block = world.alloc(&mut own, TWO).expect("a block of an empty heap");
        world.lanes[process] = own;
        block
    };
    let blocks = (0..inserters).map(|process| alloc(&mut world, process)).collect();
    if spoilt {
        world.steps().spoil_record(0, LAST_LANE);
    }
    let key = |process: usize| Key { type_id: 1, id: if one_key { 7 } else { 7 + process as u64 } };
    Keyed { world, blocks, keys: (0..inserters).map(key).collect(), typed: Ghost::new(0) }
}

fn insert(keyed: &Keyed, process: usize) {
    let own = keyed.world.lane(process);
    if keyed.world.steps().publish_typed(&own, keyed.blocks[process], keyed.keys[process]) {
        keyed.typed.update(|typed| *typed |= 1 << process);
        keyed.world.post(0, keyed.blocks[process]);
    }
    keyed.world.finish(process);
}

/// Frees what the first process posted, if it does.
fn free(keyed: &Keyed, process: usize) {
    let world = &keyed.world;
    let mut own = world.lane(process);
    if let Some(block) = world.receive(0, |world| world.is_over(0)) {
        world.issued.update(|issued| issued.begin_free(block));
        if world.steps().free_typed(&mut own, block, keyed.keys[0]) {
            world.issued.update(|issued| issued.end_free(block));
            keyed.typed.update(|typed| *typed &= !1);
        }
    }
    world.finish(process);
}

fn repair(keyed: &Keyed, process: usize) {
    keyed.world.steps().repair_manifest(process as u16);
    keyed.world.finish(process);
}

fn help(keyed: &Keyed, process: usize, helped: usize) {
    let mut own = keyed.world.lane(process);
    keyed.world.help(&mut own, helped, &NoChannels);
    keyed.world.finish(process);
}

/// Who got a key has it, and everything agrees.
fn well(keyed: &Keyed, outcome: &Outcome) -> Result<(), String> {
    for (process, (key, block)) in keyed.keys.iter().zip(&keyed.blocks).enumerate() {
        let has_it = keyed.typed.get() >> process & 1 == 1;
        let steps = keyed.world.steps();
        let is_typed =
            |(other, word): &(BlockReference, BlockWord)| other == block && word.state() == BlockState::Typed;
        let found = steps.find(*key) == Some(*block) && steps.blocks().iter().any(is_typed);
        if has_it && !found {
            return Err(format!("P{process} has lost its key"));
        }
    }
    // What was spoilt is nobody's, and the outsider puts it right as anybody would.
    keyed.world.steps().repair_manifest(keyed.world.lanes.len() as u16 - 1);
    keyed.world.settles(outcome)
}

fn model(name: &str, mortal: &[usize], records: usize, build: impl Fn() -> Keyed + 'static) -> Model<Keyed> {
    let parts = Parts { mortal: mortal.to_vec(), records, index: true, ..Parts::default() };
    let names = move |keyed: &Keyed, regions: &mut Regions| keyed.world.steps().name(regions, &parts);
    let model = Model::new(name).memory(build).regions(names).private_elsewhere();
    model.may_die(mortal.iter().copied()).at_end(well)
}

/// One gives a key, one frees the block, one repairs.
fn given_and_freed(name: &str) -> Model<Keyed> {
    model(name, &[], 2, || keyed(3, 1, false, 2, true))
        .process(|keyed, _| insert(keyed, 0))
        .process(|keyed, _| free(keyed, 1))
        .process(|keyed, _| repair(keyed, 2))
}

/// Two want one key, while one repairs.
fn one_key(name: &str) -> Model<Keyed> {
    model(name, &[], 2, || keyed(3, 2, true, 2, false))
        .process(|keyed, _| insert(keyed, 0))
        .process(|keyed, _| insert(keyed, 1))
        .process(|keyed, _| repair(keyed, 2))
}

/// One record for two, of whom the first takes its lane only now.
fn newcomer(name: &str) -> Model<Keyed> {
    let parts = Parts { threads: true, mortal: vec![0], records: 1, index: true, ..Parts::default() };
    let names = move |keyed: &Keyed, regions: &mut Regions| keyed.world.steps().name(regions, &parts);
    let build = || {
        let keyed = keyed(3, 2, false, 1, false);
        keyed.world.heap.release_lane(keyed.world.lane(0));
        keyed
    };
    let join = |keyed: &Keyed| {
        let own = keyed.world.steps().lane(0, 1);
        if keyed.world.steps().publish_typed(&own, keyed.blocks[0], keyed.keys[0]) {
            keyed.typed.update(|typed| *typed |= 1);
        }
        keyed.world.finish(0);
    };
    let model = Model::new(name).memory(build).regions(names).private_elsewhere();
    model
        .process(move |keyed, _| join(keyed))
        .process(|keyed, _| insert(keyed, 1))
        .process(|keyed, _| {
            keyed.world.steps().empty_nobodys_records(2);
            keyed.world.finish(2);
        })
        .at_end(|keyed, outcome| {
            outcome.nobody_blocked()?;
            well_of_threads(keyed)
        })
}

/// As [`well`], where the first has its lane from somebody else.
fn well_of_threads(keyed: &Keyed) -> Result<(), String> {
    for (process, (key, block)) in keyed.keys.iter().zip(&keyed.blocks).enumerate() {
        let has_it = keyed.typed.get() >> process & 1 == 1;
        let found = keyed.world.steps().find(*key);
        if found != has_it.then_some(*block) {
            return Err(format!("{found:?} has the key of P{process}, which got it: {has_it}"));
        }
    }
    Ok(())
}

/// One gives a key, one repairs by the last step alone.
fn given(name: &str) -> Model<Keyed> {
    model(name, &[], 1, || keyed(2, 1, false, 1, false)).process(|keyed, _| insert(keyed, 0)).process(
        |keyed, _| {
            keyed.world.steps().untype_blocks_without_record();
            keyed.world.finish(1);
        },
    )
}

#[test]
fn who_gives_a_key_or_frees_what_has_one_is_not_disturbed() {
    let most = most();
    holds(given_and_freed("repair: a key is given, its block freed").max_states(most));
    holds(given_and_freed("repair: a key is given, its block freed; TSO").tso(true).max_states(most));
    holds(one_key("repair: two want one key").max_states(most));
    holds(given("repair: a key is given").max_states(most));
    holds(newcomer("repair: somebody takes a lane and gives a key").max_states(most));
}

#[test]
fn two_repair_and_one_of_them_dies() {
    let two = model("repair: two repair, one dies", &[2], 2, || keyed(4, 1, false, 2, true))
        .process(|keyed, _| insert(keyed, 0))
        .process(|keyed, _| help(keyed, 1, 2))
        .process(|keyed, _| repair(keyed, 2))
        .process(|keyed, _| repair(keyed, 3));
    holds(two.deaths(1).max_states(most()));
}

#[test]
fn who_gives_a_key_dies_and_is_helped_while_one_repairs() {
    let dying =
        model("repair: an inserter dies, a helper, a repairer", &[0], 2, || keyed(3, 1, false, 2, true))
            .process(|keyed, _| insert(keyed, 0))
            .process(|keyed, _| help(keyed, 1, 0))
            .process(|keyed, _| repair(keyed, 2));
    holds(dying.deaths(1).max_states(most()));
}

#[test]
fn looks_in_the_wrong_order_are_noticed() {
    let most = most();
    without(Fault::LaneBehindRecord, || {
        let found = ["has the key of", "typed blocks have a record"];
        fails(newcomer("repair: lanes are asked before the record").max_states(8 * most), &found);
    });
    without(Fault::RecordBehindBlock, || {
        let found = ["has lost its key", "records are of typed blocks"];
        fails(given("repair: records are looked for before the block").max_states(most), &found);
    });
}
