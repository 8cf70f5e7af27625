//! Futex words that are real: four bytes that the kernel reads.

use super::Wait;
use core::ptr;
use rustix::io::Errno;
use rustix::thread::futex::{Wait as Waiter, WaitFlags, WaitPtr, WaitvFlags, waitv};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};
use weyr_atomic::AtomicU32;

const _: () = assert!(size_of::<AtomicU32>() == 4 && align_of::<AtomicU32>() == 4);

pub(super) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
    let relative = deadline.map(|deadline| timespec(remaining(deadline)));
    let timeout = relative.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word is four aligned bytes that live through the call, the timeout is absent or lives as long; the
    // kernel only reads both.
    let answer =
        unsafe { libc::syscall(libc::SYS_futex, address(word), libc::FUTEX_WAIT, expected, timeout) };
    if answer == 0 { Wait::Woken } else { answer_of(last_error()) }
}

pub(super) fn wake(word: &AtomicU32, count: u32) -> u32 {
    if count == 0 {
        // The kernel would wake one.
        return 0;
    }
    let count = signed(count);
    // SAFETY: the kernel uses the address only to find who sleeps on it.
    let woken = unsafe { libc::syscall(libc::SYS_futex, address(word), libc::FUTEX_WAKE, count) };
    u32::try_from(woken).unwrap_or(0)
}

/// The kernel takes a signed count.
fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// `None`: the kernel cannot wait for several words, or not for so many.
pub(super) fn wait_together(words: &[(&AtomicU32, u32)], deadline: Option<Instant>) -> Option<Wait> {
    let waiters: Vec<Waiter> = words.iter().map(|(word, expected)| waiter(word, *expected)).collect();
    let until = deadline.map(absolute);
    match waitv(&waiters, WaitvFlags::empty(), until.as_ref(), ClockId::Monotonic) {
        Ok(_) => Some(Wait::Woken),
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => None,
        Err(error) => Some(answer_of(error)),
    }
}

fn waiter(word: &AtomicU32, expected: u32) -> Waiter {
    let mut waiter = Waiter::new();
    waiter.val = u64::from(expected);
    waiter.uaddr = WaitPtr::new(address(word).cast());
    waiter.flags = WaitFlags::SIZE_U32;
    waiter
}

fn answer_of(error: Errno) -> Wait {
    match error {
        Errno::AGAIN => Wait::Changed,
        Errno::TIMEDOUT => Wait::TimedOut,
        Errno::INTR => Wait::Interrupted,
        _ => {
            // Nothing was waited for: a caller in a loop must not take the processor from the others.
            std::thread::yield_now();
            Wait::Interrupted
        }
    }
}

fn address(word: &AtomicU32) -> *mut u32 {
    ptr::from_ref(word).cast::<u32>().cast_mut()
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// A duration that the clock cannot hold is as good as for ever.
fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// The deadline on the clock that futex_waitv(2) reads.
fn absolute(deadline: Instant) -> Timespec {
    let remaining = remaining(deadline);
    let now = clock_gettime(ClockId::Monotonic);
    let nanoseconds = now.tv_nsec + i64::from(remaining.subsec_nanos());
    let seconds = i64::try_from(remaining.as_secs()).unwrap_or(i64::MAX);
    Timespec {
        tv_sec: now.tv_sec.saturating_add(seconds).saturating_add(nanoseconds / 1_000_000_000),
        tv_nsec: nanoseconds % 1_000_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_what_the_kernel_takes_wakes_all_that_it_can() {
        assert_eq!((signed(0), signed(3), signed(u32::MAX)), (0, 3, i32::MAX));
    }

    #[test]
    fn a_duration_beyond_the_clock_is_for_ever() {
        assert_eq!(timespec(Duration::MAX).tv_sec, libc::time_t::MAX);
        let half = timespec(Duration::from_millis(2500));
        assert_eq!((half.tv_sec, half.tv_nsec), (2, 500_000_000));
    }
}
