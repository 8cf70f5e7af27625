//! Owned memory that becomes longer and shorter, in place and elsewhere.
#![forbid(unsafe_code)]

mod scratch;

use scratch::{Scratch, assert_sound, assert_whole, attributes};
use weyr_managed::{Allocation, Error, Growth};

const PAGE: u64 = 4096;

fn pattern(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|index| (index % 251) as u8).collect()
}

/// Whether the first `bytes` bytes are those of the pattern.
fn assert_kept(memory: &Allocation, bytes: u64) {
    let mut found = vec![0; bytes as usize];
    memory.read(0, &mut found).unwrap();
    assert!(found == pattern(bytes), "the first {bytes} bytes have changed");
}

#[test]
fn a_span_grows_and_shrinks_where_it_lies() {
    let pool = Scratch::new("resize", 1 << 20);
    let mut memory = pool.alloc(3 * PAGE).unwrap();
    let reference = memory.reference();
    memory.write(0, &pattern(3 * PAGE)).unwrap();
    for pages in [3, 4, 70, 69, 190, 2, 1, 1, 90] {
        let (before, bytes) = (memory.len(), pages * PAGE - 7);
        memory.resize(bytes).unwrap();
        assert_eq!((memory.len(), memory.reference()), (bytes, reference));
        assert_kept(&memory, before.min(bytes).min(PAGE - 7));
        assert_eq!(pool.usage().free_pages, 256 - pages);
        assert_sound(&pool, 1);
        memory.write(bytes - 1, &[1]).unwrap();
        assert!(matches!(memory.write(bytes, &[1]), Err(Error::Payload(_))));
        memory.write(0, &pattern(bytes)).unwrap();
    }
    drop(memory);
    assert_whole(&pool);
}

#[test]
fn what_lies_behind_it_stops_it_and_is_named() {
    let pool = Scratch::new("resize-stopped", 1 << 20);
    let all: Vec<Allocation> = (0..64).map(|_| pool.alloc(4 * PAGE).unwrap()).collect();
    let mut in_order = all;
    in_order.sort_by_key(|memory| memory.reference().offset);
    let mut first = in_order.remove(0);
    first.write(0, &pattern(4 * PAGE)).unwrap();
    let refused = Error::NotInPlace { bytes: 6 * PAGE, room: 4 * PAGE };
    assert_eq!(first.resize(6 * PAGE), Err(refused.clone()));
    assert!(refused.to_string().contains("24576") && refused.to_string().contains("resize_or_move"));
    assert_sound(&pool, 64);
    drop(in_order.remove(0));
    // Over the hole, and not beyond it.
    assert!(matches!(first.resize(9 * PAGE), Err(Error::NotInPlace { .. })));
    assert_eq!(pool.usage().free_pages, 4);
    first.resize(8 * PAGE).unwrap();
    assert_kept(&first, 4 * PAGE);
    assert_eq!(first.resize(2 << 20), Err(Error::TooLarge { bytes: 2 << 20, limit: 1 << 20 }));
    // Nowhere else is there room either, and it stays as it was.
    assert_eq!(first.resize_or_move(9 * PAGE), Err(Error::NoMemory { bytes: 9 * PAGE }));
    assert_kept(&first, 4 * PAGE);
    drop((first, in_order));
    assert_whole(&pool);
}

#[test]
fn a_block_of_a_slab_has_the_room_of_its_class() {
    let pool = Scratch::new("resize-slab", 1 << 20);
    let mut memory = pool.alloc(70).unwrap();
    memory.write(0, &pattern(70)).unwrap();
    memory.resize(128).unwrap();
    assert_kept(&memory, 70);
    assert_eq!(memory.resize(129), Err(Error::NotInPlace { bytes: 129, room: 128 }));
    memory.resize(0).unwrap();
    memory.resize(70).unwrap();
    let before = memory.reference();
    memory.resize_or_move(100_000).unwrap();
    assert_ne!(memory.reference(), before);
    assert_kept(&memory, 70);
    assert_eq!(memory.len(), 100_000);
    memory.write(0, &pattern(100_000)).unwrap();
    memory.resize_or_move(600_000).unwrap();
    assert_kept(&memory, 100_000);
    assert_sound(&pool, 1);
    drop(memory);
    assert_whole(&pool);
}

