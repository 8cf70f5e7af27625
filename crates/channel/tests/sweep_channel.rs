//! Death, and a stop, at the machine instructions of the operations of a channel: in the build that users run, and
//! with the system calls that the crash face does not see.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod ledger;

use std::path::PathBuf;

use Fate::{Absent, Again, Fresh};
use ledger::{Fate, Ledger, assert_sound, attributes, book, letter, parcel, states, wide_attributes};
use rustix::process::{Signal, getpid, kill_process};
use weyr_channel::{Channel, ChannelAttributes, ChannelDescriptor, Lease, Sender, WaitMode};
use weyr_kill::{Choice, FileSegment, Mode, Moment, Point, Points, Sweep, child};
use weyr_managed::{Allocation, AllocationDescriptor, Mode as Verified, Pool, PoolAttributes, Published};
use weyr_shared::SlotState;

/// What becomes of a message when the process dies ever later. Those below 100 are there from the start.
type Story = (u64, &'static [Fate]);

/// A pool with a channel, that nobody has attached while the sweep is about it.
struct Ground {
    _directory: tempfile::TempDir,
    path: PathBuf,
    channel: ChannelDescriptor,
    /// Published or frozen memory that stays, whatever becomes of its messages.
    memory: Option<AllocationDescriptor>,
}

impl Ground {
    fn new(name: &str, furnish: impl FnOnce(&Pool, &Channel)) -> Self {
        Self::of(name, &attributes(3), |pool, channel| {
            furnish(pool, channel);
            None
        })
    }

    /// Of two levels, and with books.
    fn wide(name: &str, furnish: impl FnOnce(&Pool, &Channel)) -> Self {
        Self::of(name, &wide_attributes(3), |pool, channel| {
            furnish(pool, channel);
            None
        })
    }

    fn with_memory(name: &str, furnish: impl FnOnce(&Pool, &Channel) -> Option<Published>) -> Self {
        Self::of(name, &attributes(3), furnish)
    }

    fn of(
        name: &str,
        attributes: &ChannelAttributes,
        furnish: impl FnOnce(&Pool, &Channel) -> Option<Published>,
    ) -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let pool = PoolAttributes::new(name, 128 << 10).directory(directory.path()).page_size(4096);
        let pool = Pool::create(&pool.processes(4).lanes(8).channels(2)).unwrap();
        let channel = Channel::create(&pool, attributes).unwrap();
        let memory = furnish(&pool, &channel).map(|memory| memory.descriptor());
        let (path, channel) = (pool.path().to_owned(), channel.descriptor());
        Self { _directory: directory, path, channel, memory }
    }

    fn with_letter(name: &str) -> Self {
        Self::new(name, |_, channel| channel.send(&letter(1)).unwrap())
    }

    fn with_parcel(name: &str) -> Self {
        Self::new(name, |pool, channel| channel.send_allocation(parcel(pool, 1)).unwrap())
    }

    fn pool(&self) -> Pool {
        Pool::attach_path(&self.path).unwrap()
    }

    fn attach(&self) -> Channel {
        Channel::attach_in(&self.pool(), &self.channel).unwrap()
    }

    /// Attached, with a lane, and with a handle on the memory that stays.
    fn warm_with_memory(&self) -> Shared {
        let channel = self.warm();
        let memory = channel.pool().open(self.memory.as_ref().unwrap()).unwrap();
        (channel, Some(memory))
    }

    /// Attached, and with a lane that has memory at hand.
    fn warm(&self) -> Channel {
        let channel = self.attach();
        drop(parcel(channel.pool(), 0));
        channel
    }
}

/// What the others find at the points of one sweep.
struct Onlooker<'g> {
    ground: &'g Ground,
    stories: &'static [Story],
    /// What they have received while the process stood.
    ledger: Ledger,
    /// What became of each message at ever later deaths.
    told: Vec<Vec<Fate>>,
}

impl Onlooker<'_> {
    fn look(&mut self, point: &Point) {
        let channel = self.ground.attach();
        if matches!(point.moment, Moment::Stopped | Moment::Died) {
            self.ledger = Ledger::default();
        }
        if point.moment == Moment::Stopped {
            self.pass(&channel, point);
            let verification = channel.pool().verify(Verified::Online);
            assert!(verification.holds(), "{:#?}", verification.findings);
            return;
        }
        channel.pool().recover();
        assert_eq!(channel.pool().members().len(), 1);
        self.pass(&channel, point);
        self.ledger.drain(&channel);
        assert!(states(&channel).iter().all(|state| *state == SlotState::Empty));
        assert_sound(channel.pool(), 1 + u64::from(self.ground.memory.is_some()));
        self.account(point.moment);
    }

    fn pass(&mut self, channel: &Channel, point: &Point) {
        let mode = [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle][point.index % 3];
        self.ledger.pass(channel, mode).unwrap_or_else(|error| panic!("{error}; {:?}", states(channel)));
    }

    fn account(&mut self, moment: Moment) {
        self.ledger.assert_passed(|number| self.stories.iter().any(|(known, _)| *known == number));
        for ((number, story), told) in self.stories.iter().zip(&mut self.told) {
            let fate = self.ledger.fate(*number);
            assert!(story.contains(&fate), "message {number} is {fate:?}");
            if moment == Moment::Died {
                told.push(fate);
            } else if *number >= 100 {
                assert_eq!(Some(&fate), story.last(), "message {number}, whose sender went on");
            }
        }
    }

    /// The stories that were told, from their first to their last word.
    fn assert_told(&mut self) {
        for ((number, story), told) in self.stories.iter().zip(&mut self.told) {
            told.dedup();
            assert_eq!(told, story, "message {number}");
        }
    }
}

