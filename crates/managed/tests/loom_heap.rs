//! What the heap's orderings buy under the C11 memory model: two threads on the product's own code.
//!
//! Each case names the pair of operations that it is about. Interleavings with deaths are the explorer's.
#![cfg(weyr_face = "loom")]

use std::sync::Mutex;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use weyr_atomic::loom;
use weyr_managed::BlockReference;
use weyr_managed::geometry::{Geometry, Shape};
use weyr_managed::heap::lane::LaneHeap;
use weyr_managed::heap::model::Steps;
use weyr_managed::heap::recovery::NoChannels;
use weyr_managed::heap::word::{PageState, ProcessWord};
use weyr_managed::heap::{Heap, Liveness};

/// Bytes of a block of which a page has two.
const HALF: u64 = 2048;
/// Bytes of a block that has a page for itself.
const WHOLE: u64 = 4096;

/// A heap of two pages with what lies in their blocks.
struct World {
    heap: Heap,
    payload: [UnsafeCell<u64>; 4],
}

impl World {
    fn steps(&self) -> Steps<'_> {
        Steps(&self.heap)
    }

    /// Touches a block's payload as its owner may: loom reports two that do so without order.
    fn write(&self, block: BlockReference) {
        self.payload[(block.offset / HALF) as usize].with_mut(|_| ());
    }
}

/// Two processes with a lane each.
fn world() -> (World, LaneHeap, LaneHeap) {
    let (world, mut lanes) = world_of(2);
    let second = lanes.pop().expect("two lanes");
    (world, lanes.pop().expect("two lanes"), second)
}

fn world_of(processes: u16) -> (World, Vec<LaneHeap>) {
    let shape = Shape {
        page_shift: 12,
        initial_pages: 2,
        segment_pages: 2,
        maximum_pages: 2,
        process_limit: processes.into(),
        lane_limit: processes.into(),
        channel_limit: 1,
        manifest_limit: 0,
    };
    let heap = Heap::in_memory(Geometry::new(shape));
    let world = World { heap, payload: std::array::from_fn(|_| UnsafeCell::new(0)) };
    let steps = world.steps();
    (0..processes).for_each(|process| steps.join(process, u32::from(process) + 1));
    let lanes = (0..processes).map(|process| steps.lane(process, 0)).collect();
    (world, lanes)
}

/// Process 0 is dead, the others live.
struct FirstIsDead;

impl Liveness for FirstIsDead {
    fn process_is_dead(&self, process: u16, _: ProcessWord) -> bool {
        process == 0
    }
    fn thread_is_dead(&self, _: u16, _: u32, _: u64) -> bool {
        false
    }
    fn barrier(&self) -> bool {
        weyr_atomic::heavy_barrier(|| true)
    }
}

fn alloc(world: &World, own: &mut LaneHeap, bytes: u64) -> Option<BlockReference> {
    let block = world.heap.alloc(own, bytes).expect("present");
    block.inspect(|&block| world.write(block))
}

/// What one of two threads does.
type Side = Box<dyn FnOnce()>;

/// Runs the two at once: `swapped` says which of them is the spawned thread.
///
/// loom runs the spawning thread first and remembers one access of an atomic only, so a look that is followed by a look
/// and a change elsewhere is moved behind that change only when the one that looks was spawned. So every case is run
/// both ways.
fn race(swapped: bool, one: impl FnOnce() + 'static, other: impl FnOnce() + 'static) {
    let (one, other): (Side, Side) = (Box::new(one), Box::new(other));
    let (here, there) = if swapped { (other, one) } else { (one, other) };
    let thread = loom::thread::spawn(there);
    here();
    thread.join().expect("no panic");
}

