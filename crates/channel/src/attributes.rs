//! What a channel can be asked to be.

use weyr_managed::{BufferPool, LockKind, Pool, PoolDescriptor};
use weyr_shared::{
    BUFFER_POOL_LIMIT, FlowControl, Geometry, MAX_BLOCK_SIZE, MAX_CAPACITY, MAX_LEVELS, MIN_BLOCK_SIZE,
    RingRecord,
};

use crate::{Collective, Error};

/// Slots of a level above the lowest, unless asked for otherwise.
const URGENT_CAPACITY: u64 = 16;

/// Attributes of a channel to be created. Defaults as in *Dragon channels*: 100 messages of up to 1024 bytes.
///
/// ```
/// use weyr_channel::ChannelAttributes;
/// let attributes = ChannelAttributes::new().block_size(256).capacity(16);
/// assert_eq!(attributes.bytes(64).unwrap(), 1216 + 16 * 320);
/// assert!(ChannelAttributes::new().capacity(0).bytes(64).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelAttributes {
    block_size: u64,
    capacity: u64,
    levels: u32,
    urgent: Option<u64>,
    message_attributes: bool,
    side_loading: bool,
    buffers: Option<PoolDescriptor>,
    flow_control: FlowControl,
    exclusive: bool,
    lock_kind: LockKind,
    max_spinners: u32,
    collective: Option<Collective>,
}

