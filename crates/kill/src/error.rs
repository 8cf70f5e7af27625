//! What can keep a sweep from being carried out. A sweep that was carried out and found something wrong is no error:
//! its [`Report`](crate::Report) has failures.

use std::io;

use crate::Outcome;

/// Why a sweep could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Stepping is written for x86-64 only.
    #[error("stepping a process by the instruction is written for x86-64 only")]
    Unsupported,
    /// The kernel, a container or a security module refuses ptrace. In CI this is a failure: the sweep has shown
    /// nothing.
    #[error(
        "ptrace is refused ({0}): allow it to this process (in a container: the capability SYS_PTRACE, or a seccomp \
         profile that lets ptrace through; under Yama: kernel.yama.ptrace_scope of 0 or 1)"
    )]
    Refused(io::Error),
    /// A system call failed.
    #[error("{doing}: {cause}")]
    Os {
        /// What was being done.
        doing: &'static str,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// The process under test ended by itself: it panicked, exited or crashed where nobody had killed it.
    #[error(
        "the process under test ended by itself after {steps} steps: {outcome} (its message is on stderr)"
    )]
    Ended {
        /// Steps of the operation that had been made; 0 if `prepare` did not return.
        steps: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// The process under test did not reach its end within the limit: it waits for something, or spins.
    #[error(
        "the process under test was still at it after {seconds} s and {steps} steps: does it wait for somebody?"
    )]
    Hung {
        /// Steps that had been made.
        steps: u64,
        /// The limit, in seconds.
        seconds: u32,
    },
    /// The operation is too long to be stepped.
    #[error("the operation takes more than {limit} steps: sweep a smaller one, or raise the limit")]
    TooLong {
        /// The limit, in steps.
        limit: u64,
    },
}

impl Error {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Os { doing, cause }
    }
}
