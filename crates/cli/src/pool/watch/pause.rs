//! From look to look: until the next is due, a key ends it, a signal comes, or nobody reads any more.

use std::cell::Cell;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::pipe;

use crate::failure::Failure;

/// Why a pause is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// It is time for the next look.
    Due,
    /// A key, a signal, or nobody who reads.
    Ended,
    /// The terminal has another size.
    Resized,
}

/// What may end a pause.
#[derive(Debug)]
pub(super) struct Pause {
    /// Readable once a signal to end came.
    ends: UnixStream,
    /// Readable when the terminal was resized.
    resized: UnixStream,
    /// Whether keys come on standard input.
    keys: Cell<bool>,
}

impl Pause {
    /// Catches the signals from now on; `keys`: standard input is a person's.
    pub(super) fn new(keys: bool) -> Result<Self, Failure> {
        let caught = |signals: &[i32]| {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            signals.iter().try_for_each(|signal| pipe::register(*signal, write.try_clone()?).map(drop))?;
            Ok(read)
        };
        let (ends, resized) = (caught(&[SIGHUP, SIGINT, SIGTERM]), caught(&[SIGWINCH]));
        let failed = Failure::system::<io::Error>;
        Ok(Self {
            ends: ends.map_err(failed("catching signals"))?,
            resized: resized.map_err(failed("catching signals"))?,
            keys: Cell::new(keys),
        })
    }

    /// Waits until `due` at the longest.
    pub(super) fn until(&self, due: Instant) -> Result<Woken, Failure> {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            let [ended, resized, unread, key] = self.wait(left)?;
            if ended || unread || key && self.is_ended_by_key() {
                return Ok(Woken::Ended);
            }
            if resized && drain(&self.resized) {
                return Ok(Woken::Resized);
            }
            if left.is_zero() {
                return Ok(Woken::Due);
            }
        }
    }

    /// What there is after at most `time`: a signal to end, another size, a reader that is gone, a key.
    fn wait(&self, time: Duration) -> Result<[bool; 4], Failure> {
        let (stdout, stdin) = (io::stdout(), io::stdin());
        let mut watched = vec![
            PollFd::new(&self.ends, PollFlags::IN),
            PollFd::new(&self.resized, PollFlags::IN),
            // Without an event: that its reader has gone is told anyway.
            PollFd::new(&stdout, PollFlags::empty()),
        ];
        if self.keys.get() {
            watched.push(PollFd::new(&stdin, PollFlags::IN));
        }
        let time = Timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos().into() };
        match poll(&mut watched, Some(&time)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok([false; 4]),
            Err(errno) => return Err(Failure::system("waiting for the next look")(errno)),
        }
        let is_awake = |which: usize| watched.get(which).is_some_and(|fd| !fd.revents().is_empty());
        Ok([0, 1, 2, 3].map(is_awake))
    }

    fn is_ended_by_key(&self) -> bool {
        let mut keys = [0; 64];
        match rustix::io::read(io::stdin().as_fd(), &mut keys) {
            // The other side of the terminal is gone, or there are no more keys.
            Ok(0) | Err(_) => self.keys.set(false),
            // Ctrl-C is a key here.
            Ok(count) => return keys[..count].iter().any(|key| matches!(key, b'q' | b'Q' | 0x03)),
        }
        false
    }
}

/// Whether there was anything.
fn drain(mut stream: &UnixStream) -> bool {
    let mut bytes = [0; 64];
    matches!(stream.read(&mut bytes), Ok(count) if count > 0)
}
