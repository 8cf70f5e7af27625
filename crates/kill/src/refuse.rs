//! A kernel without the named calls: what an old kernel, or a container's filter, answers.
//!
//! The idea: a seccomp filter, written out as the few classic BPF instructions that it is: look at the
//! architecture, look at the call's number, answer an error number or let it through.
//!
//! Source: seccomp(2), *Seccomp BPF* in the kernel's documentation, `linux/audit.h` (architecture numbers).
//!
//! What it does *not* do: it looks at no arguments, and it cannot be taken back; use it in a child.

use std::io;

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
use libc::{SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_SET_MODE_FILTER};
use libc::{sock_filter, sock_fprog};

/// A system call that may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Syscall {
    /// membarrier(2), Linux 4.3; container filters refuse it.
    Membarrier,
    /// futex_waitv(2), Linux 5.16.
    FutexWaitv,
    /// fallocate(2); some file systems lack it.
    Fallocate,
    /// memfd_create(2), Linux 3.17.
    MemfdCreate,
    /// pidfd_open(2), Linux 5.3.
    PidfdOpen,
    /// pidfd_getfd(2), Linux 5.6.
    PidfdGetfd,
    /// madvise(2) with any advice.
    Madvise,
    /// ptrace(2); container filters and security modules refuse it.
    Ptrace,
}

impl Syscall {
    /// Every call that can be refused.
    pub const ALL: [Self; 8] = [
        Self::Membarrier,
        Self::FutexWaitv,
        Self::Fallocate,
        Self::MemfdCreate,
        Self::PidfdOpen,
        Self::PidfdGetfd,
        Self::Madvise,
        Self::Ptrace,
    ];

    /// Its number on this architecture.
    #[must_use]
    pub fn number(self) -> u32 {
        let number = match self {
            Self::Membarrier => libc::SYS_membarrier,
            Self::FutexWaitv => libc::SYS_futex_waitv,
            Self::Fallocate => libc::SYS_fallocate,
            Self::MemfdCreate => libc::SYS_memfd_create,
            Self::PidfdOpen => libc::SYS_pidfd_open,
            Self::PidfdGetfd => libc::SYS_pidfd_getfd,
            Self::Madvise => libc::SYS_madvise,
            Self::Ptrace => libc::SYS_ptrace,
        };
        u32::try_from(number).unwrap_or(u32::MAX)
    }
}

/// What a refused call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// ENOSYS: the kernel does not know the call.
    Missing,
    /// EPERM: a filter forbids it.
    Forbidden,
}

impl Refusal {
    fn errno(self) -> u32 {
        match self {
            Self::Missing => libc::ENOSYS.unsigned_abs(),
            Self::Forbidden => libc::EPERM.unsigned_abs(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

/// From now on, and for the rest of its life, every thread of this process and all its children get ENOSYS from
/// `calls`. Meant for a child made by [`child::spawn`](crate::child::spawn): a test process that refuses itself a
/// call refuses it to every other test.
///
/// # Errors
/// The kernel takes no filter, or a thread already has another one.
pub fn refuse(calls: &[Syscall]) -> io::Result<()> {
    refuse_with(calls, Refusal::Missing)
}

/// As [`refuse`], with a choice of what the calls answer.
///
/// # Errors
/// As [`refuse`].
pub fn refuse_with(calls: &[Syscall], refusal: Refusal) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    install(&mut program(calls, refusal))
}

fn program(calls: &[Syscall], refusal: Refusal) -> Vec<sock_filter> {
    let mut program =
        vec![load(ARCHITECTURE_AT), if_equal(ARCHITECTURE, 1, 0), answer(SECCOMP_RET_ALLOW), load(NUMBER_AT)];
    for call in calls {
        program.push(if_equal(call.number(), 0, 1));
        program.push(answer(SECCOMP_RET_ERRNO | refusal.errno()));
    }
    program.push(answer(SECCOMP_RET_ALLOW));
    program
}

fn load(offset: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
}

/// Compares what was loaded, and skips `equal` instructions or `other` ones.
fn if_equal(value: u32, equal: u8, other: u8) -> sock_filter {
    instruction(BPF_JMP | BPF_JEQ | BPF_K, value, equal, other)
}

fn answer(value: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, value, 0, 0)
}

/// Codes of classic BPF have 16 bits; their constants are C's ints.
fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (code & 0xFFFF) as u16, jt, jf, k }
}

fn install(program: &mut [sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: `filter` points to `program`, which outlives the call; the kernel copies it and checks it.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            SECCOMP_FILTER_FLAG_TSYNC,
            &raw const filter,
        )
    };
    match answer {
        0 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        thread => Err(io::Error::other(format!("thread {thread} has a filter of its own"))),
    }
}
