//! Death, and a stop, at the machine instructions of the operations of a pool, while others use a channel in it: they
//! pass ten times as many messages as it can hold, whoever stands or died where.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod ledger;
#[path = "../../managed/tests/made_of/mod.rs"]
mod made_of;

use ledger::{Ledger, assert_sound, attributes, states};
use made_of::Home;
use rustix::process::{Signal, getpid, kill_process};
use weyr_channel::{Channel, ChannelDescriptor, WaitMode};
use weyr_kill::{Choice, FileSegment, Moment, Point, Points, Report, Stops, Sweep, child};
use weyr_managed::{Allocation, Growth, Mode as Verified, Pool, PoolAttributes};
use weyr_shared::SlotState;

/// A pool with a channel, that nobody has attached while the sweep is about it.
struct Ground {
    home: Home,
    channel: ChannelDescriptor,
}

impl Ground {
    fn new(name: &str, growth: Growth) -> Self {
        let pool = PoolAttributes::new(name, 128 << 10).page_size(4096);
        let pool = pool.growth(growth).segment_size(64 << 10).processes(4).lanes(8).channels(2);
        let (pool, home) = made_of::chosen().create(&pool);
        let channel = Channel::create(&pool, &attributes(3)).unwrap();
        Self { home, channel: channel.descriptor() }
    }

    fn attach(&self) -> Pool {
        self.home.attach().unwrap()
    }

    /// Attached, with a lane that has memory at hand.
    fn warm(&self) -> Pool {
        let pool = self.attach();
        drop(pool.alloc(3 << 12).unwrap());
        drop(pool.alloc(100).unwrap());
        pool
    }
}

/// What the others do and find at a point.
fn look(ground: &Ground, point: &Point) {
    let pool = ground.attach();
    let channel = Channel::attach_in(&pool, &ground.channel).unwrap();
    let mut ledger = Ledger::default();
    if point.moment != Moment::Stopped {
        pool.recover();
        assert_eq!(pool.members().len(), 1);
    }
    let mode = [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle][point.index % 3];
    ledger.pass(&channel, mode).unwrap_or_else(|error| panic!("{error}; {:?}", states(&channel)));
    ledger.drain(&channel);
    ledger.assert_passed(|_| false);
    assert!(states(&channel).iter().all(|state| *state == SlotState::Empty));
    if point.moment == Moment::Stopped {
        let verification = pool.verify(Verified::Online);
        assert!(verification.holds(), "{:#?}", verification.findings);
    } else {
        assert_sound(&pool, 1);
    }
}

/// Kills `operate` behind each of its writes, and stops and continues it before and behind each.
fn sweep<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    let segment = FileSegment::open(ground.home.bytes()).unwrap();
    let stops = Stops::at(Points::AroundWrites, Choice::from_environment(8));
    let look = |point: &Point| {
        look(ground, point);
        Ok(())
    };
    let sweep = Sweep::new(format!("beside a channel, {name}"), &segment).floor(floor);
    let reports = sweep.kill_and_stop(4, &stops, || prepare(ground), &operate, look).unwrap();
    reports.iter().for_each(Report::assert_clean);
}

fn hold(pool: &Pool, bytes: u64) {
    std::mem::forget(pool.alloc(bytes).unwrap());
}

fn drop_one(held: &mut (Pool, Option<Allocation>)) {
    drop(held.1.take());
}

#[test]
fn alloc() {
    let ground = Ground::new("channel-alloc", Growth::None);
    sweep("alloc, at hand", &ground, 3, Ground::warm, |pool| hold(pool, 100));
    sweep("alloc, fresh slab", &ground, 12, Ground::warm, |pool| hold(pool, 1000));
    sweep("alloc, span", &ground, 12, Ground::warm, |pool| hold(pool, 5 << 12));
}

#[test]
fn free() {
    let ground = Ground::new("channel-free", Growth::None);
    let with = |bytes: u64| {
        move |ground: &Ground| {
            let pool = ground.warm();
            let memory = pool.alloc(bytes).unwrap();
            (pool, Some(memory))
        }
    };
    sweep("free, own block", &ground, 3, with(100), drop_one);
    sweep("free, span", &ground, 12, with(5 << 12), drop_one);
    let of_a_thread = |ground: &Ground| {
        let pool = ground.warm();
        let (send, receive) = std::sync::mpsc::channel();
        let other = pool.clone();
        std::thread::spawn(move || {
            send.send(other.alloc(100).unwrap()).unwrap();
            // Its lane stays in use.
            loop {
                std::thread::park();
            }
        });
        (pool, Some(receive.recv().unwrap()))
    };
    sweep("free, another thread's block", &ground, 6, of_a_thread, drop_one);
}

#[test]
fn grow() {
    let grows = |made: made_of::Made| made.can_be_shortened();
    if !made_of::allows("grow", grows, "it does not grow, or cannot be made shorter again") {
        return;
    }
    let ground = Ground::new("channel-grow", Growth::UpTo(512 << 10));
    sweep("grow", &ground, 40, Ground::warm, |pool| hold(pool, 160 << 10));
}

#[test]
fn attach() {
    let ground = Ground::new("channel-attach", Growth::None);
    let attach = |state: &mut Option<Pool>| *state = Some(ground.attach());
    sweep("attach", &ground, 8, |_| None, attach);
}

#[test]
fn recovery() {
    let ground = Ground::new("channel-recovery", Growth::None);
    let mut victim = child::spawn(|| {
        let pool = ground.warm();
        [64, 100, 500, 5 << 12].iter().for_each(|&bytes| hold(&pool, bytes));
        std::mem::forget(pool);
        kill_process(getpid(), Signal::KILL).unwrap();
    })
    .unwrap();
    assert!(victim.wait().unwrap().was_killed());
    // Attaching finds the dead member, and recovers it.
    let attach = |state: &mut Option<Pool>| *state = Some(ground.attach());
    sweep("recovery", &ground, 40, |_| None, attach);
}
