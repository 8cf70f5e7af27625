//! Why an operation on a channel failed.

use weyr_shared::barrier::Broken;
use weyr_shared::{AttachError, Corrupt, FlowControl, RingOpenError};

/// Why an operation on a channel failed. Unless a variant says otherwise, nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No slot is free for a message just now.
    #[error("the channel is full; receive from it, or wait with `send` or `send_until`")]
    Full,
    /// An earlier message of this sender waits in a completion.
    #[error("an earlier message of this sender is not sent yet; wait for its completion, or drop it")]
    Pending,
    /// This process has its share of the channel, by the channel's flow control.
    #[error(
        "flow control holds this sender back ({0}); receive from the channel, or wait with `send` or `send_until`"
    )]
    FlowControl(FlowControl),
    /// No message could pass with that flow control: its limit is 0, or less than the bytes of a block.
    #[error(
        "flow control with that limit lets nothing through; choose at least 1 message, or the bytes of one block"
    )]
    InvalidFlowControl,
    /// No memory is free just now for a message that does not fit a block.
    #[error(
        "the channel's pool has no room for a message of {bytes} bytes; receive from it, or wait with `send`"
    )]
    BufferPoolFull {
        /// Bytes of the message.
        bytes: u64,
    },
    /// No message waits just now.
    #[error("the channel is empty; wait with `receive` or `receive_until`")]
    Empty,
    /// Nobody can wait for channels in this process: no thread could be started for it, or fork(2) came in between.
    #[error("no thread could be started that waits for channels; end some threads, or raise the limit")]
    Reactor,
    /// There is no such signal.
    #[error("there is no signal number {number}; choose one of signal(7)")]
    InvalidSignal {
        /// Asked for.
        number: i32,
    },
    /// The deadline has passed.
    #[error("the deadline has passed")]
    Timeout,
    /// The message **was sent**, and is the channel's: nobody has received it before the deadline. It stays.
    #[error("the message was sent, and nobody received it before the deadline; it stays in the channel")]
    NotReceived,
    /// The message **was sent**, and the channel destroyed before its receipt was seen: whether it was received nobody
    /// can say.
    #[error("the message was sent, and the channel was destroyed before its receipt was seen")]
    ReceiptLost,
    /// A living process keeps everybody from sending.
    #[error(
        "the channel is locked for senders by the user of process slot {process}; wait with `send` or `send_until`"
    )]
    WriteLocked {
        /// Its process slot in the pool.
        process: u16,
    },
    /// A living process keeps everybody from receiving.
    #[error(
        "the channel is locked for receivers by the user of process slot {process}; wait with `receive` or `receive_until`"
    )]
    ReadLocked {
        /// Its process slot in the pool.
        process: u16,
    },
    /// The channel is quiesced: nothing moves or changes until it is resumed.
    #[error("the channel is quiesced; resume it with `unquiesce`, or wait")]
    Quiesced,
    /// The process that executes requests has no such lock on the channel.
    #[error("the channel is not locked by a request to this process; lock it first, by who is to unlock it")]
    NotLocked,
    /// The channel is not quiesced.
    #[error("the channel is not quiesced")]
    NotQuiesced,
    /// A living process has a message of the channel in hands, or had begun to send one.
    #[error(
        "the user of process slot {process} has a message of the channel in hands; end its leases, or wait longer"
    )]
    InHands {
        /// Its process slot in the pool.
        process: u16,
    },
    /// An attribute that is settled when a channel is made was to be changed.
    #[error("the {attribute} of a channel cannot be changed once it is made; create another channel")]
    FixedAttribute {
        /// Which one.
        attribute: &'static str,
    },
    /// The channel was destroyed; no message moves any more.
    #[error("the channel was destroyed")]
    Destroyed,
    /// The message is larger than a slot, or than the buffer to receive it (it stays then); or a channel is larger than
    /// the pool or the allocation that it is to lie in.
    #[error(
        "{needed} bytes are needed and there are {largest}; send an allocation, pass a larger buffer, or ask for less"
    )]
    TooLarge {
        /// Bytes of the message, with its block where flow control counts that, or of the channel.
        needed: u64,
        /// Bytes that there are.
        largest: u64,
    },
    /// Shared memory does not hold what it must; the slot in question may be lost, the rest goes on.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The object belongs to the process before fork(2), and this is its child.
    #[error(
        "this belongs to the parent process; after fork only channels, senders and receivers can be used"
    )]
    Forked,
    /// A client id or hints were to be sent through a channel whose messages have no room for them.
    #[error(
        "messages of this channel carry no attributes; create it with `ChannelAttributes::message_attributes(true)`"
    )]
    NoAttributes,
    /// The message lies in the channel itself: there is no allocation to look at in place.
    #[error("the message has no allocation; copy its bytes")]
    NoAllocation,
    /// The users of the channel agreed on messages of another type.
    #[error(
        "messages of this channel are of type {agreed:#018x}, not {asked:#018x}; use another channel, or the same type on both sides"
    )]
    OtherType {
        /// Fingerprint of the type that was asked for.
        asked: u64,
        /// Fingerprint of the type that was agreed on before.
        agreed: u64,
    },
    /// The barrier is broken: nobody passes it until it is reset.
    #[error("the barrier is broken: {}; reset it when all who use it know", crate::barrier::reason(*.why))]
    BarrierBroken {
        /// Why.
        why: Broken,
    },
    /// So many parties are not possible.
    #[error("a barrier of {parties} parties is not possible; choose 1 to {largest}")]
    InvalidParties {
        /// Asked for.
        parties: u32,
        /// Largest possible number.
        largest: u32,
    },
    /// The channel is used as something else, and carries no messages of its users.
    #[error("this channel is a {used_as}, which carries no messages; create another channel for them")]
    NotForMessages {
        /// As what.
        used_as: &'static str,
    },
    /// The channel that was to be attached to is no barrier.
    #[error("this channel is no barrier; pass the descriptor of one that `Barrier::create` made")]
    NotABarrier,
    /// The channel that was to be attached to is no semaphore.
    #[error("this channel is no semaphore; pass the descriptor of one that `Semaphore::create` made")]
    NotASemaphore,
    /// A member of the group died: nothing is done together until it is begun anew.
    #[error("rank {rank} of the group died; join its rank anew, then `reset`")]
    MemberDied {
        /// Its rank.
        rank: u32,
    },
    /// A member of the group left: nothing is done together until it is begun anew.
    #[error("rank {rank} has left the group; join its rank anew, then `reset`")]
    MemberLeft {
        /// Its rank.
        rank: u32,
    },
    /// The group is broken: nothing is done together until it is begun anew.
    #[error("the group is broken: {}; `reset` it when all its members know", crate::collective::member::reason(*.why))]
    CollectiveBroken {
        /// Why.
        why: Broken,
    },
    /// Members of a group called different things; nothing was exchanged, and the next call counts.
    #[error(
        "rank {rank} of the group called something else than rank 0, or with another root or length; call the same in all"
    )]
    OtherCall {
        /// The first one whose call is another than rank 0's.
        rank: u32,
    },
    /// A living process has that rank.
    #[error("rank {rank} of the group is taken; join another, or drop the member that has it")]
    RankTaken {
        /// The rank.
        rank: u32,
    },
    /// The group has no such rank.
    #[error("the group has {members} members, and no rank {rank}; ranks begin with 0")]
    InvalidRank {
        /// Asked for.
        rank: u32,
        /// How many members there are.
        members: u32,
    },
    /// No channel can be bound to such a group.
    #[error("such a collective channel is not possible: {reason}")]
    InvalidCollective {
        /// Why not.
        reason: &'static str,
    },
    /// The channel is not bound to a group.
    #[error("this channel is not collective; create it with `ChannelAttributes::collective`")]
    NotCollective,
    /// The channel is bound to something else than was asked for.
    #[error(
        "the collective channel does not do this: {reason}; see what it is bound to, `Channel::collective`"
    )]
    OtherCollective {
        /// What differs.
        reason: &'static str,
    },
    /// What was to be attached to is no channel.
    #[error("there is no channel at this place; pass the descriptor of a channel")]
    NotAChannel,
    /// Another version of weyr made the channel.
    #[error("the channel has layout version {found}, which this version of weyr does not know")]
    Version {
        /// Version in the channel.
        found: u32,
    },
    /// The channel that is meant no longer exists.
    #[error("the channel no longer exists; its memory may hold something else by now")]
    Stale,
    /// A message block of that size is not possible.
    #[error("a message block of {bytes} bytes is not possible; choose {smallest} to {largest}")]
    InvalidBlockSize {
        /// Asked for, in bytes.
        bytes: u64,
        /// Smallest possible, in bytes.
        smallest: u64,
        /// Largest possible, in bytes.
        largest: u64,
    },
    /// A channel for so many messages is not possible.
    #[error("a capacity of {messages} messages is not possible; choose 1 to {largest}")]
    InvalidCapacity {
        /// Asked for, in messages.
        messages: u64,
        /// Largest possible, in messages.
        largest: u64,
    },
    /// So many priority levels are not possible.
    #[error("{levels} priority levels are not possible; choose 1 to {largest}")]
    InvalidLevels {
        /// Asked for.
        levels: u32,
        /// Largest possible number.
        largest: u32,
    },
    /// The channel does not have that priority level.
    #[error("the channel has no priority level {level}, only 0 to {highest}; ask for more when creating it")]
    InvalidPriority {
        /// Asked for.
        level: u32,
        /// The highest that there is.
        highest: u32,
    },
    /// The allocation or descriptor is of another pool than the channel is, or is to be, in.
    #[error("this belongs to another pool; allocate from the channel's own, `channel.pool()`")]
    OtherPool,
    /// The pool refused.
    #[error(transparent)]
    Pool(Box<weyr_managed::Error>),
    /// The pool in which the channel's buffers lie cannot be attached to.
    #[error("the channel's buffer pool cannot be used: {0}")]
    BufferPool(#[source] Box<weyr_managed::Error>),
    /// The pool in which the channel's buffers lay was destroyed; messages that fit a block still move.
    #[error(
        "the channel's buffer pool was destroyed; send what fits a block, or an allocation of the channel's own pool"
    )]
    BufferPoolGone,
    /// The pool in which the memory of a message lies, or the memory in it, cannot be used by this process; the message
    /// stays, for others may.
    /// Also one that was destroyed, if this process never had it attached: then nobody but who has can tell.
    #[error(
        "the memory of the message lies in a pool that cannot be used here: {0}; let another receive it, or pop it"
    )]
    MemoryUnreachable(#[source] Box<weyr_managed::Error>),
    /// The pool in which the memory of the message lay was seen destroyed, and the message is gone with it.
    #[error("the pool of the message's memory was destroyed, and the message is gone with it")]
    MemoryGone,
    /// The buffers of a channel cannot lie there.
    #[error("the buffer pool is not possible: {reason}; name another, or none")]
    InvalidBufferPool {
        /// Why not.
        reason: &'static str,
    },
    /// The descriptor's bytes do not make sense.
    #[error("the channel descriptor is damaged: {reason}")]
    DamagedDescriptor {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No channel can have that name.
    #[error(
        "{name:?} is no name of a channel: use 1 to {largest} of letters, digits, '.', '-' and '_', not starting with '.'"
    )]
    InvalidName {
        /// The name.
        name: String,
        /// Bytes of the longest name.
        largest: usize,
    },
    /// A channel of that name exists in the pool.
    #[error("a channel named {name:?} exists in the pool; attach to it, destroy it, or choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No channel of that name exists in the pool.
    #[error("no channel named {name:?} in pool {pool:?}; create it first")]
    NoSuchChannel {
        /// The name.
        name: String,
        /// The pool's name.
        pool: String,
    },
    /// This process has 65,535 handles on the channel.
    #[error("this process has too many handles on the channel; clone one instead of attaching again")]
    TooManyHandles,
    /// As many sets as a channel can have listen to it.
    #[error("{limit} channel sets listen to the channel, no more can; take it out of one, or drop one")]
    TooManyListeners {
        /// How many can.
        limit: usize,
    },
    /// The sets of this process have all registrations of the pool.
    #[error("this process has too many channel sets in the pool; put the channels into fewer")]
    TooManySets,
    /// The key is of a channel that was taken out, or of another set.
    #[error("the channel is not in the set; add it first")]
    NotInSet,
}

