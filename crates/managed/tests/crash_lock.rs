//! Death, and a stop, before each shared write of taking a lock, using what it protects, and releasing it.
//!
//! Another process has the lock, and releases it once somebody waits for it, or when it is told to. So the child goes
//! the whole way: it enters the queue, sleeps, takes up what it was handed, and releases it.
#![cfg(weyr_face = "crash")]
#![forbid(unsafe_code)]

mod ended;
mod locked;
mod scratch;

use std::marker::PhantomData;

use ended::End;
use locked::{BYTES, Kind, Locked, kind};
use scratch::{Line, Scratch, attributes};
use weyr_atomic::{AtomicU64, Ordering, crash};
use weyr_kill::{Child, Outcome, child, note, writes_to_end_at};
use weyr_managed::{Pool, Published};
use weyr_shared::Table;
use weyr_shared::lock::{FifoLiteLock, FifoLock, GreedyLock};

/// The word by which an owner is told to release the lock, behind the two that it protects.
fn told(published: &Published) -> Table<AtomicU64> {
    published.atomics(4096 + 16, 1).unwrap()
}

/// One that has the lock until somebody waits for it, or it is told to release it.
fn owner<L: Kind>(pool: &Pool, published: &Published) -> Child {
    let line = Line::new();
    let owner = child::spawn(|| {
        let (locked, told) = (Locked::<L>::of(pool.clone(), published), told(published));
        let guard = locked.lock().acquire(&locked.me).unwrap();
        line.to_parent.post().unwrap();
        while !locked.lock().is_waited_for() && told[0].load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        guard.release().unwrap();
    })
    .unwrap();
    line.to_parent.wait_from(&owner).unwrap();
    owner
}

/// One end. Returns the child's writes, if it came to its end.
fn run<L: Kind>(contended: bool, end: End) -> u64 {
    let pool = Scratch::with(attributes("crash-lock", 512 << 10).page_size(4096));
    let published = pool.alloc(BYTES).unwrap().publish().unwrap();
    let owner = contended.then(|| owner::<L>(&pool, &published));
    let line = Line::new();
    let mut child = child::spawn(|| {
        let locked = Locked::<L>::of(pool.clone(), &published);
        end.arm();
        locked.use_once();
        line.to_parent.send(crash::disarm()).unwrap();
    })
    .unwrap();
    let locked = Locked::<L>::of(pool.clone(), &published);
    let let_go = || {
        told(&published)[0].store(1, Ordering::SeqCst);
        if let Some(mut owner) = owner {
            assert_eq!(owner.wait().unwrap(), Outcome::Exited(0));
        }
    };
    let writes = bring_to(end, &locked, let_go, &line, &mut child);
    locked.settle();
    drop(locked);
    published.free().unwrap();
    scratch::assert_whole(&pool);
    writes
}

fn bring_to<L: Kind>(
    end: End,
    locked: &Locked<L>,
    let_go: impl FnOnce(),
    line: &Line,
    child: &mut Child,
) -> u64 {
    match end {
        End::AfterAll => {
            let writes = finish(line, child);
            let_go();
            return writes;
        }
        // What the other does at the same time makes for a write more or less; then it came to its end.
        End::Killed(_) => drop(child.wait().unwrap()),
        End::StoppedThenContinued(_) | End::StoppedThenKilled(_) => {
            let stands = child.wait_stopped().is_ok();
            let_go();
            if !stands {
                return 0;
            }
            locked.use_beside();
            if matches!(end, End::StoppedThenKilled(_)) {
                child.kill().unwrap();
                assert!(child.wait().unwrap().was_killed());
            } else {
                child.cont().unwrap();
                finish(line, child);
            }
            return 0;
        }
    }
    let_go();
    0
}

fn finish(line: &Line, child: &mut Child) -> u64 {
    let writes = line.to_parent.wait_from(child).expect("it gets the lock, and comes to its end");
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    writes
}

fn sweep<L: Kind>(name: &str, contended: bool, floor: u64, _: PhantomData<L>) {
    let points = run::<L>(contended, End::AfterAll);
    assert!(points >= floor, "{name}: only {points} writes");
    let writes = writes_to_end_at(points);
    for &write in &writes {
        for end in [End::Killed(write), End::StoppedThenContinued(write), End::StoppedThenKilled(write)] {
            run::<L>(contended, end);
        }
    }
    let points = writes.len();
    note(format_args!("crash {name}: {points} points, killed, stopped and continued, stopped and killed"));
}

#[test]
fn taking_and_releasing() {
    sweep("lock, greedy", false, 4, kind::<GreedyLock>());
    sweep("lock, fifo", false, 4, kind::<FifoLock>());
    sweep("lock, fifo lite", false, 4, kind::<FifoLiteLock>());
}

#[test]
fn taking_what_another_has() {
    sweep("lock, waits, greedy", true, 5, kind::<GreedyLock>());
    sweep("lock, waits, fifo", true, 9, kind::<FifoLock>());
    sweep("lock, waits, fifo lite", true, 9, kind::<FifoLiteLock>());
}
