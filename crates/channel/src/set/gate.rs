//! Whether somebody is still to be told, asked in the instant before telling.

use weyr_atomic::{AtomicU32, Ordering};

const OPEN: u32 = 0;
const TELLING: u32 = 1;
const CLOSED: u32 = 2;

/// Who is told passes one by one while it is open; once it is closed nobody begins.
#[derive(Debug)]
pub(super) struct Gate(AtomicU32);

impl Gate {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(OPEN))
    }

    /// Begins to tell, for as long as what it returns lives. None: it is closed. Callers come one by one.
    pub(super) fn enter(&self) -> Option<Telling<'_>> {
        let entered = self.0.compare_exchange(OPEN, TELLING, Ordering::AcqRel, Ordering::Acquire);
        entered.ok().map(|_| Telling(self))
    }

    /// Nobody begins any more, once this returns; somebody may be in the midst.
    pub(super) fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }
}

/// Somebody is being told.
#[derive(Debug)]
pub(super) struct Telling<'a>(&'a Gate);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        // One that fails was closed meanwhile, and stays so.
        let _ = self.0.0.compare_exchange(TELLING, OPEN, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[test]
    fn nobody_begins_behind_a_close_and_who_is_in_the_midst_ends() {
        let gate = Gate::new();
        drop(gate.enter().unwrap());
        let telling = gate.enter().unwrap();
        gate.close();
        drop(telling);
        assert!(gate.enter().is_none());
    }
}
