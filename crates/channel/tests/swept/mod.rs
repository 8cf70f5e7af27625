//! A pool with a channel that nobody has attached while a sweep is about it, and what the others find at each point.
#![allow(dead_code, reason = "each test file uses its part")]

use weyr_channel::{Channel, ChannelAttributes, ChannelDescriptor, WaitMode};
use weyr_kill::{FileSegment, Moment, Point, Rendezvous, Report, Segments, Stops, Sweep, child};
use weyr_managed::{
    Allocation, AllocationDescriptor, BlockState, Mode as Verified, Pool, PoolAttributes, Published,
};
use weyr_shared::{Ring, SlotState};

use crate::ledger::{self, Fate, Ledger, assert_sound, attributes, letter, parcel, states, wide_attributes};
use crate::made_of::{self, Home};

/// What becomes of a message when the process dies ever later. Those below 100 are there from the start.
pub(crate) type Story = (u64, &'static [Fate]);

/// A pool with a channel, that nobody has attached while the sweep is about it.
pub(crate) struct Ground {
    home: Home,
    pub(crate) channel: ChannelDescriptor,
    /// Published or frozen memory that stays, whatever becomes of its messages.
    pub(crate) memory: Option<AllocationDescriptor>,
    /// The pool of its buffers, where that is another.
    pub(crate) buffers: Option<Home>,
    /// Another pool, whose memory goes through the channel.
    pub(crate) foreign: Option<Home>,
}

impl Ground {
    pub(crate) fn new(name: &str, furnish: impl FnOnce(&Pool, &Channel)) -> Self {
        Self::of(name, &attributes(3), |pool, channel| {
            furnish(pool, channel);
            None
        })
    }

    /// Of two levels, and with books.
    pub(crate) fn wide(name: &str, furnish: impl FnOnce(&Pool, &Channel)) -> Self {
        Self::of(name, &wide_attributes(3), |pool, channel| {
            furnish(pool, channel);
            None
        })
    }

    pub(crate) fn with_memory(
        name: &str,
        furnish: impl FnOnce(&Pool, &Channel) -> Option<Published>,
    ) -> Self {
        Self::of(name, &attributes(3), furnish)
    }

    pub(crate) fn of(
        name: &str,
        attributes: &ChannelAttributes,
        furnish: impl FnOnce(&Pool, &Channel) -> Option<Published>,
    ) -> Self {
        let (pool, home) = Self::small_pool(name);
        let channel = Channel::create(&pool, attributes).unwrap();
        let memory = furnish(&pool, &channel).map(|memory| memory.descriptor());
        Self { home, channel: channel.descriptor(), memory, buffers: None, foreign: None }
    }

    /// With books, whose buffers lie in a pool of their own.
    pub(crate) fn elsewhere(name: &str, furnish: impl FnOnce(&Pool, &Channel)) -> Self {
        let (buffers, home) = Self::small_pool(&format!("{name}-buffers"));
        let attributes = attributes(3).buffer_pool(&buffers);
        let ground = Self::of(name, &attributes, |pool, channel| {
            furnish(pool, channel);
            None
        });
        Self { buffers: Some(home), ..ground }
    }

    /// Through which memory of another pool goes, named in a slot of so many bytes or aside.
    pub(crate) fn foreign(name: &str, block_size: u64, furnish: impl FnOnce(&Pool, &Channel)) -> Self {
        let (foreign, home) = Self::small_pool(&format!("{name}-foreign"));
        let ground = Self::of(name, &attributes(3).block_size(block_size), |_, channel| {
            furnish(&foreign, channel);
            None
        });
        Self { foreign: Some(home), ..ground }
    }

    /// Attached, and with memory of the other pool.
    pub(crate) fn warm_with_foreign(&self) -> (Channel, Pool, Option<Allocation>) {
        let pool = self.foreign.as_ref().unwrap().attach().unwrap();
        let memory = parcel(&pool, 100);
        (self.warm(), pool, Some(memory))
    }

    fn small_pool(name: &str) -> (Pool, Home) {
        let pool = PoolAttributes::new(name, 128 << 10).page_size(4096);
        made_of::chosen().create(&pool.processes(4).lanes(8).channels(2))
    }

    /// All files that an operation may change.
    fn segments(&self) -> Segments {
        let homes = std::iter::once(&self.home).chain(&self.buffers).chain(&self.foreign);
        Segments::new(homes.map(|home| FileSegment::open(home.bytes()).unwrap()).collect())
    }

    /// Nothing is left in the pool of the buffers.
    fn assert_no_buffers(&self) {
        let Some(home) = &self.buffers else { return };
        let buffers = home.attach().unwrap();
        buffers.recover();
        assert_sound(&buffers, 0);
    }

    /// What is left in the other pool is that pool's, and one block at most: of a sender that died behind lending it.
    fn assert_nothing_owned(&self) {
        let Some(home) = &self.foreign else { return };
        let foreign = home.attach().unwrap();
        foreign.recover();
        let (verification, usage) = (foreign.verify(Verified::Quiesced), foreign.usage());
        assert!(verification.holds(), "{:#?}", verification.findings);
        let lent = usage.by_state.get(&BlockState::Pool).map_or(0, |lent| lent.blocks);
        assert!(usage.total.blocks == lent && lent <= 1, "{usage:?}");
    }

    pub(crate) fn with_letter(name: &str) -> Self {
        Self::new(name, |_, channel| channel.send(&letter(1)).unwrap())
    }

    pub(crate) fn with_parcel(name: &str) -> Self {
        Self::new(name, |pool, channel| channel.send_allocation(parcel(pool, 1)).unwrap())
    }

    pub(crate) fn pool(&self) -> Pool {
        self.home.attach().unwrap()
    }

    pub(crate) fn attach(&self) -> Channel {
        Channel::attach_in(&self.pool(), &self.channel).unwrap()
    }

    /// Attached, with a lane, and with a handle on the memory that stays.
    pub(crate) fn warm_with_memory(&self) -> (Channel, Option<Published>) {
        let channel = self.warm();
        let memory = channel.pool().open(self.memory.as_ref().unwrap()).unwrap();
        (channel, Some(memory))
    }

    /// Attached, and with a lane that has memory at hand.
    pub(crate) fn warm(&self) -> Channel {
        let channel = self.attach();
        drop(parcel(channel.pool(), 0));
        channel
    }
}

/// What the others find at the points of one sweep.
pub(crate) struct Onlooker<'g> {
    ground: &'g Ground,
    stories: &'static [Story],
    /// What they have received while the process stood.
    ledger: Ledger,
    /// What became of each message at ever later deaths.
    told: Vec<Vec<Fate>>,
    /// Sent while the process stands, so that it finds something when it goes on; it may have it then.
    pub(crate) spare: Option<u64>,
    /// What the process may have sent, and need not.
    pub(crate) perhaps: Option<u64>,
}

