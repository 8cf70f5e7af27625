//! Death, and a stop, before each shared write of a repair of everything that can be repaired.
//!
//! A pool is broken in every way at once. A child repairs it and is killed before a write, or stopped there while the
//! parent repairs it too, and continued or killed. Afterwards nothing is broken, and every payload is as it was.
#![cfg(weyr_face = "crash")]
#![forbid(unsafe_code)]

mod scratch;
mod spoilt;

use std::collections::BTreeMap;

use rustix::process::{Signal, getpid, kill_process};
use scratch::{assert_sound, made_of};
use spoilt::{World, at};
use weyr_atomic::crash;
use weyr_kill::{Outcome, Rendezvous, child, note, writes_to_end_at};
use weyr_managed::heap::word::{BlockState, BlockWord};
use weyr_managed::layout::ManifestRecord;
use weyr_managed::{Mode, Pool, Published};
use weyr_shared::{BlockReference, Geometry, Holder, Lap, MessageReference, Ring, SlotState, SlotWord};

const TYPE: u32 = 7;
/// Process slots and lanes that nobody has, and that no repairer takes.
const NOBODY: Holder = Holder { process: 3, epoch: 77 };
const NO_LANE: u64 = 7;

/// A pool in which everything is broken that a repair puts right.
struct Broken {
    world: World,
    typed: Vec<Published>,
    ring: Ring,
}

fn break_everything(test: &str) -> Broken {
    let world = World::new(test);
    let publish = |id: u64| {
        let mut memory = world.pool.alloc(64).unwrap();
        memory.fill(id as u8).unwrap();
        memory.publish_as(TYPE, id).unwrap()
    };
    let typed: Vec<Published> = (1..=6).map(publish).collect();
    let record_of = |id: u64| {
        let field = at::<ManifestRecord>("id");
        world.records().into_iter().find(|place| world.word(place + field) == id).unwrap()
    };
    let word_of = |index: usize| world.block_word_at(typed[index].reference().offset);
    let set = |index: usize, state, actor| {
        let place = word_of(index);
        world.write(place, BlockWord(world.word(place)).with(state, actor).0);
    };
    // A record of nobody, a block without record, a record of a block that is not typed, two of one key, one whose
    // block is gone.
    let gone = publish(9);
    let (place, tag) = (record_of(9), world.word(record_of(9)));
    gone.free().unwrap();
    world.write(place, tag);
    world.write(world.spare_record(), 2 | NO_LANE << 4 | 5 << 20);
    world.write(record_of(1), 0);
    set(1, BlockState::Pool, 0);
    world.write(record_of(3) + at::<ManifestRecord>("id"), 4);
    // A message without its block, a block without its message, a slot of nobody; a channel that the table lost, and an
    // entry of nothing.
    let geometry = Geometry { block_size: 64, capacity: 2, processes: 4, ..Geometry::PLAIN };
    let memory = world.pool.alloc(geometry.bytes()).unwrap();
    let reference = memory.reference();
    let region = world.pool.region().part(reference.offset, geometry.bytes()).unwrap();
    let ring = Ring::format(&region, &geometry, reference).unwrap();
    world.pool.make_channel(memory).unwrap();
    let fill = |index, word, block| {
        ring.write_reference(index, 0, &MessageReference { block, view_offset: 0, view_len: 64 }).unwrap();
        assert!(ring.publish(index, ring.load(index).unwrap(), word).unwrap());
    };
    fill(0, SlotWord::plain(SlotState::Full, Lap::new(0)), typed[4].reference());
    set(5, BlockState::InFlightTyped, NOBODY.process);
    let last = BlockReference { generation: 0, ..typed[4].reference() };
    fill(1, SlotWord::held(SlotState::Leased, NOBODY, Lap::new(0)), last);
    // The first place is taken over for the channel.
    world.write(world.geometry.offsets.channels, 5 << 24 | 1);
    world.write(world.geometry.offsets.channels + 8, 6 << 24 | 1);
    Broken { world, typed, ring }
}

