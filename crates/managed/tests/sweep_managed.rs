//! Death, and a stop, at the machine instructions of the operations of a pool: in the build that users run, and with
//! the system calls that the crash face does not see.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;

use std::path::{Path, PathBuf};

use scratch::{after, assert_sound, assert_whole, kill};
use weyr_kill::{Choice, FileSegment, Mode, Moment, Points, Rendezvous, Sweep};
use weyr_managed::{Allocation, Growth, Mode as Verified, Pool, PoolAttributes, Published};
use weyr_shared::BlockReference;

/// A pool that nobody has attached while the sweep is about it.
struct Ground {
    _directory: tempfile::TempDir,
    path: PathBuf,
    /// Published blocks that are there.
    published: Vec<(BlockReference, u64)>,
}

impl Ground {
    fn new(name: &str, growth: Growth) -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let attributes = PoolAttributes::new(name, 128 << 10).directory(directory.path()).page_size(4096);
        let attributes = attributes.processes(4).lanes(8).channels(4).growth(growth).segment_size(64 << 10);
        let path = Pool::create(&attributes).unwrap().path().to_owned();
        Self { _directory: directory, path, published: Vec::new() }
    }

    /// With published blocks of these sizes, whose owner has left.
    fn with_published(name: &str, sizes: &[u64]) -> Self {
        let mut ground = Self::new(name, Growth::None);
        let pool = ground.attach();
        for &bytes in sizes {
            let published = pool.alloc(bytes).unwrap().publish().unwrap();
            ground.published.push((published.reference(), bytes));
        }
        ground
    }

    fn attach(&self) -> Pool {
        Pool::attach_path(&self.path).unwrap()
    }
}

/// Opens a published block; none when it is gone.
fn open(pool: &Pool, (reference, bytes): (BlockReference, u64)) -> Option<Published> {
    scratch::open(pool, reference.offset, reference.generation, bytes).ok()
}

/// What the others find: everything is there or free, and all of it can be had.
fn look(path: &Path, published: &[(BlockReference, u64)], moment: Moment) -> Result<(), String> {
    let pool = Pool::attach_path(path).map_err(|error| error.to_string())?;
    if moment == Moment::Stopped {
        for round in 0..500u64 {
            drop(pool.alloc(1 + round * 37 % 1000).map_err(|error| format!("while it stands: {error}"))?);
        }
        let verification = pool.verify(Verified::Online);
        return if verification.holds() { Ok(()) } else { Err(format!("{:?}", verification.findings)) };
    }
    pool.recover();
    let left: Vec<Published> = published.iter().filter_map(|block| open(&pool, *block)).collect();
    assert_sound(&pool, left.len() as u64);
    left.into_iter().for_each(|block| block.free().unwrap());
    assert_eq!(pool.members().len(), 1);
    assert_whole(&pool);
    Ok(())
}

/// Kills, and stops and continues, `operate` at its points.
fn sweep<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    sweep_stopping(Points::BeforeWrites, name, ground, floor, prepare, operate);
}

/// As [`sweep`]; stops at other points. What reads `/proc`, or has a private hash table with a seed of its own, takes
/// another number of steps each time, so the steps before a write are not to be counted from the last one.
fn sweep_stopping<T>(
    points: Points,
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    let segment = FileSegment::open(&ground.path).unwrap();
    let kinds = [(Mode::Kill, Points::AfterWrites), (Mode::StopThenContinue, points)];
    for (mode, place) in kinds {
        let sweep = Sweep::new(format!("{name}, {mode:?}"), &segment).mode(mode).points(place);
        // Such operations are the long ones.
        let sample = if points == Points::BeforeWrites { 16 } else { 6 };
        let sweep = sweep.choose(Choice::from_environment(sample)).floor(floor);
        let report = sweep
            .run(|| prepare(ground), &operate, |point| look(&ground.path, &ground.published, point.moment))
            .unwrap();
        report.assert_clean();
    }
}

/// Attached, with its lane.
fn warm(ground: &Ground) -> Pool {
    let pool = ground.attach();
    drop(pool.alloc(3 << 12).unwrap());
    pool
}

