//! Of what type the messages of a channel are, for handles that send and receive values instead of bytes.
//!
//! It binds those who ask for it: bytes and allocations can be sent all the same, so a typed receiver looks at each
//! message as well.

use std::num::NonZeroU64;

use crate::{Channel, Error};

impl Channel {
    /// The fingerprint of the type on which users of this channel agreed, if they did.
    pub fn message_type(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.ring().message_type())
    }

    /// Agrees with the other users of the channel that messages are of the type with this fingerprint, a number of
    /// the caller's choice. The first to say one decides, for as long as the channel lives. Does not wait.
    ///
    /// # Errors
    /// [`Error::OtherType`].
    pub fn agree_on_type(&self, fingerprint: NonZeroU64) -> Result<(), Error> {
        let asked = fingerprint.get();
        self.ring().agree_on_type(asked).map_err(|agreed| Error::OtherType { asked, agreed })
    }
}
