//! The table of channels: whatever happens, it leads to every channel, and no entry is lost.
#![cfg(weyr_face = "explore")]

mod model;

use model::{TWO, World, fails, holds, most, shape};
use weyr_atomic::explore::{Model, Outcome, Regions};
use weyr_managed::BlockReference;
use weyr_managed::geometry::{Geometry, Shape};
use weyr_managed::heap::Heap;
use weyr_managed::heap::model::{Fault, Parts, without};
use weyr_managed::heap::recovery::NoChannels;
use weyr_managed::heap::word::BlockState;

/// A page for each of two makers, and one more; room for so many channels.
fn world(channels: u32, processes: u32) -> World {
    let shape = Shape { channel_limit: channels, ..shape(3, 3, processes + 1) };
    World::over(Heap::in_memory(Geometry::new(shape)))
}

/// Makes a channel and frees it, `lives` times; where there is no room, frees the block.
fn maker(world: &World, process: usize, lives: u32) {
    let mut own = world.lane(process);
    for _ in 0..lives {
        let block = world.alloc(&mut own, TWO).expect("a page for each");
        world.issued.update(|issued| issued.begin_free(block));
        if !world.steps().make_channel(process as u16, block) {
            assert!(world.steps().free_own(&mut own, block));
        } else if process == 0 || lives > 1 {
            assert!(world.steps().free_channel(&mut own, block));
        }
    }
    world.finish(process);
}

fn channels(world: &World) -> Vec<BlockReference> {
    let blocks = world.steps().blocks().into_iter();
    blocks.filter(|(_, word)| word.state() == BlockState::Channel).map(|(block, _)| block).collect()
}

/// In every state: every channel has an entry.
fn listed(world: &World) -> Result<(), String> {
    let (channels, listed) = (channels(world), world.steps().channels());
    match channels.iter().find(|channel| !listed.contains(channel)) {
        Some(channel) => Err(format!("the table does not lead to {channel:?}: {listed:?}")),
        None => Ok(()),
    }
}

/// Once all is freed, the table has room for as many channels as it should.
fn well(world: &World, outcome: &Outcome, room: u32) -> Result<(), String> {
    outcome.nobody_blocked()?;
    let outsider = world.lanes.len() - 1;
    let mut own = world.lane(outsider);
    world.heap.recover_dead(&mut own, &world.scheduler(), &NoChannels);
    for channel in channels(world) {
        if !world.steps().free_channel(&mut own, channel) {
            return Err(format!("{channel:?} could not be freed"));
        }
    }
    world.steps().orphan_all();
    for number in 0..room {
        let block = world.heap.alloc(&mut own, 2048).expect("present").ok_or("no memory")?;
        if !world.steps().make_channel(outsider as u16, block) {
            return Err(format!("no room for channel {number}"));
        }
    }
    Ok(())
}

fn table(name: &str, room: u32, mortal: &[usize], processes: u32, lives: u32) -> Model<World> {
    let parts = Parts { mortal: mortal.to_vec(), ..Parts::default() };
    let names = move |world: &World, regions: &mut Regions| world.steps().name(regions, &parts);
    let mut model =
        Model::new(name).memory(move || world(room, processes)).regions(names).private_elsewhere();
    for process in 0..2 {
        model = model.process(move |world, _| maker(world, process, lives));
    }
    for process in 2..processes as usize {
        model = model.process(move |world, _| model::helper(world, process, 0));
    }
    let model = model.may_die(mortal.iter().copied()).invariant(listed);
    model.at_end(move |world, outcome| well(world, outcome, room))
}

/// Two makers, and one who repairs the table meanwhile; `mortal` may die, and is helped.
fn repaired(name: &str, room: u32, mortal: &[usize], lives: u32) -> Model<World> {
    let helped = mortal.first().copied().unwrap_or(0);
    let parts = Parts { mortal: mortal.to_vec(), ..Parts::default() };
    let names = move |world: &World, regions: &mut Regions| world.steps().name(regions, &parts);
    let build = move || world(room, 4);
    let model = Model::new(name).memory(build).regions(names).private_elsewhere();
    let model = model
        .process(move |world, _| maker(world, 0, lives))
        .process(move |world, _| maker(world, 1, lives))
        .process(|world, _| {
            world.steps().repair_channel_table();
            world.finish(2);
        })
        .process(move |world, _| model::helper(world, 3, helped));
    let model = model.may_die(mortal.iter().copied()).invariant(listed);
    model.at_end(move |world, outcome| well(world, outcome, room))
}

#[test]
fn the_table_leads_to_every_channel_while_it_is_repaired() {
    let most = most();
    holds(repaired("table: two makers, a repair, room for one", 1, &[], 1).max_states(most));
    holds(repaired("table: two makers, a repair, room for both", 2, &[], 1).max_states(most));
    holds(repaired("table: two makers, a repair, a maker dies", 2, &[0], 1).max_states(most));
    holds(repaired("table: two makers, a repair, the repairer dies", 2, &[2], 1).max_states(most));
}

#[test]
fn the_table_leads_to_every_channel() {
    let most = most();
    holds(table("table: two makers, room for one", 1, &[], 2, 2).max_states(most));
    holds(table("table: two makers, room for both", 2, &[], 2, 2).max_states(most));
    holds(table("table: two makers, one dies, room for one", 1, &[0], 3, 1).max_states(most));
    holds(table("table: two makers, one dies, two helpers, room for both", 2, &[0], 4, 1).max_states(most));
}

#[test]
fn an_entry_that_counts_only_from_the_channel_on_is_found() {
    without(Fault::EntryBeforeChannel, || {
        let model = table("table: entries of blocks to be are taken", 1, &[], 2, 1);
        fails(model, &["the table does not lead to"]);
        let model = repaired("table: entries of blocks to be are cleared", 2, &[], 1);
        fails(model.max_states(most()), &["the table does not lead to"]);
    });
}
