//! Locks, quiesce, state, attributes and relocation, between processes.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use weyr_channel::{Channel, ChannelAttributes, Content, Error, PollEvents, WaitMode};
use weyr_managed::{LockKind, Pool, PoolAttributes, PoolType};
use weyr_sys::mapping::Mapping;

use super::pools::{TestPool, as_child, child, made_of};
use super::{forever, kill_a_leaseholder, lease_all_and_wait, soon};

/// So soon that nobody else does anything by then that this process does not wait for.
fn at_once() -> Instant {
    Instant::now() + Duration::from_millis(1)
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

#[test]
fn senders_elsewhere_wait_for_a_write_lock_and_are_seen_to() {
    const TEST: &str = "locked::senders_elsewhere_wait_for_a_write_lock_and_are_seen_to";
    if let Some(channels) = as_child(TEST) {
        assert!(matches!(channels[0].try_send(b"now"), Err(Error::WriteLocked { .. })));
        let refused = channels[0].sender().send_until(b"soon", at_once());
        assert_eq!(refused, Err(Error::Timeout));
        assert!(matches!(channels[0].try_write_lock(), Err(Error::WriteLocked { .. })));
        channels[1].send(b"refused").unwrap();
        channels[0].sender().with_wait_mode(WaitMode::Idle).send(b"later").unwrap();
        return;
    }
    let pool = TestPool::new("write-lock");
    let (work, said) = (pool.channel(2), pool.channel(1));
    work.send(b"first").unwrap();
    let lock = work.write_lock().unwrap();
    let mut other = child(TEST, &[&work, &said]);
    said.receive_until(soon()).unwrap();
    until(|| work.state().unwrap().blocked_senders == 1);
    assert_eq!(work.receive().unwrap().into_bytes().unwrap(), b"first");
    let state = work.state().unwrap();
    assert_eq!((state.depth, state.available, state.read_locked_by), (0, 2, None));
    assert!(state.write_locked_by.is_some() && !state.quiesced);
    lock.unlock().unwrap();
    assert_eq!(work.receive_until(soon()).unwrap().into_bytes().unwrap(), b"later");
    assert!(other.wait().unwrap().success());
    let state = work.state().unwrap();
    assert_eq!((state.blocked_senders, state.write_locked_by), (0, None));
}

#[test]
fn a_killed_holders_lock_falls_and_a_quiesce_does_not() {
    const TEST: &str = "locked::a_killed_holders_lock_falls_and_a_quiesce_does_not";
    if let Some(channels) = as_child(TEST) {
        let locks = (channels[0].write_lock().unwrap(), channels[0].read_lock().unwrap());
        channels[2].quiesce().unwrap();
        channels[1].send(b"done").unwrap();
        std::mem::forget(locks);
        forever();
    }
    for recovered in [true, false] {
        let pool = TestPool::new("fallen");
        let (work, said, rest) = (pool.channel(2), pool.channel(1), pool.channel(2));
        rest.send(b"kept").unwrap();
        let mut dying = child(TEST, &[&work, &said, &rest]);
        said.receive_until(soon()).unwrap();
        assert!(matches!(work.try_send(b"x"), Err(Error::WriteLocked { .. })));
        assert!(matches!(work.try_receive(), Err(Error::ReadLocked { .. })));
        assert!(matches!(work.receiver().try_peek(), Err(Error::ReadLocked { .. })));
        let waiting = work.clone();
        let sender = std::thread::spawn(move || waiting.sender().with_wait_mode(WaitMode::Idle).send(b"x"));
        dying.kill().unwrap();
        dying.wait().unwrap();
        if recovered {
            pool.0.recover();
            assert_eq!(work.state().unwrap().read_locked_by, None);
        }
        // Else whoever is hindered breaks it.
        assert_eq!(work.receive_until(soon()).unwrap().into_bytes().unwrap(), b"x");
        sender.join().unwrap().unwrap();
        pool.0.recover();
        assert_eq!((rest.try_receive().unwrap_err(), rest.is_quiesced()), (Error::Quiesced, true));
        rest.unquiesce().unwrap();
        assert_eq!(rest.receive().unwrap().into_bytes().unwrap(), b"kept");
        drop((work, said, rest));
        pool.assert_verified();
    }
}

#[test]
fn a_stopped_leaseholder_makes_read_lock_and_quiesce_fail_by_name() {
    const TEST: &str = "locked::a_stopped_leaseholder_makes_read_lock_and_quiesce_fail_by_name";
    if let Some(channels) = as_child(TEST) {
        lease_all_and_wait(&channels);
    }
    let pool = TestPool::new("stopped");
    let (work, said) = (pool.channel(2), pool.channel(1));
    work.send(b"leased").unwrap();
    let mut dying = child(TEST, &[&work, &said]);
    said.receive_until(soon()).unwrap();
    let pid = Pid::from_child(&dying);
    kill_process(pid, Signal::STOP).unwrap();
    let in_hands = |outcome: Result<(), Error>| matches!(outcome, Err(Error::InHands { .. }));
    assert!(in_hands(work.try_read_lock().map(drop)) && in_hands(work.read_lock_until(at_once()).map(drop)));
    assert!(in_hands(work.try_quiesce()) && in_hands(work.quiesce_until(at_once())));
    assert!(!work.is_quiesced() && work.state().unwrap().in_hands == 1);
    drop(work.try_write_lock().unwrap());
    work.send(b"next").unwrap();
    dying.kill().unwrap();
    dying.wait().unwrap();
    let lock = work.read_lock_until(soon()).unwrap();
    assert_eq!(work.state().unwrap().depth, 2);
    drop(lock);
    work.quiesce_until(soon()).unwrap();
    work.unquiesce().unwrap();
    assert!(work.receive().unwrap().is_redelivered());
    assert_eq!(work.receive().unwrap().into_bytes().unwrap(), b"next");
}

#[test]
fn quiesce_and_locks_refuse_what_the_document_says() {
    let pool = TestPool::new("refusals");
    let channel = pool.channel(2);
    assert_eq!(channel.unquiesce(), Err(Error::NotQuiesced));
    let (write, read) = (channel.write_lock().unwrap(), channel.try_read_lock().unwrap());
    channel.quiesce().unwrap();
    channel.quiesce().unwrap();
    let refused = write.unlock().unwrap_err();
    assert_eq!(refused.error, Error::Quiesced);
    let still = refused.lock;
    assert_eq!(read.unlock().unwrap_err().error, Error::Quiesced, "and it is released by going");
    assert_eq!(channel.try_write_lock().unwrap_err(), Error::Quiesced);
    let attributes = channel.attributes().unwrap();
    assert_eq!(channel.set_attributes(&attributes), Err(Error::Quiesced));
    assert_eq!(channel.receiver().try_peek().unwrap_err(), Error::Quiesced);
    let state = channel.state().unwrap();
    assert_eq!((state.read_locked_by, state.quiesced), (None, true));
    assert!(state.write_locked_by.is_some());
    channel.unquiesce().unwrap();
    assert!(matches!(channel.try_send(b"x"), Err(Error::WriteLocked { .. })));
    still.unlock().unwrap();
    channel.send(b"x").unwrap();
    assert!(channel.set_attributes(&attributes).is_ok());
    let lock = channel.write_lock().unwrap();
    channel.clone().destroy().unwrap();
    assert_eq!(channel.try_send(b"x"), Err(Error::Destroyed));
    drop(lock);
}

#[test]
fn pollers_see_no_room_behind_a_write_lock_and_no_message_behind_a_read_lock() {
    let pool = TestPool::new("polled");
    let channel = Arc::new(pool.channel(2));
    channel.send(b"x").unwrap();
    let both = PollEvents::IN | PollEvents::OUT;
    let write = channel.write_lock().unwrap();
    assert_eq!(channel.poller().poll_until(both, at_once()), Ok(PollEvents::IN));
    let read = channel.read_lock().unwrap();
    assert_eq!(channel.poller().poll_until(both, at_once()), Err(Error::Timeout));
    let other = Arc::clone(&channel);
    let polling = std::thread::spawn(move || other.poller().poll_until(PollEvents::OUT, soon()));
    drop(write);
    assert_eq!(polling.join().unwrap(), Ok(PollEvents::OUT));
    drop(read);
    channel.quiesce().unwrap();
    assert_eq!(channel.poller().poll_until(both, at_once()), Err(Error::Timeout));
    channel.unquiesce().unwrap();
    assert_eq!(channel.poller().poll_until(both, soon()), Ok(both));
}

#[test]
fn no_message_enters_or_leaves_behind_a_lock_while_threads_send_and_receive() {
    let pool = TestPool::new("hammered");
    for levels in [1, 2] {
        let attributes = ChannelAttributes::new().block_size(64).capacity(3).priority_levels(levels);
        let channel = Channel::create(&pool.0, &attributes).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (sender, receiver) = (channel.sender(), channel.receiver());
                scope.spawn(move || while sender.send(&[7; 40]).is_ok() {});
                scope.spawn(move || while receiver.receive().is_ok() {});
            }
            for round in 0..300 {
                let both = if round % 2 == 0 {
                    (channel.write_lock().unwrap(), channel.read_lock().unwrap())
                } else {
                    (channel.write_lock_until(soon()).unwrap(), channel.read_lock_until(soon()).unwrap())
                };
                let state = channel.state().unwrap();
                // A claim that came too late is given up without a message; one that took gives it back.
                let before = state.depth + state.in_hands;
                (0..50).for_each(|_| std::thread::yield_now());
                let state = channel.state().unwrap();
                assert_eq!(state.depth + state.in_hands, before, "round {round}");
                drop(both);
                if round % 3 == 0 {
                    channel.quiesce_until(soon()).unwrap();
                    channel.unquiesce().unwrap();
                }
            }
            channel.clone().destroy().unwrap();
        });
    }
}

