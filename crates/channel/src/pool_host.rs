//! The managed pool as the host of a channel: the only place where the two crates meet.

use std::time::{Duration, Instant};

use weyr_managed::{Allocation, Pool, Published, Taken};
use weyr_shared::{Actor, BlockReference, Holder, KernelFutex, MessageReference, Region, Ring};
use weyr_sys::fork;

use crate::Error;
use crate::host::Host;

/// The pool of a channel.
#[derive(Debug)]
pub struct PoolHost {
    pool: Pool,
    futex: KernelFutex,
    born: Instant,
}

impl PoolHost {
    /// This process's look at the pool.
    pub fn new(pool: &Pool) -> Self {
        Self { pool: pool.clone(), futex: KernelFutex, born: Instant::now() }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The bytes of a block.
    pub(crate) fn block(&self, reference: BlockReference, bytes: u64) -> Result<Region, Error> {
        Ok(self.pool.region().part(reference.offset, bytes)?)
    }

    /// # Errors
    /// [`Error::OtherPool`], [`Error::Forked`].
    pub(crate) fn check_own(&self, allocation: &Allocation) -> Result<(), Error> {
        if self.pool.has(allocation)? { Ok(()) } else { Err(Error::OtherPool) }
    }

    /// Makes a channel of an allocation that holds a complete one. Commit point: the block's word.
    pub(crate) fn make_channel(&self, allocation: Allocation) -> Result<(), Error> {
        self.pool.make_channel(allocation).map(|_| ()).map_err(|refused| refused.0.into())
    }

    /// The ring in the channel that `reference` means.
    pub(crate) fn open_channel(&self, reference: BlockReference) -> Result<Ring, Error> {
        let block = self.pool.channel_block(reference)?;
        Ok(Ring::open(&self.block(reference, block.bytes)?, reference)?)
    }

    /// The frozen memory that a message refers to.
    pub(crate) fn open_frozen(&self, message: &MessageReference, original: bool) -> Result<Published, Error> {
        let (block, offset, bytes) = (message.block, message.view_offset, message.view_len);
        Ok(self.pool.open_frozen_view(block, offset, bytes, original)?)
    }

    /// Copies from byte `offset` of a message that is still the channel's into the whole of `bytes`.
    pub(crate) fn read(
        &self,
        message: &MessageReference,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), Error> {
        Ok(self.pool.read_transfer(message.block, message.view_offset.saturating_add(offset), bytes)?)
    }

    /// The bytes in place of a message that is still the channel's.
    pub(crate) fn slice(&self, message: &MessageReference) -> Result<&[u8], Error> {
        Ok(self.pool.slice_transfer(message.block, message.view_offset, message.view_len)?)
    }
}

fn bytes_needed(message: &MessageReference) -> u64 {
    message.view_offset.saturating_add(message.view_len)
}

impl Host for PoolHost {
    type Block = Taken;
    type Futex = KernelFutex;

    #[inline]
    fn futex(&self) -> &KernelFutex {
        &self.futex
    }

    #[inline]
    fn nonce(&self) -> u64 {
        fork::nonce()
    }

    fn me(&self) -> Result<Actor, Error> {
        Ok(self.pool.actor()?)
    }

    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    fn is_dead(&self, holder: Holder) -> bool {
        self.pool.is_dead(holder.process, holder.epoch)
    }

    fn recover(&self, process: u16) {
        self.pool.recover_process(process);
    }

    fn check_channel(&self, channel: BlockReference) -> Result<(), Error> {
        self.pool.channel_block(channel)?;
        Ok(())
    }

    fn free_channel(&self, channel: BlockReference) {
        let _another_was_first = self.pool.free_channel(channel);
    }

    fn in_flight(&self, reference: BlockReference) -> bool {
        self.pool.is_in_flight(reference)
    }

    fn begin_transfer(&self, reference: BlockReference) -> Result<(), Error> {
        Ok(self.pool.begin_transfer(reference)?)
    }

    fn revert_transfer(&self, reference: BlockReference) -> Result<(), Error> {
        Ok(self.pool.revert_transfer(reference)?)
    }

    /// Also of a block that this process has not mapped.
    fn discard_transfer(&self, block: BlockReference) -> Result<(), Error> {
        Ok(self.pool.discard_transfer(block)?)
    }

    fn take_transfer(&self, message: &MessageReference) -> Result<Taken, Error> {
        Ok(self.pool.take_transfer(message.block, bytes_needed(message))?)
    }
}
