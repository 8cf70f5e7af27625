//! Spans that grow and shrink where they lie, beside who wants the same pages, and deaths anywhere in between.
#![cfg(weyr_face = "explore")]

mod model;

use model::{Scheduler, World, fails, helper, holds, model, most, named};
use weyr_atomic::explore::{Model, Outcome, is_dead, wait_until};
use weyr_managed::BlockReference;
use weyr_managed::heap::lane::LaneHeap;
use weyr_managed::heap::model::{Fault, Parts, without};
use weyr_managed::heap::recovery::NoChannels;

/// Resizes a span to `pages` pages; what it has is known to the oracle before it has less and behind it has more.
fn resize(world: &World, own: &mut LaneHeap, block: BlockReference, from: u64, pages: u64) -> bool {
    let process = usize::from(own.lane());
    if pages < from {
        world.issued.update(|issued| issued.resize(block, pages << 12, process));
    }
    let done = world.steps().resize(own, block, pages << 12);
    if done && pages > from {
        world.issued.update(|issued| issued.resize(block, pages << 12, process));
    }
    done
}

/// Claims a page, makes it three, then two, and frees them.
fn resizer(world: &World) {
    let mut own = world.lane(0);
    if let Some(block) = world.alloc_span(&mut own, 0, 1) {
        let grown = resize(world, &mut own, block, 1, 3);
        let has = if grown { 3 } else { 1 };
        if grown {
            assert!(resize(world, &mut own, block, has, 2), "a span did not shrink");
        }
        world.free_own(&mut own, block);
    }
    world.finish(0);
}

/// Claims and frees the page that the other one wants first.
fn neighbour(world: &World, process: usize) {
    let mut own = world.lane(process);
    if let Some(block) = world.alloc_span(&mut own, 1, 1) {
        world.free_own(&mut own, block);
    }
    world.finish(process);
}

fn resized(name: &str, mortal: &[usize], helpers: usize, beside: bool) -> Model<World> {
    let processes = 1 + helpers as u32 + u32::from(beside);
    let mut model = model(name, mortal, move || World::new(3, processes)).process(|world, _| resizer(world));
    for process in 1..=helpers {
        model = model.process(move |world, _| helper(world, process, 0));
    }
    if beside {
        model = model.process(move |world, _| neighbour(world, 1 + helpers));
    }
    model.at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn a_resize_and_who_claims_the_same_pages_never_share_any() {
    for (tso, buffers) in [(false, ""), (true, "; TSO")] {
        let name = format!("resize: grow, shrink and free, a claimer{buffers}");
        holds(resized(&name, &[], 0, true).tso(tso).max_states(most()));
    }
}

#[test]
fn a_resize_that_dies_is_finished_by_any_number() {
    let most = most();
    for (tso, buffers) in [(false, ""), (true, "; TSO")] {
        let name = format!("resize: dies anywhere, two helpers of which one dies{buffers}");
        holds(resized(&name, &[0, 1], 2, false).tso(tso).max_states(most));
        let name = format!("resize: dies anywhere, a helper, a claimer{buffers}");
        holds(resized(&name, &[0], 1, true).tso(tso).max_states(most));
        let name = format!("resize: dies anywhere, two helpers of which one dies, a claimer{buffers}");
        holds(resized(&name, &[0, 1], 2, true).tso(tso).max_states(most));
    }
}

/// Lane 0 is a thread's of process 0, which lives on with lane 1 of its other thread.
fn threads() -> World {
    let mut world = World::new(3, 4);
    world.heap.release_lane(world.lane(0));
    world.lanes[0] = world.steps().lane(0, 1);
    world.heap.release_lane(world.lane(1));
    world.lanes[1] = world.steps().lane(0, 0);
    world
}

/// Has a span, makes it longer, and ends somewhere in that.
fn ending(world: &World) {
    let mut own = world.lane(0);
    if let Some(block) = world.steps().alloc_span_from(&mut own, 0, 1) {
        world.post(0, block);
        world.steps().resize(&mut own, block, 2 << 12);
    }
    wait_until("its end", || false);
}

fn undertaker(world: &World, process: usize) {
    let mut own = world.lane(process);
    wait_until("an end", || is_dead(0));
    let liveness = Scheduler { threads: true, ..world.scheduler() };
    world.heap.recover_dead(&mut own, &liveness, &NoChannels);
    world.finish(process);
}

/// The other thread, which goes on with the span: makes it as long as it can, and looks whether it stays so.
fn heir(world: &World) {
    let mut own = world.lane(1);
    if let Some(block) = world.receive(0, |world| is_dead(0) || world.is_over(0)) {
        wait_until("its owner is through", || is_dead(0));
        if world.steps().resize(&mut own, block, 3 << 12) {
            wait_until("the others are through", || world.is_over(2) && world.is_over(3));
            assert!(world.steps().is_whole(block), "somebody freed a page of a span in use");
        }
    }
    world.finish(1);
}

fn handed_on(name: &str) -> Model<World> {
    named(name, Parts { mortal: vec![0, 2], threads: true, ..Parts::default() }, threads)
        .process(|world, _| ending(world))
        .process(|world, _| heir(world))
        .process(|world, _| undertaker(world, 2))
        .process(|world, _| undertaker(world, 3))
        .may_die([0])
        .at_end(|_: &World, outcome: &Outcome| {
            if outcome.finished(2) && !outcome.finished(1) {
                return Err(format!("the heir is stuck: {outcome}"));
            }
            Ok(())
        })
}

#[test]
fn a_late_helper_of_a_resize_leaves_the_next_resize_of_the_span_alone() {
    holds(handed_on("resize: a thread ends in it, another resizes again, two helpers").max_states(most()));
    without(Fault::ResizeStillGoesOn, || {
        let model = handed_on("resize: helpers do not ask whether it still goes on").max_states(20_000_000);
        fails(model, &["somebody freed a page"]);
    });
}
