//! Who a channel is: its host, its pool, and its number in there.

use weyr_managed::PoolDescriptor;
use weyr_shared::BlockReference;

use crate::{Channel, ChannelDescriptor, Error};

/// The offset in front of the generation, which never returns.
fn number_of(reference: BlockReference) -> u128 {
    u128::from(reference.offset) << 64 | u128::from(reference.generation)
}

/// What it says of the channel, which need not be of this host. Nothing is attached to.
impl ChannelDescriptor {
    /// The pool of the channel: its host, its identity, and the path of its object. Does not block.
    ///
    /// # Errors
    /// [`Error::Pool`]: the bytes that name the pool are damaged.
    /// Source: *Dragon channels*, `dragon_channel_pool_get_uid_fname`.
    pub fn pool_descriptor(&self) -> Result<PoolDescriptor, Error> {
        Ok(PoolDescriptor::from_bytes(self.pool())?)
    }

    /// Whether the channel lies on this host, so that it can be attached to from here. Does not block.
    ///
    /// # Errors
    /// As [`pool_descriptor`](Self::pool_descriptor).
    /// Source: *Dragon channels*, `dragon_channel_is_local`.
    pub fn is_local(&self) -> Result<bool, Error> {
        Ok(self.pool_descriptor()?.is_local())
    }

    /// The number of the channel, as [`Channel::number`].
    pub fn number(&self) -> u128 {
        number_of(self.reference())
    }
}

/// Who it is.
impl Channel {
    /// The host that it lies on, which is this one. Does not block.
    /// Source: *Dragon channels*, `dragon_channel_get_hostid`.
    pub fn host(&self) -> u64 {
        self.pool().descriptor().host
    }

    /// A number that no other channel of its pool has, had or will have; with the pool's identity it is the only one
    /// anywhere. It is given, not chosen: a channel that others are to find has a [name](Self::create_named). Does not
    /// block.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-number-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// let descriptor = channel.descriptor();
    /// assert_eq!(descriptor.number(), channel.number());
    /// assert_eq!(descriptor.pool_descriptor()?.uuid, pool.uuid());
    /// assert!(descriptor.is_local()?);
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    /// Source: *Dragon channels*, `dragon_channel_get_uid`.
    pub fn number(&self) -> u128 {
        number_of(self.attached().block())
    }
}