#[test]
fn pages_that_an_idle_thread_holds_behind_it_are_taken() {
    let pool = Scratch::new("resize-idle", 256 << 10);
    let mut memory = pool.alloc(4 * PAGE).unwrap();
    std::thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let (ready, told) = std::sync::mpsc::channel();
        let pool = &*pool;
        scope.spawn(move || {
            // Slabs all over the pool, of which nothing is in use.
            let held: Vec<_> = std::iter::from_fn(|| pool.alloc(500).ok()).collect();
            drop(held);
            drop([64, 100, 500, 1000].map(|bytes| pool.alloc(bytes).unwrap()));
            ready.send(()).unwrap();
            let _over = receive.recv();
        });
        told.recv().unwrap();
        memory.resize(pool.size() - memory.reference().offset).unwrap();
        drop(send);
    });
    assert_sound(&pool, 1);
    drop(memory);
    assert_whole(&pool);
}

#[test]
fn a_span_at_the_end_makes_the_pool_grow() {
    let growing = attributes("resize-grow", 64 << 10).growth(Growth::UpTo(1 << 20)).segment_size(64 << 10);
    let pool = Scratch::with(growing);
    let mut memory = pool.alloc(64 << 10).unwrap();
    memory.write(0, &pattern(64 << 10)).unwrap();
    memory.resize(1 << 20).unwrap();
    assert_kept(&memory, 64 << 10);
    assert_eq!(pool.size(), 1 << 20);
    memory.fill(1).unwrap();
    drop(memory);
    assert_whole(&pool);
}

#[test]
fn what_is_added_is_zero_in_a_pool_that_zeroes() {
    let pool = Scratch::with(attributes("resize-zero", 1 << 20).zeroing(true));
    pool.alloc(1 << 20).unwrap().fill(0xff).unwrap();
    for (less, more) in [(100, 128), (2 * PAGE + 5, 9 * PAGE + 3), (2 * PAGE + 5, 3 * PAGE - 1)] {
        let mut memory = pool.alloc(more).unwrap();
        memory.fill(0xff).unwrap();
        memory.resize(less).unwrap();
        memory.resize(more).unwrap();
        let mut found = vec![0; more as usize];
        memory.read(0, &mut found).unwrap();
        assert!(found[..less as usize].iter().all(|&byte| byte == 0xff));
        assert!(found[less as usize..].iter().all(|&byte| byte == 0), "{less} to {more}");
    }
}

#[test]
fn what_is_cut_off_serves_who_waits() {
    let pool = Scratch::new("resize-waiter", 1 << 20);
    let mut memory = pool.alloc(1 << 20).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.alloc_blocking(512 << 10).map(drop));
        while pool.waiters() == 0 {
            std::thread::yield_now();
        }
        memory.resize(512 << 10).unwrap();
        waiting.join().unwrap().unwrap();
    });
    drop(memory);
    assert_whole(&pool);
}

#[test]
fn what_a_zeroing_pool_gave_and_got_back_by_a_resize_is_zeroed_before_it_is_given_again() {
    let pool = Scratch::with(attributes("resize-own", 1 << 20).zeroing(true));
    // A slab block of two pages, and whole pages of which the first is kept in any case.
    for (most, least) in [(2 * PAGE, 100), (10 * PAGE, 0), (10 * PAGE, PAGE + 1)] {
        let mut memory = pool.alloc(most).unwrap();
        memory.fill(7).unwrap();
        memory.resize(least).unwrap();
        memory.resize(most).unwrap();
        let mut found = vec![1; (most - least) as usize];
        memory.read(least, &mut found).unwrap();
        assert!(found.iter().all(|&byte| byte == 0), "{most} after {least}");
    }
}

#[test]
fn a_resize_at_once_takes_what_is_free_and_looks_no_further() {
    let pool = Scratch::new("resize-at-once", 1 << 20);
    let mut memory = pool.alloc(20 * PAGE).unwrap();
    memory.resize_at_once(120 * PAGE).unwrap();
    memory.resize_at_once(20 * PAGE).unwrap();
    // Kept by this thread for its next of that length: free memory to everybody who looks closely.
    let behind: Vec<Allocation> = (0..4).map(|_| pool.alloc(4 * PAGE).unwrap()).collect();
    let next = memory.reference().offset + 20 * PAGE;
    assert!(behind.iter().any(|memory| memory.reference().offset == next));
    drop(behind);
    assert_eq!(
        memory.resize_at_once(21 * PAGE),
        Err(Error::NotInPlace { bytes: 21 * PAGE, room: 20 * PAGE })
    );
    memory.resize(21 * PAGE).unwrap();
    drop(memory);
    assert_whole(&pool);
}
