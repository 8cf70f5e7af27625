//! Barriers and semaphores, among threads and among processes, some of which are killed.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::time::{Duration, Instant};

use pools::{TestPool, as_child, child};
use weyr_atomic::{AtomicU64, Ordering};
use weyr_channel::{
    Barrier, Broken, Channel, ChannelSet, Error, Notification, PollEvents, Semaphore, WaitMode,
};
use weyr_kill::Outcome;
use weyr_managed::Pool;

const MODES: [WaitMode; 3] = [WaitMode::Adaptive, WaitMode::Idle, WaitMode::Spin];

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn broken(why: Broken) -> Result<u32, Error> {
    Err(Error::BarrierBroken { why })
}

fn until(is_it: impl Fn() -> bool) {
    let late = soon();
    while !is_it() {
        assert!(Instant::now() < late, "it does not come to be");
        std::thread::yield_now();
    }
}

/// The barrier that a channel of a child's is.
fn barrier_of(channel: &Channel) -> Barrier {
    Barrier::attach_in(channel.pool(), &channel.descriptor()).unwrap()
}

fn channel_of(barrier: &Barrier, pool: &TestPool) -> Channel {
    Channel::attach_in(&pool.0, &barrier.descriptor()).unwrap()
}

#[test]
fn nobody_passes_before_all_have_come_and_each_has_a_number_of_its_own() {
    const PARTIES: u64 = 3;
    let pool = TestPool::new("barrier-rounds");
    for mode in MODES {
        let barrier = Barrier::create(&pool.0, PARTIES as u32).unwrap().with_wait_mode(mode);
        let (came, numbers) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..PARTIES {
                let barrier = barrier.clone();
                let (came, numbers) = (&came, &numbers);
                scope.spawn(move || {
                    for round in 1..=300 {
                        came.fetch_add(1, Ordering::SeqCst);
                        let number = barrier.wait_until(soon()).unwrap();
                        assert!(came.load(Ordering::SeqCst) >= round * PARTIES, "one passed too early");
                        numbers.fetch_add(1 << (20 * number), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(numbers.load(Ordering::SeqCst), 300 | 300 << 20 | 300 << 40, "{mode:?}");
        assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
        barrier.destroy().unwrap();
    }
    assert_eq!(pool.blocks(), 0);
}

#[test]
fn processes_wait_for_each_other() {
    const TEST: &str = "processes_wait_for_each_other";
    if let Some(channels) = as_child(TEST) {
        let barrier = barrier_of(&channels[0]);
        for round in 0..100_u64 {
            barrier.wait_until(soon()).unwrap();
            channels[1].send(&round.to_le_bytes()).unwrap();
            barrier.wait_until(soon()).unwrap();
        }
        return;
    }
    let pool = TestPool::new("barrier-processes");
    let (barrier, said) = (Barrier::create(&pool.0, 3).unwrap(), pool.channel(8));
    let channel = channel_of(&barrier, &pool);
    let mut children = [(); 2].map(|()| child(TEST, &[&channel, &said]));
    until(|| barrier.waiting() == 2);
    for round in 0..100_u64 {
        assert!(said.is_empty().unwrap(), "one has passed before this one came");
        barrier.wait().unwrap();
        for _ in 0..2 {
            let said = said.receive_until(soon()).unwrap().into_bytes().unwrap();
            assert_eq!(said, round.to_le_bytes());
        }
        barrier.wait_until(soon()).unwrap();
    }
    children.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    drop((channel, said));
    pool.assert_verified();
}

#[test]
fn a_party_that_is_killed_while_it_waits_breaks_the_barrier_and_all_are_told() {
    const TEST: &str = "a_party_that_is_killed_while_it_waits_breaks_the_barrier_and_all_are_told";
    if let Some(channels) = as_child(TEST) {
        let passed = barrier_of(&channels[0]).wait();
        channels[1].send(if passed.is_ok() { b"passed" } else { b"broken" }).unwrap();
        return;
    }
    let pool = TestPool::new("barrier-killed");
    for mode in MODES {
        let barrier = Barrier::create(&pool.0, 4).unwrap().with_wait_mode(mode);
        let (channel, said) = (channel_of(&barrier, &pool), pool.channel(4));
        let mut dying = child(TEST, &[&channel, &said]);
        let mut other = child(TEST, &[&channel, &said]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| barrier.wait_until(soon()));
            until(|| barrier.waiting() == 3);
            dying.kill().unwrap();
            dying.wait().unwrap();
            assert_eq!(waiting.join().unwrap(), broken(Broken::Died), "{mode:?}");
        });
        assert_eq!(said.receive_until(soon()).unwrap().into_bytes().unwrap(), b"broken");
        assert!(other.wait().unwrap().success());
        assert_eq!((barrier.is_broken(), barrier.wait()), (true, broken(Broken::Died)));

        barrier.reset();
        assert_eq!((barrier.is_broken(), barrier.waiting()), (false, 0));
        let mut others = [(); 3].map(|()| child(TEST, &[&channel, &said]));
        assert!(barrier.wait_until(soon()).is_ok());
        others.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
        (0..3).for_each(|_| assert_eq!(said.receive().unwrap().into_bytes().unwrap(), b"passed"));
        drop(channel);
        barrier.destroy().unwrap();
        said.destroy().unwrap();
    }
    pool.0.recover();
    assert_eq!(pool.blocks(), 0);
    pool.assert_verified();
}

#[test]
fn one_that_runs_out_of_time_breaks_the_barrier_for_the_others() {
    let pool = TestPool::new("barrier-time");
    let barrier = Barrier::create(&pool.0, 3).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| barrier.wait_until(soon()));
        until(|| barrier.waiting() == 1);
        assert_eq!(barrier.wait_until(Instant::now()), Err(Error::Timeout));
        assert_eq!(waiting.join().unwrap(), broken(Broken::TimedOut));
    });
    barrier.reset();
    let at_once = barrier.clone().with_timeout(Duration::ZERO);
    assert_eq!(at_once.wait(), Err(Error::Timeout));
    assert_eq!(at_once.wait(), broken(Broken::TimedOut));
    let alone = Barrier::create(&pool.0, 1).unwrap().with_timeout(Duration::ZERO);
    assert_eq!([alone.wait(), alone.wait()], [Ok(0), Ok(0)], "all have come at once");
}

