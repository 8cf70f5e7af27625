//! Death, and a stop, at the machine instructions of the operations of a pool: in the build that users run, and with
//! the system calls that the crash face does not see.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use scratch::{after, assert_sound, assert_whole, kill};
use weyr_kill::{Choice, FileSegment, Mode, Moment, Points, Rendezvous, Sweep};
use weyr_managed::heap::word::{BlockState, BlockWord};
use weyr_managed::layout::{ManifestBucket, ManifestRecord};
use weyr_managed::{Allocation, Growth, Mode as Verified, Pool, PoolAttributes, Published};
use weyr_shared::{BlockReference, Geometry, Layout, MessageReference, Ring, SlotState};

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

/// A pool in which an entry of the manifest is made by nobody, a block is on its way in no message, a message has a block
/// that is not on its way, and the channel table names what is no channel. Returns the blocks.
fn broken() -> (Ground, [BlockReference; 3]) {
    let ground = Ground::new("repair", Growth::None);
    let pool = ground.attach();
    let filled = |byte| {
        let mut memory = pool.alloc(100).unwrap();
        memory.fill(byte).unwrap();
        memory
    };
    let typed = filled(1).publish_as(TYPE, 1).unwrap().reference();
    let in_message = filled(2).publish().unwrap().reference();
    let lost = filled(3).publish().unwrap().reference();
    let geometry = Geometry { block_size: 64, capacity: 2, processes: 4, ..Geometry::PLAIN };
    let memory = pool.alloc(geometry.bytes()).unwrap();
    let reference = memory.reference();
    let region = pool.region().part(reference.offset, geometry.bytes()).unwrap();
    let ring = Ring::format(&region, &geometry, reference).unwrap();
    pool.make_channel(memory).unwrap();
    let message = MessageReference { block: in_message, view_offset: 0, view_len: 100 };
    ring.write_reference(0, &message).unwrap();
    let empty = ring.load(0).unwrap();
    assert!(ring.publish(0, empty, empty.becomes(SlotState::Full)).unwrap());
    drop((ring, region, pool));
    spoil(&ground.path, lost);
    (ground, [typed, in_message, lost])
}

/// As no operation would: enters what is no channel, begins an entry of the manifest for a lane that nobody has, and
/// puts a block on its way for a process slot that nobody has.
fn spoil(path: &Path, lost: BlockReference) {
    let inspection = Pool::inspect(path).unwrap();
    let sections = inspection.sections();
    let start = |name: &str| sections.iter().find(|section| section.part.name == name).unwrap().offset;
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let read = |place: u64| {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, place).unwrap();
        u64::from_le_bytes(word)
    };
    let write = |place: u64, word: u64| file.write_all_at(&word.to_le_bytes(), place).unwrap();
    write(start("channel table") + 8, 5 << 24 | 1);
    let records = ManifestBucket::FIELDS.iter().find(|field| field.name == "records").unwrap();
    let tag = |number: u64| start("manifest") + records.offset as u64 + number * ManifestRecord::SIZE as u64;
    let empty = (0..6).map(tag).find(|&tag| read(tag) == 0).unwrap();
    write(empty, 1 | 7 << 4 | 9 << 20);
    let word_at = inspection.block(lost.offset).unwrap().word_at;
    write(word_at, BlockWord(read(word_at)).with(BlockState::InFlightPool, 3).0);
}

/// What the others find: once it is repaired every invariant holds, and the blocks are published, with their bytes.
fn look_repaired(path: &Path, blocks: [BlockReference; 3]) -> Result<(), String> {
    let repaired = Pool::repair(path).map_err(|error| error.to_string())?;
    let pool = Pool::attach_path(path).map_err(|error| error.to_string())?;
    for (byte, block) in (1..).zip(blocks) {
        let id = block.offset / 64 << 24 | block.generation & 0xff_ffff;
        let found = pool.find_by_id(id).map_err(|error| error.to_string())?;
        let mut bytes = [0; 100];
        found.read(0, &mut bytes).map_err(|error| error.to_string())?;
        assert_eq!(bytes, [byte; 100]);
    }
    let left = pool.verify(Verified::Online);
    if repaired.after.holds() && left.holds() { Ok(()) } else { Err(format!("{:?}", left.findings)) }
}

#[test]
fn repairing_what_was_overwritten() {
    let (ground, blocks) = broken();
    let segment = FileSegment::open(&ground.path).unwrap();
    // Long, and its writes are those of the crash face: so at few points, and by death alone.
    let sweep = Sweep::new("repair", &segment).mode(Mode::Kill).points(Points::AfterWrites);
    let sweep = sweep.choose(Choice::from_environment(4)).floor(20);
    let path = ground.path.clone();
    let operate = |_: &mut ()| drop(Pool::repair(&path).unwrap());
    let report = sweep.run(|| (), operate, |_| look_repaired(&ground.path, blocks)).unwrap();
    report.assert_clean();
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
