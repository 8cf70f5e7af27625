//! The pool in which a channel's buffers lie, where that is not the channel's own.

use weyr_shared::{Actor, Corrupt, Ring};

use crate::{Error, Pool, PoolDescriptor};

/// The pool of a channel's buffers, as this process sees it.
#[derive(Debug)]
pub enum BufferPool {
    /// It is the channel's own.
    Own,
    /// It is another, and attached.
    Reached(Pool),
    /// It was destroyed, and the buffers with it.
    Gone,
    /// This process cannot say.
    Unknown,
}

impl BufferPool {
    /// By what is attached already: no system call, and no recovery of one pool within that of another.
    pub(crate) fn known(ring: &Ring) -> Self {
        let Some(bytes) = ring.buffer_pool() else { return Self::Own };
        let pool = PoolDescriptor::from_bytes(&bytes).ok().and_then(|descriptor| Pool::attached(&descriptor));
        pool.map_or(Self::Unknown, Self::Reached)
    }

    /// Attaches the pool that the channel names.
    ///
    /// # Errors
    /// Why it cannot be attached, though it may be there.
    pub fn attach(ring: &Ring) -> Result<Self, Error> {
        let Some(bytes) = ring.buffer_pool() else { return Ok(Self::Own) };
        match Pool::attach_descriptor(&PoolDescriptor::from_bytes(&bytes)?) {
            Ok(pool) => Ok(Self::Reached(pool)),
            Err(Error::NoSuchPool { .. } | Error::Destroyed | Error::WrongPool { .. }) => Ok(Self::Gone),
            Err(error) => Err(error),
        }
    }

    /// Frees what a destroyed channel has in it, as far as this process can. The caller is attached to the channel.
    ///
    /// # Errors
    /// [`Corrupt`]: a slot that cannot be judged; all others were.
    pub fn drain(&self, ring: &Ring, me: Actor) -> Result<(), Corrupt> {
        match self {
            Self::Reached(pool) => ring.drain_elsewhere(me.into(), |block| {
                let _freed_by_another = pool.free_buffer(block);
            }),
            Self::Gone => ring.drain_elsewhere(me.into(), |_| ()),
            Self::Own | Self::Unknown => Ok(()),
        }
    }
}
