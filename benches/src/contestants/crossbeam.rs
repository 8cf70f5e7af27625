//! crossbeam-channel, among threads.

use crossbeam_channel::{Receiver, Sender, bounded};

use super::weyr_channel::Queue;
use crate::Result;

#[derive(Debug, Clone)]
pub(crate) struct Crossbeam(Sender<u64>, Receiver<u64>);

impl Crossbeam {
    pub(crate) fn new(capacity: usize) -> Self {
        let (sender, receiver) = bounded(capacity);
        Self(sender, receiver)
    }
}

impl Queue for Crossbeam {
    #[inline]
    fn send(&self, number: u64) -> Result<()> {
        Ok(self.0.send(number)?)
    }

    #[inline]
    fn receive(&self) -> Result<u64> {
        Ok(self.1.recv()?)
    }
}
