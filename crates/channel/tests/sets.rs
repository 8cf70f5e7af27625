//! Channel sets: what they report, whom they wake, and what they leave alone.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pools::{TestPool, as_child, child};
use weyr_channel::{
    Channel, ChannelAttributes, ChannelSet, Error, PollEvents, Ready, SetKey, SetNotice, SetNotification,
    WaitMode,
};
use weyr_kill::{Outcome, Refusal, Syscall, child as forked, refuse_with};

const IN: PollEvents = PollEvents::IN;
const MODES: [WaitMode; 3] = [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle];

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn pool(test: &str, bytes: u64) -> TestPool {
    TestPool::with(test, bytes, |attributes| attributes)
}

fn channels(pool: &TestPool, count: usize) -> Vec<Channel> {
    (0..count).map(|_| pool.channel(2)).collect()
}

/// A set in which each channel has its number as token.
fn set_of(channels: &[Channel]) -> (ChannelSet, Vec<SetKey>) {
    let mut set = ChannelSet::new();
    let keys = (0..).zip(channels).map(|(token, channel)| set.add(channel, IN, token).unwrap()).collect();
    (set, keys)
}

fn tokens(ready: &[Ready]) -> Vec<u64> {
    ready.iter().map(|ready| ready.token).collect()
}

/// What is ready now, all of it.
fn now(set: &mut ChannelSet) -> Vec<u64> {
    let mut ready = Vec::new();
    set.try_wait(&mut ready).unwrap();
    let mut tokens = tokens(&ready);
    tokens.sort_unstable();
    tokens
}

#[test]
fn what_is_ready_is_said_until_it_is_not() {
    let pool = pool("said", 8 << 20);
    let channels = channels(&pool, 5);
    let (mut set, _) = set_of(&channels);
    channels[3].send(b"before").unwrap();
    assert_eq!((set.len(), now(&mut set)), (5, vec![3]));
    channels[1].send(b"behind").unwrap();
    for _ in 0..3 {
        assert_eq!(now(&mut set), [1, 3]);
    }
    channels[3].receive().unwrap();
    assert_eq!(now(&mut set), [1]);
    channels[1].receive().unwrap();
    assert_eq!(now(&mut set), [0; 0]);
    channels[1].send(b"again").unwrap();
    assert_eq!(now(&mut set), [1]);
    drop(set);
    pool.assert_verified();
}

#[test]
fn a_quiet_channel_is_told_of_by_its_registration_alone() {
    let pool = pool("told", 8 << 20);
    let channels = channels(&pool, 4);
    let (set, _) = set_of(&channels);
    let mut set = set.with_wait_mode(WaitMode::Idle);
    let mut ready = Vec::new();
    // No member stays watched behind it: from here on only tellings lead to them.
    assert_eq!(set.wait_until(&mut ready, Instant::now()), Err(Error::Timeout));
    for round in 0..20_u64 {
        let sends = round % 4;
        channels[sends as usize].send(b"message").unwrap();
        assert_eq!(set.wait_until(&mut ready, Instant::now()), Ok(1), "round {round}");
        assert_eq!((ready[0].token, ready[0].events, ready[0].error.is_none()), (sends, IN, true));
        channels[sends as usize].receive().unwrap();
    }
}

#[test]
fn sleepers_and_pollers_of_a_set_hear_of_every_channel() {
    let pool = pool("hear", 16 << 20);
    let channels = channels(&pool, 60);
    for mode in MODES {
        thread::scope(|scope| {
            let (answer, asked) = (pool.channel(1), &channels);
            let back = answer.clone();
            scope.spawn(move || {
                let (set, _) = set_of(asked);
                let (mut set, mut ready) = (set.with_wait_mode(mode), Vec::new());
                for _ in 0..asked.len() {
                    assert_eq!(set.wait(&mut ready), Ok(1));
                    let message = asked[ready[0].token as usize].try_receive().unwrap();
                    answer.send(&message.into_bytes().unwrap()).unwrap();
                }
            });
            for number in 0..asked.len() {
                let (number, bytes) = (number * 7 % asked.len(), [number as u8; 3]);
                asked[number].send(&bytes).unwrap();
                assert_eq!(back.receive_until(soon()).unwrap().into_bytes().unwrap(), bytes);
            }
        });
    }
}

