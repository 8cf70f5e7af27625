//! What a group does together in a channel of one slot: it lies where the payload of a message would.

use super::{Ring, RingUse};
use crate::collective::Binding;
use crate::{Collective, Corrupt};

impl Ring {
    /// Makes it the channel of a group. Only its creator may, before anybody else knows it.
    ///
    /// # Errors
    /// [`Corrupt`]: its block is too small.
    pub fn become_collective(&self, binding: &Binding) -> Result<(), Corrupt> {
        Collective::make(&self.payload, self.block_at(0, 0)?, binding)?;
        self.set_use(RingUse::Group);
        Ok(())
    }

    /// Whether it is the channel of a group, through which no messages go.
    pub fn is_collective(&self) -> bool {
        self.used_as() == Some(RingUse::Group)
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
