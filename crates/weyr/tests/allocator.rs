//! Collections of one process in a pool.

use std::alloc::Layout;
use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use hashbrown::HashMap;
use weyr::allocator_api2::alloc::Allocator;
use weyr::allocator_api2::boxed::Box;
use weyr::allocator_api2::vec::Vec;
use weyr::managed::Error as PoolError;
use weyr::prelude::*;
use weyr::{Error, Mode};
use weyr_kill::{Outcome, child};

/// A pool whose user gave its word, destroyed at the end of the test, however it ends.
struct Scratch(Pool);

impl Scratch {
    fn with(test: &str, bytes: u64, change: impl FnOnce(PoolAttributes) -> PoolAttributes) -> Self {
        let name = format!("allocator-{test}-{}", std::process::id());
        let pool = Pool::create(&change(PoolAttributes::new(name, bytes))).unwrap();
        // SAFETY: only this test opens the pool, and it keeps to owners.
        Self(pool.cooperative(unsafe { Cooperative::assume() }))
    }

    fn new(test: &str) -> Self {
        Self::with(test, 1 << 20, |attributes| attributes)
    }

    /// Nothing is left, and every invariant holds.
    fn assert_whole(&self) {
        assert_eq!(self.usage().total.blocks, 0);
        let verified = self.verify(Mode::Quiesced);
        assert!(verified.holds(), "{:?}", verified.findings);
    }
}

