//! A forked child that a test lets run up to a point, kills, and reaps.
//!
//! The child says over a pipe that it is where the test wants it, and then waits for the test on another, so that no
//! test depends on time. A child that the test forgets is killed and reaped.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::{PipeReader, PipeWriter, Read, Write};

/// What the child holds: its ends of the two pipes.
pub(crate) struct Parent {
    tell: PipeWriter,
    listen: PipeReader,
}

impl Parent {
    /// Sends one line of bytes to the test.
    pub(crate) fn tell(&mut self, message: u64) {
        self.tell.write_all(&message.to_le_bytes()).expect("the test listens");
    }

    /// Waits until the test says go on, or is gone.
    pub(crate) fn wait(&mut self) {
        let _ = self.listen.read(&mut [0]);
    }

    /// The same pipes, for another thread of the child.
    pub(crate) fn again(parent: &Parent) -> Parent {
        let tell = parent.tell.try_clone().expect("a descriptor");
        Parent { tell, listen: parent.listen.try_clone().expect("a descriptor") }
    }

    /// The descriptors of the pipes, which a child that closes all must keep.
    pub(crate) fn descriptors(&self) -> [i32; 2] {
        use std::os::fd::AsRawFd;
        [self.tell.as_raw_fd(), self.listen.as_raw_fd()]
    }
}

/// A forked child of the test.
pub(crate) struct Child {
    pub(crate) pid: i32,
    listen: PipeReader,
    tell: PipeWriter,
    reaped: bool,
}

impl Child {
    /// Forks; the child runs `life` and exits with 0, or with 1 if it panics.
    pub(crate) fn fork(life: impl FnOnce(&mut Parent)) -> Child {
        // SAFETY: the child runs only `life`, in a process of one thread, and leaves by _exit.
        Child::through(|| unsafe { libc::fork() }, life)
    }

    /// As [`Child::fork`], past the C library: none of its fork handlers run.
    pub(crate) fn clone_past_the_library(life: impl FnOnce(&mut Parent)) -> Child {
        // SAFETY: without CLONE_VM this is a fork; the child touches no lock of the C library that others may hold.
        let clone = || unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32 };
        Child::through(clone, life)
    }

    fn through(fork: impl FnOnce() -> i32, life: impl FnOnce(&mut Parent)) -> Child {
        let (listen, child_tell) = std::io::pipe().expect("a pipe");
        let (child_listen, tell) = std::io::pipe().expect("a pipe");
        match fork() {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                drop((listen, tell));
                live(Parent { tell: child_tell, listen: child_listen }, life)
            }
            pid => Child { pid, listen, tell, reaped: false },
        }
    }

    /// Waits for the next message; `None`: the child has ended.
    pub(crate) fn hear(&mut self) -> Option<u64> {
        let mut bytes = [0; 8];
        self.listen.read_exact(&mut bytes).ok().map(|()| u64::from_le_bytes(bytes))
    }

    /// Lets a waiting child go on.
    pub(crate) fn go_on(&mut self) {
        self.tell.write_all(&[1]).expect("the child waits");
    }

    pub(crate) fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the child has not been reaped, so the pid is still its own.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// Waits until the child has ended, and leaves it a zombie.
    pub(crate) fn wait_unreaped(&self) {
        // SAFETY: all-zero bytes are a siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` is written by the call and lives through it.
        let answer = unsafe { libc::waitid(libc::P_PID, self.pid as libc::id_t, &mut info, flags) };
        assert_eq!(answer, 0);
    }

    /// Waits until the child has ended, and reaps it: its exit code, or 128 and the signal.
    pub(crate) fn reap(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: the status is written by the call and lives through it.
        let reaped = unsafe { libc::waitpid(self.pid, &mut status, 0) };
        assert_eq!(reaped, self.pid);
        self.reaped = true;
        if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
    }

    pub(crate) fn kill_and_reap(&mut self) {
        self.kill();
        self.reap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill_and_reap();
        }
    }
}

fn live(mut parent: Parent, life: impl FnOnce(&mut Parent)) -> ! {
    // SAFETY: asks that this process be killed when the thread of the test ends, however it does.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| life(&mut parent)));
    // SAFETY: nothing of the parent's is run on the way out.
    unsafe { libc::_exit(i32::from(ended.is_err())) }
}

/// Whether this user may mount and make namespaces; says so when not, as a test that needs it is then skipped.
pub(crate) fn may_administer(test: &str) -> bool {
    // SAFETY: the call reads one number.
    let is_root = unsafe { libc::geteuid() } == 0;
    let may = is_root && Child::fork(|_| enter_own_mounts()).reap() == 0;
    if !may {
        weyr_kill::note_skipped(test, "it needs the right to mount");
    }
    may
}

/// Gives this process mounts of its own, which end with it.
pub(crate) fn enter_own_mounts() {
    // SAFETY: the flag changes only which mounts this process sees.
    let unshared = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    assert_eq!(unshared, 0, "unshare: {}", std::io::Error::last_os_error());
    mount("none", "/", None, libc::MS_REC | libc::MS_PRIVATE, "");
}

/// Mounts, or panics.
pub(crate) fn mount(source: &str, target: &str, kind: Option<&str>, flags: libc::c_ulong, options: &str) {
    let text = |text: &str| std::ffi::CString::new(text).expect("no zero byte");
    let (source, target, options) = (text(source), text(target), text(options));
    let kind = kind.map(text);
    let kind = kind.as_ref().map_or(std::ptr::null(), |kind| kind.as_ptr());
    // SAFETY: all strings end with a zero byte and live through the call.
    let answer =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, options.as_ptr().cast()) };
    assert_eq!(answer, 0, "mount: {}", std::io::Error::last_os_error());
}
