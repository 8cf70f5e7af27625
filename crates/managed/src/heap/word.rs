//! The truth words: 64 bits that say all that may not be lost about a page, a block, a lane or a process.
//!
//! Each value names who acted and an epoch or generation that never returns, so that a compare-exchange from a value
//! once judged can never hit another life of the same place. Everything else in a pool is a hint.

/// Reads `width` bits of `word` from bit `shift` on.
const fn bits(word: u64, shift: u32, width: u32) -> u64 {
    (word >> shift) & ((1 << width) - 1)
}

/// State of a page.
///
/// | state | means | left by | to |
/// | --- | --- | --- | --- |
/// | Free | nobody's | any lane, compare-exchange, epoch + 1 | Claim, Tail |
/// | Claim{lane} | being claimed or given back by that lane | that lane, or a helper once it is dead | Slab, Head, Free |
/// | Slab{class, lane} | blocks of one class, allocated from by that lane | that lane; a revoker or helper | Claim, Orphan |
/// | Orphan{class} | a slab without owner | any lane (adopts) | Slab |
/// | Head | first page of a span | who frees the span | Claim |
/// | Kept{lane} | first page of a free run that the lane keeps for its next span | that lane; any lane that needs pages; a helper | Claim |
/// | Tail{distance} | `distance` pages behind its head | who frees or trims the run | Free |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageState {
    /// Nobody's.
    Free,
    /// In the hands of one lane for the moment.
    Claim,
    /// Blocks of one class, owned by a lane.
    Slab,
    /// Blocks of one class, owned by nobody.
    Orphan,
    /// First page of a span.
    Head,
    /// A later page of a span or of a slab.
    Tail,
    /// First page of a free run that a lane keeps.
    Kept,
    /// No state that this version writes.
    Unknown,
}

/// The truth about a page: `state:4 | class:8, lane:16 or distance:24 | epoch:36`. Zero is Free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageWord(pub u64);

impl PageWord {
    /// Largest distance of a tail from its head, in pages.
    pub const DISTANCE_LIMIT: u64 = 1 << 24;
    /// What is read where there is no page: no state that anybody acts on.
    pub const NOWHERE: Self = Self(15);
    const EPOCHS: u64 = (1 << 36) - 1;

    const fn new(state: u64, middle: u64, epoch: u64) -> Self {
        Self(state | middle << 4 | (epoch & Self::EPOCHS) << 28)
    }
    /// Nobody's page.
    pub const fn free(epoch: u64) -> Self {
        Self::new(0, 0, epoch)
    }
    /// In the hands of `lane`.
    pub const fn claim(lane: u16, epoch: u64) -> Self {
        Self::new(1, (lane as u64) << 8, epoch)
    }
    /// A slab of `class`, owned by `lane`.
    pub const fn slab(class: u8, lane: u16, epoch: u64) -> Self {
        Self::new(2, class as u64 | (lane as u64) << 8, epoch)
    }
    /// A slab of `class` without owner.
    pub const fn orphan(class: u8, epoch: u64) -> Self {
        Self::new(3, class as u64, epoch)
    }
    /// First page of a span.
    pub const fn head(epoch: u64) -> Self {
        Self::new(4, 0, epoch)
    }
    /// `distance` pages behind its head.
    pub const fn tail(distance: u64, epoch: u64) -> Self {
        Self::new(5, distance, epoch)
    }
    /// First page of a free run that `lane` keeps.
    pub const fn kept(lane: u16, epoch: u64) -> Self {
        Self::new(6, (lane as u64) << 8, epoch)
    }
    /// Which state it is in.
    #[inline]
    pub const fn state(self) -> PageState {
        match self.0 & 15 {
            0 => PageState::Free,
            1 => PageState::Claim,
            2 => PageState::Slab,
            3 => PageState::Orphan,
            4 => PageState::Head,
            5 => PageState::Tail,
            6 => PageState::Kept,
            _ => PageState::Unknown,
        }
    }
    /// Class of a slab.
    #[inline]
    pub const fn class(self) -> u8 {
        bits(self.0, 4, 8) as u8
    }
    /// Lane that owns it or acts on it.
    #[inline]
    pub const fn lane(self) -> u16 {
        bits(self.0, 12, 16) as u16
    }
    /// Pages between a tail and its head.
    #[inline]
    pub const fn distance(self) -> u64 {
        bits(self.0, 4, 24)
    }
    /// How often the page was claimed.
    pub const fn epoch(self) -> u64 {
        bits(self.0, 28, 36)
    }
    /// The epoch of its next life. The first, 1, never comes back: it says that nobody had the page before.
    #[inline]
    pub const fn next_epoch(self) -> u64 {
        if self.epoch() == Self::EPOCHS { 2 } else { self.epoch() + 1 }
    }
    /// Whether this is a slab that `lane` owns.
    #[inline]
    pub const fn is_slab_of(self, lane: u16) -> bool {
        matches!(self.state(), PageState::Slab) && self.lane() == lane
    }
    /// Whether this is `other` but for the epoch.
    #[inline(always)]
    pub const fn is_like(self, other: Self) -> bool {
        (self.0 ^ other.0) << (64 - 28) == 0
    }
    /// Whether `lane` has it in hand.
    pub const fn is_claim_of(self, lane: u16) -> bool {
        matches!(self.state(), PageState::Claim) && self.lane() == lane
    }
    /// Whether blocks of one class lie here.
    pub const fn is_slab_or_orphan(self) -> bool {
        matches!(self.state(), PageState::Slab | PageState::Orphan)
    }
}

