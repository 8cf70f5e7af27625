//! Who waits for memory and who frees, with store buffers: two of each, slices that end, deaths.
//!
//! What is freed is a word a freer, stored plainly as the owner of a slab does; the wait and the wake are the product's.
#![cfg(weyr_face = "explore")]

mod model;

use std::time::Duration;

use model::{World, fails, holds, named};
use weyr_atomic::explore::{self, Model, Woken};
use weyr_atomic::{AtomicU32, Ordering};
use weyr_managed::heap::model::{Fault, Parts, without};
use weyr_shared::fault;
use weyr_shared::{Awake, Futex};

/// Slices that end at any moment, or never.
struct Sleep {
    may_end: bool,
}

impl Futex for Sleep {
    fn wait(&self, word: &AtomicU32, expected: u32, _: Duration) -> Awake {
        let slept = if self.may_end { explore::futex_wait_timed } else { explore::futex_wait };
        match slept(word, expected) {
            Woken::ByWaker => Awake::Woken,
            Woken::ValueDiffered => Awake::Changed,
            Woken::TimedOut => Awake::TimedOut,
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        explore::futex_wake(word, count)
    }
}

/// What a waiter needs.
#[derive(Clone, Copy)]
enum Needs {
    Either,
    Both,
}

fn is_there(world: &World, needs: Needs) -> Option<()> {
    let mut free = world.posted.iter().map(|word| word.load(Ordering::Acquire) == 1);
    let enough = match needs {
        Needs::Either => free.any(|free| free),
        Needs::Both => free.all(|free| free),
    };
    enough.then_some(())
}

fn freer(world: &World, number: usize) {
    world.posted[number].store(1, Ordering::Release);
    world.steps().freed();
    world.finish(number);
}

/// Waits until it has what it needs; `tries` at most.
fn waiter(world: &World, process: usize, needs: Needs, futex: &Sleep, tries: u32) {
    let look = || {
        // Nothing is carried from one try to the next.
        explore::checkpoint(process as u64);
        world.steps().look_or_sleep(futex, &world.scheduler(), || is_there(world, needs))
    };
    if tries == 0 {
        while look().is_none() {}
    } else {
        let _gives_up = (0..tries)
            .find_map(|_| world.steps().look_or_sleep(futex, &world.scheduler(), || is_there(world, needs)));
    }
    world.finish(process);
}

const FOR_EVER: Sleep = Sleep { may_end: false };
const SLICES: Sleep = Sleep { may_end: true };

/// Processes 0 and 1 free; 2 and 3 wait, one for either and one for both. The first of them gives up after `tries`
/// slices, 0 never.
fn waiting(name: &str, mortal: &[usize], tries: u32) -> Model<World> {
    let parts = Parts { mortal: mortal.to_vec(), waiting: true, ..Parts::default() };
    named(name, parts, || World::new(1, 4))
        .process(|world, _| freer(world, 0))
        .process(|world, _| freer(world, 1))
        .process(move |world, _| {
            let futex = if tries == 0 { &FOR_EVER } else { &SLICES };
            waiter(world, 2, Needs::Either, futex, tries);
        })
        .process(|world, _| waiter(world, 3, Needs::Both, &FOR_EVER, 0))
        .may_die(mortal.iter().copied())
        .tso(true)
        .at_end(|world, outcome| world.settles(outcome))
}

#[test]
fn whoever_waits_is_woken_by_what_it_needs() {
    holds(waiting("waiting: two free, two wait; TSO", &[], 0));
}

#[test]
fn a_waiter_whose_slices_end_or_that_dies_takes_nobodys_wake() {
    holds(waiting("waiting: the slices of one end, and it gives up; TSO", &[], 2));
    holds(waiting("waiting: one waiter may die; TSO", &[2], 0));
}

#[test]
fn a_freer_that_dies_before_its_wake_is_borne_by_slices() {
    let dying = |name: &str, futex: &'static Sleep| {
        let parts = Parts { mortal: vec![0], waiting: true, ..Parts::default() };
        named(name, parts, || World::new(1, 2))
            .process(|world, _| freer(world, 0))
            .process(move |world, _| {
                // Served by what was freed; or nothing was, and nobody is left who could.
                let over = |world: &World| world.is_over(0) && is_there(world, Needs::Either).is_none();
                let attempt = |world: &World| is_there(world, Needs::Either).or(over(world).then_some(()));
                let look = || {
                    explore::checkpoint(1);
                    world.steps().look_or_sleep(futex, &world.scheduler(), || attempt(world))
                };
                while look().is_none() {}
                world.finish(1);
            })
            .may_die([0])
            .tso(true)
            .at_end(|world, outcome| world.settles(outcome))
    };
    holds(dying("waiting: the freer dies; TSO", &SLICES));
    fails(dying("waiting: the freer dies, no slices; TSO", &FOR_EVER), &["block", "asleep"]);
}

#[test]
fn each_step_left_out_loses_a_wake() {
    let parts = ["block", "asleep"];
    for step in [Fault::TryBehindArming, Fault::BarrierBehindArming] {
        without(step, || fails(waiting(&format!("waiting: without {step:?}; TSO"), &[], 0), &parts));
    }
    for wrong in [&[fault::Fault::DisarmKeepsSequence], &[fault::Fault::OneWakeForAll]] {
        fault::choose(wrong);
        fails(waiting(&format!("waiting: {wrong:?}; TSO"), &[], 0), &parts);
        fault::choose(&[]);
    }
}
