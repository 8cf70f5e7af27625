//! `verify` finds each invariant that is broken, by its name, and nothing else.
#![forbid(unsafe_code)]

mod scratch;
mod spoilt;

use std::collections::BTreeSet;

use scratch::assert_sound;
use spoilt::{LANES, PAGE, World, at};
use weyr_managed::Mode;
use weyr_managed::geometry::METADATA_CHUNK;
use weyr_managed::heap::class::class_of;
use weyr_managed::heap::word::{BlockState, BlockWord, LaneWord, PageWord, ProcessWord};
use weyr_managed::layout::ManifestRecord;
use weyr_shared::SlotState as MessageState;
use weyr_shared::{BlockReference, Lap, MessageReference, Ring};

/// A state that no word of this version has.
const UNKNOWN: u64 = 15;
const BOTH: [Mode; 2] = [Mode::Online, Mode::Quiesced];

#[test]
fn each_invariant_of_pages_that_is_broken_is_found_by_its_name() {
    let world = World::new("verify pages");
    let (free, slab, span) = (world.free_page(), world.block() / PAGE, world.span());
    let (free_word, span_pages) = (world.page_word(free), world.descriptor(span, "span_pages"));
    for mode in BOTH {
        world.expect("page state is known", mode, (free_word, UNKNOWN));
        let foreign = PageWord::slab(class_of(64) as u8, world.free_lane, 1).0;
        world.expect("actors are lanes in use", mode, (world.page_word(slab), foreign));
        let beyond = PageWord::slab(class_of(64) as u8, LANES as u16, 1).0;
        world.expect("actors are lanes in use", mode, (world.page_word(slab), beyond));
        let classless = PageWord::slab(255, world.lane, 1).0;
        world.expect("slabs have a class of this pool", mode, (world.page_word(slab), classless));
        let generation = BlockWord(world.word(world.span_word())).generation();
        world.expect("a head has a live block", mode, (world.span_word(), BlockWord::free(generation).0));
        for pages in [65, 1 << 40, u64::MAX] {
            world.expect("lengths stay inside the pool", mode, (span_pages, pages));
        }
        world.expect("heads and tails agree", mode, (span_pages, 2));
        world.expect("heads and tails agree", mode, (span_pages, 5));
        world.expect("heads and tails agree", mode, (world.page_word(span + 1), PageWord::tail(2, 1).0));
        world.expect("heads and tails agree", mode, (world.page_word(span + 3), PageWord::free(1).0));
        world.expect(
            "heads and tails agree",
            mode,
            (free_word, PageWord::tail(PageWord::DISTANCE_LIMIT - 1, 1).0),
        );
        world.expect("heads and tails agree", mode, (free_word, PageWord::tail(0, 1).0));
    }
    world.expect("actors are lanes in use", Mode::Online, (free_word, PageWord::claim(world.free_lane, 1).0));
    world.expect("nothing is left half done", Mode::Quiesced, (free_word, PageWord::claim(world.lane, 1).0));
}

#[test]
fn metadata_in_use_that_is_not_marked_as_backed_is_found() {
    let world = World::of_pages("verify backing", 2048);
    let (marks, backed) = (world.geometry.offsets.metadata_backed, "what is in use is backed");
    let chunk = |byte: u64| byte / METADATA_CHUNK;
    let (header, word) = (0, chunk(world.block_word()));
    assert!(word > chunk(world.geometry.offsets.descriptors), "the words lie in a chunk of their own");
    for chunk in [header, word] {
        let was = world.word(marks);
        world.write(marks, was & !(1 << chunk));
        for mode in BOTH {
            assert!(world.found(mode).contains(backed), "chunk {chunk}, {mode:?}: {:?}", world.found(mode));
        }
        world.write(marks, was);
    }
    assert_sound(&world.pool, 2);
}

#[test]
fn each_invariant_of_blocks_that_is_broken_is_found_by_its_name() {
    let world = World::new("verify blocks");
    let word = world.word(world.block_word());
    for mode in BOTH {
        world.expect("block state is known", mode, (world.block_word(), word | UNKNOWN));
        let base = world.descriptor(world.block() / PAGE, "generation_base");
        world.expect("generations never return", mode, (base, BlockWord(word).generation()));
        let foreign = world.block_as(BlockState::Alloc, world.free_process);
        world.expect("owners are processes of the pool", mode, foreign);
    }
    for state in [BlockState::Freeing, BlockState::Resizing] {
        let foreign = world.block_as(state, world.free_lane);
        world.expect("actors are lanes in use", Mode::Online, foreign);
        let own = world.block_as(state, world.lane);
        world.expect("nothing is left half done", Mode::Quiesced, own);
    }
    let in_flight = "a block in flight is in exactly one message";
    for state in [BlockState::InFlightAlloc, BlockState::InFlightPool] {
        world.expect(in_flight, Mode::Quiesced, world.block_as(state, world.process));
    }
    let typed = world.block_as(BlockState::InFlightTyped, world.process);
    world.expect_all(&[in_flight, "typed blocks have a record"], Mode::Quiesced, typed);
}

