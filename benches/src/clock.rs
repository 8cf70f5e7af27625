//! How long something took.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// Processor time that the calling thread has used, in nanoseconds: what others do on this machine is not in it.
pub(crate) fn thread_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Processor time of `work`, in nanoseconds for each of `operations`.
pub(crate) fn processor_time(operations: u64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = thread_time();
    work()?;
    Ok((thread_time() - start) / operations as f64)
}

/// Time that passed during `work`, in nanoseconds for each of `operations`.
pub(crate) fn elapsed_time(operations: u64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_nanos() as f64 / operations as f64)
}
