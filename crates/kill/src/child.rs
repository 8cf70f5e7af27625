//! Forked children: a closure runs in a process of its own, and the parent learns how it ended.
//!
//! The idea: `fork` without `exec`, because a child that shares the test's code and data can be told what to do by a
//! closure. The child never returns into the test harness: it ends by `_exit`, so no destructor of the parent's
//! stack and no buffered output is run twice.
//!
//! Source: fork(2), waitpid(2), `PR_SET_PDEATHSIG` in prctl(2), pidfd_open(2).
//!
//! What it does *not* do: no process group of its own, no resource limits, no redirection.

use std::{
    fmt, io,
    mem::ManuallyDrop,
    os::fd::AsFd,
    panic::{self, AssertUnwindSafe},
    sync::Once,
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, getppid, kill_process,
        pidfd_open, set_parent_process_death_signal, waitid, waitpid,
    },
};

/// The exit code of a child whose closure panicked; the message is on stderr.
pub const PANICKED: i32 = 101;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this code: 0 when its closure returned, [`PANICKED`] when it panicked.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

impl Outcome {
    /// SIGKILL ended it.
    #[must_use]
    pub fn was_killed(self) -> bool {
        self == Self::Signalled(libc::SIGKILL)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "exit code {code}"),
            Self::Signalled(signal) => write!(formatter, "signal {signal}"),
        }
    }
}

/// A forked child. Dropping it kills and reaps it, if it was not waited for.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    parent: Pid,
    outcome: Option<Outcome>,
}

/// Forks a child that runs `work` and exits: code 0 when it returns, [`PANICKED`] with the message on stderr when it
/// panics. Does not block.
///
/// The child dies with the thread that spawned it. It has one thread; locks that other threads of the parent held
/// at the fork stay locked in it for ever (the allocator's excepted), so it should use nothing that the rest of the
/// test uses at the same time.
///
/// # Errors
/// The kernel has no process to give (limits, memory).
pub fn spawn(work: impl FnOnce()) -> io::Result<Child> {
    announce_panics_of_children();
    let parent = getpid();
    // SAFETY: the child runs `work` on a copy of this thread's stack and ends in `_exit`; the parent is unchanged.
    // That the child of a threaded process must take no lock of another thread is stated above.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => live(work, parent),
        pid => {
            let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork gave no process id"))?;
            Ok(Child { pid, parent, outcome: None })
        }
    }
}

fn live(work: impl FnOnce(), parent: Pid) -> ! {
    let tied = set_parent_process_death_signal(Some(Signal::KILL));
    if tied.is_err() || getppid() != Some(parent) {
        exit(PANICKED);
    }
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => exit(0),
        Err(_) => exit(PANICKED),
    }
}

/// As [`spawn`]: the child does `prepare`, waits until the thread that spawned it sleeps in the kernel, and does `act`.
/// It dies with its parent, but not in the middle of `act`; what `act` returns is not dropped, so that the child does
/// nothing behind it. Needs `/proc`.
///
/// In a sweep `act` falls into the step in which the parent slept, which cannot be taken back: choose points that lie
/// behind writes. To wait for `prepare` is a sleep as well, so `prepare` returns only when the parent has told it that it waited.
///
/// # Errors
/// As [`spawn`].
pub fn when_parent_sleeps<S, T>(prepare: impl FnOnce() -> S, act: impl FnOnce(S) -> T) -> io::Result<Child> {
    let sleeper = rustix::thread::gettid();
    let parent = getpid();
    spawn(move || {
        let state = prepare();
        let stat = format!("/proc/{}/task/{}/stat", parent.as_raw_nonzero(), sleeper.as_raw_nonzero());
        while state_of(&stat) != Some('S') {
            std::thread::yield_now();
        }
        let freed = set_parent_process_death_signal(None);
        if freed.is_ok() && getppid() == Some(parent) {
            let _left_as_it_is = ManuallyDrop::new(act(state));
            let tied = set_parent_process_death_signal(Some(Signal::KILL));
            while tied.is_ok() && getppid() == Some(parent) {
                std::thread::park();
            }
        }
        exit(0);
    })
}

