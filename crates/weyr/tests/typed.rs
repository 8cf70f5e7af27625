//! Typed memory as its users see it.

use weyr::prelude::*;
use weyr::zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
use weyr::{Error, managed};

/// A pool that is destroyed at the end of the test, however it ends.
struct Scratch(Pool);

impl Scratch {
    fn new(test: &str) -> Self {
        let name = format!("typed-{test}-{}", std::process::id());
        Self(Pool::create(&PoolAttributes::new(name, 1 << 20)).unwrap())
    }

    fn cooperative(&self) -> Pool {
        // SAFETY: only this test opens the pool, and it keeps to owners.
        self.0.clone().cooperative(unsafe { Cooperative::assume() })
    }
}

impl std::ops::Deref for Scratch {
    type Target = Pool;
    fn deref(&self) -> &Pool {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _destroyed_by_the_test = self.0.destroy();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Reading {
    celsius: f64,
    sensor: u64,
}

#[test]
fn an_owned_value_is_set_and_got_by_copies() {
    let pool = Scratch::new("copies");
    let mut reading = pool.owned(&Reading { celsius: 20.5, sensor: 1 }).unwrap();
    reading.set(&Reading { celsius: 21.0, sensor: 2 }).unwrap();
    assert_eq!(reading.get().unwrap(), Reading { celsius: 21.0, sensor: 2 });
    drop(reading);
    assert_eq!(pool.usage().total.blocks, 0);
}

#[test]
fn elements_of_a_slice_are_set_and_got_one_by_one() {
    let pool = Scratch::new("elements");
    let mut numbers = pool.owned_zeroed::<u32>(3).unwrap();
    numbers.set_element(2, &7).unwrap();
    assert_eq!((numbers.len(), numbers.get(0).unwrap(), numbers.get(2).unwrap()), (3, 0, 7));
    assert_eq!(numbers.get(3), Err(Error::NoElement { index: 3, len: 3 }));
    assert_eq!(numbers.set_element(usize::MAX, &1), Err(Error::NoElement { index: usize::MAX, len: 3 }));
    let mut copy = [9; 3];
    numbers.copy_to(&mut copy).unwrap();
    assert_eq!(copy, [0, 0, 7]);
    assert!(numbers.copy_to(&mut [0; 4]).is_err());
}

#[test]
fn references_exist_only_from_a_cooperative_pool() {
    let pool = Scratch::new("references");
    let mut plain = pool.owned(&1_u64).unwrap();
    let refused = |error| matches!(error, Error::Pool(managed::Error::Payload(_)));
    assert!(refused(plain.as_ref().unwrap_err()));
    assert!(refused(plain.as_mut().unwrap_err()));
    assert!(refused(plain.freeze().unwrap().as_ref().unwrap_err()));

    let mut numbers = pool.cooperative().owned(&[1_u64, 2, 3][..]).unwrap();
    numbers.as_mut().unwrap()[0] = 10;
    assert_eq!(numbers.as_ref().unwrap(), [10, 2, 3]);
}

#[test]
fn frozen_data_is_read_by_all_and_written_by_nobody() {
    let pool = Scratch::new("frozen");
    let frozen = pool.cooperative().owned(&[1_u64, 2]).unwrap().freeze().unwrap();
    let other: Frozen<[u64]> = pool.cooperative().open_frozen(&frozen.descriptor()).unwrap();
    assert_eq!((other.as_ref().unwrap(), other.get(1).unwrap()), ([1, 2].as_slice(), 2));
    let shared: Shared<[u64; 2]> = pool.open_shared(&frozen.descriptor()).unwrap();
    assert!(shared.set(&[3, 4]).is_err());
    assert_eq!(frozen.get().unwrap(), [1, 2]);
    drop(other);
    assert_eq!(pool.usage().total.blocks, 1, "dropping a handle frees nothing");
    frozen.free().unwrap();
    assert_eq!(pool.usage().total.blocks, 0);
}

#[test]
fn shared_data_is_read_and_written_by_all() {
    let pool = Scratch::new("shared");
    let shared = pool.owned(&[1_u64, 2][..]).unwrap().share().unwrap();
    let other: Shared<[u64]> = pool.open_shared(&shared.descriptor()).unwrap();
    other.set_element(0, &5).unwrap();
    assert_eq!(shared.get(0).unwrap(), 5);
    shared.set(&[8, 9]).unwrap();
    assert_eq!((other.len(), other.get(1).unwrap()), (2, 9));
    assert!(shared.set(&[1, 2, 3]).is_err());
    let opened = pool.open_frozen::<[u64]>(&shared.descriptor());
    assert_eq!(opened.err(), Some(Error::NotFrozen));
    assert_eq!(shared.freeze().unwrap().get(0).unwrap(), 8);
}

#[test]
fn bytes_of_another_length_are_not_the_type() {
    let pool = Scratch::new("lengths");
    let wrong = |error| matches!(error, Some(Error::WrongSize { .. }));
    assert!(wrong(Owned::<u64>::from_allocation(pool.alloc(7).unwrap()).err()));
    assert!(wrong(Owned::<[u64]>::from_allocation(pool.alloc(20).unwrap()).err()));
    assert_eq!(Owned::<[u64]>::from_allocation(pool.alloc(24).unwrap()).unwrap().len(), 3);
    assert_eq!(Owned::<[u64]>::from_allocation(pool.alloc(0).unwrap()).unwrap().len(), 0);
    let published = pool.alloc(7).unwrap().publish().unwrap();
    assert!(wrong(pool.open_shared::<u64>(&published.descriptor()).err()));
}

#[test]
fn types_that_need_more_than_a_cache_line_of_alignment_are_refused() {
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C, align(128))]
    struct Wide([u8; 128]);
    let pool = Scratch::new("alignment");
    assert!(matches!(pool.owned(&Wide([0; 128])), Err(Error::Misaligned { needed: 128, given: 64, .. })));
    assert!(matches!(pool.owned_zeroed::<Wide>(2), Err(Error::Misaligned { .. })));
    assert_eq!(pool.usage().total.blocks, 0);
}

