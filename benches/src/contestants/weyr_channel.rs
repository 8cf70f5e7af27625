//! Our channel, through its public calls.

use weyr_channel::{Channel, ChannelAttributes, ChannelDescriptor, Receiver, Sender, WaitMode};
use weyr_managed::{Allocation, Pool};

use crate::process::alone;
use crate::processor::Processors;
use crate::scratch::Scratch;
use crate::{Result, rows};

/// Passes numbers on.
pub(crate) trait Queue: Send {
    fn send(&self, number: u64) -> Result<()>;
    fn receive(&self) -> Result<u64>;
}

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
            let pool = Pool::create(&scratch.pool("channels", rows::POOL_BYTES))?;
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

    /// Sends a message with `number` at both of its ends.
    #[inline]
    pub(crate) fn send(&mut self, number: u64) -> Result<()> {
        mark(&mut self.buffer, number);
        Ok(self.sender.send(&self.buffer)?)
    }

    /// The number of the next message.
    #[inline]
    pub(crate) fn receive(&mut self) -> Result<u64> {
        let bytes = self.receiver.receive_into(&mut self.buffer)?;
        if bytes != self.buffer.len() {
            return Err(format!("a message of {bytes} bytes arrived").into());
        }
        marked(&self.buffer)
    }

    pub(crate) fn send_allocation(&mut self, allocation: Allocation) -> Result<()> {
        self.sender.send_allocation(allocation).map_err(|refused| refused.to_string().into())
    }

    pub(crate) fn receive_allocation(&mut self) -> Result<Allocation> {
        self.receiver
            .receive()?
            .into_allocation()
            .ok_or_else(|| "a message without an allocation arrived".into())
    }
}

fn mark(message: &mut [u8], number: u64) {
    let last = message.len() - 8;
    message[..8].copy_from_slice(&number.to_ne_bytes());
    message[last..].copy_from_slice(&number.to_ne_bytes());
}

fn marked(message: &[u8]) -> Result<u64> {
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes);
    let (first, last) = (number(&message[..8])?, number(&message[message.len() - 8..])?);
    if first == last {
        Ok(first)
    } else {
        Err(format!("a message begins with {first} and ends with {last}").into())
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
