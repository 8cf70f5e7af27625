//! How large the chunks and the pool are, so that they fit where the pool lies.

use std::path::Path;

use weyr::{ChannelAttributes, PoolAttributes};

use super::message::{HEADER_BYTES, REPLY_BYTES};
use crate::arguments::{DemoArguments, SMALLEST_CHUNK};
use crate::failure::Failure;
use crate::output;

/// What a page can have at most, in bytes: what an allocation is rounded up to.
const LARGEST_PAGE: u64 = 64 << 10;
/// Room for small blocks, in bytes.
const SLACK: u64 = 1 << 20;

/// Sizes of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Worker processes.
    pub(crate) workers: u32,
    /// Bytes of a chunk.
    pub(crate) chunk_bytes: u64,
    /// Chunks that can wait, or be worked on, at once.
    pub(crate) capacity: u64,
    /// Whether chunks are copied through the channel.
    pub(crate) copy: bool,
}

impl Plan {
    /// What was asked for, or as much of it as fits into `directory`.
    pub(crate) fn choose(arguments: &DemoArguments, directory: &Path) -> Result<Self, Failure> {
        let workers = arguments.workers.unwrap_or_else(default_workers);
        let free = free_bytes(directory)?;
        let asked = Self {
            workers,
            chunk_bytes: arguments.chunk,
            capacity: full_capacity(workers),
            copy: arguments.copy,
        };
        let plan = asked.shrunk_to(free).ok_or_else(|| asked.does_not_fit(directory, free))?;
        if plan != asked {
            output::note(format_args!(
                "{} has only {} free: chunks of {}, {} at once",
                directory.display(),
                output::bytes(free),
                output::bytes(plan.chunk_bytes),
                plan.capacity
            ));
        }
        Ok(plan)
    }

    /// The largest plan that takes at most nine tenths of `free` bytes: fewer chunks at once first, then smaller ones.
    fn shrunk_to(self, free: u64) -> Option<Self> {
        let fits = |plan: &Self| plan.pool_bytes() <= free / 10 * 9;
        let capacities = [full_capacity(self.workers), least_capacity(self.workers)];
        let chunks = std::iter::successors(Some(self.chunk_bytes), |bytes| Some(bytes / 2));
        let possible = chunks.take_while(|&bytes| bytes >= SMALLEST_CHUNK);
        possible
            .flat_map(|chunk_bytes| capacities.map(|capacity| Self { chunk_bytes, capacity, ..self }))
            .find(fits)
    }

    fn does_not_fit(&self, directory: &Path, free: u64) -> Failure {
        let least = Self { chunk_bytes: SMALLEST_CHUNK, capacity: least_capacity(self.workers), ..*self };
        Failure::System(format!(
            "{} has {} free and the demo needs {}; free some, pass --directory or set WEYR_DIR, or mount a larger one \
             (docker run --shm-size, mount -o remount,size=...)",
            directory.display(),
            output::bytes(free),
            output::bytes(least.pool_bytes() / 9 * 10 + 10)
        ))
    }

    /// Processes that the pool has room for.
    fn processes(&self) -> u32 {
        self.workers + 16
    }

    /// Attributes of the channel that carries the chunks.
    pub(crate) fn work(&self) -> ChannelAttributes {
        let attributes = ChannelAttributes::new().capacity(self.capacity);
        if self.copy {
            attributes.block_size(HEADER_BYTES + self.chunk_bytes)
        } else {
            attributes.block_size(64)
        }
    }

    /// Attributes of the channel that carries the answers.
    pub(crate) fn replies(&self) -> ChannelAttributes {
        ChannelAttributes::new().capacity(16 + 4 * u64::from(self.workers)).block_size(REPLY_BYTES)
    }

    /// Bytes of the pool: the chunks, one more that is being filled, and the channels.
    fn pool_bytes(&self) -> u64 {
        let round = |bytes: u64| bytes.next_multiple_of(LARGEST_PAGE);
        let chunks = if self.copy { 0 } else { (self.capacity + 1) * round(HEADER_BYTES + self.chunk_bytes) };
        // Attributes that no channel can have are refused where it is created, by name.
        let channel = |attributes: ChannelAttributes| round(attributes.bytes(self.processes()).unwrap_or(0));
        chunks + channel(self.work()) + channel(self.replies()) + SLACK
    }

    /// Attributes of the pool.
    pub(crate) fn pool(&self, directory: &Path) -> PoolAttributes {
        let name = format!("demo-{}", std::process::id());
        let processes = self.processes();
        PoolAttributes::new(name, self.pool_bytes())
            .directory(directory)
            .processes(processes)
            .lanes(4 * processes)
    }
}

/// Chunks at once with which nobody waits for nothing.
fn full_capacity(workers: u32) -> u64 {
    2 * u64::from(workers) + 2
}

/// Chunks at once with which every worker has one.
fn least_capacity(workers: u32) -> u64 {
    u64::from(workers) + 1
}

fn default_workers() -> u32 {
    let processors = std::thread::available_parallelism().map_or(2, |number| number.get() as u32);
    processors.saturating_sub(1).clamp(2, 8)
}

/// Bytes that this user may still write on the filesystem of `directory`.
fn free_bytes(directory: &Path) -> Result<u64, Failure> {
    let tried = || format!("asking how much {} has free", directory.display());
    let filesystem = rustix::fs::statvfs(directory).map_err(Failure::system(tried()))?;
    Ok(filesystem.f_bavail.saturating_mul(filesystem.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Plan = Plan { workers: 2, chunk_bytes: 1 << 20, capacity: 6, copy: false };

    #[test]
    fn what_fits_is_left_as_it_was_asked_for() {
        assert_eq!(ASKED.shrunk_to(1 << 30), Some(ASKED));
    }

    #[test]
    fn fewer_chunks_come_before_smaller_ones() {
        let fewer = ASKED.shrunk_to(8 << 20).unwrap();
        assert_eq!((fewer.chunk_bytes, fewer.capacity), (1 << 20, 3));
        let smaller = ASKED.shrunk_to(4 << 20).unwrap();
        assert!(smaller.chunk_bytes < 1 << 20 && smaller.pool_bytes() <= (4 << 20) / 10 * 9, "{smaller:?}");
    }

    #[test]
    fn nothing_fits_where_there_is_nothing() {
        assert_eq!(ASKED.shrunk_to(64 << 10), None);
        let sentence = ASKED.does_not_fit(Path::new("/dev/shm"), 64 << 10).to_string();
        assert!(sentence.contains("--shm-size") && sentence.contains("WEYR_DIR"), "{sentence}");
    }

    #[test]
    fn the_room_asked_for_in_the_error_is_enough() {
        let copying = Plan { copy: true, ..ASKED };
        for plan in [ASKED, copying] {
            let least = Plan { chunk_bytes: SMALLEST_CHUNK, capacity: 3, ..plan };
            assert!(plan.shrunk_to(least.pool_bytes() / 9 * 10 + 10).is_some(), "{plan:?}");
        }
    }
}
