//! Pools and descriptors: creating, attaching, opening, and what metadata takes.

use std::hint::black_box;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use weyr_managed::{AllocationDescriptor, Error, Growth, Pool, Published};

use crate::Result;
use crate::clock::{elapsed_time, processor_time};
use crate::contestants::boost::{self, Opening};
use crate::contestants::python;
use crate::contestants::weyr_pool::sound;
use crate::process::{Work, alone, together};
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples, Target, Unit};
use crate::rows::{POOL_BYTES, make_pool};
use crate::scratch::Scratch;
use crate::shared_page::SharedPage;

const GROUP: &str = "pool";
const MICROSECOND: f64 = 1e3;
const BOOST: &str = "boost.interprocess";
const PYTHON: &str = "Python SharedMemory";

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let here = processors[0];
    let create = |name: &str, bytes: u64| {
        Row::new(GROUP, format!("create, {name}"))
            .with("weyr", move |effort| alone(here, || created(bytes, effort)))
            .must_at_most(200.0 * MICROSECOND)
    };
    let grow = |name: &str, bytes: u64| {
        Row::new(GROUP, name)
            .with("weyr", move |effort| alone(here, || grown(bytes, effort)))
            .with("fallocate", move |effort| alone(here, || allocated_by_the_kernel(bytes, effort)))
            .must(Target::Above(20.0 * MICROSECOND, "fallocate".into()))
    };
    vec![
        create("32 KiB", 32 << 10),
        create("1 MiB", 1 << 20),
        create("1 GiB", 1 << 30),
        create("64 GiB", 64 << 30),
        Row::new(GROUP, "attach, process attached before")
            .with("weyr", move |effort| attached_again(processors, effort))
            .with_if(BOOST, boost::there(), move |effort| {
                boost::opening(Opening::Again, 1, effort.operations(1000), processors)
            })
            .with_if(PYTHON, python::there(), move |effort| {
                python::opening(true, effort.operations(1000), processors)
            })
            .must_at_most(15.0 * MICROSECOND),
        Row::new(GROUP, "attach, first of a process")
            .with("weyr", move |_| attached_first(processors))
            .with_if(BOOST, boost::there(), move |_| boost::opening(Opening::First, 1, 3, processors))
            .with_if(PYTHON, python::there(), move |_| python::opening(false, 3, processors)),
        Row::new(GROUP, "open a descriptor and let go")
            .with("weyr", move |effort| {
                alone(here, || opened(effort, |pool, descriptor, _| pool.open(descriptor)))
            })
            .with_if(format!("{BOOST}, address of a handle"), boost::there(), move |effort| {
                boost::opening(Opening::Handle, effort.operations(1_000_000), 7, processors)
            })
            .must_at_most(50.0),
        Row::new(GROUP, "the same from the descriptor's bytes").with("weyr", move |effort| {
            alone(here, || {
                opened(effort, |pool, _, bytes| pool.open(&AllocationDescriptor::from_bytes(bytes)?))
            })
        }),
        Row::new(GROUP, "recover 1 GiB, 100,000 allocations of the dead")
            .with("weyr", move |_| recovered(processors))
            .must_at_most(50_000.0 * MICROSECOND),
        grow("grow by 1 MiB, and use it", 1 << 20),
        grow("grow by 16 MiB, and use them", 16 << 20),
        Row::new(GROUP, "metadata of 1 GiB full of 4 KiB")
            .counted(Unit::Percent)
            .with("weyr", move |_| alone(here, metadata_share))
            .must_at_most(1.0),
    ]
}

fn created(bytes: u64, effort: &Effort) -> Result<Samples> {
    let scratch = Scratch::new()?;
    let create = |index: u64| {
        let attributes = scratch.pool(&format!("created-{index}"), bytes);
        let start = Instant::now();
        let pool = Pool::create(&attributes)?;
        let time = start.elapsed().as_nanos() as f64;
        if pool.size() < bytes {
            return Err(format!("a pool of {} bytes was made, not of {bytes}", pool.size()).into());
        }
        pool.destroy()?;
        Ok(time)
    };
    create(0)?;
    (1..=effort.operations(100)).map(create).collect()
}

/// What `measure` gives in a process, while another is attached to the pool at the path that it gets.
fn beside_a_member(
    processors: Processors,
    measure: impl FnOnce(&Path) -> Result<Samples>,
) -> Result<Samples> {
    let (scratch, page) = (Scratch::new()?, SharedPage::new()?);
    let path = make_pool(&scratch, processors[0], "attached", POOL_BYTES)?;
    let member = Work::new(processors[1], || {
        let pool = Pool::attach_path(&path)?;
        let memory = pool.alloc(4096)?;
        page.meet(0, 1);
        page.meet(1, 1);
        drop(memory);
        Ok(vec![])
    });
    let measurer = Work::new(processors[0], || {
        page.meet(0, 1);
        let samples = measure(&path);
        page.meet(1, 1);
        samples
    });
    let [_, samples] = together([member, measurer])?;
    Ok(samples)
}

