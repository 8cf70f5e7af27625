//! Death, and a stop, at the machine instructions of making channels, of attaching to them and leaving them, and of
//! destroying them: in the build that users run.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod ledger;
#[path = "../../managed/tests/made_of/mod.rs"]
mod made_of;
mod swept;

use std::time::{Duration, Instant};

use ledger::{Fate, Ledger, assert_sound, attributes, letter, parcel};
use swept::{Ground, kill_and_stop, sweep};
use weyr_channel::{
    Barrier, Broken, Channel, ChannelAttributes, ChannelDescriptor, Collective, Error, Operation, WaitMode,
};
use weyr_kill::{Moment, Point, is_few_points};
use weyr_managed::{Allocation, Mode as Verified, Pool};

fn assert_goes_on(channel: &Channel) {
    let mut ledger = Ledger::default();
    ledger.pass(channel, WaitMode::Adaptive).unwrap();
    ledger.assert_passed(|_| false);
}

fn assert_holds(pool: &Pool) {
    let verification = pool.verify(Verified::Online);
    assert!(verification.holds(), "{:#?}", verification.findings);
}

/// What others find of a channel that somebody was making: nothing, or one that works.
fn look_at_what_was_made(ground: &Ground, point: &Point) {
    let channel = ground.attach();
    let pool = channel.pool();
    if point.moment == Moment::Stopped {
        assert_goes_on(&channel);
        return assert_holds(pool);
    }
    pool.recover();
    assert_eq!(pool.members().len(), 1);
    assert_goes_on(&channel);
    let own = channel.descriptor().reference();
    let others: Vec<_> = pool.channel_blocks().into_iter().filter(|block| block.reference != own).collect();
    assert_sound(pool, 1 + others.len() as u64);
    others.iter().for_each(|block| pool.free_channel(block.reference).unwrap());
    assert_sound(pool, 1);
}

#[test]
fn create() {
    let ground = Ground::new("create", |_, _| ());
    let look = |point: &Point| look_at_what_was_made(&ground, point);
    let with_room = |ground: &Ground| {
        let pool = ground.pool();
        drop((pool.alloc(1000).unwrap(), pool.alloc(100).unwrap()));
        pool
    };
    let create = |pool: &mut Pool| std::mem::forget(Channel::create(pool, &attributes(3)).unwrap());
    kill_and_stop("create", &ground, 10, with_room, create, look);
    let look = |point: &Point| look_at_what_was_made(&ground, point);
    let with_memory = |ground: &Ground| {
        let pool = ground.pool();
        let memory = pool.alloc(4096).unwrap();
        (pool, Some(memory))
    };
    let create = |(pool, memory): &mut (Pool, Option<Allocation>)| {
        std::mem::forget(Channel::create_in(pool, memory.take().unwrap(), &attributes(3)).unwrap());
    };
    kill_and_stop("create in an allocation", &ground, 10, with_memory, create, look);
}

const THERE: &[swept::Story] = &[(1, &[Fate::Fresh])];

#[test]
fn attach_and_detach() {
    let ground = Ground::with_letter("attach");
    let joined = |ground: &Ground| {
        let pool = ground.pool();
        drop(pool.alloc(200).unwrap());
        (pool, None)
    };
    let attach = |(pool, channel): &mut (Pool, Option<Channel>)| {
        *channel = Some(Channel::attach_in(pool, &ground.channel).unwrap());
    };
    sweep("attach to a channel", &ground, 3, THERE, joined, attach);
    let detach = |state: &mut (Pool, Option<Channel>)| state.1.take().unwrap().detach();
    let attached = |ground: &Ground| {
        let channel = ground.warm();
        (channel.pool().clone(), Some(channel))
    };
    sweep("detach", &ground, 3, THERE, attached, detach);
}

/// The channel works, with its messages, or it is gone with all that was in it.
fn look_at_what_was_destroyed(ground: &Ground, told: &mut Vec<bool>, point: &Point) {
    let pool = ground.pool();
    if point.moment != Moment::Stopped {
        pool.recover();
        assert_eq!(pool.members().len(), 1);
    }
    // By recovery alone, before anybody attaches and finds it destroyed.
    let there = !pool.channel_blocks().is_empty();
    let channel = Channel::attach_in(&pool, &ground.channel).ok();
    assert!(channel.is_some() == there || point.moment == Moment::Stopped, "destroyed, and not freed");
    if point.moment == Moment::Stopped {
        // Destroyed under the hands of those who use it.
        let mut ledger = Ledger::default();
        channel.into_iter().for_each(|channel| ledger.pass(&channel, WaitMode::Adaptive).unwrap());
        (0..500).for_each(|round| drop(pool.alloc(1 + round * 37 % 1000).unwrap()));
        return assert_holds(&pool);
    }
    if point.moment == Moment::Died {
        told.push(channel.is_some());
    }
    if let Some(channel) = channel {
        let mut ledger = Ledger::default();
        ledger.pass(&channel, WaitMode::Adaptive).unwrap();
        assert_eq!([1, 2].map(|number| ledger.fate(number)), [Fate::Fresh; 2]);
        channel.destroy().unwrap();
    }
    assert_sound(&pool, 0);
    assert!(pool.channel_blocks().is_empty());
}