#[test]
fn those_who_wait_are_aborted_reset_released_and_destroyed() {
    let pool = TestPool::new("barrier-ends");
    type End = fn(&Barrier);
    let ends: [(End, Result<u32, Error>); 4] = [
        (|barrier| assert!(barrier.abort() && !barrier.abort()), broken(Broken::Aborted)),
        (Barrier::reset, broken(Broken::Reset)),
        (|barrier| assert!(barrier.release()), Ok(0)),
        (|barrier| barrier.clone().destroy().unwrap(), Err(Error::Destroyed)),
    ];
    for (mode, (end, expected)) in MODES.into_iter().flat_map(|mode| ends.clone().map(|end| (mode, end))) {
        let barrier = Barrier::create(&pool.0, 3).unwrap().with_wait_mode(mode);
        std::thread::scope(|scope| {
            let waiting = [(); 2].map(|()| {
                let barrier = barrier.clone();
                scope.spawn(move || barrier.wait_until(soon()))
            });
            until(|| barrier.waiting() == 2);
            assert!(!barrier.is_broken());
            end(&barrier);
            assert_eq!(barrier.is_broken(), expected == broken(Broken::Aborted));
            for waited in waiting.map(|thread| thread.join().unwrap()) {
                assert_eq!(waited.map(|_| 0), expected, "{mode:?}");
            }
        });
        if expected == broken(Broken::Aborted) {
            assert_eq!(barrier.wait(), broken(Broken::Aborted));
            assert!(!barrier.release(), "what is broken lets nobody go");
        }
        let _destroyed_before = barrier.destroy();
    }
    assert_eq!(pool.blocks(), 0);
}

#[test]
fn a_forked_child_is_a_party_through_its_parents_handle() {
    let pool = TestPool::new("barrier-forked");
    let barrier = Barrier::create(&pool.0, 2).unwrap();
    let mut child = weyr_kill::child::spawn(|| assert!(barrier.wait_until(soon()).is_ok())).unwrap();
    barrier.wait_until(soon()).unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    barrier.destroy().unwrap();
    pool.0.recover();
    assert_eq!(pool.blocks(), 0);
}

