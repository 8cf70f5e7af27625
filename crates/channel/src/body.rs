//! Where the payload of a message lies that is still the channel's.

use weyr_managed::Published;
use weyr_shared::{MessageKind, MessageReference};

use crate::Error;
use crate::channel::Shared;
use crate::pool_host::PoolHost;
use crate::receive::Taken;

/// The payload of a message in the hands of this process.
#[derive(Debug)]
pub(crate) enum Body {
    /// In the slot.
    Inline,
    /// In a block of the channel's pool, or of that of its buffers.
    Block(MessageKind, MessageReference),
    /// In another pool.
    Foreign(Published),
}

impl Body {
    /// Copies from byte `offset` into the whole of `bytes`; of what lies in the slot nothing.
    ///
    /// # Errors
    /// The pool's.
    pub(crate) fn read(&self, host: &PoolHost, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Inline => Ok(()),
            Self::Block(kind, message) => host.read(*kind, message, offset, bytes),
            Self::Foreign(memory) => Ok(memory.read(offset, bytes)?),
        }
    }
}

impl Shared {
    /// Where the payload of `taken`, which is of that kind, lies.
    ///
    /// # Errors
    /// [`Error::Corrupt`], and as [`open_foreign`](Self::open_foreign).
    pub(crate) fn body(&self, kind: MessageKind, taken: &Taken) -> Result<Body, Error> {
        Ok(match kind {
            MessageKind::Inline => Body::Inline,
            kind if kind.is_foreign() => Body::Foreign(self.open_foreign(taken)?),
            kind => Body::Block(kind, self.attached.reference(taken)?),
        })
    }
}