impl std::ops::Deref for Scratch {
    type Target = Pool;
    fn deref(&self) -> &Pool {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _destroyed_by_the_test = self.0.destroy();
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

#[test]
fn only_a_pool_with_the_users_word_has_an_allocator() {
    let name = format!("allocator-word-{}", std::process::id());
    let pool = Pool::create(&PoolAttributes::new(name, 1 << 20)).unwrap();
    assert!(matches!(pool.allocator(), Err(Error::Pool(PoolError::Payload(_)))));
    pool.destroy().unwrap();
}

#[test]
fn a_vector_holds_what_was_pushed_while_it_grows_and_shrinks() {
    let pool = Scratch::new("vector");
    let mut numbers = Vec::new_in(pool.allocator().unwrap());
    for number in 0..50_000_u64 {
        numbers.push(number);
    }
    assert!(numbers.iter().copied().eq(0..50_000));
    for len in [20_000, 9, 3, 1] {
        numbers.truncate(len);
        numbers.shrink_to_fit();
        assert!(numbers.iter().copied().eq(0..len as u64), "{len}");
        assert_eq!(pool.usage().total.blocks, 1);
    }
    numbers.clear();
    numbers.shrink_to_fit();
    pool.assert_whole();
}

#[test]
fn values_with_drops_are_dropped_once_and_their_memory_is_freed() {
    let pool = Scratch::new("drops");
    let count = Arc::new(());
    let boxed = Box::new_in((Arc::clone(&count), [7_u8; 300]), pool.allocator().unwrap());
    let mut many = Vec::new_in(pool.allocator().unwrap());
    many.extend((0..100).map(|_| Arc::clone(&count)));
    assert_eq!((Arc::strong_count(&count), boxed.1[299]), (102, 7));
    drop((boxed, many));
    assert_eq!(Arc::strong_count(&count), 1);
    pool.assert_whole();
}

#[test]
fn a_hash_map_of_boxes_lies_in_a_pool() {
    let pool = Scratch::new("map");
    let allocator = pool.allocator().unwrap();
    let mut map = HashMap::with_hasher_in(RandomState::new(), allocator.clone());
    for key in 0..3000_u32 {
        map.insert(key, Box::new_in(u64::from(key) * 3, allocator.clone()));
    }
    (0..3000).step_by(2).for_each(|key| drop(map.remove(&key)));
    assert!(
        (0..3000)
            .all(|key| map.get(&key).map(|value| **value) == (key % 2 == 1).then_some(u64::from(key) * 3))
    );
    assert!(pool.usage().total.blocks > 1500);
    drop(map);
    pool.assert_whole();
}

/// Grows and shrinks vectors of elements of type `T`, whose alignment all of their places must have.
fn assert_aligned<T: Clone + PartialEq + std::fmt::Debug>(pool: &Pool, value: T) {
    let mut values = Vec::new_in(pool.allocator().unwrap());
    for len in [1, 2, 3, 30, 31, 5] {
        values.resize(len, value.clone());
        values.shrink_to_fit();
        assert!(
            values.as_ptr().addr().is_multiple_of(align_of::<T>()),
            "{len} of {}",
            std::any::type_name::<T>()
        );
        assert!(values.iter().all(|element| *element == value));
    }
    let boxed = Box::new_in(value.clone(), pool.allocator().unwrap());
    assert_eq!((*boxed == value, (&raw const *boxed).addr() % align_of::<T>()), (true, 0));
}

#[test]
fn elements_are_aligned_as_their_type_asks() {
    macro_rules! assert_aligned_to {
        ($pool:expr, $($alignment:literal)*) => {$({
            #[derive(Debug, Clone, PartialEq)]
            #[repr(align($alignment))]
            struct Aligned(u32, [u16; 40]);
            assert_aligned($pool, Aligned($alignment, [7; 40]));
        })*};
    }
    let pool = Scratch::with("aligned", 16 << 20, |attributes| attributes);
    assert_aligned_to!(&pool, 1 2 8 16 64 128 256 1024 4096 16384 65536);
    pool.assert_whole();
}

#[test]
fn no_bytes_take_no_memory() {
    let pool = Scratch::new("nothing");
    let allocator = pool.allocator().unwrap();
    for align in [1, 64, 1 << 30] {
        let nothing = allocator.allocate(layout(0, align)).unwrap();
        assert_eq!((nothing.len(), nothing.cast::<u8>().addr().get() % align), (0, 0));
    }
    let mut units = Vec::new_in(allocator.clone());
    units.extend([(); 1000]);
    let boxed = Box::new_in((), allocator.clone());
    let empty: Vec<u64, _> = Vec::with_capacity_in(0, allocator);
    assert_eq!(pool.usage().total.blocks, 0);
    drop((units, boxed, empty));
    pool.assert_whole();
}

#[test]
fn a_vector_grows_where_it_lies_as_long_as_there_is_room() {
    let pool = Scratch::new("in-place");
    let mut bytes: Vec<u8, _> = Vec::with_capacity_in(100_000, pool.allocator().unwrap());
    bytes.resize(100_000, 1);
    let begins = bytes.as_ptr();
    for room in [150_000, 400_000, 700_000] {
        bytes.try_reserve_exact(room - bytes.len()).unwrap();
        assert_eq!((bytes.as_ptr(), bytes.capacity()), (begins, room));
    }
    assert!(bytes.iter().all(|&byte| byte == 1));
    assert_eq!(pool.usage().total.blocks, 1);
    drop(bytes);
    pool.assert_whole();
}

#[test]
fn a_vector_that_would_not_fit_twice_grows_over_what_others_hold_idle() {
    let pool = Scratch::new("no-room-for-two");
    let mut bytes: Vec<u8, _> = Vec::with_capacity_in(200_000, pool.allocator().unwrap());
    bytes.try_reserve_exact(450_000).unwrap();
    bytes.resize(450_000, 5);
    // Spans that a thread keeps for its next are free memory, and found at the second look only.
    let kept: std::vec::Vec<_> = (0..4).map(|_| pool.alloc(20_000).unwrap()).collect();
    let end = bytes.as_ptr_range().end.addr();
    assert!(kept.iter().any(|memory| memory.as_slice().unwrap().as_ptr().addr().abs_diff(end) < 4096));
    drop(kept);
    bytes.try_reserve_exact(250_000).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 5));
    drop(bytes);
    pool.assert_whole();
}

#[test]
fn a_full_pool_is_an_error_and_what_is_there_stays() {
    let pool = Scratch::new("full");
    let mut words = Vec::new_in(pool.allocator().unwrap());
    let mut word = 0_u64;
    while words.try_reserve(1).is_ok() {
        words.push(word);
        word += 1;
    }
    assert!(words.len() * 8 > (1 << 20) / 3, "{}", words.len());
    assert!(words.iter().copied().eq(0..word));
    assert!(words.try_reserve(usize::MAX / 16).is_err());
    assert!(Box::try_new_in([0_u8; 2 << 20], pool.allocator().unwrap()).is_err());
    drop(words);
    pool.assert_whole();
}

#[test]
fn memory_that_is_asked_for_as_zero_is_zero() {
    let pool = Scratch::new("zeroed");
    let allocator = pool.allocator().unwrap();
    for round in 0..3 {
        for size in [1, 100, 5000, 9000, 200_000] {
            let zeroed: Vec<u8, _> = weyr::allocator_api2::vec![in allocator.clone(); 0; size];
            assert!(zeroed.iter().all(|&byte| byte == 0), "{size} in round {round}");
            let mut used: Vec<u8, _> = Vec::with_capacity_in(size, allocator.clone());
            used.resize(size, 0xff);
        }
    }
    pool.assert_whole();
}