impl<'g> Onlooker<'g> {
    pub(crate) fn new(ground: &'g Ground, stories: &'static [Story]) -> Self {
        Self {
            ground,
            stories,
            ledger: Ledger::default(),
            told: vec![Vec::new(); stories.len()],
            spare: None,
            perhaps: None,
        }
    }

    pub(crate) fn look(&mut self, point: &Point) {
        let channel = self.ground.attach();
        if matches!(point.moment, Moment::Stopped | Moment::Died) {
            self.ledger = Ledger::default();
        }
        if point.moment == Moment::Stopped {
            self.pass(&channel, point);
            self.spare.iter().for_each(|number| channel.send(&letter(*number)).unwrap());
            let verification = channel.pool().verify(Verified::Online);
            assert!(verification.holds(), "{:#?}", verification.findings);
            return;
        }
        channel.pool().recover();
        assert_eq!(channel.pool().members().len(), 1);
        self.assert_nobody_listens(channel.pool());
        self.pass(&channel, point);
        self.ledger.drain(&channel);
        assert!(states(&channel).iter().all(|state| *state == SlotState::Empty));
        assert_sound(channel.pool(), 1 + u64::from(self.ground.memory.is_some()));
        self.ground.assert_no_buffers();
        self.ground.assert_nothing_owned();
        self.account(point.moment);
    }

