//! The barrier that a channel of one slot can be: it lies where the payload of a message would.

use super::Ring;
use crate::{Barrier, Corrupt};

impl Ring {
    /// The barrier in the payload block of the first slot, for as many parties as fit there.
    ///
    /// # Errors
    /// [`Corrupt`]: a block too small for one.
    pub fn barrier(&self) -> Result<Barrier, Corrupt> {
        Barrier::over(&self.payload, self.block_at(0, 0)?, self.block_size().into())
    }
}