/// Runs `case` both ways under every execution, and says how many there were.
fn explore(name: &str, case: impl Fn(bool) + Send + Sync + Copy + 'static) {
    let start = std::time::Instant::now();
    let executions = std::sync::Arc::new(Mutex::new(0_u64));
    for swapped in [false, true] {
        let counted = executions.clone();
        let mut builder = loom::model::Builder::new();
        builder.max_branches = 100_000;
        builder.check(move || {
            *counted.lock().expect("nobody panics with it") += 1;
            case(swapped);
        });
    }
    let executions = *executions.lock().expect("nobody panics with it");
    weyr_kill::note(format_args!(
        "{name}: {executions} executions, {:.1} s, complete",
        start.elapsed().as_secs_f64()
    ));
    assert!(executions > 2, "nothing was explored");
}

/// `tell_owner`'s remote bit and second look against `adopt`'s page word and swap of the rows.
#[test]
fn an_adopter_is_told_of_a_free_or_sees_it() {
    explore("loom: free by another against adoption", |swapped| {
        let (world, mut first, second) = world();
        alloc(&world, &mut first, HALF).expect("a block");
        let given = alloc(&world, &mut first, HALF).expect("a block");
        world.heap.release_lane(first);
        let mut freer = world.steps().lane(0, 0);
        let (world, adopter) = (Arc::new(world), Arc::new(Mutex::new(second)));
        let free = {
            let world = Arc::clone(&world);
            move || {
                world.write(given);
                assert!(world.steps().free_shared(&mut freer, given));
            }
        };
        let adopt = {
            let (world, adopter) = (Arc::clone(&world), Arc::clone(&adopter));
            move || {
                world.steps().adopt(&mut adopter.lock().expect("no panic"), 0);
            }
        };
        race(swapped, free, adopt);
        assert!(world.steps().page(0).is_slab_of(1));
        let block = alloc(&world, &mut adopter.lock().expect("no panic"), HALF).expect("present");
        assert_eq!(block.offset, given.offset, "the adopter was not told of the free");
    });
}

/// `release`'s page word and hint against `hide`'s hint and second look.
#[test]
fn a_free_page_is_not_hidden_by_who_found_it_used() {
    explore("loom: giving a page back against finding it used", |swapped| {
        let (world, first, second) = world();
        assert!(world.steps().claim_run(&first, 0, 1));
        let world = Arc::new(world);
        let (giving, finding) = (Arc::clone(&world), Arc::clone(&world));
        let give_back = move || giving.steps().give_back(&first, 0);
        let find = move || {
            if finding.steps().claim_run(&second, 0, 1) {
                finding.steps().give_back(&second, 0);
            }
        };
        race(swapped, give_back, find);
        assert_eq!(world.steps().page(0).state(), PageState::Free);
        assert!(!world.steps().seems_used(0), "a free page is hidden");
    });
}

/// The freer's compare-exchange and remote bit against the owner's swap of the bits and look at the word.
#[test]
fn who_allocates_a_block_again_sees_what_its_freer_wrote() {
    explore("loom: payload of a block freed by another", |swapped| {
        let (world, mut first, mut second) = world();
        let (_kept, given) = (alloc(&world, &mut first, HALF), alloc(&world, &mut first, HALF));
        let given = given.expect("a block");
        let world = Arc::new(world);
        let (freeing, allocating) = (Arc::clone(&world), Arc::clone(&world));
        let free = move || {
            freeing.write(given);
            assert!(freeing.steps().free_shared(&mut second, given));
        };
        let allocate = move || {
            alloc(&allocating, &mut first, HALF);
        };
        race(swapped, free, allocate);
    });
}

/// The owner's plain store of FREE, given up with the lane, against the next owner's allocation from the same page.
#[test]
fn who_adopts_a_page_sees_what_its_former_owner_wrote() {
    explore("loom: payload of a page given up with its lane", |swapped| {
        let (world, mut first, mut second) = world();
        let block = alloc(&world, &mut first, HALF).expect("a block");
        let world = Arc::new(world);
        let (leaving, adopting) = (Arc::clone(&world), Arc::clone(&world));
        let leave = move || {
            leaving.write(block);
            assert!(leaving.steps().free_own(&mut first, block));
            leaving.heap.release_lane(first);
        };
        let adopt = move || {
            if adopting.steps().adopt(&mut second, 0) {
                alloc(&adopting, &mut second, HALF);
            }
        };
        race(swapped, leave, adopt);
    });
}

