//! Processes that measure: forked, pinned, waited for, and killed when they take too long.
//!
//! The run itself measures nothing. Every measurement starts in a child, so that none sees another's heap, pools or
//! threads, and a contestant that hangs or dies is an error of its row. A child sends its result through a pipe.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_parent_process_death_signal, waitpid};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Result, processor};

/// What a child may take, at most.
const LIMIT: Duration = Duration::from_secs(40);

/// A process to be: where it runs, and what it does.
pub(crate) struct Work<'w, T> {
    processor: usize,
    act: Box<dyn FnOnce() -> Result<T> + 'w>,
}

impl<'w, T> Work<'w, T> {
    pub(crate) fn new(processor: usize, act: impl FnOnce() -> Result<T> + 'w) -> Self {
        Self { processor, act: Box::new(act) }
    }
}

/// A child that runs; killed and reaped at the latest when this is dropped.
#[derive(Debug)]
struct Child {
    pid: Option<Pid>,
    result: File,
}

/// Runs `act` in a process of its own on `processor`.
pub(crate) fn alone<T: Serialize + DeserializeOwned>(
    processor: usize,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let [result] = together([Work::new(processor, act)])?;
    Ok(result)
}

/// Runs each in a process of its own, at once. The first that fails ends the others.
pub(crate) fn together<T: Serialize + DeserializeOwned, const N: usize>(
    works: [Work<'_, T>; N],
) -> Result<[T; N]> {
    let results = all_together(works.into())?;
    results.try_into().map_err(|_| "a process is missing".into())
}

/// The same for any number.
pub(crate) fn all_together<T: Serialize + DeserializeOwned>(works: Vec<Work<'_, T>>) -> Result<Vec<T>> {
    let deadline = Instant::now() + LIMIT;
    let mut children = works.into_iter().map(Child::start).collect::<Result<Vec<_>>>()?;
    let mut results: Vec<Option<T>> = children.iter().map(|_| None).collect();
    while results.iter().any(Option::is_none) {
        let waiting: Vec<usize> = (0..results.len()).filter(|&index| results[index].is_none()).collect();
        let files: Vec<&File> = waiting.iter().map(|&index| &children[index].result).collect();
        let ready = wait_for_any(&files, deadline)?;
        let index = waiting[ready];
        results[index] = Some(children[index].finish()?);
    }
    Ok(results.into_iter().flatten().collect())
}

/// Index of one that can be read or is closed.
fn wait_for_any(files: &[&File], deadline: Instant) -> Result<usize> {
    let mut polled: Vec<PollFd<'_>> = files.iter().map(|file| PollFd::new(*file, PollFlags::IN)).collect();
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(&timeout)))?;
    let ready = polled.iter().position(|entry| !entry.revents().is_empty());
    ready.ok_or_else(|| format!("no result after {} s", LIMIT.as_secs()).into())
}

impl Child {
    fn start<T: Serialize>(work: Work<'_, T>) -> Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        // SAFETY: this process has one thread whenever it forks, so the child can use all of its memory.
        match unsafe { libc::fork() } {
            -1 => Err(std::io::Error::last_os_error().into()),
            0 => {
                drop(read);
                be_child(work, write)
            }
            pid => Ok(Self { pid: Pid::from_raw(pid), result: read.into() }),
        }
    }

    /// Its result, once it has closed its pipe.
    fn finish<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut text = String::new();
        self.result.read_to_string(&mut text)?;
        let pid = self.pid.ok_or("a process was asked twice")?;
        let ended = waitpid(Some(pid), WaitOptions::empty())?.map(|(_, status)| status);
        self.pid = None;
        if let Some(signal) = ended.and_then(|status| status.terminating_signal()) {
            return Err(format!("the measuring process was killed by signal {signal}").into());
        }
        let result: std::result::Result<T, String> =
            serde_json::from_str(&text).map_err(|_| "the measuring process ended without a result")?;
        result.map_err(Into::into)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            // It is this process's child and was not waited for, so the pid is still its own.
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

fn be_child<T: Serialize>(work: Work<'_, T>, write: OwnedFd) -> ! {
    let act = || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        processor::stay_on(work.processor)?;
        (work.act)()
    };
    let outcome =
        catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| Err("the measurement panicked".into()));
    let text = serde_json::to_string(&outcome.map_err(|error| error.to_string()));
    let written = text.map(|text| File::from(write).write_all(text.as_bytes()));
    let status = i32::from(!matches!(written, Ok(Ok(()))));
    // SAFETY: ends this process at once: the parent's buffers and handles are copies here and stay the parent's.
    unsafe { libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> usize {
        processor::chosen().unwrap()[0]
    }

    #[test]
    fn results_come_in_the_order_of_the_processes() {
        let works = (0..4).map(|number| Work::new(here(), move || Ok(number))).collect();
        assert_eq!(all_together::<u64>(works).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_process_that_fails_panics_or_dies_is_an_error() {
        assert_eq!(alone::<u64>(here(), || Err("no".into())).unwrap_err().to_string(), "no");
        assert!(alone::<u64>(here(), || panic!("on purpose")).unwrap_err().to_string().contains("panicked"));
        let killed = alone::<u64>(here(), || {
            kill_process(rustix::process::getpid(), Signal::KILL)?;
            Ok(1)
        });
        assert!(killed.unwrap_err().to_string().contains("signal 9"));
    }

    #[test]
    fn the_first_failure_ends_those_that_would_wait_for_ever() {
        let waits = Work::new(here(), || {
            loop {
                std::thread::park();
            }
        });
        assert!(together::<u64, 2>([waits, Work::new(here(), || Err("no".into()))]).is_err());
    }
}
