//! The three facts of `/proc/<pid>/stat` that tell who is alive. Source: proc_pid_stat(5).

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, retry_on_intr};

/// State, number of threads and start time of a process or thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The letter that ps(1) shows: `Z` and `X` are dead.
    pub(crate) state: u8,
    /// Threads of the process that still exist, unreaped zombies included.
    pub(crate) threads: u64,
    /// Clock ticks (10 ms) from the boot of the reader's time namespace to the start.
    pub(crate) start_time: u64,
}

impl Stat {
    /// Reads the file at `path`: `/proc/<pid>/stat` or `/proc/<pid>/task/<tid>/stat`.
    ///
    /// # Errors
    /// `NOENT` or `SRCH`: no such process, or one that this user may not see; `INVAL`: not such a file.
    pub(crate) fn read(path: &str) -> Result<Stat, Errno> {
        // The three fields lie within the first 500 bytes: the name has at most 64 escaped bytes.
        let mut bytes = [0_u8; 1024];
        let file = retry_on_intr(|| open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))?;
        let len = retry_on_intr(|| read(&file, &mut bytes))?;
        Stat::parse(&bytes[..len]).ok_or(Errno::INVAL)
    }

    /// The name, in parentheses, may hold anything: fields are counted from the last closing one.
    fn parse(bytes: &[u8]) -> Option<Stat> {
        let name_end = bytes.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&bytes[name_end + 1..]).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let threads = fields.nth(16)?.parse().ok()?;
        let start_time = fields.nth(1)?.parse().ok()?;
        Some(Stat { state, threads, start_time })
    }

    /// The thread that the file is about has ended.
    pub(crate) fn is_ended_thread(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Every thread of the process has ended: a first thread that has is no proof alone.
    pub(crate) fn is_ended_process(&self) -> bool {
        self.is_ended_thread() && self.threads <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "77 (a) Z (b) S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 123456 9 10";

    #[test]
    fn fields_are_found_behind_a_name_with_parentheses() {
        let stat = Stat::parse(LINE.as_bytes());
        assert_eq!(stat, Some(Stat { state: b'S', threads: 3, start_time: 123_456 }));
    }

    #[test]
    fn a_shortened_line_is_refused() {
        assert_eq!(Stat::parse(&LINE.as_bytes()[..40]), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn a_zombie_is_an_ended_process_only_without_other_threads() {
        let zombie = Stat { state: b'Z', threads: 1, start_time: 1 };
        assert!(zombie.is_ended_process());
        assert!(!Stat { threads: 2, ..zombie }.is_ended_process());
        assert!(Stat { threads: 2, ..zombie }.is_ended_thread());
        assert!(!Stat { state: b'S', ..zombie }.is_ended_process());
    }
}
