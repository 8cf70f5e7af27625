//! Pools in files on a disk and in huge pages beside those in shared memory, once their memory was touched.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use weyr_managed::{Pool, PoolAttributes, PoolType};

use crate::Result;
use crate::clock::processor_time;
use crate::contestants::allocator::Allocator;
use crate::contestants::weyr_pool::{WeyrPool, sound};
use crate::process::alone;
use crate::processor::Processors;
use crate::row::{Effort, Row, Samples};
use crate::rows::allocation::pairs;

const GROUP: &str = "pool types";
const SHARED: &str = "weyr, shared memory";
const POOL_BYTES: u64 = 64 << 20;
const TOUCHED_BYTES: u64 = 32 << 20;
const PAGE_BYTES: u64 = 4096;
const SAMPLES: u64 = 7;
/// What the touched bytes, the tables and a slab or two need.
const HUGE_PAGES: u64 = 24;
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// What lies under a pool.
#[derive(Debug, Clone, Copy)]
enum Medium {
    Shared,
    File,
    HugePages,
}

type Measure = fn(&Pool, &Effort) -> Result<Samples>;

pub(crate) fn rows(processors: Processors) -> Vec<Row> {
    let loads: [(&str, Measure); 3] = [
        ("64 B", |pool, effort| pairs_in(pool, 64, effort.operations(500_000))),
        ("64 KiB", |pool, effort| pairs_in(pool, 64 << 10, effort.operations(200_000))),
        ("random touch of 32 MiB", |pool, effort| touches(pool, effort.operations(200_000))),
    ];
    let media = [Medium::File, Medium::HugePages];
    let all = media.into_iter().flat_map(|medium| loads.map(|(what, load)| (medium, what, load)));
    all.map(|(medium, what, load)| row(medium, what, load, processors)).collect()
}

fn row(medium: Medium, what: &str, measure: Measure, processors: Processors) -> Row {
    let (own, title) = match medium {
        Medium::Shared => (SHARED, "shared memory"),
        Medium::File => ("weyr, file", "pool in a file"),
        Medium::HugePages => ("weyr, huge pages", "pool of huge pages"),
    };
    let run = move |medium: Medium| {
        move |effort: &Effort| alone(processors[0], || measure(&medium.pool()?.0, effort))
    };
    Row::new(GROUP, format!("{what}, {title}"))
        .with_if(own, medium.directory().map(drop), run(medium))
        .with(SHARED, run(Medium::Shared))
        .must_times(1.1, SHARED)
}

impl Medium {
    /// Where it is to be had, or why not.
    fn directory(self) -> std::result::Result<PathBuf, String> {
        match self {
            Self::Shared => Ok(weyr_managed::name::DEFAULT_DIRECTORY.into()),
            Self::File => disk(),
            Self::HugePages => hugetlbfs(),
        }
    }

    /// A pool in a directory that goes with it.
    fn pool(self) -> Result<(Pool, TempDir)> {
        let kind = match self {
            Self::Shared => PoolType::SharedMemory,
            Self::File => PoolType::File,
            Self::HugePages => PoolType::HugePages,
        };
        let directory =
            tempfile::Builder::new().prefix(&crate::scratch::name("")).tempdir_in(self.directory()?)?;
        let attributes = PoolAttributes::new("media", POOL_BYTES).pool_type(kind);
        Ok((Pool::create(&attributes.directory(directory.path()))?, directory))
    }
}

/// Beside this program, if that is no memory.
fn disk() -> std::result::Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let directory = own.parent().unwrap_or(Path::new("/")).to_owned();
    let system = rustix::fs::statfs(&directory).map_err(|error| error.to_string())?;
    if system.f_type as i64 == TMPFS_MAGIC { Err("no disk beside the program".into()) } else { Ok(directory) }
}

/// Where huge pages of the kernel can be had: a hugetlbfs that is mounted, and enough pages that are free.
fn hugetlbfs() -> std::result::Result<PathBuf, String> {
    let mounts = std::fs::read_to_string("/proc/mounts").map_err(|error| error.to_string())?;
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mounted = mounts.find(|fields| fields.get(2) == Some(&"hugetlbfs"));
    let directory = mounted.and_then(|fields| fields.get(1).copied()).ok_or("no hugetlbfs is mounted")?;
    let memory = std::fs::read_to_string("/proc/meminfo").map_err(|error| error.to_string())?;
    let free = memory.lines().find_map(|line| line.strip_prefix("HugePages_Free:")?.trim().parse().ok());
    if free.unwrap_or(0) < HUGE_PAGES {
        return Err(format!("fewer than {HUGE_PAGES} huge pages are free: /proc/sys/vm/nr_hugepages"));
    }
    Ok(directory.into())
}

/// Blocks that are freed at once.
fn pairs_in(pool: &Pool, bytes: usize, operations: u64) -> Result<Samples> {
    let pool = WeyrPool(pool.clone());
    // Touched.
    pool.0.alloc(bytes as u64)?.fill(1)?;
    let samples = pairs(&pool, bytes, operations);
    pool.check_empty()?;
    samples
}

/// A load and a store in a word anywhere in memory of which every page was touched, in an order that is the same in
/// every run (xorshift64; Marsaglia 2003). Each place depends on the word before.
fn touches(pool: &Pool, operations: u64) -> Result<Samples> {
    const WORDS: u64 = TOUCHED_BYTES / 8;
    let published = pool.alloc(TOUCHED_BYTES)?.publish()?;
    let words = published.atomics::<AtomicU64>(0, WORDS)?;
    (0..WORDS)
        .step_by((PAGE_BYTES / 8) as usize)
        .for_each(|word| words[word as usize].store(0, Ordering::Relaxed));
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut touch = |count: u64| {
        for _ in 0..count {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let word = &words[(state % WORDS) as usize];
            let seen = word.load(Ordering::Relaxed);
            word.store(seen ^ 1, Ordering::Relaxed);
            // One or nought, by what was loaded: so the next place waits for it.
            state = state.wrapping_add(seen & 1);
        }
        Ok(())
    };
    touch(operations)?;
    let samples = (0..SAMPLES).map(|_| processor_time(operations, || touch(operations))).collect();
    drop(words);
    published.free()?;
    sound(pool)?;
    samples
}
