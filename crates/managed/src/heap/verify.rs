//! The invariants of a heap, checked against what is there.
//!
//! Online, others go on: two words read one after the other may be of different instants, so what looks wrong is
//! looked at again and reported only when it stays the same. Quiesced, nobody acts, and what is only allowed in the
//! middle of an operation is wrong too. Hints that are wrong in the harmless direction are counted, not reported.

use std::fmt;

use weyr_atomic::Ordering;
use weyr_shared::Layout as _;

use super::Heap;
use super::class::TIER_SHIFTS;
use super::word::{BlockState, BlockWord, PageState, PageWord, SlotState};
use crate::geometry::METADATA_CHUNK;
use crate::layout::PageDescriptor;

/// Whether others may act while a pool is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Others go on.
    Online,
    /// Nobody acts, and the dead have been recovered.
    Quiesced,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which invariant, by its name in `docs/recovery.md`.
    pub invariant: &'static str,
    /// Where: page number, lane, process or block offset, as the detail says.
    pub place: u64,
    /// What was found there.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:#x}: {}", self.invariant, self.place, self.detail)
    }
}

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// What is wrong; empty is well.
    pub findings: Vec<Finding>,
    /// Pages looked at.
    pub pages: u64,
    /// Blocks that are not free.
    pub blocks: u64,
    /// Entries of the manifest whose block is there.
    pub records: u64,
    /// Free pages that the hints call used: lost to searches until memory is short.
    pub hidden_pages: u64,
    /// Entries of the channel table whose block is no channel any more: taken over by whoever needs the place.
    pub leftover_entries: u64,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }
}