#[test]
fn only_what_is_one_is_attached_as_one() {
    let pool = TestPool::new("coordination-kinds");
    let (barrier, semaphore) =
        (Barrier::create(&pool.0, 2).unwrap(), Semaphore::create(&pool.0, 2, 1).unwrap());
    let channel = pool.channel(1);
    for descriptor in [channel.descriptor(), semaphore.descriptor()] {
        assert_eq!(Barrier::attach(&descriptor).err(), Some(Error::NotABarrier));
    }
    for descriptor in [channel.descriptor(), barrier.descriptor()] {
        assert_eq!(Semaphore::attach(&descriptor).err(), Some(Error::NotASemaphore));
    }
    assert_eq!(Barrier::attach(&barrier.descriptor()).unwrap().parties(), 2);
    for parties in [0, 65_536] {
        let refused = Barrier::create(&pool.0, parties).err();
        assert_eq!(refused, Some(Error::InvalidParties { parties, largest: 65_535 }));
    }
    let refused = Semaphore::create(&pool.0, 2, 3).err();
    assert_eq!(refused, Some(Error::InvalidCapacity { messages: 3, largest: 2 }));
}

#[test]
fn units_are_taken_and_given_within_bounds() {
    let pool = TestPool::new("semaphore-units");
    let semaphore = Semaphore::create(&pool.0, 3, 2).unwrap();
    assert_eq!((semaphore.value(), semaphore.capacity()), (Ok(2), 3));
    semaphore.try_give().unwrap();
    assert_eq!(semaphore.try_give(), Err(Error::Full));
    assert_eq!(semaphore.give_until(Instant::now()), Err(Error::Timeout));
    (0..3).for_each(|_| semaphore.take_until(soon()).unwrap());
    semaphore.wait_for_zero().unwrap();
    assert_eq!(semaphore.try_take(), Err(Error::Empty));
    assert_eq!(semaphore.clone().with_timeout(Duration::ZERO).take(), Err(Error::Empty));
    assert!(matches!(semaphore.try_acquire(), Err(Error::Empty)));
    semaphore.give().unwrap();
    assert_eq!(semaphore.wait_for_zero_until(Instant::now()), Err(Error::Timeout));
    assert!(semaphore.clone().with_timeout(Duration::ZERO).wait_for_zero().is_err(), "a unit is there");

    let permit = semaphore.acquire().unwrap();
    assert_eq!(semaphore.value(), Ok(0));
    // Its unit counts: two more there is room for.
    semaphore.give_until(soon()).unwrap();
    semaphore.give_until(soon()).unwrap();
    assert_eq!(semaphore.give_until(Instant::now()), Err(Error::Timeout));
    drop(permit);
    assert_eq!(semaphore.value(), Ok(3));
    semaphore.acquire_until(soon()).unwrap().keep().unwrap();
    assert_eq!(semaphore.value(), Ok(2));
}

#[test]
fn no_more_are_inside_than_there_are_units() {
    let pool = TestPool::new("semaphore-inside");
    for mode in MODES {
        let semaphore = Semaphore::create(&pool.0, 2, 2).unwrap().with_wait_mode(mode);
        let inside = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let semaphore = semaphore.clone();
                let inside = &inside;
                scope.spawn(move || {
                    for _ in 0..500 {
                        let permit = if thread % 2 == 0 {
                            Some(semaphore.acquire_until(soon()).unwrap())
                        } else {
                            semaphore.take_until(soon()).unwrap();
                            None
                        };
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                        std::hint::spin_loop();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        match permit {
                            Some(permit) => drop(permit),
                            None => semaphore.give_until(soon()).unwrap(),
                        }
                    }
                });
            }
        });
        assert_eq!(semaphore.value(), Ok(2), "{mode:?}");
        semaphore.destroy().unwrap();
    }
}

#[test]
fn a_killed_process_gives_its_permits_back_and_not_what_it_took() {
    const TEST: &str = "a_killed_process_gives_its_permits_back_and_not_what_it_took";
    if let Some(channels) = as_child(TEST) {
        let semaphore = Semaphore::attach(&channels[0].descriptor()).unwrap();
        semaphore.take().unwrap();
        let _permits = [semaphore.acquire().unwrap(), semaphore.acquire().unwrap()];
        channels[1].send(b"has them").unwrap();
        loop {
            std::thread::park();
        }
    }
    let pool = TestPool::new("semaphore-killed");
    let (semaphore, said) = (Semaphore::create(&pool.0, 3, 3).unwrap(), pool.channel(1));
    let channel = Channel::attach_in(&pool.0, &semaphore.descriptor()).unwrap();
    let mut dying = child(TEST, &[&channel, &said]);
    said.receive_until(soon()).unwrap();
    semaphore.wait_for_zero_until(soon()).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| semaphore.acquire_until(soon()).map(drop));
        dying.kill().unwrap();
        dying.wait().unwrap();
        waiting.join().unwrap().unwrap();
    });
    pool.0.recover();
    assert_eq!(semaphore.value(), Ok(2));
    drop((channel, said));
    pool.assert_verified();
}