#[test]
fn the_state_counts_messages_memory_and_sleepers() {
    let pool = TestPool::new("state");
    let attributes = ChannelAttributes::new().block_size(64).capacity(4).side_loading(true);
    let channel = Channel::create(&pool.0, &attributes).unwrap();
    let empty = channel.state().unwrap();
    assert_eq!(empty.memory.channel_bytes, attributes.bytes(pool.0.process_limit()).unwrap());
    assert_eq!((empty.depth, empty.available, empty.memory.total()), (0, 4, empty.memory.channel_bytes));
    let other = channel.clone();
    let receiving = std::thread::spawn(move || other.receiver().with_wait_mode(WaitMode::Idle).receive());
    until(|| channel.state().unwrap().blocked_receivers == 1);
    channel.send(b"to a sleeper").unwrap();
    drop(receiving.join().unwrap().unwrap());
    assert_eq!(channel.state().unwrap().blocked_receivers, 0);
    let full = pool.channel(1);
    full.send(b"no room").unwrap();
    let other = full.clone();
    let sending = std::thread::spawn(move || other.sender().with_wait_mode(WaitMode::Idle).send(b"later"));
    until(|| full.state().unwrap().blocked_senders == 1);
    drop(full.receive().unwrap());
    sending.join().unwrap().unwrap();
    assert_eq!((full.state().unwrap().blocked_senders, full.state().unwrap().blocked_receivers), (0, 0));
    full.destroy().unwrap();

    channel.send(&[1; 10]).unwrap();
    channel.send(&[2; 1000]).unwrap();
    channel.send_allocation(pool.0.alloc(5000).unwrap()).unwrap();
    let lease = channel.receiver().try_lease().unwrap();
    let state = channel.state().unwrap();
    assert_eq!((state.depth, state.in_hands, state.available), (2, 1, 1));
    assert_eq!(state.processes.into_iter().collect::<Vec<_>>(), [(pool.0.actor().unwrap().process, 3)]);
    let memory = state.memory;
    assert_eq!((memory.inline_bytes, memory.side_loaded_bytes, memory.allocation_bytes), (10, 1000, 5000));
    assert_eq!(memory.total(), memory.channel_bytes + 6000);
    lease.done().unwrap();
    channel.clone().destroy().unwrap();
    assert!(channel.state().unwrap().destroyed);
}

