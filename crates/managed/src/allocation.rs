//! Memory that this process owns.

pub(crate) mod blocking;
pub(crate) mod buffer;
pub(crate) mod contents;
pub(crate) mod foreign;
pub(crate) mod published;
pub(crate) mod resize;
pub(crate) mod transfer;
pub(crate) mod zeroing;

use std::ptr::NonNull;
use std::sync::Arc;

use weyr_shared::{BlockReference, Cooperative, Forgotten, Lender, Loan, Payload};
use weyr_sys::fork;

use crate::heap::ChangeError;
use crate::heap::word::BlockState;
use crate::membership::attachment::Attachment;
use crate::{Error, Pool, Published};

/// Bytes of a pool that this process owns: freed when dropped, or when the process dies.
///
/// Given away by [`publish`](Self::publish), by [`freeze`](Self::freeze), or as the payload of a message. It is not
/// `Clone`: there is one owner.
///
/// ```compile_fail
/// fn twice(memory: weyr_managed::Allocation) {
///     drop(memory.publish());
///     drop(memory.publish());
/// }
/// ```
#[derive(Debug)]
pub struct Allocation {
    /// Some until dropped or given away.
    attachment: Option<Loan<Attachment>>,
    reference: BlockReference,
    bytes: u64,
    nonce: u64,
    cooperative: Option<Cooperative>,
}

impl Allocation {
    #[inline(always)]
    pub(crate) fn new(
        attachment: &Arc<Lender<Attachment>>,
        bytes: u64,
        cooperative: Option<Cooperative>,
    ) -> Result<Self, Error> {
        let (nonce, mut loan) = (fork::nonce(), None);
        let mut block = attachment.alloc_at_hand(attachment, bytes, nonce, &mut loan);
        if block.generation == 0 {
            let (found, lent) = Self::find(attachment, bytes)?;
            (block, loan) = (found, Some(lent));
        }
        let BlockReference { offset, generation } = block;
        let reference = BlockReference { offset, generation };
        Ok(Self { attachment: loan, reference, bytes, nonce, cooperative })
    }

    /// Memory that the thread has not at hand, or that is to be cleared.
    #[cold]
    #[inline(never)]
    fn find(
        attachment: &Arc<Lender<Attachment>>,
        bytes: u64,
    ) -> Result<(BlockReference, Loan<Attachment>), Error> {
        let (reference, loan) = attachment.alloc(attachment, bytes)?;
        attachment.prepare(reference, bytes)?;
        Ok((reference, loan))
    }

    /// What was just allocated in another way.
    pub(crate) fn found(
        attachment: &Arc<Lender<Attachment>>,
        reference: BlockReference,
        bytes: u64,
        cooperative: Option<Cooperative>,
    ) -> Result<Self, Error> {
        let allocation = Self::from_parts(Loan::single(attachment), reference, bytes, cooperative);
        attachment.prepare(reference, bytes)?;
        Ok(allocation)
    }

    /// What is this process's already.
    pub(crate) fn from_parts(
        attachment: Loan<Attachment>,
        reference: BlockReference,
        bytes: u64,
        cooperative: Option<Cooperative>,
    ) -> Self {
        Self { attachment: Some(attachment), reference, bytes, nonce: fork::nonce(), cooperative }
    }

    #[inline]
    pub(crate) fn attachment(&self) -> Result<&Arc<Lender<Attachment>>, Error> {
        match &self.attachment {
            Some(attachment) if self.nonce == fork::nonce() => Ok(attachment),
            _ => Err(Error::Forked),
        }
    }

