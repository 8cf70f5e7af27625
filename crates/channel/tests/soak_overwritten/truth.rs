//! Which words are truth words, and what nobody could have written there: by the layout alone, and without a line of
//! the product's own `verify`.

use weyr_managed::heap::class::TIER_SHIFTS;
use weyr_managed::heap::word::{
    BlockState, BlockWord, LaneWord, PageState, PageWord, ProcessWord, SlotState,
};
use weyr_managed::layout::{Lane, PageDescriptor, ProcessSlot};
use weyr_shared::Layout;

use crate::ground::{Ground, RING, SHAPE};

/// A truth word that was changed.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "a failing test prints them")]
pub(crate) struct Changed {
    pub(crate) name: &'static str,
    pub(crate) was: u64,
    pub(crate) is: u64,
    /// Given all other words as they were, no sequence of calls leaves this value.
    pub(crate) must_be_reported: bool,
}

/// All words of the object before the overwrite.
struct Words<'w> {
    ground: &'w Ground,
    words: &'w [u64],
}

impl Words<'_> {
    fn at(&self, byte: u64) -> u64 {
        self.words[(byte / 8) as usize]
    }

    fn page(&self, page: u64) -> PageWord {
        PageWord(self.at(self.ground.geometry.offsets.page_words + page * 8))
    }

    fn process(&self, process: u16) -> SlotState {
        if u32::from(process) >= SHAPE.process_limit {
            return SlotState::Free;
        }
        let at = self.ground.geometry.offsets.processes + u64::from(process) * ProcessSlot::SIZE as u64;
        ProcessWord(self.at(at)).state()
    }

    fn lane(&self, lane: u16) -> LaneWord {
        if u32::from(lane) >= SHAPE.lane_limit {
            return LaneWord(0);
        }
        LaneWord(self.at(self.ground.geometry.offsets.lanes + u64::from(lane) * Lane::SIZE as u64))
    }

    /// Pages of the span or slab at `head`, as its word is or would be.
    fn reach(&self, head: u64, word: PageWord) -> Option<u64> {
        match word.state() {
            PageState::Head | PageState::Kept => Some(
                self.at(self.ground.geometry.offsets.descriptors + head * PageDescriptor::SIZE as u64 + 8),
            ),
            PageState::Slab | PageState::Orphan => {
                let class = self.ground.geometry.classes.get(word.class() as usize);
                class.map(|class| u64::from(class.pages)).filter(|pages| *pages > 0)
            }
            _ => None,
        }
    }

    /// The word of a block, if it is the one that stands for a block of its page.
    fn is_block(&self, tier: usize, index: u64) -> bool {
        let offset = index << TIER_SHIFTS[tier];
        let page = offset >> SHAPE.page_shift;
        let word = self.page(page);
        let (head, word) = match word.state() {
            PageState::Tail => (page - word.distance(), self.page(page - word.distance())),
            _ => (page, word),
        };
        let within = offset - (head << SHAPE.page_shift);
        match word.state() {
            PageState::Head => tier == 0 && within == 0,
            PageState::Slab | PageState::Orphan => {
                let class = &self.ground.geometry.classes[word.class() as usize];
                class.tier as usize == tier
                    && within.is_multiple_of(class.size.into())
                    && within / u64::from(class.size) < class.blocks.into()
            }
            _ => false,
        }
    }
}

/// The truth words that differ.
pub(crate) fn changed(ground: &Ground, before: &[u64], after: &[u64]) -> Vec<Changed> {
    let words = Words { ground, words: before };
    let differing = (0..before.len()).filter(|index| before[*index] != after[*index]);
    let changes = differing.filter_map(|index| change(&words, index as u64 * 8, before[index], after[index]));
    changes.collect()
}

fn change(words: &Words<'_>, byte: u64, was: u64, is: u64) -> Option<Changed> {
    let at = &words.ground.geometry.offsets;
    let found = |name, must_be_reported| Some(Changed { name, was, is, must_be_reported });
    let row = |start: u64, count: u64, bytes: usize| {
        let within = byte.checked_sub(start).filter(|within| *within < count * bytes as u64)?;
        Some((within / bytes as u64, within % bytes as u64))
    };
    if byte < 112 {
        return found("header identity", true);
    }
    if byte == 128 {
        return found("header state", true);
    }
    if let Some((_, 0)) = row(at.processes, SHAPE.process_limit.into(), ProcessSlot::SIZE) {
        return found("process words", process_cannot_be(ProcessWord(was), ProcessWord(is)));
    }
    if let Some((lane, 0)) = row(at.lanes, SHAPE.lane_limit.into(), Lane::SIZE) {
        return found("lane words", lane_cannot_be(words, lane as u16, LaneWord(is)));
    }
    if let Some((page, 0)) = row(at.page_words, SHAPE.initial_pages, 8) {
        return found("page words", page_cannot_be(words, page, PageWord(was), PageWord(is)));
    }
    if let Some((page, 8)) = row(at.descriptors, SHAPE.initial_pages, PageDescriptor::SIZE) {
        let is_span = matches!(words.page(page).state(), PageState::Head | PageState::Kept);
        return if is_span { found("span lengths", true) } else { None };
    }
    for tier in 0..4 {
        let count = words.ground.geometry.tier_words(tier);
        if let Some((index, 0)) = row(at.tiers[tier], count, 8) {
            let is_block = words.is_block(tier, index);
            return if is_block { found("block words", block_cannot_be(words, was, is)) } else { None };
        }
    }
    ring_change(words, byte.checked_sub(words.ground.ring_at)?, was, is)
        .and_then(|(name, must_be_reported)| found(name, must_be_reported))
}

