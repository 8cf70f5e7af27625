//! What is broken is named by `verify`, put right by `repair`, counted, and no payload is touched by it. What the living
//! are in the middle of is left alone.
#![forbid(unsafe_code)]

mod scratch;
mod spoilt;

use std::collections::{BTreeMap, BTreeSet};

use scratch::assert_sound;
use spoilt::{World, at};
use weyr_atomic::Ordering;
use weyr_managed::heap::word::{BlockState, BlockWord};
use weyr_managed::layout::ManifestRecord;
use weyr_managed::{Mode, Pool, Published};
use weyr_shared::{
    BlockReference, Geometry, Holder, Lap, MessageReference, Ring, SlotState as MessageState, SlotWord,
};

const HALF_DONE: &str = "nothing is left half done";
const IN_A_MESSAGE: &str = "a block in flight is in exactly one message";
const NO_RECORD: &str = "typed blocks have a record";
const TYPE: u32 = 7;

/// Repairs the pool; what was put right, and how much of it.
fn repair(world: &World) -> BTreeMap<&'static str, u64> {
    let repaired = Pool::repair(world.pool.path()).unwrap();
    repaired
        .repairs
        .iter()
        .filter(|repair| repair.count > 0)
        .map(|repair| (repair.what, repair.count))
        .collect()
}

/// Expects that `verify` names what is broken now, that a repair puts it right, and that nothing is left of it.
fn expect(world: &World, mode: Mode, named: &[&'static str], repaired: &[(&'static str, u64)]) {
    assert_eq!(world.found(mode), BTreeSet::from_iter(named.iter().copied()));
    let blocks = world.pool.usage().total.blocks;
    assert_eq!(repair(world), repaired.iter().copied().collect());
    assert_sound(&world.pool, blocks);
    assert_eq!(world.pool.verify(Mode::Quiesced).leftover_entries, 0);
    assert!(repair(world).is_empty(), "a second repair finds nothing");
}

/// Expects that `verify` names what is broken now, and that a repair leaves it as it is.
fn expect_left(world: &World, mode: Mode, named: &[&'static str], place: u64) {
    let word = world.word(place);
    assert_eq!(world.found(mode), BTreeSet::from_iter(named.iter().copied()));
    assert!(repair(world).is_empty());
    assert_eq!(world.word(place), word);
}

/// Published blocks of type 7 with the ids 1 and 2, whose bytes are 1 and 2.
fn typed(world: &World) -> [Published; 2] {
    [1, 2].map(|id| {
        let mut memory = world.pool.alloc(64).unwrap();
        memory.fill(id as u8).unwrap();
        memory.publish_as(TYPE, id).unwrap()
    })
}

/// What is found by a block id has these bytes still.
fn assert_bytes(world: &World, published: &Published, byte: u8) {
    let found = world.pool.find_by_id(published.block_id()).unwrap();
    let mut bytes = [0; 64];
    found.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [byte; 64]);
}

fn free_all(world: &World, blocks: &[Published; 2]) {
    blocks.iter().for_each(|block| world.pool.find_by_id(block.block_id()).unwrap().free().unwrap());
    Pool::repair(world.pool.path()).unwrap();
}

/// A record in the hands of a lane: of state 1 its fields are being written, of state 2 they stand.
fn half_made(state: u64, lane: u16) -> u64 {
    state | u64::from(lane) << 4 | 9 << 20
}

#[test]
fn entries_that_nobody_makes_are_emptied_and_those_of_the_living_stay() {
    let world = World::new("repair nobody's");
    let typed = typed(&world);
    let spare = world.spare_record();
    for (named, tag) in [
        ("actors are lanes in use", half_made(1, world.free_lane)),
        ("actors are lanes in use", half_made(2, world.free_lane)),
        ("actors are lanes in use", half_made(2, u16::MAX)),
        ("record state is known", 15),
    ] {
        world.write(spare, tag);
        expect(&world, Mode::Online, &[named], &[("manifest entries that nobody makes", 1)]);
        assert_eq!(world.word(spare), tag & !0xf_ffff, "its version stays");
    }
    world.write(spare, half_made(1, world.lane));
    expect_left(&world, Mode::Quiesced, &[HALF_DONE], spare);
    world.write(spare, 0);
    for (id, block) in (1..).zip(&typed) {
        assert_eq!(world.pool.find(TYPE, id).unwrap().reference(), block.reference());
        assert_bytes(&world, block, id as u8);
    }
    free_all(&world, &typed);
}