    /// Who had the channel in a set is dead, and recovered.
    fn assert_nobody_listens(&self, pool: &Pool) {
        let reference = self.ground.channel.reference();
        let bytes = pool.channel_block(reference).unwrap().bytes;
        let ring = Ring::open(&pool.region().part(reference.offset, bytes).unwrap(), reference).unwrap();
        assert_eq!(ring.listeners().all().next(), None);
    }

    fn pass(&mut self, channel: &Channel, point: &Point) {
        let mode = [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle][point.index % 3];
        self.ledger.pass(channel, mode).unwrap_or_else(|error| panic!("{error}; {:?}", states(channel)));
    }

    fn account(&mut self, moment: Moment) {
        let known = |number| self.stories.iter().any(|(known, _)| *known == number);
        let others = [self.spare, self.perhaps];
        self.ledger.assert_passed(|number| known(number) || others.contains(&Some(number)));
        others.iter().flatten().for_each(|number| assert!(self.ledger.count(*number) <= 1));
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
    pub(crate) fn assert_told(&mut self) {
        for ((number, story), told) in self.stories.iter().zip(&mut self.told) {
            told.dedup();
            assert!(ledger::tells(told, story), "message {number}: {told:?} of {story:?}");
        }
    }
}

/// Attached, beside another process that does `act` when this one sleeps.
pub(crate) fn beside_another(ground: &Ground, act: impl FnOnce(&Channel)) -> Channel {
    let channel = ground.warm();
    let (ready, go_on) = (Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
    let prepare = || {
        let channel = ground.attach();
        ready.post().unwrap();
        go_on.wait().unwrap();
        channel
    };
    let act = |channel: Channel| {
        act(&channel);
        channel
    };
    let other = child::when_parent_sleeps(prepare, act).unwrap();
    ready.wait_from(&other).unwrap();
    go_on.post().unwrap();
    std::mem::forget(other);
    channel
}

/// Waits for those who die with who was killed, but not at once.
pub(crate) fn until_alone(ground: &Ground) {
    let pool = ground.pool();
    while pool.members().len() > 1 {
        pool.recover();
        std::thread::yield_now();
    }
}

/// Kills `operate` behind each of its writes, and stops and continues it anywhere; `look` looks.
pub(crate) fn kill_and_stop<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
    look: impl FnMut(&Point),
) {
    kill_and_stop_at(&Stops::anywhere(8), name, ground, floor, prepare, operate, look);
}

pub(crate) fn kill_and_stop_at<T>(
    stops: &Stops,
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
    mut look: impl FnMut(&Point),
) {
    let segment = ground.segments();
    let look = |point: &Point| {
        look(point);
        Ok(())
    };
    let sweep = Sweep::new(format!("channel, {name}"), &segment).floor(floor);
    let reports = sweep.kill_and_stop(10, stops, || prepare(ground), operate, look);
    reports.unwrap().iter().for_each(Report::assert_clean);
}

/// As [`kill_and_stop`]; what becomes of messages are these stories.
pub(crate) fn sweep<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    stories: &'static [Story],
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
) {
    let mut onlooker = Onlooker::new(ground, stories);
    kill_and_stop(name, ground, floor, prepare, operate, |point| onlooker.look(point));
    onlooker.assert_told();
}

pub(crate) const SENT: &[Story] = &[(100, &[Fate::Absent, Fate::Fresh])];
pub(crate) const RECEIVED: &[Story] = &[(1, &[Fate::Fresh, Fate::Again, Fate::Absent])];
pub(crate) const DONE: &[Story] = &[(1, &[Fate::Again, Fate::Absent])];
