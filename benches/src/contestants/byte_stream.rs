//! What carries bytes through the kernel: a Unix socket, and two pipes. Both are asked again and again instead of slept
//! on, as all others are that they are compared with.

use std::os::fd::OwnedFd;

use rustix::io::{Errno, read, write};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};

use super::end::{End, Link, mark, marked};
use crate::Result;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    UnixSocket,
    Pipe,
}

/// A descriptor to read from and one to write to, for each side.
#[derive(Debug)]
pub(crate) struct ByteStream {
    asker: (OwnedFd, OwnedFd),
    answerer: (OwnedFd, OwnedFd),
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct StreamEnd {
    from: OwnedFd,
    to: OwnedFd,
    buffer: Vec<u8>,
}

impl ByteStream {
    pub(crate) fn new(stream: Stream, bytes: usize) -> Result<Self> {
        match stream {
            Stream::UnixSocket => Self::unix_socket(bytes),
            Stream::Pipe => Self::pipes(bytes),
        }
    }

    fn unix_socket(bytes: usize) -> Result<Self> {
        let (one, two) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
        Ok(Self { asker: (one.try_clone()?, one), answerer: (two.try_clone()?, two), bytes })
    }

    fn pipes(bytes: usize) -> Result<Self> {
        let (there, back) = (pipe_with(PipeFlags::NONBLOCK)?, pipe_with(PipeFlags::NONBLOCK)?);
        Ok(Self { asker: (back.0, there.1), answerer: (there.0, back.1), bytes })
    }

    fn end(&self, (from, to): &(OwnedFd, OwnedFd)) -> Result<StreamEnd> {
        Ok(StreamEnd { from: from.try_clone()?, to: to.try_clone()?, buffer: vec![0; self.bytes] })
    }
}

impl Link for ByteStream {
    type End = StreamEnd;

    fn asker(&self) -> Result<StreamEnd> {
        self.end(&self.asker)
    }

    fn answerer(&self) -> Result<StreamEnd> {
        self.end(&self.answerer)
    }
}

impl End for StreamEnd {
    fn send(&mut self, number: u64) -> Result<()> {
        mark(&mut self.buffer, number);
        let mut sent = 0;
        while sent < self.buffer.len() {
            sent += moved(write(&self.to, &self.buffer[sent..]))?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<u64> {
        let mut received = 0;
        while received < self.buffer.len() {
            received += match read(&self.from, &mut self.buffer[received..]) {
                Ok(0) => return Err("the other side has ended".into()),
                read => moved(read)?,
            };
        }
        marked(&self.buffer)
    }
}

/// Bytes that were moved: none while it is full or empty.
fn moved(outcome: rustix::io::Result<usize>) -> Result<usize> {
    match outcome {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        moved => Ok(moved?),
    }
}