impl Default for ChannelAttributes {
    fn default() -> Self {
        Self {
            block_size: 1024,
            capacity: 100,
            levels: 1,
            urgent: None,
            message_attributes: false,
            side_loading: false,
            buffers: None,
            flow_control: FlowControl::default(),
            exclusive: true,
            lock_kind: LockKind::default(),
            max_spinners: 0,
            collective: None,
        }
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

    /// Whether bytes that do not fit a block are sent all the same: copied into an allocation of the channel's pool, or
    /// of its [buffer pool](Self::buffer_pool), which is freed when they were received. By default they are refused with [`Error::TooLarge`].
    /// Source: *Dragon channels*, `dragon_chsend_send_msg`.
    #[must_use]
    pub fn side_loading(mut self, copy: bool) -> Self {
        self.side_loading = copy;
        self
    }

    /// The pool of those allocations, where it is not to be the channel's own; then bytes that do not fit a block are
    /// sent. Everybody who attaches to the channel attaches to that pool, too.
    ///
    /// No death loses such a message, or delivers it twice unmarked, as with any other. A sender that dies at the
    /// instant of sending leaves its buffer to the next user of its slot, or whoever waits for memory there; only where
    /// the channel's pool is destroyed with messages in it do they stay, as published memory of the buffer pool.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = |part: &str| format!("doc-buffers-{part}-{}", std::process::id());
    /// let small = Pool::create(&PoolAttributes::new(name("small"), 1 << 20))?;
    /// let large = Pool::create(&PoolAttributes::new(name("large"), 64 << 20))?;
    /// let channel = Channel::create(&small, &ChannelAttributes::new().buffer_pool(&large))?;
    ///
    /// channel.send(&vec![7; 10 << 20])?; // more than the channel's own pool has
    /// assert_eq!(channel.receive()?.into_bytes()?, vec![7; 10 << 20]);
    /// channel.destroy()?;
    /// # small.destroy()?;
    /// # large.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Source: *Dragon channels*, attribute `buffer_pool`.
    #[must_use]
    pub fn buffer_pool(mut self, pool: &Pool) -> Self {
        self.buffers = Some(pool.descriptor());
        self.side_loading = true;
        self
    }

    /// Messages that can wait at once, from 1 to 16,777,216; 100 by default. It bounds the sum over all priority levels.
    #[must_use]
    pub fn capacity(mut self, messages: u64) -> Self {
        self.capacity = messages;
        self
    }

    /// Priority levels, from 1, the default, to 8. What is sent at a higher level is received first; within a level
    /// messages keep their order. See [`Sender::with_priority`](crate::Sender::with_priority).
    ///
    /// With several levels each send looks at some slots more, as many as the levels above the lowest have.
    #[must_use]
    pub fn priority_levels(mut self, levels: u32) -> Self {
        self.levels = levels;
        self
    }

    /// Messages that can wait at once in each level above the lowest, from 1 to the capacity; by default 16, or the
    /// capacity if that is less. Means nothing with one level.
    #[must_use]
    pub fn urgent_capacity(mut self, messages: u64) -> Self {
        self.urgent = Some(messages);
        self
    }

    /// Whether messages say who sent them, as which of its messages, for which client and with which hints; not by
    /// default. It costs 48 bytes a slot and the writing of them; see [`MessageAttributes`](crate::MessageAttributes).
    #[must_use]
    pub fn message_attributes(mut self, carried: bool) -> Self {
        self.message_attributes = carried;
        self
    }

    /// What bounds the share that one sending process has of the channel; [`FlowControl::Resources`] unless said otherwise.
    ///
    /// A limit in messages or bytes holds for a process as long as it attaches to the channel once; handles and clones
    /// share it. It counts what is in the channel: what waits, and what receivers have in hand. In bytes, each message
    /// counts its block, however little it has in it, and its side buffer, if it has one; a message that would take more
    /// than the limit by itself is [`Error::TooLarge`]. A limit of no message, or of fewer bytes than a block, is
    /// [`Error::InvalidFlowControl`] when the channel is made.
    ///
    /// ```
    /// use weyr_channel::{Channel, ChannelAttributes, Error, FlowControl};
    /// use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-flow-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let two = FlowControl::Messages { messages: 2 };
    /// let channel = Channel::create(&pool, &ChannelAttributes::new().flow_control(two))?;
    ///
    /// channel.send(b"first")?;
    /// channel.send(b"second")?;
    /// assert_eq!(channel.try_send(b"third"), Err(Error::FlowControl(two)));
    /// channel.receive()?;
    /// channel.try_send(b"third")?;
    /// channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    /// Source: *Dragon channels*, attribute `fc_type`.
    #[must_use]
    pub fn flow_control(mut self, flow_control: FlowControl) -> Self {
        self.flow_control = flow_control;
        self
    }

    /// Whether [`Channel::create_named`](crate::Channel::create_named) fails where a channel of that name exists, as it does
    /// by default; else it attaches to that one, whatever its attributes.
    /// Source: *Dragon channels*, `DRAGON_CHANNEL_EXCLUSIVE`, `DRAGON_CHANNEL_NONEXCLUSIVE`.
    #[must_use]
    pub fn exclusive(mut self, exclusive: bool) -> Self {
        self.exclusive = exclusive;
        self
    }

    pub(crate) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// The kind of lock by which the channel is to be managed. It has none, so this is written down, given back, and
    /// nothing depends on it.
    /// Source: *Dragon channels*, attribute `lock_type`.
    #[must_use]
    pub fn lock_kind(mut self, kind: LockKind) -> Self {
        self.lock_kind = kind;
        self
    }

    /// How many waiters may spin. It is written down, given back, and nothing depends on it: who spins gives its processor
    /// up to others every 50 looks.
    /// Source: Dragon, attribute `max_spinners`.
    #[must_use]
    pub fn max_spinners(mut self, waiters: u32) -> Self {
        self.max_spinners = waiters;
        self
    }

    /// Binds the channel to a group that uses it together: see [`Member`](crate::Member). No messages go through it; it has
    /// one block, for all that the group needs, so that block size and capacity are set by this, and there are no priority
    /// levels, message attributes or buffers.
    /// Source: *Dragon channels*, notes, collective channels.
    #[must_use]
    pub fn collective(mut self, collective: Collective) -> Self {
        self.collective = Some(collective);
        self.capacity = 1;
        self.block_size = collective.block_bytes().map_or(self.block_size, at_least_smallest);
        self
    }

    pub(crate) fn bound(&self) -> Option<&Collective> {
        self.collective.as_ref()
    }

    fn check_collective(&self, collective: &Collective) -> Result<(), Error> {
        let block_size = at_least_smallest(collective.block_bytes()?);
        if (self.capacity, self.block_size, self.levels) != (1, block_size, 1) {
            return Err(Error::InvalidCollective {
                reason: "its capacity, block size and levels are the group's",
            });
        }
        if self.message_attributes || self.side_loading {
            return Err(Error::InvalidCollective { reason: "it has neither message attributes nor buffers" });
        }
        Ok(())
    }

    pub(crate) fn record(&self) -> RingRecord {
        RingRecord {
            creator_pid: std::process::id(),
            lock_kind: self.lock_kind as u8,
            exclusive: self.exclusive,
            spinners: self.max_spinners,
        }
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
            side_loading: self.side_loading,
            buffer_pool: self.buffers.is_some(),
            flow_control: self.flow_control,
            levels: self.levels,
            urgent: if self.levels == 1 { 0 } else { self.urgent_slots() as u32 },
        })
    }

    /// The same in `pool`, which needs not be named as that of the buffers.
    pub(crate) fn for_pool(&self, pool: &Pool) -> Self {
        let others = |buffers: &PoolDescriptor| buffers.uuid != pool.uuid();
        Self { buffers: self.buffers.clone().filter(others), ..self.clone() }
    }

    pub(crate) fn buffers(&self) -> Option<&PoolDescriptor> {
        self.buffers.as_ref()
    }

    /// The pool of the buffers, attached.
    pub(crate) fn reach_buffers(&self) -> Result<BufferPool, Error> {
        match &self.buffers {
            Some(buffers) => {
                Ok(BufferPool::Reached(Pool::attach_descriptor(buffers).map_err(Error::buffer_pool)?))
            }
            None => Ok(BufferPool::Own),
        }
    }

    fn check_buffers(&self) -> Result<(), Error> {
        let bytes = self.buffers.as_ref().map_or(0, |descriptor| descriptor.to_bytes().len());
        match bytes <= BUFFER_POOL_LIMIT {
            true if self.buffers.is_some() && !self.side_loading => {
                Err(Error::InvalidBufferPool { reason: "it has nothing to do without side-loading" })
            }
            true => Ok(()),
            false => Err(Error::InvalidBufferPool { reason: "its path is longer than a channel can keep" }),
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.check_buffers()?;
        self.collective.as_ref().map_or(Ok(()), |collective| self.check_collective(collective))?;
        let (smallest, largest) = (u64::from(MIN_BLOCK_SIZE), u64::from(MAX_BLOCK_SIZE));
        if !(smallest..=largest).contains(&self.block_size) {
            return Err(Error::InvalidBlockSize { bytes: self.block_size, smallest, largest });
        }
        if !self.flow_control.is_valid(self.block_size) {
            return Err(Error::InvalidFlowControl);
        }
        if !(1..=u64::from(MAX_CAPACITY)).contains(&self.capacity) {
            return Err(Error::InvalidCapacity { messages: self.capacity, largest: MAX_CAPACITY.into() });
        }
        if !(1..=MAX_LEVELS).contains(&self.levels) {
            return Err(Error::InvalidLevels { levels: self.levels, largest: MAX_LEVELS });
        }
        let urgent = self.urgent_slots();
        if self.levels > 1 && !(1..=self.capacity).contains(&urgent) {
            return Err(Error::InvalidCapacity { messages: urgent, largest: self.capacity });
        }
        Ok(())
    }

    fn urgent_slots(&self) -> u64 {
        self.urgent.unwrap_or(self.capacity.min(URGENT_CAPACITY))
    }
}

