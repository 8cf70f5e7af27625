//! Death, and a stop, at the machine instructions of calls that wait: another process does what they wait for once they
//! sleep. In the build that users run.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod ledger;
#[path = "../../managed/tests/made_of/mod.rs"]
mod made_of;
mod swept;

use std::time::{Duration, Instant};

use Fate::{Absent, Again, Fresh};
use ledger::{Fate, letter, number_of};
use swept::{Ground, Onlooker, Story, beside_another, kill_and_stop_at, until_alone};
use weyr_channel::{Channel, ChannelSet, Error, PollEvents, ReturnWhen, WaitMode};
use weyr_kill::{Moment, Point, Stops};

/// `operate`, which sleeps, beside another process that does `act` when it does. While it stands, the others may take
/// what it was woken for: then they send message `spare`, for which it wakes again.
fn sweep(
    name: &str,
    ground: &Ground,
    floor: usize,
    (stories, spare): (&'static [Story], Option<u64>),
    act: impl Fn(&Channel),
    operate: impl Fn(&mut Channel),
) {
    let beside = |ground: &Ground| beside_another(ground, &act);
    let mut onlooker = Onlooker::new(ground, stories);
    onlooker.spare = spare;
    let look = |point: &Point| {
        if point.moment != Moment::Stopped {
            until_alone(ground);
        }
        onlooker.look(point);
    };
    kill_and_stop_at(&Stops::of_varying(8), name, ground, floor, beside, operate, look);
    onlooker.assert_told();
}

#[test]
fn send_to_a_full_channel() {
    let ground = Ground::new("send-asleep", |_, channel| {
        (1..4).for_each(|number| channel.send(&letter(number)).unwrap());
    });
    let receive = |channel: &Channel| {
        let bytes = channel.try_receive().unwrap().into_bytes().unwrap();
        assert_eq!(number_of(&bytes), 1);
    };
    let send = |channel: &mut Channel| {
        channel.sender().with_wait_mode(WaitMode::Idle).send(&letter(100)).unwrap();
    };
    let stories: &[Story] = &[(1, &[Fresh, Absent]), (2, &[Fresh]), (3, &[Fresh]), (100, &[Absent, Fresh])];
    sweep("send, asleep", &ground, 8, (stories, None), receive, send);
}

/// Nobody receives, unless the sender stands meanwhile.
#[test]
fn send_to_a_channel_that_stays_full() {
    let ground = Ground::new("send-timed-out", |_, channel| {
        (1..4).for_each(|number| channel.send(&letter(number)).unwrap());
    });
    let send = |channel: &mut Channel| {
        // Long beside the steps to its sleep; a run in which it ends before that has fewer points.
        let deadline = Instant::now() + Duration::from_secs(1);
        let sender = channel.sender().with_wait_mode(WaitMode::Idle);
        let sent = sender.send_until(&letter(100), deadline);
        assert!(matches!(sent, Ok(()) | Err(Error::Timeout)), "{sent:?}");
    };
    let mut onlooker = Onlooker::new(&ground, &[(1, &[Fresh]), (2, &[Fresh]), (3, &[Fresh])]);
    onlooker.perhaps = Some(100);
    let look = |point: &Point| onlooker.look(point);
    kill_and_stop_at(&Stops::of_varying(8), "send, timed out", &ground, 2, Ground::warm, send, look);
    onlooker.assert_told();
}

/// Dead, it leaves its message in the channel, for whoever receives; so it does when it goes on, until somebody has. Its
/// number is below 100, for which of the others has it is open.
#[test]
fn send_until_received() {
    let ground = Ground::new("send-received", |_, _| ());
    let receive = |channel: &Channel| {
        let bytes = channel.try_receive().unwrap().into_bytes().unwrap();
        assert_eq!(number_of(&bytes), 50);
    };
    let send = |channel: &mut Channel| {
        let sender = channel.sender().with_wait_mode(WaitMode::Idle);
        sender.with_return_when(ReturnWhen::Received).send(&letter(50)).unwrap();
    };
    let stories: &[Story] = &[(50, &[Absent, Fresh, Absent])];
    sweep("send, until received", &ground, 6, (stories, None), receive, send);
}

fn send(channel: &Channel) {
    channel.try_send(&letter(1)).unwrap();
}

#[test]
fn receive_from_an_empty_channel() {
    let ground = Ground::new("receive-asleep", |_, _| ());
    let receive = |channel: &mut Channel| {
        let mut bytes = [0; 40];
        channel.receiver().with_wait_mode(WaitMode::Idle).receive_into(&mut bytes).unwrap();
        assert!([1, 2].contains(&number_of(&bytes)));
    };
    let stories: &[Story] = &[(1, &[Absent, Fresh, Again, Absent])];
    sweep("receive, asleep", &ground, 5, (stories, Some(2)), send, receive);
}

#[test]
fn poll_an_empty_channel() {
    let ground = Ground::new("poll-asleep", |_, _| ());
    let poll = |channel: &mut Channel| {
        let found = channel.poller().with_wait_mode(WaitMode::Idle).poll(PollEvents::IN).unwrap();
        assert_eq!(found, PollEvents::IN);
    };
    let stories: &[Story] = &[(1, &[Absent, Fresh])];
    sweep("poll, asleep", &ground, 4, (stories, Some(2)), send, poll);
}

#[test]
fn wait_in_a_set_for_an_empty_channel() {
    let ground = Ground::new("set-asleep", |_, _| ());
    let wait = |channel: &mut Channel| {
        let mut set = ChannelSet::new().with_wait_mode(WaitMode::Idle);
        set.add(channel, PollEvents::IN, 7).unwrap();
        let mut ready = Vec::new();
        set.wait(&mut ready).unwrap();
        assert_eq!((ready[0].token, ready[0].events), (7, PollEvents::IN));
    };
    let stories: &[Story] = &[(1, &[Absent, Fresh])];
    sweep("set, asleep", &ground, 6, (stories, Some(2)), send, wait);
}
