//! Memory of another pool than the channel's in a message: landing pads, allocations, shares.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use pools::{TestPool, as_child, child};
use weyr_channel::{Channel, ChannelAttributes, Content, Error, Message};
use weyr_kill::{Outcome, child as forked};
use weyr_managed::{Allocation, BlockState, Pool, PoolAttributes, Published};
use weyr_shared::{BlockReference, FOREIGN_HEAD_BYTES, MessageKind, MessageReference, Region, Ring};

/// A pool of a channel, another, and the channel.
struct World {
    channel: Channel,
    pool: TestPool,
    other: TestPool,
}

impl World {
    /// `block_size` 1024: the name lies in the slot; 64: it does not fit.
    fn new(test: &str, block_size: u64) -> Self {
        let (pool, other) = (TestPool::new(test), TestPool::new(&format!("{test}-other")));
        let attributes = ChannelAttributes::new().block_size(block_size).capacity(4);
        Self { channel: Channel::create(&pool.0, &attributes).unwrap(), pool, other }
    }

    fn for_both(test: &str, run: impl Fn(&Self)) {
        for block_size in [1024, 64] {
            let world = Self::new(&format!("{test}-{block_size}"), block_size);
            run(&world);
            world.pool.assert_verified();
            world.other.assert_verified();
        }
    }

    fn memory(&self, bytes: &[u8]) -> Allocation {
        let mut memory = self.other.0.alloc(bytes.len() as u64).unwrap();
        memory.write(0, bytes).unwrap();
        memory
    }

    fn ring(&self) -> (Ring, Region) {
        let reference = self.channel.descriptor().reference();
        let bytes = self.pool.0.channel_block(reference).unwrap().bytes;
        let region = self.pool.0.region().part(reference.offset, bytes).unwrap();
        (Ring::open(&region, reference).unwrap(), region)
    }

    /// The block of the other pool that the message in a slot names.
    fn named_in(&self, ring: &Ring, slot: u32) -> BlockReference {
        let message = ring.reference(slot).unwrap();
        if ring.description(slot).unwrap().kind == MessageKind::Foreign {
            return message.block;
        }
        let mut name = [0; FOREIGN_HEAD_BYTES];
        self.pool.0.read_transfer(message.block, 0, &mut name).unwrap();
        MessageReference::from_bytes(&name).block
    }

