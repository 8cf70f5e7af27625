//! Memory that a message of a channel in another pool names.
//!
//! Nothing that lies in one pool can vouch for a block of another, so on its way the block is the pool's: published, or
//! frozen. No death frees it, whoever's; what is lost with a message is the handle, not the memory. An allocation is
//! lent in the instant before its message is sent, and its receiver makes it its own as it does with a
//! [buffer](Pool::take_buffer).

use weyr_shared::{BlockReference, Loan};
use weyr_sys::host;

use crate::allocation::explain;
use crate::heap::ChangeError;
use crate::heap::word::{BlockState, BlockWord};
use crate::membership::attachment::Attachment;
use crate::{Allocation, Error, Pool, PoolDescriptor, Published};

impl Attachment {
    fn pool_descriptor(&self) -> PoolDescriptor {
        PoolDescriptor { host: host::id(), uuid: self.uuid, path: self.medium.path().to_owned() }
    }
}

impl Allocation {
    /// Names the pool that it lies in.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn pool_descriptor(&self) -> Result<PoolDescriptor, Error> {
        Ok(self.attachment()?.pool_descriptor())
    }

    /// Makes it the pool's while this handle stays, for who is about to send it. Commit point: its word.
    ///
    /// Behind it the memory may be somebody else's at any time, so the handle is for [`regain_lent`](Self::regain_lent) or
    /// [`leave_lent`](Self::leave_lent) alone. One that is dropped lent frees nothing, for its word no longer names this
    /// process, which is logged as an error; in a pool that wipes what it frees the bytes are wiped all the same, whosever
    /// they are. Hidden, for only a channel keeps that order.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::WrongState`] when shared memory was spoilt.
    #[doc(hidden)]
    pub fn lend(&self) -> Result<(), Error> {
        self.attachment()?.share(self.reference(), BlockState::Pool)
    }

    /// Takes back what was [lent](Self::lend), when no message was made of it. Hidden as that is.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::WrongState`], [`Error::Stale`], [`Error::NotABlock`] when it was not.
    #[doc(hidden)]
    pub fn regain_lent(&self) -> Result<(), Error> {
        let attachment = self.attachment()?;
        let process = attachment.membership()?.actor.process;
        let changed =
            attachment.heap.change_block(self.reference(), |word: BlockWord| word.out_of_buffer(process));
        changed.map(|_| ()).map_err(|error| explain(error, self.reference(), "taking it back"))
    }

    /// Forgets what was [lent](Self::lend) and sent. Hidden as that is.
    ///
    /// # Errors
    /// [`Error::Forked`]: it is the parent's to forget.
    #[doc(hidden)]
    pub fn leave_lent(self) -> Result<(), Error> {
        let (attachment, _, _) = self.into_parts()?;
        Attachment::give_back(attachment);
        Ok(())
    }
}

impl Published {
    /// Names the pool that it lies in.
    pub fn pool_descriptor(&self) -> PoolDescriptor {
        self.attachment().pool_descriptor()
    }

    /// Whether it is there, not frozen, and no message of a channel of its own pool has it, by what the pool says now. By
    /// loads only.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::NotABlock`], [`Error::DoubleFree`] when it was freed; [`Error::WrongState`].
    pub fn check_sendable(&self) -> Result<(), Error> {
        let (reference, action) = (self.reference(), "sending it");
        match self.attachment().public(reference, action)?.seen.state() {
            state @ BlockState::Frozen => Err(explain(ChangeError::Refused(state), reference, action)),
            _ => Ok(()),
        }
    }
}

impl Pool {
    /// A handle on bytes of published or frozen memory that a message refers to; `original`: it may free the memory. By
    /// loads only.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::NotABlock`], [`Error::DoubleFree`] when it was freed; [`Error::WrongState`] when it
    /// is something else by now; [`Error::OutOfRange`]; [`Error::OutsideWindow`].
    pub fn open_view(
        &self,
        reference: BlockReference,
        offset: u64,
        bytes: u64,
        original: bool,
    ) -> Result<Published, Error> {
        let attachment = self.attachment();
        let block = attachment.public(reference, "receiving it")?;
        if offset.checked_add(bytes).is_none_or(|end| end > block.bytes) {
            return Err(Error::OutOfRange { offset, bytes, limit: block.bytes });
        }
        let (state, cooperative) = (block.seen.state(), self.cooperation());
        let whole = Published::original(Loan::single(attachment), reference, bytes, false, cooperative)
            .frozen_if(state == BlockState::Frozen)
            .viewed(offset, original);
        let record = self.record_of(reference, state);
        Ok(record.map(|record| record.key).into_iter().fold(whole, Published::with_key))
    }
}
