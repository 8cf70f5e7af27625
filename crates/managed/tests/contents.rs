//! Bytes of allocations: copied, compared, hashed and cleared, across parts and pools.

mod scratch;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use scratch::{Scratch, assert_sound};
use weyr_managed::{Allocation, Contents, ContentsMut, Cooperative, Error, Pool};
use weyr_shared::PayloadError;

const LONG: usize = 150_000;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 % 251) as u8).collect()
}

fn with_bytes(pool: &Pool, bytes: &[u8]) -> Allocation {
    let mut memory = pool.alloc(bytes.len() as u64).unwrap();
    memory.write(0, bytes).unwrap();
    memory
}

fn bytes_of(memory: &impl Contents) -> Vec<u8> {
    let mut bytes = vec![0; memory.byte_len() as usize];
    memory.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_copy_in_another_pool_has_the_same_bytes() {
    let (from, to) = (Scratch::new("from", 1 << 20), Scratch::new("to", 1 << 20));
    let original = with_bytes(&from, &pattern(LONG));
    let copy = to.alloc_copy(&original).unwrap().publish().unwrap();
    assert_eq!(bytes_of(&copy), pattern(LONG));
    assert!(copy.is_in(&to) && !copy.is_in(&from));
    let again = from.alloc_copy_until(&copy, Instant::now() + Duration::from_secs(60)).unwrap();
    assert!(original.equals(&again).unwrap());
    copy.free().unwrap();
    assert_sound(&to, 0);
}

#[test]
fn a_copy_for_which_there_is_no_room_leaves_nothing() {
    let (from, to) = (Scratch::new("large", 1 << 20), Scratch::new("small", 64 << 10));
    let original = with_bytes(&from, &pattern(LONG));
    assert!(matches!(to.alloc_copy(&original), Err(Error::TooLarge { .. })));
    let fits = with_bytes(&from, &pattern(60 << 10));
    let _taken = to.alloc(32 << 10).unwrap();
    let over = Instant::now();
    assert!(matches!(to.alloc_copy_until(&fits, over), Err(Error::Timeout { .. })));
    assert_sound(&to, 1);
}

#[test]
fn hashes_and_comparisons_see_every_byte() {
    let pool = Scratch::new("hash", 2 << 20);
    let (mut memory, other) = (with_bytes(&pool, &pattern(LONG)), with_bytes(&pool, &pattern(LONG)));
    let hash = memory.content_hash().unwrap();
    assert_eq!(hash, xxhash_rust::xxh3::xxh3_64(&pattern(LONG)));
    for index in [0, 1, 65_535, 65_536, LONG - 1] {
        let good = [pattern(LONG)[index]];
        memory.write(index as u64, &[good[0] ^ 1]).unwrap();
        assert!(!memory.equals(&other).unwrap() && memory.content_hash().unwrap() != hash, "byte {index}");
        memory.write(index as u64, &good).unwrap();
    }
    assert!(memory.equals(&other).unwrap());
    assert!(!memory.equals(&with_bytes(&pool, &pattern(LONG - 1))).unwrap());
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let pool = Scratch::new("fit", 1 << 20);
    let long = with_bytes(&pool, &[1; 100]);
    let mut short = with_bytes(&pool, &[2; 50]);
    let refused = |offset, len, size| Error::Payload(PayloadError::OutOfRange { offset, len, size });
    assert_eq!(short.copy_from(&long), Err(refused(0, 100, 50)));
    assert_eq!(short.clear(20..51), Err(refused(20, 31, 50)));
    assert_eq!(short.clear(51..51), Err(refused(51, 0, 50)));
    assert_eq!(bytes_of(&short), [2; 50]);
    let mut frozen = pool.alloc(100).unwrap().freeze().unwrap();
    assert!(matches!(frozen.copy_from(&long), Err(Error::WrongState { .. })));
    frozen.free().unwrap();
}

#[test]
fn the_same_bytes_are_known_by_their_place() {
    let pool = Scratch::new("same", 1 << 20);
    let (first, second) =
        (pool.alloc(64).unwrap().publish().unwrap(), pool.alloc(64).unwrap().publish().unwrap());
    let again = pool.open(&first.descriptor()).unwrap();
    assert!(first.is_same_as(&again) && !first.is_same_as(&second));
    let (view, other_view) = (first.clone_view(8, 8).unwrap(), first.clone_view(16, 8).unwrap());
    assert!(!view.is_same_as(&first) && !view.is_same_as(&other_view));
    assert!(view.is_same_as(&again.clone_view(8, 8).unwrap()));
    first.free().unwrap();
    second.free().unwrap();
}

#[test]
fn an_address_is_given_where_the_user_vouched_for_everybody() {
    let pool = Scratch::new("address", 64 << 10);
    let (mut strict, published) = (pool.alloc(64).unwrap(), pool.alloc(64).unwrap().publish().unwrap());
    assert_eq!(strict.as_address(), Err(Error::Payload(PayloadError::NotCooperative)));
    assert_eq!(published.as_address(), Err(Error::Payload(PayloadError::NotCooperative)));
    // SAFETY: only this test has the pool.
    let vouched = pool.clone().cooperative(unsafe { Cooperative::assume() });
    let start = vouched.region().address();
    let view = vouched.open(&published.descriptor()).unwrap().clone_view(8, 16).unwrap();
    let address = view.as_address().unwrap();
    assert_eq!(address.cast::<u8>().addr().get() as u64, start + view.reference().offset + 8);
    assert_eq!(address.len(), 16);
    published.free().unwrap();
}

#[test]
fn a_resize_that_has_to_move_waits_for_memory() {
    let pool = Scratch::new("resize", 256 << 10);
    let mut memory = with_bytes(&pool, &pattern(40_000));
    let behind = pool.alloc(200_000).unwrap();
    let over = Instant::now();
    assert!(matches!(memory.resize_until(100_000, over), Err(Error::Timeout { .. })));
    assert_eq!(bytes_of(&memory), pattern(40_000));
    std::thread::scope(|scope| {
        let pool = &pool;
        scope.spawn(move || {
            while pool.waiters() == 0 {
                std::thread::yield_now();
            }
            drop(behind);
        });
        memory.resize_until(100_000, Instant::now() + Duration::from_secs(60)).unwrap();
    });
    assert_eq!(bytes_of(&memory)[..40_000], pattern(40_000));
    assert_eq!(memory.len(), 100_000);
    assert_sound(&pool, 1);
}

#[test]
fn a_typed_allocation_waits_for_memory_and_not_for_its_key() {
    let pool = Scratch::new("typed", 256 << 10);
    let soon = || Instant::now() + Duration::from_secs(60);
    let first = pool.alloc_typed_until(100, 1, 2, soon()).unwrap();
    assert_eq!(pool.alloc_typed_until(100, 1, 2, soon()).unwrap_err(), Error::KeyTaken { type_id: 1, id: 2 });
    let over = pool.alloc_typed_until(256 << 10, 1, 3, Instant::now());
    assert!(matches!(over, Err(Error::Timeout { .. })), "{over:?}");
    first.free().unwrap();
    assert_sound(&pool, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Against a plain vector.
    #[test]
    fn parts_are_copied_and_cleared_as_in_a_vector(
        from in proptest::collection::vec(any::<u8>(), 1..200_000),
        length in 1..200_000_usize,
        part in 0..200_000_usize,
        clear in (0..200_000_usize, 0..200_000_usize),
    ) {
        let pool = Scratch::new("model", 1 << 20);
        let (source, mut memory) = (with_bytes(&pool, &from), with_bytes(&pool, &vec![7; length]));
        let mut expected = vec![7; length];
        let fits = part <= from.len().min(length);
        prop_assert_eq!(memory.copy_part_from(&source, part as u64).is_ok(), fits);
        if fits {
            expected[..part].copy_from_slice(&from[..part]);
        }
        let (start, end) = (clear.0.min(clear.1), clear.0.max(clear.1));
        prop_assert_eq!(memory.clear(start as u64..end as u64).is_ok(), end <= length);
        if end <= length {
            expected[start..end].fill(0);
        }
        prop_assert_eq!(bytes_of(&memory), expected);
    }
}