pub(crate) type Check = Result<(), (&'static str, String)>;

/// Times that a finding is looked at again before it counts.
const LOOKS: usize = 64;

impl Heap {
    /// Checks every invariant that the heap alone can be asked for. By loads only.
    pub fn verify(&self, mode: Mode) -> Verification {
        let mut result = Verification::default();
        for chunk in 0..self.geometry.first_metadata().div_ceil(METADATA_CHUNK) {
            self.confirm(&mut result, mode, chunk, || self.check_backed(chunk * METADATA_CHUNK));
        }
        self.confirm(&mut result, mode, 0, || self.check_segments());
        for page in self.known_pages() {
            result.pages += 1;
            self.confirm(&mut result, mode, page, || self.check_page(page, mode));
            let hidden = self.used[(page / 64) as usize].load(Ordering::Relaxed) >> (page % 64) & 1 == 1;
            result.hidden_pages += u64::from(hidden && self.page(page).state() == PageState::Free);
        }
        self.for_each_block(|block, offset| {
            result.blocks += 1;
            self.confirm(&mut result, mode, offset, || self.check_block(offset, mode));
            let _ = block;
        });
        self.verify_manifest(&mut result, mode);
        for lane in 0..self.lanes.len() as u16 {
            self.confirm(&mut result, mode, lane.into(), || self.check_lane(lane, mode));
        }
        for process in 0..self.processes.len() as u16 {
            self.confirm(&mut result, mode, process.into(), || self.check_process(process, mode));
        }
        result
    }

    pub(crate) fn confirm(
        &self,
        result: &mut Verification,
        mode: Mode,
        place: u64,
        check: impl Fn() -> Check,
    ) {
        let mut found = check();
        // Quiesced, nothing changes between two looks.
        let looks = if mode == Mode::Online { LOOKS } else { 0 };
        for _ in 0..looks {
            if found.is_ok() {
                return;
            }
            weyr_atomic::thread::yield_now();
            found = check();
        }
        if let Err((invariant, detail)) = found {
            result.findings.push(Finding { invariant, place, detail });
        }
    }

    /// Nobody looks where nothing is marked as backed.
    fn check_backed(&self, offset: u64) -> Check {
        if self.backing.has_metadata(offset) {
            return Ok(());
        }
        Err(("what is in use is backed", format!("the metadata around byte {offset:#x} is not marked so")))
    }

    /// A limit is set where the pool has not more, and nobody grows beyond it.
    fn check_segments(&self) -> Check {
        let word = self.segments();
        let within = word.limit().is_none_or(|limit| word.segments() <= limit);
        if word.segments() > 0 && within {
            return Ok(());
        }
        let detail = format!("{} segments, limit {:?}", word.segments(), word.limit());
        Err(("a pool has a segment, and not more than it may", detail))
    }

    /// What describes a slab or span, and the words of its first blocks.
    fn check_tables(&self, head: u64, tier: usize) -> Check {
        let at = &self.geometry.offsets;
        self.check_backed(at.descriptors + head * PageDescriptor::SIZE as u64)?;
        self.check_backed(at.tiers[tier] + (self.page_offset(head) >> TIER_SHIFTS[tier]) * 8)
    }

    fn check_page(&self, page: u64, mode: Mode) -> Check {
        let seen = self.page(page);
        match seen.state() {
            PageState::Free => Ok(()),
            PageState::Claim => self.check_claim(seen, mode),
            PageState::Slab | PageState::Orphan => self.check_slab(page, seen),
            PageState::Head => self.check_span(page),
            PageState::Tail => self.check_tail(page, seen),
            PageState::Kept => self.check_kept(page, seen),
            PageState::Unknown => Err(("page state is known", format!("page word {:#018x}", seen.0))),
        }
    }

    fn check_claim(&self, seen: PageWord, mode: Mode) -> Check {
        if mode == Mode::Quiesced {
            return Err(("nothing is left half done", format!("page in the hands of lane {}", seen.lane())));
        }
        self.check_lane_in_use(seen.lane(), "a claimed page")
    }

    pub(crate) fn is_lane_in_use(&self, lane: u16) -> bool {
        (lane as usize) < self.lanes.len() && self.lane_word(lane).state() != SlotState::Free
    }

    pub(crate) fn check_lane_in_use(&self, lane: u16, what: &str) -> Check {
        if self.is_lane_in_use(lane) {
            Ok(())
        } else {
            Err(("actors are lanes in use", format!("{what} names lane {lane}, which nobody has")))
        }
    }

    fn check_slab(&self, page: u64, seen: PageWord) -> Check {
        let Some(class) = self.class(seen) else {
            return Err(("slabs have a class of this pool", format!("class {}", seen.class())));
        };
        if seen.state() == PageState::Slab {
            self.check_lane_in_use(seen.lane(), "a slab")?;
        }
        self.check_tables(page, class.tier.into())?;
        self.check_tails(page, class.pages.into())
    }

    fn check_span(&self, page: u64) -> Check {
        self.check_tables(page, 0)?;
        let word = BlockWord(self.span_word(page).load(Ordering::Acquire));
        if word.is_free() {
            return Err(("a head has a live block", "the span's block word is free".into()));
        }
        self.check_tails(page, self.descriptor(page).span_pages.load(Ordering::Relaxed))
    }

    fn check_kept(&self, page: u64, seen: PageWord) -> Check {
        self.check_lane_in_use(seen.lane(), "a kept run")?;
        self.check_tables(page, 0)?;
        let word = BlockWord(self.span_word(page).load(Ordering::Acquire));
        if !word.is_free() {
            return Err(("kept runs have no live block", format!("block word {:#018x}", word.0)));
        }
        self.check_tails(page, self.descriptor(page).span_pages.load(Ordering::Relaxed))
    }

    fn check_tails(&self, head: u64, pages: u64) -> Check {
        let end = self.pool_pages();
        if pages == 0 || head.checked_add(pages).is_none_or(|last| last > end) {
            return Err(("lengths stay inside the pool", format!("{pages} pages from page {head} on")));
        }
        match (1..pages).find(|&distance| self.names_tail(head, distance, end).is_none()) {
            None => Ok(()),
            Some(distance) => {
                Err(("heads and tails agree", format!("page {} is no tail of page {head}", head + distance)))
            }
        }
    }

    fn check_tail(&self, page: u64, seen: PageWord) -> Check {
        let wrong = |why: String| Err(("heads and tails agree", why));
        let Some(head) = page.checked_sub(seen.distance()).filter(|&head| head != page) else {
            return wrong(format!("distance {} from page {page}", seen.distance()));
        };
        let word = self.page(head);
        let reaches = match word.state() {
            PageState::Claim => true,
            PageState::Head | PageState::Kept => {
                let resized = BlockWord(self.span_word(head).load(Ordering::Acquire)).state();
                seen.distance() < self.descriptor(head).span_pages.load(Ordering::Relaxed)
                    || resized == BlockState::Resizing
            }
            PageState::Slab | PageState::Orphan => {
                self.class(word).is_some_and(|class| seen.distance() < class.pages.into())
            }
            _ => false,
        };
        if reaches {
            Ok(())
        } else {
            wrong(format!("its head, page {head}, does not reach it ({:?})", word.state()))
        }
    }

    fn check_block(&self, offset: u64, mode: Mode) -> Check {
        let Some(block) = self.locate_offset(offset) else { return Ok(()) };
        let (state, actor) = (block.seen.state(), block.seen.actor());
        let base = self.descriptor(block.head).generation_base.load(Ordering::Acquire);
        if !block.seen.is_free() && block.seen.generation() <= base && self.page(block.head) == block.page {
            return Err(("generations never return", format!("{} at base {base}", block.seen.generation())));
        }
        match state {
            BlockState::Unknown => {
                Err(("block state is known", format!("block word {:#018x}", block.seen.0)))
            }
            BlockState::Alloc if self.process_word(actor).state() == SlotState::Free => Err((
                "owners are processes of the pool",
                format!("owned by process slot {actor}, which is free"),
            )),
            BlockState::Freeing | BlockState::Resizing if mode == Mode::Quiesced => {
                Err(("nothing is left half done", format!("block is {}", state.name())))
            }
            BlockState::Freeing | BlockState::Resizing => {
                self.check_lane_in_use(actor, "a block being freed")
            }
            _ => Ok(()),
        }
    }

    fn check_lane(&self, lane: u16, mode: Mode) -> Check {
        let word = self.lane_word(lane);
        let process = self.process_word(word.process()).state();
        match word.state() {
            SlotState::Unknown => Err(("lane state is known", format!("lane word {:#018x}", word.0))),
            SlotState::Recovering if mode == Mode::Quiesced => {
                Err(("nothing is left half done", "lane of a dead thread".into()))
            }
            SlotState::Active if process == SlotState::Free => {
                Err(("actors are processes of the pool", format!("process slot {} is free", word.process())))
            }
            SlotState::Active | SlotState::Recovering => below_mark(self.lane_numbers(), lane, "lane"),
            SlotState::Free => Ok(()),
        }
    }

    fn check_process(&self, process: u16, mode: Mode) -> Check {
        let word = self.process_word(process);
        match word.state() {
            SlotState::Unknown => Err(("process state is known", format!("process word {:#018x}", word.0))),
            SlotState::Recovering if mode == Mode::Quiesced => {
                Err(("nothing is left half done", format!("pid {} is dead and not swept", word.pid())))
            }
            SlotState::Active | SlotState::Recovering => {
                below_mark(self.process_numbers(), process, "process slot")
            }
            SlotState::Free => Ok(()),
        }
    }
}

/// Whoever looks for members looks at `numbers` only.
fn below_mark(numbers: std::ops::Range<u16>, number: u16, what: &str) -> Check {
    if numbers.contains(&number) {
        return Ok(());
    }
    Err(("members lie below the marks", format!("{what} {number} is in use, the mark is {}", numbers.end)))
}
