//! Side-loading: bytes that are larger than a block travel in an allocation of the channel's buffer pool, which is the
//! channel's own unless its creator named another.
//!
//! The sender allocates and fills before it claims a slot; from there on the allocation goes the way of any other that
//! changes hands (`Transfer`), so what a death leaves is the same as well. The slot says that it was bytes: a receiver
//! copies them out, frees the allocation and empties the slot, in that order. **Taken** is such a message
//! by the change of the block's word when it is freed; a receiver that dies while it copies leaves a message
//! that is delivered again.
//!
//! That is what happens in the channel's own pool. A block in flight is freed with its dead sender unless a channel of
//! the same pool has it, and whoever recovers one pool need not have the other; so the block of another pool is lent
//! to the slot that names it: `elsewhere.rs`.

use std::time::Instant;

use weyr_managed::Allocation;
use weyr_shared::{MessageKind, MessageReference, Ring};

use crate::attached::Attached;
use crate::channel::Shared;
use crate::defaults::Limit;
use crate::elsewhere::Elsewhere;
use crate::host::Host;
use crate::pool_host::PoolHost;
use crate::receive::{ReceiveSide, Taken};
use crate::return_mode::Unfinished;
use crate::send::{Claim, Outgoing};
use crate::sender::{Manner, Sender};
use crate::wait::LONGEST_SLICE;
use crate::{Content, Error, Message};

/// Bytes in a block that this process has filled; the caller forgets it once the message is sent.
#[derive(Debug, Clone, Copy)]
pub struct SideLoaded(pub MessageReference);

impl<H: Host> Outgoing<H> for SideLoaded {
    fn fill(&self, host: &H, ring: &Ring, claim: Claim) -> Result<(), Error> {
        ring.write_side_loaded(claim.index(), claim.sender(), &self.0)?;
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
    /// Memory of this process for `bytes` bytes that are to be side-loaded; else as [`memory`](Self::memory).
    fn buffer(
        &self,
        bytes: u64,
        deadline: Option<Option<Instant>>,
        is_usable: impl Fn() -> Result<(), Error>,
    ) -> Result<Allocation, Error> {
        self.memory(self.buffer_pool()?, bytes, deadline, is_usable)
    }

    /// Memory of this process in `pool` for `bytes` bytes; no deadline at all: it does not wait. The pool wakes who
    /// waits for memory; each slice ends all the same, for the channel may be destroyed meanwhile.
    pub(crate) fn memory(
        &self,
        pool: &weyr_managed::Pool,
        bytes: u64,
        deadline: Option<Option<Instant>>,
        is_usable: impl Fn() -> Result<(), Error>,
    ) -> Result<Allocation, Error> {
        use weyr_managed::Error as Pool;
        loop {
            is_usable()?;
            let outcome = deadline.map_or_else(
                || pool.alloc(bytes),
                |deadline| {
                    let slice = Instant::now() + LONGEST_SLICE;
                    pool.alloc_until(bytes, deadline.map_or(slice, |deadline| slice.min(deadline)))
                },
            );
            let is_over = || deadline.flatten().is_some_and(|deadline| Instant::now() >= deadline);
            return match outcome {
                Ok(memory) => Ok(memory),
                Err(Pool::NoMemory { bytes }) => Err(Error::BufferPoolFull { bytes }),
                Err(Pool::Timeout { .. }) if !is_over() => continue,
                Err(Pool::Timeout { .. }) => Err(Error::Timeout),
                Err(Pool::TooLarge { bytes, limit }) => {
                    Err(Error::TooLarge { needed: bytes, largest: limit })
                }
                Err(Pool::Destroyed) if pool.uuid() != self.pool().uuid() => Err(Error::BufferPoolGone),
                Err(error) => Err(error.into()),
            };
        }
    }
}

impl Attached<PoolHost> {
    /// The same for this channel. Where memory of another pool is missing, what the dead have lent may be all of it: only
    /// then every slot is looked at.
    fn buffer(&self, bytes: u64, deadline: Option<Option<Instant>>) -> Result<Allocation, Error> {
        let is_usable = || self.check_usable();
        if !self.ring().has_buffer_pool() {
            return self.host().buffer(bytes, deadline, is_usable);
        }
        match self.host().buffer(bytes, None, is_usable) {
            Err(Error::BufferPoolFull { .. }) => self.host().buffer(bytes, deadline, || {
                self.free_leftovers();
                is_usable()
            }),
            outcome => outcome,
        }
    }
}

impl Sender {
    /// Sends bytes that do not fit a block.
    #[cold]
    pub(crate) fn send_large(&self, bytes: &[u8], limit: Limit, manner: Manner) -> Result<(), Unfinished> {
        let attached = &self.shared().attached;
        if !attached.ring().side_loads() {
            let largest = attached.ring().block_size().into();
            return Err(Error::TooLarge { needed: bytes.len() as u64, largest }.into());
        }
        // Before memory is taken for it; what is counted by messages is counted with its slot.
        match self.amount_of(bytes.len() as u64).filter(|_| self.meters_memory()) {
            Some(amount) => {
                let drawn = Manner { drawn: true, ..manner };
                self.send_metered(amount, limit, |limit| self.send_copied(bytes, limit, drawn))
            }
            None => self.send_copied(bytes, limit, manner),
        }
    }

