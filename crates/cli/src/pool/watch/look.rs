//! One look at a pool, and what changed since the one before.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use weyr::managed::{ChannelFacts, Error, Inspection, Member, Observed};
use weyr::{Pool, Usage};

use crate::pool::show::command;

/// What a look saw. Rates and events are against the look before; the first one has none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Look {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) uuid: String,
    pub(super) size_bytes: u64,
    pub(super) maximum_bytes: u64,
    pub(super) backed_bytes: u64,
    pub(super) used_bytes: u64,
    pub(super) free_bytes: u64,
    pub(super) largest_free_bytes: u64,
    pub(super) peak_bytes: u64,
    pub(super) segments: u64,
    pub(super) blocks: u64,
    /// Whether somebody waits for memory, or did so when it died.
    pub(super) waiting_for_memory: bool,
    /// Process slots recovered since the pool was made.
    pub(super) recovered_processes: u64,
    pub(super) sizes: Vec<Size>,
    pub(super) processes: Vec<Process>,
    pub(super) channels: Vec<Channel>,
    pub(super) rates: Option<Rates>,
    pub(super) events: Vec<Event>,
}

/// Blocks of one size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Size {
    pub(super) block_bytes: u64,
    pub(super) used: u64,
    /// Blocks of slabs; what is free in whole pages is not among them.
    pub(super) free: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// Which use of its process slot: tells processes of one number apart.
    #[serde(skip)]
    pub(super) actor: (u16, u32),
    pub(super) command: Option<String>,
    pub(super) alive: bool,
    pub(super) lanes: u32,
    /// Lanes whose pages others have asked for.
    pub(super) revoked_lanes: u32,
    pub(super) blocks: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Channel {
    pub(super) name: Option<String>,
    pub(super) offset: u64,
    #[serde(skip)]
    pub(super) generation: u64,
    pub(super) waiting: u32,
    pub(super) capacity: u32,
    /// Positions that receivers have left behind.
    pub(super) passed: u64,
    pub(super) passed_per_second: Option<f64>,
}

/// Changes in a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Rates {
    /// Blocks allocated less those freed.
    pub(super) blocks: f64,
    pub(super) messages: f64,
}

/// What happened between two looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event {
    /// A process attached the pool.
    Attached { pid: u32 },
    /// A process died, with what it had.
    Died { pid: u32, blocks: u64, bytes: u64 },
    /// A process that was attached is not any more.
    Left { pid: u32 },
    /// What dead processes had was given back, by whoever noticed.
    Recovered { processes: u64 },
}

impl Look {
    /// Looks at the pool whose object is `path`. Every look opens it anew, so that it sees a pool that has grown, or gone.
    pub(super) fn at(path: &Path) -> Result<Self, Error> {
        let pool = Pool::inspect(path)?;
        Self::of(&pool, path)
    }

    fn of(pool: &Inspection, path: &Path) -> Result<Self, Error> {
        let (usage, observed) = (pool.usage(), pool.attributes()?.observed);
        Ok(Self {
            name: pool.name().to_owned(),
            path: path.display().to_string(),
            uuid: format!("{:032x}", pool.uuid()),
            size_bytes: observed.allocatable_bytes,
            maximum_bytes: usage.maximum_pages * usage.page_bytes,
            backed_bytes: usage.backed_bytes,
            used_bytes: usage.total.bytes,
            free_bytes: observed.free_bytes,
            largest_free_bytes: observed.largest_block,
            peak_bytes: usage.peak_pages * usage.page_bytes,
            segments: observed.segments,
            blocks: usage.total.blocks,
            waiting_for_memory: observed.waiters > 0,
            recovered_processes: usage.recoveries,
            sizes: sizes(&usage, &observed),
            processes: pool.members().iter().map(|member| Process::of(member, &usage)).collect(),
            channels: pool.channels().into_iter().map(Channel::of).collect(),
            rates: None,
            events: Vec::new(),
        })
    }

    /// Adds what changed since `before`, `elapsed` ago.
    pub(super) fn since(mut self, before: &Look, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let mut messages = 0;
        for channel in &mut self.channels {
            let passed = channel.passed_since(before);
            channel.passed_per_second = Some(passed as f64 / seconds);
            messages += passed;
        }
        let blocks = self.blocks as f64 - before.blocks as f64;
        self.rates = Some(Rates { blocks: blocks / seconds, messages: messages as f64 / seconds });
        self.events = events(before, &self);
        self
    }
}

fn sizes(usage: &Usage, observed: &Observed) -> Vec<Size> {
    let mut known: Vec<u64> = usage.by_size.keys().chain(observed.free_blocks.keys()).copied().collect();
    known.sort_unstable();
    known.dedup();
    let size = |block_bytes| Size {
        block_bytes,
        used: usage.by_size.get(&block_bytes).map_or(0, |amount| amount.blocks),
        free: observed.free_blocks.get(&block_bytes).copied().unwrap_or(0),
    };
    known.into_iter().map(size).filter(|size| size.used + size.free > 0).collect()
}

