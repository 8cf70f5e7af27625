//! A pool that nobody has attached while a sweep is about it, and what the others find at each point.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::PathBuf;

use weyr_kill::{FileSegment, Moment, Point, Stops, Sweep};
use weyr_managed::{Growth, Mode as Verified, Pool, PoolAttributes, Published};
use weyr_shared::BlockReference;

use crate::scratch::made_of::{self, Home, Made};
use crate::scratch::{self, assert_sound, assert_whole};

pub(crate) struct Ground {
    home: Home,
    /// The file of its bytes.
    pub(crate) path: PathBuf,
    /// Published blocks that are there.
    pub(crate) published: Vec<(BlockReference, u64)>,
}

impl Ground {
    pub(crate) fn new(name: &str, growth: Growth) -> Self {
        Self::of(name, |attributes| attributes.growth(growth))
    }

    pub(crate) fn of(name: &str, shape: impl FnOnce(PoolAttributes) -> PoolAttributes) -> Self {
        let attributes = PoolAttributes::new(name, 128 << 10).page_size(4096).segment_size(64 << 10);
        let attributes = attributes.processes(4).lanes(8).channels(4);
        let (_, home) = made_of::chosen().create(&shape(attributes));
        Self { path: home.bytes(), home, published: Vec::new() }
    }

    /// With published blocks of these sizes, whose owner has left.
    pub(crate) fn with_published(name: &str, sizes: &[u64]) -> Self {
        let mut ground = Self::new(name, Growth::None);
        let pool = ground.attach();
        for &bytes in sizes {
            let published = pool.alloc(bytes).unwrap().publish().unwrap();
            ground.published.push((published.reference(), bytes));
        }
        ground
    }

    /// With the block that a child will publish first: the first of its class, whoever asks.
    pub(crate) fn to_be_published(name: &str, bytes: u64) -> Self {
        let mut ground = Self::new(name, Growth::None);
        let first = ground.attach().alloc(bytes).unwrap().reference();
        let generation = first.generation + 1;
        ground.published.push((BlockReference { generation, ..first }, bytes));
        ground
    }

    pub(crate) fn attach(&self) -> Pool {
        self.home.attach().unwrap()
    }
}

/// Whether a sweep over pools that grow has sense: it makes them as long as they were.
pub(crate) fn allows_growth(test: &str) -> bool {
    made_of::allows(test, Made::can_be_shortened, "it does not grow, or cannot be made shorter again")
}

/// Opens a published block; none when it is gone.
pub(crate) fn open(pool: &Pool, (reference, bytes): (BlockReference, u64)) -> Option<Published> {
    scratch::open(pool, reference.offset, reference.generation, bytes).ok()
}

/// What the others find: everything is there or free, and all of it can be had.
pub(crate) fn look(ground: &Ground, moment: Moment) -> Result<(), String> {
    let pool = ground.home.attach().map_err(|error| error.to_string())?;
    if moment == Moment::Stopped {
        return go_on(&pool);
    }
    pool.recover();
    let left: Vec<Published> = ground.published.iter().filter_map(|block| open(&pool, *block)).collect();
    assert_sound(&pool, left.len() as u64);
    left.into_iter().for_each(|block| block.free().unwrap());
    assert_eq!(pool.members().len(), 1);
    assert_whole(&pool);
    Ok(())
}

/// The others allocate and free, whoever stands where.
pub(crate) fn go_on(pool: &Pool) -> Result<(), String> {
    for round in 0..500u64 {
        drop(pool.alloc(1 + round * 37 % 1000).map_err(|error| format!("while it stands: {error}"))?);
    }
    let verification = pool.verify(Verified::Online);
    if verification.holds() { Ok(()) } else { Err(format!("{:?}", verification.findings)) }
}

/// Kills `operate` behind each of its writes, and stops and continues it anywhere; `look` looks.
pub(crate) fn kill_and_stop<T>(
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
    look: impl FnMut(&Point) -> Result<(), String>,
) {
    kill_and_stop_at(&Stops::anywhere(10), name, ground, floor, prepare, operate, look);
}

pub(crate) fn kill_and_stop_at<T>(
    stops: &Stops,
    name: &str,
    ground: &Ground,
    floor: usize,
    prepare: impl Fn(&Ground) -> T,
    operate: impl Fn(&mut T),
    mut look: impl FnMut(&Point) -> Result<(), String>,
) {
    let segment = FileSegment::open(&ground.path).unwrap();
    let sweep = Sweep::new(name, &segment).floor(floor);
    let reports = sweep.kill_and_stop(8, stops, || prepare(ground), operate, |point| look(point));
    reports.unwrap().iter().for_each(weyr_kill::Report::assert_clean);
}

/// Attached, with its lane.
pub(crate) fn warm(ground: &Ground) -> Pool {
    let pool = ground.attach();
    drop(pool.alloc(3 << 12).unwrap());
    pool
}

pub(crate) fn hold(pool: &Pool, bytes: u64) {
    std::mem::forget(pool.alloc(bytes).unwrap());
}
