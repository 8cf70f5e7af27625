//! A channel in more words than a list has room for, as one look found it.

use weyr_shared::collective::Binding;
use weyr_shared::{Actor, Corrupt, Level, Ring, SlotState};

use crate::PoolDescriptor;
use crate::pool::stored::ChannelFacts;

/// A channel of a pool: what it was made to be, what is in it, and who has it. Others may have changed that when it
/// returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelDetails {
    /// What lists show.
    pub facts: ChannelFacts,
    /// Its priority levels, the lowest first.
    pub levels: Vec<LevelFacts>,
    /// Whether messages say who sent them.
    pub message_attributes: bool,
    /// Whether bytes larger than a block are sent in allocations.
    pub side_loading: bool,
    /// Path of the pool of these, where it is another one.
    pub buffer_pool: Option<String>,
    /// Fingerprint of the type on which users agreed.
    pub message_type: Option<u64>,
    /// What it is bound to, where a group uses it together.
    pub collective: Option<Binding>,
    /// Processes that have it, each with its number of handles.
    pub users: Vec<ChannelUser>,
}

/// What is in the slots of a priority level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LevelFacts {
    /// Slots that there are.
    pub slots: u32,
    /// Messages that wait.
    pub waiting: u32,
    /// Of those, messages that were given back, or whose receiver died.
    pub returned: u32,
    /// Messages that a sender writes.
    pub being_sent: u32,
    /// Messages that a receiver takes out.
    pub being_taken: u32,
    /// Messages that are leased.
    pub leased: u32,
}

/// A process that has a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelUser {
    /// Its process slot in the pool.
    pub process: u16,
    /// Low half of the epoch of that slot.
    pub epoch: u16,
    /// Its handles.
    pub handles: u16,
}

impl ChannelUser {
    /// Whether `actor`, a member of the pool, is that process.
    pub fn is(&self, actor: Actor) -> bool {
        (self.process, self.epoch) == (actor.process, actor.epoch as u16)
    }
}

impl ChannelDetails {
    pub(super) fn of(ring: &Ring, facts: ChannelFacts) -> Option<Self> {
        let levels: Result<Vec<_>, Corrupt> =
            (0..ring.levels()).map(|number| LevelFacts::of(ring, ring.level(number)?)).collect();
        let buffers = ring.buffer_pool().and_then(|bytes| PoolDescriptor::from_bytes(&bytes).ok());
        Some(Self {
            facts,
            levels: levels.ok()?,
            message_attributes: ring.has_attributes(),
            side_loading: ring.side_loads(),
            buffer_pool: buffers.map(|descriptor| descriptor.path.display().to_string()),
            message_type: Some(ring.message_type()).filter(|fingerprint| *fingerprint != 0),
            collective: ring.collective().ok()?.map(|group| *group.binding()),
            users: ring
                .attached()
                .map(|(process, epoch, handles)| ChannelUser { process, epoch, handles })
                .collect(),
        })
    }
}

impl LevelFacts {
    fn of(ring: &Ring, level: Level<'_>) -> Result<Self, Corrupt> {
        level.slots().try_fold(Self { slots: level.capacity(), ..Self::default() }, |mut facts, index| {
            facts.count(ring.load(index)?.state);
            Ok(facts)
        })
    }

    fn count(&mut self, state: SlotState) {
        match state {
            SlotState::Full => self.waiting += 1,
            SlotState::Returned | SlotState::PutBack => {
                self.waiting += 1;
                self.returned += 1;
            }
            SlotState::Filling | SlotState::Reserved => self.being_sent += 1,
            SlotState::Taking => self.being_taken += 1,
            SlotState::Leased => self.leased += 1,
            SlotState::Empty | SlotState::Revoked => {}
        }
    }
}
