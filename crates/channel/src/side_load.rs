//! Side-loading: bytes that are larger than a block travel in an allocation of the channel's pool.
//!
//! The sender allocates and fills before it claims a slot; from there on the allocation goes the way of any other that
//! changes hands (`Transfer`), so what a death leaves is the same as well. The slot says that it was bytes: a receiver
//! copies them out, frees the allocation and empties the slot, in that order. **Taken** is such a message
//! by the change of the block's word when it is freed; a receiver that dies while it copies leaves a message
//! that is delivered again.
//!
//! The pool of the buffers is the channel's own: a block in flight is freed with its dead sender unless a channel of
//! the same pool has it, and whoever recovers one pool need not have the other.

use weyr_managed::{Allocation, Taken as Block};
use weyr_shared::{MessageReference, Ring};

use crate::channel::Shared;
use crate::host::Host;
use crate::pool_host::PoolHost;
use crate::receive::{ReceiveSide, Taken};
use crate::send::Outgoing;
use crate::sender::{Limit, Sender};
use crate::wait::Waiter;
use crate::{Content, Error, Message};

/// Bytes in a block that this process has filled; the caller forgets it once the message is sent.
#[derive(Debug, Clone, Copy)]
pub struct SideLoaded(pub MessageReference);

impl<H: Host> Outgoing<H> for SideLoaded {
    fn fill(&self, host: &H, ring: &Ring, index: u32) -> Result<(), Error> {
        ring.write_side_loaded(index, &self.0)?;
        host.begin_transfer(self.0.block)
    }

    fn take_back(&self, host: &H) -> Result<(), Error> {
        host.revert_transfer(self.0.block)
    }

    fn bytes_copied(&self) -> u64 {
        self.0.view_len
    }
}

impl PoolHost {
    /// A copy of `bytes` in memory of this process. None: there is no room just now. Does not wait.
    fn buffer(&self, bytes: &[u8]) -> Result<Option<Allocation>, Error> {
        use weyr_managed::Error as Pool;
        match self.pool().alloc(bytes.len() as u64) {
            Ok(mut memory) => {
                memory.write(0, bytes)?;
                Ok(Some(memory))
            }
            Err(Pool::NoMemory { .. }) => Ok(None),
            Err(Pool::TooLarge { bytes, limit }) => Err(Error::TooLarge { needed: bytes, largest: limit }),
            Err(error) => Err(error.into()),
        }
    }
}

impl Sender {
    /// Sends bytes that do not fit a block.
    #[cold]
    pub(crate) fn send_large(&self, bytes: &[u8], limit: Limit) -> Result<(), Error> {
        let attached = &self.shared.attached;
        if !attached.ring().side_loads() {
            let largest = attached.ring().block_size().into();
            return Err(Error::TooLarge { needed: bytes.len() as u64, largest });
        }
        attached.me()?;
        let memory = self.buffer(bytes, limit)?;
        let (block, view_len) = (memory.reference(), bytes.len() as u64);
        // A send that fails drops the memory, which frees it.
        self.dispatch(&SideLoaded(MessageReference { block, view_offset: 0, view_len }), limit)?;
        attached.host().forget(memory);
        Ok(())
    }

    /// A filled buffer. Who waits for one is woken by whoever receives from this channel; memory that is freed
    /// otherwise is noticed when the slice of a sleep ends.
    fn buffer(&self, bytes: &[u8], limit: Limit) -> Result<Allocation, Error> {
        let attached = &self.shared.attached;
        let deadline = match limit {
            Limit::Now => None,
            Limit::Until(deadline) => deadline,
        };
        let (event, mut waiter) =
            (attached.ring().to_senders(attached.host().futex()), Waiter::new(self.mode, deadline));
        loop {
            attached.check_usable()?;
            match attached.host().buffer(bytes)? {
                Some(memory) => return Ok(memory),
                None if matches!(limit, Limit::Now) => {
                    return Err(Error::BufferPoolFull { bytes: bytes.len() as u64 });
                }
                None => waiter.pause(&event, true)?,
            }
        }
    }
}

/// The end of a receive of side-loaded bytes.
impl Shared {
    /// Copies the bytes out, frees their memory, and then empties the slot.
    #[cold]
    pub(crate) fn finish_large(&self, side: &ReceiveSide, taken: Taken) -> Result<Message, Error> {
        let mut bytes = Vec::new();
        let copied = self.large_len(&taken).and_then(|len| {
            bytes.resize(len as usize, 0);
            self.copy_large(side, &taken, &mut bytes)
        });
        self.finish_buffer(side, taken, copied)?;
        Ok(Message::new(Content::Bytes(bytes), taken.is_redelivered()))
    }

    /// The same into a buffer of the right size.
    #[cold]
    pub(crate) fn finish_large_into(
        &self,
        side: &ReceiveSide,
        taken: Taken,
        bytes: &mut [u8],
    ) -> Result<usize, Error> {
        let copied = self.copy_large(side, &taken, bytes);
        self.finish_buffer(side, taken, copied)?;
        Ok(bytes.len())
    }

    /// Ends a message whose bytes nobody wants any more.
    pub(crate) fn finish_large_unread(&self, side: &ReceiveSide, taken: Taken) -> Result<(), Error> {
        self.finish_buffer(side, taken, Ok(()))
    }

    /// The length, which the pool has confirmed.
    fn large_len(&self, taken: &Taken) -> Result<u64, Error> {
        let message = self.attached.reference(taken)?;
        self.attached.host().read(&message, message.view_len, &mut [])?;
        Ok(message.view_len)
    }

    fn copy_large(&self, side: &ReceiveSide, taken: &Taken, bytes: &mut [u8]) -> Result<(), Error> {
        let message = self.attached.reference(taken)?;
        self.attached.host().read(&message, 0, bytes)?;
        side.bytes_copied.add(bytes.len() as u64);
        Ok(())
    }

    /// Frees the buffer and then the slot, so that a sender that the slot's release wakes finds both. Whatever was
    /// there, the slot is free again.
    fn finish_buffer(
        &self,
        side: &ReceiveSide,
        taken: Taken,
        copied: Result<(), Error>,
    ) -> Result<(), Error> {
        let freed = self.attached.take_block(&taken).map(|(block, _)| drop::<Block>(block));
        self.attached.release(taken)?;
        copied.and(freed)?;
        side.messages.add(1);
        Ok(())
    }
}