impl Process {
    fn of(member: &Member, usage: &Usage) -> Self {
        let owned = usage.by_process.get(&member.actor.process).copied().unwrap_or_default();
        Self {
            pid: member.pid,
            actor: (member.actor.process, member.actor.epoch),
            command: if member.dead { None } else { command(member.pid) },
            alive: !member.dead,
            lanes: member.lanes,
            revoked_lanes: member.revoked,
            blocks: owned.blocks,
            bytes: owned.bytes,
        }
    }

    fn in_look<'l>(&self, look: &'l Look) -> Option<&'l Process> {
        look.processes.iter().find(|process| (process.actor, process.pid) == (self.actor, self.pid))
    }
}

/// Bits of the laps of which a channel's positions are the sum.
const LAP_BITS: u32 = 36;

impl Channel {
    fn of(facts: ChannelFacts) -> Self {
        let ChannelFacts { name, reference, capacity, waiting, passed, .. } = facts;
        let (offset, generation) = (reference.offset, reference.generation);
        Self { name, offset, generation, waiting, capacity, passed, passed_per_second: None }
    }

    /// Of a channel that was not there all positions are new.
    fn passed_since(&self, before: &Look) -> u64 {
        let same = |other: &&Channel| (other.offset, other.generation) == (self.offset, self.generation);
        let passed = before.channels.iter().find(same).map_or(0, |other| other.passed);
        passed_between(passed, self.passed)
    }
}

/// Positions from `before` to `now`, which may have begun anew between.
pub(crate) fn passed_between(before: u64, now: u64) -> u64 {
    now.wrapping_sub(before) & ((1 << LAP_BITS) - 1)
}

fn events(before: &Look, now: &Look) -> Vec<Event> {
    let mut events = Vec::new();
    for process in &now.processes {
        let was = process.in_look(before);
        if was.is_none() {
            events.push(Event::Attached { pid: process.pid });
        }
        if !process.alive && was.is_none_or(|was| was.alive) {
            let Process { pid, blocks, bytes, .. } = *process;
            events.push(Event::Died { pid, blocks, bytes });
        }
    }
    let gone = before.processes.iter().filter(|process| process.alive && process.in_look(now).is_none());
    events.extend(gone.map(|process| Event::Left { pid: process.pid }));
    match now.recovered_processes.saturating_sub(before.recovered_processes) {
        0 => {}
        processes => events.push(Event::Recovered { processes }),
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, alive: bool) -> Process {
        let (lanes, revoked_lanes, blocks, bytes) = (1, 0, 2, 128);
        let (actor, command) = ((pid as u16, 1), None);
        Process { pid, actor, command, alive, lanes, revoked_lanes, blocks, bytes }
    }

    fn channel(offset: u64, passed: u64) -> Channel {
        let (name, generation, waiting, capacity) = (None, 1, 0, 4);
        Channel { name, offset, generation, waiting, capacity, passed, passed_per_second: None }
    }

    #[test]
    fn who_comes_dies_leaves_and_is_recovered_is_told_once() {
        let before = Look {
            processes: vec![process(1, true), process(2, true), process(3, true), process(4, false)],
            ..Look::default()
        };
        let now = Look {
            processes: vec![process(1, true), process(2, false), process(5, true)],
            recovered_processes: 1,
            ..Look::default()
        };
        let second = Duration::from_secs(1);
        let now = now.since(&before, second);
        let died = Event::Died { pid: 2, blocks: 2, bytes: 128 };
        let told =
            [died, Event::Attached { pid: 5 }, Event::Left { pid: 3 }, Event::Recovered { processes: 1 }];
        assert_eq!(now.events, told);
        assert_eq!(now.clone().since(&now, second).events, []);
    }

    #[test]
    fn another_life_of_a_process_slot_is_another_process() {
        let before = Look { processes: vec![process(1, true)], ..Look::default() };
        let again = Process { actor: (1, 2), ..process(1, true) };
        let now = Look { processes: vec![again], ..Look::default() };
        let told = [Event::Attached { pid: 1 }, Event::Left { pid: 1 }];
        assert_eq!(now.since(&before, Duration::from_secs(1)).events, told);
    }

    #[test]
    fn rates_are_changes_in_a_second_and_channels_may_be_new_or_wrap() {
        let last = (1 << LAP_BITS) - 1;
        let before =
            Look { blocks: 10, channels: vec![channel(64, 100), channel(128, last)], ..Look::default() };
        let channels = vec![channel(64, 300), channel(128, 1), channel(192, 8)];
        let now = Look { blocks: 4, channels, ..Look::default() };
        let now = now.since(&before, Duration::from_secs(2));
        let rates: Vec<f64> = now.channels.iter().map(|channel| channel.passed_per_second.unwrap()).collect();
        assert_eq!(rates, [100.0, 1.0, 4.0]);
        assert_eq!(now.rates, Some(Rates { blocks: -3.0, messages: 105.0 }));
    }
}