    /// Blocks of the channel's pool but for the channel, and of the other.
    fn blocks(&self) -> (u64, u64) {
        (self.pool.blocks() - 1, self.other.blocks())
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn allocation(message: Message) -> Allocation {
    message.into_allocation().unwrap()
}

fn bytes_of(published: &Published) -> Vec<u8> {
    let mut bytes = vec![0; published.len() as usize];
    published.read(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_allocation_of_another_pool_becomes_the_receivers() {
    World::for_both("foreign-owned", |world| {
        let memory = world.memory(b"of another pool");
        let reference = memory.reference();
        world.channel.send_allocation(memory).unwrap();
        assert_eq!(world.other.0.usage().by_state[&BlockState::Pool].blocks, 1);
        assert_eq!(world.channel.receiver().try_peek().unwrap().len(), 15);
        let message = world.channel.receive().unwrap();
        assert_eq!((message.len(), message.is_redelivered()), (15, false));
        let received = allocation(message);
        assert_eq!((received.reference(), world.other.0.has(&received)), (reference, Ok(true)));
        assert_eq!(world.blocks(), (0, 1));
        drop(received);
        assert_eq!(world.blocks(), (0, 0));
    });
}

#[test]
fn every_way_to_receive_finds_the_bytes_and_frees_what_was_the_receivers() {
    World::for_both("foreign-ways", |world| {
        let (channel, receiver) = (&world.channel, world.channel.receiver());
        let send = || channel.send_allocation(world.memory(b"twelve bytes")).unwrap();
        let mut buffer = [0; 12];
        send();
        assert_eq!(
            receiver.try_receive_into(&mut buffer[..11]),
            Err(Error::TooLarge { needed: 12, largest: 11 })
        );
        assert_eq!((receiver.try_receive_into(&mut buffer), &buffer), (Ok(12), b"twelve bytes"));
        send();
        let mut pad = world.other.0.alloc(12).unwrap();
        assert_eq!(receiver.try_receive_to(&mut pad).unwrap().len, 12);
        pad.read(0, &mut buffer).unwrap();
        assert_eq!(&buffer, b"twelve bytes");
        drop(pad);
        send();
        assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"twelve bytes");
        send();
        receiver.try_pop().unwrap();
        assert_eq!(world.blocks(), (0, 0));
        send();
        let lease = channel.lease().unwrap();
        assert_eq!((lease.len(), lease.bytes().unwrap()), (Ok(12), b"twelve bytes".to_vec()));
        let mut part = [0; 5];
        lease.read(7, &mut part).unwrap();
        assert_eq!(&part, b"bytes");
        assert!(lease.read(8, &mut part).is_err() && lease.as_slice().is_err());
        drop(lease);
        let lease = channel.lease().unwrap();
        assert!(lease.is_redelivered());
        drop(allocation(lease.take().unwrap()));
        send();
        channel.lease().unwrap().done().unwrap();
        assert_eq!((channel.len(), world.blocks()), (Ok(0), (0, 0)));
    });
}

#[test]
fn a_sender_fills_a_pad_in_any_pool_and_its_receiver_finds_the_payload_there() {
    World::for_both("foreign-pad", |world| {
        let sender = world.channel.sender();
        // A receiver has published memory of a pool of its own, and told the sender of it.
        let pad = world.other.0.alloc(100).unwrap().publish().unwrap();
        let told = world.other.0.open(&pad.descriptor()).unwrap();
        sender.message().send_into(told, &b"payload"[..]).unwrap();
        let Content::Published { published, view } = world.channel.receive().unwrap().into_content() else {
            panic!("a pad is published");
        };
        assert_eq!((published.reference(), view), (pad.reference(), 0..7));
        assert_eq!(&bytes_of(&pad)[..7], b"payload");
        // The same memory as payload and destination, under two handles.
        let (source, told) = (world.other.0.open(&pad.descriptor()), world.other.0.open(&pad.descriptor()));
        sender.message().send_into(told.unwrap(), &source.unwrap()).unwrap();
        assert_eq!(&world.channel.receive().unwrap().into_bytes().unwrap()[..7], b"payload");
        let small = world.other.0.alloc(3).unwrap();
        let refused = sender.message().send_into(small, &b"payload"[..]).unwrap_err();
        assert_eq!(refused.error, Error::TooLarge { needed: 7, largest: 3 });
        drop(refused);
        pad.free().unwrap();
        assert_eq!(world.blocks(), (0, 0));
    });
}

#[test]
fn published_memory_stays_its_pools_and_what_was_freed_is_stale() {
    World::for_both("foreign-published", |world| {
        let (sender, pool) = (world.channel.sender(), &world.other.0);
        let published = world.memory(b"public").publish().unwrap();
        let other = pool.open(&published.descriptor()).unwrap();
        sender.send_published(published).unwrap();
        world.channel.receiver().try_pop().unwrap();
        assert_eq!(bytes_of(&other), b"public");
        let refused = sender.send_published(other.clone_view(0, 3).unwrap()).unwrap_err();
        assert!(matches!(refused.error, Error::Pool(_)) && refused.payload.is_some());
        sender.send_published(other).unwrap();
        let Content::Published { published, view } = world.channel.receive().unwrap().into_content() else {
            panic!("published memory was sent");
        };
        assert_eq!((view, published.is_original()), (0..6, true));
        let again = pool.open(&published.descriptor()).unwrap();
        sender.send_published(pool.open(&published.descriptor()).unwrap()).unwrap();
        published.free().unwrap();
        assert_eq!(world.channel.receive().err(), Some(Error::Stale));
        assert_eq!(sender.send_published(again).unwrap_err().error, Error::Stale);
        let frozen = world.memory(b"cold").freeze().unwrap();
        let refused = sender.send_published(pool.open(&frozen.descriptor()).unwrap()).unwrap_err();
        assert!(matches!(refused.error, Error::Pool(_)), "{refused:?}");
        frozen.free().unwrap();
        assert_eq!(world.blocks(), (0, 0));
    });
}

#[test]
fn frozen_memory_and_views_of_it_are_shared_from_any_pool() {
    World::for_both("foreign-frozen", |world| {
        let (sender, frozen) = (world.channel.sender(), world.memory(b"read by all").freeze().unwrap());
        (0..2).for_each(|_| sender.send_frozen(&frozen).unwrap());
        sender.send_frozen(&frozen.clone_view(5, 2).unwrap()).unwrap();
        let next = || match world.channel.receive().unwrap().into_content() {
            Content::Frozen(frozen) => frozen,
            other => panic!("{other:?}"),
        };
        let original = next();
        assert_eq!((bytes_of(&original), original.is_frozen()), (b"read by all".to_vec(), true));
        assert_eq!(world.channel.receive().unwrap().into_bytes().unwrap(), b"read by all");
        let view = next();
        assert_eq!((bytes_of(&view), view.is_original()), (b"by".to_vec(), false));
        assert!(view.free().is_err());
        original.free().unwrap();
        assert_eq!(world.blocks(), (0, 0));
    });
}

#[test]
fn typed_memory_of_another_pool_keeps_its_type_and_id() {
    let world = World::new("foreign-typed", 1024);
    let published = world.memory(b"named").publish_as(7, 9).unwrap();
    world.channel.sender().send_published(published).unwrap();
    let Content::Published { published, .. } = world.channel.receive().unwrap().into_content() else {
        panic!("published memory was sent");
    };
    assert_eq!((published.type_id(), published.id()), (Some(7), Some(9)));
    published.free().unwrap();
}

#[test]
fn a_name_that_fits_no_block_needs_memory_of_the_channels_pool() {
    let pool = TestPool::with("foreign-narrow", 64 << 10, |attributes| {
        attributes.page_size(4096).processes(4).lanes(8).channels(2)
    });
    let other = TestPool::new("foreign-narrow-other");
    let channel = Channel::create(&pool.0, &ChannelAttributes::new().block_size(48)).unwrap();
    let mut rest: Vec<_> = (0..).map_while(|_| pool.0.alloc(64).ok()).collect();
    let refused = channel.sender().try_send_allocation(other.0.alloc(9).unwrap()).unwrap_err();
    assert!(matches!(refused.error, Error::BufferPoolFull { .. }), "{}", refused.error);
    rest.clear();
    channel.send_allocation(refused.payload.unwrap()).unwrap();
    assert_eq!(allocation(channel.receive().unwrap()).len(), 9);
    assert_eq!((pool.blocks(), other.blocks()), (1, 0));
}

#[test]
fn a_send_that_fails_gives_memory_of_another_pool_back_as_it_was() {
    World::for_both("foreign-back", |world| {
        (0..4).for_each(|_| world.channel.send(b"full").unwrap());
        let sender = world.channel.sender();
        let refused = sender.try_send_allocation(world.memory(b"back")).unwrap_err();
        assert_eq!(refused.error, Error::Full);
        let refused = sender.send_allocation_until(refused.payload.unwrap(), Instant::now()).unwrap_err();
        assert_eq!((refused.error, world.blocks()), (Error::Timeout, (0, 1)));
        assert!(!world.other.0.usage().by_state.contains_key(&BlockState::Pool));
        drop(refused.payload);
        assert_eq!(world.blocks(), (0, 0));
    });
}

#[test]
fn a_destroyed_channel_frees_what_was_its_receivers_and_leaves_what_was_published() {
    World::for_both("foreign-destroyed", |world| {
        let published = world.memory(b"stays").publish().unwrap();
        let other = world.other.0.open(&published.descriptor()).unwrap();
        world.channel.sender().send_published(published).unwrap();
        world.channel.send_allocation(world.memory(b"goes")).unwrap();
        world.channel.send_allocation(world.memory(b"leased")).unwrap();
        let messages: Vec<_> = (0..3).map(|_| world.channel.lease().unwrap()).collect();
        drop(messages);
        world.channel.clone().destroy().unwrap();
        assert_eq!(world.blocks(), (0, 1));
        assert_eq!(bytes_of(&other), b"stays");
        other.free().unwrap();
    });
}

#[test]
fn memory_whose_pool_was_destroyed_is_gone_and_later_messages_are_received() {
    World::for_both("foreign-gone", |world| {
        world.channel.send_allocation(world.memory(b"lost")).unwrap();
        world.channel.send_allocation(world.memory(b"lost, too")).unwrap();
        world.channel.send(b"behind").unwrap();
        world.other.0.destroy().unwrap();
        assert_eq!(world.channel.receive().err(), Some(Error::MemoryGone));
        assert_eq!(world.channel.receiver().try_receive_to(&mut [0; 20][..]), Err(Error::MemoryGone));
        assert_eq!(world.channel.receive().unwrap().into_bytes().unwrap(), b"behind");
        assert_eq!(world.pool.blocks(), 1);
    });
}

#[test]
fn a_message_stays_for_others_where_this_process_cannot_reach_the_pool() {
    let pool = TestPool::new("foreign-rights");
    let (channel, sent, over) = (pool.channel(4), pool.channel(1), pool.channel(1));
    let receiver = channel.receiver();
    let mut lender = child("a_process_fills_a_pool_and_sends_from_it", &[&channel, &sent, &over]);
    sent.receiver().receive_until(soon()).unwrap();
    for _ in 0..2 {
        assert!(matches!(channel.receive().err(), Some(Error::MemoryUnreachable(_))));
        assert!(matches!(receiver.try_receive_into(&mut [0; 9]), Err(Error::MemoryUnreachable(_))));
        assert!(matches!(receiver.try_receive_to(&mut [0; 9][..]), Err(Error::MemoryUnreachable(_))));
        assert!(matches!(channel.lease().unwrap().bytes(), Err(Error::MemoryUnreachable(_))));
    }
    assert_eq!((channel.len(), receiver.try_peek().unwrap().len()), (Ok(1), 3));
    over.send(b"over to you").unwrap();
    assert!(lender.wait().unwrap().success());
    assert_eq!(channel.len(), Ok(0), "its sender could receive it");
}

#[test]
fn a_name_that_is_not_there_says_nothing_and_the_message_stays_until_it_is_popped() {
    const TEST: &str = "a_name_that_is_not_there_says_nothing_and_the_message_stays_until_it_is_popped";
    if let Some(channels) = as_child(TEST) {
        let receiver = channels[0].receiver();
        for _ in 0..2 {
            let refused = receiver.try_receive().err();
            assert!(matches!(refused, Some(Error::MemoryUnreachable(_))), "{refused:?}");
            assert!(matches!(receiver.try_receive_into(&mut [0; 9]), Err(Error::MemoryUnreachable(_))));
            assert!(matches!(receiver.try_receive_to(&mut [0; 9][..]), Err(Error::MemoryUnreachable(_))));
        }
        if channels[0].len() == Ok(2) {
            receiver.try_pop().unwrap();
            assert_eq!(channels[0].receive().unwrap().into_bytes().unwrap(), b"behind");
        }
        return;
    }
    for block_size in [1024, 64] {
        let pool = TestPool::new(&format!("foreign-nameless-{block_size}"));
        let other = Pool::create(&PoolAttributes::new(
            format!("test-unlinked-{block_size}-{}", std::process::id()),
            1 << 20,
        ))
        .unwrap();
        let attributes = ChannelAttributes::new().block_size(block_size).capacity(4);
        let channel = Channel::create(&pool.0, &attributes).unwrap();
        (0..2).for_each(|_| channel.send_allocation(other.alloc(7).unwrap()).unwrap());
        channel.send(b"behind").unwrap();
        // As it is to a process in another mount namespace.
        let (name, away) = (other.path().to_owned(), other.path().with_extension("away"));
        std::fs::rename(&name, &away).unwrap();
        assert!(child(TEST, &[&channel]).wait().unwrap().success());
        assert_eq!(channel.len(), Ok(3));
        assert_eq!(allocation(channel.receive().unwrap()).len(), 7);
        std::fs::rename(&away, &name).unwrap();
        other.destroy().unwrap();
        assert!(child(TEST, &[&channel]).wait().unwrap().success());
        assert_eq!((channel.len(), pool.blocks()), (Ok(0), 1));
    }
}

/// The other process of the test above, with a pool that says no: its table of processes is full.
#[test]
fn a_process_fills_a_pool_and_sends_from_it() {
    let Some(channels) = as_child("a_process_fills_a_pool_and_sends_from_it") else { return };
    let name = format!("test-full-{}", std::process::id());
    let full = Pool::create(&PoolAttributes::new(name, 1 << 20).processes(1)).unwrap();
    let mut memory = full.alloc(3).unwrap();
    memory.write(0, b"far").unwrap();
    assert!(channels[0].send_allocation(memory).is_ok());
    channels[1].send(b"sent").unwrap();
    channels[2].receiver().receive_until(soon()).unwrap();
    assert_eq!(channels[0].receive().unwrap().into_bytes().unwrap(), b"far");
    full.destroy().unwrap();
}

#[test]
fn a_subscription_and_a_stream_end_behind_memory_that_they_cannot_reach() {
    let pool = TestPool::new("foreign-subscribed");
    let (channel, sent, over) = (pool.channel(4), pool.channel(1), pool.channel(1));
    let mut lender = child("a_process_fills_a_pool_and_sends_from_it", &[&channel, &sent, &over]);
    sent.receiver().receive_until(soon()).unwrap();
    let (tell, told) = mpsc::channel();
    let subscription = channel.receiver().on_message(move |message| drop(tell.send(message.err()))).unwrap();
    assert!(matches!(told.recv().unwrap(), Some(Error::MemoryUnreachable(_))));
    assert!(told.recv().is_err(), "its thread ends, and the callback with it");
    let mut stream = subscription.stop().unwrap().into_stream();
    let mut context = Context::from_waker(Waker::noop());
    let refused = Pin::new(&mut stream).poll_next(&mut context);
    assert!(matches!(refused, Poll::Ready(Some(Err(Error::MemoryUnreachable(_))))), "{refused:?}");
    assert!(matches!(Pin::new(&mut stream).poll_next(&mut context), Poll::Ready(None)));
    assert_eq!((stream.is_terminated(), channel.len()), (true, Ok(1)));
    over.send(b"over to you").unwrap();
    assert!(lender.wait().unwrap().success());
}

#[test]
fn a_forked_child_that_cannot_join_the_pool_leaves_the_message_to_others() {
    let pool = TestPool::new("foreign-fork-full");
    let channel = pool.channel(4);
    let name = format!("test-fork-full-{}", std::process::id());
    let full = Pool::create(&PoolAttributes::new(name, 1 << 20).processes(1)).unwrap();
    channel.send_allocation(full.alloc(3).unwrap()).unwrap();
    // Then the channel has the pool attached, and the child has it, too.
    drop(allocation(channel.receive().unwrap()));
    channel.send_allocation(full.alloc(4).unwrap()).unwrap();
    let mut forked = forked::spawn(|| {
        let refused = channel.receiver().try_receive().err();
        assert!(matches!(refused, Some(Error::MemoryUnreachable(_))), "{refused:?}");
    })
    .unwrap();
    assert_eq!((forked.wait().unwrap(), channel.len()), (Outcome::Exited(0), Ok(1)));
    assert_eq!(allocation(channel.receive().unwrap()).len(), 4);
    full.destroy().unwrap();
}

#[test]
fn what_is_sent_behind_the_look_for_memory_of_other_pools_is_freed_when_its_sender_detaches() {
    for block_size in [1024, 64] {
        let world = World::new(&format!("foreign-behind-{block_size}"), block_size);
        world.channel.send_allocation(world.memory(b"goes")).unwrap();
        let (ring, _region) = world.ring();
        // As if it had been FILLING when the one who destroys looked for such messages.
        let World { channel, pool, other } = world;
        assert!(ring.destroy(pool.0.futex()));
        let me = pool.0.actor().unwrap().into();
        ring.drain(me, |block| panic!("{block:?} was freed without what it names")).unwrap();
        assert_eq!(ring.waiting(), Ok(1));
        drop(channel);
        assert_eq!((pool.blocks(), other.blocks()), (0, 0));
    }
}

#[test]
fn recovery_empties_a_destroyed_channel_of_names_that_it_cannot_follow() {
    const TEST: &str = "recovery_empties_a_destroyed_channel_of_names_that_it_cannot_follow";
    if as_child(TEST).is_some() {
        std::process::abort();
    }
    World::for_both("foreign-recovered", |world| {
        world.channel.send_allocation(world.memory(b"stays")).unwrap();
        world.channel.send(b"goes").unwrap();
        let mut dying = child(TEST, &[&world.channel]);
        assert_eq!(dying.wait().unwrap().signal(), Some(6));
        let (ring, _region) = world.ring();
        assert!(ring.destroy(world.pool.0.futex()));
        world.pool.0.recover();
        assert_eq!((ring.waiting(), world.blocks()), (Ok(0), (0, 1)));
    });
}

#[test]
fn damaged_names_are_told_and_the_message_behind_them_comes() {
    let world = World::new("foreign-damaged", 1024);
    let published = world.memory(b"whole").publish().unwrap();
    let (ring, region) = world.ring();
    let (slots_at, stride) = ring.slots_at();
    // Every word of head and name, overwritten in turn; four slots, used one after the other.
    let mut slot = 0;
    let named = 32 + world.other.0.descriptor().to_bytes().len() as u64;
    for at in (0..named).step_by(4) {
        world.channel.sender().send_published(world.other.0.open(&published.descriptor()).unwrap()).unwrap();
        let place = slots_at + stride * slot + 16 + at;
        slot = (slot + 1) % 4;
        let mut bytes = [0; 4];
        region.copy_out(place, &mut bytes).unwrap();
        region.copy_in(place, &bytes.map(|byte| !byte)).unwrap();
        let refused = world.channel.receive();
        let named = matches!(refused, Err(Error::Corrupt(_) | Error::Stale | Error::Pool(_)));
        assert!(named, "byte {at}: {refused:?}");
        assert_eq!(world.channel.len(), Ok(0), "byte {at}");
    }
    world.channel.send(b"behind").unwrap();
    assert_eq!(world.channel.receive().unwrap().into_bytes().unwrap(), b"behind");
    assert_eq!(bytes_of(&published), b"whole");
}

#[test]
fn a_process_that_never_knew_the_pool_attaches_it_by_receiving() {
    const TEST: &str = "a_process_that_never_knew_the_pool_attaches_it_by_receiving";
    if let Some(channels) = as_child(TEST) {
        for number in 0..40_u8 {
            let mut memory = allocation(channels[0].receiver().receive_until(soon()).unwrap());
            memory.write(0, &[number]).unwrap();
            channels[1].send_allocation(memory).unwrap();
        }
        return;
    }
    let (there, back) = (World::new("foreign-there", 1024), World::new("foreign-round", 64));
    let mut echo = child(TEST, &[&there.channel, &back.channel]);
    for number in 0..40_u8 {
        there.channel.send_allocation(there.memory(&[!number; 3000])).unwrap();
        let memory = allocation(back.channel.receiver().receive_until(soon()).unwrap());
        let mut bytes = [0; 2];
        memory.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [number, !number]);
    }
    assert!(echo.wait().unwrap().success());
    assert_eq!(there.blocks(), (0, 0));
    there.other.assert_verified();
}

#[test]
fn a_forked_child_receives_memory_of_pools_that_its_parent_had_attached() {
    let world = World::new("foreign-fork", 1024);
    world.channel.send_allocation(world.memory(b"before")).unwrap();
    drop(allocation(world.channel.receive().unwrap()));
    let parents = world.memory(b"parents");
    world.channel.send_allocation(world.memory(b"for the child")).unwrap();
    let mut forked = forked::spawn(|| {
        // What is the parent's cannot be sent, nor does it go away here.
        let refused = world.channel.send_allocation(parents).unwrap_err();
        assert_eq!(refused.error, Error::Forked);
        drop(refused);
        let message = world.channel.receive().unwrap();
        world.channel.send_allocation(allocation(message)).unwrap();
    })
    .unwrap();
    assert_eq!(forked.wait().unwrap(), Outcome::Exited(0));
    let received = world.channel.receive().unwrap();
    assert_eq!(received.into_bytes().unwrap(), b"for the child");
}

#[test]
fn what_a_dead_receiver_had_taken_is_left_out_and_what_it_held_comes_again() {
    const TEST: &str = "what_a_dead_receiver_had_taken_is_left_out_and_what_it_held_comes_again";
    if let Some(channels) = as_child(TEST) {
        let _lease = channels[0].lease().unwrap();
        let second = channels[0].lease().unwrap();
        assert_eq!(second.bytes().unwrap(), b"second");
        std::process::abort();
    }
    World::for_both("foreign-dead", |world| {
        world.channel.send_allocation(world.memory(b"first")).unwrap();
        world.channel.send_allocation(world.memory(b"second")).unwrap();
        let mut dying = child(TEST, &[&world.channel]);
        assert_eq!(dying.wait().unwrap().signal(), Some(6));
        world.pool.0.recover();
        // As if it had died behind the change of the first one's word.
        let first = world.other.0.usage();
        assert_eq!(first.by_state[&BlockState::Pool].blocks, 2);
        let (ring, _region) = world.ring();
        let taken = (0..4).find(|slot| ring.reference(*slot).unwrap().view_len == 5).unwrap();
        world.other.0.free_buffer(world.named_in(&ring, taken)).unwrap();
        let message = world.channel.receive().unwrap();
        assert!(message.is_redelivered());
        assert_eq!(message.into_bytes().unwrap(), b"second");
        assert_eq!((world.channel.len(), world.blocks()), (Ok(0), (0, 0)));
    });
}
