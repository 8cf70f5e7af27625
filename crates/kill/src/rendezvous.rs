//! A place where processes meet: posts are counted, and each wait takes one.
//!
//! The idea: a pipe made before the fork. Its bytes are the posts, so a process that dies holds nothing, and waiting
//! is the kernel's. A post carries a number, for children that have a result to tell.
//!
//! Source: pipe(7) (writes of up to 4096 bytes are atomic), pidfd_open(2).
//!
//! What it does *not* do: it is no barrier for a group (post once a peer), and it keeps no order between posters.

use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::fd::AsFd,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{PidfdFlags, pidfd_open},
};

use crate::Child;

/// A counting meeting place for a parent and the children that it forks after making it.
#[derive(Debug)]
pub struct Rendezvous {
    posts: PipeReader,
    post: PipeWriter,
}

impl Rendezvous {
    /// A meeting place without posts. Make it before the fork.
    ///
    /// # Errors
    /// The process has no file descriptors left.
    pub fn new() -> io::Result<Self> {
        let (posts, post) = io::pipe()?;
        Ok(Self { posts, post })
    }

    /// Posts 0 once. Blocks only when some thousand posts were never waited for.
    ///
    /// # Errors
    /// None that a live pipe gives.
    pub fn post(&self) -> io::Result<()> {
        self.send(0)
    }

    /// Posts a number.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub fn send(&self, number: u64) -> io::Result<()> {
        (&self.post).write_all(&number.to_le_bytes())
    }

    /// Takes one post, and waits for it without limit: also when all who could post are dead. See
    /// [`wait_from`](Self::wait_from).
    ///
    /// # Errors
    /// None that a live pipe gives.
    pub fn wait(&self) -> io::Result<u64> {
        let mut number = [0; 8];
        (&self.posts).read_exact(&mut number)?;
        Ok(u64::from_le_bytes(number))
    }

    /// Takes one post, and waits for it as long as `child` lives. Needs Linux 5.3.
    ///
    /// # Errors
    /// The child ended, and there is no post.
    pub fn wait_from(&self, child: &Child) -> io::Result<u64> {
        let life = pidfd_open(child.pid(), PidfdFlags::empty())?;
        let mut watched = [
            PollFd::from_borrowed_fd(self.posts.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(life.as_fd(), PollFlags::IN),
        ];
        while let Err(errno) = poll(&mut watched, None) {
            if errno != rustix::io::Errno::INTR {
                return Err(errno.into());
            }
        }
        if watched[0].revents().contains(PollFlags::IN) {
            return self.wait();
        }
        Err(io::Error::other("the child ended before it came to the rendezvous"))
    }
}
