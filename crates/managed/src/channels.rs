//! A pool's channels as recovery and verification see them: slots of messages, in blocks that the channel table names.
//!
//! How a slot is repaired is the ring's business; which blocks are channels, and which blocks messages have, is said
//! here.

pub(crate) mod buffer_pool;
pub(crate) mod host;
pub(crate) mod repair;
pub(crate) mod table;

use std::collections::{HashMap, HashSet};

use weyr_atomic::Ordering;
use weyr_shared::{Actor, BlockReference, Corrupt, Ring, RingOpenError, SlotState};

use crate::channels::buffer_pool::BufferPool;
use crate::channels::table::ChannelBlock;
use crate::heap::ChangeError;
use crate::heap::recovery::Channels;
use crate::heap::verify::{Finding, Mode, Verification};
use crate::heap::word::BlockState;
use crate::membership::attachment::Attachment;
use crate::{Error, pool::header};

/// Every channel of an attached pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolChannels<'p>(&'p Attachment);

impl Attachment {
    pub(crate) fn channels(&self) -> PoolChannels<'_> {
        PoolChannels(self)
    }

    pub(crate) fn ring(&self, block: ChannelBlock) -> Result<Ring, RingOpenError> {
        let region = self.data.part(block.reference.offset, block.bytes)?;
        Ring::open(&region, block.reference)
    }

    /// Attaches this process to a channel; then makes sure that it is still one.
    pub(crate) fn attach_to(&self, ring: &Ring, block: ChannelBlock) -> Result<Actor, Error> {
        let me = self.membership()?.actor;
        let gone = Error::NotABlock { offset: block.reference.offset };
        ring.attach(me).map_err(|_| gone.clone())?;
        let found = self.heap.locate(block.reference);
        if found.is_ok_and(|found| found.seen.state() == BlockState::Channel) {
            return Ok(me);
        }
        let _changes_nothing_where_the_channel_was_replaced = ring.detach(me);
        Err(gone)
    }

    /// Empties channels that were destroyed, and frees those to which nobody is attached: what users do when they
    /// detach, for those that died before. `buffers` says how to reach the buffers of a channel.
    pub(crate) fn free_destroyed_channels(&self, buffers: impl Fn(&Ring) -> BufferPool) {
        for block in self.channel_blocks() {
            let Ok(ring) = self.ring(block) else { continue };
            if !ring.is_destroyed() {
                continue;
            }
            let Ok(me) = self.attach_to(&ring, block) else { continue };
            let free = |reference| {
                let _not_in_flight = self.free_message(reference, me.process);
            };
            let drained = ring.drain(me.into(), free).and(ring.drain_names(me.into(), free));
            if let Err(corrupt) = drained.and_then(|()| buffers(&ring).drain(&ring, me)) {
                tracing::warn!(%corrupt, "a damaged channel was emptied as far as it could be");
            }
            // Asked while attached. Blocks of a pool that this process has not attached wait for one that has.
            let is_empty = !ring.has_elsewhere();
            if ring.detach(me) == Ok(true) && is_empty {
                let _another_was_first = self.free_channel(block.reference);
            }
        }
    }

    /// Takes the block of a message for `process`, this one's, and frees it unless it is the pool's again.
    ///
    /// # Errors
    /// Outside, what joining gives.
    pub(crate) fn free_message(
        &self,
        reference: BlockReference,
        process: u16,
    ) -> Result<Result<(), ChangeError>, Error> {
        self.with_lane(|lane, _| {
            let was = self.heap.change_block(reference, |word| word.taken_by(process))?;
            if was.state() == BlockState::InFlightAlloc {
                self.free_wiped(lane, reference);
                self.heap.freed();
            }
            Ok(())
        })
    }

    /// The heap's invariants, the header's, and those between channels and blocks.
    pub(crate) fn verify(&self, mode: Mode) -> Verification {
        if let Some(cut_off) = self.cut_off() {
            return cut_off;
        }
        let mut result = self.heap.verify(mode);
        if let Err(corrupt) = header::check_identity(self.heap.header()) {
            let finding = Finding {
                invariant: "the header is its creator's",
                place: corrupt.offset,
                detail: corrupt.to_string(),
            };
            result.findings.push(finding);
        }
        result.leftover_entries = self.heap.count_leftover_entries();
        for reference in self.heap.missing_channels() {
            let detail =
                format!("generation {} is a channel that recovery does not find", reference.generation);
            result.findings.push(Finding {
                invariant: "channels are in the table",
                place: reference.offset,
                detail,
            });
        }
        let mut messages: HashMap<BlockReference, u32> = HashMap::new();
        for block in self.channel_blocks() {
            if let Err((invariant, detail)) = self.check_channel(block, mode, &mut messages) {
                result.findings.push(Finding { invariant, place: block.reference.offset, detail });
            }
        }
        if mode == Mode::Quiesced {
            self.check_messages(&messages, &mut result);
        }
        result
    }

    fn check_channel(
        &self,
        block: ChannelBlock,
        mode: Mode,
        messages: &mut HashMap<BlockReference, u32>,
    ) -> Result<(), (&'static str, String)> {
        // A channel freed while this looks is no finding.
        let gone = || !self.channel_blocks().any(|other| other == block);
        let wrong = |what: String| if gone() { Ok(()) } else { Err(("channels can be opened", what)) };
        let ring = match self.ring(block) {
            Ok(ring) => ring,
            Err(error) => return wrong(error.to_string()),
        };
        let processes = ring.header().processes.load(Ordering::Relaxed);
        if processes != self.heap.geometry.shape.process_limit {
            return wrong(format!("it has room for {processes} processes, the pool for another number"));
        }
        for reference in ring.references() {
            match reference {
                Ok((_, reference)) => *messages.entry(reference).or_default() += 1,
                Err(corrupt) => return wrong(corrupt.to_string()),
            }
        }
        if mode == Mode::Quiesced { self.check_slots(&ring) } else { Ok(()) }
    }

    /// Nobody acts: no slot is in the middle of a call, leases are somebody's, and the laps agree.
    fn check_slots(&self, ring: &Ring) -> Result<(), (&'static str, String)> {
        for word in (0..ring.slot_count()).filter_map(|index| ring.load(index).ok()) {
            match word.state {
                SlotState::Reserved | SlotState::Filling | SlotState::Taking | SlotState::Revoked => {
                    return Err(("nothing is left half done", format!("slot is {:?}", word.state)));
                }
                SlotState::Leased if self.is_nobody(word.holder) => {
                    let process = word.holder.process;
                    let detail = format!("a lease of somebody who had process slot {process} and is gone");
                    return Err(("owners are processes of the pool", detail));
                }
                _ => {}
            }
        }
        let invariant = "the tail divides a channel's slots into two laps";
        ring.check_order().map_err(|corrupt| (invariant, corrupt.to_string()))
    }

    /// Nobody acts: every block in flight is in exactly one message, and every message has its block.
    fn check_messages(&self, messages: &HashMap<BlockReference, u32>, result: &mut Verification) {
        let invariant = "a block in flight is in exactly one message";
        let mut found = HashSet::new();
        self.heap.for_each_block(|block, offset| {
            if !block.seen.state().is_in_flight() {
                return;
            }
            let reference = BlockReference { offset, generation: block.seen.generation() };
            found.insert(reference);
            let count = messages.get(&reference).copied().unwrap_or(0);
            if count != 1 {
                let detail = format!("{count} messages have it");
                result.findings.push(Finding { invariant, place: offset, detail });
            }
        });
        for reference in messages.keys().filter(|reference| !found.contains(reference)) {
            let detail = format!("a message has generation {}, which is not in flight", reference.generation);
            result.findings.push(Finding { invariant, place: reference.offset, detail });
        }
    }
}