/// The letter behind the name, which may hold any letter. Source: proc_pid_stat(5).
fn state_of(stat: &str) -> Option<char> {
    std::fs::read_to_string(stat).ok()?.rsplit(") ").next()?.chars().next()
}

/// Ends this process without running a destructor or an exit handler.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes any code and does not return.
    unsafe { libc::_exit(code) }
}

/// The test harness captures what a panic prints by a thread-local that the child inherits, so the message of a
/// child would be lost with it. The hook tells children from the harness by their process id.
fn announce_panics_of_children() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let harness = getpid();
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if getpid() == harness {
                return former(info);
            }
            let message = format!("child {}: {info}\n", getpid());
            // Nobody is left to be told when stderr is closed.
            let _ = rustix::io::write(rustix::stdio::stderr(), message.as_bytes());
        }));
    });
}

impl Child {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has ended, and reaps it. Blocks without limit; a second call gives the same answer.
    ///
    /// # Errors
    /// Somebody else reaped it.
    pub fn wait(&mut self) -> io::Result<Outcome> {
        loop {
            if let Some(outcome) = self.outcome {
                return Ok(outcome);
            }
            self.wait_for(WaitOptions::empty())?;
        }
    }

    /// As [`wait`](Self::wait), but None when it has not ended by `deadline`: a guard for tests of what must not hang.
    /// Needs Linux 5.3.
    ///
    /// # Errors
    /// Somebody else reaped it.
    pub fn wait_until(&mut self, deadline: Instant) -> io::Result<Option<Outcome>> {
        if self.outcome.is_none() {
            let life = pidfd_open(self.pid, PidfdFlags::empty())?;
            let mut watched = [PollFd::from_borrowed_fd(life.as_fd(), PollFlags::IN)];
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                let left = Timespec::try_from(left).map_err(io::Error::other)?;
                match poll(&mut watched, Some(&left)) {
                    Ok(0) => return Ok(None),
                    Ok(_) => break,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        self.wait().map(Some)
    }

    /// Waits until it is a zombie: dead, and not yet reaped. Blocks without limit.
    ///
    /// # Errors
    /// Somebody else reaped it.
    pub fn wait_dead(&self) -> io::Result<()> {
        waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        Ok(())
    }

    /// Waits until a signal has stopped it. Blocks without limit.
    ///
    /// # Errors
    /// It ended instead.
    pub fn wait_stopped(&mut self) -> io::Result<()> {
        match self.wait_for(WaitOptions::UNTRACED)? {
            Some(_signal) => Ok(()),
            None => Err(io::Error::other("the child ended and was to be stopped")),
        }
    }

    /// One wait: the signal that stopped it, or None when it ended (the outcome is then known).
    pub(crate) fn wait_for(&mut self, options: WaitOptions) -> io::Result<Option<i32>> {
        let status = loop {
            match waitpid(Some(self.pid), options) {
                Ok(Some((_, status))) => break status,
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        };
        if let Some(signal) = status.stopping_signal() {
            return Ok(Some(signal));
        }
        let exited = status.exit_status().map(Outcome::Exited);
        self.outcome = exited.or(status.terminating_signal().map(Outcome::Signalled));
        Ok(None)
    }

    /// Sends SIGKILL. Does not wait for the death.
    ///
    /// # Errors
    /// It was reaped before.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// Sends SIGSTOP. [`wait_stopped`](Self::wait_stopped) tells when it stands.
    ///
    /// # Errors
    /// It was reaped before.
    pub fn stop(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Sends SIGCONT.
    ///
    /// # Errors
    /// It was reaped before.
    pub fn cont(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.outcome.is_some() {
            return Err(io::Error::other("the child has ended and was reaped"));
        }
        Ok(kill_process(self.pid, signal)?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A child that was forked while this one lived has a copy of it, and is not its parent.
        if self.outcome.is_none() && self.parent == getpid() {
            // Both fail only when it is gone already.
            let _ = self.kill();
            let _ = self.wait();
        }
    }
}
