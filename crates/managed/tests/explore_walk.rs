//! Larger mixes on the heap, in schedules that a seed draws: six processes that allocate, free and hand over, of which
//! some are killed, in a pool that is too small for all of them.
//!
//! `WEYR_MODEL=full` draws more; `WEYR_SEED` (a number) draws others.
#![cfg(weyr_face = "explore")]

mod model;

use model::{THREE, TWO, World, fails, full, helper, model};
use weyr_atomic::explore::Model;
use weyr_managed::heap::model::{Fault, without};

/// Several times: allocates blocks of both classes and a span, and frees them; the first block is handed over.
fn worker(world: &World, process: usize, place: usize) {
    let mut own = world.lane(process);
    for round in 0..3 {
        let blocks = [TWO, THREE].map(|class| world.alloc(&mut own, class));
        let span = world.alloc_span(&mut own, round % 2, 1 + round % 2);
        match blocks[0] {
            Some(block) if round == 0 => world.post(place, block),
            Some(block) => world.free_own(&mut own, block),
            None => {}
        }
        if let Some(block) = span {
            world.free_shared(&mut own, block);
        }
        if let Some(block) = blocks[1] {
            world.free_own(&mut own, block);
        }
    }
    world.finish(process);
}

/// Frees what is handed over at a place, and allocates in between.
fn freer(world: &World, process: usize, giver: usize, place: usize) {
    let mut own = world.lane(process);
    let kept = world.alloc(&mut own, THREE);
    if let Some(block) = world.receive(place, |world| world.is_over(giver)) {
        world.free_shared(&mut own, block);
    }
    if let Some(block) = kept {
        world.free_own(&mut own, block);
    }
    world.finish(process);
}

/// Two who hand over, three who free what they get, of whom two free the same block, and one who may help the first.
fn mix(name: &str, pages: u64, mortal: &'static [usize], tso: bool) -> Model<World> {
    model(name, mortal, move || World::new(pages, 6))
        .process(|world, _| worker(world, 0, 0))
        .process(|world, _| worker(world, 1, 1))
        .process(|world, _| freer(world, 2, 0, 0))
        .process(|world, _| freer(world, 3, 0, 0))
        .process(|world, _| freer(world, 4, 1, 1))
        .process(|world, _| helper(world, 5, 0))
        .tso(tso)
        .at_end(|world, outcome| world.settles(outcome))
}

fn seed() -> u64 {
    std::env::var("WEYR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

#[expect(clippy::print_stdout, reason = "the number of schedules is the result")]
fn assert_walked(model: Model<World>) {
    let walks = if full() { 20_000 } else { 400 };
    let report = model.walks(walks, seed()).run();
    println!("{report}");
    report.assert_walked(walks);
}

#[test]
fn six_processes_share_one_small_pool() {
    assert_walked(mix("heap: six", 3, &[], false));
    assert_walked(mix("heap: six; TSO", 3, &[], true));
}

#[test]
fn some_of_six_may_die_anywhere() {
    assert_walked(mix("heap: six, two die", 3, &[0, 1, 2, 3], false).deaths(2));
    assert_walked(mix("heap: six, all but one may die", 3, &[0, 1, 2, 3, 5], false));
    assert_walked(mix("heap: six, two die; TSO", 3, &[0, 1, 2, 3], true).deaths(2));
}

#[test]
fn what_is_broken_is_found_by_chance_too() {
    let mix = || mix("broken", 3, &[0, 1, 2, 3, 5], false).walks(6_000, 1);
    without(Fault::GenerationBase, || fails(mix(), &["issued twice"]));
}
