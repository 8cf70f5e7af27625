//! Our channel, through its public calls: messages that are copied.

use weyr_channel::{Channel, ChannelAttributes, ChannelDescriptor, Receiver, Sender, WaitMode};
use weyr_managed::Pool;

use super::end::{End, Link, capacity, mark, marked};
use crate::Result;
use crate::process::alone;
use crate::processor::Processors;
use crate::scratch::Scratch;

/// Passes numbers on.
pub(crate) trait Queue: Send {
    fn send(&self, number: u64) -> Result<()>;
    fn receive(&self) -> Result<u64>;
}

/// Size of their pool: some times what may wait in a channel, so that after the first samples all of it was used before,
/// as the buffers of the others were.
const POOL_BYTES: u64 = 64 << 20;

/// Channels in a pool of their own, made by a process that has ended.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Keeps the pool's directory.
    scratch: Scratch,
    descriptors: Vec<Vec<u8>>,
}

impl Channels {
    pub(crate) fn new(count: usize, attributes: &ChannelAttributes, processors: Processors) -> Result<Self> {
        let scratch = Scratch::new()?;
        let descriptors = alone(processors[0], || {
            let pool = Pool::create(&scratch.pool("channels", POOL_BYTES))?;
            (0..count).map(|_| Ok(Channel::create(&pool, attributes)?.descriptor().to_bytes())).collect()
        })?;
        Ok(Self { scratch, descriptors })
    }

    /// Attaches the calling process to channel `index`.
    pub(crate) fn attach(&self, index: usize) -> Result<Channel> {
        debug_assert!(self.scratch.path().exists());
        let descriptor = self.descriptors.get(index).ok_or("there is no such channel")?;
        Ok(Channel::attach(&ChannelDescriptor::from_bytes(descriptor)?)?)
    }
}

/// Messages up to so many bytes lie in the channel, larger ones in allocations of its pool.
const INLINE_BYTES: usize = 4096;

/// A channel for messages of `bytes` bytes.
pub(crate) fn attributes(bytes: usize) -> ChannelAttributes {
    let attributes = ChannelAttributes::new().capacity(capacity(bytes) as u64);
    if bytes > INLINE_BYTES {
        attributes.block_size(48).side_loading(true)
    } else {
        attributes.block_size(bytes.max(48) as u64)
    }
}

/// One channel there and one back, for messages that are copied in and out.
#[derive(Debug)]
pub(crate) struct WeyrLink {
    channels: Channels,
    bytes: usize,
    mode: WaitMode,
}

impl WeyrLink {
    pub(crate) fn new(bytes: usize, mode: WaitMode, processors: Processors) -> Result<Self> {
        Ok(Self { channels: Channels::new(2, &attributes(bytes), processors)?, bytes, mode })
    }

    fn ends(&self, to: usize, from: usize) -> Result<Ends> {
        let (to, from) = (self.channels.attach(to)?, self.channels.attach(from)?);
        Ok(Ends::new(&to, &from, self.bytes, self.mode))
    }
}

impl Link for WeyrLink {
    type End = Ends;

    fn asker(&self) -> Result<Ends> {
        self.ends(0, 1)
    }

    fn answerer(&self) -> Result<Ends> {
        self.ends(1, 0)
    }
}

/// A handle to send with and one to receive with, as one process or thread has them.
#[derive(Debug)]
pub(crate) struct Ends {
    sender: Sender,
    receiver: Receiver,
    buffer: Vec<u8>,
}

impl Ends {
    /// Sends to `to`, and receives from `from`, messages of `bytes` bytes.
    pub(crate) fn new(to: &Channel, from: &Channel, bytes: usize, mode: WaitMode) -> Self {
        let sender = to.sender().with_wait_mode(mode);
        let receiver = from.receiver().with_wait_mode(mode);
        Self { sender, receiver, buffer: vec![0; bytes] }
    }
}

impl End for Ends {
    #[inline]
    fn send(&mut self, number: u64) -> Result<()> {
        mark(&mut self.buffer, number);
        Ok(self.sender.send(&self.buffer)?)
    }

    #[inline]
    fn receive(&mut self) -> Result<u64> {
        let bytes = self.receiver.receive_into(&mut self.buffer)?;
        if bytes != self.buffer.len() {
            return Err(format!("a message of {bytes} bytes arrived").into());
        }
        marked(&self.buffer)
    }
}

/// The same as a queue of numbers among threads; a clone is a thread's own handle.
#[derive(Debug, Clone)]
pub(crate) struct WeyrQueue {
    sender: Sender,
    receiver: Receiver,
}

impl WeyrQueue {
    pub(crate) fn new(channel: &Channel) -> Self {
        Self { sender: channel.sender(), receiver: channel.receiver() }
    }
}

impl Queue for WeyrQueue {
    #[inline]
    fn send(&self, number: u64) -> Result<()> {
        Ok(self.sender.send(&number.to_ne_bytes())?)
    }

    #[inline]
    fn receive(&self) -> Result<u64> {
        let mut number = [0; 8];
        match self.receiver.receive_into(&mut number)? {
            8 => Ok(u64::from_ne_bytes(number)),
            bytes => Err(format!("a message of {bytes} bytes arrived").into()),
        }
    }
}
