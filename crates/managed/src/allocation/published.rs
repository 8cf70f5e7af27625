//! Memory that is the pool's: named by descriptors, alive until somebody frees it.

use std::ptr::NonNull;

use weyr_shared::{BlockReference, Cooperative, Loan, Payload, Region, Shareable, Table};
use weyr_sys::host;

use crate::allocation::explain;
use crate::heap::ChangeError;
use crate::heap::manifest::Key;
use crate::heap::word::{BlockState, BlockWord};
use crate::membership::attachment::Attachment;
use crate::{AllocationDescriptor, Error, Pool};

/// An allocation that lives until somebody frees it, or a view of a part of one.
///
/// Only what was published has a descriptor; an owned allocation could be freed under it:
///
/// ```compile_fail,E0599
/// # fn no(owned: weyr_managed::Allocation) {
/// owned.descriptor();
/// # }
/// ```
/// ```
/// # fn yes(owned: weyr_managed::Allocation) -> Result<(), weyr_managed::Error> {
/// owned.publish()?.descriptor();
/// # Ok(()) }
/// ```
///
/// Dropping it detaches and frees nothing. Others may have it too: published bytes are copied in and out, frozen ones
/// can be read in place.
#[derive(Debug)]
pub struct Published {
    attachment: Loan<Attachment>,
    reference: BlockReference,
    view_offset: u64,
    view_bytes: u64,
    original: bool,
    frozen: bool,
    cooperative: Option<Cooperative>,
    key: Option<Key>,
}

impl Published {
    #[inline]
    pub(crate) fn original(
        attachment: Loan<Attachment>,
        reference: BlockReference,
        bytes: u64,
        frozen: bool,
        cooperative: Option<Cooperative>,
    ) -> Self {
        let view_bytes = bytes;
        Self {
            attachment,
            reference,
            view_offset: 0,
            view_bytes,
            original: true,
            frozen,
            cooperative,
            key: None,
        }
    }

    /// With the type and id that it has.
    #[inline]
    pub(crate) fn with_key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    pub(crate) fn frozen_if(mut self, frozen: bool) -> Self {
        self.frozen = frozen;
        self
    }

    /// From another first byte on; `original`: whether it may free the allocation.
    pub(crate) fn viewed(mut self, offset: u64, original: bool) -> Self {
        (self.view_offset, self.original) = (offset, original);
        self
    }

    pub(crate) fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    pub(crate) fn key(&self) -> Option<Key> {
        self.key
    }

    fn check_writable(&self) -> Result<(), Error> {
        self.attachment.require_writable()?;
        let offset = self.reference.offset;
        let frozen = Error::WrongState { offset, state: BlockState::Frozen.name(), action: "writing to it" };
        if self.frozen { Err(frozen) } else { Ok(()) }
    }