/// How often each of ten channels is reported by 90 waits, at most `most` at a time. The first is never received from;
/// the others get one message in turn, one before each wait, and what is reported of them is received.
fn reports(most: usize) -> Vec<u64> {
    let pool = pool("fair", 8 << 20);
    let channels: Vec<Channel> = (0..10).map(|_| pool.channel(16)).collect();
    let (set, _) = set_of(&channels);
    let (mut set, mut ready, mut reports) = (set.with_most(most), Vec::new(), vec![0; 10]);
    channels[0].send(b"never received").unwrap();
    for round in 0..90 {
        channels[1 + round % 9].send(b"message").unwrap();
        set.wait_until(&mut ready, soon()).unwrap();
        assert!(ready.len() <= most);
        for token in tokens(&ready) {
            reports[token as usize] += 1;
            assert!(
                token == 0 || channels[token as usize].try_receive().is_ok(),
                "what is reported is there"
            );
        }
    }
    reports
}

#[test]
fn a_channel_that_is_always_ready_starves_nobody() {
    assert_eq!(reports(3), [90, 10, 10, 10, 10, 10, 10, 10, 10, 10]);
    // One at a time, so that there is always more than can be said: all come in turn.
    let one = reports(1);
    assert!(one.iter().all(|count| (8..=10).contains(count)), "{one:?}");
}

#[test]
fn sets_and_receivers_each_get_their_own_wake() {
    let pool = pool("own-wake", 8 << 20);
    let (channel, heard) = (pool.channel(1), pool.channel(8));
    for _ in 0..50 {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut set = ChannelSet::new().with_wait_mode(WaitMode::Idle);
                    set.add(&channel, IN.or(PollEvents::FULL), 1).unwrap();
                    assert_eq!(set.wait_until(&mut Vec::new(), soon()), Ok(1));
                    heard.send(b"set").unwrap();
                });
            }
            channel.send(b"for the sets").unwrap();
            (0..2).for_each(|_| drop(heard.receive_until(soon()).unwrap()));
            scope.spawn(|| {
                let mut set = ChannelSet::new().with_wait_mode(WaitMode::Idle);
                set.add(&channel, PollEvents::EMPTY.or(PollEvents::OUT), 1).unwrap();
                assert_eq!(set.wait_until(&mut Vec::new(), soon()), Ok(1));
            });
            let idle = channel.receiver().with_wait_mode(WaitMode::Idle);
            idle.receive_until(soon()).unwrap();
            scope.spawn(|| channel.send(b"for a receiver").unwrap());
            idle.receive_until(soon()).unwrap();
        });
    }
}

#[test]
fn the_end_of_a_channel_is_said_of_it_and_of_no_other() {
    let pool = pool("ends", 8 << 20);
    let channels = channels(&pool, 3);
    let mut set = ChannelSet::new().with_wait_mode(WaitMode::Idle);
    let keys: Vec<SetKey> = (0..3)
        .map(|token| {
            let events = if token == 1 { PollEvents::NONE } else { IN };
            set.add(&channels[token], events, token as u64).unwrap()
        })
        .collect();
    let mut ready = Vec::new();
    assert_eq!(set.wait_until(&mut ready, Instant::now()), Err(Error::Timeout));
    channels[1].clone().destroy().unwrap();
    channels[2].send(b"goes on").unwrap();
    assert_eq!(set.wait_until(&mut ready, soon()), Ok(2));
    ready.sort_unstable_by_key(|ready| ready.token);
    assert_eq!(
        (ready[0].token, &ready[0].error, ready[0].events),
        (1, &Some(Error::Destroyed), PollEvents::NONE)
    );
    assert_eq!((ready[1].token, &ready[1].error, ready[1].events), (2, &None, IN));
    set.remove(keys[1]).unwrap();
    assert_eq!((set.remove(keys[1]), set.modify(keys[1], IN)), (Err(Error::NotInSet), Err(Error::NotInSet)));
    assert_eq!((now(&mut set), set.len()), (vec![2], 2));
    let again = set.add(&channels[0], IN, 9).unwrap();
    assert_ne!(again, keys[1], "a key means one member for good");
    assert_eq!(set.remove(keys[1]), Err(Error::NotInSet));
}

