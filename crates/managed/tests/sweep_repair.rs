//! Death, and a stop, at the machine instructions of a repair of a pool whose words were overwritten.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;
mod swept;

use std::path::Path;

use scratch::made_of::{self, Bytes};
use swept::Ground;
use weyr_kill::{Choice, FileSegment, Point, Points, Stops, Sweep};
use weyr_managed::heap::word::{BlockState, BlockWord};
use weyr_managed::layout::{ManifestBucket, ManifestRecord};
use weyr_managed::{Growth, Mode as Verified, Pool};
use weyr_shared::{BlockReference, Geometry, Layout, MessageReference, Ring, SlotState};

const TYPE: u32 = 7;

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
    ring.write_reference(0, 0, &message).unwrap();
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
    let bytes = Bytes::of_file(path);
    let read = |place: u64| bytes.word_at(place);
    let write = |place: u64, word: u64| bytes.write_at(&word.to_le_bytes(), place);
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
        let id = ((block.offset / 64) << 24) | (block.generation & 0xff_ffff);
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
    if !made_of::allows_paths("repair") {
        return;
    }
    let (ground, blocks) = broken();
    let segment = FileSegment::open(&ground.path).unwrap();
    // Long, and its writes are those of the crash face: so at few points.
    let stops = Stops::at(Points::AroundWrites, Choice::from_environment(3));
    let operate = |_: &mut ()| drop(Pool::repair(&ground.path).unwrap());
    let look = |_: &Point| look_repaired(&ground.path, blocks);
    let reports = Sweep::new("repair", &segment).floor(20).kill_and_stop(4, &stops, || (), operate, look);
    reports.unwrap().iter().for_each(weyr_kill::Report::assert_clean);
}