    fn payload(&self) -> Result<Payload<'_>, Error> {
        let start = self.reference.offset + self.view_offset;
        Ok(Payload::new(&self.attachment.data, start, self.view_bytes, self.cooperative)?)
    }

    /// Length in bytes, of the view.
    pub fn len(&self) -> u64 {
        self.view_bytes
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.view_bytes == 0
    }

    /// First byte of the allocation that belongs to the view.
    pub fn view_offset(&self) -> u64 {
        self.view_offset
    }

    /// Whether it lies in `pool`.
    pub fn is_in(&self, pool: &Pool) -> bool {
        self.attachment.uuid == pool.uuid()
    }

    /// Identity of the pool that it lies in.
    pub fn pool_uuid(&self) -> u128 {
        self.attachment.uuid
    }

    /// Where the bytes lie in this process, for languages without borrowing: valid until somebody frees the allocation,
    /// and as long as this process has the pool attached. Others may write there at any time.
    ///
    /// # Errors
    /// [`Error::Payload`] unless the pool is [cooperative](Pool::cooperative); [`Error::ReadOnly`].
    /// Source: Dragon managed memory, `dragon_memory_get_pointer`.
    pub fn as_address(&self) -> Result<NonNull<[u8]>, Error> {
        self.attachment.require_writable()?;
        Ok(self.payload()?.into_address()?)
    }

    /// Its name in the pool.
    pub fn reference(&self) -> BlockReference {
        self.reference
    }

    /// Whether it stands for the allocation itself, and so may free it.
    pub fn is_original(&self) -> bool {
        self.original
    }

    /// Whether nobody writes it any more.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Whether the allocation is still there. It can be freed by others at any time unless the program forbids it.
    pub fn exists(&self) -> bool {
        let located = self.attachment.heap.locate(self.reference);
        located.is_ok_and(|block| block.seen.state().is_public())
    }

    /// Whether it is there and frozen, by what the pool says now. By loads only.
    ///
    /// # Errors
    /// [`Error::WrongState`] when it is not frozen; [`Error::Stale`], [`Error::NotABlock`], [`Error::DoubleFree`] when
    /// it was freed.
    pub fn check_frozen(&self) -> Result<(), Error> {
        self.attachment.frozen_bytes(self.reference, "sharing it").map(|_| ())
    }

    /// Names it to other processes of this host.
    /// Source: Dragon managed memory, `dragon_memory_serialize`.
    pub fn descriptor(&self) -> AllocationDescriptor {
        AllocationDescriptor {
            original: self.original,
            host: host::id(),
            uuid: self.attachment.uuid,
            reference: self.reference,
            view_offset: self.view_offset,
            view_bytes: self.view_bytes,
            type_id: self.type_id().unwrap_or(0),
            id: self.id().unwrap_or(0),
        }
    }

    /// Another handle on `bytes` bytes of it from `offset` on. It cannot free the allocation.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when they do not lie inside this view.
    /// Source: Dragon managed memory, `dragon_memory_descr_clone`.
    pub fn clone_view(&self, offset: u64, bytes: u64) -> Result<Published, Error> {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.view_bytes);
        if !inside {
            return Err(Error::OutOfRange { offset, bytes, limit: self.view_bytes });
        }
        Ok(Published {
            attachment: Loan::single(&self.attachment),
            view_offset: self.view_offset + offset,
            view_bytes: bytes,
            original: false,
            ..*self
        })
    }

    /// `count` atomics from byte `offset` of the view on, in place: what others may change at any time without harm. They
    /// keep the mapping, not the memory: once somebody frees it they are atomics in what is somebody else's.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when there are not so many, [`Error::Corrupt`] when `offset` is no multiple of their size,
    /// [`Error::WrongState`] when it is frozen.
    pub fn atomics<T: Shareable>(&self, offset: u64, count: u64) -> Result<Table<T>, Error> {
        self.check_writable()?;
        let bytes = count.saturating_mul(size_of::<T>() as u64);
        if offset.checked_add(bytes).is_none_or(|end| end > self.view_bytes) {
            return Err(Error::OutOfRange { offset, bytes, limit: self.view_bytes });
        }
        let start = self.reference.offset + self.view_offset + offset;
        Ok(self.attachment.data.table(start, count, "atomics")?)
    }

    /// The bytes of the view, in place, for structures that lie in shared memory. As [`atomics`](Self::atomics), it keeps
    /// the mapping, not the memory.
    ///
    /// ```
    /// use weyr_managed::{Pool, PoolAttributes};
    /// use weyr_shared::Bitset;
    /// # let name = format!("doc-published-region-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let mut memory = pool.alloc(Bitset::size(1000)?)?;
    /// memory.fill(0)?;
    /// let bits = Bitset::init(&memory.publish()?.region()?, 1000)?;
    /// bits.set(7)?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongState`] when it is frozen, [`Error::ReadOnly`] where the pool was attached so.
    pub fn region(&self) -> Result<Region, Error> {
        self.check_writable()?;
        Ok(self.attachment.data.part(self.reference.offset + self.view_offset, self.view_bytes)?)
    }

    /// Copies `bytes` to byte `offset` of the view. Others may write there too: what is read afterwards may be
    /// theirs. Does not block.
    ///
    /// # Errors
    /// [`Error::Payload`] when it does not fit; [`Error::WrongState`] when it is frozen.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.check_writable()?;
        Ok(self.payload()?.write(offset, bytes)?)
    }

    /// Copies from byte `offset` of the view into the whole of `bytes`. Does not block.
    ///
    /// # Errors
    /// [`Error::Payload`] when there are not so many.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        Ok(self.payload()?.read(offset, bytes)?)
    }

    /// Frozen bytes in place.
    ///
    /// # Errors
    /// [`Error::WrongState`] when it is not frozen: others may write it; [`Error::Payload`] unless the pool is
    /// [cooperative](Pool::cooperative).
    pub fn as_slice(&self) -> Result<&[u8], Error> {
        if !self.frozen {
            let offset = self.reference.offset;
            return Err(Error::WrongState {
                offset,
                state: BlockState::Pool.name(),
                action: "a reference to its bytes",
            });
        }
        Ok(self.payload()?.into_slice()?)
    }

    /// Gives it up for good: nobody may write it any more. Other handles learn it when they are opened anew.
    ///
    /// # Errors
    /// [`Error::NotOriginal`]; [`Error::Stale`], [`Error::NotABlock`], [`Error::DoubleFree`] when it is gone.
    pub fn freeze(mut self) -> Result<Published, Error> {
        if !self.original {
            return Err(Error::NotOriginal);
        }
        self.attachment.require_writable()?;
        let changed = self.attachment.heap.change_block(self.reference, BlockWord::frozen);
        changed.map_err(|error| explain(error, self.reference, "freezing it"))?;
        self.frozen = true;
        Ok(self)
    }

    /// Frees the allocation, and its type and id in the same instant. Exactly one of several that try at once succeeds.
    ///
    /// # Errors
    /// [`Error::NotOriginal`]; [`Error::DoubleFree`], [`Error::Stale`] or [`Error::NotABlock`] when it was freed
    /// before; [`Error::WrongState`] when a message has it.
    /// Source: Dragon managed memory, `dragon_memory_free`.
    #[inline]
    pub fn free(self) -> Result<(), Error> {
        if !self.original {
            return Err(Error::NotOriginal);
        }
        let (type_id, id) = self.key.map_or((0, 0), |key| (key.type_id, key.id));
        Attachment::free_published(self.attachment, self.reference, type_id, id)
    }
}