/// The length of a span against its head; the page had a shorter one before.
#[test]
fn who_sees_a_span_sees_its_length() {
    explore("loom: length before HEAD", |swapped| {
        let (world, mut first, _second) = world();
        let shorter = world.steps().alloc_span_from(&mut first, 0, 1).expect("a page");
        assert!(world.steps().free_own(&mut first, shorter));
        world.steps().look_from(&mut first, 0);
        let world = Arc::new(world);
        let (allocating, looking) = (Arc::clone(&world), Arc::clone(&world));
        let allocate = move || {
            allocating.heap.alloc(&mut first, 2 * WHOLE).expect("present").expect("two pages");
        };
        let look = move || {
            let span = BlockReference { offset: 0, generation: 2 };
            if let Some(bytes) = looking.steps().bytes(span) {
                assert_eq!(bytes, 2 * WHOLE, "the length was not there yet");
            }
        };
        race(swapped, allocate, look);
    });
}

/// A lane given back against one taken: the pages of the former user are nobody's before the lane is.
#[test]
fn who_takes_a_lane_finds_nothing_of_its_former_user() {
    explore("loom: lane given back and taken", |swapped| {
        let (world, mut first, _second) = world();
        alloc(&world, &mut first, HALF).expect("a block");
        let world = Arc::new(world);
        let (leaving, taking) = (Arc::clone(&world), Arc::clone(&world));
        let take = move || {
            if taking.heap.acquire_lane(1, 0, 0).expect("present").is_some() {
                assert!(!taking.steps().page(0).is_slab_of(0), "the lane was free and its page was not");
            }
        };
        race(swapped, move || leaving.heap.release_lane(first), take);
    });
}

/// The owner's operation word and look at the flag against the revoker's flag and look at the operation word.
#[test]
fn owner_and_revoker_never_have_one_block() {
    explore("loom: allocation against revocation", |swapped| {
        let (world, mut first, mut second) = world();
        let block = alloc(&world, &mut first, HALF).expect("a block");
        assert!(world.steps().free_own(&mut first, block));
        let world = Arc::new(world);
        let (owning, revoking) = (Arc::clone(&world), Arc::clone(&world));
        let own = move || {
            let block = owning.steps().alloc_at_hand(&mut first, HALF);
            block.inspect(|&block| owning.write(block));
        };
        let revoke = move || {
            revoking.steps().revoke(&mut second, &FirstIsDead);
            if revoking.steps().adopt(&mut second, 0) {
                alloc(&revoking, &mut second, HALF);
            }
        };
        race(swapped, own, revoke);
        // Two blocks, or one; never one block twice.
        assert!(world.steps().blocks().len() <= 2);
    });
}

/// The sweep's free of a dead process's span against a claim of its pages: base and block word before the page is free.
#[test]
fn who_claims_what_the_dead_had_issues_another_generation() {
    explore("loom: recovery against a claim", |swapped| {
        let (world, lanes) = world_of(3);
        let [mut dead, mut helper, mut claimer]: [LaneHeap; 3] = lanes.try_into().expect("three lanes");
        let span = world.steps().alloc_span_from(&mut dead, 0, 2).expect("two pages");
        world.write(span);
        let world = Arc::new(world);
        let (helping, claiming) = (Arc::clone(&world), Arc::clone(&world));
        let help = move || {
            helping.heap.recover_process(&mut helper, 0, &FirstIsDead, &NoChannels);
        };
        let claim = move || {
            if let Some(next) = claiming.steps().alloc_span_from(&mut claimer, 0, 2) {
                assert!(next.generation > span.generation, "{next:?} behind {span:?}");
                claiming.write(next);
            }
        };
        race(swapped, help, claim);
        assert!(world.steps().page(0).state() != PageState::Claim);
    });
}
