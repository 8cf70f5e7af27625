//! Six processes on two cores put every operation of heap and channels under load, and are killed and stopped at
//! random while they do.
//!
//! Each round ends with a look at the pool while they run, and one while all stand: every invariant holds, every block
//! is somebody's, no message whose send returned was lost, and those delivered again say so. Nothing depends on time:
//! the harness acts when so many operations were done. `WEYR_CRASH=full` runs the long form; `WEYR_SEED` (a number)
//! repeats the choices of a run, though not the scheduler's.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "what was done is part of the result")]

mod board;
mod harness;
#[path = "../../../managed/tests/made_of/mod.rs"]
mod made_of;
mod random;
mod worker;

use std::hash::{BuildHasher, Hasher};
use std::sync::mpsc;
use std::time::Duration;

use harness::Soak;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use weyr_kill::{is_few_writes, note};

/// How much must have happened before a soak ends.
#[derive(Debug, Clone, Copy)]
struct Extent {
    events: u64,
    kills: u64,
    messages: u64,
    rounds_of_an_era: u64,
}

const SHORT: Extent = Extent { events: 60, kills: 20, messages: 40_000, rounds_of_an_era: 5 };
const FEW: Extent = Extent { events: 20, kills: 8, messages: 8_000, rounds_of_an_era: 3 };
const FULL: Extent = Extent { events: 1_500, kills: 500, messages: 1_100_000, rounds_of_an_era: 30 };

fn seed() -> u64 {
    let given = std::env::var("WEYR_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| std::collections::hash_map::RandomState::new().build_hasher().finish() >> 16)
}

/// This thread, and what it forks, run on two cores.
fn on_two_cores() {
    let allowed = sched_getaffinity(None).unwrap();
    let mut two = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).take(2).for_each(|core| two.set(core));
    sched_setaffinity(None, &two).unwrap();
}

/// A guard against a harness that waits for ever; no measure of anything.
fn guard(seed: u64) -> mpsc::Sender<()> {
    let (done, ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if ended.recv_timeout(Duration::from_secs(3600)) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("soak: WEYR_SEED={seed} did not end within an hour");
            std::process::abort();
        }
    });
    done
}

#[test]
fn processes_killed_and_stopped_at_random_lose_nothing() {
    let full = std::env::var("WEYR_CRASH").is_ok_and(|choice| choice == "full");
    let (extent, seed) = (
        if full {
            FULL
        } else if is_few_writes() {
            FEW
        } else {
            SHORT
        },
        seed(),
    );
    eprintln!("soak: WEYR_SEED={seed}");
    let _guard = guard(seed);
    on_two_cores();
    let mut soak = Soak::new(seed, 8 * extent.messages);
    while !soak.did(extent.events, extent.kills, extent.messages) {
        soak.era(extent.rounds_of_an_era);
    }
    eprintln!("{soak}");
    note(format_args!("soak of pools of {}: {} rounds", made_of::chosen().name(), soak.rounds()));
    if extent.kills >= SHORT.kills && made_of::chosen().is_shared() {
        soak.assert_everything_happened();
    }
}