#[test]
fn a_member_waits_for_what_it_was_last_asked_to() {
    let pool = pool("modified", 8 << 20);
    let channel = pool.channel(1);
    let mut set = ChannelSet::new().with_wait_mode(WaitMode::Idle);
    let key = set.add(&channel, IN, 5).unwrap();
    assert_eq!(now(&mut set), [0; 0]);
    set.modify(key, PollEvents::OUT.or(PollEvents::EMPTY)).unwrap();
    let mut ready = Vec::new();
    assert_eq!(set.wait(&mut ready), Ok(1));
    assert_eq!(ready[0].events, PollEvents::OUT.or(PollEvents::EMPTY));
    channel.send(b"full").unwrap();
    assert_eq!(set.wait_until(&mut ready, Instant::now()), Err(Error::Timeout));
    thread::scope(|scope| {
        scope.spawn(|| channel.receive().unwrap());
        assert_eq!(set.wait_until(&mut ready, soon()), Ok(1));
    });
    set.modify(key, IN).unwrap();
    assert_eq!(now(&mut set), [0; 0]);
}

#[test]
fn a_waker_ends_a_wait_that_is_going_on_or_the_next() {
    let pool = pool("waker", 8 << 20);
    let channel = pool.channel(1);
    for members in 0..2 {
        for mode in MODES {
            let mut set = ChannelSet::new().with_wait_mode(mode);
            for token in 0..members {
                set.add(&channel, IN, token).unwrap();
            }
            let (waker, mut ready) = (set.waker(), Vec::new());
            waker.wake();
            waker.wake();
            assert_eq!(set.wait_until(&mut ready, soon()), Ok(0));
            assert_eq!(set.wait_until(&mut ready, Instant::now()), Err(Error::Timeout), "they were one");
            for _ in 0..20 {
                thread::scope(|scope| {
                    scope.spawn(|| waker.wake());
                    assert_eq!(set.wait_until(&mut ready, soon()), Ok(0));
                });
            }
            drop(set);
            waker.wake();
        }
    }
}

#[test]
fn as_many_sets_as_there_is_room_for_listen_to_one_channel() {
    let pool = pool("room", 8 << 20);
    let channel = pool.channel(1);
    let new = || {
        let mut set = ChannelSet::new();
        set.add(&channel, IN, 1).map(|_| set)
    };
    let mut sets: Vec<ChannelSet> = (0..16).map(|_| new().unwrap()).collect();
    assert_eq!(new().err(), Some(Error::TooManyListeners { limit: 16 }));
    drop(sets.pop());
    sets.push(new().unwrap());
    channel.send(b"for all").unwrap();
    assert!(sets.iter_mut().all(|set| now(set) == [1]));
}

#[test]
fn more_members_than_registrations_share_them() {
    let pool = pool("share", 32 << 20);
    let channels = channels(&pool, 1100);
    let (mut set, keys) = set_of(&channels);
    let (mut small, _) = set_of(&channels[..3]);
    for token in [0, 511, 512, 513, 1099] {
        channels[token as usize].send(b"message").unwrap();
        assert_eq!(now(&mut set), [token]);
        assert_eq!(now(&mut small), if token == 0 { vec![0] } else { vec![] });
        channels[token as usize].receive().unwrap();
        assert_eq!((now(&mut set), now(&mut small)), (vec![], vec![]));
    }
    keys.iter().step_by(2).for_each(|key| set.remove(*key).unwrap());
    for token in [0, 1, 1099] {
        channels[token as usize].send(b"message").unwrap();
        assert_eq!(now(&mut set).contains(&token), token % 2 == 1);
    }
}

