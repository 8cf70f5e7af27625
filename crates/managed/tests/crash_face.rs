//! Death, and a stop, before each shared write of every operation of a pool.
//!
//! A child counts the writes of an operation. Then, for each of them, a fresh pool and a fresh child: it is killed
//! just before the write, and the parent recovers; or it is stopped there, the parent and a newcomer go on, and it is
//! continued or killed. At the end nothing may be lost, and nothing be had twice.
#![cfg(weyr_face = "crash")]
#![forbid(unsafe_code)]

mod scratch;
mod wiped;

use std::cell::RefCell;

use rustix::process::{Signal, getpid, kill_process};
use scratch::{Line, Scratch, after, assert_whole, attributes, kill, made_of, wait_for_death};
use weyr_atomic::crash;
use weyr_kill::{Child, Outcome, Rendezvous, Syscall, child, is_few_writes, note, refuse, writes_to_end_at};
use weyr_managed::{Allocation, Error, Growth, Mode, Pool, PoolAttributes, Published, Taken};
use weyr_shared::{BlockReference, Geometry, Ring};
use wiped::{assert_wiped, filled};

/// What is done to one operation.
struct Plan<'p> {
    name: &'static str,
    attributes: PoolAttributes,
    /// Whether small allocations by others must succeed while the child stands.
    room: bool,
    /// What the parent does when the child is prepared, before it begins.
    meanwhile: &'p dyn Fn(&Pool, &Line, &Child),
    /// Fewer writes than this are not the operation that is meant.
    floor: u64,
}

impl Plan<'_> {
    fn new(name: &'static str, floor: u64) -> Self {
        let attributes = attributes(name, 512 << 10).page_size(4096);
        Self { name, attributes, room: true, meanwhile: &|_, _, _| (), floor }
    }
}

/// How the child ends at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It makes all its writes, and dies then.
    AfterAll,
    Killed(u64),
    StoppedThenContinued(u64),
    StoppedThenKilled(u64),
}

fn die_here() {
    kill_process(getpid(), Signal::KILL).unwrap();
}

fn stop_here() {
    kill_process(getpid(), Signal::STOP).unwrap();
}

impl End {
    fn arm(self) {
        match self {
            End::AfterAll => crash::arm(0, || ()),
            End::Killed(write) => crash::arm(write, die_here),
            End::StoppedThenContinued(write) | End::StoppedThenKilled(write) => crash::arm(write, stop_here),
        }
    }
}

/// Runs `operate` to each of its ends. `ground` runs in the parent, before the fork; `prepare` and `operate` in the
/// child; `settle` in the parent, when the child is gone and recovered: it leaves no block.
fn sweep<G, S>(
    plan: &Plan,
    ground: impl Fn(&Pool) -> G,
    prepare: impl Fn(&Pool, &G, &Line) -> S,
    operate: impl Fn(&Pool, &G, S),
    settle: impl Fn(&Pool, G),
) {
    every_end(plan, |end| run(plan, end, &ground, &prepare, &operate, &settle));
}

/// One end of the operation. Returns its writes if the child came to its end.
fn run<G, S>(
    plan: &Plan,
    end: End,
    ground: &impl Fn(&Pool) -> G,
    prepare: &impl Fn(&Pool, &G, &Line) -> S,
    operate: &impl Fn(&Pool, &G, S),
    settle: &impl Fn(&Pool, G),
) -> u64 {
    let pool = Scratch::with(plan.attributes.clone());
    let ground = ground(&pool);
    let line = Line::new();
    let mut child = child::spawn(|| {
        let state = prepare(&pool, &ground, &line);
        line.to_parent.post().unwrap();
        line.to_child.wait().unwrap();
        end.arm();
        operate(&pool, &ground, state);
        line.to_parent.send(crash::disarm()).unwrap();
    })
    .unwrap();
    line.to_parent.wait_from(&child).unwrap();
    (plan.meanwhile)(&pool, &line, &child);
    line.to_child.post().unwrap();
    let writes = bring_to(end, &pool, &line, &mut child, plan.room);
    pool.recover();
    assert_eq!(pool.members().len(), 1, "{}: {end:?}", plan.name);
    settle(&pool, ground);
    if pool.attributes().unwrap().zero_on_free {
        assert_wiped(&pool);
    }
    assert_whole(&pool);
    writes
}

fn every_end(plan: &Plan, run: impl Fn(End) -> u64) {
    let points = run(End::AfterAll);
    assert!(
        points >= plan.floor,
        "{}: {points} writes, and at least {} were expected",
        plan.name,
        plan.floor
    );
    let writes = writes_to_end_at(points);
    for &write in &writes {
        for end in [End::Killed(write), End::StoppedThenContinued(write), End::StoppedThenKilled(write)] {
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(end)));
            assert!(ran.is_ok(), "{}: {end:?} of {points}", plan.name);
        }
    }
    note(format_args!(
        "crash {}: {} points, killed, stopped and continued, stopped and killed",
        plan.name,
        writes.len()
    ));
}