fn hold(pool: &Pool, bytes: u64) {
    std::mem::forget(pool.alloc(bytes).unwrap());
}

fn drop_one(held: &mut (Pool, Option<Allocation>)) {
    drop(held.1.take());
}

#[test]
fn alloc_of_blocks() {
    let ground = Ground::new("alloc", Growth::None);
    sweep_stopping(Points::AfterWrites, "alloc, fresh slab", &ground, 13, warm, |pool| hold(pool, 100));
    let at_hand = |ground: &Ground| {
        let pool = warm(ground);
        drop(pool.alloc(100).unwrap());
        pool
    };
    sweep("alloc, at hand", &ground, 4, at_hand, |pool| hold(pool, 100));
}

#[test]
fn free_of_own_blocks() {
    let ground = Ground::new("free", Growth::None);
    let with_one = |ground: &Ground| {
        let pool = warm(ground);
        let memory = pool.alloc(100).unwrap();
        (pool, Some(memory))
    };
    sweep("free, own block", &ground, 4, with_one, drop_one);
    let with_many = |ground: &Ground| {
        let pool = warm(ground);
        let held: Vec<Allocation> = (0..40).map(|_| pool.alloc(500).unwrap()).collect();
        (pool, held)
    };
    sweep_stopping(Points::AfterWrites, "free, flush and retire", &ground, 120, with_many, |held| {
        held.1.clear()
    });
}

#[test]
fn free_of_the_blocks_of_others() {
    let ground = Ground::with_published("remote", &[100, 3 << 12]);
    for (name, index, floor) in [("free, into an orphan", 0, 5), ("free, another's span", 1, 11)] {
        let opened = |ground: &Ground| {
            let pool = warm(ground);
            let block = open(&pool, ground.published[index]);
            (pool, block)
        };
        sweep(name, &ground, floor, opened, |held| held.1.take().unwrap().free().unwrap());
    }
    let ground = Ground::new("remote-thread", Growth::None);
    let of_a_thread = |ground: &Ground| {
        let pool = warm(ground);
        let (send, receive) = std::sync::mpsc::channel();
        let other = pool.clone();
        std::thread::spawn(move || {
            send.send(other.alloc(100).unwrap()).unwrap();
            // Its lane stays in use.
            scratch::wait_for_death();
        });
        (pool, Some(receive.recv().unwrap()))
    };
    sweep("free, another thread's block", &ground, 8, of_a_thread, drop_one);
}

#[test]
fn alloc_and_free_of_spans() {
    let ground = Ground::new("span", Growth::None);
    sweep("alloc, span", &ground, 13, warm, |pool| hold(pool, 5 << 12));
    let with_span = |ground: &Ground| {
        let pool = warm(ground);
        let memory = pool.alloc(5 << 12).unwrap();
        (pool, Some(memory))
    };
    sweep("free, span", &ground, 14, with_span, drop_one);
    // Two pages are a sixteenth of the pool, and one is the smallest span.
    let with_short = |ground: &Ground| {
        let pool = warm(ground);
        let memory = pool.alloc(5000).unwrap();
        (pool, Some(memory))
    };
    sweep("free, kept span", &ground, 9, with_short, drop_one);
    let with_kept = |ground: &Ground| {
        let pool = warm(ground);
        drop(pool.alloc(5000).unwrap());
        pool
    };
    sweep("alloc, kept span", &ground, 6, with_kept, |pool| hold(pool, 5000));
}

#[test]
fn resizing_a_span() {
    let ground = Ground::new("resize", Growth::None);
    for (name, from, to, floor) in [("grow in place", 2, 6, 10), ("shrink in place", 6, 2, 8)] {
        let with_span = |ground: &Ground| {
            let pool = warm(ground);
            let memory = pool.alloc(from << 12).unwrap();
            (pool, Some(memory))
        };
        sweep(name, &ground, floor, with_span, |held| held.1.as_mut().unwrap().resize(to << 12).unwrap());
    }
}

