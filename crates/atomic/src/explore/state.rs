//! A state of the model: memory, store buffers, where each process stands, and the oracle's ghosts.

use std::rc::Rc;

use super::cells::Cells;
use super::fingerprint::Fingerprint;
use super::ghost::GhostValue;
use super::local::{LocalIndex, Locals};
use super::operation::CellIndex;

/// What a process can still do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    Running,
    /// In `futex_wait` on this cell.
    Sleeping(CellIndex),
    Finished,
    Dead,
    /// Never scheduled again, and not dead.
    Stopped,
    /// Stopped in its sleep: still takes a wake-up from those that could use it.
    StoppedAsleep(CellIndex),
}

/// One process of a state.
#[derive(Clone)]
pub(crate) struct ProcessState {
    /// Where its code stands; meaningless once it is dead, stopped or finished.
    pub(crate) local: LocalIndex,
    pub(crate) status: Status,
    /// Spin points it may still pass before somebody else has changed memory.
    pub(crate) patience: u32,
    /// Stores that are not yet visible to others, oldest first.
    pub(crate) buffer: Vec<(CellIndex, u64)>,
}

impl ProcessState {
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.status, Status::Running | Status::Sleeping(_))
    }

    /// Ends the process: its local state is gone.
    pub(crate) fn end(&mut self, status: Status) {
        self.status = status;
        self.local = LocalIndex::NONE;
        self.patience = 0;
    }

    fn fingerprint(&self, mut sum: Fingerprint, locals: &Locals) -> Fingerprint {
        let (status, cell) = match self.status {
            Status::Running => (0, 0),
            Status::Sleeping(cell) => (1, u64::from(cell.0)),
            Status::Finished => (2, 0),
            Status::Dead => (3, 0),
            Status::Stopped => (4, 0),
            Status::StoppedAsleep(cell) => (5, u64::from(cell.0)),
        };
        sum = sum.with(status | cell << 8 | u64::from(self.patience) << 40).with(self.buffer.len() as u64);
        if self.is_alive() {
            sum = sum.with_fingerprint(locals.fingerprint(self.local));
        }
        self.buffer.iter().fold(sum, |sum, &(cell, value)| sum.with(u64::from(cell.0)).with(value))
    }
}

/// A ghost's value and its fingerprint.
#[derive(Clone)]
pub(crate) struct GhostState {
    pub(crate) value: Rc<dyn GhostValue>,
    pub(crate) fingerprint: Fingerprint,
}

/// Everything that distinguishes one state from another.
#[derive(Clone, Default)]
pub(crate) struct State {
    /// By cell; cells that were registered later hold their initial value.
    pub(crate) memory: Vec<u64>,
    pub(crate) processes: Vec<ProcessState>,
    pub(crate) ghosts: Vec<GhostState>,
}

impl State {
    /// Adds the cells that were registered since this state was saved.
    pub(crate) fn grow(&mut self, cells: &Cells) {
        for index in self.memory.len()..cells.len() {
            self.memory.push(cells.initial(index));
        }
    }

    pub(crate) fn value(&self, cell: CellIndex) -> u64 {
        self.memory[cell.0 as usize]
    }

    /// What `process` reads: its own newest buffered store, or memory.
    pub(crate) fn value_seen_by(&self, process: usize, cell: CellIndex) -> u64 {
        let buffered = self.processes[process].buffer.iter().rev().find(|(stored, _)| *stored == cell);
        buffered.map_or_else(|| self.value(cell), |&(_, value)| value)
    }

    /// A store of `writer` lands; processes that spin get to look again when it changed anything.
    pub(crate) fn write(&mut self, writer: usize, cell: CellIndex, value: u64, patience: u32) {
        let slot = &mut self.memory[cell.0 as usize];
        if *slot != value {
            *slot = value;
            self.refresh_others(writer, patience);
        }
    }

    /// Everybody but `actor` may spin again.
    pub(crate) fn refresh_others(&mut self, actor: usize, patience: u32) {
        for (index, process) in self.processes.iter_mut().enumerate() {
            if index != actor && process.is_alive() {
                process.patience = patience;
            }
        }
    }

    /// The oldest buffered store of `process` lands.
    pub(crate) fn drain_one(&mut self, process: usize, patience: u32) {
        let (cell, value) = self.processes[process].buffer.remove(0);
        self.write(process, cell, value, patience);
    }

    /// Whether `process` was killed; its last store has landed by then.
    pub(crate) fn is_dead(&self, process: usize) -> bool {
        self.processes[process].status == Status::Dead
    }

    /// Processes that were killed.
    pub(crate) fn deaths(&self) -> usize {
        self.processes.iter().filter(|process| process.status == Status::Dead).count()
    }

    /// Processes that were stopped.
    pub(crate) fn stops(&self) -> usize {
        let stopped =
            |process: &&ProcessState| matches!(process.status, Status::Stopped | Status::StoppedAsleep(_));
        self.processes.iter().filter(stopped).count()
    }

    /// Processes that sleep on `cell`.
    pub(crate) fn sleepers(&self, cell: CellIndex) -> Vec<usize> {
        let asleep = [Status::Sleeping(cell), Status::StoppedAsleep(cell)];
        (0..self.processes.len()).filter(|&index| asleep.contains(&self.processes[index].status)).collect()
    }

    /// 128 bits over all of it; an untouched cell counts as one that holds its initial value.
    pub(crate) fn fingerprint(&self, cells: &Cells, locals: &Locals) -> Fingerprint {
        let mut sum = Fingerprint::START;
        for (index, &value) in self.memory.iter().enumerate() {
            if value != cells.initial(index) {
                sum = sum.with(index as u64 + 1).with(value);
            }
        }
        sum = sum.with(u64::MAX);
        sum = self.processes.iter().fold(sum, |sum, process| process.fingerprint(sum, locals));
        self.ghosts.iter().fold(sum, |sum, ghost| sum.with_fingerprint(ghost.fingerprint))
    }
}
