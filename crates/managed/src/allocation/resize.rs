//! Owned memory that becomes longer or shorter.

use std::sync::Arc;

use weyr_shared::BlockReference;
use weyr_sys::Errno;

use crate::allocation::explain;
use crate::heap::ChangeError;
use crate::heap::lane::LaneHeap;
use crate::heap::resize::Resized;
use crate::membership::attachment::Attachment;
use crate::{Allocation, ContentsMut, Error};

impl Allocation {
    /// Makes it `bytes` bytes long where it lies; its reference stays the same. Does not wait for anybody, but may take
    /// over what the dead and the idle hold behind it, or grow the pool.
    ///
    /// What is cut off goes back to the pool by whole pages; what is added is what was there, unless the pool zeroes.
    /// Small allocations have the room of their size class and no more.
    ///
    /// # Errors
    /// [`Error::NotInPlace`] when what lies behind it is in use; [`Error::FilesystemFull`], [`Error::Forked`];
    /// [`Error::WrongState`] or [`Error::Stale`] when shared memory was spoilt. It is as it was then.
    ///
    /// ```
    /// # use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-resize-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let mut memory = pool.alloc(100_000)?;
    /// let reference = memory.reference();
    /// memory.write(0, b"stays")?;
    /// memory.resize(500_000)?;
    /// memory.resize(5)?;
    /// assert_eq!((memory.len(), memory.reference()), (5, reference));
    /// # drop(memory);
    /// # pool.destroy()?;
    /// # Ok::<(), weyr_managed::Error>(())
    /// ```
    pub fn resize(&mut self, bytes: u64) -> Result<(), Error> {
        self.resize_by(bytes, Effort::All)
    }

    /// As [`resize`](Self::resize), with what is free behind it as it is: in the time of an allocation.
    ///
    /// # Errors
    /// As [`resize`](Self::resize), and [`Error::NotInPlace`] also where a closer look would find room.
    pub fn resize_at_once(&mut self, bytes: u64) -> Result<(), Error> {
        self.resize_by(bytes, Effort::First)
    }

    fn resize_by(&mut self, bytes: u64, effort: Effort) -> Result<(), Error> {
        let attachment = Arc::clone(self.attachment()?);
        let room = attachment.heap.room_of(self.reference());
        attachment.wipe_tail(self.reference(), bytes, room)?;
        attachment.resize(self.reference(), bytes, effort)?;
        let before = self.set_len(bytes);
        if attachment.zeroing && before < bytes {
            attachment.clear_added(self.reference(), before, bytes, room)?;
        }
        Ok(())
    }

    /// As [`resize`](Self::resize), but where it cannot be done in place it is moved: another allocation with the same
    /// bytes and another reference. Takes the time of the copy then.
    ///
    /// # Errors
    /// As [`resize`](Self::resize) and, for `NotInPlace`, as [`Pool::alloc`](crate::Pool::alloc). It is as it was then.
    pub fn resize_or_move(&mut self, bytes: u64) -> Result<(), Error> {
        match self.resize(bytes) {
            Err(Error::NotInPlace { .. }) => self.move_to(bytes),
            resized => resized,
        }
    }

    fn move_to(&mut self, bytes: u64) -> Result<(), Error> {
        let mut moved = Allocation::new(self.attachment()?, bytes, self.cooperation())?;
        moved.copy_part_from(self, bytes.min(self.len()))?;
        *self = moved;
        Ok(())
    }
}

/// What is done before a resize is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// One try.
    First,
    /// All that is done before an allocation fails.
    All,
}

impl Attachment {
    fn resize(&self, reference: BlockReference, bytes: u64, effort: Effort) -> Result<(), Error> {
        let bytes = self.demand(bytes).bytes;
        let limit = self.heap.geometry.maximum_bytes().min(self.data.len());
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
        let resized = self.with_lane(|own, _| self.resize_with(own, reference, bytes, effort))?;
        self.heap.freed();
        let resized = resized.map_err(|error| explain(error, reference, "resizing it"))?;
        match resized.map_err(|errno| self.backing_error(errno, bytes))? {
            Resized::Done(_) => Ok(()),
            Resized::InTheWay(room) => Err(Error::NotInPlace { bytes, room }),
        }
    }

    /// Wipes the pages that a span is about to lose, and what its owner no longer has of the last one it keeps.
    fn wipe_tail(&self, reference: BlockReference, bytes: u64, room: u64) -> Result<(), Error> {
        if !self.heap.wipes() || bytes >= room {
            return Ok(());
        }
        let wiped = self.heap.wipe(reference.offset + bytes, room - bytes);
        wiped.map_err(|errno| Error::Os { operation: "wiping the end of an allocation", errno })
    }

    /// In place, looking at the truth before it gives up, and growing the pool where its end is in the way.
    fn resize_with(
        &self,
        own: &mut LaneHeap,
        reference: BlockReference,
        bytes: u64,
        effort: Effort,
    ) -> Result<Result<Resized, Errno>, ChangeError> {
        let first = self.heap.resize(own, reference, bytes)?;
        let is_span = self.heap.is_span(reference);
        if !matches!(first, Ok(Resized::InTheWay(_))) || !is_span || effort == Effort::First {
            return Ok(first);
        }
        let end = reference.offset.saturating_add(bytes);
        if end > self.heap.geometry.maximum_bytes() {
            return Ok(first);
        }
        while end > self.heap.page_offset(self.heap.current_pages()) {
            match self.grow() {
                Ok(true) => {}
                Ok(false) => return Ok(first),
                Err(errno) => return Ok(Err(errno)),
            }
        }
        self.heap.relieve_all(own, &self.liveness(), &self.channels());
        self.heap.resize(own, reference, bytes)
    }
}
