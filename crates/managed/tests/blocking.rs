//! Allocations that wait for memory, among processes that free, hoard, die and stand still.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use scratch::{Line, Scratch, after, assert_sound, assert_whole, kill, wait_for_death};
use weyr_atomic::{AtomicU32, Ordering};
use weyr_kill::{Child, Outcome, Rendezvous, child, note};
use weyr_managed::{Allocation, Error, Pool, Published};

const BLOCK: u64 = 4096;

/// A guard against hanging, never reached.
fn some_day() -> Instant {
    Instant::now() + Duration::from_secs(300)
}

/// What a parent and a hoarder tell each other while both go on: three numbers in a published block.
struct Board(Published);

/// How often the hoarder was told to take all that it can get, and then to give some of it back.
const TOLD: u64 = 0;
/// How often it has.
const DONE: u64 = 8;
/// Blocks that it has freed and allocated.
const ROUNDS: u64 = 16;

impl Board {
    fn new(pool: &Pool) -> Self {
        let mut memory = pool.alloc(24).unwrap();
        memory.fill(0).unwrap();
        Self(memory.publish().unwrap())
    }

    fn get(&self, place: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read(place, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn set(&self, place: u64, number: u64) {
        self.0.write(place, &number.to_le_bytes()).unwrap();
    }

    fn wait(&self, place: u64, until: u64) {
        while self.get(place) < until {
            std::thread::yield_now();
        }
    }
}

/// Frees and allocates blocks for ever, `most` at a time. When told to it takes all that it can get and frees down to
/// `most` anywhere, so that what is free lies in many pieces.
fn hoard(pool: &Pool, most: usize, board: &Board, mut random: u64) {
    let mut held: Vec<Allocation> = Vec::new();
    let mut choose = |held: &[Allocation]| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % held.len()
    };
    for round in 1.. {
        let told = board.get(TOLD);
        if board.get(DONE) < told {
            held.extend(std::iter::from_fn(|| pool.alloc(BLOCK).ok()));
            while held.len() > most {
                held.swap_remove(choose(&held));
            }
            board.set(DONE, told);
        }
        if !held.is_empty() {
            held.swap_remove(choose(&held));
        }
        held.extend((held.len() < most).then(|| pool.alloc(BLOCK).ok()).flatten());
        board.set(ROUNDS, round);
    }
}

/// Four processes that hold 70 % of the pool between them.
fn hoarders<'p>(pool: &'p Pool, boards: &'p [Board]) -> Vec<Child> {
    let most = (pool.size() * 7 / 10 / BLOCK) as usize / boards.len();
    let start = |(number, board): (usize, &'p Board)| {
        child::spawn(|| hoard(pool, most, board, number as u64)).unwrap()
    };
    boards.iter().enumerate().map(start).collect()
}

/// Has what is free lie in many pieces, while all go on.
fn scatter(boards: &[Board]) {
    for board in boards {
        board.set(TOLD, board.get(TOLD) + 1);
    }
    for board in boards {
        board.wait(DONE, board.get(TOLD));
        board.wait(ROUNDS, board.get(ROUNDS) + 200);
    }
}

#[test]
fn a_quarter_of_the_pool_is_had_beside_four_that_free_and_allocate_blocks_all_the_time() {
    for (bytes, page, requests) in [(2 << 20, 4096, 100), (8 << 20, 16_384, 20)] {
        let pool = Scratch::with(scratch::attributes("quarter", bytes).page_size(page));
        let boards: Vec<Board> = (0..4).map(|_| Board::new(&pool)).collect();
        let children = hoarders(&pool, &boards);
        let mut waited = 0;
        for round in 0..requests {
            scatter(&boards);
            waited += u64::from(pool.alloc(pool.size() / 4).is_err());
            let served = pool.alloc_until(pool.size() / 4, some_day());
            drop(served.unwrap_or_else(|error| panic!("round {round}: {error}")));
        }
        note(format_args!(
            "allocation that waits, pages of {page}: {waited} of {requests} requests had to wait"
        ));
        assert!(waited > requests / 2, "only {waited} had to wait: what is free lies in one piece");
        children.into_iter().for_each(kill);
        pool.recover();
        boards.into_iter().for_each(|board| board.0.free().unwrap());
        assert_whole(&pool);
    }
}

