//! Messages and their blocks made to agree, on request: what deaths leave recovery clears; this is for what was
//! overwritten, too.
//!
//! No payload is lost by it: a message whose block is not on its way is removed, for there is nothing that it could deliver,
//! and a block on its way that no message has becomes published memory, as it lies. Others go on meanwhile; what the
//! living are in the middle of is told by the order of the looks, which each step says.

use weyr_atomic::Ordering;
use weyr_shared::{Actor, BlockReference, Holder, Ring};

use crate::channels::table::ChannelBlock;
use crate::heap::recovery::Channels as _;
use crate::heap::word::{BlockState, BlockWord, ProcessWord, SlotState};
use crate::membership::attachment::Attachment;

impl Attachment {
    /// Ends what slots of messages hold for holders who are nobody; returns how many slots.
    pub(crate) fn repair_nobodys_slots(&self) -> u64 {
        let in_flight = |reference: BlockReference| !self.is_lost(reference);
        self.for_each_ring(|ring, _| {
            ring.repair_nobodys(|holder| self.is_nobody(holder), in_flight, &self.futex).unwrap_or(0)
        })
    }

    /// Removes messages whose block is gone, in another use, or not on its way; returns how many.
    pub(crate) fn remove_lost_messages(&self) -> u64 {
        self.for_each_ring(|ring, me| {
            ring.remove_lost(me.into(), |reference| self.is_lost(reference), &self.futex).unwrap_or(0)
        })
    }

    /// Makes published memory of blocks that are on their way in no message; returns how many.
    ///
    /// Only a sender that lives brings a block into a message. So the processes are looked at first, then all messages,
    /// then a block, then its sender again: if nobody was that sender from the first look to the last, the block was
    /// on its way all that time, a message that has it would have been seen, and nobody can come by it any more. A
    /// block of a sender who lives is left: it may be on its way into a message. This process, which has attached the
    /// pool for the repair alone, sends nothing.
    ///
    /// Commit point: the block word, from exactly what was judged.
    pub(crate) fn publish_lost_blocks(&self, me: Actor) -> u64 {
        let before: Vec<ProcessWord> =
            (0..self.heap.processes.len()).map(|process| self.heap.process_word(process as u16)).collect();
        let was_nobody = |process: u16| {
            let word = before.get(usize::from(process)).copied();
            word.is_none_or(|word| word.state() == SlotState::Free && self.heap.process_word(process) == word)
        };
        let Some(referenced) = self.channels().references() else { return 0 };
        let mut published = 0;
        self.heap.for_each_block(|block, offset| {
            let reference = BlockReference { offset, generation: block.seen.generation() };
            let Some(next) = landed_in_the_pool(block.seen) else { return };
            let sender = block.seen.actor();
            if referenced.contains(&reference) || sender != me.process && !was_nobody(sender) {
                return;
            }
            let changed =
                block.word.compare_exchange(block.seen.0, next.0, Ordering::AcqRel, Ordering::Acquire);
            published += u64::from(changed.is_ok());
        });
        published
    }

    /// Sums what `act` does with every channel that can be opened, attached, so that nobody frees it meanwhile.
    fn for_each_ring(&self, act: impl Fn(&Ring, Actor) -> u32) -> u64 {
        let with_ring = |block: ChannelBlock| {
            let ring = self.ring(block).ok()?;
            let me = self.attach_to(&ring, block).ok()?;
            let done = act(&ring, me);
            let _freed_by_the_next_recovery = ring.detach(me);
            Some(u64::from(done))
        };
        self.channel_blocks().filter_map(with_ring).sum()
    }

    /// Whether the life of the process that a slot names is over and repaired, or never was.
    pub(crate) fn is_nobody(&self, holder: Holder) -> bool {
        let word = self.heap.process_word(holder.process);
        match word.state() {
            SlotState::Free => true,
            SlotState::Active | SlotState::Recovering => word.epoch() as u8 != holder.epoch,
            SlotState::Unknown => false,
        }
    }

    /// Whether a block is not on its way by this reference.
    fn is_lost(&self, reference: BlockReference) -> bool {
        !self.heap.is_in_flight(reference)
    }
}

/// What a block on its way becomes when nobody receives it; none if it is not on its way.
fn landed_in_the_pool(word: BlockWord) -> Option<BlockWord> {
    let landed = word.state().landed()?;
    let state = if landed == BlockState::Alloc { BlockState::Pool } else { landed };
    Some(word.with(state, 0))
}