/// Kills, and stops and continues, `operate` at its points.
fn sweep<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    stories: &'static [Story],
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    sweep_stopping(Points::AroundWrites, name, ground, floor, stories, prepare, operate);
}

/// As [`sweep`]; stops at other points. What allocates private memory or reads `/proc` takes another number of steps
/// each time, so the steps before a write are not to be counted from the last one.
fn sweep_stopping<T>(
    points: Points,
    name: &str,
    ground: &Ground,
    floor: usize,
    stories: &'static [Story],
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    let segment = FileSegment::open(&ground.path).unwrap();
    for (mode, points) in [(Mode::Kill, Points::AfterWrites), (Mode::StopThenContinue, points)] {
        let (ledger, told) = (Ledger::default(), vec![Vec::new(); stories.len()]);
        let mut onlooker = Onlooker { ground, stories, ledger, told };
        let sweep = Sweep::new(format!("channel, {name}, {mode:?}"), &segment).mode(mode).points(points);
        let sweep = sweep.choose(Choice::from_environment(10)).floor(floor);
        let look = |point: &Point| {
            onlooker.look(point);
            Ok(())
        };
        let report = sweep.run(|| prepare(ground), &operate, look).unwrap();
        report.assert_clean();
        if mode == Mode::Kill {
            onlooker.assert_told();
        }
    }
}

const SENT: &[Story] = &[(100, &[Absent, Fresh])];
const RECEIVED: &[Story] = &[(1, &[Fresh, Again, Absent])];
const LEASED: &[Story] = &[(1, &[Fresh, Again])];
const DONE: &[Story] = &[(1, &[Again, Absent])];

#[test]
fn send() {
    let ground = Ground::new("send", |_, _| ());
    let send = |channel: &mut Channel| channel.send(&letter(100)).unwrap();
    sweep("send, inline", &ground, 6, SENT, Ground::warm, send);
}

#[test]
fn send_an_allocation() {
    let ground = Ground::new("send-allocation", |_, _| ());
    let with_parcel = |ground: &Ground| {
        let channel = ground.warm();
        let memory = parcel(channel.pool(), 100);
        (channel, Some(memory))
    };
    let send = |(channel, memory): &mut (Channel, Option<Allocation>)| {
        channel.send_allocation(memory.take().unwrap()).unwrap();
    };
    sweep("send, allocation", &ground, 8, SENT, with_parcel, send);
}

/// Who was stopped may find that another has the message.
fn receive(channel: &mut Channel) {
    if let Ok(message) = channel.try_receive() {
        drop(message.into_bytes().unwrap());
    }
}

#[test]
fn receive_bytes() {
    let ground = Ground::with_letter("receive");
    sweep("receive, inline", &ground, 3, RECEIVED, Ground::warm, receive);
    let into_buffer = |channel: &mut Channel| {
        let mut bytes = [0; 40];
        if channel.receiver().try_receive_into(&mut bytes).is_ok() {
            assert_eq!(ledger::number_of(&bytes), 1);
        }
    };
    sweep("receive into, inline", &ground, 3, RECEIVED, Ground::warm, into_buffer);
}

#[test]
fn receive_an_allocation() {
    let ground = Ground::with_parcel("receive-allocation");
    sweep("receive, allocation", &ground, 5, RECEIVED, Ground::warm, receive);
}

#[test]
fn send_at_a_level_and_receive_from_it() {
    let ground = Ground::wide("send-urgent", |_, _| ());
    let with_sender = |ground: &Ground| {
        let channel = ground.warm();
        let urgent = channel.sender().with_priority(1).unwrap();
        (channel, urgent)
    };
    let send = |(_, urgent): &mut (Channel, Sender)| urgent.send(&letter(100)).unwrap();
    sweep("send, level 1 of 2", &ground, 7, SENT, with_sender, send);
    let ground = Ground::wide("receive-urgent", |_, channel| {
        channel.sender().with_priority(1).unwrap().send(&letter(1)).unwrap();
    });
    let into_buffer = |channel: &mut Channel| {
        let mut bytes = [0; 40];
        let _another_may_have_it = channel.receiver().try_receive_into(&mut bytes);
    };
    sweep("receive into, level 1 of 2", &ground, 3, RECEIVED, Ground::warm, into_buffer);
}

