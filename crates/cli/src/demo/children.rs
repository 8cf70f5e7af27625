//! Processes started, watched and reaped.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use crate::failure::Failure;

/// What a child is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Reads the file.
    Reader,
    /// Works on chunks; its number.
    Worker(u32),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reader => write!(f, "the reader"),
            Self::Worker(number) => write!(f, "worker {number}"),
        }
    }
}

/// A process of the demo.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) part: Part,
    child: Child,
    /// Its end tells the child that this process is no more.
    _alive: Option<ChildStdin>,
    /// Once it is reaped.
    pub(crate) ended: Option<ExitStatus>,
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill().map_err(Failure::system("killing a process"))
    }

    /// Waits until it is no more.
    pub(crate) fn reap(&mut self) -> Result<(), Failure> {
        self.ended = Some(self.child.wait().map_err(Failure::system("reaping a process"))?);
        Ok(())
    }
}

/// All processes of a demo; those that are left are killed and reaped when dropped.
#[derive(Debug, Default)]
pub(crate) struct Children(Vec<Process>);

impl Children {
    /// Starts this command again, in a part of the demo. Ctrl-C does not reach it: the parent ends it.
    pub(crate) fn start(&mut self, part: Part, arguments: &[OsString]) -> Result<(), Failure> {
        let own = std::env::current_exe().map_err(Failure::system("finding this command's own file"))?;
        let mut command = Command::new(own);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(Failure::system(format!("starting {part}")))?;
        let alive = child.stdin.take();
        self.0.push(Process { part, child, _alive: alive, ended: None });
        Ok(())
    }

    /// Reaps those that have ended since the last look, and names them.
    pub(crate) fn reap(&mut self) -> Result<Vec<(Part, u32, ExitStatus)>, Failure> {
        let mut ended = Vec::new();
        for process in self.0.iter_mut().filter(|process| process.ended.is_none()) {
            process.ended = process.child.try_wait().map_err(Failure::system("reaping a process"))?;
            ended.extend(process.ended.map(|status| (process.part, process.child.id(), status)));
        }
        Ok(ended)
    }

    /// The process with that id that has not ended.
    pub(crate) fn find(&mut self, pid: u64) -> Option<&mut Process> {
        self.0.iter_mut().find(|process| u64::from(process.pid()) == pid && process.ended.is_none())
    }

    /// Workers that have not ended.
    pub(crate) fn workers_left(&self) -> usize {
        let working = |process: &&Process| matches!(process.part, Part::Worker(_)) && process.ended.is_none();
        self.0.iter().filter(working).count()
    }

    /// Whether all have ended.
    pub(crate) fn have_ended(&self) -> bool {
        self.0.iter().all(|process| process.ended.is_some())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for process in self.0.iter_mut().filter(|process| process.ended.is_none()) {
            // Refused only for a process that has ended by itself.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}
