//! The managed pool as the host of a channel: the only place where the two crates meet.

use std::time::{Duration, Instant};

use weyr_managed::{Allocation, BufferPool, Pool, PoolFutex, Published, Taken};
use weyr_shared::{Actor, BlockReference, Holder, MessageKind, MessageReference, Region, Ring};
use weyr_sys::fork;

use crate::Error;
use crate::foreign::pools::ForeignPools;
use crate::host::Host;

/// The pool of a channel, and that of its buffers.
#[derive(Debug)]
pub struct PoolHost {
    pool: Pool,
    buffers: BufferPool,
    pub(crate) foreign: ForeignPools,
    born: Instant,
}

impl PoolHost {
    /// This process's look at the pool of a channel whose buffers lie there, too.
    pub fn new(pool: &Pool) -> Self {
        let foreign = ForeignPools::new();
        Self { pool: pool.clone(), buffers: BufferPool::Own, foreign, born: Instant::now() }
    }

    /// The same for a channel whose buffers lie in `buffers`.
    pub(crate) fn with_buffers(pool: &Pool, buffers: BufferPool) -> Self {
        Self { buffers, ..Self::new(pool) }
    }

    /// The same for the channel `reference`, whose buffers lie where `ring` says.
    ///
    /// # Errors
    /// [`Error::BufferPool`], [`Error::Stale`].
    pub fn of_channel(pool: &Pool, ring: &Ring, reference: BlockReference) -> Result<Self, Error> {
        match BufferPool::attach(ring) {
            Ok(buffers) => Ok(Self::with_buffers(pool, buffers)),
            Err(error) => {
                // What a channel says that is one no more, nobody believes.
                pool.channel_block(reference)?;
                Err(Error::buffer_pool(error))
            }
        }
    }

    /// The pool in which bytes lie that do not fit a block.
    ///
    /// # Errors
    /// [`Error::BufferPoolGone`].
    pub(crate) fn buffer_pool(&self) -> Result<&Pool, Error> {
        match &self.buffers {
            BufferPool::Own => Ok(&self.pool),
            BufferPool::Reached(pool) => Ok(pool),
            BufferPool::Gone | BufferPool::Unknown => Err(Error::BufferPoolGone),
        }
    }

    /// Waits until what the channel and its buffers have in files is on the disk.
    ///
    /// # Errors
    /// [`Error::Pool`], [`Error::BufferPool`].
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.pool.sync()?;
        match &self.buffers {
            BufferPool::Reached(pool) => pool.sync().map_err(Error::buffer_pool),
            BufferPool::Own | BufferPool::Gone | BufferPool::Unknown => Ok(()),
        }
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
        kind: MessageKind,
        message: &MessageReference,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), Error> {
        let offset = message.view_offset.saturating_add(offset);
        Ok(match kind {
            MessageKind::Elsewhere => self.buffer_pool()?.read_buffer(message.block, offset, bytes),
            _ => self.pool.read_transfer(message.block, offset, bytes),
        }?)
    }

    /// The bytes in place of a message that is still the channel's.
    pub(crate) fn slice(&self, kind: MessageKind, message: &MessageReference) -> Result<&[u8], Error> {
        let (block, offset, len) = (message.block, message.view_offset, message.view_len);
        Ok(match kind {
            MessageKind::Elsewhere => self.buffer_pool()?.slice_buffer(block, offset, len),
            _ => self.pool.slice_transfer(block, offset, len),
        }?)
    }

    /// Takes the block of a message out of the buffer pool.
    pub(crate) fn take_buffer(&self, message: &MessageReference) -> Result<Allocation, Error> {
        Ok(self.buffer_pool()?.take_buffer(message.block, bytes_needed(message))?)
    }
}

fn bytes_needed(message: &MessageReference) -> u64 {
    message.view_offset.saturating_add(message.view_len)
}

impl Host for PoolHost {
    type Block = Taken;
    type Futex = PoolFutex;

    #[inline]
    fn futex(&self) -> &PoolFutex {
        self.pool.futex()
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

    fn lend_buffer(&self, reference: BlockReference) -> Result<(), Error> {
        Ok(self.buffer_pool()?.lend_buffer(reference)?)
    }

    fn revert_buffer(&self, reference: BlockReference) -> Result<(), Error> {
        Ok(self.buffer_pool()?.revert_buffer(reference)?)
    }

    fn free_buffer(&self, reference: BlockReference) -> Result<(), Error> {
        Ok(self.buffer_pool()?.free_buffer(reference)?)
    }

    fn has_buffer(&self, reference: BlockReference) -> bool {
        self.buffer_pool().is_ok_and(|pool| pool.has_buffer(reference))
    }

    fn drain_named(&self, ring: &Ring, me: Actor) {
        self.drain_foreign(ring, me);
    }

    fn drain_buffers(&self, ring: &Ring, me: Actor) {
        // A corrupt slot is for the pool's verification to report: whoever detaches cannot be told.
        let _ = self.buffers.drain(ring, me);
    }

    fn take_transfer(&self, message: &MessageReference) -> Result<Taken, Error> {
        Ok(self.pool.take_transfer(message.block, bytes_needed(message))?)
    }
}
