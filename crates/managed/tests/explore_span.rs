//! Spans under every interleaving: overlapping claims, frees, deaths, late helpers, generations over a page's lives.
#![cfg(weyr_face = "explore")]

mod model;

use model::{
    Scheduler, TWO, World, fails, fails_in_some_order, freer, full, growing_heap, helper, holds, model, most,
    named,
};
use weyr_atomic::explore::{Model, choose, wait_until};
use weyr_managed::heap::lane::LaneHeap;
use weyr_managed::heap::model::{Fault, Parts, without};
use weyr_managed::heap::recovery::NoChannels;
use weyr_managed::heap::word::{PageState, SlotState};

/// Allocates `count` pages from `page` on, or where they are, and frees them.
fn span(world: &World, process: usize, page: u64, count: u64) {
    let mut own = world.lane(process);
    if let Some(block) = world.alloc_span(&mut own, page, count) {
        world.free_own(&mut own, block);
    }
    world.finish(process);
}

fn overlapping(name: &str, pages: u64, spans: &[(u64, u64)]) -> Model<World> {
    let processes = spans.len() as u32;
    let mut model = model(name, &[], move || World::new(pages, processes));
    for (process, &(page, count)) in spans.iter().enumerate() {
        model = model.process(move |world, _| span(world, process, page, count));
    }
    model.at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn overlapping_spans_are_never_shared_and_no_free_page_is_hidden() {
    let most = most();
    for (tso, buffers) in [(false, ""), (true, "; TSO")] {
        let name = format!("span: two overlapping claims and frees{buffers}");
        holds(overlapping(&name, 3, &[(0, 2), (1, 2)]).tso(tso).max_states(most));
        let name = format!("span: three overlapping claims and frees{buffers}");
        holds(overlapping(&name, 4, &[(0, 3), (1, 2), (2, 2)]).tso(tso).max_states(most));
    }
}

#[test]
fn without_a_second_look_a_free_page_is_hidden() {
    without(Fault::SecondLook, || {
        fails(overlapping("span: no second look", 3, &[(0, 2), (1, 2)]), &["free pages are hidden"]);
    });
}

/// Process 0 claims and frees, and may die; another claims what overlaps; helpers as `helpers` says of whom.
fn dying(name: &str, mortal: &[usize], helpers: &[usize]) -> Model<World> {
    let processes = 2 + helpers.len() as u32;
    let mut model = model(name, mortal, move || World::new(3, processes))
        .process(|world, _| span(world, 0, 0, 2))
        .process(|world, _| span(world, 1, 1, 2));
    for (index, helped) in helpers.iter().copied().enumerate() {
        model = model.process(move |world, _| helper(world, 2 + index, helped));
    }
    model.at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn a_claim_or_free_that_dies_is_finished_by_any_number() {
    let most = most();
    for (tso, buffers) in [(false, ""), (true, "; TSO")] {
        let name = format!("span: claim or free dies, a helper, a second claimer{buffers}");
        holds(dying(&name, &[0], &[0]).tso(tso).max_states(most));
        let name =
            format!("span: claim or free dies, two helpers of which one dies, a second claimer{buffers}");
        holds(dying(&name, &[0, 2], &[0, 0]).tso(tso).max_states(most));
    }
}

/// Process 0 has claimed two pages when it dies; two help, and another claims the second of them and keeps it.
fn beside(name: &str) -> Model<World> {
    let build = || {
        let world = World::new(3, 4);
        assert!(world.steps().claim_run(&world.lane(0), 0, 2));
        world
    };
    model(name, &[0], build)
        .process(|_, _| wait_until("its end", || false))
        .process(|world, _| helper(world, 1, 0))
        .process(|world, _| {
            let mut own = world.lane(2);
            wait_until("the tail is free", || world.steps().page(1).state() == PageState::Free);
            world.alloc_span(&mut own, 1, 2);
            world.finish(2);
        })
        .process(|world, _| helper(world, 3, 0))
        .at_end(|world, outcome| if outcome.dead(0) { world.settles(outcome) } else { Ok(()) })
}

#[test]
fn nobody_frees_the_tails_of_another_head() {
    holds(beside("span: a claim that died, two helpers, a claimer of its tail").max_states(most()));
    without(Fault::TailDistance, || {
        let model = |order| beside(&format!("span: tails without distance, order {order}"));
        fails_in_some_order(model, 17, &["heads and tails agree"]);
    });
}

/// Process 0 claims and frees two pages, and dies; nobody else claims.
fn alone(name: &str) -> Model<World> {
    model(name, &[0, 1], || World::new(2, 3))
        .process(|world, _| span(world, 0, 0, 2))
        .process(|world, _| helper(world, 1, 0))
        .process(|world, _| helper(world, 2, 0))
        .at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn a_page_left_after_one_look_stays_claimed() {
    holds(alone("span: claim or free dies, two helpers of which one dies").max_states(most()));
    without(Fault::PageSeenClean, || {
        fails(
            alone("span: a page is left after one look"),
            &["nothing is left half done", "actors are lanes in use"],
        );
    });
}

/// Takes the slot and lane of process 0 when they are free again, and allocates.
fn successor(world: &World, process: usize) {
    let steps = world.steps();
    wait_until("the slot is free", || {
        world.heap.process_word(0).state() == SlotState::Free || world.is_over(0) && world.is_over(1)
    });
    if world.heap.process_word(0).state() == SlotState::Free {
        steps.join(0, process as u32 + 1);
        let mut own: LaneHeap = steps.lane(0, 0);
        let block = steps.alloc_span_from(&mut own, 0, 2);
        world.note_as(process, block, 2 << 12);
        if let Some(block) = block {
            world.free_own(&mut own, block);
        }
    }
    world.finish(process);
}

fn reused(name: &str) -> Model<World> {
    model(name, &[0], || World::new(2, 4))
        .process(|world, _| span(world, 0, 0, 2))
        .process(|world, _| helper(world, 1, 0))
        .process(|world, _| helper(world, 2, 0))
        .process(|world, _| successor(world, 3))
        .at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn a_late_helper_leaves_the_next_user_of_slot_and_lane_alone() {
    let most = most();
    holds(reused("span: late helper while slot and lane are used again").max_states(most));
    holds(reused("span: late helper while slot and lane are used again; TSO").tso(true).max_states(most));
    without(Fault::Authority, || {
        let model = reused("span: helpers do not ask whom they help").max_states(20_000_000);
        fails(model, &["overlaps", "is no tail", "could not be freed", "known", "issued twice", "head"]);
    });
}

/// Allocates a span and gives it away.
fn giver(world: &World) {
    let mut own = world.lane(0);
    if let Some(block) = world.alloc_span(&mut own, 0, 2) {
        world.post(0, block);
    }
    world.finish(0);
}

#[test]
fn a_span_freed_by_another_survives_the_death_of_either_or_both() {
    let most = most();
    let freed = |name: &str, mortal: &[usize], processes: u32| {
        model(name, mortal, move || World::new(2, processes))
            .process(|world, _| giver(world))
            .process(|world, _| freer(world, 1, 0))
            .process(|world, _| helper(world, 2, 0))
            .process(|world, _| helper(world, 3, 1))
            .at_end(|world, outcome| world.settles(outcome))
    };
    for (tso, buffers) in [(false, ""), (true, "; TSO")] {
        let name = format!("span: freed by another, both may die, a helper each{buffers}");
        holds(freed(&name, &[0, 1], 4).tso(tso).max_states(most));
        let name = format!("span: freed by another, both and a helper may die, a second helper{buffers}");
        let model = freed(&name, &[0, 1, 2], 5).process(|world, _| helper(world, 4, 0));
        holds(model.tso(tso).max_states(most));
    }
}

/// Frees what was given, and claims the same pages again for itself.
fn freer_again(world: &World) {
    let mut own = world.lane(1);
    if let Some(block) = world.receive(0, |world| world.is_over(0)) {
        world.free_shared(&mut own, block);
    }
    world.alloc_span(&mut own, 0, 2);
    world.finish(1);
}

#[test]
fn a_freer_that_claims_the_pages_again_keeps_them() {
    let most = most();
    for (tso, buffers) in [(false, ""), (true, "; TSO")] {
        let name = format!("span: freed by another who claims again, all may die, a second helper{buffers}");
        let model = model(&name, &[0, 1, 2], || World::new(2, 5))
            .process(|world, _| giver(world))
            .process(|world, _| freer_again(world))
            .process(|world, _| helper(world, 2, 0))
            .process(|world, _| helper(world, 3, 1))
            .process(|world, _| helper(world, 4, 0))
            .at_end(|world, outcome| world.settles(outcome));
        holds(model.tso(tso).max_states(most));
    }
}

/// One life of pages 0 to 3: a slab of one or of four pages, or a span; then all of it is given back.
fn life(world: &World, own: &mut LaneHeap, kind: u32, page: u64) {
    const SMALL: usize = 7;
    let steps = world.steps();
    steps.look_from(own, page);
    let blocks: Vec<_> = match kind {
        0 => (0..2).filter_map(|_| world.alloc(own, SMALL)).collect(),
        1 => (0..3).filter_map(|_| world.alloc(own, TWO)).collect(),
        _ => world.alloc_span(own, page, 1).into_iter().collect(),
    };
    blocks.into_iter().for_each(|block| world.free_own(own, block));
    for page in 0..2 {
        steps.retire(own, page);
    }
}

#[test]
fn no_reference_is_issued_twice_over_the_lives_of_a_page() {
    let lives_in_a_row = if full() { 6 } else { 4 };
    let lives = move |name: &str| {
        model(name, &[], || World::new(64, 1))
            .process(move |world, _| {
                let mut own = world.lane(0);
                for _ in 0..lives_in_a_row {
                    life(world, &mut own, choose(3), choose(2).into());
                }
                world.finish(0);
            })
            .at_end(|world, outcome| world.settles(outcome))
    };
    holds(lives("generations: slabs of one and of four pages, and spans"));
    for step in [Fault::GenerationBase, Fault::BaseOfEveryPage] {
        without(step, || {
            fails(lives(&format!("generations: without {step:?}")), &["issued twice", "never return"])
        });
    }
}

/// Adds a segment where the object is long enough already.
fn grow(world: &World) -> bool {
    world.heap.add_segment(|_| Ok(())).expect("nothing is extended")
}

fn grower(world: &World, process: usize) {
    let mut own = world.lane(process);
    let liveness = Scheduler { processes: 0, ..world.scheduler() };
    let page = world.steps().alloc_pressed(&mut own, 1 << 12, &liveness, &NoChannels, || grow(world));
    assert!(page.is_some(), "there was a page for each");
    world.note(&own, page, 1 << 12);
    world.finish(process);
}

#[test]
fn two_that_grow_a_pool_both_get_what_they_wanted() {
    let build = || World::over(growing_heap(1, 2, 3));
    let model = named("growth: two growers of a pool", Parts { growth: true, ..Parts::default() }, build)
        .process(|world, _| grower(world, 0))
        .process(|world, _| grower(world, 1))
        .spin_patience(4)
        .at_end(|world, outcome| world.settles(outcome));
    holds(model.max_states(most()));
}
