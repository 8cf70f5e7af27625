//! Memory that is zero when it is given out, for pools that promise it.

use weyr_shared::{BlockReference, Payload};

use crate::Error;
use crate::attachment::Attachment;

impl Attachment {
    /// The bytes of a new allocation, as the pool's attributes want them.
    #[inline]
    pub(crate) fn prepare(&self, reference: BlockReference, bytes: u64) -> Result<(), Error> {
        if self.zeroing { self.clear(reference, 0, bytes) } else { Ok(()) }
    }

    /// Sets bytes `from .. to` of a block that the caller owns to zero, as far as they are not known to be.
    #[cold]
    pub(crate) fn clear(&self, reference: BlockReference, from: u64, to: u64) -> Result<(), Error> {
        // Of the page in which they begin something may have been used.
        let page = self.heap.geometry.page_bytes();
        let whole = if from == 0 { 0 } else { from.next_multiple_of(page).min(to) };
        let dirty = if self.heap.is_fresh(reference, whole, to) { whole } else { to };
        if from < dirty {
            Payload::new(&self.data, reference.offset + from, dirty - from, None)?.fill(0);
        }
        Ok(())
    }
}
