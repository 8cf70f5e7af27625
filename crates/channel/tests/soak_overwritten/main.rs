//! Random overwrites of the metadata of a live pool with channels: single bits, words, whole pages.
//!
//! After each, one who was attached before and one who comes anew make every call. Nobody crashes, hangs, or touches
//! what is not mapped: each call succeeds or gives an error that has a name. `verify` reports every overwrite of a
//! truth word that leaves a value which nobody could have written there (`truth.rs`), and everything that a call then
//! finds corrupt.
//!
//! A few hundred overwrites; `WEYR_CRASH=full` makes 10,000. `WEYR_SEED` (a number) begins elsewhere.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "what was done is part of the result")]

mod calls;
mod ground;
#[path = "../../../managed/tests/made_of/mod.rs"]
mod made_of;
#[path = "../soak/random.rs"]
mod random;
mod truth;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ground::{Ground, Overwrite};
use random::Random;
use rustix::process::{Resource, Rlimit, setrlimit};
use weyr_kill::{Child, Outcome, Rendezvous, child, is_few_writes, note};
use weyr_managed::Mode;

/// Seconds of processor time, and of the clock, after which a child counts as hanging.
const PATIENCE: u64 = 120;
/// What the judge says where the pool could not even be opened.
const REFUSED: u64 = u64::MAX;

/// What became of the truth words that were overwritten, by their table.
#[derive(Debug, Default)]
struct Counts {
    overwritten: u64,
    /// That must be reported.
    impossible: u64,
    reported: u64,
}

fn child(work: impl FnOnce()) -> Child {
    let limited = || {
        setrlimit(Resource::Cpu, Rlimit { current: Some(PATIENCE), maximum: Some(PATIENCE) }).unwrap();
        work();
    };
    child::spawn(limited).unwrap()
}

fn assert_ends(child: &mut Child, who: &str) {
    let deadline = Instant::now() + Duration::from_secs(PATIENCE);
    let outcome = child.wait_until(deadline).unwrap();
    assert_eq!(outcome, Some(Outcome::Exited(0)), "{who}");
}

/// How many things `verify` finds.
fn judge(ground: &Ground) -> u64 {
    let said = Rendezvous::new().unwrap();
    let mut judging = child(|| {
        let Ok(pool) = ground.inspect() else { return said.send(REFUSED).unwrap() };
        let _said = (pool.usage(), pool.members(), pool.verify(Mode::Online));
        let verification = pool.verify(Mode::Quiesced);
        if std::env::var_os("WEYR_SHOW").is_some() {
            eprintln!("{:#?}", verification.findings);
        }
        said.send(verification.findings.len() as u64).unwrap();
    });
    assert_ends(&mut judging, "who verifies");
    said.wait().unwrap()
}

/// One overwrite, and everybody's calls behind it.
fn round(ground: &Ground, seed: u64, counts: &mut BTreeMap<&'static str, Counts>) {
    let mut random = Random(seed);
    ground.restore();
    let (ready, go, corrupt) =
        (Rendezvous::new().unwrap(), Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
    let mut veteran = child(|| {
        let mut random = Random(seed ^ 1);
        let pool = ground.home.attach().unwrap();
        let mut caller = calls::Caller::new(pool, ground, &mut random);
        caller.make_some(10);
        ready.post().unwrap();
        go.wait().unwrap();
        corrupt.send(caller.make_all()).unwrap();
    });
    ready.wait_from(&veteran).expect("sound words are no hindrance");
    let before = ground.metadata();
    let overwrite = Overwrite::draw(ground, &mut random);
    ground.apply(&overwrite);
    let findings = judge(ground);
    let after = ground.metadata();
    for table in truth::changed(ground, &before, &after) {
        let impossible = table.must_be_reported && overwrite.is_of_one_word();
        let counts = counts.entry(table.name).or_default();
        counts.overwritten += 1;
        counts.impossible += u64::from(impossible);
        counts.reported += u64::from(findings > 0);
        assert!(!impossible || findings > 0, "{overwrite:?} is not reported: {table:?}");
    }
    go.post().unwrap();
    let mut newcomer = child(|| {
        let mut random = Random(seed ^ 2);
        let found = match ground.home.attach() {
            Ok(pool) => calls::Caller::new(pool, ground, &mut random).make_all(),
            Err(_named) => 0,
        };
        corrupt.send(found).unwrap();
    });
    assert_ends(&mut veteran, "who was there before");
    assert_ends(&mut newcomer, "who came anew");
    let corrupt = corrupt.wait().unwrap() + corrupt.wait().unwrap();
    let expected = findings > 0 || overwrite.is_of_who_somebody_is(ground);
    assert!(corrupt == 0 || expected, "calls found {overwrite:?} corrupt, and verify did not");
}

#[test]
fn overwritten_metadata_is_survived_and_reported() {
    let why_not = "those who call are several processes; corruption.rs overwrites it";
    if !made_of::allows("overwritten metadata", made_of::Made::is_shared, why_not) {
        return;
    }
    let full = std::env::var("WEYR_CRASH").is_ok_and(|choice| choice == "full");
    let first = std::env::var("WEYR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1u64);
    let rounds = if full {
        10_000
    } else if is_few_writes() {
        40
    } else {
        300
    };
    let ground = Ground::new();
    assert_eq!(judge(&ground), 0, "sound words");
    let (mut counts, mut failed) = (BTreeMap::new(), Vec::new());
    for seed in first..first + rounds {
        let run = || round(&ground, seed, &mut counts);
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
            failed.push(seed);
        }
    }
    eprintln!("overwritten: {rounds} overwrites from WEYR_SEED={first} on, {} failed", failed.len());
    for (table, Counts { overwritten, impossible, reported }) in &counts {
        eprintln!(
            "overwritten: {table}: {overwritten} truth words changed, {reported} of them reported, \
             {impossible} could not have been written"
        );
    }
    let made = made_of::chosen().name();
    note(format_args!("overwritten metadata of a pool of {made}: {rounds} rounds"));
    assert!(counts.values().map(|counts| counts.impossible).sum::<u64>() > 0, "no truth word was hit");
    assert!(failed.is_empty(), "WEYR_SEED={failed:?}");
}