#[test]
fn destroy() {
    let ground = Ground::new("destroy", |pool, channel| {
        channel.send(&letter(1)).unwrap();
        channel.send_allocation(parcel(pool, 2)).unwrap();
    });
    let mut told = Vec::new();
    let attached = |ground: &Ground| Some(ground.warm());
    let destroy = |channel: &mut Option<Channel>| channel.take().unwrap().destroy().unwrap();
    let look = |point: &Point| look_at_what_was_destroyed(&ground, &mut told, point);
    kill_and_stop("destroy", &ground, 8, attached, destroy, look);
    told.dedup();
    assert_eq!(told, [true, false]);
}

/// How the barrier was found behind a party that came, alone, and gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    NotCome,
    Come,
    GivenUp,
}

/// Nobody is stuck at the barrier, and it can be used again.
fn look_at_the_barrier(ground: &Ground, barrier: &ChannelDescriptor, told: &mut Vec<Found>, point: &Point) {
    let pool = ground.pool();
    if point.moment != Moment::Stopped {
        pool.recover();
    }
    let barrier = Barrier::attach_in(&pool, barrier).unwrap();
    let found = match barrier.wait_until(Instant::now()) {
        Err(Error::Timeout) => Found::NotCome,
        Ok(_) => Found::Come,
        Err(Error::BarrierBroken { why: Broken::TimedOut }) => Found::GivenUp,
        other => panic!("{other:?}"),
    };
    if point.moment == Moment::Died {
        told.push(found);
    }
    barrier.reset();
    for _ in 0..2 {
        std::thread::scope(|scope| {
            let soon = Instant::now() + Duration::from_secs(60);
            let both = [(); 2].map(|()| {
                let barrier = barrier.clone();
                scope.spawn(move || barrier.wait_until(soon))
            });
            let passed = both.map(|party| party.join().unwrap().is_ok());
            assert_eq!(passed, [true; 2]);
        });
    }
    assert!(!barrier.is_broken());
    drop(barrier);
    assert_holds(&pool);
}

#[test]
fn a_barrier_that_a_party_comes_to_and_gives_up() {
    let mut made = None;
    let ground = Ground::new("barrier", |pool, _| {
        made = Some(Barrier::create(pool, 2).unwrap().descriptor());
    });
    let made = made.unwrap();
    let mut told = Vec::new();
    let attached = |ground: &Ground| Barrier::attach_in(&ground.pool(), &made).unwrap();
    let wait = |barrier: &mut Barrier| drop(barrier.wait_until(Instant::now()));
    let look = |point: &Point| look_at_the_barrier(&ground, &made, &mut told, point);
    kill_and_stop("come to a barrier and give up", &ground, 2, attached, wait, look);
    told.dedup();
    // Of a few points the one in between may be left out.
    let all = [Found::NotCome, Found::Come, Found::GivenUp];
    assert!(told == all || is_few_points() && told == [all[0], all[2]], "{told:?}");
}

/// The rank of the one that dies or stands is joined anew, and nobody is stuck.
fn look_at_the_group(ground: &Ground, group: &ChannelDescriptor, told: &mut Vec<Found>, point: &Point) {
    let pool = ground.pool();
    if point.moment != Moment::Stopped {
        pool.recover();
    }
    let channel = Channel::attach_in(&pool, group).unwrap();
    let mut first = channel.join(0).unwrap().with_timeout(Duration::ZERO);
    let mut values = [1_u64];
    let found = match first.all_reduce(&mut values) {
        Err(Error::Timeout) => Found::NotCome,
        Ok(()) => {
            assert_eq!(values, [6], "what it gave is whole");
            Found::Come
        }
        Err(Error::CollectiveBroken { why: Broken::TimedOut }) => Found::GivenUp,
        // Left by who looked before, while it stood.
        Err(Error::MemberLeft { .. }) if point.moment != Moment::Died => Found::GivenUp,
        other => panic!("{other:?}"),
    };
    if point.moment == Moment::Died {
        told.push(found);
    }
    first.set_timeout(Some(Duration::from_secs(60)));
    match channel.join(1) {
        Err(Error::RankTaken { rank: 1 }) if point.moment == Moment::Stopped => first.reset().unwrap(),
        joined => {
            let mut second = joined.unwrap();
            first.reset().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    (0..3_u64).for_each(|round| assert_eq!(second.reduce(0, &[round]), Ok(None)));
                });
                (0..3_u64).for_each(|round| assert_eq!(first.reduce(0, &[7_u64]), Ok(Some(vec![7 + round]))));
            });
        }
    }
    drop((first, channel));
    assert_holds(&pool);
}

#[test]
fn a_group_that_a_member_joins_gives_to_gives_up_and_leaves() {
    let mut made = None;
    let ground = Ground::new("group", |pool, _| {
        let sums = Collective::reducing::<u64>(2, Operation::Sum, 1);
        let channel = Channel::create(pool, &ChannelAttributes::new().collective(sums)).unwrap();
        made = Some(channel.descriptor());
    });
    let made = made.unwrap();
    let mut told = Vec::new();
    let attached = |ground: &Ground| Channel::attach_in(&ground.pool(), &made).unwrap();
    let take_part = |channel: &mut Channel| {
        if let Ok(member) = channel.join(1) {
            drop(member.with_timeout(Duration::ZERO).all_reduce(&mut [5_u64]));
        }
    };
    let look = |point: &Point| look_at_the_group(&ground, &made, &mut told, point);
    kill_and_stop("join a group, give, give up and leave", &ground, 5, attached, take_part, look);
    told.dedup();
    let all = [Found::NotCome, Found::Come, Found::GivenUp];
    assert!(told == all || is_few_points() && told == [all[0], all[2]], "{told:?}");
}
