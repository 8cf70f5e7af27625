//! Channels by name: one has it at a time, and it is free again afterwards.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::sync::Barrier;

use pools::TestPool;
use weyr_channel::{Channel, ChannelAttributes, Error};
use weyr_managed::Mode;

fn attributes() -> ChannelAttributes {
    ChannelAttributes::new().capacity(2)
}

#[test]
fn a_channel_is_found_by_its_name_until_it_is_destroyed() {
    let pool = TestPool::new("found");
    let missing = Channel::attach_named(&pool.0, "a");
    assert!(matches!(missing, Err(Error::NoSuchChannel { name, .. }) if name == "a"));
    let [a, b] = ["a", "b"].map(|name| Channel::create_named(&pool.0, name, &attributes()).unwrap());
    let unnamed = Channel::create(&pool.0, &attributes()).unwrap();
    assert_eq!((a.name(), b.name(), unnamed.name()), (Some("a".into()), Some("b".into()), None));
    a.send(b"to a").unwrap();
    let again = Channel::attach_named(&pool.0, "a").unwrap();
    assert_eq!(again.receive().unwrap().into_bytes().unwrap(), b"to a");
    let taken = Channel::create_named(&pool.0, "a", &attributes());
    assert!(matches!(taken, Err(Error::NameTaken { name }) if name == "a"));
    assert_eq!(pool.0.channel_blocks().len(), 3, "a refused one is gone");

    a.destroy().unwrap();
    assert!(matches!(Channel::attach_named(&pool.0, "a"), Err(Error::NoSuchChannel { .. })));
    let next = Channel::attach_or_create(&pool.0, "a", &attributes()).unwrap();
    assert!(next.descriptor() != again.descriptor());
    drop(again);
    assert!(pool.0.verify(Mode::Quiesced).holds());
}

#[test]
fn names_that_no_channel_can_have_are_refused() {
    let pool = TestPool::new("refused");
    let long = "x".repeat(61);
    for name in ["", ".a", "a/b", "a b", "a\0", "ä", &long] {
        let refused = Channel::create_named(&pool.0, name, &attributes());
        assert!(matches!(refused, Err(Error::InvalidName { .. })), "{name:?}");
    }
    assert!(
        Channel::create_named(&pool.0, &long[..60], &attributes()).unwrap().name().unwrap() == long[..60]
    );
}

#[test]
fn threads_that_create_one_name_get_one_channel() {
    let pool = TestPool::new("race");
    for round in 0..50 {
        let (name, start) = (format!("round-{round}"), Barrier::new(4));
        let channels: Vec<Channel> = std::thread::scope(|scope| {
            let one = || {
                start.wait();
                Channel::attach_or_create(&pool.0, &name, &attributes()).unwrap()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(channels.windows(2).all(|two| two[0].descriptor() == two[1].descriptor()));
        assert_eq!(pool.0.channel_blocks().len(), 1);
        channels[0].clone().destroy().unwrap();
    }
    assert_eq!(pool.0.usage().total.blocks, 0);
}
