//! Pools in which what is free is zero, whoever freed it, and however it came to that.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;
mod wiped;

use scratch::{Line, Scratch, after, attributes, kill};
use weyr_kill::{Outcome, Rendezvous, child};
use weyr_managed::{Mode, Pool, PoolAttributes, PoolType};
use wiped::{assert_wiped, filled, first_dirty};

const SIZES: [u64; 8] = [1, 64, 100, 1000, 5000, 70_000, 200_000, 64];

fn wiping(test: &str) -> PoolAttributes {
    attributes(test, 1 << 20).zero_on_free(true)
}

#[test]
fn without_it_bytes_stay() {
    let pool = Scratch::new("stays", 1 << 20);
    drop(filled(&pool, 100));
    assert!(first_dirty(&pool).is_some());
    assert!(!pool.attributes().unwrap().zero_on_free);
}

#[test]
fn every_free_wipes_in_pools_of_every_type() {
    for pool_type in [PoolType::SharedMemory, PoolType::Private, PoolType::Sealed] {
        let pool = Scratch::with(wiping("types").pool_type(pool_type));
        assert!(pool.attributes().unwrap().zero_on_free);
        for size in SIZES {
            drop(filled(&pool, size));
            assert_wiped(&pool);
            filled(&pool, size).publish().unwrap().free().unwrap();
            assert_wiped(&pool);
            filled(&pool, size).freeze().unwrap().free().unwrap();
            assert_wiped(&pool);
            filled(&pool, size).publish_as(7, size).unwrap().free().unwrap();
            assert_wiped(&pool);
            assert!(!pool.exists(7, size));
        }
        let held: Vec<_> = SIZES.iter().map(|&size| filled(&pool, size)).collect();
        assert!(held.iter().all(|memory| {
            let mut bytes = vec![0; memory.len() as usize];
            memory.read(0, &mut bytes).unwrap();
            bytes.iter().all(|&byte| byte == 0x77)
        }));
        drop(held);
        assert_wiped(&pool);
    }
}

#[test]
fn what_threads_and_processes_free_of_each_other_is_wiped() {
    let pool = Scratch::with(wiping("others"));
    let mine: Vec<_> = SIZES.iter().map(|&size| filled(&pool, size)).collect();
    std::thread::scope(|scope| drop(scope.spawn(move || drop(mine)).join()));
    assert_wiped(&pool);
    let published: Vec<_> = SIZES.iter().map(|&size| filled(&pool, size).publish().unwrap()).collect();
    let mut other = child::spawn(|| published.into_iter().for_each(|block| block.free().unwrap())).unwrap();
    assert_eq!(other.wait().unwrap(), Outcome::Exited(0));
    pool.recover();
    assert_wiped(&pool);
}

#[test]
fn what_is_cut_off_is_wiped_at_once() {
    let pool = Scratch::with(wiping("cut"));
    let mut memory = filled(&pool, 200_000);
    memory.resize(10).unwrap();
    let mut seen = vec![1; pool.size() as usize];
    pool.region().copy_out(0, &mut seen).unwrap();
    assert_eq!(seen.iter().filter(|&&byte| byte != 0).count(), 10);
    memory.resize(70_000).unwrap();
    memory.fill(0x77).unwrap();
    let behind = pool.alloc(64).unwrap();
    memory.resize_or_move(300_000).unwrap();
    drop((memory, behind));
    assert_wiped(&pool);
}

#[test]
fn what_the_dead_had_is_wiped() {
    let pool = Scratch::with(wiping("dead"));
    let met = Rendezvous::new().unwrap();
    let (victim, held) = after(&met, || {
        SIZES.iter().for_each(|&size| std::mem::forget(filled(&pool, size)));
        pool.usage().total.blocks
    });
    assert_eq!(held, SIZES.len() as u64);
    kill(victim);
    assert_eq!(pool.recover().blocks, held);
    assert_wiped(&pool);
    assert!(pool.verify(Mode::Quiesced).holds());
}

/// A newcomer that finds the tables full of the dead takes the slot of one, and what that one had with it.
#[test]
fn what_a_newcomer_inherits_is_wiped() {
    let attributes = wiping("inherited").processes(2).lanes(4);
    let pool = Pool::create(&attributes).unwrap();
    let path = pool.path().to_owned();
    drop(pool);
    let mut victims = Vec::new();
    for _ in 0..2 {
        let line = Line::new();
        victims.push((
            child::spawn(|| {
                let pool = Pool::attach_path(&path).unwrap();
                [100, 9000].iter().for_each(|&size| std::mem::forget(filled(&pool, size)));
                line.to_parent.post().unwrap();
                scratch::wait_for_death();
            })
            .unwrap(),
            line,
        ));
        let (victim, line) = victims.last().unwrap();
        line.to_parent.wait_from(victim).unwrap();
    }
    victims.into_iter().for_each(|(victim, _)| kill(victim));
    let pool = Pool::attach_path(&path).unwrap();
    drop(filled(&pool, 100));
    pool.recover();
    assert_wiped(&pool);
    assert!(pool.verify(Mode::Quiesced).holds());
    pool.destroy().unwrap();
}

#[test]
fn a_pool_that_zeroes_as_well_gives_zeros_out() {
    let pool = Scratch::with(wiping("both").zeroing(true));
    assert!(pool.attributes().unwrap().zeroing);
    for size in SIZES {
        drop(filled(&pool, size));
        let memory = pool.alloc(size).unwrap();
        let mut bytes = vec![1; size as usize];
        memory.read(0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0));
    }
}

#[test]
fn it_is_decided_when_a_pool_is_made() {
    let pool = Scratch::with(wiping("decided"));
    let mut wanted = pool.attributes().unwrap();
    wanted.zero_on_free = false;
    assert!(pool.set_attributes(&wanted).unwrap_err().to_string().contains("zero on free"));
}
