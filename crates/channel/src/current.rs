//! The attributes of a channel that is there, and those that can be changed.

use weyr_managed::{LockKind, PoolDescriptor};
use weyr_shared::{FlowControl, RingRecord};

use crate::{Channel, Collective, Error};

/// What a channel is: its attributes, as *Dragon channels* lists them. [`ChannelState`](crate::ChannelState) says what it
/// holds just now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentAttributes {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Process id of its creator, in the creator's pid namespace. Not looked at by
    /// [`set_attributes`](Channel::set_attributes).
    pub creator: u32,
    /// Whether its creator wanted it to be new. Not looked at by [`set_attributes`](Channel::set_attributes).
    pub exclusive: bool,
    /// The kind of lock that was asked for, which a channel has not: nothing depends on it. Not looked at by
    /// [`set_attributes`](Channel::set_attributes).
    pub lock_kind: LockKind,
    /// Messages that can wait at once.
    pub capacity: u32,
    /// Bytes that a message can carry by copy.
    pub block_size: u32,
    /// Priority levels.
    pub priority_levels: u32,
    /// Messages that can wait at once in each level above the lowest.
    pub urgent_capacity: u32,
    /// Whether messages carry attributes.
    pub message_attributes: bool,
    /// Whether bytes that do not fit a block are sent as a copy.
    pub side_loading: bool,
    /// The pool of those copies, where it is not the channel's own.
    pub buffer_pool: Option<PoolDescriptor>,
    /// What holds a sender back that has its share.
    pub flow_control: FlowControl,
    /// Waiters that may spin. Nothing depends on it: who spins gives its processor up every 50 looks. Can be set.
    pub max_spinners: u32,
    /// The group that it is bound to, if one uses it together.
    pub collective: Option<Collective>,
}

/// As it is kept.
pub(crate) fn lock_kind_of(code: u8) -> LockKind {
    LockKind::ALL.into_iter().find(|kind| *kind as u32 == u32::from(code)).unwrap_or_default()
}

impl Channel {
    /// The attributes of the channel. Does not block, and may be asked of a locked, quiesced or destroyed channel.
    ///
    /// # Errors
    /// [`Error::Pool`] when what is written down of its buffer pool cannot be, [`Error::Corrupt`] for its group.
    /// Source: *Dragon channels*, `dragon_channel_getattr`.
    pub fn attributes(&self) -> Result<CurrentAttributes, Error> {
        let (ring, RingRecord { creator_pid, lock_kind, exclusive, spinners }) =
            (self.ring(), self.ring().record());
        let geometry = ring.geometry();
        let buffers = ring.buffer_pool().map(|bytes| PoolDescriptor::from_bytes(&bytes)).transpose()?;
        Ok(CurrentAttributes {
            name: self.name(),
            creator: creator_pid,
            exclusive,
            lock_kind: lock_kind_of(lock_kind),
            capacity: geometry.capacity,
            block_size: geometry.block_size,
            priority_levels: geometry.levels,
            urgent_capacity: geometry.urgent,
            message_attributes: geometry.attributes,
            side_loading: geometry.side_loading,
            buffer_pool: buffers,
            flow_control: ring.flow_control(),
            max_spinners: spinners,
            collective: self.collective()?,
        })
    }

    /// Makes the attributes of the channel those of `new`, for every process at once, and returns what they were.
    ///
    /// `max_spinners` changes. `exclusive`, `lock_kind` and `creator` are not looked at. Of several that set at once the
    /// last one's count. A death in between leaves the old or the new. Does not block.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes, Error};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-channel-attributes-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let channel = Channel::create(&pool, &ChannelAttributes::new().capacity(10))?;
    /// let mut attributes = channel.attributes()?;
    /// attributes.max_spinners = 4;
    /// assert_eq!(channel.set_attributes(&attributes)?.capacity, 10);
    /// attributes.capacity = 20;
    /// let refused = channel.set_attributes(&attributes);
    /// assert!(matches!(refused, Err(Error::FixedAttribute { attribute: "capacity" })));
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::FixedAttribute`] names what cannot be changed once the channel is made; [`Error::Quiesced`],
    /// [`Error::Destroyed`]; as [`attributes`](Self::attributes). Nothing is changed then.
    /// Source: *Dragon channels*, `dragon_channel_setattr`.
    pub fn set_attributes(&self, new: &CurrentAttributes) -> Result<CurrentAttributes, Error> {
        self.attached().me()?;
        self.attached().check_usable()?;
        let old = self.attributes()?;
        old.check_fixed(new)?;
        let max_spinners = self.ring().set_spinners(new.max_spinners).ok_or(Error::Quiesced)?;
        Ok(CurrentAttributes { max_spinners, ..old })
    }
}

impl CurrentAttributes {
    /// Refuses the first change of what is settled when a channel is made.
    fn check_fixed(&self, new: &Self) -> Result<(), Error> {
        let same = [
            (self.name == new.name, "name"),
            (self.capacity == new.capacity, "capacity"),
            (self.block_size == new.block_size, "block size"),
            (self.priority_levels == new.priority_levels, "priority levels"),
            (self.urgent_capacity == new.urgent_capacity, "urgent capacity"),
            (self.message_attributes == new.message_attributes, "message attributes"),
            (self.side_loading == new.side_loading, "side-loading"),
            (self.buffer_pool == new.buffer_pool, "buffer pool"),
            (self.flow_control == new.flow_control, "flow control"),
            (self.collective == new.collective, "collective"),
        ];
        let changed = same.iter().find(|(same, _)| !same);
        changed.map_or(Ok(()), |(_, attribute)| Err(Error::FixedAttribute { attribute }))
    }
}

crate::request::values::record! {
    CurrentAttributes {
        name "optional text" "name",
        creator "u32" "process id of its creator",
        exclusive "bool" "whether its creator wanted it to be new",
        lock_kind "kind of lock" "kind of lock; without effect",
        capacity "u32" "messages that can wait at once",
        block_size "u32" "bytes that a message can carry by copy",
        priority_levels "u32" "priority levels",
        urgent_capacity "u32" "slots of each level above the lowest",
        message_attributes "bool" "whether messages say who sent them",
        side_loading "bool" "whether bytes larger than a block are sent in allocations",
        buffer_pool "optional pool" "the pool of these; none: the channel's own",
        flow_control "flow control" "what holds senders back",
        max_spinners "u32" "waiters that may spin; without effect",
        collective "optional collective" "the group that it is bound to",
    }
}
