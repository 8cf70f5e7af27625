//! What loom's models of two threads share: threads that take part, sleeps that only a wake ends, and the exploration.

use std::sync::Mutex;
use std::time::Duration;

use weyr_atomic::loom::model::Builder;
use weyr_atomic::{AtomicU32, Ordering};
use weyr_shared::lock::Participant;
use weyr_shared::{Actor, Awake, Futex};

/// Sleeps until the word is another: for one whose wake is lost, for ever, which loom tells of.
pub(crate) struct UntilChanged;

impl Futex for UntilChanged {
    fn wait(&self, word: &AtomicU32, expected: u32, _: Duration) -> Awake {
        while word.load(Ordering::Acquire) == expected {
            weyr_atomic::thread::yield_now();
        }
        Awake::Changed
    }

    fn wake(&self, _: &AtomicU32, _: u32) -> u32 {
        1
    }
}

pub(crate) struct Thread(pub(crate) u16);

impl Participant for Thread {
    type Futex = UntilChanged;

    fn me(&self) -> Option<Actor> {
        Some(Actor { process: self.0, epoch: 0 })
    }

    fn is_dead(&self, _: Actor) -> bool {
        false
    }

    fn futex(&self) -> &UntilChanged {
        &UntilChanged
    }
}

/// Explores `model` as far as loom can, and notes how many executions there were.
pub(crate) fn explore(model: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(Mutex::new(0_u64));
    let counted = executions.clone();
    let mut builder = Builder::new();
    builder.preemption_bound = None;
    builder.check(move || {
        *counted.lock().unwrap() += 1;
        model();
    });
    let executions = *executions.lock().unwrap();
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    weyr_kill::note(format_args!("loom {test}: {executions} executions, complete"));
    assert!(executions > 2, "nothing was explored: {executions}");
}