/// Why a call that does not wait could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// By what the channel is, which a poller can wait for.
    ByState,
    /// By what of it is this process's: only that something changes can be waited for.
    ByShare,
}

impl Error {
    /// What has to change before it is worth another try; none where nothing will help.
    pub(crate) fn blocked(&self) -> Option<Blocked> {
        match self {
            Self::Full | Self::Empty | Self::BufferPoolFull { .. } => Some(Blocked::ByState),
            Self::WriteLocked { .. } | Self::ReadLocked { .. } | Self::Quiesced => Some(Blocked::ByState),
            Self::FlowControl(_) => Some(Blocked::ByShare),
            _ => None,
        }
    }

    /// Whether it is about memory that this process cannot reach, though others may.
    pub(crate) fn is_outside_window(&self) -> bool {
        use weyr_managed::Error as Pool;
        matches!(self, Self::MemoryUnreachable(_))
            || matches!(self, Self::Pool(error) if matches!(**error, Pool::OutsideWindow { .. }))
    }

    /// Why memory of another pool cannot be had. What does not say that it is not there, is about who asks.
    pub(crate) fn of_foreign_memory(error: weyr_managed::Error) -> Self {
        use weyr_managed::Error as Pool;
        match error {
            Pool::Stale { .. } | Pool::NotABlock { .. } | Pool::DoubleFree { .. } => error.into(),
            Pool::WrongState { .. } | Pool::OutOfRange { .. } => error.into(),
            error => Self::MemoryUnreachable(Box::new(error)),
        }
    }

