//! Death, and a stop, at the machine instructions of making a channel with a name and of looking for one, beside others
//! who want that name: in the build that users run.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

#[path = "../../managed/tests/made_of/mod.rs"]
mod made_of;

use made_of::Home;
use weyr_channel::{Channel, ChannelAttributes, Error};
use weyr_kill::{FileSegment, Moment, Point, Report, Stops, Sweep, is_few_writes};
use weyr_managed::{Allocation, Mode as Verified, Pool, PoolAttributes};
use weyr_shared::{BlockReference, Geometry, Ring, RingName};

fn attributes() -> ChannelAttributes {
    ChannelAttributes::new().block_size(64).capacity(2)
}

/// A pool that nobody has attached while a sweep is about it.
struct Ground {
    home: Home,
}

impl Ground {
    fn new(furnish: impl FnOnce(&Pool)) -> Self {
        let pool = PoolAttributes::new("naming", 128 << 10).page_size(4096);
        let (pool, home) = made_of::chosen().create(&pool.processes(4).lanes(8).channels(4));
        furnish(&pool);
        Self { home }
    }

    fn attach(&self) -> Pool {
        self.home.attach().unwrap()
    }

    /// Attached, with memory at hand, so that the channel is all that is made.
    fn warm(&self) -> State {
        let pool = self.attach();
        drop(pool.alloc(1000).unwrap());
        (pool, None)
    }
}

type State = (Pool, Option<Channel>);

fn create((pool, channel): &mut State) {
    *channel = match Channel::create_named(pool, "wanted", &attributes()) {
        Ok(channel) => Some(channel),
        Err(Error::NameTaken { .. }) => None,
        Err(error) => panic!("{error}"),
    };
}

fn attach((pool, channel): &mut State) {
    *channel = match Channel::attach_named(pool, "wanted") {
        Ok(channel) => Some(channel),
        Err(Error::NoSuchChannel { .. }) => None,
        Err(error) => panic!("{error}"),
    };
}

/// A candidate for the name that is not settled: what one leaves who has made it and does no more.
fn leave_candidate(pool: &Pool, memory: Allocation) -> BlockReference {
    let geometry =
        Geometry { block_size: 64, capacity: 2, processes: pool.process_limit(), ..Geometry::PLAIN };
    let reference = memory.reference();
    let region = pool.region().part(reference.offset, geometry.bytes()).unwrap();
    let ring = Ring::format(&region, &geometry, reference).unwrap();
    ring.set_name(&RingName::new(b"wanted").unwrap());
    pool.make_channel(memory).unwrap().reference
}

/// Memory for a channel.
fn room(pool: &Pool) -> Option<Allocation> {
    pool.alloc(attributes().bytes(pool.process_limit()).unwrap()).ok()
}

/// The first or the last place for a channel of all that are free.
fn room_at_an_end(pool: &Pool, first: bool) -> Allocation {
    let mut all: Vec<Allocation> = std::iter::from_fn(|| room(pool)).collect();
    all.sort_by_key(|memory| memory.reference().offset);
    if first { all.swap_remove(0) } else { all.pop().unwrap() }
}

/// Whoever looks gets a channel that works, the same as all others; and only that one is left of the dead. Returns its
/// block.
fn look(ground: &Ground, point: &Point) -> BlockReference {
    let pool = ground.attach();
    if point.moment != Moment::Stopped {
        pool.recover();
        assert_eq!(pool.members().len(), 1);
    }
    let channel = Channel::attach_or_create(&pool, "wanted", &attributes()).unwrap();
    let named = channel.descriptor().reference();
    let again = Channel::attach_named(&pool, "wanted").unwrap();
    assert_eq!(channel.descriptor(), again.descriptor());
    again.try_send(b"through").unwrap();
    assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), b"through");
    if point.moment == Moment::Stopped {
        return named;
    }
    drop(again);
    assert_eq!(pool.channel_blocks().len(), 1);
    channel.destroy().unwrap();
    let verification = pool.verify(Verified::Quiesced);
    assert!(verification.holds() && verification.blocks == 0, "{verification:#?}");
    named
}

fn sweep(name: &str, ground: &Ground, floor: usize, operate: fn(&mut State), mut look: impl FnMut(&Point)) {
    let segment = FileSegment::open(ground.home.bytes()).unwrap();
    let look = |point: &Point| {
        look(point);
        Ok(())
    };
    let sweep = Sweep::new(format!("channel, {name}"), &segment).floor(floor);
    let reports = sweep.kill_and_stop(8, &Stops::anywhere(10), || ground.warm(), operate, look);
    reports.unwrap().iter().for_each(Report::assert_clean);
}

#[test]
fn making_a_channel_with_a_name() {
    let ground = Ground::new(|_| ());
    sweep("create named", &ground, 10, create, |point| {
        look(&ground, point);
    });
}

#[test]
fn settling_a_candidate() {
    let ground = Ground::new(|pool| {
        leave_candidate(pool, room(pool).unwrap());
    });
    let look = |point: &Point| {
        look(&ground, point);
    };
    sweep("attach named", &ground, 3, attach, look);
    sweep("create beside", &ground, 3, create, look);
}

/// The other's candidate appears at the point, and is left to the process; who has the name in the end is told for
/// each process that went on.
fn beside_another(name: &str, first: bool) -> Vec<bool> {
    let ground = Ground::new(|_| ());
    let mut other = None;
    let mut told = Vec::new();
    sweep(name, &ground, 10, create, |point| {
        if point.moment != Moment::Ended {
            let pool = ground.attach();
            other = Some(leave_candidate(&pool, room_at_an_end(&pool, first)));
        }
        if point.moment != Moment::Stopped {
            let named = look(&ground, point);
            told.extend((point.moment == Moment::Ended).then_some(Some(named) != other));
        }
    });
    told
}

#[test]
fn creating_beside_another() {
    let ahead = beside_another("create beside one that comes first", true);
    let behind = beside_another("create beside one that comes later", false);
    let won = |told: &[bool]| told.iter().filter(|won| **won).count();
    assert!(won(&ahead) > 0 && won(&behind) < behind.len());
    // Once it has made a candidate of its own, that wins if its block comes first.
    assert!(is_few_writes() || won(&behind) > won(&ahead), "{behind:?} {ahead:?}");
}
