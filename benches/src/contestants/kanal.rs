//! kanal, among threads.

use kanal::{Receiver, Sender, bounded};

use super::weyr_channel::Queue;
use crate::Result;

#[derive(Debug, Clone)]
pub(crate) struct Kanal(Sender<u64>, Receiver<u64>);

impl Kanal {
    pub(crate) fn new(capacity: usize) -> Self {
        let (sender, receiver) = bounded(capacity);
        Self(sender, receiver)
    }
}

impl Queue for Kanal {
    #[inline]
    fn send(&self, number: u64) -> Result<()> {
        Ok(self.0.send(number)?)
    }

    #[inline]
    fn receive(&self) -> Result<u64> {
        Ok(self.1.recv()?)
    }
}
