//! What a model process can ask besides accesses: deaths, conditions, choices, ghosts, summaries.

use super::ghost::Recorded;
use super::machine::{self, Mode};
use super::operation::Operation;

/// Whether the caller runs in a model: as a process, or in one of its rules.
#[must_use]
pub fn is_modelled() -> bool {
    machine::with(|machine| machine.mode != Mode::Outside)
}

/// Whether `process` is dead, its last store landed. A scheduling point in a process.
///
/// # Panics
///
/// Outside a model, and when there is no such process.
#[must_use]
pub fn is_dead(process: usize) -> bool {
    let (mode, count) = (machine::mode(), machine::with(|machine| machine.state.processes.len()));
    assert!(process < count, "is_dead({process}) in a model of {count} processes");
    match mode {
        Mode::Process(_) => machine::ask(Operation::IsDead(process as u32)) == 1,
        Mode::Unwinding => false,
        _ => machine::observe_dead(process),
    }
}

/// Waits until `condition` holds. It may read atomics, ghosts and [`is_dead`], without scheduling points, and is
/// evaluated in every state. In a rule it must hold at once. `label` is shown in traces and by `Fate::Blocked`.
///
/// # Panics
///
/// Outside a model, and in a rule when it does not hold.
pub fn wait_until(label: &'static str, condition: impl FnMut() -> bool) {
    let mut condition = condition;
    match machine::mode() {
        Mode::Process(_) => machine::wait(label, condition),
        Mode::Unwinding => {}
        Mode::Outside | Mode::Building => panic!("wait_until outside a model"),
        _ => assert!(condition(), "nobody else runs: {label:?} would never hold"),
    }
}

/// Chooses one of `alternatives`: every number below is tried.
///
/// # Panics
///
/// Outside a process, and for no alternatives.
#[must_use]
pub fn choose(alternatives: u32) -> u32 {
    assert!(alternatives > 0, "nothing to choose from");
    match machine::mode() {
        Mode::Process(_) => machine::ask(Operation::Choose(alternatives)) as u32,
        Mode::Unwinding => 0,
        _ => panic!("only a process can choose"),
    }
}

/// Runs `f` in one step with the access before it, and records what it returns. It may read atomics and use ghosts,
/// must not write atomics, and may panic to report a violation.
pub fn ghost<R: Recorded>(f: impl FnOnce() -> R) -> R {
    machine::ghost(f)
}

/// Says that from here on the process's local state is a function of `number`: what it was answered before is
/// forgotten, so states that differ in nothing else become one. `number` must also say where in the code it is.
///
/// A number that stands for two local states is reported as an error where the two ask different things next.
/// Nothing outside a process.
pub fn checkpoint(number: u64) {
    machine::checkpoint(number);
}
