//! One process, one machine instruction at a time.
//!
//! The idea: the child asks to be traced once it is prepared, stops itself, runs the operation, and stops itself
//! again. Between the two stops the parent lets it make single steps. A step that enters the kernel comes back when
//! the call is done, so a system call is one step; so is each round of a repeated string instruction.
//!
//! Source: ptrace(2), `PTRACE_SINGLESTEP`, `PTRACE_SYSCALL`, `PTRACE_O_EXITKILL`; alarm(2) for a child that waits for ever.
//!
//! What it does *not* do: other threads of the child run freely.

use std::{
    io,
    ptr::{null_mut, without_provenance_mut},
};

use libc::{c_int, c_long, c_void};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process};

use crate::{Child, Error, Outcome, child};

/// A child that could not be traced exits with this and its error number added.
const REFUSED: i32 = 128;

/// A forked child between the start and the end of its operation, stopped whenever the parent looks.
pub(crate) struct Traced {
    child: Child,
    seconds: u32,
    steps: u64,
    /// A signal that the child got and has not been given yet; 0 is none.
    pending: c_int,
}

/// The registers of a stopped process, without those for floating point and vectors: no instruction that writes to
/// memory changes these as well.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Registers(libc::user_regs_struct);

#[cfg(target_arch = "x86_64")]
impl Registers {
    fn address(&self) -> u64 {
        self.0.rip
    }

    fn call(&self) -> u64 {
        self.0.orig_rax
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) struct Registers;

#[cfg(not(target_arch = "x86_64"))]
impl Registers {
    fn address(&self) -> u64 {
        0
    }

    fn call(&self) -> u64 {
        0
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One instruction.
    Made,
    /// The operation had ended before it.
    AtEnd,
}

impl Traced {
    /// Forks a child, and returns when it stands before the first instruction of its operation.
    pub(crate) fn start<T>(
        prepare: &impl Fn() -> T,
        operation: &impl Fn(&mut T),
        seconds: u32,
    ) -> Result<Self, Error> {
        let child = child::spawn(|| run(prepare, operation, seconds)).map_err(Error::io("fork"))?;
        let mut traced = Self { child, seconds, steps: 0, pending: 0 };
        match traced.wait()? {
            libc::SIGSTOP => {}
            signal => return Err(traced.interrupted_by(signal)),
        }
        traced.request(libc::PTRACE_SETOPTIONS, libc::PTRACE_O_EXITKILL)?;
        Ok(traced)
    }

    /// Steps made so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Makes one step.
    pub(crate) fn step(&mut self) -> Result<Step, Error> {
        loop {
            let deliver = std::mem::take(&mut self.pending);
            self.request(libc::PTRACE_SINGLESTEP, deliver)?;
            match self.wait()? {
                libc::SIGTRAP => {
                    self.steps += 1;
                    return Ok(Step::Made);
                }
                libc::SIGSTOP => return Ok(Step::AtEnd),
                libc::SIGALRM => return Err(self.interrupted_by(libc::SIGALRM)),
                other => self.pending = other,
            }
        }
    }

    /// Lets it run, unstepped, to the end of its operation.
    pub(crate) fn run_to_end(&mut self) -> Result<(), Error> {
        loop {
            let deliver = std::mem::take(&mut self.pending);
            self.request(libc::PTRACE_CONT, deliver)?;
            match self.wait()? {
                libc::SIGSTOP => return Ok(()),
                libc::SIGALRM => return Err(self.interrupted_by(libc::SIGALRM)),
                other => self.pending = other,
            }
        }
    }

    /// Lets it run up to its next system call, and through that; the call's number, or none where the operation had
    /// ended before it. The stop at the end is a call as well, the last one.
    pub(crate) fn next_call(&mut self) -> Result<Option<u64>, Error> {
        if !self.run_to_call_or_end()? {
            return Ok(None);
        }
        let number = self.registers()?.call();
        self.run_to_call_or_end()?;
        Ok(Some(number))
    }

    /// Whether it came to the start or the end of a system call, and not to the end of its operation.
    fn run_to_call_or_end(&mut self) -> Result<bool, Error> {
        loop {
            let deliver = std::mem::take(&mut self.pending);
            self.request(libc::PTRACE_SYSCALL, deliver)?;
            match self.wait()? {
                libc::SIGTRAP => return Ok(true),
                libc::SIGSTOP => return Ok(false),
                libc::SIGALRM => return Err(self.interrupted_by(libc::SIGALRM)),
                other => self.pending = other,
            }
        }
    }