/// Each way in which a message could get into the channel, out of it, or be waited for.
fn assert_carries_no_messages(pool: &Pool, channel: &Channel, used_as: &'static str) {
    let refusal = Error::NotForMessages { used_as };
    let (sender, receiver) = (channel.sender(), channel.receiver());
    let soon = || Instant::now() + Duration::from_secs(60);
    // Those that wait come behind one that does not.
    assert_eq!(sender.try_send(b"x"), Err(refusal.clone()));
    let sent = [sender.try_send(b"x"), sender.send(b""), sender.send_until(b"x", soon()), channel.send(b"x")];
    sent.into_iter().for_each(|sent| assert_eq!(sent, Err(refusal.clone())));
    let refused = sender.try_send_allocation(pool.alloc(8).unwrap()).unwrap_err();
    assert_eq!((refused.error, refused.payload.is_some()), (refusal.clone(), true));
    assert_eq!(sender.message().send_owned(vec![1]).map(drop).unwrap_err().error, refusal);
    assert_eq!(receiver.try_receive().err(), Some(refusal.clone()));
    assert_eq!(receiver.receive().err(), Some(refusal.clone()));
    assert_eq!(receiver.receive_until(soon()).err(), Some(refusal.clone()));
    assert_eq!(receiver.try_receive_into(&mut [0; 8]), Err(refusal.clone()));
    assert_eq!(receiver.try_receive_to(&mut [0; 8][..]), Err(refusal.clone()));
    assert_eq!(receiver.try_lease().err(), Some(refusal.clone()));
    assert_eq!(receiver.try_peek().err(), Some(refusal.clone()));
    assert_eq!(receiver.try_pop(), Err(refusal.clone()));
    let events = [PollEvents::IN, PollEvents::OUT, PollEvents::EMPTY, PollEvents::FULL];
    let polled = events.map(|event| channel.poller().poll_until(event, soon()).err());
    assert_eq!(polled, [(); 4].map(|()| Some(refusal.clone())));
    let watched = channel.watch(PollEvents::IN, Notification::callback(|_| ()));
    assert_eq!(watched.err(), Some(refusal.clone()));
    let mut set = ChannelSet::new();
    assert_eq!(set.add(channel, PollEvents::IN, 1).err(), Some(refusal.clone()));
    assert_eq!(set.add_changes(channel, PollEvents::IN, 1).err(), Some(refusal));
}

#[test]
fn a_barrier_carries_no_messages_and_stays_whole() {
    let pool = TestPool::new("barrier-messages");
    let barrier = Barrier::create(&pool.0, 1).unwrap();
    assert_carries_no_messages(&pool.0, &Channel::attach(&barrier.descriptor()).unwrap(), "barrier");
    assert_eq!((barrier.wait(), barrier.parties()), (Ok(0), 1));
    // What is asked of any channel can be asked of it.
    let channel = Channel::attach_in(&pool.0, &barrier.descriptor()).unwrap();
    assert_eq!(channel.state().unwrap().depth, 0);
    channel.destroy().unwrap();
    assert_eq!(barrier.wait(), Err(Error::Destroyed));
    drop(barrier);
    assert_eq!(pool.blocks(), 0);
}

#[test]
fn a_semaphore_carries_no_messages_and_keeps_its_units() {
    let pool = TestPool::new("semaphore-messages");
    let semaphore = Semaphore::create(&pool.0, 2, 1).unwrap();
    assert_carries_no_messages(&pool.0, &Channel::attach(&semaphore.descriptor()).unwrap(), "semaphore");
    assert_eq!(semaphore.value(), Ok(1));
    semaphore.clone().take().unwrap();
    semaphore.give().unwrap();
    drop(semaphore.acquire().unwrap());
}