/// Without the reservation nothing here ever leaves two blocks free beside each other: whoever frees one takes one.
#[test]
fn a_run_comes_together_although_all_that_is_freed_is_taken_at_once() {
    for bytes in [BLOCK, 5 * BLOCK] {
        let pool = Scratch::with(scratch::attributes("taken-at-once", 2 << 20).page_size(4096));
        let mut held: VecDeque<Allocation> = std::iter::from_fn(|| pool.alloc(bytes).ok()).collect();
        let (served, most) = (AtomicU32::new(0), 20 * held.len());
        let is_served = || served.load(Ordering::SeqCst) == 1;
        let mut turns = 0;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let run = pool.alloc_until(pool.size() / 4, some_day());
                served.store(1, Ordering::SeqCst);
                run.map(drop)
            });
            while !is_served() && turns < most {
                while pool.waiters() == 0 && !is_served() {
                    std::thread::yield_now();
                }
                drop(held.pop_front());
                held.extend(pool.alloc(bytes));
                turns += 1;
            }
            held.clear();
            waiting.join().unwrap().unwrap();
        });
        assert!(turns < most, "nothing came together in {turns} turns");
        note(format_args!("allocation that waits, blocks of {bytes}: served after {turns} turns"));
        assert_whole(&pool);
    }
}

/// A child that waits for `bytes` bytes, says what came of it, and lives on.
fn waiter<'p>(pool: &'p Pool, line: &'p Line, bytes: u64) -> Child {
    let child = child::spawn(|| {
        pool.actor().unwrap();
        line.to_parent.post().unwrap();
        let served = pool.alloc_until(bytes, some_day());
        line.to_parent.send(u64::from(served.is_ok())).unwrap();
        wait_for_death();
    });
    let child = child.unwrap();
    line.to_parent.wait_from(&child).unwrap();
    child
}

/// Returns when somebody sleeps or is about to.
fn until_somebody_waits(pool: &Pool) {
    while pool.waiters() == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn what_anybody_frees_serves_who_waits() {
    let pool = Scratch::new("served", 1 << 20);
    for bytes in [64, 4096, 100_000, 1 << 20] {
        let held = pool.alloc(1 << 20).unwrap();
        let line = Line::new();
        let child = waiter(&pool, &line, bytes);
        until_somebody_waits(&pool);
        drop(held);
        assert_eq!(line.to_parent.wait_from(&child).unwrap(), 1, "{bytes}");
        kill(child);
        assert_eq!(pool.recover().blocks, 1);
    }
    // By another thread, of small blocks.
    let held: Vec<Allocation> = std::iter::from_fn(|| pool.alloc(500).ok()).collect();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.alloc_blocking(500).map(drop));
        until_somebody_waits(&pool);
        drop(held);
        waiting.join().unwrap().unwrap();
    });
    assert_whole(&pool);
}

#[test]
fn the_death_of_who_holds_everything_serves_who_waits() {
    let pool = Scratch::new("death", 1 << 20);
    let met = Rendezvous::new().unwrap();
    let (holder, _) = after(&met, || {
        std::mem::forget(pool.alloc(1 << 20).unwrap());
        0
    });
    let line = Line::new();
    let child = waiter(&pool, &line, 1 << 19);
    until_somebody_waits(&pool);
    kill(holder);
    assert_eq!(line.to_parent.wait_from(&child).unwrap(), 1);
    kill(child);
    pool.recover();
    assert_whole(&pool);
}