static OTHER: std::sync::OnceLock<weyr_managed::PoolDescriptor> = std::sync::OnceLock::new();

#[test]
fn attributes_are_given_back_and_those_that_are_settled_refused_by_name() {
    let (pool, buffers) = (TestPool::new("attributes"), TestPool::with("buffers", 1 << 20, |shape| shape));
    let asked = ChannelAttributes::new()
        .block_size(100)
        .capacity(1)
        .priority_levels(3)
        .message_attributes(true)
        .exclusive(false)
        .lock_kind(LockKind::Greedy)
        .max_spinners(9);
    let asked = if made_of::chosen().is_shared() { asked.buffer_pool(&buffers.0) } else { asked };
    let channel = Channel::create_named(&pool.0, "all", &asked).unwrap();
    let again = Channel::create_named(&pool.0, "all", &ChannelAttributes::new().exclusive(false)).unwrap();
    assert_eq!(again.descriptor(), channel.descriptor());
    let taken = Channel::create_named(&pool.0, "all", &ChannelAttributes::new());
    assert!(matches!(taken, Err(Error::NameTaken { .. })));

    let found = again.attributes().unwrap();
    assert_eq!((found.name.as_deref(), found.creator), (Some("all"), std::process::id()));
    assert_eq!((found.block_size, found.capacity, found.priority_levels), (100, 1, 3));
    assert_eq!((found.urgent_capacity, found.message_attributes, found.exclusive), (1, true, false));
    assert_eq!((found.lock_kind, found.max_spinners), (LockKind::Greedy, 9));
    assert_eq!(found.buffer_pool.is_some(), found.side_loading);

    let mut ignored = found.clone();
    (ignored.creator, ignored.exclusive, ignored.lock_kind) = (1, true, LockKind::Fifo);
    ignored.max_spinners = 10;
    assert_eq!(channel.set_attributes(&ignored), Ok(found.clone()));
    let now = again.attributes().unwrap();
    assert_eq!((now.creator, now.exclusive, now.lock_kind), (found.creator, false, LockKind::Greedy));
    assert_eq!(now.max_spinners, 10);
    OTHER.get_or_init(|| pool.0.descriptor());
    type Change = fn(&mut weyr_channel::CurrentAttributes);
    let settled: [(&str, Change); 9] = [
        ("name", |new| new.name = None),
        ("capacity", |new| new.capacity = 2),
        ("block size", |new| new.block_size = 200),
        ("priority levels", |new| new.priority_levels = 1),
        ("urgent capacity", |new| new.urgent_capacity = 2),
        ("message attributes", |new| new.message_attributes = false),
        ("flow control", |new| new.flow_control = weyr_channel::FlowControl::None),
        ("side-loading", |new| new.side_loading = !new.side_loading),
        ("buffer pool", |new| {
            new.buffer_pool = new.buffer_pool.is_none().then(|| OTHER.get().unwrap().clone())
        }),
    ];
    for (attribute, change) in settled {
        let mut new = now.clone();
        change(&mut new);
        new.max_spinners = 11;
        assert_eq!(channel.set_attributes(&new), Err(Error::FixedAttribute { attribute }));
    }
    assert_eq!(channel.attributes().unwrap(), now);
    assert_eq!(channel.destroy(), Ok(()));
    assert_eq!(again.set_attributes(&now), Err(Error::Destroyed));
}

