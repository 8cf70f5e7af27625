//! The steps of a schedule in words.

use super::local::Locals;
use super::machine;
use super::operation::Operation;
use super::state::State;
use super::step::Step;

/// A step in words: what was asked in `state`, and the answer.
pub(crate) fn line(locals: &Locals, state: &State, step: Step, answer: u64) -> String {
    let index = step.process();
    let process = &state.processes[index];
    let asked = || {
        let operation = locals.next(process.local);
        format!("P{index}: {}{}", describe(operation), operation.describe_answer(answer))
    };
    match step {
        Step::Run(_) | Step::Choose(..) => asked(),
        Step::Wake(_, sleepers) => format!("{} (wakes {})", asked(), processes_of(sleepers)),
        Step::TimeOut(_) => format!("P{index}: futex_wait timed out"),
        Step::Drain(_) => {
            let (cell, value) = process.buffer[0];
            let name = machine::with(|machine| machine.cells.name(cell));
            format!("P{index}: store lands, {name} = {value:#x}")
        }
        Step::Die(_) => format!("P{index}: DIES"),
        Step::Stop(_) => format!("P{index}: STOPS"),
    }
}

/// What a process asks, with the names of atomics.
pub(crate) fn describe(operation: Operation) -> String {
    machine::with(|machine| operation.describe(&|cell| machine.cells.name(cell)))
}

fn processes_of(mask: u64) -> String {
    let named: Vec<_> = (0..64).filter(|bit| mask & 1 << bit != 0).map(|bit| format!("P{bit}")).collect();
    if named.is_empty() { "nobody".into() } else { named.join(", ") }
}
