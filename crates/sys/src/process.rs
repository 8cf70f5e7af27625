//! Who a process is, and whether it still runs.
//!
//! A pid returns; pid and start time together do not, within one boot and one pid namespace. Source:
//! proc_pid_stat(5), kill(2), pid_namespaces(7), time_namespaces(7).
//!
//! What it does not do: it cannot judge a process of another pid namespace, and it cannot see that a process has
//! replaced its program by exec (pid and start time stay): for both, see [`presence`](crate::presence). It never
//! judges by the clock.

use crate::fork;
use crate::host;
use crate::procfs::Stat;
use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};
use std::cell::Cell;

/// A process, so that no other process of the same boot is taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Number of the process in its pid namespace.
    pub pid: u32,
    /// When it started: clock ticks of 10 ms from the boot as its time namespace has it. 0: `/proc` did not say.
    pub start_time: u64,
    /// In which boot and namespaces pid and start time hold: inode of the pid namespace in the low 32 bits, of the time
    /// namespace in the high 32 (0 before Linux 5.6), over which the identity of the [host](crate::host::id) is laid by
    /// exclusive or. 0: `/proc` did not say.
    pub pid_namespace: u64,
}

/// Whether a process or thread still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It runs, is stopped, or is a process whose first thread has ended while others run.
    Alive,
    /// It has ended for certain: its last store to memory lies in the past.
    Gone,
    /// It cannot be judged from here.
    Unknown,
}

thread_local! {
    /// The process as this thread last knew it, under the nonce that it had then.
    static CURRENT: Cell<Option<(u64, Identity)>> = const { Cell::new(None) };
}

/// This process. After the first call in a thread it costs three loads; a forked child finds its own identity.
///
/// Where `/proc` is missing or belongs to another pid namespace, or no descriptor is left to read it, `start_time` and
/// `pid_namespace` are 0, others cannot judge this process by them, and the next call asks again.
pub fn current() -> Identity {
    let nonce = fork::nonce();
    match CURRENT.get() {
        Some((known, identity)) if known == nonce => identity,
        _ => {
            let identity = read_current();
            if identity.pid_namespace != 0 {
                CURRENT.set(Some((nonce, identity)));
            }
            identity
        }
    }
}

fn read_current() -> Identity {
    let pid = number_of(getpid());
    let nobody = Identity { pid, start_time: 0, pid_namespace: 0 };
    if !procfs_is_of_this_namespace(pid) {
        return nobody;
    }
    match (Stat::read("/proc/self/stat"), namespaces()) {
        (Err(_), _) | (_, 0) => nobody,
        (Ok(stat), pid_namespace) => Identity { pid, start_time: stat.start_time, pid_namespace },
    }
}

fn number_of(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

/// A container may show the `/proc` of its host, where our pid is somebody else's.
fn procfs_is_of_this_namespace(pid: u32) -> bool {
    std::fs::read_link("/proc/self").is_ok_and(|name| name.as_os_str() == pid.to_string().as_str())
}

/// The namespaces of this thread, in the form of [`Identity::pid_namespace`].
fn namespaces() -> u64 {
    match namespace_inode("pid") {
        0 => 0,
        pid => ((namespace_inode("time") << 32 | pid) ^ host::id()).max(1),
    }
}

/// Inode of one namespace, which the kernel keeps in 32 bits; 0 when it has none. The first thread of the process
/// may have ended, so this thread is asked.
fn namespace_inode(kind: &str) -> u64 {
    rustix::fs::stat(format!("/proc/thread-self/ns/{kind}")).map_or(0, |stat| stat.st_ino & 0xffff_ffff)
}

/// Whether the process runs. About 10 us; does not block.
///
/// - `Unknown` when its namespaces or ours are not known or differ.
/// - `Gone` when there is no such pid, when the pid has another start time, or when its state is dead (`Z`, `X`) and
///   no other thread of it is left. A zombie first thread alone is no proof.
/// - `Alive` otherwise, also when all we know is that the pid exists: kill(2) answers `PERM`, and `/proc` hides it.
/// - A process that is known without a start time is `Gone` when its pid is, and `Unknown` otherwise.
///
/// ```
/// use weyr_sys::process::{Identity, Standing, current, standing};
///
/// let me = current();
/// assert_eq!(standing(&me), Standing::Alive);
/// let earlier = Identity { start_time: me.start_time - 1, ..me };
/// assert_eq!(standing(&earlier), Standing::Gone);
/// ```
pub fn standing(identity: &Identity) -> Standing {
    let me = current();
    if me.pid_namespace == 0 || identity.pid_namespace != me.pid_namespace {
        return Standing::Unknown;
    }
    if *identity == me {
        return Standing::Alive;
    }
    let stat = Stat::read(&format!("/proc/{}/stat", identity.pid));
    judge(identity, stat, || exists(identity.pid))
}

/// The rule of [`standing`], with what `/proc` says; `exists` is asked where that is nothing.
fn judge(identity: &Identity, stat: Result<Stat, Errno>, exists: impl FnOnce() -> bool) -> Standing {
    match stat {
        Ok(stat) if identity.start_time != 0 && stat.start_time != identity.start_time => Standing::Gone,
        Ok(stat) if stat.is_ended_process() => Standing::Gone,
        Err(_) if !exists() => Standing::Gone,
        _ if identity.start_time == 0 => Standing::Unknown,
        _ => Standing::Alive,
    }
}

/// A process of that pid exists; no process has a number that does not fit.
fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| shows_existence(test_kill_process(pid)))
}

