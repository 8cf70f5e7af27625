//! Locks: taking and releasing one that nobody else wants, and one that all want.
//!
//! Who is inside adds one to a word, by a load and a store; at the end it must be the sum. Alone, the figure is
//! processor time; where several want it, the time that passed by the clock of the one that was longest about it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use weyr_managed::Pool;
use weyr_shared::Shareable;
use weyr_shared::lock::{FifoLiteLock, FifoLock, GreedyLock, Lock};

use crate::Result;
use crate::clock::{elapsed_time, processor_time};
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
const TOGETHER: u64 = 5_000;
const POOL_BYTES: u64 = 1 << 20;
/// Lines of a shared page: the word that is protected, and where the processes meet.
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

/// Each of so many processes goes inside as often as the others, all at once.
fn measure<M: Mutual>(
    users: usize,
    processors: Processors,
    effort: &Effort,
    mutual: impl Fn() -> Result<M>,
) -> Result<Samples> {
    let page = SharedPage::new()?;
    let each = effort.operations(if users == 1 { ALONE } else { TOGETHER });
    let use_all = || {
        let mutual = mutual()?;
        page.meet(MEETING, users as u64 - 1);
        (0..SAMPLES)
            .map(|_| sample(users, each, || inside(&mutual, &page, each)))
            .collect::<Result<Samples>>()
    };
    let works = (0..users).map(|user| Work::new(processors[user % 2], use_all));
    let samples = all_together(works.collect())?;
    let (sum, wanted) = (page.word(WORD).load(Ordering::Relaxed), users as u64 * each * SAMPLES);
    if sum != wanted {
        return Err(format!("{sum} were counted of {wanted}").into());
    }
    let longest = |index: usize| samples.iter().map(|own| own[index]).fold(0.0, f64::max);
    Ok((0..SAMPLES as usize).map(longest).collect())
}

/// In nanoseconds a use, by whomever.
fn sample(users: usize, each: u64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    if users == 1 { processor_time(each, work) } else { elapsed_time(each * users as u64, work) }
}

fn inside(mutual: &impl Mutual, page: &SharedPage, times: u64) -> Result<()> {
    let word = page.word(WORD);
    (0..times)
        .try_for_each(|_| mutual.inside(|| word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed)))
}
