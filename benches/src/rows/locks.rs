//! Locks: taking and releasing one that nobody else wants, and one that all want.
//!
//! Who is inside adds one to a word, by a load and a store; at the end it must be the sum. Alone, the figure is
//! processor time; where several want it, all begin at once and go on for the same time, however often each gets it, and
//! the figure is that time for each use by whomever.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use weyr_managed::Pool;
use weyr_shared::Shareable;
use weyr_shared::lock::{FifoLiteLock, FifoLock, GreedyLock, Lock};

use crate::Result;
use crate::clock::processor_time;
use crate::contestants::mutual::Mutual;
use crate::contestants::pthread_mutex::RobustMutex;
use crate::contestants::weyr_lock::{WeyrLock, place};
use crate::process::{Work, all_together, alone};
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples};
use crate::scratch::Scratch;
use crate::shared_page::SharedPage;

const GROUP: &str = "locks";
const PEER: &str = "robust pthread mutex";
const SAMPLES: u64 = 7;
const ALONE: u64 = 500_000;
/// For how long several want it in a sample, in microseconds, and how many uses lie between two looks at the clock.
const TOGETHER: u64 = 40_000;
const UNWATCHED: u64 = 32;
const POOL_BYTES: u64 = 1 << 20;
/// Lines of a shared page: the word that is protected, and where the processes meet, a line for each sample.
const WORD: usize = 0;
const MEETING: usize = 1;

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let kinds = [
        of::<GreedyLock>("greedy", processors),
        of::<FifoLiteLock>("FIFO lite", processors),
        of::<FifoLock>("FIFO", processors),
    ];
    kinds.into_iter().flatten().collect()
}

/// The rows of one kind.
fn of<L: Lock + Shareable>(kind: &str, processors: Processors) -> Vec<Row> {
    let own = move |users: usize| {
        move |effort: &Effort| {
            let scratch = Scratch::new()?;
            let path = made::<L>(&scratch, processors[0])?;
            measure(users, processors, effort, || WeyrLock::<L>::of(&path))
        }
    };
    let peers = move |users: usize| {
        move |effort: &Effort| {
            let mutex = RobustMutex::new()?;
            measure(users, processors, effort, || Ok(&mutex))
        }
    };
    let row = |what: &str, users: usize| {
        Row::new(GROUP, format!("{kind}, {what}")).with("weyr", own(users)).with(PEER, peers(users))
    };
    vec![
        row("one process", 1).must_times(1.0, PEER),
        row("two processes on two cores", 2),
        row("eight processes on two cores", 8),
    ]
}

fn made<L: Lock + Shareable>(scratch: &Scratch, processor: usize) -> Result<PathBuf> {
    alone(processor, || {
        let pool = Pool::create(&scratch.pool("locks", POOL_BYTES))?;
        place::<L>(&pool)?;
        Ok(pool.path().to_owned())
    })
}

impl<M: Mutual> Mutual for &M {
    #[inline]
    fn inside<T>(&self, act: impl FnOnce() -> T) -> Result<T> {
        (*self).inside(act)
    }
}

fn measure<M: Mutual>(
    users: usize,
    processors: Processors,
    effort: &Effort,
    mutual: impl Fn() -> Result<M>,
) -> Result<Samples> {
    if users > 1 {
        return contended(users, processors, effort, mutual);
    }
    let (page, each) = (SharedPage::new()?, effort.operations(ALONE));
    let samples = alone(processors[0], || {
        let mutual = mutual()?;
        (0..SAMPLES).map(|_| processor_time(each, || inside(&mutual, &page, each))).collect()
    })?;
    check_sum(&page, SAMPLES * each)?;
    Ok(samples)
}

fn check_sum(page: &SharedPage, wanted: u64) -> Result<()> {
    let sum = page.word(WORD).load(Ordering::Relaxed);
    if sum == wanted { Ok(()) } else { Err(format!("{sum} were counted of {wanted}").into()) }
}

/// So many processes want it, all at once, for the same time.
fn contended<M: Mutual>(
    users: usize,
    processors: Processors,
    effort: &Effort,
    mutual: impl Fn() -> Result<M>,
) -> Result<Samples> {
    let page = SharedPage::new()?;
    let time = Duration::from_micros(effort.operations(TOGETHER));
    let use_all = || {
        let mutual = mutual()?;
        let sample = |index: u64| {
            page.meet(MEETING + index as usize, users as u64 - 1);
            uses(&mutual, &page, time)
        };
        (0..SAMPLES).map(sample).collect::<Result<Vec<(u64, f64)>>>()
    };
    let works = (0..users).map(|user| Work::new(processors[user % 2], use_all));
    let uses = all_together(works.collect())?;
    check_sum(&page, uses.iter().flatten().map(|own| own.0).sum())?;
    let rate = |index: usize| uses.iter().map(|own| own[index].0 as f64 / own[index].1).sum::<f64>();
    Ok((0..SAMPLES as usize).map(|index| 1.0 / rate(index)).collect())
}

/// How often this process was inside in about that time, and the nanoseconds that it took.
fn uses(mutual: &impl Mutual, page: &SharedPage, time: Duration) -> Result<(u64, f64)> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        inside(mutual, page, UNWATCHED)?;
        count += UNWATCHED;
    }
    Ok((count, start.elapsed().as_nanos() as f64))
}

fn inside(mutual: &impl Mutual, page: &SharedPage, times: u64) -> Result<()> {
    let word = page.word(WORD);
    (0..times)
        .try_for_each(|_| mutual.inside(|| word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed)))
}
