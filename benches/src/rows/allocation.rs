//! Allocating and freeing: processor time of one allocation and one free, by whoever does them. The memory is not
//! touched.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use weyr_managed::Pool;

use crate::clock::{processor_time, thread_time};
use crate::contestants;
use crate::contestants::allocator::Allocator;
use crate::contestants::boost;
use crate::contestants::glibc::Glibc;
use crate::contestants::mimalloc::Mimalloc;
use crate::contestants::weyr_pool::WeyrPool;
use crate::process::{Work, alone, together};
use crate::processor::{Processors, stay_on};
use crate::row::{Effort, Row, Samples, Target};
use crate::scratch::Scratch;
use crate::shared_page::SharedPage;
use crate::{Result, rows};

const GROUP: &str = "allocate";
/// Samples that a round takes; its figure is their median.
const SAMPLES: u64 = 7;
/// Blocks that live at once in the rows with random order.
const LIVE: usize = 1000;
/// Blocks handed over at once.
const BATCH: usize = 256;
const BOOST: &str = "boost.interprocess";
const KIB: usize = 1024;

/// One way of allocating and freeing `bytes`, so many times for each sample.
#[derive(Debug, Clone, Copy)]
struct Load {
    pattern: Pattern,
    bytes: usize,
    operations: u64,
}

#[derive(Debug, Clone, Copy)]
enum Pattern {
    /// Freed at once.
    Pair,
    /// Freed in random order among [`LIVE`] others.
    Churn,
    /// Freed by a thread on the other processor.
    HandOff,
}

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    use Pattern::{Churn, HandOff, Pair};
    let row = |name: &str, pattern, bytes, operations| {
        compared(name, Load { pattern, bytes, operations }, processors)
    };
    vec![
        row("64 B, one thread", Pair, 64, 500_000)
            .with_if(BOOST, boost::there(), move |effort| {
                boost::pairs(64, effort.operations(100_000), SAMPLES, processors)
            })
            .must_times(2.5, "mimalloc")
            .must(Target::Faster(8.0, BOOST.into())),
        row("256 B, one thread", Pair, 256, 500_000),
        row("4 KiB, one thread", Pair, 4 * KIB, 300_000).must_times(1.0, "mimalloc"),
        row("64 KiB, one thread", Pair, 64 * KIB, 200_000).must_times(2.0, "mimalloc"),
        row("1 MiB, one thread", Pair, KIB * KIB, 20_000)
            .must_times(0.35, "mimalloc")
            .must_times(5.0, "glibc"),
        row("64 B, random order over 1000", Churn, 64, 500_000).must_times(1.5, "mimalloc"),
        row("4 KiB, random order over 1000", Churn, 4 * KIB, 100_000),
        row("64 B, freed on another core", HandOff, 64, 500_000).must_times(1.0, "mimalloc"),
        row("4 KiB, freed on another core", HandOff, 4 * KIB, 50_000),
        two_processes(
            "64 B, two processes on one pool",
            Load { pattern: Pair, bytes: 64, operations: 500_000 },
            processors,
        ),
        two_processes(
            "64 B, random order, two processes on one pool",
            Load { pattern: Churn, bytes: 64, operations: 500_000 },
            processors,
        ),
    ]
}

/// Measures one allocator; the processor is the other one, for who frees there.
type Measure = fn(Load, usize, &Effort) -> Result<Samples>;

fn jemalloc() -> std::result::Result<Measure, String> {
    #[cfg(feature = "jemalloc")]
    return Ok(|load, other, effort| measure(&contestants::jemalloc::Jemalloc, load, other, effort));
    #[cfg(not(feature = "jemalloc"))]
    Err(contestants::not_built())
}

fn snmalloc() -> std::result::Result<Measure, String> {
    #[cfg(feature = "snmalloc")]
    return Ok(|load, other, effort| measure(&contestants::snmalloc::Snmalloc, load, other, effort));
    #[cfg(not(feature = "snmalloc"))]
    Err(contestants::not_built())
}