fn works(channel: &Channel) {
    channel.send(b"depth one").unwrap();
    assert_eq!(channel.try_send(b"too much"), Err(Error::Full));
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"depth one");
    drop(channel.write_lock().unwrap());
    channel.quiesce().unwrap();
    channel.unquiesce().unwrap();
}

#[test]
fn a_channel_of_depth_one_lies_in_private_pools_in_files_and_in_any_allocation() {
    let attributes = ChannelAttributes::new().block_size(64).capacity(1);
    let directory = tempfile::tempdir().unwrap();
    let named = |kind: PoolType, name: &str| PoolAttributes::new(name, 1 << 20).pool_type(kind);
    let memory = Arc::new(Mapping::anonymous(4 << 20).unwrap());
    let pools = [
        Pool::create(&named(PoolType::Private, "private")).unwrap(),
        Pool::create(&named(PoolType::File, "file").directory(directory.path())).unwrap(),
        Pool::create_in(memory, &PoolAttributes::new("lent", 1 << 20)).unwrap(),
    ];
    for pool in pools {
        let channel = Channel::create(&pool, &attributes).unwrap();
        assert_eq!(channel.pool().uuid(), pool.uuid());
        works(&channel);
        let needed = attributes.bytes(pool.process_limit()).unwrap();
        for allocation in [pool.alloc(needed).unwrap(), pool.alloc_aligned(2 * needed, 4096).unwrap()] {
            works(&Channel::create_in(&pool, allocation, &attributes).unwrap());
        }
        let small = Channel::create_in(&pool, pool.alloc(needed / 2).unwrap(), &attributes);
        assert!(matches!(small, Err(Error::TooLarge { .. })));
        channel.destroy().unwrap();
        pool.destroy().unwrap();
    }
}

const MOVED: &str = "WEYR_TEST_MOVED";

/// What lies in the channel, in this order.
fn fill(pool: &Pool, channel: &Channel) {
    channel.send(b"inline").unwrap();
    channel.send(&[7; 1000]).unwrap();
    let mut memory = pool.alloc(5000).unwrap();
    memory.write(4996, b"last").unwrap();
    channel.send_allocation(memory).unwrap();
    let mut frozen = pool.alloc(300).unwrap();
    frozen.write(0, b"ice").unwrap();
    channel.sender().send_frozen(&frozen.freeze().unwrap()).unwrap();
    channel.send(b"end").unwrap();
}

