//! Idle lanes give their slabs up, with store buffers: owner, two revokers of which one dies.
#![cfg(weyr_face = "explore")]

mod model;

use model::{Scheduler, TWO, World, fails, holds, most, named};
use weyr_atomic::explore::Model;
use weyr_managed::heap::model::{Fault, Parts, without};

/// A page of process 0 with a free block at hand.
fn idle(processes: u32) -> World {
    let mut world = World::new(1, processes);
    let mut own = world.lane(0);
    let block = world.alloc(&mut own, TWO).expect("a block of an empty heap");
    world.free_own(&mut own, block);
    world.lanes[0] = own;
    world
}

/// Allocates, frees, and allocates again.
fn owner(world: &World) {
    let mut own = world.lane(0);
    if let Some(block) = world.alloc(&mut own, TWO) {
        world.free_own(&mut own, block);
    }
    world.alloc(&mut own, TWO);
    world.finish(0);
}

/// Takes what idle lanes have, and allocates from it.
fn revoker(world: &World, process: usize, barrier: bool) {
    let mut own = world.lane(process);
    world.steps().revoke(&mut own, &Scheduler { barrier, ..world.scheduler() });
    world.alloc(&mut own, TWO);
    world.alloc(&mut own, TWO);
    world.finish(process);
}

fn revoked(name: &str, mortal: &[usize], revokers: usize, barrier: bool) -> Model<World> {
    let parts = Parts { mortal: mortal.to_vec(), revocation: true, ..Parts::default() };
    let mut model = named(name, parts, move || idle(1 + revokers as u32)).process(|world, _| owner(world));
    for process in 1..=revokers {
        model = model.process(move |world, _| revoker(world, process, barrier));
    }
    model.may_die(mortal.iter().copied()).tso(true).at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn an_idle_lane_gives_its_slab_up_and_an_active_one_keeps_it() {
    let most = most();
    holds(revoked("revocation: one revoker; TSO", &[], 1, true).max_states(most));
    holds(revoked("revocation: owner and revoker may die; TSO", &[0, 1], 1, true).max_states(most));
    holds(revoked("revocation: two revokers of which one dies; TSO", &[1], 2, true).max_states(most));
}

#[test]
fn without_the_barrier_owner_and_revoker_have_one_block() {
    fails(revoked("revocation: no barrier; TSO", &[], 1, false), &["overlaps", "issued twice"]);
}

#[test]
fn without_the_operation_word_or_the_look_at_the_flag_they_do_too() {
    for step in [Fault::OperationWord, Fault::FlagStillStands] {
        without(step, || {
            let model = revoked(&format!("revocation: without {step:?}; TSO"), &[], 1, true);
            fails(model.max_states(20_000_000), &["overlaps", "issued twice", "could not be freed"]);
        });
    }
}
