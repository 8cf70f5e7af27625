//! Our channel, through its public calls: memory that changes hands. What is received is sent on, or else freed by what
//! is received next; what is sent without that is allocated for it. Only the number in its first bytes is touched.

use weyr_channel::{Channel, Receiver, Sender, WaitMode};
use weyr_managed::{Allocation, Pool};

use super::end::{End, Link, capacity};
use super::weyr_channel::{Channels, attributes};
use crate::Result;
use crate::processor::Processors;

/// One channel there and one back.
#[derive(Debug)]
pub(crate) struct Ownership {
    channels: Channels,
    bytes: usize,
}

impl Ownership {
    pub(crate) fn new(bytes: usize, processors: Processors) -> Result<Self> {
        Ok(Self {
            channels: Channels::new(2, &attributes(48).capacity(capacity(bytes) as u64), processors)?,
            bytes,
        })
    }

    fn end(&self, to: usize, from: usize) -> Result<Owner> {
        Ok(Owner::new(&self.channels.attach(to)?, &self.channels.attach(from)?, self.bytes as u64))
    }
}

impl Link for Ownership {
    type End = Owner;

    fn asker(&self) -> Result<Owner> {
        self.end(0, 1)
    }

    fn answerer(&self) -> Result<Owner> {
        self.end(1, 0)
    }
}

#[derive(Debug)]
pub(crate) struct Owner {
    sender: Sender,
    receiver: Receiver,
    held: Option<Allocation>,
    pool: Pool,
    bytes: u64,
}

impl Owner {
    fn new(to: &Channel, from: &Channel, bytes: u64) -> Self {
        Self {
            sender: to.sender().with_wait_mode(WaitMode::Spin),
            receiver: from.receiver().with_wait_mode(WaitMode::Spin),
            held: None,
            pool: to.pool().clone(),
            bytes,
        }
    }

    #[inline]
    fn send_block(&self, block: Allocation) -> Result<()> {
        self.sender.send_allocation(block).map_err(|refused| refused.to_string().into())
    }

    #[inline]
    fn receive_block(&self) -> Result<Allocation> {
        let block = self.receiver.receive()?.into_allocation();
        let block = block.ok_or("a message without an allocation arrived")?;
        if block.len() != self.bytes {
            return Err(format!("{} bytes arrived", block.len()).into());
        }
        Ok(block)
    }
}

impl End for Owner {
    #[inline]
    fn send(&mut self, number: u64) -> Result<()> {
        let mut block = match self.held.take() {
            Some(block) => block,
            None => self.pool.alloc(self.bytes)?,
        };
        block.write(0, &number.to_ne_bytes())?;
        self.send_block(block)
    }

    #[inline]
    fn receive(&mut self) -> Result<u64> {
        let block = self.receive_block()?;
        let mut number = [0; 8];
        self.held.insert(block).read(0, &mut number)?;
        Ok(u64::from_ne_bytes(number))
    }

    /// What came goes back as it is, and nobody looks at it.
    #[inline]
    fn answer(&mut self) -> Result<()> {
        let block = self.receive_block()?;
        self.send_block(block)
    }
}
