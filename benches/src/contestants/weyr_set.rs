//! Our channel sets: a channel each way, and each process waits for its own in a set with idle ones.

use weyr_channel::{Channel, ChannelAttributes, ChannelSet, PollEvents, Ready, Receiver, Sender, WaitMode};

use super::end::{End, Link};
use super::weyr_channel::Channels;
use crate::Result;
use crate::processor::Processors;

/// What every set here is added channels for; the active one's token.
const ACTIVE: u64 = 0;

/// Two channels between two processes, and idle ones that both have in their sets.
#[derive(Debug)]
pub(crate) struct SetLink {
    channels: Channels,
    /// In each set; none: each process receives from its channel.
    members: usize,
    mode: WaitMode,
}

impl SetLink {
    pub(crate) fn new(members: usize, mode: WaitMode, processors: Processors) -> Result<Self> {
        let attributes = ChannelAttributes::new().capacity(16).block_size(48);
        Ok(Self { channels: Channels::new(2 + members, &attributes, processors)?, members, mode })
    }

    fn end(&self, to: usize, from: usize) -> Result<SetEnd> {
        let (to, from) = (self.channels.attach(to)?, self.channels.attach(from)?);
        let set = (self.members > 0).then(|| self.set(&from)).transpose()?;
        let sender = to.sender().with_wait_mode(self.mode);
        let receiver = from.receiver().with_wait_mode(self.mode);
        Ok(SetEnd { sender, receiver, set, ready: Vec::new() })
    }

    /// A set of the active channel in the midst of idle ones.
    fn set(&self, active: &Channel) -> Result<ChannelSet> {
        let mut set = ChannelSet::new().with_wait_mode(self.mode);
        for idle in 1..self.members {
            if idle == self.members / 2 {
                set.add(active, PollEvents::IN, ACTIVE)?;
            }
            set.add(&self.channels.attach(1 + idle)?, PollEvents::IN, ACTIVE + 1)?;
        }
        if self.members == 1 {
            set.add(active, PollEvents::IN, ACTIVE)?;
        }
        if set.len() == self.members { Ok(set) } else { Err("a set has not its members".into()) }
    }
}

impl Link for SetLink {
    type End = SetEnd;

    fn asker(&self) -> Result<SetEnd> {
        self.end(0, 1)
    }

    fn answerer(&self) -> Result<SetEnd> {
        self.end(1, 0)
    }
}

/// What one process has.
#[derive(Debug)]
pub(crate) struct SetEnd {
    sender: Sender,
    receiver: Receiver,
    set: Option<ChannelSet>,
    ready: Vec<Ready>,
}

impl End for SetEnd {
    #[inline]
    fn send(&mut self, number: u64) -> Result<()> {
        Ok(self.sender.send(&number.to_ne_bytes())?)
    }

    #[inline]
    fn receive(&mut self) -> Result<u64> {
        if let Some(set) = &mut self.set {
            set.wait(&mut self.ready)?;
            if self.ready.len() != 1 || self.ready[0].token != ACTIVE {
                return Err(format!("the set says {:?}", self.ready).into());
            }
        }
        let mut number = [0; 8];
        match self.receiver.receive_into(&mut number)? {
            8 => Ok(u64::from_ne_bytes(number)),
            bytes => Err(format!("a message of {bytes} bytes arrived").into()),
        }
    }
}
