//! Allocations at round addresses, here and in other processes.
#![forbid(unsafe_code)]

mod scratch;

use scratch::{Scratch, assert_sound, assert_whole, attributes};
use weyr_kill::{Outcome, child};
use weyr_managed::{Allocation, Error, Pool};

/// Address of an allocation, as this process has it.
fn address(pool: &Pool, memory: &Allocation) -> u64 {
    pool.region().address() + memory.reference().offset
}

fn pools() -> Vec<Scratch> {
    [(1 << 20, 4096), (8 << 20, 65_536), (64 << 20, 16_384), (64 << 20, 65_536)]
        .into_iter()
        .map(|(bytes, page)| Scratch::with(attributes("aligned", bytes).page_size(page)))
        .collect()
}

#[test]
fn every_alignment_and_size_is_had_where_it_should_be() {
    for pool in pools() {
        // Room for six, of which some take two places.
        for shift in 0..=pool.size().ilog2() - 4 {
            let mut held = Vec::new();
            for bytes in [0, 1, 100, 5000, 1 << shift, 70_000] {
                let memory = pool.alloc_aligned(bytes, 1 << shift).unwrap();
                assert_eq!(memory.len(), bytes);
                assert!(address(&pool, &memory).is_multiple_of(1 << shift), "{bytes} at 1 << {shift}");
                held.push(memory);
            }
            held.iter_mut().for_each(|memory| memory.fill(0x5a).unwrap());
            assert_sound(&pool, held.len() as u64);
        }
        assert_whole(&pool);
    }
}

#[test]
fn what_is_no_alignment_of_the_pool_is_named() {
    let pool = Scratch::new("aligned-wrong", 1 << 20);
    for alignment in [0, 3, 100, 4097, 2 << 20, 1 << 63, u64::MAX] {
        let refused = Error::InvalidAlignment { alignment, limit: 1 << 20 };
        assert_eq!(pool.alloc_aligned(1, alignment).unwrap_err(), refused);
    }
    let too_large = Error::TooLarge { bytes: 2 << 20, limit: 1 << 20 };
    assert_eq!(pool.alloc_aligned(2 << 20, 4096).unwrap_err(), too_large);
    assert_eq!(
        pool.alloc_aligned(u64::MAX, 4096).unwrap_err(),
        Error::TooLarge { bytes: u64::MAX, limit: 1 << 20 }
    );
    assert_whole(&pool);
}

#[test]
fn no_place_that_lies_right_is_left_out_and_pressure_helps() {
    let pool = Scratch::new("aligned-all", 1 << 20);
    let half: Vec<_> = std::iter::from_fn(|| pool.alloc_aligned(100, 8192).ok()).collect();
    assert!((127..=128).contains(&half.len()), "{}", half.len());
    drop(half);
    // Slabs of which nothing is in use lie everywhere.
    drop(std::iter::from_fn(|| pool.alloc(64).ok()).collect::<Vec<_>>());
    let again: Vec<_> = std::iter::from_fn(|| pool.alloc_aligned(100, 8192).ok()).collect();
    assert!((127..=128).contains(&again.len()), "{}", again.len());
    drop(again);
    assert_whole(&pool);
}

#[test]
fn alignment_up_to_two_mebibytes_holds_in_other_processes_too() {
    for pool in pools() {
        let most = if pool.size() >= 16 << 20 { 2 << 20 } else { pool.usage().page_bytes };
        let memory = pool.alloc_aligned(1000, most).unwrap();
        let (path, offset) = (pool.path().to_owned(), memory.reference().offset);
        let mut other = child::spawn(|| {
            // A mapping of its own, at another address: the parent's is still there.
            let [first, second] = [(); 2].map(|()| weyr_managed::Pool::inspect(&path).unwrap());
            assert_ne!(first.region().address(), second.region().address());
            for pool in [first, second] {
                assert!((pool.region().address() + offset).is_multiple_of(most));
            }
        })
        .unwrap();
        assert_eq!(other.wait().unwrap(), Outcome::Exited(0));
    }
}
