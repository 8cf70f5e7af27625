//! Who a thread is, and whether it still runs. Source: gettid(2), proc_tid_stat(5), tgkill(2).
//!
//! As with processes, a number returns and a number with its start time does not. The first thread of a process has
//! the process's number; it may end while others go on.

use crate::fork;
use crate::process::{self, Standing};
use crate::procfs::Stat;
use rustix::io::Errno;
use std::cell::Cell;

thread_local! {
    /// This thread's number, under the nonce of the process in which it was asked.
    static ID: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
    /// When it started, the same way.
    static START: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// The number of this thread in its pid namespace, never 0. Three loads after the first call in a thread; a forked
/// child finds its own.
pub fn id() -> u32 {
    let nonce = fork::nonce();
    match ID.get() {
        (known, id) if known == nonce => id,
        _ => {
            let id = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
            ID.set((nonce, id));
            id
        }
    }
}

/// When this thread started, as [`start_time`] gives it. Reads `/proc` at the first call in a thread, and again until
/// that succeeds; a forked child asks anew.
pub fn own_start_time() -> Option<u64> {
    let nonce = fork::nonce();
    match START.get() {
        (known, start) if known == nonce => Some(start),
        _ => start_time(id()).inspect(|&start| START.set((nonce, start))),
    }
}

/// When the thread `tid`, of any process of this pid namespace, started: clock ticks of 10 ms from boot as this time
/// namespace has it. `None` when there is no such thread to be seen.
pub fn start_time(tid: u32) -> Option<u64> {
    Stat::read(&format!("/proc/{tid}/stat")).ok().map(|stat| stat.start_time)
}

/// Whether the thread `tid` of `process`, which started at `start_time` (as [`start_time`] gives it), still runs.
///
/// It is `Gone` when its process is; when the process has no such thread, or one with another start time; or when it
/// has ended and waits to be reaped. `Unknown` when its process cannot be judged, or when `start_time` is 0 and there
/// is such a thread. About 20 us; does not block.
pub fn standing(process: &process::Identity, tid: u32, start_time: u64) -> Standing {
    match process::standing(process) {
        Standing::Alive => {
            let stat = Stat::read(&format!("/proc/{}/task/{tid}/stat", process.pid));
            judge(start_time, stat, || exists(process.pid, tid))
        }
        other => other,
    }
}

fn judge(start_time: u64, stat: Result<Stat, Errno>, exists: impl FnOnce() -> bool) -> Standing {
    match stat {
        Ok(stat) if start_time != 0 && stat.start_time != start_time => Standing::Gone,
        Ok(stat) if stat.is_ended_thread() => Standing::Gone,
        Err(_) if !exists() => Standing::Gone,
        _ if start_time == 0 => Standing::Unknown,
        _ => Standing::Alive,
    }
}

/// The process has a thread of that number; a thread of another user counts (`EPERM`).
fn exists(pid: u32, tid: u32) -> bool {
    let (Ok(pid), Ok(tid)) = (libc::pid_t::try_from(pid), libc::pid_t::try_from(tid)) else { return false };
    if pid == 0 || tid == 0 {
        return false;
    }
    // SAFETY: signal 0 is never delivered; the call only checks that the thread exists.
    let answer = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, 0) };
    answer == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn threads_of_a_process_have_different_numbers() {
        let other = std::thread::spawn(id).join().expect("the thread ends");
        assert_ne!(other, id());
        assert_eq!(id(), id());
    }

    #[test]
    fn a_thread_is_alive_until_it_ends_and_gone_then() {
        let (tell, told) = mpsc::channel();
        let (let_go, wait) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(id()).expect("the test listens");
            wait.recv().expect("the test lets go");
        });
        let tid = told.recv().expect("the thread tells its number");
        let start = start_time(tid).expect("the thread runs");
        let me = process::current();
        assert_eq!(standing(&me, tid, start), Standing::Alive);
        assert_eq!(standing(&me, tid, start + 1), Standing::Gone);
        assert_eq!(standing(&me, tid, 0), Standing::Unknown);
        let_go.send(()).expect("the thread waits");
        thread.join().expect("the thread ends");
        // The join returns when the kernel clears the thread's word, a moment before the thread leaves the table.
        while exists(me.pid, tid) {
            std::thread::yield_now();
        }
        assert_eq!(standing(&me, tid, start), Standing::Gone);
    }

    #[test]
    fn an_ended_first_thread_is_gone_while_its_process_lives() {
        let ended = Stat { state: b'Z', threads: 2, start_time: 5 };
        assert_eq!(judge(5, Ok(ended), || true), Standing::Gone);
    }

    #[test]
    fn a_thread_of_a_process_elsewhere_cannot_be_judged() {
        let elsewhere = process::Identity { pid_namespace: 0, ..process::current() };
        assert_eq!(standing(&elsewhere, id(), 1), Standing::Unknown);
    }
}
