//! Steps of the scheduler: which are possible in a state, and what each does to memory.

use super::machine::Machine;
use super::operation::{Access, CellIndex, Operation, slept};
use super::state::{State, Status};

/// One way on from a state. Processes and sleepers are indices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// What the process asks is done.
    Run(usize),
    /// The process's choice is this.
    Choose(usize, u32),
    /// The process wakes these sleepers (bit mask).
    Wake(usize, u64),
    /// The sleeping process's time is up.
    TimeOut(usize),
    /// The oldest buffered store of the process lands.
    Drain(usize),
    Die(usize),
    Stop(usize),
}

impl Step {
    /// The process that moves.
    pub(crate) fn process(self) -> usize {
        match self {
            Self::Run(process) | Self::Choose(process, _) | Self::Wake(process, _) => process,
            Self::TimeOut(process) | Self::Drain(process) | Self::Die(process) | Self::Stop(process) => {
                process
            }
        }
    }

    /// Whether the model gets on by it; a state in which nobody can is an end.
    pub(crate) fn is_progress(self) -> bool {
        !matches!(self, Self::Die(_) | Self::Stop(_))
    }
}

/// What running an operation leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// The process gets this answer.
    Answer(u64),
    /// The process sleeps.
    Sleeps,
}

/// Adds the ways on that `operation`, asked by running `process`, offers. Conditions are the caller's to evaluate.
pub(crate) fn offers(state: &State, process: usize, operation: Operation, steps: &mut Vec<Step>) {
    let here = &state.processes[process];
    if operation.drains() && !here.buffer.is_empty() {
        return;
    }
    match operation {
        Operation::Choose(alternatives) => steps.extend((0..alternatives).map(|n| Step::Choose(process, n))),
        Operation::Spin if here.patience == 0 => {}
        Operation::Wake { cell, count } => {
            steps.extend(
                choices_of_sleepers(&state.sleepers(cell), count).map(|mask| Step::Wake(process, mask)),
            );
        }
        Operation::Wait(_) | Operation::Finished => {}
        _ => steps.push(Step::Run(process)),
    }
}

/// Every way to wake as many of the sleepers as the call may, as masks of process numbers.
fn choices_of_sleepers(sleepers: &[usize], count: u32) -> impl Iterator<Item = u64> {
    let woken = sleepers.len().min(count as usize) as u32;
    let everybody = sleepers.iter().fold(0_u64, |mask, &sleeper| mask | 1 << sleeper);
    // Steps through the subsets of `everybody` in ascending order, the empty one first.
    let next = move |subset: &u64| (*subset != everybody).then(|| subset.wrapping_sub(everybody) & everybody);
    std::iter::successors(Some(0), next).filter(move |subset| subset.count_ones() == woken)
}

/// Does what running `process` asks: changes memory, buffers and patience, and gives the answer.
pub(crate) fn execute(machine: &mut Machine, process: usize, operation: Operation, patience: u32) -> Effect {
    let state = &mut machine.state;
    Effect::Answer(match operation {
        Operation::Access(cell, access) => return access_cell(machine, process, cell, access, patience),
        Operation::HeavyBarrier => drain_all(state, patience),
        Operation::Spin => {
            state.processes[process].patience -= 1;
            0
        }
        Operation::IsDead(other) => u64::from(state.is_dead(other as usize)),
        Operation::Sleep { cell, expected, .. } => {
            if state.value(cell) == u64::from(expected) {
                state.processes[process].status = Status::Sleeping(cell);
                return Effect::Sleeps;
            }
            slept::DIFFERED
        }
        Operation::Wait(_) => 1,
        _ => 0,
    })
}

fn access_cell(
    machine: &mut Machine,
    process: usize,
    cell: CellIndex,
    access: Access,
    patience: u32,
) -> Effect {
    let state = &mut machine.state;
    Effect::Answer(match access {
        Access::Load => state.value_seen_by(process, cell),
        Access::Store { value, locked } => {
            if machine.tso && !locked {
                state.processes[process].buffer.push((cell, value));
            } else {
                state.write(process, cell, value, patience);
            }
            0
        }
        Access::Change(change) => {
            let former = state.value(cell);
            state.write(process, cell, change.applied_to(former) & machine.cells.mask(cell), patience);
            former
        }
    })
}

/// Every buffered store lands; other orders among processes are reached by single drains before.
fn drain_all(state: &mut State, patience: u32) -> u64 {
    for process in 0..state.processes.len() {
        while !state.processes[process].buffer.is_empty() {
            state.drain_one(process, patience);
        }
    }
    0
}
