//! Two processors to run on, and staying there.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// Two processors, not threads of one core where that can be helped.
pub(crate) type Processors = [usize; 2];

/// Of those that this process may run on, the first, and the first that is no thread of the same core.
pub(crate) fn chosen() -> Result<Processors> {
    let allowed = sched_getaffinity(None)?;
    let mut allowed = (0..CpuSet::MAX_CPU).filter(|&index| allowed.is_set(index));
    let first = allowed.next().ok_or("no processor may be used")?;
    let others: Vec<usize> = allowed.collect();
    let core = |processor| {
        let path = format!("/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list");
        std::fs::read_to_string(path).ok()
    };
    let apart = others.iter().find(|&&other| core(other) != core(first));
    let second = apart.or(others.first()).ok_or("two processors are needed, and one may be used")?;
    Ok([first, *second])
}

/// Keeps the calling thread, and those it starts later, on `processor`.
pub(crate) fn stay_on(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}