/// State of a block.
///
/// | state | means | left by | to |
/// | --- | --- | --- | --- |
/// | Free | nobody's; the generation is that of the last use | the owner lane of its page | Alloc |
/// | Alloc{process} | owned by that process; dies with it | that process; the sweep once it is dead | Free, Pool, InFlight, Frozen, Channel, Freeing |
/// | Pool | published: lives until somebody frees it; or a buffer of a channel in another pool | whoever frees or sends it; who takes the buffer | Free, InFlight, Frozen, Freeing, Alloc |
/// | Typed | published under a type and id (manifest) | as Pool | as Pool |
/// | InFlight{process} | in a channel, sent by that process; three codes, for what it was before | its receiver; the sweep when no slot has it | Alloc, Pool, Typed, Free |
/// | Freeing{lane} | a span or channel being given back by that lane | that lane, or a helper once it is dead | Free |
/// | Resizing{lane} | a span being resized by that lane | that lane, or a helper once it is dead | what it was |
/// | Frozen | given up for good; anybody reads it | whoever frees it | Free, Freeing |
/// | Channel | a channel lives here | whoever clears its last attach bit | Freeing |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockState {
    /// Nobody's.
    Free,
    /// Owned by a process.
    Alloc,
    /// The pool's.
    Pool,
    /// The pool's, under a type and id.
    Typed,
    /// In a channel; was Alloc.
    InFlightAlloc,
    /// In a channel; was Pool.
    InFlightPool,
    /// In a channel; was Typed.
    InFlightTyped,
    /// Being given back.
    Freeing,
    /// Being resized.
    Resizing,
    /// Readable by all for good.
    Frozen,
    /// A channel.
    Channel,
    /// No state that this version writes.
    Unknown,
}

impl BlockState {
    const ALL: [BlockState; 11] = [
        Self::Free,
        Self::Alloc,
        Self::Pool,
        Self::Typed,
        Self::InFlightAlloc,
        Self::InFlightPool,
        Self::InFlightTyped,
        Self::Freeing,
        Self::Resizing,
        Self::Frozen,
        Self::Channel,
    ];

    /// Whether it is the pool's, and lives until somebody frees it.
    pub const fn is_public(self) -> bool {
        matches!(self, Self::Pool | Self::Typed | Self::Frozen)
    }
    /// Whether a message has it.
    pub const fn is_in_flight(self) -> bool {
        matches!(self, Self::InFlightAlloc | Self::InFlightPool | Self::InFlightTyped)
    }
    /// The state it has while a message has it, if it can be sent.
    pub const fn in_flight(self) -> Option<Self> {
        match self {
            Self::Alloc => Some(Self::InFlightAlloc),
            Self::Pool => Some(Self::InFlightPool),
            Self::Typed => Some(Self::InFlightTyped),
            _ => None,
        }
    }
    /// The state it had before a message had it.
    pub const fn landed(self) -> Option<Self> {
        match self {
            Self::InFlightAlloc => Some(Self::Alloc),
            Self::InFlightPool => Some(Self::Pool),
            Self::InFlightTyped => Some(Self::Typed),
            _ => None,
        }
    }
    /// Lower-case name, for messages and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Alloc => "owned",
            Self::Pool => "published",
            Self::Typed => "typed",
            Self::InFlightAlloc | Self::InFlightPool | Self::InFlightTyped => "in flight",
            Self::Freeing => "being freed",
            Self::Resizing => "being resized",
            Self::Frozen => "frozen",
            Self::Channel => "a channel",
            Self::Unknown => "unknown",
        }
    }
}

