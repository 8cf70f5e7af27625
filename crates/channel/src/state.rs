//! The state of a channel: what it holds, who waits, what is locked.

use std::collections::BTreeMap;

use weyr_shared::{Holder, MessageKind, RingLock, SlotState, Waiting};

use crate::attached::Attached;
use crate::host::Host;
use crate::{Channel, Error};

/// Memory that a channel takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ChannelMemory {
    /// The channel itself, with all its slots, used or not.
    pub channel_bytes: u64,
    /// Of these, bytes of messages.
    pub inline_bytes: u64,
    /// Bytes that did not fit a block and lie in the channel's pool.
    pub side_loaded_bytes: u64,
    /// Bytes that did not fit a block and lie in the channel's buffer pool.
    pub buffer_bytes: u64,
    /// Bytes of allocations that go with messages. Frozen memory, and that of other pools, is no channel's.
    pub allocation_bytes: u64,
}

impl ChannelMemory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.channel_bytes + self.side_loaded_bytes + self.buffer_bytes + self.allocation_bytes
    }

    fn add(&mut self, message: &Waiting) {
        let part = match message.kind {
            MessageKind::Inline => &mut self.inline_bytes,
            MessageKind::Reference => &mut self.allocation_bytes,
            MessageKind::SideLoaded => &mut self.side_loaded_bytes,
            MessageKind::Elsewhere => &mut self.buffer_bytes,
            MessageKind::Frozen | MessageKind::Foreign | MessageKind::ForeignAside => return,
        };
        *part = part.saturating_add(message.bytes);
    }
}

/// A channel at the moment of inspection. Others may have changed it when it is looked at, unless it is
/// [quiesced](Channel::quiesce), or locked for senders and receivers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ChannelState {
    /// Messages that wait.
    pub depth: u32,
    /// Messages in the hands of a receiver: being copied, or leased.
    pub in_hands: u32,
    /// Messages that can still be sent, leaving aside what is in the hands of senders.
    pub available: u32,
    /// Memory.
    pub memory: ChannelMemory,
    /// Messages there are of each process that has any, by its process slot in the pool: of who has the slot now, or had it
    /// when they were sent.
    pub processes: BTreeMap<u16, u32>,
    /// Threads that sleep until they can send. Those that spin are not counted.
    pub blocked_senders: u32,
    /// Threads that sleep until they can receive. Those that spin are not counted.
    pub blocked_receivers: u32,
    /// Process slot of the holder of the write lock.
    pub write_locked_by: Option<u16>,
    /// Process slot of the holder of the read lock.
    pub read_locked_by: Option<u16>,
    /// Whether it is quiesced, or about to be.
    pub quiesced: bool,
    /// Whether it was destroyed.
    pub destroyed: bool,
}

impl<H: Host> Attached<H> {
    pub(crate) fn state(&self) -> Result<ChannelState, Error> {
        let ring = &self.ring;
        let holder = |lock| Ok::<_, Error>(ring.lock(lock)?.holder().map(|holder: Holder| holder.process));
        let mut state = ChannelState {
            write_locked_by: holder(RingLock::Write)?,
            read_locked_by: holder(RingLock::Read)?,
            quiesced: ring.is_quiesced(),
            destroyed: ring.is_destroyed(),
            ..ChannelState::default()
        };
        state.memory.channel_bytes = ring.bytes();
        for message in ring.messages() {
            let message = message?;
            let waits = message.word.state == SlotState::Full || message.word.state.is_returned();
            *if waits { &mut state.depth } else { &mut state.in_hands } += 1;
            state.memory.add(&message);
            *state.processes.entry(message.sender).or_default() += 1;
        }
        state.available = ring.capacity().saturating_sub(state.depth + state.in_hands);
        self.count_sleepers(&mut state);
        Ok(state)
    }

    fn count_sleepers(&self, state: &mut ChannelState) {
        for sleepers in self.ring.sleepers().filter(|sleepers| !self.host.is_dead(sleepers.holder)) {
            state.blocked_senders += sleepers.senders;
            state.blocked_receivers += sleepers.receivers;
        }
    }
}

impl Channel {
    /// What the channel holds, who waits, and what is locked: one look at each slot and at each process. Does not block,
    /// and may be asked of a locked, quiesced or destroyed channel.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Pool`] when a forked child cannot join the pool.
    /// Source: *Dragon channels*, `dragon_channel_state`, `dragon_channel_blocked_receivers`.
    pub fn state(&self) -> Result<ChannelState, Error> {
        self.attached().me()?;
        self.attached().state()
    }
}

crate::request::values::record! {
    ChannelState {
        depth "u32" "messages that wait",
        in_hands "u32" "messages in the hands of a receiver",
        available "u32" "messages that can still be sent",
        memory "channel memory" "memory",
        processes "table of u16 to u32" "messages of each process that has any",
        blocked_senders "u32" "threads that sleep until they can send",
        blocked_receivers "u32" "threads that sleep until they can receive",
        write_locked_by "optional u16" "process slot of the holder of the write lock",
        read_locked_by "optional u16" "process slot of the holder of the read lock",
        quiesced "bool" "whether it is quiesced, or about to be",
        destroyed "bool" "whether it was destroyed",
    }
}

crate::request::values::record! {
    ChannelMemory {
        channel_bytes "u64" "bytes of the channel itself",
        inline_bytes "u64" "of these, bytes of messages",
        side_loaded_bytes "u64" "bytes in the channel's pool that did not fit a block",
        buffer_bytes "u64" "bytes in the buffer pool",
        allocation_bytes "u64" "bytes of allocations that go with messages",
    }
}
