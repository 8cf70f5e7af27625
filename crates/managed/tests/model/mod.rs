//! What the models of the heap share: a tiny heap, lanes, who is dead, and the record of what was issued.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use weyr_atomic::explore::{self, Ghost, Model, Outcome, Report};
use weyr_managed::BlockReference;
use weyr_managed::geometry::{Geometry, Shape};
use weyr_managed::heap::lane::LaneHeap;
use weyr_managed::heap::model::Steps;
use weyr_managed::heap::recovery::NoChannels;
use weyr_managed::heap::verify::Mode;
use weyr_managed::heap::word::ProcessWord;
use weyr_managed::heap::{Heap, Liveness};

/// Class of 2048 bytes: two blocks a page.
pub const TWO: usize = 15;
/// Class of 1280 bytes: three blocks a page, the last in the block word of the second of [`TWO`].
pub const THREE: usize = 12;

/// A heap of so many pages of 4096 bytes, for so many processes with one lane each.
pub fn heap(pages: u64, processes: u32) -> Heap {
    let shape = Shape {
        page_shift: 12,
        initial_pages: pages,
        segment_pages: pages,
        maximum_pages: pages,
        process_limit: processes,
        lane_limit: processes,
        channel_limit: 1,
    };
    Heap::in_memory(Geometry::new(shape))
}

/// Death as the explorer tells it: process slot n is the model's process `of[n]`.
#[derive(Clone, Copy, Debug)]
pub struct Scheduler<'m> {
    /// The model's process of each slot.
    pub of: &'m [usize],
    /// Whether the barrier orders anything.
    pub barrier: bool,
}

impl Liveness for Scheduler<'_> {
    fn process_is_dead(&self, process: u16, _: ProcessWord) -> bool {
        explore::is_dead(self.of[process as usize])
    }
    fn thread_is_dead(&self, _: u16) -> bool {
        false
    }
    fn barrier(&self) -> bool {
        !self.barrier || weyr_atomic::heavy_barrier(|| true)
    }
}

/// What the oracle knows: every block ever issued, and where those lie that are in use.
#[derive(Clone, Default, Hash, Debug)]
pub struct Issued {
    ever: BTreeSet<(u64, u64)>,
    live: BTreeMap<(u64, u64), u64>,
    freed: BTreeSet<(u64, u64)>,
}

impl Issued {
    /// Notes a block of `bytes` bytes. Panics when it overlaps with one in use, or was issued before.
    pub fn issue(&mut self, block: BlockReference, bytes: u64) {
        let BlockReference { offset, generation } = block;
        assert!(self.ever.insert((offset, generation)), "{block:?} was issued twice");
        let overlaps =
            |(&(other, _), &length): (&(u64, u64), &u64)| other < offset + bytes && offset < other + length;
        assert!(!self.live.iter().any(overlaps), "{block:?} overlaps with {:?}", self.live);
        self.live.insert((offset, generation), bytes);
    }

    /// Notes that somebody is about to free a block: from now on its memory may be issued again.
    pub fn begin_free(&mut self, block: BlockReference) {
        self.live.remove(&(block.offset, block.generation));
    }

    /// Notes that a free was granted. Panics when another was granted before.
    pub fn end_free(&mut self, block: BlockReference) {
        assert!(self.freed.insert((block.offset, block.generation)), "{block:?} was freed twice");
    }

    /// Number of blocks in use.
    pub fn live(&self) -> usize {
        self.live.len()
    }
}

/// A tiny heap with what the oracle knows about it.
pub struct World {
    pub heap: Heap,
    /// Lanes as they are at the start, by process slot.
    pub lanes: Vec<LaneHeap>,
    pub issued: Ghost<Issued>,
    /// A block handed from one process to another: offset and generation.
    pub posted: [Ghost<Option<(u64, u64)>>; 2],
}

impl World {
    pub fn new(pages: u64, processes: u32) -> Self {
        let heap = heap(pages, processes);
        let steps = Steps(&heap);
        let join = |process: u16| {
            steps.join(process);
            steps.lane(process)
        };
        let lanes = (0..processes as u16).map(join).collect();
        World {
            lanes,
            issued: Ghost::new(Issued::default()),
            posted: [Ghost::new(None), Ghost::new(None)],
            heap,
        }
    }

