//! The coroutines of a search: those kept where they stand, and those that are idle.

use std::collections::VecDeque;

use super::fingerprint::Table;
use super::local::LocalIndex;
use super::worker::Worker;

/// Coroutines that are kept where they stand, in case the search needs them there again.
const KEPT_MAX: usize = 256;

/// All coroutines that are not running.
#[derive(Default)]
pub(crate) struct Crew {
    /// By the local state at which they stand.
    kept: Table<u32, Worker>,
    /// Oldest first; may name local states at which none stands any more.
    order: VecDeque<LocalIndex>,
    idle: Vec<Worker>,
}

impl Crew {
    /// An idle coroutine, a new one if need be.
    pub(crate) fn idle(&mut self) -> Worker {
        self.idle.pop().unwrap_or_else(Worker::new)
    }

    /// The coroutine that stands at `local`, if one does.
    pub(crate) fn take(&mut self, local: LocalIndex) -> Option<Worker> {
        self.kept.remove(&local.0)
    }

    /// Takes the coroutine's process away, if it runs one.
    pub(crate) fn release(&mut self, mut worker: Worker) {
        worker.abandon();
        self.idle.push(worker);
    }

    /// Keeps a coroutine where it stands; one that is done, or has company there, becomes idle.
    pub(crate) fn keep(&mut self, local: LocalIndex, worker: Worker) {
        if !worker.is_busy() || self.kept.contains_key(&local.0) {
            return self.release(worker);
        }
        self.kept.insert(local.0, worker);
        self.order.push_back(local);
        if self.order.len() > 8 * KEPT_MAX {
            self.order = self.kept.keys().map(|&kept| LocalIndex(kept)).collect();
        }
        while self.kept.len() > KEPT_MAX {
            let oldest = self.order.pop_front().and_then(|oldest| self.take(oldest));
            oldest.into_iter().for_each(|worker| self.release(worker));
        }
    }
}
