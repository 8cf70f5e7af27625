//! Threads that end while their process lives: their lanes are recovered, once, and given to others.
#![cfg(weyr_face = "explore")]

mod model;

use model::{Scheduler, TWO, World, fails, holds, most, named};
use weyr_atomic::explore::{Model, Outcome, is_dead, wait_until};
use weyr_managed::heap::model::{Fault, Parts, without};
use weyr_managed::heap::recovery::NoChannels;
use weyr_managed::heap::verify::Mode;
use weyr_managed::heap::word::{PageState, SlotState};

fn liveness(world: &World) -> Scheduler {
    Scheduler { threads: true, ..world.scheduler() }
}

/// Lane 0 is a thread's that is known by its id: the model's process 0.
fn threads() -> World {
    let mut world = World::new(1, 4);
    world.heap.release_lane(world.lane(0));
    world.lanes[0] = world.steps().lane(0, 1);
    world
}

/// Allocates, and ends with its lane in use.
fn thread(world: &World) {
    let mut own = world.lane(0);
    world.alloc(&mut own, TWO);
    wait_until("its end", || false);
}

fn helper(world: &World, process: usize) {
    let mut own = world.lane(process);
    wait_until("an end", || is_dead(0));
    world.heap.recover_dead(&mut own, &liveness(world), &NoChannels);
    world.finish(process);
}

/// Takes lane 0 when it is free again, and has it to the end.
fn newcomer(world: &World) {
    let steps = world.steps();
    wait_until("a free lane", || steps.lane_word(0).state() == SlotState::Free);
    let mut own = steps.lane(0, 4);
    let word = steps.lane_word(0);
    world.alloc(&mut own, TWO);
    wait_until("the helpers are through", || world.is_over(1) && world.is_over(2));
    assert_eq!(steps.lane_word(0), word, "the lane of a living thread was recovered");
    world.finish(3);
}

fn ended(name: &str, mortal: &[usize]) -> Model<World> {
    named(name, Parts { mortal: vec![0, 1], threads: true, ..Parts::default() }, threads)
        .process(|world, _| thread(world))
        .process(|world, _| helper(world, 1))
        .process(|world, _| helper(world, 2))
        .process(|world, _| newcomer(world))
        .may_die(mortal.iter().copied())
        .at_end(well)
}

/// Where the thread ended and a helper is through, the lane is somebody else's or free, and its page is not stuck.
fn well(world: &World, outcome: &Outcome) -> Result<(), String> {
    let helped = outcome.finished(1) || outcome.finished(2);
    if helped && !outcome.finished(3) {
        return Err(format!("the lane was never free again: {outcome}"));
    }
    let page = world.steps().page(0);
    let stuck = page.state() == PageState::Claim || page.is_slab_of(0) && !outcome.finished(3);
    if helped && stuck {
        return Err(format!("the page is still the dead thread's: {:?}", page.state()));
    }
    let verification = world.heap.verify(Mode::Quiesced);
    if !helped || verification.holds() { Ok(()) } else { Err(format!("{:?}", verification.findings)) }
}

#[test]
fn a_lane_is_recovered_from_the_thread_that_ended_and_from_nobody_else() {
    let most = most();
    holds(ended("thread: ends anywhere, two helpers, the lane's next user", &[0]).max_states(most));
    holds(
        ended("thread: ends anywhere, two helpers, the lane's next user; TSO", &[0])
            .tso(true)
            .max_states(most),
    );
    holds(ended("thread: ends anywhere, two helpers of which one dies", &[0, 1]).max_states(most));
}

#[test]
fn a_lane_is_taken_from_its_next_user_where_the_former_one_is_asked_about() {
    without(Fault::ThreadOfThisLife, || {
        let model = ended("thread: of another life of the lane", &[0]).max_states(20_000_000);
        fails(model, &["the lane of a living thread was recovered", "which nobody has"]);
    });
}