/// The truth about a block: `state:4 | actor:16 | generation:44`. Zero is Free, never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockWord(pub u64);

impl BlockWord {
    /// One past the largest generation.
    pub const GENERATION_LIMIT: u64 = 1 << 44;

    /// A word; `actor` is a process or a lane, as the state says.
    #[inline]
    pub const fn new(state: BlockState, actor: u16, generation: u64) -> Self {
        Self(state as u64 | (actor as u64) << 4 | (generation % Self::GENERATION_LIMIT) << 20)
    }
    /// Nobody's, last used as `generation`.
    #[inline]
    pub const fn free(generation: u64) -> Self {
        Self::new(BlockState::Free, 0, generation)
    }
    /// Which state it is in.
    #[inline]
    pub const fn state(self) -> BlockState {
        let code = (self.0 & 15) as usize;
        if code < BlockState::ALL.len() { BlockState::ALL[code] } else { BlockState::Unknown }
    }
    /// Whether nobody has it.
    #[inline]
    pub const fn is_free(self) -> bool {
        self.0 & 15 == 0
    }
    /// Process or lane, as the state says.
    #[inline]
    pub const fn actor(self) -> u16 {
        bits(self.0, 4, 16) as u16
    }
    /// Which use of the offset this is.
    #[inline]
    pub const fn generation(self) -> u64 {
        bits(self.0, 20, 44)
    }
    /// The generation of the next use, which is never 0.
    #[inline]
    pub const fn next_generation(self) -> u64 {
        generation_after(self.generation())
    }
    /// What it becomes when `process` sends it, if that may.
    pub(crate) fn sent_by(self, process: u16) -> Option<Self> {
        let allowed = self.state() != BlockState::Alloc || self.actor() == process;
        Some(self.with(self.state().in_flight().filter(|_| allowed)?, process))
    }
    /// What it becomes when `process` takes it out of a message.
    pub(crate) fn taken_by(self, process: u16) -> Option<Self> {
        let state = self.state().landed()?;
        Some(self.with(state, if state == BlockState::Alloc { process } else { 0 }))
    }
    /// What a buffer becomes when `process` takes it out of a slot in another pool.
    pub(crate) fn out_of_buffer(self, process: u16) -> Option<Self> {
        (self.state() == BlockState::Pool).then_some(self.with(BlockState::Alloc, process))
    }
    /// What it becomes when it is given up for good.
    pub(crate) fn frozen(self) -> Option<Self> {
        let allowed = matches!(self.state(), BlockState::Pool | BlockState::Frozen);
        allowed.then_some(self.with(BlockState::Frozen, 0))
    }
    /// The same state of another use; this one has generation 0.
    #[inline(always)]
    pub const fn of_generation(self, generation: u64) -> Self {
        Self(self.0 | generation << 20)
    }
    /// The same use in another state.
    pub const fn with(self, state: BlockState, actor: u16) -> Self {
        Self::new(state, actor, self.generation())
    }
}

/// The generation behind `generation`; behind the last comes 1, for 0 is "never used".
#[inline]
pub const fn generation_after(generation: u64) -> u64 {
    let next = generation.wrapping_add(1) % BlockWord::GENERATION_LIMIT;
    if next == 0 { 1 } else { next }
}

/// State of a lane or process slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Nobody's.
    Free,
    /// In use.
    Active,
    /// Its user is dead; helpers repair what it left.
    Recovering,
    /// No state that this version writes.
    Unknown,
}

const fn slot_state(word: u64) -> SlotState {
    match word & 15 {
        0 => SlotState::Free,
        1 => SlotState::Active,
        2 => SlotState::Recovering,
        _ => SlotState::Unknown,
    }
}

/// The truth about a lane: `state:4 | process:16 | epoch:44`. Zero is Free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneWord(pub u64);

