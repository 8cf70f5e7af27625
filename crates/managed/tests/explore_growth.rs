//! The limit of growth under every interleaving of those who grow a pool and those who set it.
#![cfg(weyr_face = "explore")]

mod model;

use model::{World, fails, growing_heap, holds, most, named};
use weyr_atomic::explore::Model;
use weyr_managed::heap::growth::{Bound, SegmentsWord};
use weyr_managed::heap::model::{Fault, Parts, without};

/// Adds segments as long as it may.
fn grower(world: &World, process: usize) {
    while world.heap.add_segment(|_| Ok(())).expect("nothing is extended") {}
    world.finish(process);
}

/// Sets a limit, unless there are more segments already.
fn setter(world: &World, process: usize, limit: u64) {
    let decide = |word: SegmentsWord| match word.segments() <= limit {
        true => Ok(Some(Bound::Segments(limit))),
        false => Err(()),
    };
    let _larger_already = world.heap.bound_segments(decide);
    world.finish(process);
}

/// Never more segments than the limit says, and as many when a grower came to its end.
fn is_within(world: &World) -> Result<(), String> {
    let word = world.heap.segments();
    let limit = word.limit().unwrap_or(4);
    if word.segments() == limit {
        Ok(())
    } else {
        Err(format!("{} segments, limit {limit}", word.segments()))
    }
}

/// A pool of one segment that may have four.
fn growing(name: &str, limits: &'static [u64]) -> Model<World> {
    let processes = 1 + limits.len() as u32;
    let parts = Parts { growth: true, ..Parts::default() };
    let mut model = named(name, parts, move || World::over(growing_heap(1, 4, processes + 1)));
    for (process, limit) in limits.iter().copied().enumerate() {
        model = model.process(move |world, _| setter(world, process, limit));
    }
    let last = limits.len();
    model.process(move |world, _| grower(world, last)).at_end(|world, outcome| {
        outcome.nobody_blocked()?;
        is_within(world)
    })
}

#[test]
fn nobody_grows_beyond_a_limit_that_was_set() {
    holds(growing("growth: a limit and a grower", &[2]).max_states(most()));
    // The last grower may have come to its end under the lower limit.
    holds(growing("growth: two limits of one height and a grower", &[2, 2]).max_states(most()));
}

#[test]
fn a_limit_on_what_was_not_judged_is_passed() {
    without(Fault::LimitOfWhatWasSeen, || {
        fails(growing("growth: a limit on another number", &[2]), &["segments, limit"]);
    });
}
