//! Slabs under every interleaving: owner, frees by others, retirement, adoption, deaths.
#![cfg(weyr_face = "explore")]

mod model;

use model::{THREE, TWO, World, bound, holds, model};

/// Allocates twice, gives the second away, frees the first, retires the page if it is empty, allocates again.
fn owner(world: &World) {
    let mut own = world.lane(0);
    let first = world.alloc(&mut own, TWO);
    if let Some(second) = world.alloc(&mut own, TWO) {
        world.post(0, second);
    }
    if let Some(first) = first {
        world.free_own(&mut own, first);
    }
    world.steps().retire(&mut own, 0);
    world.alloc(&mut own, TWO);
}

/// Frees what the owner gave away.
fn freer(world: &World, process: usize) {
    let mut own = world.lane(process);
    let Some(block) = world.receive(0, |_| false) else { return };
    world.free_shared(&mut own, block);
}

/// Takes whatever page it can get for another class.
fn taker(world: &World, process: usize) {
    let mut own = world.lane(process);
    for _ in 0..2 {
        world.alloc(&mut own, THREE);
    }
}

#[test]
fn owner_remote_free_and_another_class_never_share_a_block() {
    for tso in [false, true] {
        holds(
            model(&format!("slab: owner, freer, taker, tso {tso}"), || World::new(1, 3))
                .process(|world, _| owner(world))
                .process(|world, _| freer(world, 1))
                .process(|world, _| taker(world, 2))
                .tso(tso)
                .max_states(bound(300_000, 20_000_000)),
        );
    }
}