/// What kill(2) answers for a process of another user (`PERM`) shows that there is one; only `SRCH` shows absence.
fn shows_existence(answer: Result<(), Errno>) -> bool {
    answer != Err(Errno::SRCH)
}

/// The short name of a process of this pid namespace (15 bytes at most); `None` when there is none to be seen.
pub fn name(pid: u32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    let name = String::from_utf8_lossy(&bytes);
    Some(name.trim_end_matches('\n').to_owned())
}

/// Sends this process the signal of that number. Does not block. Source: kill(2).
///
/// One of the threads that do not block it handles it, or none until one does.
///
/// # Errors
/// `INVAL` when there is no such signal.
pub fn signal_self(signal: i32) -> Result<(), Errno> {
    if !is_signal(signal) {
        return Err(Errno::INVAL);
    }
    let own = getpid().as_raw_nonzero().get();
    // SAFETY: signals the own process, by a number that is one; what it does is what the process has decided.
    match unsafe { libc::kill(own, signal) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// Whether a signal has that number: those of the C library's own use are none.
pub fn is_signal(signal: i32) -> bool {
    (1..32).contains(&signal) || (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEBODY: Identity = Identity { pid: 7, start_time: 100, pid_namespace: 1 };
    const RUNNING: Stat = Stat { state: b'S', threads: 1, start_time: 100 };

    fn unasked() -> bool {
        panic!("kill is asked although /proc has answered")
    }

    #[test]
    fn same_start_time_is_alive_and_another_is_gone() {
        assert_eq!(judge(&SOMEBODY, Ok(RUNNING), unasked), Standing::Alive);
        assert_eq!(judge(&SOMEBODY, Ok(Stat { start_time: 101, ..RUNNING }), unasked), Standing::Gone);
    }

    #[test]
    fn a_zombie_is_gone_only_when_no_thread_is_left() {
        let zombie = Stat { state: b'Z', ..RUNNING };
        assert_eq!(judge(&SOMEBODY, Ok(zombie), unasked), Standing::Gone);
        assert_eq!(judge(&SOMEBODY, Ok(Stat { threads: 2, ..zombie }), unasked), Standing::Alive);
    }

    #[test]
    fn a_process_that_proc_hides_is_alive_while_its_pid_exists() {
        for hidden in [Errno::NOENT, Errno::PERM, Errno::ACCESS, Errno::SRCH] {
            assert_eq!(judge(&SOMEBODY, Err(hidden), || true), Standing::Alive);
            assert_eq!(judge(&SOMEBODY, Err(hidden), || false), Standing::Gone);
        }
    }

    #[test]
    fn without_a_start_time_only_absence_can_be_judged() {
        let unknown = Identity { start_time: 0, ..SOMEBODY };
        assert_eq!(judge(&unknown, Ok(RUNNING), unasked), Standing::Unknown);
        assert_eq!(judge(&unknown, Err(Errno::NOENT), || true), Standing::Unknown);
        assert_eq!(judge(&unknown, Err(Errno::NOENT), || false), Standing::Gone);
    }

    #[test]
    fn a_process_of_another_namespace_cannot_be_judged() {
        let me = current();
        let elsewhere = Identity { pid_namespace: me.pid_namespace + 1, ..me };
        assert_eq!(standing(&elsewhere), Standing::Unknown);
        assert_eq!(standing(&Identity { pid_namespace: 0, ..me }), Standing::Unknown);
    }

    #[test]
    fn a_pid_that_no_process_can_have_does_not_exist() {
        let me = current();
        for pid in [0, u32::MAX, 1 << 31] {
            assert_eq!(standing(&Identity { pid, ..me }), Standing::Gone);
        }
    }

    #[test]
    fn a_process_that_may_not_be_signalled_exists() {
        assert!(shows_existence(Ok(())));
        assert!(shows_existence(Err(Errno::PERM)));
        assert!(!shows_existence(Err(Errno::SRCH)));
    }

    #[test]
    fn this_process_is_alive_and_its_pid_with_another_start_is_gone() {
        let me = current();
        assert_ne!((me.start_time, me.pid_namespace), (0, 0), "/proc is mounted where tests run");
        assert_eq!(me.pid, std::process::id());
        assert_eq!(standing(&me), Standing::Alive);
        assert_eq!(standing(&Identity { start_time: me.start_time + 1, ..me }), Standing::Gone);
    }

    #[test]
    fn every_thread_has_the_same_process() {
        let elsewhere = std::thread::spawn(current).join().expect("the thread ends");
        assert_eq!(elsewhere, current());
    }

    #[test]
    fn a_process_has_a_name_and_nobody_has_none() {
        assert!(name(std::process::id()).is_some_and(|name| !name.is_empty() && !name.contains('\n')));
        assert_eq!(name(u32::MAX), None);
    }
}
