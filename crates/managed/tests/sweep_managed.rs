//! Death, and a stop, at the machine instructions of the operations of a pool: in the build that users run, and with
//! the system calls that the crash face does not see.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;
mod swept;

use scratch::{Line, after, kill};
use swept::{Ground, hold, look, open, warm};
use weyr_kill::{Point, Rendezvous, Stops, Syscall, child, refuse};
use weyr_managed::{Allocation, Error, Growth, Pool};

/// Kills, and stops and continues, `operate` at its points.
fn sweep<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    let look = |point: &Point| look(ground, point.moment);
    swept::kill_and_stop(name, ground, floor, prepare, operate, look);
}

fn drop_one(held: &mut (Pool, Option<Allocation>)) {
    drop(held.1.take());
}

#[test]
fn alloc_of_blocks() {
    let ground = Ground::new("alloc", Growth::None);
    sweep("alloc, fresh slab", &ground, 13, warm, |pool| hold(pool, 100));
    let at_hand = |ground: &Ground| {
        let pool = warm(ground);
        drop(pool.alloc(100).unwrap());
        pool
    };
    sweep("alloc, at hand", &ground, 4, at_hand, |pool| hold(pool, 100));
}

#[test]
fn free_of_own_blocks() {
    let ground = Ground::new("free", Growth::None);
    let with_one = |ground: &Ground| {
        let pool = warm(ground);
        let memory = pool.alloc(100).unwrap();
        (pool, Some(memory))
    };
    sweep("free, own block", &ground, 4, with_one, drop_one);
    let with_many = |ground: &Ground| {
        let pool = warm(ground);
        let held: Vec<Allocation> = (0..40).map(|_| pool.alloc(500).unwrap()).collect();
        (pool, held)
    };
    sweep("free, flush and retire", &ground, 120, with_many, |held| held.1.clear());
}

#[test]
fn free_of_the_blocks_of_others() {
    let ground = Ground::with_published("remote", &[100, 3 << 12]);
    for (name, index, floor) in [("free, into an orphan", 0, 5), ("free, another's span", 1, 11)] {
        let opened = |ground: &Ground| {
            let pool = warm(ground);
            let block = open(&pool, ground.published[index]);
            (pool, block)
        };
        sweep(name, &ground, floor, opened, |held| held.1.take().unwrap().free().unwrap());
    }
    let ground = Ground::new("remote-thread", Growth::None);
    let of_a_thread = |ground: &Ground| {
        let pool = warm(ground);
        let (send, receive) = std::sync::mpsc::channel();
        let other = pool.clone();
        std::thread::spawn(move || {
            send.send(other.alloc(100).unwrap()).unwrap();
            // Its lane stays in use.
            scratch::wait_for_death();
        });
        (pool, Some(receive.recv().unwrap()))
    };
    sweep("free, another thread's block", &ground, 8, of_a_thread, drop_one);
}

#[test]
fn alloc_and_free_of_spans() {
    let ground = Ground::new("span", Growth::None);
    sweep("alloc, span", &ground, 13, warm, |pool| hold(pool, 5 << 12));
    let with_span = |ground: &Ground| {
        let pool = warm(ground);
        let memory = pool.alloc(5 << 12).unwrap();
        (pool, Some(memory))
    };
    sweep("free, span", &ground, 14, with_span, drop_one);
    // Two pages are a sixteenth of the pool, and one is the smallest span.
    let with_short = |ground: &Ground| {
        let pool = warm(ground);
        let memory = pool.alloc(5000).unwrap();
        (pool, Some(memory))
    };
    sweep("free, kept span", &ground, 9, with_short, drop_one);
    let with_kept = |ground: &Ground| {
        let pool = warm(ground);
        drop(pool.alloc(5000).unwrap());
        pool
    };
    sweep("alloc, kept span", &ground, 6, with_kept, |pool| hold(pool, 5000));
}

