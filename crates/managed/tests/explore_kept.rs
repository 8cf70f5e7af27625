//! Spans that a lane keeps, under every interleaving: taken back by it, taken from it, left by its death.
#![cfg(weyr_face = "explore")]

mod model;

use model::{World, fails, helper, holds, model, most};
use weyr_atomic::explore::Model;
use weyr_managed::heap::model::{Fault, without};

/// Allocates two pages, frees them, which keeps them, and does so again.
fn keeper(world: &World) {
    let mut own = world.lane(0);
    world.steps().keep_up_to(&mut own, 2);
    for _ in 0..2 {
        if let Some(block) = world.alloc_span(&mut own, 0, 2) {
            world.free_own(&mut own, block);
        }
    }
    world.finish(0);
}

/// Takes what is kept at page 0, then allocates `count` pages from `page` on, which it keeps when it frees them.
fn taker(world: &World, page: u64, count: u64) {
    let mut own = world.lane(1);
    world.steps().keep_up_to(&mut own, 2);
    world.steps().release_kept(&own, 0);
    if let Some(block) = world.alloc_span(&mut own, page, count) {
        world.free_own(&mut own, block);
    }
    world.finish(1);
}

/// The keeper is process 0, the taker 1; behind them a helper of each in `helped`.
fn keeping(name: &str, mortal: &[usize], helped: &'static [usize]) -> Model<World> {
    let processes = 2 + helped.len() as u32;
    let mut model = model(name, mortal, move || World::new(3, processes))
        .process(|world, _| keeper(world))
        .process(|world, _| taker(world, 1, 2));
    for (index, &dead) in helped.iter().enumerate() {
        model = model.process(move |world, _| helper(world, 2 + index, dead));
    }
    model.at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn a_kept_span_is_had_by_one() {
    for (tso, buffers) in [(false, ""), (true, "; TSO")] {
        let name = format!("kept: its lane and one that is short of pages{buffers}");
        holds(keeping(&name, &[], &[]).tso(tso).max_states(most()));
    }
}

#[test]
fn whoever_keeps_or_takes_a_span_may_die() {
    for (tso, buffers) in [(false, ""), (true, "; TSO")] {
        let name = format!("kept: its lane dies, a helper{buffers}");
        holds(keeping(&name, &[0], &[0]).tso(tso).max_states(most()));
        let name = format!("kept: both die, a helper each{buffers}");
        holds(keeping(&name, &[0, 1], &[0, 1]).tso(tso).max_states(most()));
        let name = format!("kept: its lane dies, two helpers of which one dies{buffers}");
        holds(keeping(&name, &[0, 2], &[0, 0]).tso(tso).max_states(most()));
    }
}

#[test]
fn without_the_generation_base_a_reference_comes_back() {
    without(Fault::BaseOfKept, || {
        let model = keeping("kept: the generation base stays", &[], &[]);
        fails(model, &["issued twice", "generations never return"]);
    });
}