fn compared(name: &str, load: Load, processors: Processors) -> Row {
    let other = processors[1];
    let run = move |act: Measure| move |effort: &Effort| alone(processors[0], || act(load, other, effort));
    Row::new(GROUP, name)
        .with("weyr", run(measure_weyr))
        .with("mimalloc", run(|load, other, effort| measure(&Mimalloc, load, other, effort)))
        .with_built("jemalloc", jemalloc().map(run))
        .with_built("snmalloc", snmalloc().map(run))
        .with("glibc", run(|load, other, effort| measure(&Glibc, load, other, effort)))
}

fn measure_weyr(load: Load, other: usize, effort: &Effort) -> Result<Samples> {
    let scratch = Scratch::new()?;
    let pool = Pool::create(&scratch.pool("allocate", rows::POOL_BYTES))?;
    measure(&WeyrPool(pool), load, other, effort)
}

/// Samples of `load`, and a check that nothing is left.
fn measure<A: Allocator + Sync>(allocator: &A, load: Load, other: usize, effort: &Effort) -> Result<Samples> {
    let operations = effort.operations(load.operations);
    let samples = match load.pattern {
        Pattern::Pair => pairs(allocator, load.bytes, operations),
        Pattern::Churn => churn(allocator, load.bytes, operations),
        Pattern::HandOff => hand_offs(allocator, load.bytes, operations, other),
    }?;
    allocator.check_empty()?;
    Ok(samples)
}

