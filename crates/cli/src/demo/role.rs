//! What reader and workers have in common: the channels, and an end when the parent ends.

use std::io::{self, Read};

use weyr::channel::Error;
use weyr::managed::PoolDescriptor;
use weyr::{Channel, ChannelDescriptor, Pool};
use zerocopy::IntoBytes as _;

use super::cooperation::cooperative;
use super::message::Holding;
use crate::arguments::Channels;
use crate::failure::Failure;

/// A child's part in the demo.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) pool: Pool,
    /// Carries the chunks.
    pub(crate) work: Channel,
    /// Carries the answers.
    pub(crate) replies: Channel,
}

impl Role {
    /// Attaches what the parent has made; none when the others have done all the work meanwhile.
    pub(crate) fn attach(channels: &Channels) -> Result<Option<Self>, Failure> {
        end_with_parent();
        let work: ChannelDescriptor = channels.work.parse()?;
        let replies: ChannelDescriptor = channels.replies.parse()?;
        let pool = cooperative(Pool::attach_descriptor(&PoolDescriptor::from_bytes(work.pool())?)?);
        let replies = Channel::attach_in(&pool, &replies)?;
        match Channel::attach_in(&pool, &work) {
            Ok(work) => Ok(Some(Self { pool, work, replies })),
            Err(Error::Destroyed | Error::Stale) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that this process is in the middle of `chunk`, and waits to be killed.
    pub(crate) fn hold(&self, chunk: u64) -> Result<(), Failure> {
        self.replies.send(Holding::new(chunk).as_bytes())?;
        loop {
            std::thread::park();
        }
    }
}

/// Ends this process when the parent's end of standard input is closed: when it is no more.
fn end_with_parent() {
    std::thread::spawn(|| {
        // Closed or broken: the parent is gone either way.
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        std::process::exit(3);
    });
}
