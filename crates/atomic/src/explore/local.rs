//! The local states of processes: where the code of a process stands, given the answers it was given.
//!
//! A process is deterministic in the answers to what it asked, so its local state is named by them, and two processes
//! of one program with the same answers ask the same next thing. Local states therefore form a tree that is much
//! smaller than the state space; code is run only to grow the tree (or to apply a ghost's effect), and a coroutine
//! that is needed again is rebuilt by feeding the answers back.

use super::fingerprint::{Fingerprint, Table};
use super::operation::{CellIndex, Operation};

/// Index of a local state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct LocalIndex(pub(crate) u32);

impl LocalIndex {
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// One entry of the record that a rebuilt coroutine is fed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fed {
    /// What was asked, and the answer.
    Answer(Operation, u64),
    /// What a ghost closure returned.
    Ghost(u64),
}

/// Something that a `wait_until` condition looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    Cell(CellIndex),
    Ghost(usize),
    Dead(usize),
}

/// What a condition looked at, what it saw, and what it said.
struct Remembered {
    reads: Vec<(Read, u128)>,
    holds: bool,
}

/// Conditions are remembered up to this many outcomes a local state.
const REMEMBERED_MAX: usize = 64;

struct Local {
    parent: LocalIndex,
    process: usize,
    /// The answer that led here from the parent (absent at the start), then what ghosts returned on the way.
    results: Box<[u64]>,
    fingerprint: Fingerprint,
    next: Operation,
    is_leaf: bool,
    conditions: Vec<Remembered>,
}

/// What a run of a process from one question to the next left behind.
pub(crate) struct Segment {
    pub(crate) process: usize,
    /// Over the answers since the start or the last checkpoint.
    pub(crate) fingerprint: Fingerprint,
    /// What ghosts returned.
    pub(crate) ghosts: Vec<u64>,
    /// A ghost was touched: the next run of the same segment may have another effect.
    pub(crate) ghosted: bool,
    /// The last checkpoint's number, when there was one.
    pub(crate) checkpoint: Option<u64>,
}

impl Segment {
    pub(crate) fn new(process: usize, fingerprint: Fingerprint) -> Self {
        Self { process, fingerprint, ghosts: Vec::new(), ghosted: false, checkpoint: None }
    }
}

/// The tree of local states.
#[derive(Default)]
pub(crate) struct Locals {
    locals: Vec<Local>,
    by_fingerprint: Table<u128, LocalIndex>,
    /// By parent and answer: the local state, and whether a ghost is touched on the way.
    successors: Table<u128, (LocalIndex, bool)>,
    /// By fingerprint just behind a checkpoint: what is asked next.
    summaries: Table<u128, Operation>,
}

impl Locals {
    pub(crate) fn next(&self, local: LocalIndex) -> Operation {
        self.local(local).next
    }

    pub(crate) fn fingerprint(&self, local: LocalIndex) -> Fingerprint {
        self.local(local).fingerprint
    }

    pub(crate) fn process(&self, local: LocalIndex) -> usize {
        self.local(local).process
    }

    fn local(&self, local: LocalIndex) -> &Local {
        &self.locals[local.0 as usize]
    }

    /// Where `answer` leads, when that is known and no ghost is touched on the way.
    pub(crate) fn successor(&self, local: LocalIndex, answer: u64) -> Option<LocalIndex> {
        match self.successors.get(&self.edge(local, answer)) {
            Some(&(successor, false)) => Some(successor),
            _ => None,
        }
    }

    fn edge(&self, local: LocalIndex, answer: u64) -> u128 {
        self.fingerprint(local).with(answer).key()
    }

    /// The local state at the end of `segment`, where `next` is asked.
    ///
    /// # Errors
    ///
    /// A sentence, when the segment passed a checkpoint whose number stood for another local state before.
    pub(crate) fn enter(
        &mut self,
        from: Option<(LocalIndex, u64)>,
        segment: Segment,
        next: Operation,
    ) -> Result<LocalIndex, String> {
        self.compare_summary(&segment, next)?;
        let fingerprint = segment.fingerprint.with_fingerprint(Fingerprint::of(&next));
        let ghosted = segment.ghosted;
        let index = match self.by_fingerprint.get(&fingerprint.key()) {
            Some(&known) => known,
            None => self.grow(from, segment, fingerprint, next),
        };
        if let Some((parent, answer)) = from {
            self.locals[parent.0 as usize].is_leaf = false;
            self.successors.insert(self.edge(parent, answer), (index, ghosted));
        }
        Ok(index)
    }

    fn compare_summary(&mut self, segment: &Segment, next: Operation) -> Result<(), String> {
        let Some(number) = segment.checkpoint else { return Ok(()) };
        let known = *self.summaries.entry(segment.fingerprint.key()).or_insert(next);
        if known == next {
            return Ok(());
        }
        Err(format!(
            "checkpoint({number:#x}) of P{} stands for two local states: one asks {known:?} next, the other {next:?}",
            segment.process
        ))
    }

    fn grow(
        &mut self,
        from: Option<(LocalIndex, u64)>,
        segment: Segment,
        fingerprint: Fingerprint,
        next: Operation,
    ) -> LocalIndex {
        let index = LocalIndex(self.locals.len() as u32);
        let answer = from.map(|(_, answer)| answer);
        self.locals.push(Local {
            parent: from.map_or(LocalIndex::NONE, |(parent, _)| parent),
            process: segment.process,
            results: answer.into_iter().chain(segment.ghosts).collect(),
            fingerprint,
            next,
            is_leaf: true,
            conditions: Vec::new(),
        });
        self.by_fingerprint.insert(fingerprint.key(), index);
        index
    }

    /// What a fresh coroutine must be fed to stand at `local`.
    pub(crate) fn record(&self, local: LocalIndex) -> Vec<Fed> {
        let mut newest_first = Vec::new();
        let mut at = local;
        while at != LocalIndex::NONE {
            let here = self.local(at);
            let asked = (here.parent != LocalIndex::NONE).then(|| self.next(here.parent));
            let ghosts = &here.results[usize::from(asked.is_some())..];
            newest_first.extend(ghosts.iter().rev().map(|&result| Fed::Ghost(result)));
            newest_first.extend(asked.map(|operation| Fed::Answer(operation, here.results[0])));
            at = here.parent;
        }
        newest_first.reverse();
        newest_first
    }

    /// Local states that no answer was given to, at most `limit`.
    pub(crate) fn leaves(&self, limit: usize) -> Vec<LocalIndex> {
        let indices = (0..self.locals.len() as u32).map(LocalIndex);
        indices.filter(|&index| self.local(index).is_leaf).take(limit).collect()
    }

    /// What the condition of `local` says where everything it looks at has the value that `look` gives.
    pub(crate) fn remembered(&self, local: LocalIndex, look: impl Fn(Read) -> u128) -> Option<bool> {
        let conditions = &self.local(local).conditions;
        let fits = |known: &&Remembered| known.reads.iter().all(|&(read, value)| look(read) == value);
        conditions.iter().find(fits).map(|known| known.holds)
    }

    pub(crate) fn remember(&mut self, local: LocalIndex, reads: Vec<(Read, u128)>, holds: bool) {
        let conditions = &mut self.locals[local.0 as usize].conditions;
        if conditions.len() < REMEMBERED_MAX {
            conditions.push(Remembered { reads, holds });
        }
    }
}