#[test]
fn a_deadline_that_passes_says_what_was_asked_and_what_is_free() {
    let pool = Scratch::new("deadline", 1 << 20);
    let held = pool.alloc(700 << 10).unwrap();
    let expected = Error::Timeout { bytes: 400 << 10, free: 324 << 10 };
    for wait in [0, 30] {
        let deadline = Instant::now() + Duration::from_millis(wait);
        assert_eq!(pool.alloc_until(400 << 10, deadline).unwrap_err(), expected);
        assert!(Instant::now() >= deadline);
    }
    // Nothing is reserved any more, and what is there at once is had at once.
    drop(pool.alloc_until(324 << 10, Instant::now()).unwrap());
    drop(held);
    assert_eq!(
        pool.alloc_until(2 << 20, some_day()).unwrap_err(),
        Error::TooLarge { bytes: 2 << 20, limit: 1 << 20 }
    );
    let message = expected.to_string();
    assert!(message.contains("409600") && message.contains("331776"), "{message}");
    assert_whole(&pool);
}

#[test]
fn the_reservation_of_a_waiter_that_died_or_stands_still_ends() {
    let pool = Scratch::new("standing", 1 << 20);
    for dies in [true, false] {
        let held = pool.alloc(64 << 10).unwrap();
        let line = Line::new();
        // All of the pool: nobody else may allocate anything while this is reserved.
        let mut child = waiter(&pool, &line, 1 << 20);
        until_somebody_waits(&pool);
        while pool.alloc(4096).is_ok() {
            std::thread::yield_now();
        }
        if dies {
            child.kill().unwrap();
            child.wait_dead().unwrap();
        } else {
            child.stop().unwrap();
            child.wait_stopped().unwrap();
        }
        // An ordinary allocation does not wait; sooner or later one succeeds.
        while pool.alloc(4096).is_err() {
            std::thread::yield_now();
        }
        drop(pool.alloc_until(512 << 10, some_day()).unwrap());
        if !dies {
            child.cont().unwrap();
        }
        drop(held);
        if !dies {
            assert_eq!(line.to_parent.wait_from(&child).unwrap(), 1);
        }
        kill(child);
        pool.recover();
        assert_whole(&pool);
    }
}

#[test]
fn who_waits_for_all_lets_those_who_have_it_allocate_now_and_then() {
    let pool = Scratch::new("rest", 1 << 20);
    let first = pool.alloc(64 << 10).unwrap();
    let line = Line::new();
    let child = waiter(&pool, &line, 1 << 20);
    until_somebody_waits(&pool);
    // Frees only when it has got more.
    let more = pool.alloc_until(64 << 10, some_day()).unwrap();
    drop((first, more));
    assert_eq!(line.to_parent.wait_from(&child).unwrap(), 1);
    kill(child);
    pool.recover();
    assert_whole(&pool);
}

#[test]
fn the_pool_is_destroyed_under_who_waits() {
    let pool = Scratch::new("destroyed", 1 << 20).into_pool();
    let _held = pool.alloc(1 << 20).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.alloc_blocking(64).map(drop));
        until_somebody_waits(&pool);
        pool.destroy().unwrap();
        assert_eq!(waiting.join().unwrap(), Err(Error::Destroyed));
    });
}

#[test]
fn many_that_wait_for_much_are_all_served() {
    let pool = Scratch::new("many", 1 << 20);
    let children = [0, 1, 2, 3].map(|number: u64| {
        let pool = &pool;
        child::spawn(move || {
            for round in 0..50 {
                let bytes = (300 << 10) + (number * 50 + round) % 7 * (100 << 10);
                drop(pool.alloc_until(bytes, some_day()).unwrap());
                drop(pool.alloc_until(100 + round, some_day()).unwrap());
            }
        })
        .unwrap()
    });
    for mut child in children {
        assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    }
    pool.recover();
    assert_sound(&pool, 0);
    assert_whole(&pool);
}