#[test]
fn publishing_a_block() {
    let mut ground = Ground::new("publish", Growth::None);
    // The block that the child will publish: the first of its class, whoever asks.
    let first = ground.attach().alloc(100).unwrap().reference();
    let generation = first.generation + 1;
    ground.published.push((BlockReference { generation, ..first }, 100));
    let with_one = |ground: &Ground| {
        let pool = warm(ground);
        let memory = pool.alloc(100).unwrap();
        (pool, Some(memory))
    };
    sweep("publish", &ground, 3, with_one, |held| drop(held.1.take().unwrap().publish().unwrap()));
}

#[test]
fn adoption_and_growth() {
    let ground = Ground::with_published("adopt", &[100]);
    sweep_stopping(Points::AfterWrites, "adopt", &ground, 12, warm, |pool| hold(pool, 100));
    let ground = Ground::new("grow", Growth::UpTo(512 << 10));
    sweep("grow", &ground, 45, warm, |pool| hold(pool, 160 << 10));
}

#[test]
fn attaching_and_leaving() {
    let ground = Ground::new("attach", Growth::None);
    let path = ground.path.clone();
    let attach = |state: &mut Option<Pool>| *state = Some(Pool::attach_path(&path).unwrap());
    sweep_stopping(Points::AfterWrites, "attach", &ground, 9, |_| None, attach);
    sweep("leave", &ground, 5, |ground| Some(warm(ground)), |state| drop(state.take()));
}

#[test]
fn recovering_the_dead() {
    let ground = Ground::with_published("recover", &[100, 3 << 12]);
    let met = Rendezvous::new().unwrap();
    let (victim, _) = after(&met, || {
        let pool = warm(&ground);
        [64, 100, 500, 5 << 12].iter().for_each(|&bytes| hold(&pool, bytes));
        std::mem::forget(pool);
        0
    });
    kill(victim);
    // Attaching finds the dead member, and recovers it.
    let path = ground.path.clone();
    let attach = |state: &mut Option<Pool>| *state = Some(Pool::attach_path(&path).unwrap());
    sweep_stopping(Points::AfterWrites, "recover", &ground, 40, |_| None, attach);
}

const TYPE: u32 = 7;

/// What the others find: the manifest says what the blocks say.
fn look_typed(path: &Path, moment: Moment) -> Result<(), String> {
    let pool = Pool::attach_path(path).map_err(|error| error.to_string())?;
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
    look(path, &[], moment)
}

fn sweep_typed<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    let segment = FileSegment::open(&ground.path).unwrap();
    for (mode, place) in [(Mode::Kill, Points::AfterWrites), (Mode::StopThenContinue, Points::BeforeWrites)] {
        let sweep = Sweep::new(format!("{name}, {mode:?}"), &segment).mode(mode).points(place);
        let sweep = sweep.choose(Choice::from_environment(16)).floor(floor);
        let report =
            sweep.run(|| prepare(ground), &operate, |point| look_typed(&ground.path, point.moment)).unwrap();
        eprintln!("{report}");
        report.assert_clean();
    }
}

#[test]
fn typed_alloc_and_free() {
    let ground = Ground::new("typed", Growth::None);
    for (bytes, name) in [(100, "block"), (3 << 12, "span")] {
        let at_hand = |ground: &Ground| {
            let pool = warm(ground);
            drop(pool.alloc(bytes).unwrap());
            pool
        };
        let operate = |pool: &mut Pool| drop(pool.alloc_typed(bytes, TYPE, 1).unwrap());
        sweep_typed(&format!("alloc, typed {name}"), &ground, 12, at_hand, operate);
        let with_one = |ground: &Ground| {
            let pool = warm(ground);
            let published = pool.alloc_typed(bytes, TYPE, 1).unwrap();
            (pool, Some(published))
        };
        let operate = |held: &mut (Pool, Option<Published>)| held.1.take().unwrap().free().unwrap();
        sweep_typed(&format!("free, typed {name}"), &ground, 4, with_one, operate);
    }
}
