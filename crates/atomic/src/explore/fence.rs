//! Fences, barriers and hints of the explore face.

use core::sync::atomic::{self, Ordering};

use super::machine::{self, Mode};
use super::operation::Operation;

/// A fence: `SeqCst` is a scheduling point that needs the own store buffer empty; weaker ones are nothing on x86.
///
/// # Panics
///
/// For `Relaxed`, as the one of `core` does.
pub fn fence(order: Ordering) {
    assert!(order != Ordering::Relaxed, "there is no such thing as a relaxed fence");
    match machine::mode() {
        Mode::Process(_) if order == Ordering::SeqCst => drop_answer(machine::ask(Operation::Fence)),
        Mode::Outside | Mode::Building => atomic::fence(order),
        _ => {}
    }
}

/// A fence of the compiler alone: nothing, as no compiler reorders what the explorer sees.
pub fn compiler_fence(order: Ordering) {
    atomic::compiler_fence(order);
}

/// Hints to the processor.
pub mod hint {
    /// In a model: waits until somebody else changed memory. Outside: as in `core`.
    pub fn spin_loop() {
        super::spin(core::hint::spin_loop);
    }
}

/// What a thread may say to the scheduler.
pub mod thread {
    /// In a model: waits until somebody else changed memory. Outside: as in `std`.
    pub fn yield_now() {
        super::spin(std::thread::yield_now);
    }
}

fn drop_answer(_answer: u64) {}

fn spin(outside: fn()) {
    match machine::mode() {
        Mode::Process(_) => drop_answer(machine::ask(Operation::Spin)),
        Mode::Outside | Mode::Building => outside(),
        Mode::Unwinding => {}
        Mode::Oracle | Mode::Ghost(_) | Mode::Condition(_) => {
            panic!("a rule, a ghost closure or a condition would spin for ever: nobody else runs meanwhile")
        }
    }
}

/// The step behind `heavy_barrier`.
pub(crate) fn drain_everybody() {
    if machine::is_process() {
        machine::ask(Operation::HeavyBarrier);
    }
}
