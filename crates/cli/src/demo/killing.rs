//! A worker killed in the middle of its work, and what is recovered.

use std::time::{Duration, Instant};

use serde::Serialize;
use weyr::Pool;
use weyr::managed::Member;

use super::children::{Part, Process};
use super::message::Holding;
use crate::failure::Failure;

/// A worker that was killed on purpose.
#[derive(Debug, Serialize)]
pub(crate) struct Killed {
    pub(crate) worker: u32,
    pub(crate) pid: u32,
    /// The chunk that it was at work on, under a lease.
    pub(crate) chunk: u64,
    /// Members that the pool no longer has.
    pub(crate) recovered_processes: u64,
    /// Lanes that were the worker's and are free.
    pub(crate) recovered_lanes: u64,
    /// Blocks that were the worker's and are free.
    pub(crate) recovered_blocks: u64,
    pub(crate) recovered_bytes: u64,
    /// From its death to the end of recovery.
    pub(crate) recovery_ns: u64,
    /// From its death to the answer of another worker for the same chunk.
    pub(crate) answered_again_ns: Option<u64>,
    #[serde(skip)]
    died_at: Instant,
}

/// What the pool knows of a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Holdings {
    processes: u64,
    lanes: u64,
    blocks: u64,
    bytes: u64,
}

impl Holdings {
    /// Of the process with that id.
    fn of(pool: &Pool, pid: u32) -> Self {
        let usage = pool.usage();
        let members = pool.members();
        let own = members.iter().filter(|member| member.pid == pid);
        own.fold(Self::default(), |sum, member: &Member| {
            let owned = usage.by_process.get(&member.actor.process).copied().unwrap_or_default();
            Self {
                processes: sum.processes + 1,
                lanes: sum.lanes + u64::from(member.lanes),
                blocks: sum.blocks + owned.blocks,
                bytes: sum.bytes + owned.bytes,
            }
        })
    }
}

impl Killed {
    /// Kills a worker that waits under a lease, and recovers what it had. Whoever else notices recovers too.
    pub(crate) fn kill(pool: &Pool, victim: &mut Process, holding: &Holding) -> Result<Self, Failure> {
        let pid = victim.pid();
        let Part::Worker(worker) = victim.part else {
            return Err(Failure::Wrong(format!("{} waits to be killed; only a worker should", victim.part)));
        };
        let before = Holdings::of(pool, pid);
        victim.kill()?;
        victim.reap()?;
        let died_at = Instant::now();
        pool.recover();
        let recovery_ns = died_at.elapsed().as_nanos() as u64;
        let after = Holdings::of(pool, pid);
        Ok(Self {
            worker,
            pid,
            chunk: holding.chunk,
            recovered_processes: before.processes - after.processes.min(before.processes),
            recovered_lanes: before.lanes - after.lanes.min(before.lanes),
            recovered_blocks: before.blocks - after.blocks.min(before.blocks),
            recovered_bytes: before.bytes - after.bytes.min(before.bytes),
            recovery_ns,
            answered_again_ns: None,
            died_at,
        })
    }

    /// Notes that another worker has answered.
    pub(crate) fn answered(&mut self, chunk: u64) {
        if chunk == self.chunk {
            self.answered_again_ns.get_or_insert(self.died_at.elapsed().as_nanos() as u64);
        }
    }

    /// What it left behind and nobody has recovered.
    pub(crate) fn problem(&self) -> Option<String> {
        (self.recovered_processes != 1 || self.recovered_lanes == 0 || self.recovered_blocks == 0)
            .then(|| format!("worker {} was killed and not all that it had was recovered", self.worker))
    }

    /// [`recovery_ns`](Self::recovery_ns).
    pub(crate) fn recovery(&self) -> Duration {
        Duration::from_nanos(self.recovery_ns)
    }
}