#[test]
fn each_invariant_of_the_manifest_that_is_broken_is_found_by_its_name() {
    let world = World::new("verify manifest");
    let typed = [1, 2].map(|id| world.pool.alloc(64).unwrap().publish_as(7, id).unwrap());
    let records = world.records();
    assert_eq!(records.len(), 2);
    let id = |record: u64| record + at::<ManifestRecord>("id");
    let (no_record, half_done) = ("typed blocks have a record", "nothing is left half done");
    let block = world.block_word_at(typed[0].reference().offset);
    let as_state = |state, actor| (block, BlockWord(world.word(block)).with(state, actor).0);
    for mode in BOTH {
        world.expect_all(&["record state is known", no_record], mode, (records[0], UNKNOWN));
        world.expect(no_record, mode, (records[0], 0));
        world.expect("records are of typed blocks", mode, as_state(BlockState::Pool, 0));
        world.expect("keys are unique", mode, (id(records[0]), world.word(id(records[1]))));
    }
    world.expect(half_done, Mode::Quiesced, as_state(BlockState::Alloc, world.process));
    // The record in the hands of a lane: of one that nobody has, and of this thread's.
    let filling = |lane: u16| (records[0], 1 | u64::from(lane) << 4);
    world.expect_all(&["actors are lanes in use", no_record], Mode::Online, filling(world.free_lane));
    world.expect_all(&[half_done, no_record], Mode::Quiesced, filling(world.lane));
    typed.into_iter().for_each(|published| published.free().unwrap());
    assert_sound(&world.pool, 2);
}

#[test]
fn each_invariant_of_actors_that_is_broken_is_found_by_its_name() {
    let world = World::new("verify actors");
    let (lane, process) = (world.lane_word(world.free_lane), world.process_word(world.free_process));
    for mode in BOTH {
        world.expect("lane state is known", mode, (lane, UNKNOWN));
        world.expect("process state is known", mode, (process, UNKNOWN));
        let stray = LaneWord::active(world.free_process, 1).0;
        world.expect("actors are processes of the pool", mode, (lane, stray));
    }
    let dying = LaneWord::active(world.process, 1).recovering().0;
    world.expect("nothing is left half done", Mode::Quiesced, (lane, dying));
    let dead = ProcessWord::active(1, 1).dead().0;
    world.expect("nothing is left half done", Mode::Quiesced, (process, dead));
}

#[test]
fn each_invariant_of_channels_that_is_broken_is_found_by_its_name() {
    let world = World::new("verify channels");
    let plain = weyr_shared::Geometry::PLAIN;
    let geometry =
        weyr_shared::Geometry { block_size: 64, capacity: 2, processes: 4, levels: 2, urgent: 1, ..plain };
    let memory = world.pool.alloc(geometry.bytes()).unwrap();
    let (reference, region) = (memory.reference(), world.pool.region());
    let region = region.part(reference.offset, geometry.bytes()).unwrap();
    let ring = Ring::format(&region, &geometry, reference).unwrap();
    world.pool.make_channel(memory).unwrap();
    assert_sound(&world.pool, 3);
    // A message that has no block in flight, one whose block two messages have, and one whose block it alone has.
    let invariant = "a block in flight is in exactly one message";
    let message = MessageReference { block: world.held[0].reference(), view_offset: 0, view_len: 64 };
    let fill = |index: u32, block: BlockReference| {
        ring.write_reference(index, 0, &MessageReference { block, ..message }).unwrap();
        let empty = ring.load(index).unwrap();
        assert_eq!(empty.lap, Lap::new(0));
        assert!(ring.publish(index, empty, empty.becomes(MessageState::Full)).unwrap());
    };
    fill(0, message.block);
    assert!(world.found(Mode::Online).is_empty());
    assert_eq!(world.found(Mode::Quiesced), BTreeSet::from([invariant]));
    let (place, word) = world.block_as(BlockState::InFlightAlloc, world.process);
    let was = world.word(place);
    world.write(place, word);
    assert!(world.found(Mode::Quiesced).is_empty());
    // Slots that senders have reserved, and left so, at either level.
    for slot in [1, 2] {
        let slot =
            world.geometry.offsets.data + reference.offset + geometry.slots_at() + slot * geometry.stride();
        let (empty, reserved) = (world.word(slot), (MessageState::Reserved as u64) << 60);
        world.write(slot, empty | reserved);
        assert!(world.found(Mode::Online).is_empty());
        assert!(world.found(Mode::Quiesced).contains("nothing is left half done"));
        world.write(slot, empty);
    }
    fill(1, message.block);
    assert_eq!(world.found(Mode::Quiesced), BTreeSet::from([invariant]));
    world.write(place, was);
    // What the table names is no channel.
    let magic = world.geometry.offsets.data + reference.offset;
    world.write(magic, 0);
    assert!(world.found(Mode::Online).contains("channels can be opened"));
    assert!(world.found(Mode::Quiesced).contains("channels can be opened"));
}
