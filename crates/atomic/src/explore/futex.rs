//! The futex of a model: sleepers are part of the state, wakers choose among them.

use super::atomic::AtomicU32;
use super::machine::{self, Mode};
use super::operation::{Operation, slept};

/// How a sleep ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// A waker chose this sleeper.
    ByWaker,
    /// The word did not hold the expected value: no sleep.
    ValueDiffered,
    /// The time was up, before or after anything else happened.
    TimedOut,
}

/// `FUTEX_WAIT`: sleeps if `word` holds `expected`, until a [`futex_wake`] chooses it. Needs the own store buffer
/// empty, as the system call does.
///
/// # Panics
///
/// Outside a process.
pub fn futex_wait(word: &AtomicU32, expected: u32) -> Woken {
    sleep(word, expected, false)
}

/// [`futex_wait`] with a deadline: the sleeper may also be woken by nobody, at any moment.
///
/// # Panics
///
/// Outside a process.
pub fn futex_wait_timed(word: &AtomicU32, expected: u32) -> Woken {
    sleep(word, expected, true)
}

fn sleep(word: &AtomicU32, expected: u32, may_time_out: bool) -> Woken {
    match machine::mode() {
        Mode::Process(_) => {}
        Mode::Unwinding => return Woken::ValueDiffered,
        _ => panic!("only a process can sleep"),
    }
    let cell = machine::cell(word.address(), 4, || word.initial());
    match machine::ask(Operation::Sleep { cell, expected, may_time_out }) {
        slept::WOKEN => Woken::ByWaker,
        slept::DIFFERED => Woken::ValueDiffered,
        _ => Woken::TimedOut,
    }
}

/// `FUTEX_WAKE`: wakes at most `count` sleepers of `word`, every choice of them is tried; returns how many. Needs the
/// own store buffer empty, as the system call does. In a rule nobody sleeps.
///
/// # Panics
///
/// Outside a model.
pub fn futex_wake(word: &AtomicU32, count: u32) -> u32 {
    match machine::mode() {
        Mode::Process(_) => {
            let cell = machine::cell(word.address(), 4, || word.initial());
            machine::ask(Operation::Wake { cell, count }) as u32
        }
        Mode::Unwinding | Mode::Oracle => 0,
        _ => panic!("futex_wake outside a process"),
    }
}
