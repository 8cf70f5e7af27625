//! Death, and a stop, at the machine instructions of what the kinds of memory add: giving memory back, rebuilding after a
//! boot, and joining where there are no locks.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;
mod swept;

use std::path::Path;
use std::sync::Arc;

use scratch::made_of::Bytes;
use scratch::{assert_sound, assert_whole, attributes};
use swept::{Ground, look, warm};
use weyr_kill::{FileSegment, Moment, Point, Stops, Sweep};
use weyr_managed::layout::PoolHeader;
use weyr_managed::{Growth, Mapping, Pool};
use weyr_shared::Layout;
use weyr_sys::object::{Access, Object};

#[test]
fn giving_memory_back() {
    if !swept::allows_growth("trim") {
        return;
    }
    // Chunks of 64 KiB.
    let ground = Ground::new("trim", Growth::UpTo(256 << 10));
    let looked = |point: &Point| look(&ground, point.moment);
    let used = |ground: &Ground| {
        let pool = warm(ground);
        drop(pool.alloc(256 << 10).unwrap());
        pool
    };
    // Whoever looks while it stands may have pages in hand: then there is less to give.
    let trimmed = |pool: &mut Pool| assert!(pool.trim().is_ok());
    swept::kill_and_stop("trim", &ground, 20, used, trimmed, looked);
    assert!(used(&ground).trim().unwrap() >= 128 << 10);
}

#[test]
fn rebuilding_after_a_boot() {
    if !scratch::made_of::allows_paths("rebuild") {
        return;
    }
    let ground = Ground::with_published("rebuild", &[100, 3 << 12]);
    let boot = PoolHeader::FIELDS.iter().find(|field| field.name == "boot").unwrap().offset as u64;
    let of_another_boot = |ground: &Ground| {
        Bytes::of_file(&ground.path).write_at(&[7; 8], boot);
    };
    let looked = |point: &Point| look(&ground, point.moment);
    // Whoever looks while it stands may have been first.
    let attached = |(): &mut ()| drop(ground.attach());
    // Every look rebuilds, too, and takes its time.
    let stops = Stops::anywhere(3);
    swept::kill_and_stop_at(&stops, "rebuild", &ground, 20, of_another_boot, attached, looked);
}

/// Memory that the test lends, of a file that a sweep can look into.
fn lent(path: &Path) -> Arc<Mapping> {
    let object = Object::open(path, Access::ReadWrite).unwrap();
    let bytes = object.len().unwrap() as usize;
    Arc::new(Mapping::shared(&object, bytes, Access::ReadWrite).unwrap())
}

#[test]
fn joining_and_leaving_without_locks() {
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    file.as_file().set_len(512 << 10).unwrap();
    let tables = attributes("lent", 0).page_size(4096).processes(4).lanes(8).channels(4);
    drop(Pool::create_in(lent(file.path()), &tables).unwrap());
    let looked = |point: &Point| {
        let pool = Pool::attach_in_memory(lent(file.path())).map_err(|error| error.to_string())?;
        if point.moment == Moment::Stopped {
            return swept::go_on(&pool);
        }
        pool.recover();
        assert_eq!(pool.members().len(), 1, "who died while it joined is a member still");
        assert_sound(&pool, 0);
        assert_whole(&pool);
        Ok(())
    };
    let segment = FileSegment::open(file.path()).unwrap();
    let sweep = Sweep::new("join, without locks", &segment).floor(10);
    let joined = |memory: &mut Arc<Mapping>| drop(Pool::attach_in_memory(Arc::clone(memory)).unwrap());
    let prepare = || lent(file.path());
    let reports = sweep.kill_and_stop(8, &Stops::anywhere(10), prepare, joined, looked);
    reports.unwrap().iter().for_each(weyr_kill::Report::assert_clean);
}
