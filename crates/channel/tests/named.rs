//! Channels by name: one has it at a time, and it is free again afterwards.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::sync::Barrier as Start;

use pools::TestPool;
use weyr_atomic::{AtomicU32, Ordering};
use weyr_channel::{Barrier, Channel, ChannelAttributes, Error, Semaphore};
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
        let (name, start) = (format!("round-{round}"), Start::new(4));
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

#[test]
fn barriers_and_semaphores_are_found_by_name_and_nothing_else_is_taken_for_one() {
    let pool = TestPool::new("uses");
    let barrier = Barrier::create_named(&pool.0, "start", 1).unwrap();
    let semaphore = Semaphore::create_named(&pool.0, "licences", 3, 2).unwrap();
    let letters = Channel::create_named(&pool.0, "letters", &attributes()).unwrap();
    assert_eq!((barrier.name(), semaphore.name()), (Some("start".into()), Some("licences".into())));
    assert_eq!(Barrier::attach_named(&pool.0, "start").unwrap().wait(), Ok(0));
    assert_eq!(Semaphore::attach_named(&pool.0, "licences").unwrap().value(), Ok(2));
    for name in ["start", "licences", "letters"] {
        let taken = [
            Barrier::create_named(&pool.0, name, 2).err(),
            Semaphore::create_named(&pool.0, name, 2, 1).err(),
            Channel::create_named(&pool.0, name, &attributes()).err(),
        ];
        for refused in taken {
            assert_eq!(refused, Some(Error::NameTaken { name: name.into() }));
        }
    }
    for name in ["licences", "letters"] {
        assert_eq!(Barrier::attach_named(&pool.0, name).err(), Some(Error::NotABarrier));
        assert_eq!(Barrier::attach_or_create_named(&pool.0, name, 2).err(), Some(Error::NotABarrier));
    }
    for name in ["start", "letters"] {
        assert_eq!(Semaphore::attach_named(&pool.0, name).err(), Some(Error::NotASemaphore));
        assert_eq!(Semaphore::attach_or_create_named(&pool.0, name, 2, 1).err(), Some(Error::NotASemaphore));
    }
    // One that is there stays as it is.
    assert_eq!(Barrier::attach_or_create_named(&pool.0, "start", 7).unwrap().parties(), 1);
    assert_eq!(Semaphore::attach_or_create_named(&pool.0, "licences", 9, 9).unwrap().value(), Ok(2));
    assert_eq!(pool.0.channel_blocks().len(), 3);
    barrier.destroy().unwrap();
    semaphore.destroy().unwrap();
    letters.destroy().unwrap();
    assert!(matches!(Barrier::attach_named(&pool.0, "start"), Err(Error::NoSuchChannel { .. })));
    assert!(matches!(Semaphore::attach_named(&pool.0, "licences"), Err(Error::NoSuchChannel { .. })));
    assert!(matches!(Barrier::create_named(&pool.0, ".x", 1), Err(Error::InvalidName { .. })));
    assert!(matches!(Barrier::create_named(&pool.0, "x", 0), Err(Error::InvalidParties { .. })));
    assert!(matches!(Semaphore::create_named(&pool.0, "x", 1, 2), Err(Error::InvalidCapacity { .. })));
    assert_eq!(pool.0.usage().total.blocks, 0);
}

#[test]
fn threads_that_create_one_barrier_or_semaphore_get_one_that_is_whole() {
    let pool = TestPool::new("race-uses");
    for round in 0..40 {
        let (barrier, semaphore) = (format!("barrier-{round}"), format!("semaphore-{round}"));
        let (start, exclusive) = (Start::new(4), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (barrier, semaphore, start, exclusive) = (&barrier, &semaphore, &start, &exclusive);
                let pool = &pool.0;
                scope.spawn(move || {
                    start.wait();
                    // Everybody finds all units and a barrier of four, whoever made them.
                    let units = Semaphore::attach_or_create_named(pool, semaphore, 4, 4).unwrap();
                    units.take().unwrap();
                    let place = Barrier::attach_or_create_named(pool, barrier, 4).unwrap().wait().unwrap();
                    assert!(place < 4 && units.value() == Ok(0), "thread {number}");
                    let created = Semaphore::create_named(pool, "exclusive", 1, 1);
                    exclusive.fetch_add(u32::from(created.is_ok()), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(exclusive.into_inner(), 1);
        assert_eq!(pool.0.channel_blocks().len(), 3);
        Barrier::attach_named(&pool.0, &barrier).unwrap().destroy().unwrap();
        Semaphore::attach_named(&pool.0, &semaphore).unwrap().destroy().unwrap();
        Semaphore::attach_named(&pool.0, "exclusive").unwrap().destroy().unwrap();
    }
}