#[test]
fn more_elements_than_memory_are_refused_by_the_pool() {
    let pool = Scratch::new("many");
    assert!(matches!(
        pool.owned_zeroed::<u64>(usize::MAX),
        Err(Error::Pool(managed::Error::TooLarge { .. }))
    ));
}

#[test]
fn what_is_sent_is_the_receivers_and_a_failed_send_gives_it_back() {
    let pool = Scratch::new("sent");
    let channel = Channel::create(&pool, &ChannelAttributes::new()).unwrap();
    pool.owned(&7_u64).unwrap().send(&channel.sender()).unwrap();
    let wrong = channel.receive().unwrap().into_owned::<u32>();
    assert!(matches!(wrong, Err(Error::WrongSize { found: 8, .. })));

    channel.send(b"only bytes").unwrap();
    assert_eq!(channel.receive().unwrap().into_owned::<u64>().err(), Some(Error::NoAllocation));

    let sender = channel.sender();
    channel.destroy().unwrap();
    let back = pool.owned(&8_u64).unwrap().send(&sender).unwrap_err();
    assert_eq!(back.payload.as_ref().unwrap().get().unwrap(), 8);
    drop((back, sender));
    assert_eq!(pool.usage().total.blocks, 0);
}

#[test]
fn frozen_and_shared_data_arrive_as_what_they_were() {
    let pool = Scratch::new("arrive");
    let channel = Channel::create(&pool, &ChannelAttributes::new()).unwrap();
    let sender = channel.sender();
    let frozen = pool.owned(&[1_u64, 2]).unwrap().freeze().unwrap();
    frozen.send(&sender).unwrap();
    frozen.send(&sender).unwrap();
    let received = channel.receive().unwrap().into_frozen::<[u64; 2]>().unwrap();
    assert_eq!(received.get(), Ok([1, 2]));
    assert_eq!(channel.receive().unwrap().into_owned::<[u64; 2]>().err(), Some(Error::NoAllocation));
    received.free().unwrap();

    pool.owned(&5_u32).unwrap().share().unwrap().send(&sender).unwrap();
    let shared = channel.receive().unwrap().into_shared::<u32>().unwrap();
    shared.set(&6).unwrap();
    assert_eq!(shared.get(), Ok(6));
    shared.send(&sender).unwrap();
    assert_eq!(channel.receive().unwrap().into_frozen::<u32>().err(), Some(Error::NotFrozen));
    channel.send(b"four").unwrap();
    assert_eq!(channel.receive().unwrap().into_shared::<u32>().err(), Some(Error::NotPublished));
    drop(sender);
    channel.destroy().unwrap();
    // What was shared is still the pool's.
    assert_eq!(pool.usage().total.blocks, 1);
}