#[test]
fn threads_free_what_others_allocated() {
    let pool = Scratch::with("threads", 8 << 20, |attributes| attributes);
    let allocator = pool.allocator().unwrap();
    let (give, take) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (give, allocator) = (give.clone(), allocator.clone());
            scope.spawn(move || {
                for size in 0..500 {
                    let mut numbers = Vec::new_in(allocator.clone());
                    numbers.extend((0..size).map(|_| thread));
                    give.send(numbers).unwrap();
                }
            });
        }
        drop(give);
        for (index, mut numbers) in take.into_iter().enumerate() {
            let thread = numbers.first().copied();
            numbers.extend((0..index % 7).map(|_| thread.unwrap_or(9)));
            assert!(numbers.iter().all(|&number| Some(number) == thread || number == 9));
        }
    });
    pool.assert_whole();
}

#[test]
fn a_buffer_leaves_its_vector_where_it_lies_and_is_sent_on() {
    let pool = Scratch::new("into");
    let channel = Channel::create(&pool, &ChannelAttributes::new().block_size(64).capacity(4)).unwrap();
    let before = pool.usage().total.blocks;
    let mut numbers: Vec<u32, _> = Vec::with_capacity_in(30_000, pool.allocator().unwrap());
    numbers.extend(0..20_000);
    let begins = numbers.as_ptr();
    let owned = numbers.into_owned().unwrap();
    assert_eq!((owned.len(), owned.as_ref().unwrap().as_ptr()), (20_000, begins));
    assert_eq!(pool.usage().total.blocks, before + 1);

    owned.send(&channel.sender()).unwrap();
    let received: Owned<[u32]> = channel.receive().unwrap().into_owned().unwrap();
    assert!(received.as_ref().unwrap().iter().copied().eq(0..20_000));
    // What was reserved is part of it.
    let mut allocation = received.into_allocation();
    allocation.resize_at_once(120_000).unwrap();
    assert_eq!(allocation.as_slice().unwrap().as_ptr(), begins.cast());
    let published = allocation.publish().unwrap();
    let again = pool.open(&published.descriptor()).unwrap();
    assert_eq!(again.len(), 120_000);
    published.free().unwrap();
    drop(again);
    channel.destroy().unwrap();
    pool.assert_whole();
}

#[test]
fn a_vector_without_elements_is_an_allocation_without_bytes() {
    let pool = Scratch::new("into-nothing");
    let empty: Vec<u64, _> = Vec::new_in(pool.allocator().unwrap());
    assert_eq!(empty.into_allocation().unwrap().len(), 0);
    let reserved: Vec<u64, _> = Vec::with_capacity_in(10, pool.allocator().unwrap());
    assert!(reserved.into_owned().unwrap().is_empty());
    let units: Vec<(), _> = weyr::allocator_api2::vec![in pool.allocator().unwrap(); (); 10];
    assert_eq!(units.into_allocation().unwrap().len(), 0);
    pool.assert_whole();
}

#[test]
fn elements_that_need_more_than_an_allocations_alignment_are_refused_and_freed() {
    #[derive(
        Clone,
        Copy,
        weyr::zerocopy::FromBytes,
        weyr::zerocopy::IntoBytes,
        weyr::zerocopy::Immutable,
        weyr::zerocopy::KnownLayout,
    )]
    #[repr(C, align(128))]
    struct Wide([u8; 128]);
    let pool = Scratch::new("into-aligned");
    let wide: Vec<Wide, _> = weyr::allocator_api2::vec![in pool.allocator().unwrap(); Wide([1; 128]); 3];
    assert!(matches!(wide.into_owned(), Err(Error::Misaligned { needed: 128, .. })));
    let wide: Vec<Wide, _> = weyr::allocator_api2::vec![in pool.allocator().unwrap(); Wide([1; 128]); 3];
    assert_eq!(wide.into_allocation().unwrap().as_slice().unwrap(), [1; 384]);
    pool.assert_whole();
}

