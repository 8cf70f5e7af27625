//! One core for tracer and traced: a step then costs a third of what it costs across two cores, because the wake-up
//! of the other side is a plain switch.

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// The calling thread, and what it forks, stay on the core where it ran when this was made, until this is dropped.
pub(crate) struct Pinned {
    former: CpuSet,
}

impl Pinned {
    /// None where the kernel does not let us choose; stepping is then slower, not wrong.
    pub(crate) fn here() -> Option<Self> {
        let former = sched_getaffinity(None).ok()?;
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        sched_setaffinity(None, &one).ok()?;
        Some(Self { former })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A core that was taken away meanwhile leaves the thread where it is: nothing depends on it.
        let _ = sched_setaffinity(None, &self.former);
    }
}