/// As [`sweep`], by death alone and without a report. Returns the points.
fn kill_only<G, S>(
    plan: &Plan,
    ground: impl Fn(&Pool) -> G,
    prepare: impl Fn(&Pool, &G, &Line) -> S,
    operate: impl Fn(&Pool, &G, S),
) -> u64 {
    let run = |end| run(plan, end, &ground, &prepare, &operate, &|pool, _| settle_typed(pool));
    let points = run(End::AfterAll);
    let writes = writes_to_end_at(points);
    for &write in &writes {
        run(End::Killed(write));
    }
    writes.len() as u64
}

/// Waits until the child is gone, and does what others do meanwhile. Returns its writes if it came to its end.
fn bring_to(end: End, pool: &Pool, line: &Line, child: &mut Child, room: bool) -> u64 {
    match end {
        End::AfterAll => {
            let writes = line.to_parent.wait_from(child).expect("the operation succeeds");
            assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
            writes
        }
        End::Killed(_) => {
            assert!(child.wait().unwrap().was_killed(), "the write was not reached");
            0
        }
        End::StoppedThenContinued(_) | End::StoppedThenKilled(_) => {
            child.wait_stopped().expect("the write is reached");
            let tenant = go_on_without(pool, room);
            if matches!(end, End::StoppedThenKilled(_)) {
                child.kill().unwrap();
                assert!(child.wait().unwrap().was_killed());
            } else {
                child.cont().unwrap();
                line.to_parent.wait_from(child).expect("it goes on to its end");
                assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
            }
            if let Some((tenant, line)) = tenant {
                line.to_child.post().unwrap();
                line.to_parent.wait_from(&tenant).expect("its blocks are its own still");
                kill(tenant);
            }
            0
        }
    }
}

/// What the parent, and a newcomer, do while the child stands: thousands of operations, and a recovery. The newcomer
/// holds blocks, which nobody may take from it.
fn go_on_without(pool: &Pool, room: bool) -> Option<(Child, Line)> {
    pool.recover();
    for round in 0..1000u64 {
        match pool.alloc(1 + round * 37 % 2000) {
            Ok(memory) => drop(memory),
            Err(Error::NoMemory { .. }) if !room => {}
            Err(error) => panic!("round {round}: {error}"),
        }
    }
    let verification = pool.verify(Mode::Online);
    assert!(verification.holds(), "{:#?}", verification.findings);
    room.then(|| newcomer(pool))
}

fn newcomer(pool: &Pool) -> (Child, Line) {
    let line = Line::new();
    let tenant = child::spawn(|| {
        let mut held: Vec<Allocation> =
            [64, 100, 500, 2000, 9000, 9000].iter().map(|&bytes| pool.alloc(bytes).unwrap()).collect();
        held.iter_mut().for_each(|memory| memory.fill(0x77).unwrap());
        line.to_parent.post().unwrap();
        line.to_child.wait().unwrap();
        for memory in &held {
            let mut bytes = vec![0; memory.len() as usize];
            memory.read(0, &mut bytes).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0x77), "somebody wrote to {memory:?}");
        }
        let blocks = pool.usage().by_process[&pool.actor().unwrap().process].blocks;
        assert_eq!(blocks, held.len() as u64);
        drop(held);
        line.to_parent.post().unwrap();
        wait_for_death();
    })
    .unwrap();
    line.to_parent.wait_from(&tenant).expect("a newcomer finds room");
    (tenant, line)
}

/// Somebody who did `work`, and died without being recovered.
fn dead(pool: &Pool, work: impl FnOnce(&Pool)) {
    let mut victim = child::spawn(|| {
        pool.actor().unwrap();
        work(pool);
        die_here();
    })
    .unwrap();
    assert!(victim.wait().unwrap().was_killed());
}

/// No ground, and nothing to settle.
fn alone<S>(plan: &Plan, prepare: impl Fn(&Pool) -> S, operate: impl Fn(&Pool, S)) {
    let prepare = |pool: &Pool, _: &(), _: &Line| {
        pool.actor().unwrap();
        prepare(pool)
    };
    sweep(plan, |_| (), prepare, |pool, _, state| operate(pool, state), |_, ()| ());
}

/// Frees what the child may have freed before, and then not twice.
fn free_if_there(pool: &Pool, published: Published) {
    let there = pool.usage().total.blocks;
    match published.free() {
        Ok(()) => assert_eq!(there, 1),
        Err(Error::DoubleFree { .. } | Error::Stale { .. } | Error::NotABlock { .. }) => assert_eq!(there, 0),
        Err(other) => panic!("{other}"),
    }
}

fn join(pool: &Pool) {
    pool.actor().unwrap();
}

fn recover(pool: &Pool) {
    pool.recover();
}

fn hold(pool: &Pool, bytes: u64) {
    std::mem::forget(pool.alloc(bytes).unwrap());
}

#[test]
fn alloc_of_a_block_of_a_fresh_slab() {
    for bytes in [64, 500, 2000, 5000] {
        alone(&Plan::new("alloc, fresh slab", 5), |_| (), |pool, ()| hold(pool, bytes));
    }
}