    pub(crate) fn buffer_pool(error: weyr_managed::Error) -> Self {
        Self::BufferPool(Box::new(error))
    }
}

impl From<weyr_managed::Error> for Error {
    fn from(error: weyr_managed::Error) -> Self {
        use weyr_managed::Error as Pool;
        match error {
            Pool::Stale { .. } | Pool::NotABlock { .. } | Pool::DoubleFree { .. } => Self::Stale,
            Pool::Forked => Self::Forked,
            Pool::Corrupt(corrupt) => Self::Corrupt(corrupt),
            error => Self::Pool(Box::new(error)),
        }
    }
}

/// A send that failed, with what was to be sent, if it was not.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SendError<T> {
    /// Why.
    #[source]
    pub error: Error,
    /// What was not sent; none where it was, and only its receipt is missing: [`Error::NotReceived`],
    /// [`Error::ReceiptLost`].
    pub payload: Option<T>,
}

impl<T> From<SendError<T>> for Error {
    fn from(failed: SendError<T>) -> Self {
        failed.error
    }
}

impl From<AttachError> for Error {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Gone => Self::Stale,
            AttachError::TooManyHandles => Self::TooManyHandles,
            AttachError::Corrupt(corrupt) => Self::Corrupt(corrupt),
        }
    }
}

impl From<RingOpenError> for Error {
    fn from(error: RingOpenError) -> Self {
        match error {
            RingOpenError::NotAChannel => Self::NotAChannel,
            RingOpenError::Version { found } => Self::Version { found },
            RingOpenError::Corrupt(corrupt) => Self::Corrupt(corrupt),
        }
    }
}