#[test]
fn a_forked_child_is_refused_and_leaves_its_parents_set_alone() {
    let pool = pool("forked", 8 << 20);
    let channel = pool.channel(1);
    let mut set = ChannelSet::new().with_wait_mode(WaitMode::Idle);
    let key = set.add(&channel, IN, 1).unwrap();
    assert_eq!(set.wait_until(&mut Vec::new(), Instant::now()), Err(Error::Timeout), "quiet from here on");
    let mut set = Some(set);
    let mut child = forked::spawn(|| {
        let mut set = set.take().unwrap();
        let mut ready = Vec::new();
        assert_eq!(set.wait(&mut ready), Err(Error::Forked));
        assert_eq!(set.try_wait(&mut ready), Err(Error::Forked));
        assert_eq!((set.add(&channel, IN, 2), set.remove(key)), (Err(Error::Forked), Err(Error::Forked)));
        set.waker().wake();
        drop(set);
        let mut own = ChannelSet::new();
        own.add(&channel, IN, 3).unwrap();
        channel.send(b"from the child").unwrap();
        assert_eq!(own.wait_until(&mut ready, soon()), Ok(1));
        drop(own);
    })
    .unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    assert_eq!(now(set.as_mut().unwrap()), [1]);
}

#[test]
fn the_entries_of_the_dead_give_way() {
    let pool = pool("dead-sets", 8 << 20);
    let channel = pool.channel(1);
    let mut child = forked::spawn(|| {
        let sets: Vec<ChannelSet> = (0..16)
            .map(|_| {
                let mut set = ChannelSet::new();
                set.add(&channel, IN, 1).unwrap();
                set
            })
            .collect();
        std::mem::forget(sets);
    })
    .unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
    let mut set = ChannelSet::new();
    set.add(&channel, IN, 1).unwrap();
    channel.send(b"message").unwrap();
    assert_eq!(now(&mut set), [1]);
}

/// A child that sends through each channel what comes through the first.
fn echoes(channels: &[Channel]) {
    let mut bytes = [0; 8];
    while let Ok(len) = channels[0].receiver().receive_into(&mut bytes) {
        channels[1 + usize::from(bytes[0])].send(&bytes[..len]).unwrap();
    }
}

fn asks_through_all(ask: &Channel, set: &mut ChannelSet, answers: &[Channel], mode: WaitMode) {
    let mut ready = Vec::new();
    for round in 0..30_u8 {
        let answers_next = round % answers.len() as u8;
        ask.send(&[answers_next, round]).unwrap();
        assert_eq!(set.wait_until(&mut ready, soon()), Ok(1), "{mode:?}");
        assert_eq!(ready[0].token, answers_next.into());
        let answer = answers[usize::from(answers_next)].try_receive().unwrap();
        assert_eq!(answer.into_bytes().unwrap(), [answers_next, round]);
    }
}

/// Channels of three pools in one set, answered by a child.
fn three_pools(test: &str) {
    if let Some(channels) = as_child(test) {
        return echoes(&channels);
    }
    let pools = [0, 1, 2].map(|_| pool(test, 8 << 20));
    let answers: Vec<Channel> = (0..6).map(|number| pools[number % 3].channel(1)).collect();
    let ask = pools[0].channel(1);
    let mut child = child(test, &[&[&ask][..], &answers.iter().collect::<Vec<_>>()].concat());
    for mode in MODES {
        let (set, _) = set_of(&answers);
        let mut set = set.with_wait_mode(mode);
        asks_through_all(&ask, &mut set, &answers, mode);
        let (waker, mut ready) = (set.waker(), Vec::new());
        thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            assert_eq!(set.wait_until(&mut ready, soon()), Ok(0));
        });
        assert_eq!(
            set.wait_until(&mut ready, Instant::now() + Duration::from_millis(3)),
            Err(Error::Timeout)
        );
    }
    ask.destroy().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_set_hears_of_channels_in_several_pools() {
    three_pools("a_set_hears_of_channels_in_several_pools");
}

#[test]
fn it_does_where_the_kernel_waits_for_one_word_at_a_time() {
    const TEST: &str = "it_does_where_the_kernel_waits_for_one_word_at_a_time";
    // The filter is the thread's, and this test's has it alone; the child is started from it and has it, too.
    refuse_with(&[Syscall::FutexWaitv], Refusal::Missing).unwrap();
    three_pools(TEST);
}