#[test]
fn alloc_of_a_block_at_hand() {
    alone(
        &Plan::new("alloc, magazine", 3),
        |pool| drop(pool.alloc(100).unwrap()),
        |pool, ()| hold(pool, 100),
    );
}

#[test]
fn alloc_that_fills_the_magazine_again() {
    // A slab of 64 blocks gives two magazines.
    let prepare = |pool: &Pool| (0..32).for_each(|_| hold(pool, 64));
    alone(&Plan::new("alloc, second magazine", 3), prepare, |pool, ()| hold(pool, 64));
}

#[test]
fn alloc_of_spans() {
    for pages in [3, 5, 70] {
        alone(&Plan::new("alloc, span", 5 + pages), |_| (), |pool, ()| hold(pool, pages * 4096));
    }
    let mut small = Plan::new("alloc, span of one page", 5);
    small.attributes = attributes("one-page", 128 << 10).page_size(4096);
    alone(&small, |_| (), |pool, ()| hold(pool, 4096));
}

#[test]
fn alloc_of_a_span_that_meets_a_conflict_and_puts_back() {
    // The hints know nothing yet of the pages that somebody was claiming when he died, three pages behind a gap.
    let ground = |pool: &Pool| {
        dead(pool, |pool| {
            drop(pool.alloc(3 * 4096).unwrap());
            crash::arm(4, die_here);
            hold(pool, 5 * 4096);
        })
    };
    let join = |pool: &Pool, (): &(), _: &Line| join(pool);
    let plan = Plan::new("alloc, span put back", 15);
    sweep(&plan, ground, join, |pool, (), ()| hold(pool, 5 * 4096), |_, ()| ());
}

#[test]
fn free_of_an_own_block() {
    for bytes in [64, 500, 2000, 5000] {
        alone(&Plan::new("free, own block", 3), |pool| pool.alloc(bytes).unwrap(), |_, memory| drop(memory));
    }
}

#[test]
fn free_that_flushes_the_magazine_and_retires_slabs() {
    let prepare = |pool: &Pool| (0..64).map(|_| pool.alloc(512).unwrap()).collect::<Vec<_>>();
    alone(&Plan::new("free, flush and retire", 100), prepare, |_, held| drop(held));
}

#[test]
fn free_of_an_own_span() {
    for pages in [20, 70] {
        let prepare = |pool: &Pool| pool.alloc(pages * 4096).unwrap();
        alone(&Plan::new("free, own span", 5 + pages), prepare, |_, memory| drop(memory));
    }
}

/// A span of a sixteenth of the pool or less stays whole, and the lane that freed it keeps it.
#[test]
fn free_of_an_own_span_that_is_kept() {
    for pages in [3, 5] {
        let prepare = |pool: &Pool| pool.alloc(pages * 4096).unwrap();
        alone(&Plan::new("free, kept span", 5), prepare, |_, memory| drop(memory));
    }
}

#[test]
fn free_of_anothers_block_or_span() {
    for bytes in [64, 500, 2000, 5000, 3 * 4096, 70 * 4096] {
        let publish = |pool: &Pool| pool.alloc(bytes).unwrap().publish().unwrap();
        let open = |pool: &Pool, published: &Published, _: &Line| pool.open(&published.descriptor()).unwrap();
        let operate = |_: &Pool, _: &Published, opened: Published| opened.free().unwrap();
        sweep(&Plan::new("free, of another", 4), publish, open, operate, free_if_there);
    }
}

