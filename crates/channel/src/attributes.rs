//! What a channel can be asked to be.

use weyr_shared::{Geometry, MAX_BLOCK_SIZE, MAX_CAPACITY, MIN_BLOCK_SIZE};

use crate::Error;

/// Attributes of a channel to be created. Defaults as in *Dragon channels*: 100 messages of up to 1024 bytes.
///
/// ```
/// use weyr_channel::ChannelAttributes;
/// let attributes = ChannelAttributes::new().block_size(256).capacity(16);
/// assert_eq!(attributes.bytes(64).unwrap(), 960 + 16 * 320);
/// assert!(ChannelAttributes::new().capacity(0).bytes(64).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelAttributes {
    block_size: u64,
    capacity: u64,
    levels: u32,
    message_attributes: bool,
}

impl Default for ChannelAttributes {
    fn default() -> Self {
        Self { block_size: 1024, capacity: 100, levels: 1, message_attributes: false }
    }
}

impl ChannelAttributes {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of payload that a message can carry by copy, from 48 to 1 GiB; 1024 by default. What is larger is sent as
    /// an allocation.
    #[must_use]
    pub fn block_size(mut self, bytes: u64) -> Self {
        self.block_size = bytes;
        self
    }

    /// Messages that can wait at once, from 1 to 16,777,216; 100 by default.
    #[must_use]
    pub fn capacity(mut self, messages: u64) -> Self {
        self.capacity = messages;
        self
    }

    /// Priority levels; 1, the default, is what this version has.
    #[must_use]
    pub fn levels(mut self, levels: u32) -> Self {
        self.levels = levels;
        self
    }

    /// Whether messages say who sent them, as which of its messages, for which client and with which hints; not by
    /// default. It costs 48 bytes a slot and the writing of them; see [`MessageAttributes`](crate::MessageAttributes).
    #[must_use]
    pub fn message_attributes(mut self, carried: bool) -> Self {
        self.message_attributes = carried;
        self
    }

    /// Bytes of the allocation that such a channel needs in a pool for `processes` processes.
    ///
    /// # Errors
    /// [`Error::InvalidBlockSize`], [`Error::InvalidCapacity`], [`Error::InvalidLevels`].
    pub fn bytes(&self, processes: u32) -> Result<u64, Error> {
        self.geometry(processes).map(|geometry| geometry.bytes())
    }

    pub(crate) fn geometry(&self, processes: u32) -> Result<Geometry, Error> {
        self.check()?;
        Ok(Geometry {
            block_size: self.block_size as u32,
            capacity: self.capacity as u32,
            attributes: self.message_attributes,
            processes,
        })
    }

    fn check(&self) -> Result<(), Error> {
        let (smallest, largest) = (u64::from(MIN_BLOCK_SIZE), u64::from(MAX_BLOCK_SIZE));
        if !(smallest..=largest).contains(&self.block_size) {
            return Err(Error::InvalidBlockSize { bytes: self.block_size, smallest, largest });
        }
        if !(1..=u64::from(MAX_CAPACITY)).contains(&self.capacity) {
            return Err(Error::InvalidCapacity { messages: self.capacity, largest: MAX_CAPACITY.into() });
        }
        if self.levels != 1 {
            return Err(Error::InvalidLevels { levels: self.levels });
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_out_of_range_has_its_own_error() {
        let attributes = ChannelAttributes::new();
        for bytes in [0, 47, (1 << 30) + 1, u64::MAX] {
            let refused = attributes.block_size(bytes).bytes(1);
            assert!(matches!(refused, Err(Error::InvalidBlockSize { bytes: found, .. }) if found == bytes));
        }
        for messages in [0, (1 << 24) + 1, u64::MAX] {
            let refused = attributes.capacity(messages).bytes(1);
            assert!(
                matches!(refused, Err(Error::InvalidCapacity { messages: found, .. }) if found == messages)
            );
        }
        assert_eq!(attributes.levels(2).bytes(1), Err(Error::InvalidLevels { levels: 2 }));
    }

    #[test]
    fn the_limits_themselves_are_possible() {
        assert!(ChannelAttributes::new().block_size(48).capacity(1).bytes(1).is_ok());
        assert!(ChannelAttributes::new().block_size(1 << 30).capacity(1 << 24).bytes(1 << 16).is_ok());
    }

    #[test]
    fn the_default_channel_fits_into_128_kib_for_a_thousand_processes() {
        assert!(ChannelAttributes::new().bytes(1024).unwrap() <= 128 << 10);
    }
}
