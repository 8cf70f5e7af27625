//! Slabs under every interleaving: owner, frees by others, retirement, adoption, deaths.
#![cfg(weyr_face = "explore")]

mod model;

use model::{THREE, TWO, World, fails, freer, helper, holds, model, most};
use weyr_atomic::explore::{Model, is_dead, wait_until};
use weyr_managed::heap::model::{Fault, without};
use weyr_managed::heap::word::PageState;

/// Allocates twice, gives the second away, frees the first, gives the page back if it is empty, allocates again.
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
    world.finish(0);
}

/// Takes whatever page it can get for another class.
fn taker(world: &World, process: usize) {
    let mut own = world.lane(process);
    for _ in 0..2 {
        world.alloc(&mut own, THREE);
    }
    world.finish(process);
}

fn recycled(name: &str, freers: usize) -> Model<World> {
    let mut model = model(name, &[], move || World::new(1, 2 + freers as u32))
        .process(|world, _| owner(world))
        .process(|world, _| taker(world, 1));
    for process in 2..2 + freers {
        model = model.process(move |world, _| freer(world, process, 0));
    }
    model.at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn owner_remote_free_and_another_class_never_share_a_block() {
    let most = most();
    holds(recycled("slab: owner, freer, other class", 1).max_states(most));
    holds(recycled("slab: owner, freer, other class; TSO", 1).tso(true).max_states(most));
}

#[test]
fn of_two_frees_of_one_block_one_is_granted() {
    let most = most();
    holds(recycled("slab: double free", 2).max_states(most));
    holds(recycled("slab: double free; TSO", 2).tso(true).max_states(most));
}

/// Process 0 dies anywhere in its program; two helpers, of which one may die.
fn dying(name: &str, tso: bool) -> Model<World> {
    model(name, &[0, 1], || World::new(1, 3))
        .process(|world, _| owner(world))
        .process(|world, _| helper(world, 1, 0))
        .process(|world, _| helper(world, 2, 0))
        .tso(tso)
        .at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn an_owner_that_dies_anywhere_is_recovered_by_any_number() {
    let most = most();
    holds(dying("slab: owner dies, two helpers of which one dies", false).max_states(most));
    holds(dying("slab: owner dies, two helpers of which one dies; TSO", true).max_states(most));
}

/// A world whose page is full, with blocks of process 0, both posted.
fn full_page(processes: u32) -> World {
    let mut world = World::new(1, processes);
    let mut own = world.lane(0);
    for place in [1, 0] {
        let block = world.alloc(&mut own, TWO).expect("a block of an empty heap");
        world.post(place, block);
    }
    world.lanes[0] = own;
    world
}

/// Frees a block of its own page, and is through; or dies before.
fn bereft(world: &World) {
    let mut own = world.lane(0);
    if let Some(kept) = world.receive(1, |_| false) {
        world.free_own(&mut own, kept);
    }
    world.finish(0);
}

/// Allocates what the dead left, and once `others` are through one block more: it is told of every free.
fn adopter(world: &World, process: usize, others: &[usize]) {
    let mut own = world.lane(process);
    wait_until("a page without owner", || {
        world.steps().page(0).state() == PageState::Orphan || world.is_over(0)
    });
    world.alloc(&mut own, TWO);
    wait_until("the others are through", || others.iter().all(|&other| world.is_over(other)));
    let told =
        world.steps().page(0).is_slab_of(process as u16) && !others[1..].iter().any(|&other| is_dead(other));
    assert!(world.alloc(&mut own, TWO).is_some() || !told, "the adopter was not told of a free");
    world.finish(process);
}

/// Owner, freer, adopter, and a helper of the owner.
fn bereaved(name: &str, processes: u32, mortal: &[usize], others: &'static [usize]) -> Model<World> {
    model(name, mortal, move || full_page(processes))
        .process(|world, _| bereft(world))
        .process(|world, _| freer(world, 1, 0))
        .process(|world, _| adopter(world, 2, others))
        .process(|world, _| helper(world, 3, 0))
        .at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn a_dead_owners_page_is_adopted_while_its_blocks_are_freed() {
    let most = most();
    for (tso, buffers) in [(false, ""), (true, "; TSO")] {
        let name = format!("slab: owner dies, helper, adopter, freer{buffers}");
        holds(bereaved(&name, 4, &[0], &[0, 1, 3]).tso(tso).max_states(most));
        let name = format!("slab: owner dies, two helpers of which one dies, adopter, freer{buffers}");
        let model = bereaved(&name, 5, &[0, 3], &[0, 1, 3, 4]).process(|world, _| helper(world, 4, 0));
        holds(model.tso(tso).max_states(most));
        let name = format!("slab: owner, freer and adopter die, a helper of owner and adopter each{buffers}");
        let model = bereaved(&name, 5, &[0, 1, 2], &[0, 1, 3]).process(|world, _| helper(world, 4, 2));
        holds(model.tso(tso).max_states(most));
    }
}

#[test]
fn a_freer_that_does_not_look_again_tells_nobody() {
    without(Fault::PageWordAgain, || {
        let model = bereaved("slab: page word not loaded again", 4, &[0], &[0, 1, 3]);
        fails(model, &["the adopter was not told"]);
    });
}