fn repairs(path: &std::path::Path) -> BTreeMap<&'static str, u64> {
    let repaired = Pool::repair(path).unwrap();
    repaired
        .repairs
        .iter()
        .filter(|repair| repair.count > 0)
        .map(|repair| (repair.what, repair.count))
        .collect()
}

fn assert_repaired(broken: Broken) {
    let Broken { world, typed, ring } = broken;
    repairs(world.pool.path());
    assert_eq!(world.pool.verify(Mode::Quiesced).leftover_entries, 0);
    assert_eq!(
        (0..2).map(|index| ring.load(index).unwrap().state).collect::<Vec<_>>(),
        [SlotState::Empty; 2]
    );
    for (id, block) in (1_u8..).zip(&typed) {
        let found = world.pool.find_by_id(block.block_id()).unwrap();
        let mut bytes = [0; 64];
        found.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [id; 64]);
    }
    assert_sound(&world.pool, 9);
    assert!(repairs(world.pool.path()).is_empty(), "a second repair finds nothing");
}

/// How the child ends.
#[derive(Clone, Copy, Debug)]
enum End {
    AfterAll,
    Killed(u64),
    StoppedThenContinued(u64),
    StoppedThenKilled(u64),
}

fn run(end: End) -> u64 {
    let broken = break_everything("crash repair");
    let path = broken.world.pool.path().to_owned();
    let done = Rendezvous::new().unwrap();
    let mut child = child::spawn(|| {
        match end {
            End::AfterAll => crash::arm(0, || ()),
            End::Killed(write) => crash::arm(write, || kill_process(getpid(), Signal::KILL).unwrap()),
            End::StoppedThenContinued(write) | End::StoppedThenKilled(write) => {
                crash::arm(write, || kill_process(getpid(), Signal::STOP).unwrap());
            }
        }
        Pool::repair(&path).unwrap();
        done.send(crash::disarm()).unwrap();
    })
    .unwrap();
    let mut writes = 0;
    match end {
        End::AfterAll => writes = done.wait_from(&child).unwrap(),
        End::Killed(_) => assert!(child.wait().unwrap().was_killed(), "the write was not reached"),
        End::StoppedThenContinued(_) | End::StoppedThenKilled(_) => {
            child.wait_stopped().unwrap();
            repairs(&path);
            if matches!(end, End::StoppedThenKilled(_)) {
                child.kill().unwrap();
                assert!(child.wait().unwrap().was_killed());
            } else {
                child.cont().unwrap();
                done.wait_from(&child).unwrap();
                assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
            }
        }
    }
    assert_repaired(broken);
    writes
}

/// Kills and stops before each write of the operation of this name.
fn sweep(name: &str, floor: u64) {
    let points = run(End::AfterAll);
    assert!(points >= floor, "{points} writes");
    let writes = writes_to_end_at(points);
    for &write in &writes {
        for end in [End::Killed(write), End::StoppedThenContinued(write), End::StoppedThenKilled(write)] {
            let ran = std::panic::catch_unwind(|| run(end));
            assert!(ran.is_ok(), "{end:?} of {points}");
        }
    }
    let points = writes.len();
    note(format_args!("crash {name}: {points} points, killed, stopped and continued, stopped and killed"));
}

#[test]
fn what_is_broken_is_of_every_kind() {
    if !made_of::allows_paths("repair") {
        return;
    }
    let broken = break_everything("crash repair kinds");
    let repaired: BTreeMap<_, _> = repairs(broken.world.pool.path());
    let expected = [
        ("channels that were not in the table", 1),
        ("channel table entries without a channel", 1),
        ("message slots of nobody", 1),
        ("messages without their block", 1),
        ("blocks in flight without a message", 1),
        ("manifest entries that nobody makes", 1),
        ("manifest entries of blocks that are gone", 1),
        ("manifest entries of blocks without a type", 1),
        ("second manifest entries of one key", 1),
        ("typed blocks without a manifest entry", 2),
    ];
    assert_eq!(repaired, BTreeMap::from(expected));
    assert_repaired(broken);
}

#[test]
fn everything_is_repaired_whenever_the_repairer_dies_or_stops() {
    if made_of::allows_paths("repair") {
        sweep("repair", 40);
    }
}
