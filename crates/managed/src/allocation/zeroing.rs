//! Memory that is zero when it is given out, for pools that promise it.

use weyr_shared::{BlockReference, Payload};

use crate::Error;
use crate::membership::attachment::Attachment;

impl Attachment {
    /// The bytes of a new allocation, as the pool's attributes want them.
    #[inline]
    pub(crate) fn prepare(&self, reference: BlockReference, bytes: u64) -> Result<(), Error> {
        if self.zeroing { self.clear_new(reference, bytes) } else { Ok(()) }
    }

    /// Sets all `bytes` bytes of a block that was just allocated to zero, unless they are known to be.
    #[cold]
    pub(crate) fn clear_new(&self, reference: BlockReference, bytes: u64) -> Result<(), Error> {
        self.clear_added(reference, 0, bytes, 0)
    }

    /// Sets bytes `from .. to` of a block that the caller owns to zero. Of those behind its former room, in bytes, some
    /// may be known to be; what lies within that was the caller's before.
    pub(crate) fn clear_added(
        &self,
        reference: BlockReference,
        from: u64,
        to: u64,
        room: u64,
    ) -> Result<(), Error> {
        let whole = from.max(room).min(to);
        let dirty = if self.heap.is_fresh(reference, whole, to) { whole } else { to };
        if from < dirty {
            Payload::new(&self.data, reference.offset + from, dirty - from, None)?.fill(0);
        }
        Ok(())
    }
}