    pub fn steps(&self) -> Steps<'_> {
        Steps(&self.heap)
    }

    /// The lane of a process slot as it was at the start.
    pub fn lane(&self, process: usize) -> LaneHeap {
        self.lanes[process].clone()
    }

    /// Allocates a block of a class, and notes it.
    pub fn alloc(&self, own: &mut LaneHeap, class: usize) -> Option<BlockReference> {
        let bytes = u64::from(self.heap.geometry.classes[class].size);
        let block = self.heap.alloc(own, bytes).expect("present");
        if let Some(block) = block {
            self.issued.update(|issued| issued.issue(block, bytes));
        }
        block
    }

    /// Frees a block that only the caller can free.
    pub fn free_own(&self, own: &mut LaneHeap, block: BlockReference) {
        self.issued.update(|issued| issued.begin_free(block));
        assert!(self.steps().free_own(own, block), "an own block could not be freed");
        self.issued.update(|issued| issued.end_free(block));
    }

    /// Frees a block that others may free too; whether it was this call.
    pub fn free_shared(&self, own: &mut LaneHeap, block: BlockReference) -> bool {
        self.issued.update(|issued| issued.begin_free(block));
        let freed = self.steps().free_shared(own, block);
        if freed {
            self.issued.update(|issued| issued.end_free(block));
        }
        freed
    }

    pub fn post(&self, place: usize, block: BlockReference) {
        self.posted[place].update(|posted| *posted = Some((block.offset, block.generation)));
    }

    /// Waits for a block posted at `place`, or for what `or` says.
    pub fn receive(&self, place: usize, or: impl Fn(&Self) -> bool) -> Option<BlockReference> {
        explore::wait_until("a block is posted", || self.posted[place].get().is_some() || or(self));
        let offset = self.posted[place].read(|posted| posted.map_or(u64::MAX, |(offset, _)| offset));
        let generation = self.posted[place].read(|posted| posted.map_or(0, |(_, generation)| generation));
        (offset != u64::MAX).then_some(BlockReference { offset, generation })
    }

    /// What holds when nobody goes on: the dead recovered by an outsider, every block freed by its word, no page lost.
    pub fn settle(&self, own: &mut LaneHeap, of: &[usize]) -> Result<(), String> {
        let liveness = Scheduler { of, barrier: true };
        self.heap.recover_dead(own, &liveness, &NoChannels);
        let verification = self.heap.verify(Mode::Quiesced);
        if verification.holds() { Ok(()) } else { Err(format!("{:?}", verification.findings)) }
    }
}

/// Whether the full forms are to run.
pub fn full() -> bool {
    std::env::var("WEYR_MODEL").is_ok_and(|form| form == "full")
}

/// States up to which the short form explores.
pub fn bound(short: usize, full_form: usize) -> usize {
    if full() { full_form } else { short }
}

/// A model over a world with names and private statistics.
pub fn model(name: &str, build: impl FnOnce() -> World + 'static) -> Model<World> {
    let named = |world: &World, regions: &mut explore::Regions| world.steps().name(regions);
    Model::new(name).memory(build).regions(named).private_elsewhere()
}

/// Runs a model that must hold, and says how far.
pub fn holds(model: Model<World>) {
    let report = model.run();
    say(&report);
    assert!(report.violation.is_none() && report.error.is_none(), "{report}");
    assert!(report.states > 1, "nothing was explored");
}

/// Runs a model that must be found wrong.
pub fn fails(model: Model<World>, part: &str) {
    let report = model.run();
    say(&report);
    report.assert_violated(part);
}

#[expect(clippy::print_stdout, reason = "the bounds reached are the result")]
fn say(report: &Report) {
    let end = match (&report.violation, report.complete) {
        (Some(violation), _) => format!("found: {}", violation.message.lines().next().unwrap_or_default()),
        (None, true) => "complete".into(),
        (None, false) => "bounded".into(),
    };
    println!(
        "{}: {} states, {} steps, {:.1} s, {end}",
        report.name, report.states, report.steps, report.seconds
    );
}

/// No process hangs.
pub fn nobody_hangs(outcome: &Outcome) -> Result<(), String> {
    outcome.nobody_blocked()
}