impl LaneWord {
    const fn new(state: u64, process: u16, epoch: u64) -> Self {
        Self(state | (process as u64) << 4 | epoch << 20)
    }
    /// Nobody's.
    pub const fn free(epoch: u64) -> Self {
        Self::new(0, 0, epoch)
    }
    /// A thread of `process` has it.
    pub const fn active(process: u16, epoch: u64) -> Self {
        Self::new(1, process, epoch)
    }
    /// The same life of the lane, its user dead.
    pub const fn recovering(self) -> Self {
        Self::new(2, self.process(), self.epoch())
    }
    /// Which state it is in.
    pub const fn state(self) -> SlotState {
        slot_state(self.0)
    }
    /// Process slot of its user.
    pub const fn process(self) -> u16 {
        bits(self.0, 4, 16) as u16
    }
    /// How often the lane was given out.
    pub const fn epoch(self) -> u64 {
        bits(self.0, 20, 44)
    }
}

/// The truth about a process slot: `state:4 | epoch:28 | pid:32`. Zero is Free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessWord(pub u64);

impl ProcessWord {
    const EPOCHS: u32 = (1 << 28) - 1;

    const fn new(state: u64, epoch: u32, pid: u32) -> Self {
        Self(state | ((epoch & Self::EPOCHS) as u64) << 4 | (pid as u64) << 32)
    }
    /// Nobody's.
    pub const fn free(epoch: u32) -> Self {
        Self::new(0, epoch, 0)
    }
    /// Process `pid` has it.
    pub const fn active(epoch: u32, pid: u32) -> Self {
        Self::new(1, epoch, pid)
    }
    /// The same life of the slot, its process dead.
    pub const fn dead(self) -> Self {
        Self::new(2, self.epoch(), self.pid())
    }
    /// Which state it is in; `Recovering` is "dead, not yet swept".
    pub const fn state(self) -> SlotState {
        slot_state(self.0)
    }
    /// How often the slot was given out before.
    pub const fn epoch(self) -> u32 {
        bits(self.0, 4, 28) as u32
    }
    /// Process id in its own pid namespace.
    pub const fn pid(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_parts_apart() {
        let page = PageWord::slab(39, 65_535, (1 << 36) - 1);
        assert_eq!(
            (page.state(), page.class(), page.lane(), page.epoch()),
            (PageState::Slab, 39, 65_535, (1 << 36) - 1)
        );
        let tail = PageWord::tail((1 << 24) - 1, 5);
        assert_eq!((tail.state(), tail.distance(), tail.epoch()), (PageState::Tail, (1 << 24) - 1, 5));
        let block = BlockWord::new(BlockState::Channel, 65_535, (1 << 44) - 1);
        assert_eq!(
            (block.state(), block.actor(), block.generation()),
            (BlockState::Channel, 65_535, (1 << 44) - 1)
        );
        let lane = LaneWord::active(65_535, (1 << 44) - 1).recovering();
        assert_eq!(
            (lane.state(), lane.process(), lane.epoch()),
            (SlotState::Recovering, 65_535, (1 << 44) - 1)
        );
        let process = ProcessWord::active((1 << 28) - 1, u32::MAX).dead();
        assert_eq!(
            (process.state(), process.epoch(), process.pid()),
            (SlotState::Recovering, (1 << 28) - 1, u32::MAX)
        );
    }

    #[test]
    fn the_first_epoch_of_a_page_comes_once() {
        assert_eq!(PageWord(0).next_epoch(), 1);
        assert_eq!(PageWord::free((1 << 36) - 1).next_epoch(), 2);
    }

    #[test]
    fn zero_is_free_everywhere() {
        assert_eq!(PageWord(0), PageWord::free(0));
        assert_eq!(BlockWord(0), BlockWord::free(0));
        assert_eq!(LaneWord(0), LaneWord::free(0));
        assert_eq!(ProcessWord(0), ProcessWord::free(0));
    }

    #[test]
    fn generations_stay_in_their_bits_and_skip_zero() {
        assert_eq!(BlockWord(0).next_generation(), 1);
        assert_eq!(BlockWord::free(BlockWord::GENERATION_LIMIT - 1).next_generation(), 1);
        assert_eq!(generation_after(u64::MAX), 1);
    }

    #[test]
    fn every_block_state_survives_its_code() {
        for state in BlockState::ALL {
            assert_eq!(BlockWord::new(state, 1, 2).state(), state);
        }
        assert_eq!(BlockWord(15).state(), BlockState::Unknown);
        assert_eq!(PageWord(15).state(), PageState::Unknown);
    }

    #[test]
    fn what_is_sent_lands_as_what_it_was() {
        for state in [BlockState::Alloc, BlockState::Pool, BlockState::Typed] {
            assert_eq!(state.in_flight().and_then(BlockState::landed), Some(state));
        }
        assert_eq!(BlockState::Frozen.in_flight(), None);
    }
}