    /// The address of the instruction that the next step carries out.
    pub(crate) fn next_instruction(&self) -> Result<u64, Error> {
        Ok(self.registers()?.address())
    }

    /// What its registers hold.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn registers(&self) -> Result<Registers, Error> {
        let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::uninit();
        // SAFETY: the request writes one `user_regs_struct` to where its last argument points, and that is one.
        let answer = unsafe {
            libc::ptrace(libc::PTRACE_GETREGS, self.child.id(), null_mut::<c_void>(), registers.as_mut_ptr())
        };
        succeeded(answer).map_err(Error::io("read the registers of the traced child"))?;
        // SAFETY: the request succeeded, so all of it is written; it is plain integers.
        Ok(Registers(unsafe { registers.assume_init() }))
    }

    /// Gives its registers back what they held, so that its next step is the one that followed then.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn set_registers(&mut self, registers: &Registers) -> Result<(), Error> {
        // SAFETY: the request reads one `user_regs_struct` from where its last argument points, and that is one. What
        // the child then does is the child's alone.
        let answer = unsafe {
            libc::ptrace(libc::PTRACE_SETREGS, self.child.id(), null_mut::<c_void>(), &raw const registers.0)
        };
        succeeded(answer).map_err(Error::io("set the registers of the traced child"))
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn registers(&self) -> Result<Registers, Error> {
        Err(Error::Unsupported)
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn set_registers(&mut self, _registers: &Registers) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Lets it go, stopped by SIGSTOP like any process and no longer traced.
    pub(crate) fn leave_stopped(self) -> Result<Child, Error> {
        self.request(libc::PTRACE_DETACH, libc::SIGSTOP)?;
        let mut child = self.child;
        child.wait_stopped().map_err(Error::io("wait for the stopped child"))?;
        Ok(child)
    }

    /// The child, still traced and to be killed.
    pub(crate) fn into_child(self) -> Child {
        self.child
    }

    /// The signal that the child stopped at.
    fn wait(&mut self) -> Result<c_int, Error> {
        match self.child.wait_for(WaitOptions::UNTRACED).map_err(Error::io("wait for the traced child"))? {
            Some(signal) => Ok(signal),
            None => Err(self.ended()),
        }
    }

    fn ended(&mut self) -> Error {
        match self.child.wait() {
            Ok(Outcome::Signalled(libc::SIGALRM)) => self.interrupted_by(libc::SIGALRM),
            Ok(Outcome::Exited(code)) if code > REFUSED => {
                Error::Refused(io::Error::from_raw_os_error(code - REFUSED))
            }
            Ok(outcome) => Error::Ended { steps: self.steps, outcome },
            Err(cause) => Error::Os { doing: "reap the traced child", cause },
        }
    }

    fn interrupted_by(&self, signal: c_int) -> Error {
        match signal {
            libc::SIGALRM => Error::Hung { steps: self.steps, seconds: self.seconds },
            signal => Error::Ended { steps: self.steps, outcome: Outcome::Signalled(signal) },
        }
    }

    fn request(&self, request: u32, data: c_int) -> Result<(), Error> {
        let data = without_provenance_mut::<c_void>(data.unsigned_abs() as usize);
        // SAFETY: the requests made through here take a number as data, and touch no memory of this process.
        let answer = unsafe { libc::ptrace(request, self.child.id(), null_mut::<c_void>(), data) };
        succeeded(answer).map_err(Error::io("ptrace"))
    }
}

fn succeeded(answer: c_long) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The child's life. It ends without dropping the state, as a process that dies does.
fn run<T>(prepare: &impl Fn() -> T, operation: &impl Fn(&mut T), seconds: u32) {
    // SAFETY: `alarm` takes any number, and its signal ends a process that has no handler for it.
    unsafe { libc::alarm(seconds) };
    let me = getpid();
    let mut state = prepare();
    if let Err(cause) = be_traced() {
        child::exit(REFUSED + cause.raw_os_error().unwrap_or(libc::EPERM));
    }
    stop(me);
    operation(&mut state);
    stop(me);
    child::exit(0);
}

fn be_traced() -> io::Result<()> {
    let nothing = null_mut::<c_void>();
    // SAFETY: the request only marks this process as traced by its parent.
    succeeded(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, nothing, nothing) })
}

/// Few instructions, because those on the way there are stepped as well.
fn stop(me: Pid) {
    // A process may always stop itself.
    let _ = kill_process(me, Signal::STOP);
}