    fn send_copied(&self, bytes: &[u8], limit: Limit, manner: Manner) -> Result<(), Unfinished> {
        let attached = &self.shared().attached;
        attached.me()?;
        // One deadline for memory, slot and receipt.
        let deadline = self.defaults.deadline(limit);
        let limit = deadline.map_or(Limit::Now, Limit::Until);
        let mut memory = attached.buffer(bytes.len() as u64, deadline)?;
        memory.write(0, bytes).map_err(Error::from)?;
        let (block, view_len) = (memory.reference(), bytes.len() as u64);
        let message = MessageReference { block, view_offset: 0, view_len };
        let outcome = if attached.ring().has_buffer_pool() {
            self.dispatch(&Elsewhere(message), limit, manner)
        } else {
            self.dispatch(&SideLoaded(message), limit, manner)
        };
        // A message that was not sent drops the memory, which frees it.
        if outcome.as_ref().map_or_else(|unfinished| unfinished.sent, |()| true) {
            // Refused only in a forked child, where it is the parent's to forget.
            let _ = attached.host().buffer_pool()?.end_transfer(memory);
        }
        outcome
    }
}

/// The end of a receive of side-loaded bytes.
impl Shared {
    /// Copies the bytes out, frees their memory, and then empties the slot.
    #[cold]
    pub(crate) fn finish_large(
        &self,
        side: &ReceiveSide,
        kind: MessageKind,
        taken: Taken,
    ) -> Result<Message, Error> {
        let mut bytes = Vec::new();
        let copied = self.large_len(kind, &taken).and_then(|len| {
            bytes.resize(len as usize, 0);
            self.copy_large(side, kind, &taken, &mut bytes)
        });
        let attributes = copied.and_then(|()| self.attributes(&taken));
        let attributes = self.finish_buffer(side, taken, attributes)?;
        Ok(Message::new(Content::Bytes(bytes), taken.is_redelivered(), attributes))
    }

    /// The same into a buffer of the right size.
    #[cold]
    pub(crate) fn finish_large_into(
        &self,
        side: &ReceiveSide,
        kind: MessageKind,
        taken: Taken,
        bytes: &mut [u8],
    ) -> Result<usize, Error> {
        let copied = self.copy_large(side, kind, &taken, bytes);
        self.finish_buffer(side, taken, copied)?;
        Ok(bytes.len())
    }

    /// Ends a message whose block nobody wants any more.
    pub(crate) fn finish_unread(&self, side: &ReceiveSide, taken: Taken) -> Result<(), Error> {
        self.finish_buffer(side, taken, Ok(()))
    }

    /// The length, which the pool has confirmed.
    fn large_len(&self, kind: MessageKind, taken: &Taken) -> Result<u64, Error> {
        let message = self.attached.reference(taken)?;
        self.attached.host().read(kind, &message, message.view_len, &mut [])?;
        Ok(message.view_len)
    }

    fn copy_large(
        &self,
        side: &ReceiveSide,
        kind: MessageKind,
        taken: &Taken,
        bytes: &mut [u8],
    ) -> Result<(), Error> {
        let message = self.attached.reference(taken)?;
        self.attached.host().read(kind, &message, 0, bytes)?;
        side.bytes_copied.add(bytes.len() as u64);
        Ok(())
    }

    /// Frees the buffer and then the slot, so that a sender that the slot's release wakes finds both. Whatever was
    /// there, the slot is free again.
    fn finish_buffer<T>(
        &self,
        side: &ReceiveSide,
        taken: Taken,
        copied: Result<T, Error>,
    ) -> Result<T, Error> {
        let copied = match copied {
            Err(error) if error.is_outside_window() => return Err(self.discard(taken, error)),
            copied => copied,
        };
        let freed = self.attached.discard_block(&taken);
        self.attached.release(taken)?;
        let copied = copied?;
        freed?;
        side.messages.add(1);
        Ok(copied)
    }
}