fn at_least_smallest(bytes: u64) -> u64 {
    bytes.max(MIN_BLOCK_SIZE.into())
}

crate::request::values::record! {
    ChannelAttributes {
        block_size "u64" "bytes that a message can carry by copy",
        capacity "u64" "messages that can wait at once",
        levels "u32" "priority levels",
        urgent "optional u64" "slots of each level above the lowest; none: the default",
        message_attributes "bool" "whether messages say who sent them",
        side_loading "bool" "whether bytes larger than a block are sent in allocations",
        buffers "optional pool" "the pool of these; none: the channel's own",
        flow_control "flow control" "what holds senders back",
        exclusive "bool" "whether a channel of that name must be new",
        lock_kind "kind of lock" "kind of lock; without effect",
        max_spinners "u32" "waiters that may spin; without effect",
        collective "optional collective" "the group that it is bound to",
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    fn new() -> ChannelAttributes {
        ChannelAttributes::new()
    }

    #[test]
    fn each_attribute_out_of_range_has_its_own_error() {
        for bytes in [0, 47, (1 << 30) + 1, u64::MAX] {
            let refused = new().block_size(bytes).bytes(1);
            assert!(matches!(refused, Err(Error::InvalidBlockSize { bytes: found, .. }) if found == bytes));
        }
        for messages in [0, (1 << 24) + 1, u64::MAX] {
            let refused = new().capacity(messages).bytes(1);
            assert!(
                matches!(refused, Err(Error::InvalidCapacity { messages: found, .. }) if found == messages)
            );
        }
        for levels in [0, 9, u32::MAX] {
            let refused = new().priority_levels(levels).bytes(1);
            assert_eq!(refused, Err(Error::InvalidLevels { levels, largest: 8 }));
        }
        for messages in [0, 101, u64::MAX] {
            let attributes = new().priority_levels(2).urgent_capacity(messages);
            assert_eq!(attributes.bytes(1), Err(Error::InvalidCapacity { messages, largest: 100 }));
        }
    }

    #[test]
    fn a_level_above_the_lowest_has_sixteen_slots_unless_asked_for_more_or_there_are_fewer() {
        let slots = |attributes: ChannelAttributes| attributes.geometry(1).unwrap().slot_count();
        assert_eq!(slots(new().priority_levels(2)), 116);
        assert_eq!(slots(new().priority_levels(8).capacity(3)), 24);
        assert_eq!(slots(new().priority_levels(3).urgent_capacity(100)), 300);
        assert_eq!(slots(new().urgent_capacity(50)), 100);
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
