//! A pool that a start of the machine found in use.
//!
//! What lay in memory is gone; what lies in a file is what the kernel had written by then, in any order. So the pool is
//! taken for *dirty*: everybody who was in it is dead, no memory of it counts as fresh, what is stored counts as
//! backed and what was backed is backed again; then everything that can be repaired is, from the truth words. That is the
//! best that can be had: a word that never reached the disk is lost, and `verify` says what does not fit.
//!
//! Whoever opens the pool first under another boot rebuilds it; who comes meanwhile does the same.

use weyr_atomic::Ordering;
use weyr_sys::{Errno, host};

use crate::heap::verify::{Mode, Verification};
use crate::membership::attachment::Attachment;
use crate::repair::{Repair, repair_all};
use crate::{Error, Pool};

/// What was done to a pool that outlived the machine's last start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// All that was looked for, and how much of it was put right.
    pub repairs: Vec<Repair>,
    /// What is wrong still.
    pub left: Verification,
}

impl Attachment {
    /// Whether it was opened last under another boot of the host, or on another host.
    pub(crate) fn is_of_another_boot(&self) -> bool {
        // Acquire: pairs with the end of a rebuilding.
        self.heap.header().boot.load(Ordering::Acquire) != host::id()
    }

    /// Rebuilds the pool.
    ///
    /// Crash argument: each part is idempotent, and the boot is stored last; a death before leaves the pool as dirty as
    /// it was.
    pub(crate) fn rebuild(&self) -> Result<Rebuilt, Error> {
        self.heap.header().rebuilds.fetch_add(1, Ordering::AcqRel);
        self.back_again().map_err(|errno| self.backing_error(errno, 0))?;
        let repairs = repair_all(self)?;
        let left = self.verify(Mode::Online);
        // Release: who sees it sees the pool rebuilt.
        self.heap.header().boot.store(host::id(), Ordering::Release);
        let count: u64 = repairs.iter().map(|repair| repair.count).sum();
        tracing::warn!(
            pool = self.name,
            repaired = count,
            wrong = left.findings.len(),
            "rebuilt a dirty pool"
        );
        Ok(Rebuilt { repairs, left })
    }

    /// What the object has stored is marked, and what is marked is backed.
    fn back_again(&self) -> Result<(), Errno> {
        let Some(object) = self.object() else { return Ok(()) };
        let (backing, end) = (&self.heap.backing, self.heap.geometry.offsets.data);
        let mut at = 0;
        while let Some(stored) = object.next_stored(at)?.filter(|stored| stored.start < end) {
            backing.metadata(stored.start, stored.end.min(end) - stored.start)?;
            at = stored.end;
        }
        backing.again(self.heap.page_offset(self.heap.pool_pages()))
    }
}

impl Pool {
    /// Rebuilds a pool of another boot; whether it was one.
    pub(crate) fn rebuild_after_boot(&self) -> Result<bool, Error> {
        let attachment = self.attachment();
        let is_dirty = attachment.is_of_another_boot();
        if is_dirty {
            let _set_once = attachment.rebuilt.set(attachment.rebuild()?);
        }
        Ok(is_dirty)
    }

    /// What this process did when it opened the pool and found it *dirty*: in use when the machine stopped. None where
    /// it was not, or another process was first.
    pub fn rebuilt(&self) -> Option<&Rebuilt> {
        self.attachment().rebuilt.get()
    }

    /// Waits until all that was written to a pool in a file is on the disk. A process's own stores before the call are
    /// in it; what others write meanwhile may be. For memory there is nothing to be done.
    ///
    /// # Errors
    /// [`Error::Os`], [`Error::Truncated`]: some of it may not be there.
    pub fn sync(&self) -> Result<(), Error> {
        self.check_length()?;
        let synced = self.attachment().object().map_or(Ok(()), |object| object.sync());
        synced.map_err(Error::os("writing the pool to the disk"))
    }
}
