//! Coroutines that run model processes, one after the other, on stacks that are used again.
//!
//! The `generator` crate switches stacks. Its own cancellation replaces the panic hook of the whole program while it
//! unwinds, which would race with other tests, so it is never used: a process that is to go away is told so when it
//! is resumed, and unwinds by itself with a payload that no hook sees.

use std::any::Any;
use std::cell::RefCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use generator::{Generator, Gn};

use super::machine::{self, Abandoned, Diverged, Mode, Order, Said};

/// Stack of a coroutine; pages that are not used cost nothing.
const STACK_WORDS: usize = 0x8000;

/// A process about to run.
pub(crate) type Job = Box<dyn FnOnce()>;

thread_local! {
    static JOB: RefCell<Option<Job>> = const { RefCell::new(None) };
    static NEW_STACK_TOP: RefCell<usize> = const { RefCell::new(0) };
}

/// A coroutine: idle, or in the middle of a process.
pub(crate) struct Worker {
    coroutine: Generator<'static, (), ()>,
    stack: Range<usize>,
    busy: bool,
}

impl Worker {
    pub(crate) fn new() -> Self {
        let mut coroutine = Gn::new_opt(STACK_WORDS, run_jobs);
        coroutine.resume();
        let top = NEW_STACK_TOP.take();
        Self { coroutine, stack: top - STACK_WORDS * size_of::<usize>()..top, busy: false }
    }

    /// Starts `job` as process `index`, until it says something.
    pub(crate) fn start(&mut self, index: usize, job: Job) -> Said {
        JOB.replace(Some(job));
        self.busy = true;
        self.go(Mode::Process(index))
    }

    /// Answers what process `index` asked, and runs it until it says something.
    pub(crate) fn answer(&mut self, index: usize, answer: u64) -> Said {
        machine::with(|machine| machine.order = Order::Answer(answer));
        self.go(Mode::Process(index))
    }

    /// Has process `index` evaluate the condition that it waits for.
    pub(crate) fn evaluate(&mut self, index: usize) -> Said {
        machine::with(|machine| machine.order = Order::Evaluate);
        self.go(Mode::Condition(index))
    }

    /// Whether it stands in the middle of a process.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Takes the process away; the coroutine is idle afterwards.
    pub(crate) fn abandon(&mut self) {
        while self.busy {
            machine::with(|machine| machine.order = Order::Abandon);
            self.go(Mode::Unwinding);
        }
    }

    fn go(&mut self, mode: Mode) -> Said {
        machine::with(|machine| {
            machine.mode = mode;
            machine.stack = self.stack.clone();
            machine.swallowed = 0;
        });
        self.coroutine.resume();
        let said = machine::with(|machine| {
            machine.mode = Mode::Outside;
            machine.stack = 0..0;
            std::mem::replace(&mut machine.said, Said::Nothing)
        });
        self.busy = matches!(said, Said::Asks(_) | Said::Evaluated(_));
        said
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.abandon();
            self.coroutine.resume();
        }
    }
}

/// The life of a coroutine: job after job, until it is resumed without one.
fn run_jobs() {
    let marker = 0_u8;
    NEW_STACK_TOP.replace(std::ptr::from_ref(&marker).addr());
    suspend();
    while let Some(job) = JOB.take() {
        let said = match catch_unwind(AssertUnwindSafe(job)) {
            Ok(()) => Said::Finished,
            Err(payload) => said_by_unwinding(payload),
        };
        machine::with(|machine| machine.said = said);
        suspend();
    }
}

fn said_by_unwinding(payload: Box<dyn Any + Send>) -> Said {
    if payload.is::<Abandoned>() {
        return Said::Abandoned;
    }
    match payload.downcast::<Diverged>() {
        Ok(diverged) => Said::Diverged(diverged.0),
        Err(payload) => Said::Panicked(message_of(payload.as_ref())),
    }
}

/// What a panic said.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(message) = payload.downcast_ref::<String>() {
        return message.clone();
    }
    payload
        .downcast_ref::<&str>()
        .map_or_else(|| "a panic without a message".into(), |&message| message.into())
}

/// Switches from the coroutine back to whoever resumed it.
pub(crate) fn suspend() {
    #[expect(deprecated, reason = "the newer interface needs a scope argument; atomics have none")]
    generator::yield_with(());
}
