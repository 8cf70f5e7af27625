//! Frozen memory in a message: a reference that changes nothing for the memory, however often it is sent.
//!
//! Nothing is on its way but the reference, so there is nothing to take back, nor to recover but the slot. Whoever
//! frees the memory makes what refers to it stale; the receiver finds that by generation and state of the block.

use weyr_shared::{MessageReference, Ring};

use crate::Error;
use crate::host::Host;
use crate::send::{Claim, Outgoing};

/// Frozen memory, of which a message is a reference and no more.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// The memory.
    pub message: MessageReference,
    /// Whether who receives it may free it.
    pub original: bool,
}

impl<H: Host> Outgoing<H> for Share {
    fn fill(&self, _host: &H, ring: &Ring, claim: Claim) -> Result<(), Error> {
        Ok(ring.write_frozen(claim.index(), claim.sender(), &self.message, self.original)?)
    }

    fn take_back(&self, _host: &H) -> Result<(), Error> {
        Ok(())
    }

    fn bytes_copied(&self) -> u64 {
        0
    }
}