#[test]
fn an_entry_whose_block_is_gone_is_emptied() {
    let world = World::new("repair gone");
    let [first, second] = typed(&world);
    let before: Vec<(u64, u64)> =
        world.records().into_iter().map(|place| (place, world.word(place))).collect();
    first.free().unwrap();
    // As a death between the free and the removal leaves it.
    before.iter().for_each(|&(place, tag)| world.write(place, tag));
    expect(&world, Mode::Quiesced, &[HALF_DONE], &[("manifest entries of blocks that are gone", 1)]);
    assert!(!world.pool.exists(TYPE, 1) && world.pool.exists(TYPE, 2));
    assert_bytes(&world, &second, 2);
    second.free().unwrap();
}

#[test]
fn a_block_whose_word_is_not_typed_loses_its_entry_and_nothing_else() {
    let world = World::new("repair untyped");
    let typed = typed(&world);
    let word = world.block_word_at(typed[0].reference().offset);
    world.write(word, BlockWord(world.word(word)).with(BlockState::Pool, 0).0);
    let named = ["records are of typed blocks"];
    expect(&world, Mode::Online, &named, &[("manifest entries of blocks without a type", 1)]);
    assert!(!world.pool.exists(TYPE, 1));
    assert_bytes(&world, &typed[0], 1);
    // Won, and not typed yet: its process lives.
    world.write(word, BlockWord(world.word(word)).with(BlockState::Alloc, world.process).0);
    let spare = world.spare_record();
    world.copy_record(world.records()[0], spare);
    world.write(spare + at::<ManifestRecord>("id"), 99);
    world.point_record(spare, typed[0].reference());
    expect_left(&world, Mode::Quiesced, &[HALF_DONE], spare);
    world.write(spare, 0);
    world.write(word, BlockWord(world.word(word)).with(BlockState::Pool, 0).0);
    free_all(&world, &typed);
}

#[test]
fn a_typed_block_without_an_entry_is_published_without_a_key() {
    let world = World::new("repair without entry");
    let typed = typed(&world);
    let tags: Vec<u64> = world.records();
    world.write(tags[0], 0);
    expect(&world, Mode::Online, &[NO_RECORD], &[("typed blocks without a manifest entry", 1)]);
    for (id, block) in (1..).zip(&typed) {
        assert_bytes(&world, block, id);
    }
    let found = typed.each_ref().map(|block| world.pool.find_by_id(block.block_id()).unwrap().type_id());
    assert_eq!(found.iter().filter(|found| found.is_some()).count(), 1);
    free_all(&world, &typed);
}

#[test]
fn of_two_entries_of_one_key_the_one_that_is_found_stays() {
    let world = World::new("repair second");
    let typed = typed(&world);
    let records = world.records();
    let id = |record: u64| record + at::<ManifestRecord>("id");
    world.write(id(records[0]), world.word(id(records[1])));
    let found = world.pool.find(TYPE, 2).unwrap().reference();
    let repaired = [("second manifest entries of one key", 1), ("typed blocks without a manifest entry", 1)];
    expect(&world, Mode::Online, &["keys are unique"], &repaired);
    assert_eq!(world.pool.find(TYPE, 2).unwrap().reference(), found);
    for (id, block) in (1..).zip(&typed) {
        assert_bytes(&world, block, id);
    }
    free_all(&world, &typed);
}

/// A channel of two slots in the world's pool.
fn channel(world: &World) -> (Ring, BlockReference) {
    let geometry = Geometry { block_size: 64, capacity: 2, processes: 4, ..Geometry::PLAIN };
    let memory = world.pool.alloc(geometry.bytes()).unwrap();
    let reference = memory.reference();
    let region = world.pool.region().part(reference.offset, geometry.bytes()).unwrap();
    let ring = Ring::format(&region, &geometry, reference).unwrap();
    world.pool.make_channel(memory).unwrap();
    assert_sound(&world.pool, 3);
    (ring, reference)
}

/// Puts a message into slot `index`, in this state, with this block.
fn fill(ring: &Ring, index: u32, word: SlotWord, block: BlockReference) {
    ring.write_reference(index, 0, &MessageReference { block, view_offset: 0, view_len: 64 }).unwrap();
    assert!(ring.publish(index, ring.load(index).unwrap(), word).unwrap());
}

fn full() -> SlotWord {
    SlotWord::plain(MessageState::Full, Lap::new(0))
}

#[test]
fn a_channel_that_the_table_lost_is_entered_again() {
    let world = World::new("repair table");
    let (_ring, reference) = channel(&world);
    let entry = world.geometry.offsets.channels;
    let was = world.word(entry);
    assert_ne!(was, 0);
    world.write(entry, 0);
    assert!(world.pool.channel_blocks().is_empty());
    let repaired = [("channels that were not in the table", 1)];
    expect(&world, Mode::Online, &["channels are in the table"], &repaired);
    assert_eq!((world.word(entry), world.pool.channel_blocks()[0].reference), (was, reference));
}