/// In a pool in which what is free is zero.
fn wiping(name: &'static str, floor: u64) -> Plan<'static> {
    let plan = Plan::new(name, floor);
    Plan { attributes: plan.attributes.zero_on_free(true), ..plan }
}

#[test]
fn freeing_where_what_is_free_is_zero() {
    for bytes in [64, 500, 5000, 3 * 4096, 70 * 4096] {
        alone(&wiping("wipe, own block", 3), |pool| filled(pool, bytes), |_, memory| drop(memory));
        let publish = |pool: &Pool| filled(pool, bytes).publish().unwrap();
        let open = |pool: &Pool, published: &Published, _: &Line| pool.open(&published.descriptor()).unwrap();
        let operate = |_: &Pool, _: &Published, opened: Published| opened.free().unwrap();
        sweep(&wiping("wipe, published block", 4), publish, open, operate, free_if_there);
    }
    let operate = |_: &Pool, mut memory: Allocation| {
        memory.resize(3 * 4096).unwrap();
        std::mem::forget(memory);
    };
    alone(&wiping("wipe, cut off", 10), |pool| filled(pool, 20 * 4096), operate);
}

fn rich_and_dirty(pool: &Pool) {
    for bytes in [64, 100, 2000, 5000, 5 * 4096] {
        std::mem::forget(filled(pool, bytes));
        drop(filled(pool, bytes));
    }
}

#[test]
fn recovering_where_what_is_free_is_zero() {
    let operate = |pool: &Pool, (): &(), ()| recover(pool);
    let ground = |pool: &Pool| dead(pool, rich_and_dirty);
    sweep(&wiping("wipe, recovery", 40), ground, |pool, (), _| join(pool), operate, |_, ()| ());
    let mut plan = wiping("wipe, inheriting", 40);
    plan.attributes = plan.attributes.processes(2);
    plan.room = false;
    let operate = |pool: &Pool, (): &(), ()| join(pool);
    sweep(&plan, ground, |_, (), _| (), operate, |_, ()| ());
}

#[test]
fn resizing_of_an_own_span() {
    for (name, from, to, floor) in [("grow in place", 3, 70, 70), ("shrink in place", 70, 3, 70)] {
        let prepare = |pool: &Pool| pool.alloc(from * 4096).unwrap();
        let operate = |_: &Pool, mut memory: Allocation| {
            memory.resize(to * 4096).unwrap();
            std::mem::forget(memory);
        };
        alone(&Plan::new(name, floor), prepare, operate);
    }
}

#[test]
fn resizing_that_meets_what_is_in_use() {
    let prepare = |pool: &Pool| {
        let mut all: Vec<Allocation> = (0..4).map(|_| pool.alloc(3 * 4096).unwrap()).collect();
        all.sort_by_key(|memory| memory.reference().offset);
        // Room for three pages more, and not for four.
        drop(all.remove(1));
        all
    };
    let operate = |_: &Pool, mut all: Vec<Allocation>| {
        let refused = all[0].resize(7 * 4096);
        assert!(matches!(refused, Err(Error::NotInPlace { .. })), "{refused:?}");
        std::mem::forget(all);
    };
    alone(&Plan::new("grow in place, put back", 8), prepare, operate);
}

#[test]
fn who_frees_stops_before_its_wake_and_who_waits_is_served_all_the_same() {
    let mut served_beside_it = 0;
    for bytes in [500, 2000, 5 * 4096] {
        for write in 1.. {
            let pool = Scratch::with(Plan::new("wake", 0).attributes);
            let line = Line::new();
            let mut child = child::spawn(|| {
                let memory = pool.alloc(bytes).unwrap();
                line.to_parent.post().unwrap();
                line.to_child.wait().unwrap();
                crash::arm(write, stop_here);
                drop(memory);
                crash::disarm();
                line.to_parent.post().unwrap();
            })
            .unwrap();
            line.to_parent.wait_from(&child).unwrap();
            let rest: Vec<Allocation> = std::iter::from_fn(|| pool.alloc(bytes).ok()).collect();
            let before = pool.usage().free_pages;
            let stopped = std::thread::scope(|scope| {
                let waiting = scope.spawn(|| pool.alloc_blocking(bytes).map(drop));
                while pool.waiters() == 0 {
                    std::thread::yield_now();
                }
                line.to_child.post().unwrap();
                let stopped = child.wait_stopped().is_ok();
                // The span is free to the last page: no wake is needed for it to be found.
                let freed = bytes > 4096 && pool.usage().free_pages >= before + bytes / 4096;
                if stopped && freed {
                    waiting.join().unwrap().unwrap();
                    served_beside_it += 1;
                    child.cont().unwrap();
                    return true;
                }
                if stopped {
                    child.cont().unwrap();
                }
                waiting.join().unwrap().unwrap();
                stopped
            });
            drop(rest);
            if !stopped {
                break;
            }
            assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
            pool.recover();
            assert_whole(&pool);
        }
    }
    assert!(served_beside_it > 0);
}

/// A published block, and a page that nobody owns around it: its owner is dead.
fn orphaned(pool: &Pool, bytes: u64) -> Published {
    let met = Rendezvous::new().unwrap();
    let (owner, told) = after(&met, || {
        let reference = pool.alloc(bytes).unwrap().publish().unwrap().reference();
        reference.offset << 32 | reference.generation
    });
    kill(owner);
    pool.recover();
    scratch::open(pool, told >> 32, told & 0xffff_ffff, bytes).unwrap()
}

#[test]
fn free_of_a_block_of_a_slab_without_owner() {
    for bytes in [100, 500, 2000] {
        let open = |pool: &Pool, published: &Published, _: &Line| pool.open(&published.descriptor()).unwrap();
        let operate = |_: &Pool, _: &Published, opened: Published| opened.free().unwrap();
        let plan = Plan::new("free, into an orphan", 4);
        sweep(&plan, |pool| orphaned(pool, bytes), open, operate, free_if_there);
    }
}

#[test]
fn adoption_of_a_slab_without_owner() {
    for bytes in [100, 500, 2000] {
        let join = |pool: &Pool, _: &Published, _: &Line| join(pool);
        let operate = |pool: &Pool, _: &Published, ()| hold(pool, bytes);
        let plan = Plan::new("adopt", 8);
        sweep(&plan, |pool| orphaned(pool, bytes), join, operate, free_if_there);
    }
}

#[test]
fn harvest_of_what_others_freed() {
    let (count, told) = (64, Rendezvous::new().unwrap());
    let free_all = |pool: &Pool, _: &Line, _: &Child| {
        for _ in 0..count {
            let (offset, generation) = (told.wait().unwrap(), told.wait().unwrap());
            scratch::open(pool, offset, generation, 64).unwrap().free().unwrap();
        }
    };
    let mut plan = Plan::new("harvest", 8);
    plan.meanwhile = &free_all;
    let prepare = |pool: &Pool, (): &(), _: &Line| {
        let publish = |_| pool.alloc(64).unwrap().publish().unwrap().reference();
        for reference in (0..count).map(publish).collect::<Vec<BlockReference>>() {
            told.send(reference.offset).unwrap();
            told.send(reference.generation).unwrap();
        }
    };
    sweep(&plan, |_| (), prepare, |pool, (), ()| hold(pool, 64), |_, ()| ());
}

#[test]
fn publishing_and_freezing() {
    for (name, freeze) in [("publish", false), ("freeze", true)] {
        for bytes in [100, 3 * 4096] {
            let told = Rendezvous::new().unwrap();
            let prepare = |pool: &Pool, (): &(), _: &Line| {
                let memory = pool.alloc(bytes).unwrap();
                told.send(memory.reference().offset).unwrap();
                told.send(memory.reference().generation).unwrap();
                memory
            };
            let operate = |_: &Pool, (): &(), memory: Allocation| {
                if freeze { drop(memory.freeze().unwrap()) } else { drop(memory.publish().unwrap()) }
            };
            let settle = |pool: &Pool, ()| {
                let (offset, generation) = (told.wait().unwrap(), told.wait().unwrap());
                if pool.usage().total.blocks == 1 {
                    let published = scratch::open(pool, offset, generation, bytes).unwrap();
                    assert_eq!(published.is_frozen(), freeze);
                    published.free().unwrap();
                }
            };
            sweep(&Plan::new(name, 1), |_| (), prepare, operate, settle);
        }
    }
}

fn ring(pool: &Pool) -> Allocation {
    let geometry =
        Geometry { block_size: 256, capacity: 4, processes: pool.process_limit(), ..Geometry::PLAIN };
    let memory = pool.alloc(geometry.bytes()).unwrap();
    let region = pool.region().part(memory.reference().offset, geometry.bytes()).unwrap();
    Ring::format(&region, &geometry, memory.reference()).unwrap();
    memory
}

#[test]
fn making_a_channel() {
    let prepare = |pool: &Pool, (): &(), _: &Line| {
        pool.actor().unwrap();
        ring(pool)
    };
    let operate = |pool: &Pool, (): &(), memory: Allocation| assert!(pool.make_channel(memory).is_ok());
    let settle = |pool: &Pool, ()| {
        for block in pool.channel_blocks() {
            pool.free_channel(block.reference).unwrap();
        }
    };
    sweep(&Plan::new("make channel", 2), |_| (), prepare, operate, settle);
}

#[test]
fn freeing_a_channel() {
    let ground = |pool: &Pool| pool.make_channel(ring(pool)).unwrap().reference;
    let join = |pool: &Pool, _: &BlockReference, _: &Line| join(pool);
    let operate = |pool: &Pool, channel: &BlockReference, ()| pool.free_channel(*channel).unwrap();
    let settle = |pool: &Pool, channel: BlockReference| {
        let there = pool.channel_blocks().len() as u64;
        assert_eq!(pool.usage().total.blocks, there);
        assert_eq!(pool.free_channel(channel).is_ok(), there == 1);
        // An entry that a death left behind is taken by the next channel.
        let all = [(); 2].map(|()| pool.make_channel(ring(pool)).unwrap().reference);
        assert_eq!(pool.channel_blocks().len(), 2);
        all.iter().for_each(|channel| pool.free_channel(*channel).unwrap());
    };
    let mut plan = Plan::new("free channel", 4);
    plan.attributes = plan.attributes.channels(2);
    sweep(&plan, ground, join, operate, settle);
}

#[test]
fn beginning_and_reverting_a_transfer() {
    for bytes in [100, 3 * 4096] {
        let keep = |pool: &Pool| {
            let memory = pool.alloc(bytes).unwrap();
            let reference = memory.reference();
            std::mem::forget(memory);
            reference
        };
        let begin = |pool: &Pool, reference| pool.begin_transfer(reference).unwrap();
        alone(&Plan::new("begin transfer", 1), keep, begin);
        let begun = |pool: &Pool| {
            let reference = keep(pool);
            begin(pool, reference);
            reference
        };
        let revert = |pool: &Pool, reference| pool.revert_transfer(reference).unwrap();
        alone(&Plan::new("revert transfer", 1), begun, revert);
    }
}

#[test]
fn a_published_block_that_a_dead_sender_had_in_hand_is_the_pools_again() {
    for bytes in [100, 3 * 4096] {
        let publish = |pool: &Pool| pool.alloc(bytes).unwrap().publish().unwrap();
        let join = |pool: &Pool, _: &Published, _: &Line| join(pool);
        let operate =
            |pool: &Pool, published: &Published, ()| pool.begin_transfer(published.reference()).unwrap();
        let settle = |_: &Pool, published: Published| {
            assert!(published.exists());
            published.free().unwrap();
        };
        sweep(&Plan::new("begin transfer, published", 1), publish, join, operate, settle);
    }
}

#[test]
fn taking_a_transfer() {
    for bytes in [100, 3 * 4096] {
        let ground = |pool: &Pool| {
            let memory = pool.alloc(bytes).unwrap();
            pool.begin_transfer(memory.reference()).unwrap();
            memory
        };
        let join = |pool: &Pool, _: &Allocation, _: &Line| join(pool);
        let operate = |pool: &Pool, memory: &Allocation, ()| {
            let taken = pool.take_transfer(memory.reference(), bytes).unwrap();
            assert!(matches!(taken, Taken::Owned(_)));
            std::mem::forget(taken);
        };
        let settle = |pool: &Pool, memory: Allocation| {
            let there = pool.usage().total.blocks;
            // Not taken: it is the sender's again. Taken: it died with the receiver.
            assert_eq!(pool.revert_transfer(memory.reference()).is_ok(), there == 1);
            if there == 1 { drop(memory) } else { std::mem::forget(memory) }
        };
        sweep(&Plan::new("take transfer", 1), ground, join, operate, settle);
    }
}

#[test]
fn joining() {
    let plan = Plan::new("join", 8);
    sweep(&plan, |_| (), |_, (), _| (), |pool, (), ()| join(pool), |_, ()| ());
}

#[test]
fn the_first_operation_of_a_thread() {
    let operate = |pool: &Pool, (): ()| drop(pool.alloc(0).unwrap());
    alone(&Plan::new("first alloc and free of a thread", 12), |_| (), operate);
}

#[test]
fn leaving() {
    let plan = Plan::new("leave", 8);
    every_end(&plan, |end| {
        let scratch = RefCell::new(Some(Scratch::with(plan.attributes.clone())));
        let line = Line::new();
        let mut child = child::spawn(|| {
            // The child's copy of the only handle.
            let last = scratch.take().unwrap().into_pool();
            for bytes in [64, 100, 500, 2000] {
                drop(last.alloc(bytes).unwrap());
            }
            end.arm();
            drop(last);
            line.to_parent.send(crash::disarm()).unwrap();
        })
        .unwrap();
        let pool = scratch.take().unwrap();
        let writes = bring_to(end, &pool, &line, &mut child, plan.room);
        if end == End::AfterAll {
            assert_eq!(pool.members().len(), 1, "it has left, and is not to be recovered");
        }
        pool.recover();
        assert_whole(&pool);
        writes
    });
}

#[test]
fn growing() {
    if !made_of::allows_growth("grow") {
        return;
    }
    let mut plan = Plan::new("grow", 10);
    plan.attributes =
        attributes("grow", 64 << 10).growth(Growth::UpTo(512 << 10)).segment_size(64 << 10).page_size(4096);
    alone(&plan, |_| (), |pool, ()| hold(pool, 200 << 10));
}

#[test]
fn taking_the_pages_of_idle_lanes() {
    let mut plan = Plan::new("revoke, the revoker's side", 20);
    plan.room = false;
    // The parent's lane has slabs, all free.
    let ground =
        |pool: &Pool| [64, 100, 500, 2000].iter().for_each(|&bytes| drop(pool.alloc(bytes).unwrap()));
    let join = |pool: &Pool, (): &(), _: &Line| join(pool);
    sweep(&plan, ground, join, |pool, (), ()| hold(pool, 512 << 10), |_, ()| ());
}

#[test]
fn giving_pages_up_when_asked() {
    let mut plan = Plan::new("revoke, the owner's side", 10);
    // The barrier does not reach the child, so the revoker leaves its pages to it, and the flag.
    plan.meanwhile = &|pool, _, _| {
        let whole = pool.alloc(512 << 10);
        assert!(matches!(whole, Err(Error::NoMemory { .. })), "{whole:?}");
    };
    let prepare = |pool: &Pool, (): &(), _: &Line| {
        refuse(&[Syscall::Membarrier]).unwrap();
        for bytes in [64, 100, 500, 2000] {
            drop(pool.alloc(bytes).unwrap());
        }
    };
    sweep(&plan, |_| (), prepare, |pool, (), ()| drop(pool.alloc(64).unwrap()), |_, ()| ());
}

/// Blocks and spans, owned and published, in several slabs.
fn rich(pool: &Pool) {
    for bytes in [64, 64, 100, 500, 2000, 5000, 3 * 4096, 5 * 4096] {
        hold(pool, bytes);
        drop(pool.alloc(bytes).unwrap());
    }
}

#[test]
fn recovering() {
    let join = |pool: &Pool, (): &(), _: &Line| join(pool);
    let recover = |pool: &Pool, (): &(), ()| recover(pool);
    sweep(&Plan::new("recover", 40), |pool| dead(pool, rich), join, recover, |_, ()| ());
}

#[test]
fn recovering_who_died_at_any_write() {
    type Work = fn(&Pool);
    let victims: [(&str, Work); 6] = [
        ("typed alloc", |pool| hold_typed(pool, 100, 1)),
        ("typed free", |pool| pool.alloc_typed(100, TYPE, 1).unwrap().free().unwrap()),
        ("alloc of a slab", |pool| hold(pool, 500)),
        ("alloc of a span", |pool| hold(pool, 5 * 4096)),
        ("free of a span", |pool| drop(pool.alloc(5 * 4096).unwrap())),
        ("recovery", |pool| recover(pool)),
    ];
    for (name, work) in victims {
        let mut ran = 0;
        for death in (1..).step_by(if is_few_writes() { 7 } else { 1 }) {
            let reached = RefCell::new(true);
            let ground = |pool: &Pool| {
                dead(pool, |pool| hold(pool, 3 * 4096));
                let line = Line::new();
                let mut victim = child::spawn(|| {
                    pool.actor().unwrap();
                    crash::arm(death, die_here);
                    work(pool);
                    line.to_parent.post().unwrap();
                })
                .unwrap();
                *reached.borrow_mut() = victim.wait().unwrap().was_killed();
            };
            let join = |pool: &Pool, (): &(), _: &Line| join(pool);
            let recover = |pool: &Pool, (): &(), ()| recover(pool);
            let plan = Plan::new("recover", 10);
            ran += kill_only(&plan, ground, join, recover);
            if !reached.take() {
                break;
            }
        }
        note(format_args!("crash recovery of who died in {name}: {ran} pairs of deaths"));
        assert!(ran > if is_few_writes() { 5 } else { 100 }, "{name}: {ran}");
    }
}

#[test]
fn joining_where_every_slot_is_a_dead_ones() {
    let mut plan = Plan::new("join, inheriting", 40);
    plan.attributes = plan.attributes.processes(2);
    plan.room = false;
    let operate = |pool: &Pool, (): &(), ()| join(pool);
    sweep(&plan, |pool| dead(pool, rich), |_, (), _| (), operate, |_, ()| ());
}

#[test]
fn who_is_stopped_inside_an_operation_keeps_its_own_pages_only() {
    let pool = Scratch::with(Plan::new("stopped inside", 0).attributes);
    let line = Line::new();
    let mut child = child::spawn(|| {
        [64, 500].iter().for_each(|&bytes| drop(pool.alloc(bytes).unwrap()));
        // The first write raises the lane's operation word.
        crash::arm(2, stop_here);
        hold(&pool, 64);
        line.to_parent.post().unwrap();
    })
    .unwrap();
    child.wait_stopped().unwrap();
    let blocks: Vec<Allocation> = std::iter::from_fn(|| pool.alloc(64).ok()).collect();
    assert_eq!(blocks.len(), (128 - 2) * 64);
    drop(blocks);
    child.cont().unwrap();
    line.to_parent.wait_from(&child).unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    assert_eq!(pool.recover().blocks, 1);
    assert_whole(&pool);
}

#[test]
fn who_frees_what_a_stopped_process_is_freeing_succeeds_or_comes_too_late() {
    for bytes in [64, 2000, 5 * 4096] {
        let mut succeeded = [0, 0];
        for write in 1.. {
            let pool = Scratch::with(Plan::new("free, both", 0).attributes);
            let published = pool.alloc(bytes).unwrap().publish().unwrap();
            let line = Line::new();
            let mut child = child::spawn(|| {
                pool.actor().unwrap();
                let opened = pool.open(&published.descriptor()).unwrap();
                crash::arm(write, stop_here);
                let freed = opened.free();
                crash::disarm();
                line.to_parent.send(u64::from(freed.is_ok())).unwrap();
            })
            .unwrap();
            if child.wait_stopped().is_err() {
                break;
            }
            let freed = published.free().is_ok();
            child.cont().unwrap();
            let by_child = line.to_parent.wait_from(&child).unwrap() == 1;
            assert_ne!(freed, by_child, "{bytes} bytes, write {write}");
            succeeded[usize::from(by_child)] += 1;
            assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
            pool.recover();
            assert_whole(&pool);
        }
        assert!(succeeded.iter().all(|&times| times > 0), "{succeeded:?}");
    }
}

const TYPE: u32 = 7;

fn hold_typed(pool: &Pool, bytes: u64, id: u64) {
    pool.alloc_typed(bytes, TYPE, id).unwrap();
}

/// The manifest says what the blocks say; then nothing is left in it.
fn settle_typed(pool: &Pool) {
    let records = pool.manifest().count() as u64;
    let usage = pool.usage();
    assert_eq!((usage.total.blocks, usage.manifest_entries), (records, records));
    for entry in pool.manifest().collect::<Vec<_>>() {
        pool.find(entry.type_id, entry.id).unwrap().free().unwrap();
    }
    assert_eq!(pool.usage().manifest_entries, 0);
}

#[test]
fn typed_alloc() {
    let join = |pool: &Pool, (): &(), _: &Line| join(pool);
    for bytes in [100, 3 * 4096] {
        let plan = Plan::new("alloc, typed", 15);
        let operate = |pool: &Pool, (): &(), ()| hold_typed(pool, bytes, 1);
        sweep(&plan, |_| (), join, operate, |pool, ()| settle_typed(pool));
    }
    // The homes of most keys are full, so their records lie further on.
    let mut full = Plan::new("alloc, typed, far from home", 15);
    full.attributes = full.attributes.manifest_entries(24);
    let ground = |pool: &Pool| (0..22).for_each(|id| hold_typed(pool, 64, id));
    let operate = |pool: &Pool, (): &(), ()| hold_typed(pool, 100, 100);
    sweep(&full, ground, join, operate, |pool, ()| settle_typed(pool));
}

#[test]
fn typed_alloc_where_a_record_is_left_over() {
    let mut plan = Plan::new("alloc, typed, over a leftover", 15);
    plan.attributes = plan.attributes.manifest_entries(1);
    let ground = |pool: &Pool| {
        dead(pool, |pool| {
            let published = pool.alloc_typed(64, TYPE, 1).unwrap();
            // The block's word is the first write of a free of a block in its own slab behind the operation word.
            crash::arm(3, die_here);
            published.free().unwrap();
        })
    };
    let join = |pool: &Pool, (): &(), _: &Line| join(pool);
    let operate = |pool: &Pool, (): &(), ()| hold_typed(pool, 100, 2);
    sweep(&plan, ground, join, operate, |pool, ()| settle_typed(pool));
}

#[test]
fn typed_free() {
    for bytes in [100, 3 * 4096] {
        let ground = |pool: &Pool| hold_typed(pool, bytes, 1);
        let find = |pool: &Pool, (): &(), _: &Line| {
            join(pool);
            pool.find(TYPE, 1).unwrap()
        };
        let operate = |_: &Pool, (): &(), found: Published| found.free().unwrap();
        sweep(&Plan::new("free, typed", 4), ground, find, operate, |pool, ()| settle_typed(pool));
    }
}

#[test]
fn who_wants_the_key_of_a_stopped_process_gets_it_or_finds_it_taken() {
    let mut got = [0, 0];
    for write in 1.. {
        let pool = Scratch::with(Plan::new("one key", 0).attributes);
        let line = Line::new();
        let mut child = child::spawn(|| {
            let memory = pool.alloc(100).unwrap();
            crash::arm(write, stop_here);
            let published = memory.publish_as(TYPE, 1);
            crash::disarm();
            line.to_parent.send(u64::from(published.is_ok())).unwrap();
        })
        .unwrap();
        if child.wait_stopped().is_err() {
            break;
        }
        let by_parent = match pool.alloc_typed(100, TYPE, 1) {
            Ok(_) => true,
            Err(Error::KeyTaken { .. }) => false,
            Err(error) => panic!("write {write}: {error}"),
        };
        child.cont().unwrap();
        let by_child = line.to_parent.wait_from(&child).unwrap() == 1;
        assert_ne!(by_parent, by_child, "write {write}");
        got[usize::from(by_child)] += 1;
        assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
        pool.recover();
        settle_typed(&pool);
        assert_whole(&pool);
    }
    assert!(got.iter().all(|&times| times > 0), "{got:?}");
}

#[test]
fn half_made_entries_are_found_by_verify_and_cleared_by_recovery() {
    let mut half_made = 0;
    for write in 1.. {
        let pool = Scratch::with(Plan::new("half made", 0).attributes);
        let mut child = child::spawn(|| {
            let memory = pool.alloc(100).unwrap();
            crash::arm(write, die_here);
            memory.publish_as(TYPE, 1).unwrap();
        })
        .unwrap();
        if !child.wait().unwrap().was_killed() {
            break;
        }
        let of_a_record = |finding: &weyr_managed::Finding| finding.detail.starts_with("record ");
        half_made += usize::from(pool.verify(Mode::Quiesced).findings.iter().any(of_a_record));
        pool.recover();
        settle_typed(&pool);
        assert_whole(&pool);
    }
    // Filling with four fields, entered, won.
    assert!(half_made >= 6, "{half_made}");
}

#[test]
fn setting_attributes() {
    if !made_of::allows_growth("set attributes") {
        return;
    }
    let mut plan = Plan::new("set attributes", 2);
    let (old, new) = (Growth::UpTo(2 << 20), Growth::UpTo(1 << 20));
    plan.attributes = plan.attributes.growth(old).segment_size(512 << 10);
    let with = |pool: &Pool, mode: u32, growth: Growth| {
        let mut attributes = pool.attributes().unwrap();
        (attributes.mode, attributes.growth) = (Some(mode), growth);
        attributes
    };
    let prepare = |pool: &Pool, (): &(), _: &Line| {
        join(pool);
        with(pool, 0o640, new)
    };
    let settle = |pool: &Pool, ()| {
        let found = pool.attributes().unwrap();
        assert!([Some(0o600), Some(0o640)].contains(&found.mode) && [old, new].contains(&found.growth));
        pool.set_attributes(&with(pool, 0o600, old)).unwrap();
    };
    sweep(&plan, |_| (), prepare, |pool, (), wanted| drop(pool.set_attributes(&wanted).unwrap()), settle);
}