fn process_cannot_be(was: ProcessWord, is: ProcessWord) -> bool {
    match is.state() {
        // Every process of this pool has lanes.
        SlotState::Free => was.state() == SlotState::Active,
        SlotState::Active => false,
        SlotState::Recovering | SlotState::Unknown => true,
    }
}

fn lane_cannot_be(words: &Words<'_>, lane: u16, is: LaneWord) -> bool {
    let has_slabs = (0..SHAPE.initial_pages).any(|page| words.page(page).is_slab_of(lane));
    match is.state() {
        SlotState::Free => has_slabs,
        SlotState::Active => words.process(is.process()) == SlotState::Free,
        SlotState::Recovering | SlotState::Unknown => true,
    }
}

fn page_cannot_be(words: &Words<'_>, page: u64, was: PageWord, is: PageWord) -> bool {
    let had_tails = words.reach(page, was).unwrap_or(1);
    match is.state() {
        // Quiesced, nobody has a page in hand.
        PageState::Unknown | PageState::Claim => true,
        // Another page, or none, reaches a tail of another distance, or none; and the tail was reached from its own.
        PageState::Tail => is.state() != was.state() || is.distance() != was.distance(),
        PageState::Free => was.state() == PageState::Tail || had_tails > 1,
        PageState::Slab | PageState::Orphan | PageState::Head | PageState::Kept => {
            let names_lane = matches!(is.state(), PageState::Slab | PageState::Kept);
            let lane_is_free = names_lane && words.lane(is.lane()).state() == SlotState::Free;
            // A span has a live block, and a kept one has none.
            let spans = [PageState::Head, PageState::Kept];
            let other_span =
                was.state() != is.state() && spans.contains(&was.state()) && spans.contains(&is.state());
            let other_reach = words.reach(page, is) != Some(had_tails);
            lane_is_free || other_span || other_reach || was.state() == PageState::Tail
        }
    }
}

fn block_cannot_be(words: &Words<'_>, was: u64, is: u64) -> bool {
    let (was, is) = (BlockWord(was), BlockWord(is));
    let sent = was.state().is_in_flight();
    match is.state() {
        BlockState::Unknown | BlockState::Freeing | BlockState::Resizing => true,
        BlockState::Alloc if words.process(is.actor()) == SlotState::Free => true,
        state => sent != state.is_in_flight() || sent && was.generation() != is.generation(),
    }
}

/// Byte `at` of the channel.
fn ring_change(words: &Words<'_>, at: u64, was: u64, is: u64) -> Option<(&'static str, bool)> {
    match at {
        // The magic number, the generation, and the version beside the flags.
        0 | 56 => Some(("channel identity", true)),
        8 => Some(("channel identity", was as u32 != is as u32)),
        16 | 24 | 32 => Some(("channel sizes", false)),
        _ => {
            let within = at.checked_sub(RING.slots_at()).filter(|_| at < RING.bytes())?;
            let is_word = within.is_multiple_of(RING.stride());
            let refers = words.at(words.ground.ring_at + at + 8) >> 32 == 1;
            is_word.then(|| ("slot words", slot_cannot_be(refers, was, is)))
        }
    }
}

/// In the words of the layout: the state lies above all else, and who holds the slot behind it.
fn slot_cannot_be(refers: bool, was: u64, is: u64) -> bool {
    let names_nobody = |state: u64| matches!(state, 0 | 2 | 5 | 6);
    let has_message = |state: u64| matches!(state, 2 | 3 | 5 | 6 | 7);
    let (was, now, holder) = (was >> 60, is >> 60, is >> 36 & 0xff_ffff);
    let acting = matches!(now, 1 | 3 | 4);
    now > 7 || acting || names_nobody(now) && holder != 0 || refers && has_message(was) && !has_message(now)
}