#[test]
fn table_entries_without_a_channel_are_counted_and_emptied() {
    let world = World::new("repair leftovers");
    let (_ring, reference) = channel(&world);
    let [first, second] = [0, 8].map(|at| world.geometry.offsets.channels + at);
    let repaired = [("channel table entries without a channel", 1)];
    // Of the channel, a second time; of a block that is no channel; of nothing.
    for entry in [world.word(first), world.word(first) + 1, (5 << 24) | 1] {
        world.write(second, entry);
        assert_eq!(world.pool.verify(Mode::Online).leftover_entries, 1);
        expect(&world, Mode::Quiesced, &[], &repaired);
        assert_eq!(world.word(second), 0);
    }
    // As a death behind the free of the channel leaves it.
    let was = world.word(first);
    world.pool.free_channel(reference).unwrap();
    world.write(first, was);
    expect(&world, Mode::Quiesced, &[], &repaired);
    // A block that may be becoming a channel is its process's.
    let block = world.held[0].reference();
    world.write(first, ((block.offset / 64) << 24) | (block.generation & 0xff_ffff));
    expect_left(&world, Mode::Quiesced, &[], first);
}

#[test]
fn a_message_whose_block_is_not_on_its_way_is_removed_and_the_block_stays() {
    let world = World::new("repair messages");
    let (ring, _) = channel(&world);
    let block = world.held[0].reference();
    let lap = Lap::new(0);
    let other = BlockReference { generation: block.generation + 1, ..block };
    let nothing = BlockReference { offset: block.offset + 32, ..block };
    let held = world.word(world.block_word());
    for state in [MessageState::Full, MessageState::Returned, MessageState::PutBack] {
        for reference in [block, other, nothing, BlockReference { offset: u64::MAX - 4095, generation: 1 }] {
            fill(&ring, 0, SlotWord::plain(state, lap), reference);
            let asleep = ring.header().to_senders.load(Ordering::Relaxed);
            expect(&world, Mode::Quiesced, &[IN_A_MESSAGE], &[("messages without their block", 1)]);
            let left = ring.load(0).unwrap();
            assert_eq!(
                (left.state, left.lap.number()),
                (MessageState::Empty, u64::from(state == MessageState::Full))
            );
            assert_eq!(world.word(world.block_word()), held);
            assert_ne!(ring.header().to_senders.load(Ordering::Relaxed), asleep, "senders are woken");
            fill(&ring, 0, SlotWord::plain(MessageState::Empty, lap), block);
        }
    }
    // One that has its block is delivered, and one that a receiver has in hand is the receiver's.
    let (place, word) = world.block_as(BlockState::InFlightAlloc, world.process);
    let was = world.word(place);
    world.write(place, word);
    fill(&ring, 0, full(), block);
    assert!(world.found(Mode::Quiesced).is_empty() && repair(&world).is_empty());
    fill(&ring, 1, full(), other);
    expect(&world, Mode::Quiesced, &[IN_A_MESSAGE], &[("messages without their block", 1)]);
    assert_eq!(ring.load(0).unwrap(), full());
    fill(&ring, 1, SlotWord::plain(MessageState::Empty, lap), other);
    world.write(place, was);
    let actor = world.pool.actor().unwrap();
    fill(&ring, 0, SlotWord::held(MessageState::Taking, actor.into(), lap), block);
    assert!(repair(&world).is_empty());
    fill(&ring, 0, SlotWord::plain(MessageState::Empty, lap), block);
}

#[test]
fn a_block_in_flight_without_a_message_is_published_unless_its_sender_lives() {
    let world = World::new("repair blocks");
    let (ring, _) = channel(&world);
    let [block, span] = world.held.each_ref().map(|held| held.reference());
    let repaired = [("blocks in flight without a message", 1)];
    let was = world.word(world.block_word());
    // Of a process slot that nobody has, of one that the repairer takes, and of none that there is.
    for sender in [3, world.free_process, u16::MAX] {
        for (state, landed) in
            [(BlockState::InFlightAlloc, BlockState::Pool), (BlockState::InFlightPool, BlockState::Pool)]
        {
            world.write(world.block_word(), BlockWord(was).with(state, sender).0);
            expect(&world, Mode::Quiesced, &[IN_A_MESSAGE], &repaired);
            assert_eq!(world.word(world.block_word()), BlockWord(was).with(landed, 0).0);
        }
    }
    world.write(world.block_word(), BlockWord(was).with(BlockState::InFlightAlloc, world.process).0);
    expect_left(&world, Mode::Quiesced, &[IN_A_MESSAGE], world.block_word());
    // In a message it is where it belongs, whoever sent it.
    world.write(world.block_word(), BlockWord(was).with(BlockState::InFlightAlloc, 3).0);
    fill(&ring, 0, full(), block);
    assert!(world.found(Mode::Quiesced).is_empty() && repair(&world).is_empty());
    fill(&ring, 0, SlotWord::plain(MessageState::Empty, Lap::new(0)), block);
    world.write(world.block_word(), was);
    // A span, with what it holds.
    let word = world.word(world.span_word());
    world.write(world.span_word(), BlockWord(word).with(BlockState::InFlightAlloc, 3).0);
    expect(&world, Mode::Quiesced, &[IN_A_MESSAGE], &repaired);
    world.write(world.span_word(), word);
    assert_eq!(world.held[1].reference(), span);
}