impl Channels for PoolChannels<'_> {
    fn repair(
        &self,
        actor: Actor,
        still_dead: &dyn Fn() -> bool,
        in_flight: &dyn Fn(BlockReference) -> bool,
    ) {
        for block in self.0.channel_blocks() {
            let Ok(ring) = self.0.ring(block) else {
                tracing::warn!(
                    offset = block.reference.offset,
                    "a channel that cannot be opened is not repaired"
                );
                continue;
            };
            // Attached, so that nobody frees the channel while it is repaired; who finds it freed has nothing to do.
            let Ok(me) = self.0.attach_to(&ring, block) else { continue };
            if let Err(corrupt) = ring.repair(actor, still_dead, in_flight, &self.0.futex) {
                tracing::warn!(%corrupt, "a damaged channel was repaired as far as it could be");
            }
            let _freed_by_the_next_step_of_recovery = ring.detach(me);
        }
    }

    fn references(&self) -> Option<HashSet<BlockReference>> {
        let of_ring = |block: ChannelBlock| -> Option<Vec<BlockReference>> {
            let references: Result<Vec<_>, Corrupt> = self.0.ring(block).ok()?.references().collect();
            Some(references.ok()?.into_iter().map(|(_, reference)| reference).collect())
        };
        if !self.are_mapped() {
            return None;
        }
        let all: Option<Vec<Vec<_>>> = self.0.channel_blocks().map(of_ring).collect();
        Some(all?.into_iter().flatten().collect())
    }

    fn are_mapped(&self) -> bool {
        !self.0.heap.has_channel_outside_window()
    }
}