#[test]
fn side_load() {
    let ground = Ground::wide("send-book", |_, _| ());
    let send = |channel: &mut Channel| channel.send(&book(100)).unwrap();
    sweep("send, side-loaded", &ground, 10, SENT, Ground::warm, send);
    let ground = Ground::wide("receive-book", |_, channel| channel.send(&book(1)).unwrap());
    let into_buffer = |channel: &mut Channel| {
        let mut bytes = [0; 200];
        let _another_may_have_it = channel.receiver().try_receive_into(&mut bytes);
    };
    sweep("receive into, side-loaded", &ground, 5, RECEIVED, Ground::warm, into_buffer);
    sweep("lease done, side-loaded", &ground, 4, DONE, leased, done);
}

type Shared = (Channel, Option<Published>);

fn frozen(pool: &Pool, number: u64) -> Published {
    parcel(pool, number).freeze().unwrap()
}

fn published(pool: &Pool, number: u64) -> Published {
    parcel(pool, number).publish().unwrap()
}

#[test]
fn send_what_stays() {
    let ground = Ground::with_memory("send-frozen", |pool, _| Some(frozen(pool, 100)));
    let send = |(channel, memory): &mut Shared| {
        channel.sender().send_frozen(memory.as_ref().unwrap()).unwrap();
    };
    sweep("send, frozen", &ground, 8, SENT, Ground::warm_with_memory, send);
    let ground = Ground::with_memory("send-published", |pool, _| Some(published(pool, 100)));
    let send = |(channel, memory): &mut Shared| {
        channel.sender().send_published(memory.take().unwrap()).unwrap();
    };
    sweep("send, published", &ground, 8, SENT, Ground::warm_with_memory, send);
}

#[test]
fn receive_what_stays() {
    let ground = Ground::with_memory("receive-frozen", |pool, channel| {
        let memory = frozen(pool, 1);
        channel.sender().send_frozen(&memory).unwrap();
        Some(memory)
    });
    let points = Points::AfterWrites;
    sweep("receive, frozen", &ground, 3, RECEIVED, Ground::warm, receive);
    let ground = Ground::with_memory("receive-published", |pool, channel| {
        let memory = published(pool, 1);
        let other = pool.open(&memory.descriptor()).unwrap();
        channel.sender().send_published(memory).unwrap();
        Some(other)
    });
    sweep("receive, published", &ground, 4, RECEIVED, Ground::warm, receive);
}

#[test]
fn receive_to_a_landing_pad() {
    let land = |(channel, pad): &mut (Channel, Allocation)| {
        if channel.receiver().try_receive_to(pad).is_ok() {
            let mut bytes = [0; 40];
            pad.read(0, &mut bytes).unwrap();
            assert_eq!(ledger::number_of(&bytes), 1);
        }
    };
    let with_pad = |ground: &Ground| {
        let channel = ground.warm();
        let pad = channel.pool().alloc(200).unwrap();
        (channel, pad)
    };
    let ground = Ground::with_letter("landing");
    sweep("receive to, inline", &ground, 3, RECEIVED, with_pad, land);
    let ground = Ground::with_parcel("landing-allocation");
    sweep("receive to, allocation", &ground, 5, RECEIVED, with_pad, land);
}

type Leasing = (Channel, Option<Lease>);

fn lease((channel, lease): &mut Leasing) {
    *lease = channel.receiver().try_lease().ok();
}

fn leased(ground: &Ground) -> Leasing {
    let mut state = (ground.warm(), None);
    lease(&mut state);
    state
}

fn done((_, lease): &mut Leasing) {
    lease.take().unwrap().done().unwrap();
}

#[test]
fn lease_bytes() {
    let ground = Ground::with_letter("lease");
    sweep("lease, inline", &ground, 2, LEASED, |ground| (ground.warm(), None), lease);
    sweep("lease done, inline", &ground, 1, DONE, leased, done);
}

#[test]
fn lease_an_allocation() {
    let ground = Ground::with_parcel("lease-allocation");
    sweep("lease, allocation", &ground, 2, LEASED, |ground| (ground.warm(), None), lease);
    sweep("lease done, allocation", &ground, 4, DONE, leased, done);
}

/// Attached; and then one died who held messages 1 and 2, had sent message 3, and had memory of his own.
fn beside_a_dead_one(ground: &Ground) -> Channel {
    let channel = ground.warm();
    let mut victim = child::spawn(|| {
        let channel = ground.attach();
        let leases = [(); 2].map(|()| channel.receiver().try_lease().unwrap());
        channel.send(&letter(3)).unwrap();
        std::mem::forget((leases, parcel(channel.pool(), 4)));
        kill_process(getpid(), Signal::KILL).unwrap();
    })
    .unwrap();
    assert!(victim.wait().unwrap().was_killed());
    channel
}

#[test]
fn recovery() {
    let ground = Ground::new("recovery", |pool, channel| {
        channel.send(&letter(1)).unwrap();
        channel.send_allocation(parcel(pool, 2)).unwrap();
    });
    let stories: &[Story] = &[(1, &[Again]), (2, &[Again]), (3, &[Fresh])];
    let recover = |channel: &mut Channel| {
        channel.pool().recover();
    };
    let points = Points::AfterWrites;
    sweep("recovery", &ground, 12, stories, beside_a_dead_one, recover);
}
