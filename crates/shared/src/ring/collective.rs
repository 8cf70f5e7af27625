//! What a group does together in a channel of one slot: it lies where the payload of a message would.

use weyr_atomic::Ordering;

use super::Ring;
use crate::collective::Binding;
use crate::{Collective, Corrupt};

/// No message is ever in it. Among the bits that senders and receivers look at anyway, so that it costs others nothing.
pub(super) const STATE_COLLECTIVE: u32 = 64;

impl Ring {
    /// Makes it the channel of a group. Only its creator may, before anybody else knows it.
    ///
    /// # Errors
    /// [`Corrupt`]: its block is too small.
    pub fn become_collective(&self, binding: &Binding) -> Result<(), Corrupt> {
        Collective::make(&self.payload, self.block_at(0, 0)?, binding)?;
        self.header().state.fetch_or(STATE_COLLECTIVE, Ordering::Release);
        Ok(())
    }

    /// Whether it is the channel of a group, through which no messages go.
    pub fn is_collective(&self) -> bool {
        self.header().state.load(Ordering::Acquire) & STATE_COLLECTIVE != 0
    }

    /// The group, if it is the channel of one.
    ///
    /// # Errors
    /// [`Corrupt`]: what is bound to it cannot be.
    pub fn collective(&self) -> Result<Option<Collective>, Corrupt> {
        if !self.is_collective() {
            return Ok(None);
        }
        Collective::over(&self.payload, self.block_at(0, 0)?, self.block_size().into()).map(Some)
    }
}
