//! What a receiver can sleep on: a futex, two eventfds, two pipes, a Unix socket.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::thread::futex;

use crate::Result;
use crate::shared_page::SharedPage;

const THERE: usize = 0;
const BACK: usize = 1;
/// Line of the number that goes with an eventfd or a futex.
const CARRIED: usize = 2;

/// Two words that are slept on until they change.
pub(crate) mod on_futex {
    use super::*;

    pub(crate) fn ask(page: &SharedPage, number: u64) -> Result<u64> {
        page.word(CARRIED).store(number, Ordering::Relaxed);
        let before = page.futex(BACK).load(Ordering::Relaxed);
        post(page.futex(THERE))?;
        sleep_while(page.futex(BACK), before)?;
        Ok(page.word(CARRIED).load(Ordering::Relaxed))
    }

    /// Answers the next; `last` is what the word was before.
    pub(crate) fn answer(page: &SharedPage, last: &mut u32) -> Result<()> {
        sleep_while(page.futex(THERE), *last)?;
        *last = last.wrapping_add(1);
        post(page.futex(BACK))
    }

    fn post(word: &AtomicU32) -> Result<()> {
        // Release: publishes the number.
        word.fetch_add(1, Ordering::Release);
        futex::wake(word, futex::Flags::empty(), 1)?;
        Ok(())
    }

    fn sleep_while(word: &AtomicU32, value: u32) -> Result<()> {
        while word.load(Ordering::Acquire) == value {
            match futex::wait(word, futex::Flags::empty(), value, None) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A descriptor to read from and one to write to, for each direction.
#[derive(Debug)]
pub(crate) struct Descriptors {
    there: (OwnedFd, OwnedFd),
    back: (OwnedFd, OwnedFd),
}

impl Descriptors {
    pub(crate) fn pipes() -> Result<Self> {
        Ok(Self { there: rustix::pipe::pipe()?, back: rustix::pipe::pipe()? })
    }

    /// Eventfds are read and written through the same descriptor. They add what is written, and the number goes there
    /// and back because each is read before the next is written.
    pub(crate) fn eventfds() -> Result<Self> {
        let both = || -> Result<_> {
            let event = eventfd(0, EventfdFlags::empty())?;
            Ok((event.try_clone()?, event))
        };
        Ok(Self { there: both()?, back: both()? })
    }

    pub(crate) fn unix_socket() -> Result<Self> {
        let (one, two) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None)?;
        Ok(Self { there: (two.try_clone()?, one.try_clone()?), back: (one, two) })
    }

    pub(crate) fn ask(&self, number: u64) -> Result<u64> {
        send(&self.there.1, number)?;
        receive(&self.back.0)
    }

    pub(crate) fn answer(&self) -> Result<()> {
        send(&self.back.1, receive(&self.there.0)?)
    }
}

fn send(to: &OwnedFd, number: u64) -> Result<()> {
    match retry_on_intr(|| write(to, &number.to_ne_bytes()))? {
        8 => Ok(()),
        bytes => Err(format!("{bytes} of 8 bytes were written").into()),
    }
}

fn receive(from: &OwnedFd) -> Result<u64> {
    let mut number = [0; 8];
    match retry_on_intr(|| read(from, &mut number))? {
        8 => Ok(u64::from_ne_bytes(number)),
        bytes => Err(format!("{bytes} of 8 bytes were read").into()),
    }
}
