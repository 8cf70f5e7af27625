//! weyr's channels: messages and ownership of memory between threads and processes.
//!
//! A channel lies in one allocation of a managed pool. Any number of threads and processes send to it and receive
//! from it at once; each message goes to one receiver, in one order. Whoever of them dies or is stopped, at any
//! instruction, the others go on: no message whose send returned is lost, except by the death of the process that has
//! taken it, and no memory.
//!
//! | module | concept |
//! | --- | --- |
//! | `host` | what a channel asks of the pool in which it lies |
//! | `channel`, `sender`, `receiver`, `poller`, `lease`, `message` | what users hold |
//! | `outgoing`, `numbering`, `share` | a message on its way out, its attributes, frozen memory in it |
//! | `landing` | memory that is there before the message |
//! | `message_type` | of what type messages are |
//! | `named`, `naming` | channels found by name, and which of several has one |
//! | `pool_host` | the managed pool as that host |
//! | `attached` | a channel as one process has it |
//! | `walk` | how a handle finds the tail and the head |
//! | `send`, `receive` | the steps of a message |
//! | `reordering` | the order of each sender, restored where its messages took several paths |
//! | `completion` | sends that keep the caller's buffer until they are done |
//! | `return_mode`, `receipt` | when a send returns, and what was received |
//! | `flow_control`, `metering` | who comes first, and how much one process may send |
//! | `identity` | of which host and pool a channel is, and its number there |
//! | `send_side`, `claim` | what a sending handle remembers, and what it has claimed |
//! | `payload` | what a send writes into its slot |
//! | `inspect` | what was given back, and what the dead hold |
//! | `levels` | priority levels, and how they share one capacity |
//! | `side_load` | bytes larger than a block, in allocations |
//! | `elsewhere` | these in another pool |
//! | `peek`, `poll` | looking without taking |
//! | `request` | operations on channels elsewhere |
//! | `pop` | taking without looking |
//! | `set` | waiting for many channels in one sleep |
//! | `future`, `watch`, `subscription` | without a thread of one's own that waits |
//! | `reactor` | the thread that waits for these |
//! | `barrier`, `semaphore` | channels that are these |
//! | `collective` | channels that a known group uses together |
//! | `locks`, `lock_guard`, `quiesce` | keeping senders and receivers away |
//! | `state`, `current`, `asleep` | what a channel holds, what it is, who sleeps in it |
//! | `wait`, `defaults` | spinning, sleeping, deadlines, patience |
//!
//! What it does not do: it knows no network.
#![forbid(unsafe_code)]

mod asleep;
mod attached;
mod attributes;
mod barrier;
mod body;
mod channel;
mod claim;
mod collective;
mod completion;
mod current;
mod defaults;
mod descriptor;
mod destination;
mod elsewhere;
mod error;
mod expected;
#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod fake_pool;
mod flow_control;
mod foreign;
mod future;
mod hindrance;
mod host;
mod identity;
mod inspect;
mod landing;
mod lease;
mod levels;
mod lock_guard;
mod locks;
mod message;
mod message_type;
mod metering;
mod named;
mod naming;
mod numbering;
mod outgoing;
mod pace;
mod payload;
mod peek;
mod poll;
mod poller;
mod pool_host;
mod pop;
mod quiesce;
mod reactor;
mod receipt;
mod receive;
mod receiver;
mod reordering;
mod request;
mod return_mode;
mod semaphore;
mod send;
mod send_side;
mod sender;
mod set;
mod share;
mod side_load;
mod state;
mod statistics;
mod subscription;
mod tally;
mod wait;
mod walk;
mod watch;

pub use attributes::ChannelAttributes;
pub use barrier::Barrier;
pub use channel::Channel;
pub use collective::element::Element;
pub use collective::{Collective, Member};
pub use completion::SendCompletion;
pub use current::CurrentAttributes;
pub use descriptor::ChannelDescriptor;
pub use destination::Destination;
pub use error::{Error, SendError};
pub use future::{
    LeaseFuture, MessageSink, MessageStream, PollFuture, ReceiveFuture, SendAllocationFuture, SendFuture,
};
pub use landing::{Landed, LandingPad, Source};
pub use lease::Lease;
pub use lock_guard::{ReadLock, UnlockError, WriteLock};
pub use message::{Content, Message};
pub use outgoing::OutgoingMessage;
pub use peek::Peeked;
pub use poll::PollEvents;
pub use poller::Poller;
pub use receiver::Receiver;
pub use reordering::{Part, RefusedPart, Reordering};
pub use request::{ChannelCompletion, ChannelOperation, ChannelRequest, ChannelRequestKind, ChannelResponse};
pub use return_mode::ReturnWhen;
pub use semaphore::{Permit, Semaphore};
pub use sender::Sender;
pub use set::{ChannelSet, Ready, SetKey, SetMember, SetNotice, SetNotification, SetWaker};
pub use state::{ChannelMemory, ChannelState};
pub use statistics::Statistics;
pub use subscription::Subscription;
pub use wait::WaitMode;
pub use watch::{Notice, Notification, Watch};
pub use weyr_shared::barrier::Broken;
pub use weyr_shared::collective::{ElementType, Operation};
pub use weyr_shared::{FlowControl, MIN_BLOCK_SIZE, MessageAttributes};

/// The protocol over any host, for models and tests; no part of the stable interface.
#[doc(hidden)]
pub mod protocol {
    pub use crate::attached::Attached;
    pub use crate::elsewhere::Elsewhere;
    pub use crate::hindrance::Hindrance;
    pub use crate::host::Host;
    pub use crate::locks::Patience;
    pub use crate::naming::{Namesakes, settle};
    pub use crate::poll::PollSide;
    pub use crate::pool_host::PoolHost;
    pub use crate::receipt::{Awaited, Sent};
    pub use crate::receive::{ReceiveSide, Taken};
    pub use crate::send::{Bytes, Claim, Outgoing, SendSide, Transfer};
    pub use crate::set::gathering::Gathering;
    pub use crate::set::listening::{Listened, ListeningHost, ListeningPool};
    pub use crate::share::Share;
    pub use crate::side_load::SideLoaded;
    pub use crate::wait::{Attempt, Tried};
}