#[test]
fn a_set_of_many_pools_hears_of_the_last() {
    let pools: Vec<TestPool> = (0..4).map(|_| pool("many", 2 << 20)).collect();
    let make = |pool: &TestPool| {
        let attributes = ChannelAttributes::new().block_size(64).capacity(1);
        Channel::create(&pool.0, &attributes).unwrap()
    };
    let channels: Vec<Channel> = pools.iter().map(make).collect();
    let (mut set, keys) = set_of(&channels);
    assert_eq!(now(&mut set), [0; 0]);
    keys[..3].iter().for_each(|key| set.remove(*key).unwrap());
    channels[3].send(b"message").unwrap();
    assert_eq!(now(&mut set), [3]);
    set.remove(keys[3]).unwrap();
    set.add(&channels[0], IN, 7).unwrap();
    channels[0].send(b"message").unwrap();
    assert_eq!(now(&mut set), [7]);
}

/// A set whose notices come through a channel of the standard library.
fn told(set: &mut ChannelSet) -> mpsc::Receiver<SetNotice> {
    let (tell, told) = mpsc::channel();
    set.notify(SetNotification::callback(move |notice| tell.send(notice).unwrap_or(()))).unwrap();
    told
}

fn next(told: &mpsc::Receiver<SetNotice>) -> (u64, PollEvents, bool) {
    let notice = told.recv_timeout(Duration::from_secs(60)).unwrap();
    (notice.token, notice.events, notice.is_destroyed)
}

#[test]
fn a_callback_is_told_which_member_is_ready_and_of_those_that_come_later() {
    let pool = TestPool::new("set-notified");
    let [first, second, third] = [(); 3].map(|()| pool.channel(1));
    let mut set = ChannelSet::new();
    set.add(&first, PollEvents::IN, 1).unwrap();
    first.send(b"there already").unwrap();
    let told = told(&mut set);
    let mut heard = Vec::new();
    // A change may be told of twice: as the watch begins, or is changed, and as it happens.
    let mut hear = |expected| loop {
        let notice = next(&told);
        if notice == expected {
            return heard.push(notice);
        }
        assert!(heard.contains(&notice), "{notice:?} before {expected:?}");
    };
    hear((1, PollEvents::IN, false));
    let key = set.add(&second, PollEvents::IN, 2).unwrap();
    second.send(b"later").unwrap();
    hear((2, PollEvents::IN, false));
    set.modify(key, PollEvents::EMPTY).unwrap();
    second.receive().unwrap();
    hear((2, PollEvents::EMPTY, false));
    // The set can be waited for all the same.
    let mut ready = Vec::new();
    set.wait(&mut ready).unwrap();
    assert_eq!(ready.iter().map(|ready| ready.token).sum::<u64>(), 3);
    // What was taken out is not told of, what is destroyed is, and once.
    set.remove(key).unwrap();
    second.send(b"unheard").unwrap();
    let last = set.add(&third, PollEvents::IN, 3).unwrap();
    third.clone().destroy().unwrap();
    hear((3, PollEvents::NONE, true));
    for _ in 0..20 {
        first.try_receive().unwrap();
        first.send(b"once more").unwrap();
        hear((1, PollEvents::IN, false));
    }
    assert_eq!(set.notification_ended(last), Some(Error::Destroyed));
}

#[test]
fn a_set_that_is_silenced_replaced_or_dropped_tells_nobody() {
    let pool = TestPool::new("set-silent");
    let channel = pool.channel(4);
    let mut set = ChannelSet::new();
    set.add(&channel, PollEvents::IN, 7).unwrap();
    let one = told(&mut set);
    let other = told(&mut set);
    channel.send(b"the second hears").unwrap();
    assert_eq!(next(&other), (7, PollEvents::IN, false));
    let ended = |told: &mpsc::Receiver<SetNotice>| loop {
        // The callback is gone when the reactor has heard of it; what it tells then is nothing.
        match told.recv_timeout(Duration::from_secs(60)) {
            Err(mpsc::RecvTimeoutError::Disconnected) => return true,
            Err(mpsc::RecvTimeoutError::Timeout) => return false,
            Ok(notice) => assert_eq!(notice.token, 7),
        }
    };
    assert!(ended(&one));
    set.silence();
    assert!(ended(&other));
    channel.send(b"nobody hears").unwrap();
    let last = told(&mut set);
    assert_eq!(next(&last), (7, PollEvents::IN, false));
    drop(set);
    assert!(ended(&last));
}