    fn payload(&self) -> Result<Payload<'_>, Error> {
        Ok(Payload::new(&self.attachment()?.data, self.reference.offset, self.bytes, self.cooperative)?)
    }

    /// Length in bytes, as it was asked for.
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Says that it has another length now; returns the former.
    pub(crate) fn set_len(&mut self, bytes: u64) -> u64 {
        std::mem::replace(&mut self.bytes, bytes)
    }

    pub(crate) fn cooperation(&self) -> Option<Cooperative> {
        self.cooperative
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Its name in the pool. Whoever has it can say which allocation is meant, and nothing more.
    pub fn reference(&self) -> BlockReference {
        self.reference
    }

    /// Copies `bytes` to byte `offset`. Does not block.
    ///
    /// # Errors
    /// [`Error::Payload`] when it does not fit, [`Error::Forked`]; nothing was written then.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.payload()?.write(offset, bytes)?)
    }

    /// Copies from byte `offset` into the whole of `bytes`. Does not block.
    ///
    /// # Errors
    /// [`Error::Payload`] when there are not so many, [`Error::Forked`]; `bytes` is unchanged then.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        Ok(self.payload()?.read(offset, bytes)?)
    }

    /// Sets every byte to `value`. Does not block.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn fill(&mut self, value: u8) -> Result<(), Error> {
        self.payload()?.fill(value);
        Ok(())
    }

    /// The bytes in place.
    ///
    /// # Errors
    /// [`Error::Payload`] unless the pool is [cooperative](crate::Pool::cooperative); [`Error::Forked`].
    pub fn as_slice(&self) -> Result<&[u8], Error> {
        Ok(self.payload()?.into_slice()?)
    }

    /// The bytes in place, to change. Errors as [`as_slice`](Self::as_slice).
    pub fn as_mut_slice(&mut self) -> Result<&mut [u8], Error> {
        Ok(self.payload()?.into_mut_slice()?)
    }

    /// Where the bytes lie in this process: valid until it is freed, which forgetting it puts off. It is taken back by
    /// [`Pool::regain`](crate::Pool::regain).
    ///
    /// # Errors
    /// As [`as_slice`](Self::as_slice).
    pub fn as_address(&mut self) -> Result<NonNull<[u8]>, Error> {
        Ok(self.payload()?.into_address()?)
    }

    /// Makes it the pool's: it lives until somebody frees it, whoever dies, and gets a descriptor.
    ///
    /// Commit point: one compare-exchange of its word. Before it a death frees it, behind it nothing but
    /// [`Published::free`] does.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::WrongState`] when shared memory was spoilt. The allocation is dropped then.
    #[inline]
    pub fn publish(self) -> Result<Published, Error> {
        self.become_shared(BlockState::Pool)
    }

    /// Gives it up for good: nobody writes it any more, anybody may read it, and whoever frees it frees it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    #[inline]
    pub fn freeze(self) -> Result<Published, Error> {
        self.become_shared(BlockState::Frozen)
    }

    #[inline]
    fn become_shared(self, state: BlockState) -> Result<Published, Error> {
        self.attachment()?.share(self.reference, state)?;
        self.into_published(state == BlockState::Frozen)
    }

    /// The same block, for who has changed its word.
    #[inline]
    pub(crate) fn into_published(self, frozen: bool) -> Result<Published, Error> {
        let cooperative = self.cooperative;
        let (attachment, reference, bytes) = self.into_parts()?;
        Ok(Published::original(attachment, reference, bytes, frozen, cooperative))
    }

    /// Forgets it without freeing, for who has changed its word.
    #[inline]
    pub(crate) fn into_parts(mut self) -> Result<(Loan<Attachment>, BlockReference, u64), Error> {
        self.attachment()?;
        let attachment = self.attachment.take().ok_or(Error::Forked)?;
        Ok((attachment, self.reference, self.bytes))
    }
}

impl Drop for Allocation {
    #[inline(always)]
    fn drop(&mut self) {
        let Some(attachment) = self.attachment.take() else { return };
        Attachment::free_own(attachment, self.reference, self.bytes, self.nonce);
    }
}

impl Pool {
    /// The allocation of this process that starts at `address` and was forgotten, `bytes` bytes of it.
    ///
    /// Takes a look at the block's word, and does not block.
    ///
    /// # Errors
    /// [`Error::NotABlock`], [`Error::WrongState`], [`Error::OutOfRange`] when shared memory was spoilt: it is not
    /// changed, and stays this process's until that ends.
    pub fn regain(&self, address: NonNull<u8>, bytes: u64, word: Forgotten) -> Result<Allocation, Error> {
        let attachment = self.attachment();
        let offset = attachment.offset_of(address);
        let block = attachment.heap.locate_offset(offset).ok_or(Error::NotABlock { offset })?;
        if block.seen.state() != BlockState::Alloc {
            let state = block.seen.state().name();
            return Err(Error::WrongState { offset, state, action: "taking it back" });
        }
        if bytes > block.bytes {
            return Err(Error::OutOfRange { offset: 0, bytes, limit: block.bytes });
        }
        let reference = BlockReference { offset, generation: block.seen.generation() };
        let loan = Loan::regained(attachment, word);
        Ok(Allocation::from_parts(loan, reference, bytes, self.cooperation()))
    }
}

/// What a refused change of a block says to the caller.
pub(crate) fn explain(error: ChangeError, reference: BlockReference, action: &'static str) -> Error {
    use crate::heap::Missing;
    let offset = reference.offset;
    match error {
        ChangeError::Missing(Missing::NotABlock) => Error::NotABlock { offset },
        ChangeError::Missing(Missing::Stale(found)) => {
            Error::Stale { offset, meant: reference.generation, found }
        }
        ChangeError::Refused(BlockState::Free | BlockState::Freeing) => Error::DoubleFree { offset },
        ChangeError::Refused(BlockState::Resizing) => Error::Busy { offset },
        ChangeError::Refused(state) => Error::WrongState { offset, state: state.name(), action },
    }
}