fn assert_filled(channel: &Channel) {
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"inline");
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), [7; 1000]);
    let mut bytes = [0; 4];
    channel.receive().unwrap().into_allocation().unwrap().read(4996, &mut bytes).unwrap();
    assert_eq!(&bytes, b"last");
    let Content::Frozen(frozen) = channel.receive().unwrap().into_content() else { panic!("not frozen") };
    frozen.read(0, &mut bytes[..3]).unwrap();
    assert_eq!(&bytes[..3], b"ice");
    let end = channel.receive().unwrap();
    assert!(!end.is_redelivered());
    assert_eq!(end.into_bytes().unwrap(), b"end");
    assert_eq!(channel.try_receive().unwrap_err(), Error::Empty);
}

#[test]
fn a_quiesced_channel_is_copied_and_delivers_in_another_process_and_place() {
    const TEST: &str = "locked::a_quiesced_channel_is_copied_and_delivers_in_another_process_and_place";
    if let Ok(path) = env::var(MOVED) {
        // Mapped first, so that the copy cannot lie where the original lay.
        let _elsewhere = Mapping::anonymous(64 << 20).unwrap();
        let pool = Pool::attach_path(&PathBuf::from(path)).unwrap();
        let channel = Channel::attach_named(&pool, "moved").unwrap();
        assert_eq!(channel.try_receive().unwrap_err(), Error::Quiesced);
        assert!(matches!(channel.try_write_lock(), Err(Error::Quiesced)) && channel.is_quiesced());
        channel.unquiesce().unwrap();
        assert_filled(&channel);
        channel.send(b"it goes on").unwrap();
        assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"it goes on");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let attributes = PoolAttributes::new("original", 4 << 20).pool_type(PoolType::File);
    let pool = Pool::create(&attributes.directory(directory.path())).unwrap();
    let attributes = ChannelAttributes::new().block_size(64).capacity(5).side_loading(true);
    let channel = Channel::create_named(&pool, "moved", &attributes).unwrap();
    // Not at the start of the ring.
    (0..3).for_each(|_| {
        channel.send(b"before").unwrap();
        channel.receive().unwrap();
    });
    fill(&pool, &channel);
    channel.quiesce().unwrap();
    assert!(channel.is_quiesced());
    assert!(channel.receiver().try_lease().is_err());
    let path = pool.path().to_owned();
    drop((channel, pool));
    let copy = Pool::inspect(&path).unwrap().copy_to(directory.path(), "copy").unwrap();
    let moved = |path: &PathBuf| {
        let mut other = Command::new(env::current_exe().unwrap())
            .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
            .env(MOVED, path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(other.wait().unwrap().success());
    };
    moved(&copy);
    // What the copy's users did is nothing to the original.
    let (original, again) = (Pool::attach_path(&path).unwrap(), Pool::attach_path(&copy).unwrap());
    assert!(original.region().address() != again.region().address());
    let channel = Channel::attach_named(&original, "moved").unwrap();
    channel.unquiesce().unwrap();
    assert_filled(&channel);
    assert_eq!(Channel::attach_named(&again, "moved").unwrap().try_receive().unwrap_err(), Error::Empty);
    assert!(original.verify(weyr_managed::Mode::Online).holds());
}

/// Its holder died, and is nobody in the copy.
#[test]
fn a_copy_with_the_lock_of_somebody_else_in_it_is_free() {
    const TEST: &str = "locked::a_copy_with_the_lock_of_somebody_else_in_it_is_free";
    if let Some(channels) = as_child(TEST) {
        std::mem::forget(channels[0].write_lock().unwrap());
        lease_all_and_wait(&channels);
    }
    let directory = tempfile::tempdir().unwrap();
    let attributes = PoolAttributes::new("locked", 4 << 20).pool_type(PoolType::File);
    let pool = Pool::create(&attributes.directory(directory.path())).unwrap();
    let shape = ChannelAttributes::new().block_size(64).capacity(2);
    let work = Channel::create_named(&pool, "work", &shape).unwrap();
    let said = Channel::create(&pool, &shape).unwrap();
    work.send(b"leased").unwrap();
    kill_a_leaseholder(TEST, &work, &said);
    let path = pool.path().to_owned();
    drop((work, said, pool));
    let copy = Pool::inspect(&path).unwrap().copy_to(directory.path(), "copy").unwrap();
    let pool = Pool::attach_path(&copy).unwrap();
    let work = Channel::attach_named(&pool, "work").unwrap();
    work.sender().send_until(b"next", soon()).unwrap();
    assert!(work.receive_until(soon()).unwrap().is_redelivered());
    assert_eq!(work.receive().unwrap().into_bytes().unwrap(), b"next");
}
