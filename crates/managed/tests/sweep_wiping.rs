//! Death, and a stop, at the machine instructions of what frees memory of a pool that wipes it.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;
mod swept;
mod wiped;

use scratch::{after, assert_sound, kill, wait_for_death};
use swept::{Ground, open, warm};
use weyr_kill::{Choice, FileSegment, Moment, Point, Rendezvous, Sweep, child};
use weyr_managed::{Allocation, Pool};
use wiped::{assert_wiped, filled};

fn ground(name: &str) -> Ground {
    Ground::of(name, |attributes| attributes.zero_on_free(true))
}

/// With published blocks of these sizes, whose owner has left.
fn with_published(name: &str, sizes: &[u64]) -> Ground {
    let mut ground = ground(name);
    let pool = ground.attach();
    for &bytes in sizes {
        let published = filled(&pool, bytes).publish().unwrap();
        ground.published.push((published.reference(), bytes));
    }
    ground
}

/// What the others find: what is not there is zero.
fn look(ground: &Ground, point: &Point) -> Result<(), String> {
    let pool = ground.attach();
    if point.moment == Moment::Stopped {
        return swept::go_on(&pool);
    }
    pool.recover();
    let left: Vec<_> = ground.published.iter().filter_map(|block| open(&pool, *block)).collect();
    assert_sound(&pool, left.len() as u64);
    left.into_iter().for_each(|block| block.free().unwrap());
    assert_wiped(&pool);
    Ok(())
}

fn sweep<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    swept::kill_and_stop(name, ground, floor, prepare, operate, |point| look(ground, point));
}

fn with_one(bytes: u64) -> impl Fn(&Ground) -> (Pool, Option<Allocation>) {
    move |ground| {
        let pool = warm(ground);
        let memory = filled(&pool, bytes);
        (pool, Some(memory))
    }
}

#[test]
fn free_of_own_memory() {
    for (name, bytes) in [("wipe, own block", 100), ("wipe, own span", 3 << 12)] {
        let ground = ground("own");
        sweep(name, &ground, 4, with_one(bytes), |held| drop(held.1.take()));
    }
    let ground = ground("shrunk");
    let shrink = |held: &mut (Pool, Option<Allocation>)| held.1.as_mut().unwrap().resize(1 << 12).unwrap();
    sweep("wipe, cut off", &ground, 8, with_one(3 << 12), shrink);
}

#[test]
fn free_of_the_pools_memory() {
    let ground = with_published("published", &[100, 2 << 12]);
    for (name, index) in [("wipe, published block", 0), ("wipe, published span", 1)] {
        let opened = |ground: &Ground| {
            let pool = warm(ground);
            let block = open(&pool, ground.published[index]);
            (pool, block)
        };
        sweep(name, &ground, 5, opened, |held| drop(held.1.take().map(|block| block.free())));
    }
}

/// Attached; and then one died who held a block and a span.
fn beside_a_dead_one(ground: &Ground) -> Pool {
    let pool = warm(ground);
    let met = Rendezvous::new().unwrap();
    let (victim, _) = after(&met, || {
        let pool = ground.attach();
        [100, 2 << 12].iter().for_each(|&size| std::mem::forget(filled(&pool, size)));
        0
    });
    kill(victim);
    pool
}

#[test]
fn recovery_of_what_the_dead_had() {
    let ground = ground("recovery");
    let recover = |pool: &mut Pool| {
        pool.recover();
    };
    sweep("wipe, recovery", &ground, 10, beside_a_dead_one, recover);
}

/// The tables are full of the dead, who had a block and a span each.
fn among_the_dead(ground: &Ground) {
    let met: Vec<_> = (0..2).map(|_| Rendezvous::new().unwrap()).collect();
    let victims: Vec<_> = met
        .iter()
        .map(|met| {
            let victim = child::spawn(|| {
                let pool = ground.attach();
                [100, 2 << 12].iter().for_each(|&size| std::mem::forget(filled(&pool, size)));
                met.post().unwrap();
                wait_for_death();
            });
            let victim = victim.unwrap();
            met.wait_from(&victim).unwrap();
            victim
        })
        .collect();
    victims.into_iter().for_each(kill);
}

#[test]
fn inheritance_from_the_dead() {
    let ground = Ground::of("inherited", |attributes| attributes.zero_on_free(true).processes(2));
    let full = |ground: &Ground| {
        among_the_dead(ground);
        None
    };
    let join = |joining: &mut Option<Pool>| {
        let pool = ground.attach();
        drop(filled(&pool, 100));
        *joining = Some(pool);
    };
    // Attaching is long and its sweep is of its own; here is only who dies while it wipes.
    let segment = FileSegment::open(&ground.path).unwrap();
    let sweep = Sweep::new("wipe, inheriting", &segment).floor(20).choose(Choice::drawn(8, 1000));
    let looked = |point: &Point| look(&ground, point);
    sweep.run(|| full(&ground), join, looked).unwrap().assert_clean();
}