#[test]
fn a_set_notifies_by_eventfd_by_event_object_and_by_signal() {
    use std::io::Read as _;
    let pool = TestPool::new("set-notifies");
    let channels = [(); 2].map(|()| pool.channel(1));
    let mut set = ChannelSet::new();
    for (token, channel) in (5..).zip(&channels) {
        set.add(channel, PollEvents::IN, token).unwrap();
    }
    let eventfd = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
    let mut ours: std::fs::File = eventfd.try_clone().unwrap().into();
    set.notify(SetNotification::eventfd(eventfd)).unwrap();
    for channel in &channels {
        channel.send(b"message").unwrap();
        let mut count = [0; 8];
        ours.read_exact(&mut count).unwrap();
        assert!(u64::from_le_bytes(count) >= 1);
        channel.receive().unwrap();
    }
    set.silence();
    let attributes = weyr_shared::BroadcastAttributes::new().max_payload(16);
    let event = pool.0.create_broadcast(&attributes).unwrap();
    let theirs = event.clone();
    let waiting = thread::spawn(move || theirs.wait(weyr_shared::WaitMode::Adaptive));
    while event.num_waiting() == 0 {
        thread::yield_now();
    }
    set.notify(SetNotification::event(event)).unwrap();
    channels[1].send(b"message").unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), [6, 0, 0, 0, 0, 0, 0, 0, 1]);
    let refused = set.notify(SetNotification::signal(1000));
    assert_eq!(refused, Err(Error::InvalidSignal { number: 1000 }));
    // Without a handler the signal ends the process, which is what can be seen of it from here.
    let mut signalled = forked::spawn(|| {
        let mut set = ChannelSet::new();
        set.add(&channels[1], PollEvents::IN, 5).unwrap();
        set.notify(SetNotification::signal(10)).unwrap();
        loop {
            thread::park();
        }
    })
    .unwrap();
    assert_eq!(signalled.wait().unwrap(), Outcome::Signalled(10));
}

#[test]
fn a_callback_of_a_set_that_panics_is_not_called_again() {
    let pool = TestPool::new("set-panic");
    let channels = [(); 2].map(|()| pool.channel(1));
    let (mut set, (tell, told)) = (ChannelSet::new(), mpsc::channel());
    for (token, channel) in (0..).zip(&channels) {
        set.add(channel, PollEvents::IN, token).unwrap();
    }
    let panicking = move |notice: SetNotice| {
        tell.send(notice).unwrap();
        panic!("as the test wants it");
    };
    set.notify(SetNotification::callback(panicking)).unwrap();
    channels[0].send(b"message").unwrap();
    assert_eq!(next(&told), (0, PollEvents::IN, false));
    channels[1].send(b"message").unwrap();
    let gone = Err(mpsc::RecvTimeoutError::Disconnected);
    assert_eq!(told.recv_timeout(Duration::from_secs(60)), gone, "the callback is gone");
}

#[test]
fn a_set_says_what_is_in_it_and_by_which_events() {
    let pool = TestPool::new("set-members");
    let channels = [(); 3].map(|()| pool.channel(1));
    let mut set = ChannelSet::new();
    let keys: Vec<_> = (0..)
        .zip(&channels)
        .map(|(token, channel)| set.add(channel, PollEvents::IN, token).unwrap())
        .collect();
    set.modify(keys[1], PollEvents::OUT | PollEvents::EMPTY).unwrap();
    set.remove(keys[2]).unwrap();
    let mut members: Vec<_> = set.members().collect();
    members.sort_by_key(|member| member.token);
    let said: Vec<_> = members.iter().map(|member| (member.key, member.token, member.events)).collect();
    let changed = PollEvents::OUT | PollEvents::EMPTY;
    assert_eq!(said, [(keys[0], 0, PollEvents::IN), (keys[1], 1, changed)]);
    assert_eq!(members[1].channel.descriptor(), channels[1].descriptor());
    assert_eq!((set.events(keys[0]), set.events(keys[1])), (Ok(PollEvents::IN), Ok(changed)));
    assert_eq!(set.events(keys[2]), Err(Error::NotInSet));
}