impl Attachment {
    /// A call of its own, with what it needs by the piece, type 0 for none: what is stored in parts and copied as a whole stalls.
    #[inline(never)]
    fn free_published(
        loan: Loan<Self>,
        reference: BlockReference,
        type_id: u32,
        id: u64,
    ) -> Result<(), Error> {
        loan.free_shared(reference, |word| word.state().is_public(), "freeing it")?;
        // The key was free with the block; the record is a leftover from here on.
        if type_id != 0 {
            loan.heap.remove_record(reference, Key { type_id, id });
        }
        Self::give_back(loan);
        Ok(())
    }

    /// Bytes of the block that `reference` means, if it is frozen.
    fn frozen_bytes(&self, reference: BlockReference, action: &'static str) -> Result<u64, Error> {
        self.check_window(reference)?;
        let located = self.heap.locate(reference);
        let block = located.map_err(|missing| explain(ChangeError::Missing(missing), reference, action))?;
        match block.seen.state() {
            BlockState::Frozen => Ok(block.bytes),
            state => Err(explain(ChangeError::Refused(state), reference, action)),
        }
    }
}

impl Pool {
    /// A handle on bytes of frozen memory that a message refers to; `original`: it may free the memory. By loads only.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::NotABlock`], [`Error::DoubleFree`] when it was freed; [`Error::WrongState`] when it
    /// is something else by now; [`Error::OutOfRange`]; [`Error::OutsideWindow`].
    pub fn open_frozen_view(
        &self,
        reference: BlockReference,
        offset: u64,
        bytes: u64,
        original: bool,
    ) -> Result<Published, Error> {
        let attachment = self.attachment();
        let limit = attachment.frozen_bytes(reference, "receiving it")?;
        if offset.checked_add(bytes).is_none_or(|end| end > limit) {
            return Err(Error::OutOfRange { offset, bytes, limit });
        }
        Ok(Published {
            attachment: Loan::single(attachment),
            reference,
            view_offset: offset,
            view_bytes: bytes,
            original,
            frozen: true,
            cooperative: self.cooperation(),
            key: None,
        })
    }

    /// Opens the allocation that `descriptor` names, by loads only: nothing is changed, whatever it says. The pool is known
    /// by its identity, so a descriptor from before the machine's last start, or of the pool that this is a copy of, holds.
    ///
    /// # Errors
    /// [`Error::OtherHost`], [`Error::WrongPool`], [`Error::NotABlock`], [`Error::Stale`], [`Error::DoubleFree`],
    /// [`Error::OutOfRange`] for its view, [`Error::WrongState`] when it is not published, [`Error::OutsideWindow`],
    /// [`Error::WrongType`] when it has another type or id, or none.
    /// Source: Dragon managed memory, `dragon_memory_attach`.
    pub fn open(&self, descriptor: &AllocationDescriptor) -> Result<Published, Error> {
        let attachment = self.attachment();
        if descriptor.uuid != attachment.uuid && descriptor.host != host::id() {
            return Err(Error::OtherHost { found: descriptor.host, expected: host::id() });
        }
        if descriptor.uuid != attachment.uuid {
            return Err(Error::WrongPool { found: descriptor.uuid, expected: attachment.uuid });
        }
        let reference = descriptor.reference;
        attachment.check_window(reference)?;
        let limit = attachment.heap.current_pages() * attachment.heap.geometry.page_bytes();
        if reference.offset >= limit {
            return Err(Error::OutOfRange { offset: reference.offset, bytes: descriptor.view_bytes, limit });
        }
        let block = attachment.public(reference, "opening it")?;
        let state = block.seen.state();
        let end = descriptor.view_offset.checked_add(descriptor.view_bytes);
        if end.is_none_or(|end| end > block.bytes) {
            let (offset, bytes) = (descriptor.view_offset, descriptor.view_bytes);
            return Err(Error::OutOfRange { offset, bytes, limit: block.bytes });
        }
        let key = attachment.check_key(reference, state, descriptor.type_id, descriptor.id)?;
        Ok(Published {
            attachment: Loan::single(attachment),
            reference,
            key,
            view_offset: descriptor.view_offset,
            view_bytes: descriptor.view_bytes,
            original: descriptor.original,
            frozen: state == BlockState::Frozen,
            cooperative: self.cooperation(),
        })
    }
}
