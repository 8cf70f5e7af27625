//! Death, and a stop, at the machine instructions of the operations of the manifest: in the build that users run.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;
mod swept;

use scratch::{after, assert_sound, kill};
use swept::{Ground, look, warm};
use weyr_kill::{Choice, Moment, Point, Points, Rendezvous, Stops};
use weyr_managed::{Error, Growth, Pool, Published};

const TYPE: u32 = 7;

/// What the others find: the manifest says what the blocks say.
fn look_typed(ground: &Ground, moment: Moment) -> Result<(), String> {
    let pool = ground.attach();
    if moment != Moment::Stopped {
        pool.recover();
        let records = pool.manifest().count() as u64;
        assert_sound(&pool, records);
        assert_eq!(pool.usage().manifest_entries, records);
        for entry in pool.manifest().collect::<Vec<_>>() {
            pool.find(entry.type_id, entry.id).unwrap().free().unwrap();
        }
    }
    drop(pool);
    look(ground, moment)
}

fn sweep<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    let look = |point: &Point| look_typed(ground, point.moment);
    swept::kill_and_stop(name, ground, floor, prepare, operate, look);
}

fn hold_typed(pool: &Pool, bytes: u64, id: u64) {
    pool.alloc_typed(bytes, TYPE, id).unwrap();
}

#[test]
fn typed_alloc_and_free() {
    let ground = Ground::new("typed", Growth::None);
    for (bytes, alloc, free) in [
        (100, "alloc, typed, block", "free, typed, block"),
        (3 << 12, "alloc, typed, span", "free, typed, span"),
    ] {
        let at_hand = |ground: &Ground| {
            let pool = warm(ground);
            drop(pool.alloc(bytes).unwrap());
            pool
        };
        sweep(alloc, &ground, 12, at_hand, |pool| hold_typed(pool, bytes, 1));
        let with_one = |ground: &Ground| {
            let pool = warm(ground);
            let published = pool.alloc_typed(bytes, TYPE, 1).unwrap();
            (pool, Some(published))
        };
        let operate = |held: &mut (Pool, Option<Published>)| held.1.take().unwrap().free().unwrap();
        sweep(free, &ground, 4, with_one, operate);
    }
}

#[test]
fn typed_alloc_where_records_are_in_the_way() {
    // The homes of most keys are full, so their records lie further on.
    let full = Ground::of("far", |attributes| attributes.manifest_entries(24));
    let pool = full.attach();
    (0..22).for_each(|id| hold_typed(&pool, 64, id));
    drop(pool);
    sweep("alloc, typed, far from home", &full, 12, warm, |pool| hold_typed(pool, 100, 100));
    // A record whose block is gone: who freed it died before it was emptied.
    let left = Ground::of("leftover", |attributes| attributes.manifest_entries(1));
    let met = Rendezvous::new().unwrap();
    let (victim, _) = after(&met, || {
        let pool = warm(&left);
        let mut memory = pool.alloc(64).unwrap();
        memory.fill(0).unwrap();
        std::mem::forget(memory.publish_as(TYPE, 1).unwrap());
        std::mem::forget(pool);
        0
    });
    kill(victim);
    let reuse = |pool: &mut Pool| {
        pool.find(TYPE, 1).unwrap().free().unwrap();
        hold_typed(pool, 100, 2);
    };
    sweep("free, then alloc, typed, in the only record", &left, 12, warm, reuse);
}

/// Nothing is written, so a stop may fall anywhere: meanwhile the others free what is looked for.
#[test]
fn looking_for_a_typed_block() {
    let ground = Ground::new("find", Growth::None);
    let pool = ground.attach();
    let published = pool.alloc_typed(100, TYPE, 1).unwrap();
    let (block_id, reference) = (published.block_id(), published.reference());
    drop((published, pool));
    let look = |point: &Point| {
        if point.moment == Moment::Stopped {
            let pool = ground.attach();
            pool.find(TYPE, 1).unwrap().free().unwrap();
            // In its place, of another key.
            hold_typed(&pool, 100, 2);
        }
        look_typed(&ground, point.moment)
    };
    let by_key = |pool: &mut Pool| match pool.find(TYPE, 1) {
        Ok(published) => assert_eq!(published.reference(), reference),
        Err(error) => assert!(matches!(error, Error::NotInManifest { .. }), "{error:?}"),
    };
    let anywhere = Stops::at(Points::Instructions, Choice::drawn(40, 400));
    swept::kill_and_stop_at(&anywhere, "find, by key", &ground, 2, warm, by_key, look);
    let by_block = |pool: &mut Pool| match pool.find_by_id(block_id) {
        Ok(published) => assert_eq!(published.reference(), reference),
        Err(error) => assert!(matches!(error, Error::DoubleFree { .. } | Error::Stale { .. }), "{error:?}"),
    };
    swept::kill_and_stop_at(&anywhere, "find, by block", &ground, 2, warm, by_block, look);
}
