//! What lies under a pool: memory that is zero because nobody had it, memory that is used again before more is taken,
//! and huge pages where the kernel gives them.
#![forbid(unsafe_code)]

mod scratch;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use scratch::{Scratch, assert_whole, attributes};
use weyr_managed::{Allocation, Pool};
use weyr_shared::Payload;

fn is_zero(memory: &Allocation) -> bool {
    let mut bytes = vec![1; memory.len() as usize];
    memory.read(0, &mut bytes).unwrap();
    bytes.iter().all(|&byte| byte == 0)
}

/// Writes where nobody has anything.
fn mark(pool: &Pool, offset: u64) {
    Payload::new(pool.region(), offset, 1, None).unwrap().fill(0xee);
}

fn is_marked(memory: &Allocation, offset: u64) -> bool {
    let mut byte = [0];
    memory.read(offset - memory.reference().offset, &mut byte).unwrap();
    byte == [0xee]
}

#[test]
fn what_nobody_had_is_not_touched_for_being_zero_and_what_somebody_had_is_filled() {
    let pool = Scratch::with(attributes("fresh", 1 << 20).zeroing(true));
    let plain = Scratch::new("fresh-plain", 1 << 20);
    // Both give the same place; only there nothing may be marked before it is backed.
    let place = plain.alloc(40 << 12).unwrap().reference().offset + (20 << 12);
    drop(pool.alloc(1).unwrap());
    mark(&pool, place);
    let memory = pool.alloc(40 << 12).unwrap();
    assert!(is_marked(&memory, place), "memory that nobody had was filled");
    drop(memory);
    let memory = pool.alloc(40 << 12).unwrap();
    assert!(is_zero(&memory), "memory that somebody had was not filled");
    drop(memory);
    assert_whole(&pool);
}

#[test]
fn a_span_that_its_lane_kept_is_zero_again() {
    const PAGE: u64 = 64 << 10;
    let pool = Scratch::with(attributes("kept-zero", 16 << 20).page_size(PAGE).zeroing(true));
    // A sixteenth of the pool: kept, and its later pages still look as if nobody had had them.
    let mut first = pool.alloc(16 * PAGE).unwrap();
    first.fill(0xff).unwrap();
    let place = first.reference().offset;
    drop(first);
    let mut second = pool.alloc(15 * PAGE + 100).unwrap();
    assert_eq!(second.reference().offset, place, "it was not kept");
    assert!(is_zero(&second), "{second:?}");
    second.resize(16 * PAGE).unwrap();
    assert!(is_zero(&second), "{second:?}");
    drop(second);
    assert_whole(&pool);
}

#[test]
fn whatever_was_there_new_memory_is_zero() {
    let pool = Scratch::with(attributes("zero", 1 << 20).zeroing(true));
    let mut random = 12345u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut held: Vec<Allocation> = Vec::new();
    for _ in 0..20_000 {
        if held.len() > 20 || next(3) == 0 && !held.is_empty() {
            let place = next(held.len() as u64) as usize;
            held.swap_remove(place);
            continue;
        }
        let most = if next(4) == 0 { 150_000 } else { 9000 };
        let bytes = 1 + next(most);
        let aligned = next(5) == 0;
        let made = if aligned { pool.alloc_aligned(bytes, 8192) } else { pool.alloc(bytes) };
        let Ok(mut memory) = made else { continue };
        assert!(is_zero(&memory), "{memory:?}");
        memory.fill(0xff).unwrap();
        let (less, more) = (1 + next(bytes), bytes + next(9000));
        memory.resize(less).unwrap();
        if memory.resize(more).is_ok() {
            let mut bytes = vec![1; (more - less) as usize];
            memory.read(less, &mut bytes).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0), "{memory:?}, resized from {less}");
        }
        memory.fill(0xff).unwrap();
        held.push(memory);
    }
    drop(held);
    drop(pool.alloc(1 << 20).unwrap());
    assert_whole(&pool);
}

#[test]
fn a_pool_with_huge_pages_says_how_many_it_has_and_is_a_pool_like_others() {
    let pool = Scratch::with(attributes("huge", 64 << 20).huge_pages(true));
    let mut memory = pool.alloc(9 << 20).unwrap();
    memory.fill(0x11).unwrap();
    let found = pool.huge_pages();
    assert!(found.asked && found.backed_bytes >= 9 << 20, "{found:?}");
    // As many as the kernel gives: it may have none, and never more than there is.
    assert!(
        found.bytes.is_none_or(|bytes| bytes <= found.backed_bytes && bytes % (2 << 20) == 0),
        "{found:?}"
    );
    let seen = Pool::inspect(pool.path()).unwrap().huge_pages();
    assert_eq!((seen.asked, seen.backed_bytes), (true, found.backed_bytes));
    drop(memory);
    assert_whole(&pool);
    for bytes in [1 << 20, 64 << 20] {
        let pool = Scratch::with(attributes("small-or-plain", bytes).huge_pages(bytes == 1 << 20));
        assert!(!pool.huge_pages().asked);
    }
}

/// Bytes of memory behind a pool's object.
fn memory_behind(pool: &Pool) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(pool.path()).unwrap()) * 512
}

/// Frees all that comes, and says so each time.
fn free_all(come: Receiver<Allocation>, freed: &Sender<()>) {
    for memory in come {
        drop(memory);
        freed.send(()).unwrap();
    }
}

#[test]
fn what_others_freed_is_used_again_before_new_memory_is_taken() {
    let pool = Scratch::with(attributes("reuse", 64 << 20).page_size(4096));
    let (give, take) = sync_channel(1);
    let (freed, is_freed) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || free_all(take, &freed));
        for _ in 0..500 {
            // A span, which who frees it keeps for itself for a while, and a slab of blocks.
            for bytes in [50 << 12, 16 << 10] {
                give.send(pool.alloc(bytes).unwrap()).unwrap();
                is_freed.recv().unwrap();
            }
        }
        drop(give);
    });
    let taken = memory_behind(&pool);
    assert!(taken < 8 << 20, "{taken} bytes for one allocation at a time");
    assert_whole(&pool);
}

/// Frees what comes, each when eight more have come.
fn free_late(come: Receiver<Allocation>) {
    let mut held = VecDeque::new();
    for memory in come {
        held.push_back(memory);
        if held.len() > 8 {
            held.pop_front();
        }
    }
}

/// Allocates small spans and passes them on, and between them large ones that need three quarters of the pool.
fn alternate(
    pool: &Pool,
    small: &SyncSender<Allocation>,
    large: &SyncSender<Allocation>,
    freed: &Receiver<()>,
) {
    for round in 0..3000_u64 {
        for number in 0..5 {
            small.send(pool.alloc((1 + (round * 5 + number) * 7 % 16) << 12).unwrap()).unwrap();
        }
        let memory = pool.alloc(pool.size() / 4 * 3);
        large.send(memory.unwrap_or_else(|error| panic!("round {round}: {error}"))).unwrap();
        freed.recv().unwrap();
    }
}

#[test]
fn large_spans_are_had_at_once_beside_small_ones_that_others_free() {
    let pool = Scratch::with(attributes("beside", 16 << 20).page_size(4096));
    let (small, take_small) = sync_channel(1);
    let (large, take_large) = sync_channel(1);
    let (freed, is_freed) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || free_all(take_large, &freed));
        scope.spawn(move || free_late(take_small));
        alternate(&pool, &small, &large, &is_freed);
        drop((small, large));
    });
    assert_whole(&pool);
}
