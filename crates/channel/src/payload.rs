//! What a send writes into the slot that it has claimed.

use weyr_shared::{MessageReference, Ring};

use crate::Error;
use crate::host::Host;

/// What is to be sent.
pub trait Outgoing<H: Host> {
    /// Writes it into a slot that this process holds in FILLING.
    ///
    /// # Errors
    /// [`Corrupt`](weyr_shared::Corrupt), or the pool's; then nothing is on its way.
    fn fill(&self, host: &H, ring: &Ring, index: u32) -> Result<(), Error>;

    /// Undoes what `fill` did outside the slot.
    ///
    /// # Errors
    /// The pool's.
    fn take_back(&self, host: &H) -> Result<(), Error>;

    /// Bytes that `fill` copies.
    fn bytes_copied(&self) -> u64;
}

/// Bytes, copied into the slot.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<H: Host> Outgoing<H> for Bytes<'_> {
    #[inline]
    fn fill(&self, _host: &H, ring: &Ring, index: u32) -> Result<(), Error> {
        Ok(ring.write_inline(index, self.0)?)
    }

    fn take_back(&self, _host: &H) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn bytes_copied(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A block, whose ownership goes with the message; the caller forgets it once the message is sent.
#[derive(Debug, Clone, Copy)]
pub struct Transfer(pub MessageReference);

impl<H: Host> Outgoing<H> for Transfer {
    fn fill(&self, host: &H, ring: &Ring, index: u32) -> Result<(), Error> {
        ring.write_reference(index, &self.0)?;
        host.begin_transfer(self.0.block)
    }

    fn take_back(&self, host: &H) -> Result<(), Error> {
        host.revert_transfer(self.0.block)
    }

    fn bytes_copied(&self) -> u64 {
        0
    }
}