#[test]
fn resizing_a_span() {
    let ground = Ground::new("resize", Growth::None);
    for (name, from, to, floor) in [("grow in place", 2, 6, 10), ("shrink in place", 6, 2, 8)] {
        let with_span = |ground: &Ground| {
            let pool = warm(ground);
            let memory = pool.alloc(from << 12).unwrap();
            (pool, Some(memory))
        };
        sweep(name, &ground, floor, with_span, |held| held.1.as_mut().unwrap().resize(to << 12).unwrap());
    }
}

#[test]
fn publishing_and_freezing_a_block() {
    let ground = Ground::to_be_published("publish", 100);
    let with_one = |ground: &Ground| {
        let pool = warm(ground);
        let memory = pool.alloc(100).unwrap();
        (pool, Some(memory))
    };
    sweep("publish", &ground, 3, with_one, |held| drop(held.1.take().unwrap().publish().unwrap()));
    sweep("freeze", &ground, 3, with_one, |held| drop(held.1.take().unwrap().freeze().unwrap()));
}

#[test]
fn adoption_and_growth() {
    let ground = Ground::with_published("adopt", &[100]);
    sweep("adopt", &ground, 12, warm, |pool| hold(pool, 100));
    if swept::allows_growth("grow") {
        let ground = Ground::new("grow", Growth::UpTo(512 << 10));
        sweep("grow", &ground, 45, warm, |pool| hold(pool, 160 << 10));
    }
}

#[test]
fn attaching_and_leaving() {
    let ground = Ground::new("attach", Growth::None);
    let attach = |state: &mut Option<Pool>| *state = Some(ground.attach());
    sweep("attach", &ground, 9, |_| None, attach);
    sweep("leave", &ground, 5, |ground| Some(warm(ground)), |state| drop(state.take()));
}

#[test]
fn recovering_the_dead() {
    let ground = Ground::with_published("recover", &[100, 3 << 12]);
    let met = Rendezvous::new().unwrap();
    let (victim, _) = after(&met, || {
        let pool = warm(&ground);
        [64, 100, 500, 5 << 12].iter().for_each(|&bytes| hold(&pool, bytes));
        std::mem::forget(pool);
        0
    });
    kill(victim);
    // Attaching finds the dead member, and recovers it.
    let attach = |state: &mut Option<Pool>| *state = Some(ground.attach());
    sweep("recover", &ground, 40, |_| None, attach);
}

#[test]
fn attaching_where_every_slot_is_a_dead_ones() {
    let ground = Ground::of("inherit", |attributes| attributes.processes(2));
    let met = Rendezvous::new().unwrap();
    let victims = [(); 2].map(|()| {
        after(&met, || {
            let pool = warm(&ground);
            [100, 5 << 12].iter().for_each(|&bytes| hold(&pool, bytes));
            std::mem::forget(pool);
            0
        })
    });
    victims.into_iter().for_each(|(victim, _)| kill(victim));
    let attach = |state: &mut Option<Pool>| *state = Some(ground.attach());
    sweep("join, inheriting", &ground, 40, |_| None, attach);
}

#[test]
fn alloc_that_looks_for_more() {
    let ground = Ground::new("more", Growth::None);
    // A slab of 64 blocks gives two magazines.
    let with_one_used = |ground: &Ground| {
        let pool = warm(ground);
        (0..32).for_each(|_| hold(&pool, 64));
        pool
    };
    sweep("alloc, second magazine", &ground, 3, with_one_used, |pool| hold(pool, 64));
    sweep("alloc, span of one page", &ground, 8, warm, |pool| hold(pool, 4096));
    // A slab of this lane, full, of which another thread frees all.
    let with_what_others_freed = |ground: &Ground| {
        let pool = warm(ground);
        let theirs: Vec<Allocation> = (0..64).map(|_| pool.alloc(64).unwrap()).collect();
        let (done, freed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(theirs);
            done.send(()).unwrap();
            // Its lane stays in use.
            scratch::wait_for_death();
        });
        freed.recv().unwrap();
        pool
    };
    sweep("harvest", &ground, 5, with_what_others_freed, |pool| hold(pool, 64));
    let attached = |ground: &Ground| {
        let pool = ground.attach();
        pool.actor().unwrap();
        pool
    };
    sweep("first alloc and free of a thread", &ground, 12, attached, |pool| drop(pool.alloc(0).unwrap()));
}

