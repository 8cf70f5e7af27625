//! Pools that grow and are trimmed while others use them: the others notice nothing but more memory.
#![forbid(unsafe_code)]

mod scratch;

use std::os::unix::fs::MetadataExt;

use scratch::{Line, Scratch, assert_sound, assert_whole, attributes};
use weyr_kill::{Outcome, child};
use weyr_managed::{Allocation, Error, Growth, Mapping, Pool, PoolType};

const MIB: u64 = 1 << 20;

/// Bytes behind the object of a pool.
fn stored(pool: &Pool) -> u64 {
    std::fs::metadata(pool.path()).unwrap().blocks() * 512
}

fn filled(pool: &Pool, bytes: u64, value: u8) -> Allocation {
    let mut memory = pool.alloc(bytes).unwrap();
    memory.fill(value).unwrap();
    memory
}

fn holds(memory: &Allocation, value: u8) -> bool {
    let mut bytes = vec![!value; memory.len() as usize];
    memory.read(0, &mut bytes).unwrap();
    bytes.iter().all(|byte| *byte == value)
}

#[test]
fn free_memory_goes_back_and_comes_again() {
    let pool = Scratch::new("trim", 32 * MIB);
    // With the tables that say so.
    drop(pool.alloc(20 * MIB).unwrap());
    pool.trim().unwrap();
    let before = (stored(&pool), pool.usage().backed_bytes);
    drop(filled(&pool, 20 * MIB, 1));
    let between = stored(&pool);
    assert!(between >= before.0 + 20 * MIB);
    let given = pool.trim().unwrap();
    assert!(given >= 20 * MIB, "{given} bytes");
    assert_eq!((stored(&pool), pool.usage().backed_bytes), before);
    assert_eq!(pool.trim().unwrap(), 0, "a second time there is nothing");
    assert!(holds(&filled(&pool, 20 * MIB, 2), 2));
    let zeroed = pool.alloc_zeroed(20 * MIB, 64).unwrap();
    assert!(holds(&zeroed, 0));
    drop(zeroed);
    assert_whole(&pool);
}

#[test]
fn what_is_in_use_is_not_touched() {
    let pool = Scratch::new("in-use", 32 * MIB);
    let mut held: Vec<_> = (0..28).map(|index| filled(&pool, MIB, index)).collect();
    let small: Vec<_> = (0..100).map(|index| filled(&pool, 1000, index)).collect();
    let mut index = 0;
    held.retain(|_| {
        index += 1;
        index % 7 < 2
    });
    assert!(pool.trim().unwrap() > 4 * MIB);
    assert!(held.iter().chain(&small).all(|memory| {
        let mut first = [0];
        memory.read(0, &mut first).unwrap();
        holds(memory, first[0])
    }));
    assert_sound(&pool, (held.len() + small.len()) as u64);
}

#[test]
fn what_idle_threads_and_the_dead_hold_goes_back() {
    let pool = Scratch::new("idle", 32 * MIB);
    let line = Line::new();
    let (child, _) = scratch::after(&line.to_parent, || {
        std::mem::forget(filled(&pool, 8 * MIB, 1));
        0
    });
    drop(filled(&pool, 8 * MIB, 2));
    scratch::kill(child);
    assert!(pool.trim().unwrap() >= 16 * MIB);
    assert_whole(&pool);
}

#[test]
fn every_type_gives_back_what_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let of = |kind| attributes("types", 16 * MIB).pool_type(kind);
    for attributes in
        [of(PoolType::File).directory(directory.path()), of(PoolType::Private), of(PoolType::Sealed)]
    {
        let pool = Pool::create(&attributes).unwrap();
        drop(filled(&pool, 10 * MIB, 7));
        assert!(pool.trim().unwrap() >= 10 * MIB, "{:?}", pool.pool_type());
        assert!(holds(&pool.alloc_zeroed(10 * MIB, 64).unwrap(), 0));
        assert_whole(&pool);
        pool.destroy().unwrap();
    }
    let memory = std::sync::Arc::new(Mapping::anonymous(16 * MIB as usize).unwrap());
    let lent = Pool::create_in(memory, &attributes("lent", 0)).unwrap();
    drop(filled(&lent, 10 * MIB, 7));
    assert_eq!(lent.trim().unwrap(), 0);
}

#[test]
fn others_go_on_while_it_is_trimmed_and_grows() {
    let growing = attributes("busy", 4 * MIB).growth(Growth::UpTo(64 * MIB)).segment_size(4 * MIB);
    let pool = Scratch::with(growing);
    let rounds = 400;
    let mut children: Vec<_> = (0..3_u8)
        .map(|number| {
            let pool = &pool;
            child::spawn(move || {
                let mut held: Vec<(Allocation, u8)> = Vec::new();
                for round in 0..rounds {
                    let value = number.wrapping_mul(80).wrapping_add(round as u8);
                    held.push((filled(pool, 1000 << (round % 11), value), value));
                    if held.len() > 6 {
                        let (memory, value) = held.remove(round as usize % 6);
                        assert!(holds(&memory, value), "bytes of a live allocation changed");
                    }
                }
            })
            .unwrap()
        })
        .collect();
    let mut trims = 0;
    while children.iter_mut().any(|child| {
        let now = std::time::Instant::now();
        child.wait_until(now).unwrap().is_none_or(|outcome| outcome != Outcome::Exited(0))
    }) {
        pool.trim().unwrap();
        let _at_its_largest = pool.grow();
        trims += 1;
    }
    for mut child in children {
        assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    }
    assert!(trims > 0);
    pool.trim().unwrap();
    assert_whole(&pool);
}

#[test]
fn it_grows_by_a_segment_until_it_may_not() {
    let attributes = attributes("grow", MIB).growth(Growth::UpTo(3 * MIB)).segment_size(MIB);
    let pool = Scratch::with(attributes);
    assert_eq!((pool.grow().unwrap(), pool.grow().unwrap()), (2 * MIB, 3 * MIB));
    assert_eq!(pool.grow().unwrap_err(), Error::TooLarge { bytes: 4 * MIB, limit: 3 * MIB });
    drop(pool.alloc(3 * MIB).unwrap());
    pool.destroy().unwrap();
    assert_eq!(pool.grow().unwrap_err(), Error::Destroyed);
}

#[test]
fn trimming_takes_nothing_from_who_waits() {
    let pool = Scratch::with(attributes("wait", MIB).growth(Growth::None));
    let whole = pool.alloc(pool.size()).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pool.alloc_blocking(MIB).unwrap().len());
        while pool.waiters() == 0 {
            std::thread::yield_now();
        }
        // Trimming takes nothing from who waits, and wakes it.
        assert_eq!(pool.trim().unwrap(), 0);
        drop(whole);
        assert_eq!(waiter.join().unwrap(), MIB);
    });
}
