//! Memory of any other pool in a message.
//!
//! The slot says which block of which pool: a reference, and the pool's descriptor behind it, or both in a block of the
//! channel's pool where the slot is too small (`weyr_shared`, `ring/foreign.rs`). The receiver attaches that pool. No
//! instruction changes a word of both pools, and whoever recovers the one may not be allowed to open the other, so a
//! death on either side must not matter to the memory: on its way **it is its pool's**, published or frozen.
//!
//! | who dies | leaves | what becomes of it |
//! | --- | --- | --- |
//! | a sender before it has lent an allocation | a block of its own | recovery of its pool frees it |
//! | a sender between lending and FULL | a published block without a message | stays its pool's, listed there |
//! | a sender of published or frozen memory | nothing | |
//! | a receiver before it has taken an allocation | the message, to be delivered again | the next receiver |
//! | a receiver between taking and EMPTY | a message of a block that is no buffer | the next receiver leaves it out |
//! | a receiver of published or frozen memory | the message, to be delivered again | the next receiver |
//! | the same behind freeing the block of a name that lies aside | a message without a name | recovery empties the slot: it was received |
//!
//! So the commit point of published and frozen memory is the end of its name: the slot's release where the name lies in the
//! slot, the word of the name's block where it lies aside. Nothing is lost with it but a handle.
//!
//! Taking an allocation is the change of its word, as of a buffer: [`Pool::take_buffer`].

pub(crate) mod pools;

use weyr_managed::{Pool, PoolDescriptor, Published};
use weyr_shared::{
    Actor, BlockReference, Corrupt, FOREIGN_HEAD_BYTES, ForeignRight, MessageKind, MessageReference, Ring,
};

use crate::attached::Attached;
use crate::channel::Shared;
use crate::destination::memory::Memory;
use crate::host::Host;
use crate::outgoing::OutgoingMessage;
use crate::pool_host::PoolHost;
use crate::receive::Taken;
use crate::return_mode::Unfinished;
use crate::send::{Claim, Outgoing};
use crate::{Content, Error};

/// Longest name that is believed: a path of the longest kind, and what goes with it.
const LONGEST_NAME: u64 = 8192;

/// Memory of another pool on its way out.
#[derive(Debug)]
struct Foreign<'a, M> {
    memory: &'a M,
    message: MessageReference,
    descriptor: &'a [u8],
    /// Where reference and descriptor lie, and how many bytes they are, unless in the slot.
    aside: Option<(BlockReference, u64)>,
}

impl<H: Host, M: Memory> Outgoing<H> for Foreign<'_, M> {
    fn fill(&self, host: &H, ring: &Ring, claim: Claim) -> Result<(), Error> {
        let (index, sender, right) = (claim.index(), claim.sender(), self.memory.right());
        match self.aside {
            None => ring.write_foreign(index, sender, &self.message, self.descriptor, right)?,
            Some((block, bytes)) => {
                ring.write_foreign_aside(index, sender, block, bytes, self.message.view_len, right)?;
                host.begin_transfer(block)?;
            }
        }
        let lent = self.memory.lend();
        if lent.is_err() {
            self.take_name_back(host)?;
        }
        lent
    }

    fn take_back(&self, host: &H) -> Result<(), Error> {
        self.memory.regain()?;
        self.take_name_back(host)
    }

    fn bytes_copied(&self) -> u64 {
        0
    }
}

impl<M> Foreign<'_, M> {
    fn take_name_back<H: Host>(&self, host: &H) -> Result<(), Error> {
        self.aside.map_or(Ok(()), |(block, _)| host.revert_transfer(block))
    }
}

impl OutgoingMessage<'_> {
    /// Sends memory of another pool.
    #[cold]
    pub(crate) fn send_foreign<M: Memory>(
        self,
        memory: &M,
        message: MessageReference,
    ) -> Result<(), Unfinished> {
        let descriptor = memory.pool_descriptor()?.to_bytes();
        if self.sender().shared().attached.ring().fits_foreign(&descriptor) {
            return self.dispatch(&Foreign { memory, message, descriptor: &descriptor, aside: None });
        }
        self.send_foreign_aside(memory, message, &descriptor)
    }

    fn send_foreign_aside<M: Memory>(
        self,
        memory: &M,
        message: MessageReference,
        descriptor: &[u8],
    ) -> Result<(), Unfinished> {
        let name = [&message.to_bytes()[..], descriptor].concat();
        let bytes = name.len() as u64;
        // One deadline for memory and slot.
        let (outgoing, deadline) = self.with_deadline();
        let mut aside = outgoing.memory(bytes, deadline)?;
        aside.write(0, &name).map_err(Error::from)?;
        let foreign = Foreign { memory, message, descriptor, aside: Some((aside.reference(), bytes)) };
        let outcome = outgoing.dispatch(&foreign);
        // Of a message that was not sent the name is dropped, which frees it.
        if outcome.as_ref().map_or_else(|unfinished| unfinished.sent, |()| true) {
            aside.leave(outgoing.pool());
        }
        outcome
    }
}

/// Memory of another pool that a message names, in a pool that is attached.
#[derive(Debug)]
pub(crate) struct Named {
    pool: Pool,
    message: MessageReference,
    right: ForeignRight,
}

impl Named {
    fn view(&self, from: u64) -> Result<Published, Error> {
        let MessageReference { block, view_offset, view_len } = self.message;
        let bytes = (view_offset - from.min(view_offset)).saturating_add(view_len);
        let view = self.pool.open_view(block, from, bytes, self.right == ForeignRight::Original);
        view.map_err(Error::of_foreign_memory)
    }

