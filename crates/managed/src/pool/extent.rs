//! How much memory a pool has: segments that are added, and memory of free pages that is given back.

use std::ops::Range;

use weyr_sys::Errno;

use crate::membership::attachment::Attachment;
use crate::{Error, Pool, PoolType};

impl Attachment {
    /// Adds a segment; false when the pool may not grow further. INVAL where the object is shorter than the pool: made
    /// longer, it would have zeros where it was cut.
    pub(crate) fn grow(&self) -> Result<bool, Errno> {
        self.check_length().map_err(|_| Errno::INVAL)?;
        let extend = |pages| self.medium.extend(self.heap.geometry.object_bytes(pages));
        let grew = self.heap.add_segment(extend)?;
        if grew {
            tracing::debug!(pool = self.name, pages = self.heap.current_pages(), "pool grew");
        }
        Ok(grew)
    }

    /// Gives memory of free pages back, looking at the truth first: what the dead and the idle hold is free, too.
    fn trim(&self) -> Result<u64, Error> {
        if self.medium.kind == PoolType::Lent {
            return Ok(0);
        }
        self.check_length()?;
        let (liveness, channels) = (self.liveness(), self.channels());
        let given = self.with_lane(|own, _| {
            self.heap.relieve_all(own, &liveness, &channels);
            self.heap.release_own_kept(own);
            self.heap.unback_free_chunks(own, |range| self.unback(range))
        })?;
        // Who waits for pages may have looked while they were in hand.
        self.heap.freed();
        given.map_err(Error::os("giving the pool's memory back"))
    }

    /// Gives the memory behind a range of data offsets back to the kernel.
    fn unback(&self, range: Range<u64>) -> Result<(), Errno> {
        let start = self.heap.geometry.offsets.data;
        match self.object() {
            Some(object) => object.punch(start + range.start, range.end - range.start),
            None => self.mapping().discard((start + range.start) as usize..(start + range.end) as usize),
        }
    }
}

impl Pool {
    /// Adds one segment and returns the [size](Self::size) in bytes then; the others see more memory and nothing else.
    /// Allocations do so by themselves when they find nothing free. Blocks while the object is made longer.
    ///
    /// ```
    /// # use weyr_managed::{Growth, Pool, PoolAttributes};
    /// # let name = format!("doc-grow-{}", std::process::id());
    /// let attributes = PoolAttributes::new(&name, 1 << 20).growth(Growth::UpTo(3 << 20)).segment_size(1 << 20);
    /// let pool = Pool::create(&attributes)?;
    /// assert_eq!(pool.grow()?, 2 << 20);
    /// # pool.destroy()?;
    /// # Ok::<(), weyr_managed::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it has its largest size, as it was made or set, or this process cannot map more of it;
    /// [`Error::FilesystemFull`], [`Error::ReadOnly`], [`Error::Destroyed`], [`Error::Truncated`]. Nothing has changed
    /// then.
    pub fn grow(&self) -> Result<u64, Error> {
        let attachment = self.attachment();
        attachment.check_length()?;
        attachment.membership()?;
        let segment = attachment.heap.geometry.shape.segment_pages * attachment.heap.geometry.page_bytes();
        if self.is_destroyed() {
            return Err(Error::Destroyed);
        }
        match attachment.grow() {
            Ok(true) => {
                attachment.heap.freed();
                Ok(self.size())
            }
            Ok(false) => Err(Error::TooLarge { bytes: self.size() + segment, limit: self.size() }),
            Err(errno) => Err(attachment.backing_error(errno, segment)),
        }
    }

    /// Gives memory that no allocation uses back to the kernel, in chunks of up to 2 MiB, and returns how many bytes that
    /// were. Size and addresses stay; what is allocated there next is backed anew. Looks for what the dead and the idle
    /// hold first, and leaves one chunk for who allocates meanwhile. Blocks for milliseconds per gibibyte; what it has in
    /// hand, a chunk at a time, counts as used for others.
    ///
    /// Lent memory is its lender's: nothing of it is given back.
    ///
    /// ```
    /// # use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-trim-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 8 << 20))?;
    /// let mut large = pool.alloc(4 << 20)?;
    /// large.fill(1)?;
    /// drop(large);
    /// assert!(pool.trim()? >= 4 << 20);
    /// # pool.destroy()?;
    /// # Ok::<(), weyr_managed::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Os`] where the file system cannot give back a part of a file; [`Error::ReadOnly`], [`Error::Forked`],
    /// [`Error::Truncated`].
    pub fn trim(&self) -> Result<u64, Error> {
        self.attachment().trim()
    }
}