#[test]
fn a_typed_block_in_flight_without_a_message_keeps_its_key() {
    let world = World::new("repair typed in flight");
    let typed = typed(&world);
    let word = world.block_word_at(typed[0].reference().offset);
    world.write(word, BlockWord(world.word(word)).with(BlockState::InFlightTyped, 3).0);
    expect(&world, Mode::Quiesced, &[IN_A_MESSAGE], &[("blocks in flight without a message", 1)]);
    assert_eq!(world.pool.find(TYPE, 1).unwrap().reference(), typed[0].reference());
    assert_bytes(&world, &typed[0], 1);
    free_all(&world, &typed);
}

#[test]
fn a_typed_block_in_a_message_that_has_no_entry_is_delivered_without_a_key() {
    let world = World::new("repair typed message");
    let (ring, _) = channel(&world);
    let typed = typed(&world);
    let id = at::<ManifestRecord>("id");
    let record = world.records().into_iter().find(|record| world.word(record + id) == 1).unwrap();
    world.write(record, 0);
    let place = world.block_word_at(typed[0].reference().offset);
    let word = BlockWord(world.word(place));
    world.write(place, word.with(BlockState::InFlightTyped, world.process).0);
    fill(&ring, 0, full(), typed[0].reference());
    expect(&world, Mode::Online, &[NO_RECORD], &[("typed blocks without a manifest entry", 1)]);
    assert_eq!(world.word(place), word.with(BlockState::InFlightPool, world.process).0);
    drop(world.pool.take_transfer(typed[0].reference(), 64).unwrap());
    fill(&ring, 0, SlotWord::plain(MessageState::Empty, Lap::new(0)), typed[0].reference());
    assert_bytes(&world, &typed[0], 1);
    free_all(&world, &typed);
}

#[test]
fn slots_of_nobody_are_given_back_and_those_of_the_living_stay() {
    let world = World::new("repair slots");
    let (ring, _) = channel(&world);
    let block = world.held[0].reference();
    let (lap, actor) = (Lap::new(0), world.pool.actor().unwrap());
    let was = world.word(world.block_word());
    world.write(world.block_word(), BlockWord(was).with(BlockState::InFlightAlloc, 3).0);
    // Of a process slot that nobody has, and of one that somebody else has by now.
    for holder in
        [Holder { process: 3, epoch: 9 }, Holder { process: actor.process, epoch: actor.epoch as u8 ^ 1 }]
    {
        let named = &["owners are processes of the pool"];
        fill(&ring, 0, SlotWord::held(MessageState::Leased, holder, lap), block);
        expect(&world, Mode::Quiesced, named, &[("message slots of nobody", 1)]);
        assert_eq!(ring.load(0).unwrap(), SlotWord::plain(MessageState::Returned, lap));
    }
    let mine = SlotWord::held(MessageState::Leased, actor.into(), lap);
    fill(&ring, 0, mine, block);
    assert!(repair(&world).is_empty());
    assert_eq!(ring.load(0).unwrap(), mine);
    fill(&ring, 0, SlotWord::plain(MessageState::Empty, lap), block);
    world.write(world.block_word(), was);
    // Bytes that somebody was writing were no message yet.
    let states = [
        (MessageState::Filling, 0, &[HALF_DONE][..]),
        (MessageState::Revoked, 1, &[HALF_DONE]),
        // It had taken the block already.
        (MessageState::Taking, 1, &[HALF_DONE, IN_A_MESSAGE]),
    ];
    for (state, lap, named) in states {
        let nobody = Holder { process: 2, epoch: 200 };
        fill(&ring, 0, SlotWord::held(state, nobody, Lap::new(lap)), block);
        expect(&world, Mode::Quiesced, named, &[("message slots of nobody", 1)]);
        assert_eq!(ring.load(0).unwrap(), SlotWord::plain(MessageState::Empty, Lap::new(1)));
        fill(&ring, 0, SlotWord::plain(MessageState::Empty, Lap::new(0)), block);
    }
}