    /// A handle on the bytes of the message, which stays.
    fn open(&self) -> Result<Published, Error> {
        self.view(self.message.view_offset)
    }

    /// What its receiver gets. Commit point of an allocation: its word.
    fn take(&self) -> Result<Content, Error> {
        let MessageReference { block, view_offset, view_len } = self.message;
        let view = view_offset..view_offset.saturating_add(view_len);
        if self.right == ForeignRight::Owned {
            let allocation = self.pool.take_buffer(block, view.end).map_err(Error::of_foreign_memory)?;
            return Ok(Content::Allocation { allocation, view });
        }
        let published = self.open()?;
        if published.is_frozen() {
            return Ok(Content::Frozen(published));
        }
        match self.right {
            ForeignRight::Original => Ok(Content::Published { published: self.view(0)?, view }),
            _ => Err(Corrupt::new("right to memory of another pool", block.offset).into()),
        }
    }

    fn is_taken(&self) -> bool {
        self.right == ForeignRight::Owned && !self.pool.has_buffer(self.message.block)
    }

    /// Ends memory that nobody keeps: what was the receiver's is freed.
    fn discard(&self) {
        if self.right == ForeignRight::Owned {
            let _freed_with_a_dead_receiver = self.pool.free_buffer(self.message.block);
        }
    }
}

impl PoolHost {
    /// What the message in slot `index`, which this process holds, names.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::MemoryGone`], [`Error::MemoryUnreachable`], or the channel's pool's.
    #[cold]
    fn named(&self, ring: &Ring, index: u32) -> Result<Named, Error> {
        let damaged = || Corrupt::new("name of memory in another pool", index.into());
        let name = self.name_bytes(ring, index)?;
        let (message, descriptor) = name.split_first_chunk::<FOREIGN_HEAD_BYTES>().ok_or_else(damaged)?;
        let descriptor = PoolDescriptor::from_bytes(descriptor).map_err(|_| damaged())?;
        let pool = self.foreign.find(&descriptor)?;
        Ok(Named { pool, message: MessageReference::from_bytes(message), right: ring.foreign_right(index)? })
    }

    fn name_bytes(&self, ring: &Ring, index: u32) -> Result<Vec<u8>, Error> {
        let (description, aside) = (ring.description(index)?, ring.reference(index)?);
        if description.kind == MessageKind::Foreign {
            let mut name = vec![0; description.len as usize];
            ring.read_inline(index, &mut name)?;
            return Ok(name);
        }
        let mut name = vec![0; aside.view_offset.min(LONGEST_NAME) as usize];
        self.pool().read_transfer(aside.block, 0, &mut name)?;
        Ok(name)
    }

    /// Frees the block in which the name lies, if it is one.
    fn discard_name(&self, ring: &Ring, index: u32) {
        if ring.description(index).is_ok_and(|found| found.kind == MessageKind::ForeignAside)
            && let Ok(aside) = ring.reference(index)
        {
            let _not_in_flight_any_more = self.discard_transfer(aside.block);
        }
    }

    /// Ends the memory that the message in slot `index`, which this process holds, names and that nobody keeps, as far as
    /// it can be reached from here.
    pub(crate) fn discard_foreign(&self, ring: &Ring, index: u32) {
        if ring.foreign_right(index) == Ok(ForeignRight::Owned)
            && let Ok(named) = self.named(ring, index)
        {
            named.discard();
        }
        self.discard_name(ring, index);
    }

    pub(crate) fn drain_foreign(&self, ring: &Ring, me: Actor) {
        // A corrupt slot is for the pool's verification to report: whoever detaches cannot be told.
        let _ = ring.drain_foreign(me.into(), |index| self.discard_foreign(ring, index));
    }
}

impl Attached<PoolHost> {
    /// A message that is delivered again, of an allocation that was received before: its receiver died behind the change
    /// of the block's word.
    #[cold]
    fn is_foreign_received(&self, index: u32) -> Result<bool, Error> {
        if !self.ring().description(index)?.kind.is_foreign() {
            return Ok(false);
        }
        // What cannot be named is not left out: its receiver is told why.
        let is_taken = self.host().named(self.ring(), index).is_ok_and(|named| named.is_taken());
        if is_taken {
            self.host().discard_name(self.ring(), index);
        }
        Ok(is_taken)
    }
}

impl Shared {
    /// Whether a message that is delivered again was received before.
    #[cold]
    pub(crate) fn is_received(&self, taken: &Taken) -> Result<bool, Error> {
        Ok(self.attached.is_received(taken)? || self.attached.is_foreign_received(taken.index)?)
    }

    /// A handle on the memory of another pool that `taken` names.
    ///
    /// # Errors
    /// As [`PoolHost::named`], and [`Error::Stale`] when it was freed.
    #[cold]
    pub(crate) fn open_foreign(&self, taken: &Taken) -> Result<Published, Error> {
        self.attached.host().named(self.attached.ring(), taken.index)?.open()
    }

    /// The memory of another pool that `taken` names; then the message is received, and the slot to be released.
    #[cold]
    pub(crate) fn take_foreign(&self, taken: &Taken) -> Result<Content, Error> {
        let (host, ring) = (self.attached.host(), self.attached.ring());
        let content = host.named(ring, taken.index)?.take()?;
        host.discard_name(ring, taken.index);
        Ok(content)
    }

    /// Ends what a message brought that nobody keeps, or nobody can have.
    #[cold]
    pub(crate) fn discard_foreign(&self, taken: &Taken) {
        self.attached.host().discard_foreign(self.attached.ring(), taken.index);
    }
}