#[test]
fn a_collection_keeps_its_memory_when_the_pool_is_destroyed_and_its_handles_are_gone() {
    let pool = Scratch::new("order");
    let path = pool.path().to_owned();
    let allocator = pool.allocator().unwrap();
    let mut numbers = Vec::new_in(allocator.clone());
    numbers.extend(0..1000_u32);
    let leaked = Box::leak(Box::new_in([3_u8; 5000], allocator));
    drop(pool);
    assert!(!path.exists());
    assert!(numbers.iter().copied().eq(0..1000));
    assert!(numbers.try_reserve(1_000_000).is_err(), "a destroyed pool gives nothing");
    drop(numbers);
    // Nobody has a handle any more; what was never given back is there still.
    assert!(leaked.iter().all(|&byte| byte == 3));
    leaked[4999] = 4;
}

#[test]
fn the_process_stays_a_member_while_a_collection_lives_and_no_longer() {
    let name = format!("allocator-members-{}", std::process::id());
    let pool = Pool::create(&PoolAttributes::new(name, 1 << 20)).unwrap();
    let path = pool.path().to_owned();
    let members = || Pool::inspect(&path).unwrap().members().len();
    // SAFETY: only this test opens the pool, and it keeps to owners.
    let pool = pool.cooperative(unsafe { Cooperative::assume() });
    let numbers: Vec<u64, _> = weyr::allocator_api2::vec![in pool.allocator().unwrap(); 1; 3000];
    let mut grown: Vec<u64, _> = Vec::new_in(pool.allocator().unwrap());
    grown.extend(&numbers);
    drop(pool);
    assert_eq!((numbers[2999], grown[2999], members()), (1, 1, 1));
    drop(numbers);
    assert_eq!(members(), 1);
    drop(grown);
    assert_eq!(members(), 0);
    Pool::attach_path(&path).unwrap().destroy().unwrap();
}

#[test]
fn a_forked_child_frees_nothing_and_gets_nothing_from_its_parents_allocator() {
    let pool = Scratch::new("fork");
    let allocator = pool.allocator().unwrap();
    let mut bytes: Vec<u8, _> = Vec::new_in(allocator.clone());
    bytes.resize(1000, 6);
    let spans: Vec<u8, _> = weyr::allocator_api2::vec![in allocator.clone(); 7; 100_000];
    let boxed = Box::new_in(8_u8, allocator.clone());
    let blocks = pool.usage().total.blocks;
    let copied = RefCell::new(Some((bytes, spans, boxed)));
    let child = child::spawn(|| {
        let (mut inherited, spans, boxed) = copied.take().unwrap();
        assert!(allocator.allocate(layout(8, 8)).is_err());
        assert!(allocator.allocate_zeroed(layout(8, 8)).is_err());
        assert!(inherited.try_reserve(10_000).is_err());
        assert!(matches!(spans.into_owned(), Err(Error::Pool(PoolError::Forked))));
        drop((inherited, boxed));
        assert_eq!(pool.usage().total.blocks, blocks);
        // An allocator of its own, over the same pool.
        let mut own = Vec::new_in(pool.allocator().unwrap());
        own.extend(0..10_000_u32);
        assert_eq!(pool.usage().total.blocks, blocks + 1);
        drop(own);
        assert_eq!(pool.usage().total.blocks, blocks);
    });
    assert_eq!(child.unwrap().wait().unwrap(), Outcome::Exited(0));
    assert_eq!(pool.usage().total.blocks, blocks);
    let (bytes, spans, boxed) = copied.take().unwrap();
    assert!(bytes.iter().all(|&byte| byte == 6) && spans.iter().all(|&byte| byte == 7) && *boxed == 8);
    drop((bytes, spans, boxed));
    pool.recover();
    pool.assert_whole();
}

#[test]
fn what_collections_of_a_killed_process_held_is_freed() {
    let pool = Scratch::new("killed");
    let held = child::spawn(|| {
        let mut numbers = Vec::new_in(pool.allocator().unwrap());
        numbers.extend(0..10_000_u64);
        std::mem::forget((numbers, Box::new_in(1_u8, pool.allocator().unwrap())));
    });
    assert_eq!(held.unwrap().wait().unwrap(), Outcome::Exited(0));
    assert_eq!(pool.usage().total.blocks, 2);
    assert_eq!(pool.recover().blocks, 2);
    pool.assert_whole();
}

#[test]
fn the_example_hands_its_vector_over_without_a_copy() {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().and_then(Path::parent).unwrap().join("examples/collection");
    assert!(built.exists(), "{} is missing; build it with `cargo build -p weyr --examples`", built.display());
    let output = Command::new(built).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1229 primes, copied: false"), "{said}");
}