/// Samples of blocks that are freed at once.
pub(super) fn pairs<A: Allocator>(allocator: &A, bytes: usize, operations: u64) -> Result<Samples> {
    let pairs = |count: u64| {
        for _ in 0..count {
            // Not `?`: to convert the error the compiler would copy what else is in the result, handle and all.
            match allocator.alloc(bytes) {
                Ok(block) => {
                    // Only where it is is made opaque: else a handle, which is several words, would be copied.
                    black_box(A::place(&block));
                    allocator.free(block);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    };
    pairs(operations / 10)?;
    (0..SAMPLES).map(|_| processor_time(operations, || pairs(operations))).collect()
}

fn churn<A: Allocator>(allocator: &A, bytes: usize, operations: u64) -> Result<Samples> {
    let mut live =
        (0..LIVE).map(|_| allocator.alloc(bytes).map_err(Into::into)).collect::<Result<Vec<_>>>()?;
    let order = random_indices();
    let mut replace = |count: u64| {
        for index in order.iter().cycle().take(count as usize) {
            match allocator.alloc(bytes) {
                Ok(block) => allocator.free(std::mem::replace(&mut live[usize::from(*index)], block)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    };
    replace(operations / 10)?;
    let samples = (0..SAMPLES).map(|_| processor_time(operations, || replace(operations))).collect();
    check_apart::<A>(&live)?;
    live.into_iter().for_each(|block| allocator.free(block));
    samples
}

/// Places of live blocks, in an order that is the same in every run (xorshift64; Marsaglia 2003).
fn random_indices() -> Vec<u16> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % LIVE as u64) as u16
    };
    (0..1 << 16).map(|_| next()).collect()
}

fn check_apart<A: Allocator>(live: &[A::Block]) -> Result<()> {
    let places: HashSet<u64> = live.iter().map(A::place).collect();
    if places.len() == live.len() {
        return Ok(());
    }
    Err(format!("{} live blocks share a place with another", live.len() - places.len()).into())
}

/// Processor time of allocating here plus that of freeing there; that of handing over is in neither.
fn hand_offs<A: Allocator + Sync>(
    allocator: &A,
    bytes: usize,
    operations: u64,
    other: usize,
) -> Result<Samples> {
    let batches = (operations / BATCH as u64).max(1);
    let (full, filled) = sync_channel::<Vec<A::Block>>(4);
    let (empty, emptied) = sync_channel::<Vec<A::Block>>(8);
    (0..6).try_for_each(|_| empty.send(Vec::with_capacity(BATCH)))?;
    thread::scope(|scope| {
        let freer = scope.spawn(move || free_batches(allocator, other, batches, &filled, &empty));
        let allocated = alloc_batches(allocator, bytes, batches, &full, &emptied);
        // A freer that waits for more than there is must see the end.
        drop((full, emptied));
        let freed = freer.join().map_err(|_| "the freeing thread panicked")??;
        Ok(allocated?.iter().zip(freed).map(|(allocated, freed)| allocated + freed).collect())
    })
}

fn alloc_batches<A: Allocator>(
    allocator: &A,
    bytes: usize,
    batches: u64,
    full: &SyncSender<Vec<A::Block>>,
    emptied: &Receiver<Vec<A::Block>>,
) -> Result<Samples> {
    // In memory of this thread until the clock has stopped: a handle is several words, a pointer one.
    let mut own = Vec::with_capacity(BATCH);
    sampled(batches, || {
        let mut batch = emptied.recv().map_err(|_| "the freeing thread has ended")?;
        let start = thread_time();
        for _ in 0..BATCH {
            match allocator.alloc(bytes) {
                Ok(block) => own.push(block),
                Err(error) => return Err(error.into()),
            }
        }
        let time = thread_time() - start;
        batch.append(&mut own);
        full.send(batch).map_err(|_| "the freeing thread has ended")?;
        Ok(time)
    })
}

fn free_batches<A: Allocator>(
    allocator: &A,
    processor: usize,
    batches: u64,
    filled: &Receiver<Vec<A::Block>>,
    empty: &SyncSender<Vec<A::Block>>,
) -> std::result::Result<Samples, String> {
    let free = || {
        stay_on(processor)?;
        let mut own = Vec::with_capacity(BATCH);
        sampled(batches, || {
            let mut batch = filled.recv().map_err(|_| "the allocating thread has ended")?;
            own.append(&mut batch);
            let start = thread_time();
            own.drain(..).for_each(|block| allocator.free(block));
            let time = thread_time() - start;
            // At the end nobody takes it any more.
            let _ = empty.send(batch);
            Ok(time)
        })
    };
    free().map_err(|error: Box<dyn std::error::Error>| error.to_string())
}

/// Time of an operation in [`SAMPLES`] samples of `batches` batches each, after one sample that does not count.
fn sampled(batches: u64, mut batch: impl FnMut() -> Result<f64>) -> Result<Samples> {
    let mut sample = || {
        let mut time = 0.0;
        for _ in 0..batches {
            time += batch()?;
        }
        Ok(time / (batches * BATCH as u64) as f64)
    };
    let samples: Result<Samples> = (0..=SAMPLES).map(|_| sample()).collect();
    samples.map(|mut samples| samples.split_off(1))
}

/// Two processes that do the same at once beside one that is alone; the slower of the two counts.
fn two_processes(name: &str, load: Load, processors: Processors) -> Row {
    Row::new(GROUP, name)
        .with("weyr", move |effort| both(load, processors, effort))
        .with("one process", move |effort| alone(processors[0], || measure_weyr(load, processors[1], effort)))
        .must_times(1.3, "one process")
}

fn both(load: Load, processors: Processors, effort: &Effort) -> Result<Samples> {
    let (scratch, page) = (Scratch::new()?, SharedPage::new()?);
    let path = rows::make_pool(&scratch, processors[0], "both", rows::POOL_BYTES)?;
    let work = |processor| {
        let (path, page) = (&path, &page);
        Work::new(processor, move || {
            let pool = weyr_managed::Pool::attach_path(path)?;
            page.meet(0, 1);
            let samples = measure_shared(&WeyrPool(pool), load, effort)?;
            // Neither leaves before both have measured.
            page.meet(1, 1);
            Ok(samples)
        })
    };
    let [one, two] = together(processors.map(work))?;
    Ok(one.iter().zip(two).map(|(one, two)| one.max(two)).collect())
}

/// As `measure`, in a pool that another process uses too.
fn measure_shared(allocator: &WeyrPool, load: Load, effort: &Effort) -> Result<Samples> {
    let operations = effort.operations(load.operations);
    match load.pattern {
        Pattern::Churn => churn(allocator, load.bytes, operations),
        Pattern::Pair | Pattern::HandOff => pairs(allocator, load.bytes, operations),
    }
}
