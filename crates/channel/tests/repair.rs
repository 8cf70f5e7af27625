//! Messages and their blocks that do not fit each other are put right while others use the channel.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::collections::BTreeMap;

use pools::{TestPool, as_child, child};
use weyr_channel::Channel;
use weyr_managed::{Mode, Pool};
use weyr_shared::{Lap, Ring, SlotState, SlotWord};

const IN_A_MESSAGE: &str = "a block in flight is in exactly one message";

fn repair(pool: &TestPool) -> BTreeMap<&'static str, u64> {
    let repaired = Pool::repair(pool.0.path()).unwrap();
    repaired
        .repairs
        .iter()
        .filter(|repair| repair.count > 0)
        .map(|repair| (repair.what, repair.count))
        .collect()
}

fn found(pool: &TestPool) -> Vec<&'static str> {
    pool.0.verify(Mode::Quiesced).findings.iter().map(|finding| finding.invariant).collect()
}

/// The slots of a channel, by which a test overwrites them.
fn ring(pool: &TestPool, channel: &Channel) -> Ring {
    let reference = channel.descriptor().reference();
    let block = pool.0.channel_block(reference).unwrap();
    Ring::open(&pool.0.region().part(reference.offset, block.bytes).unwrap(), reference).unwrap()
}

fn overwrite(ring: &Ring, index: u32, word: SlotWord) {
    assert!(ring.publish(index, ring.load(index).unwrap(), word).unwrap());
}

/// The child of `a_sender_is_not_held_up_by_a_message_that_has_lost_its_block`: sends its one message.
#[test]
fn a_child_sends() {
    let Some(channels) = as_child("a_child_sends") else { return };
    let pool = channels[0].pool().clone();
    let mut memory = pool.alloc(1000).unwrap();
    memory.fill(7).unwrap();
    channels[0].send_allocation(memory).unwrap();
}

#[test]
fn a_sender_is_not_held_up_by_a_message_that_has_lost_its_block() {
    let pool = TestPool::new("repair-full");
    let channel = pool.channel(1);
    channel.send_allocation(pool.0.alloc(100).unwrap()).unwrap();
    // Somebody takes the block behind the channel's back: the message has nothing to deliver.
    let block = pool.0.allocations().into_iter().find(|block| block.state.is_in_flight()).unwrap();
    let taken = pool.0.take_transfer(block.reference, 100).unwrap();
    assert_eq!(found(&pool), [IN_A_MESSAGE]);
    let mut sender = child("a_child_sends", &[&channel]);
    while pool.0.members().len() < 2 {
        std::thread::yield_now();
    }
    assert_eq!(repair(&pool).get("messages without their block"), Some(&1));
    assert!(sender.wait().unwrap().success(), "the sender has room now");
    let received = channel.receive().unwrap().into_allocation().unwrap();
    let mut bytes = [0; 1000];
    received.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [7; 1000]);
    drop((received, taken));
    assert_eq!(pool.blocks(), 1);
    pool.assert_verified();
}

#[test]
fn a_block_whose_message_was_overwritten_is_published_once_its_sender_has_left() {
    let pool = TestPool::new("repair-lost");
    let channel = pool.channel(2);
    assert!(child("a_child_sends", &[&channel]).wait().unwrap().success());
    pool.0.recover();
    let block = pool.0.allocations().into_iter().find(|block| block.state.is_in_flight()).unwrap();
    overwrite(&ring(&pool, &channel), 0, SlotWord::plain(SlotState::Empty, Lap::new(1)));
    assert_eq!(found(&pool), [IN_A_MESSAGE]);
    assert_eq!(repair(&pool), BTreeMap::from([("blocks in flight without a message", 1)]));
    pool.assert_verified();
    let found = pool.0.find_by_id(block.block_id()).unwrap();
    let mut bytes = [0; 1000];
    found.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [7; 1000]);
    found.free().unwrap();
    // The channel goes on.
    channel.send(b"on").unwrap();
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"on");
}

#[test]
fn what_a_living_sender_has_in_hand_is_left_to_it() {
    let pool = TestPool::new("repair-living");
    let memory = pool.0.alloc(100).unwrap();
    let reference = memory.reference();
    pool.0.begin_transfer(reference).unwrap();
    assert_eq!(found(&pool), [IN_A_MESSAGE]);
    assert!(repair(&pool).is_empty());
    pool.0.revert_transfer(reference).unwrap();
    drop(memory);
    pool.assert_verified();
}

#[test]
fn frozen_memory_in_a_message_is_no_block_of_its_own() {
    let pool = TestPool::new("repair-frozen");
    let channel = pool.channel(2);
    let frozen = pool.0.alloc(100).unwrap().freeze().unwrap();
    channel.sender().send_frozen(&frozen).unwrap();
    assert!(found(&pool).is_empty() && repair(&pool).is_empty());
    frozen.free().unwrap();
    // Its receiver is told.
    assert!(repair(&pool).is_empty());
    assert!(channel.receive().is_err());
}
