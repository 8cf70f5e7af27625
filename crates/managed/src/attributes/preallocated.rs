//! Blocks that are made ready when a pool is created.
//!
//! They are allocated and freed again: what they need is backed behind it. Threads of such a pool look for pages from its
//! first on, so that they find what is ready, and not something beside it.

use weyr_shared::BlockReference;

use crate::Error;
use crate::attributes::particulars::invalid;
use crate::heap::lane::LaneHeap;
use crate::heap::word::BlockWord;
use crate::membership::attachment::Attachment;

impl Attachment {
    /// Makes the blocks ready that the attributes name; a pool for which that fails is gone.
    pub(crate) fn make_ready(&self) -> Result<(), Error> {
        if self.particulars.preallocated.is_empty() {
            return Ok(());
        }
        let made = self.with_lane(|own, _| self.make_ready_in(own));
        if made != Ok(Ok(())) {
            // Nobody has it yet, so nothing of it is kept.
            self.unlink()?;
        }
        made?
    }

    fn make_ready_in(&self, own: &mut LaneHeap) -> Result<(), Error> {
        let mut held = Vec::new();
        let made = self.allocate_all(own, &mut held);
        let process = own.process;
        let owned = |word: BlockWord| word.actor() == process;
        for block in held {
            let _only_spoilt_memory_refuses = self.heap.free(own, block, true, owned);
        }
        self.heap.let_go_of_pages(own);
        own.cursor = 0;
        made
    }

    fn allocate_all(&self, own: &mut LaneHeap, held: &mut Vec<BlockReference>) -> Result<(), Error> {
        for kind in &self.particulars.preallocated {
            let demand = self.demand(kind.bytes);
            for made in 0..kind.count {
                let block = self.heap.alloc_demand(own, demand);
                let block = block.map_err(|errno| self.backing_error(errno, kind.bytes))?;
                held.push(block.ok_or_else(|| {
                    let reason =
                        format!("there is room for {made} of {} bytes, not for {}", kind.bytes, kind.count);
                    invalid("preallocated blocks", reason)
                })?);
            }
        }
        Ok(())
    }
}