#[test]
fn resizing_that_meets_what_is_in_use() {
    let ground = Ground::new("in-place", Growth::None);
    let with_a_gap = |ground: &Ground| {
        let pool = warm(ground);
        let mut all: Vec<Allocation> = (0..4).map(|_| pool.alloc(3 << 12).unwrap()).collect();
        all.sort_by_key(|memory| memory.reference().offset);
        // Room for three pages more, and not for four.
        drop(all.remove(1));
        (pool, all)
    };
    let grow = |(_, all): &mut (Pool, Vec<Allocation>)| {
        let refused = all[0].resize(7 << 12);
        assert!(matches!(refused, Err(Error::NotInPlace { .. })), "{refused:?}");
    };
    sweep("grow in place, put back", &ground, 8, with_a_gap, grow);
}

/// Nearly all of the pool: more than is in one piece beside the slabs of an idle lane.
const MOST: u64 = 30 << 12;

#[test]
fn taking_the_pages_of_idle_lanes() {
    let ground = Ground::new("revoke", Growth::None);
    // The slabs of another thread, all free.
    let beside_an_idle_one = |ground: &Ground| {
        let pool = warm(ground);
        let (done, idle) = std::sync::mpsc::channel();
        let other = pool.clone();
        std::thread::spawn(move || {
            [64, 100, 500, 1000].iter().for_each(|&bytes| drop(other.alloc(bytes).unwrap()));
            done.send(()).unwrap();
            scratch::wait_for_death();
        });
        idle.recv().unwrap();
        pool
    };
    sweep("revoke, the revoker's side", &ground, 20, beside_an_idle_one, |pool| hold(pool, MOST));
    // The barrier does not reach this process, so the revoker leaves its pages to it, and the flag.
    let asked = |ground: &Ground| {
        refuse(&[Syscall::Membarrier]).unwrap();
        let pool = warm(ground);
        [64, 100, 500, 1000].iter().for_each(|&bytes| drop(pool.alloc(bytes).unwrap()));
        let revoker = child::spawn(|| {
            let whole = ground.attach().alloc(32 << 12);
            assert!(matches!(whole, Err(Error::NoMemory { .. })), "{whole:?}");
        });
        assert_eq!(revoker.unwrap().wait().unwrap(), weyr_kill::Outcome::Exited(0));
        pool
    };
    sweep("revoke, the owner's side", &ground, 10, asked, |pool| drop(pool.alloc(64).unwrap()));
}

#[test]
fn waiting_for_memory() {
    let ground = Ground::new("wait", Growth::None);
    // Another process has most of the pool, and frees it when this one sleeps.
    let beside_a_hoarder = |ground: &Ground| {
        let pool = warm(ground);
        let line = Line::new();
        let hoard = || {
            let pool = ground.attach();
            // What is free lies in two pieces: whoever waits reserves one of them, and leaves the other to the rest.
            let gap = pool.alloc(6 << 12).unwrap();
            let hoard = pool.alloc(20 << 12).unwrap();
            drop(gap);
            line.to_parent.post().unwrap();
            line.to_child.wait().unwrap();
            (hoard, pool)
        };
        let free = |(hoard, pool): (Allocation, Pool)| {
            drop(hoard);
            pool
        };
        let hoarder = child::when_parent_sleeps(hoard, free).unwrap();
        line.to_parent.wait_from(&hoarder).unwrap();
        line.to_child.post().unwrap();
        std::mem::forget(hoarder);
        pool
    };
    let wait = |pool: &mut Pool| std::mem::forget(pool.alloc_blocking(20 << 12).unwrap());
    let look = |point: &Point| {
        let pool = ground.attach();
        // Who freed dies with it, but not at once.
        while point.moment != weyr_kill::Moment::Stopped && pool.members().len() > 1 {
            pool.recover();
            std::thread::yield_now();
        }
        drop(pool);
        look(&ground, point.moment)
    };
    let stops = Stops::of_varying(8);
    swept::kill_and_stop_at(&stops, "alloc, waits", &ground, 20, beside_a_hoarder, wait, look);
}