fn attached_again(processors: Processors, effort: &Effort) -> Result<Samples> {
    let count = effort.operations(1000);
    beside_a_member(processors, |path| {
        time_of_attaching(path)?;
        (0..count).map(|_| time_of_attaching(path)).collect()
    })
}

fn attached_first(processors: Processors) -> Result<Samples> {
    beside_a_member(processors, |path| Ok(vec![time_of_attaching(path)?]))
}

fn time_of_attaching(path: &Path) -> Result<f64> {
    let mut pool = None;
    let time = elapsed_time(1, || {
        pool = Some(Pool::attach_path(path)?);
        Ok(())
    })?;
    let members = pool.as_ref().map_or(0, |pool| pool.members().len());
    if members == 2 { Ok(time) } else { Err(format!("the pool has {members} members, not 2").into()) }
}

/// Attaching to a pool whose only user is dead.
fn recovered(processors: Processors) -> Result<Samples> {
    const LIVE: usize = 100_000;
    let scratch = Scratch::new()?;
    let path = alone(processors[1], || {
        let pool = Pool::create(&scratch.pool("recovered", POOL_BYTES))?;
        let held = (0..LIVE).map(|_| pool.alloc(4096)).collect::<std::result::Result<Vec<_>, _>>()?;
        let path = pool.path().to_owned();
        // It ends without leaving.
        std::mem::forget((held, pool));
        Ok(path)
    })?;
    alone(processors[0], || {
        let start = Instant::now();
        let pool = Pool::attach_path(&path)?;
        let time = start.elapsed().as_nanos() as f64;
        let (left, times) = (pool.usage().total.blocks, pool.usage().recoveries);
        let found = (left, times) == (0, 1) && pool.members().len() == 1;
        if found { Ok(vec![time]) } else { Err(format!("{left} blocks left, {times} recoveries").into()) }
    })
}

/// Allocations that fill a segment of so many bytes each, and so add it.
fn grown(segment_bytes: u64, effort: &Effort) -> Result<Samples> {
    let count = effort.operations(40);
    let scratch = Scratch::new()?;
    let attributes = scratch.pool("grown", segment_bytes).segment_size(segment_bytes);
    let pool = Pool::create(&attributes.growth(Growth::UpTo(POOL_BYTES)))?;
    let mut held = vec![pool.alloc(segment_bytes)?];
    let samples = (0..count).map(|_| {
        let before = pool.size();
        let time = elapsed_time(1, || {
            held.push(pool.alloc(segment_bytes)?);
            Ok(())
        })?;
        if pool.size() == before + segment_bytes { Ok(time) } else { Err("it did not grow".into()) }
    });
    samples.collect()
}

/// As much memory behind a file beside the pools.
fn allocated_by_the_kernel(segment_bytes: u64, effort: &Effort) -> Result<Samples> {
    let count = effort.operations(40);
    let scratch = Scratch::new()?;
    let file = std::fs::File::create_new(scratch.path().join("plain"))?;
    let allocate = |index: u64| {
        elapsed_time(1, || {
            let start = index * segment_bytes;
            Ok(rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), start, segment_bytes)?)
        })
    };
    (0..count).map(allocate).collect()
}

/// Samples of `count` times `open`, of a descriptor and its bytes.
fn opened(
    effort: &Effort,
    open: impl Fn(&Pool, &AllocationDescriptor, &[u8]) -> std::result::Result<Published, Error>,
) -> Result<Samples> {
    let scratch = Scratch::new()?;
    let pool = Pool::create(&scratch.pool("opened", POOL_BYTES))?;
    let published = pool.alloc(4096)?.publish()?;
    let (descriptor, count) = (published.descriptor(), effort.operations(200_000));
    let bytes = descriptor.to_bytes();
    let opens = || {
        for _ in 0..count {
            black_box(&open(&pool, &descriptor, black_box(&bytes))?);
        }
        Ok(())
    };
    let samples = (0..7).map(|_| processor_time(count, opens)).collect();
    published.free()?;
    sound(&pool)?;
    samples
}

/// What the object takes beyond its data, in percent of the data, when the pool is full.
fn metadata_share() -> Result<Samples> {
    let scratch = Scratch::new()?;
    let pool = Pool::create(&scratch.pool("full", POOL_BYTES))?;
    let mut full = Vec::with_capacity((POOL_BYTES / 4096) as usize);
    let refused = loop {
        match pool.alloc(4096) {
            Ok(block) => full.push(block),
            Err(error) => break error,
        }
    };
    let data = full.len() as u64 * 4096;
    if !matches!(refused, Error::NoMemory { .. }) || data < POOL_BYTES / 100 * 97 {
        return Err(format!("the pool was full after {data} bytes: {refused}").into());
    }
    let resident = std::fs::metadata(pool.path())?.blocks() * 512;
    Ok(vec![resident.saturating_sub(pool.size()) as f64 * 100.0 / data as f64])
}
