//! Channels in pools that have hardly room for them.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use pools::TestPool;
use weyr_channel::{Channel, ChannelAttributes, Error};

const SMALLEST: u64 = 32 << 10;

#[test]
fn sixteen_messages_of_256_bytes_fit_into_the_smallest_pool() {
    let pool = TestPool::with("smallest", SMALLEST, |attributes| attributes);
    let attributes = ChannelAttributes::new().block_size(256).capacity(16);
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    for round in 0..3u8 {
        (0..16).for_each(|number| channel.try_send(&[round ^ number; 256]).unwrap());
        assert_eq!(channel.try_send(&[0; 256]), Err(Error::Full));
        assert_eq!(channel.try_send(&[0; 257]), Err(Error::TooLarge { needed: 257, largest: 256 }));
        for number in 0..16 {
            assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), [round ^ number; 256]);
        }
    }
    let mut memory = pool.0.alloc(4096).unwrap();
    memory.fill(7).unwrap();
    channel.send_allocation(memory).unwrap();
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), [7; 4096]);
    channel.destroy().unwrap();
    assert_eq!(pool.blocks(), 0);
    drop(pool.0.alloc(SMALLEST).unwrap());
    pool.assert_verified();
}

#[test]
fn a_pool_too_small_for_the_default_channel_says_by_how_much() {
    let pool = TestPool::with("too-small", SMALLEST, |attributes| attributes);
    let attributes = ChannelAttributes::new();
    let needed = attributes.bytes(pool.0.process_limit()).unwrap();
    assert!(needed > SMALLEST);
    let refused = Channel::create(&pool.0, &attributes).map(drop);
    assert_eq!(refused, Err(Error::TooLarge { needed, largest: SMALLEST }));
    assert_eq!(pool.blocks(), 0);
    let memory = pool.0.alloc(SMALLEST).unwrap();
    let refused = Channel::create_in(&pool.0, memory, &attributes).map(drop);
    assert_eq!(refused, Err(Error::TooLarge { needed, largest: SMALLEST }));
    assert_eq!(pool.blocks(), 0);
    pool.assert_verified();
}
