//! What the models of the heap share: a tiny heap, lanes, who is dead, and the record of what was issued.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use weyr_atomic::explore::{self, Ghost, Model, Outcome, Report};
use weyr_atomic::{AtomicU64, Ordering, Zeroed};
use weyr_managed::BlockReference;
use weyr_managed::geometry::{Geometry, Shape};
use weyr_managed::heap::lane::LaneHeap;
use weyr_managed::heap::model::{Parts, Steps};
use weyr_managed::heap::recovery::{Channels, NoChannels};
use weyr_managed::heap::verify::Mode;
use weyr_managed::heap::word::{BlockState, ProcessWord, SlotState};
use weyr_managed::heap::{Heap, Liveness};

/// Class of 2048 bytes: two blocks a page.
pub const TWO: usize = 15;
/// Class of 1280 bytes: three blocks a page, the last in the block word of the second of [`TWO`].
pub const THREE: usize = 12;

/// A heap of so many pages of 4096 bytes, for so many processes with one lane each.
pub fn heap(pages: u64, processes: u32) -> Heap {
    growing_heap(pages, pages, processes)
}

/// A heap that begins with so many pages and grows by as many, up to `most`.
pub fn growing_heap(pages: u64, most: u64, processes: u32) -> Heap {
    Heap::in_memory(Geometry::new(shape(pages, most, processes)))
}

/// A heap of so many pages whose manifest has so many entries.
pub fn heap_with_manifest(pages: u64, processes: u32, entries: u32) -> Heap {
    Heap::in_memory(Geometry::new(Shape { manifest_limit: entries, ..shape(pages, pages, processes) }))
}

pub fn shape(pages: u64, most: u64, processes: u32) -> Shape {
    Shape {
        page_shift: 12,
        initial_pages: pages,
        segment_pages: pages,
        maximum_pages: most,
        process_limit: processes,
        lane_limit: processes,
        channel_limit: 1,
        manifest_limit: 0,
    }
}

/// Death as the explorer tells it: the model's process n has pid n + 1. Behind them comes the outsider, who lives.
#[derive(Clone, Copy, Debug)]
pub struct Scheduler {
    /// Processes of the model.
    pub processes: u32,
    /// Whether the barrier orders anything.
    pub barrier: bool,
    /// Whether they are threads of processes that live: the model's process n has thread id n + 1.
    pub threads: bool,
}

impl Liveness for Scheduler {
    fn process_is_dead(&self, _: u16, word: ProcessWord) -> bool {
        !self.threads && word.pid() <= self.processes && explore::is_dead(word.pid() as usize - 1)
    }
    fn thread_is_dead(&self, _: u16, thread: u32, _: u64) -> bool {
        self.threads && explore::is_dead(thread as usize - 1)
    }
    fn barrier(&self) -> bool {
        !self.barrier || weyr_atomic::heavy_barrier(|| true)
    }
}

/// What the oracle knows: every block ever issued, and where those lie that are in use.
#[derive(Clone, Default, Hash, Debug)]
pub struct Issued {
    ever: BTreeSet<(u64, u64)>,
    /// Length and owner by offset and generation.
    live: BTreeMap<(u64, u64), (u64, usize)>,
    freed: BTreeSet<(u64, u64)>,
}

impl Issued {
    /// Notes a block of `bytes` bytes for a process of the model; what the dead had is nobody's. Panics when it
    /// overlaps with one in use, or was issued before.
    pub fn issue(&mut self, block: BlockReference, bytes: u64, owner: usize) {
        let BlockReference { offset, generation } = block;
        assert!(self.ever.insert((offset, generation)), "{block:?} was issued twice");
        let overlaps =
            |&(other, _): &(u64, u64), length: u64| other < offset + bytes && offset < other + length;
        self.live.retain(|at, &mut (length, owner)| {
            let shared = overlaps(at, length);
            assert!(!shared || explore::is_dead(owner), "{block:?} overlaps with {at:?} of P{owner}");
            !shared
        });
        self.live.insert((offset, generation), (bytes, owner));
    }

    /// Notes that a block in use has another length. Panics when it overlaps with one in use then.
    pub fn resize(&mut self, block: BlockReference, bytes: u64, owner: usize) {
        let at = (block.offset, block.generation);
        self.live.remove(&at);
        self.ever.remove(&at);
        self.issue(block, bytes, owner);
    }

    /// Notes that somebody is about to free a block: from now on its memory may be issued again.
    pub fn begin_free(&mut self, block: BlockReference) {
        self.live.remove(&(block.offset, block.generation));
    }

    /// Notes that a free was granted. Panics when another was granted before.
    pub fn end_free(&mut self, block: BlockReference) {
        assert!(self.freed.insert((block.offset, block.generation)), "{block:?} was freed twice");
    }

    /// Notes that a block has another owner.
    pub fn hand_over(&mut self, block: BlockReference, owner: usize) {
        if let Some(entry) = self.live.get_mut(&(block.offset, block.generation)) {
            entry.1 = owner;
        }
    }

    /// Number of blocks in use.
    pub fn live(&self) -> usize {
        self.live.len()
    }
}

/// A tiny heap with what the oracle knows about it. The last process slot and lane are an outsider's, who looks at
/// the end whether all is well.
pub struct World {
    pub heap: Heap,
    /// Lanes as they are at the start, by process slot.
    pub lanes: Vec<LaneHeap>,
    pub issued: Ghost<Issued>,
    /// Blocks handed from one process to another: offset, and generation from bit 32 on; 0 none.
    pub posted: [AtomicU64; 2],
    /// 1 for each process whose program is through.
    pub done: [AtomicU64; 8],
    /// Who helped whom when that one was dead.
    pub helped: Ghost<BTreeSet<(usize, usize)>>,
}

impl World {
    /// A heap of so many pages for so many processes and the outsider.
    pub fn new(pages: u64, processes: u32) -> Self {
        Self::over(heap(pages, processes + 1))
    }

    /// All slots of a heap taken, the last by the outsider.
    pub fn over(heap: Heap) -> Self {
        let processes = heap.geometry.shape.process_limit - 1;
        let steps = Steps(&heap);
        let join = |process: u16| {
            steps.join(process, u32::from(process) + 1);
            steps.lane(process, 0)
        };
        let lanes = (0..=processes as u16).map(join).collect();
        let (posted, done) = (Zeroed::zeroed(), Zeroed::zeroed());
        let (issued, helped) = (Ghost::new(Issued::default()), Ghost::new(BTreeSet::new()));
        World { lanes, issued, posted, done, helped, heap }
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
        self.note(own, block, bytes);
        block
    }

    /// Notes what the lane of process slot n, which is the model's process n, got.
    pub fn note(&self, own: &LaneHeap, block: Option<BlockReference>, bytes: u64) {
        self.note_as(own.lane().into(), block, bytes);
    }

    /// Notes what a process of the model got.
    pub fn note_as(&self, process: usize, block: Option<BlockReference>, bytes: u64) {
        if let Some(block) = block {
            self.issued.update(|issued| issued.issue(block, bytes, process));
        }
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

    /// Allocates whole pages, looking from `page` on, and notes them.
    pub fn alloc_span(&self, own: &mut LaneHeap, page: u64, count: u64) -> Option<BlockReference> {
        let block = self.steps().alloc_span_from(own, page, count);
        self.note(own, block, count << 12);
        block
    }

    pub fn post(&self, place: usize, block: BlockReference) {
        self.posted[place].store(block.offset | block.generation << 32, Ordering::Release);
    }

    /// Waits for a block posted at `place`, or for what `or` says.
    pub fn receive(&self, place: usize, or: impl Fn(&Self) -> bool) -> Option<BlockReference> {
        let posted = || self.posted[place].load(Ordering::Acquire);
        explore::wait_until("a block is posted", || posted() != 0 || or(self));
        let (offset, generation) = (posted() & 0xffff_ffff, posted() >> 32);
        (generation != 0).then_some(BlockReference { offset, generation })
    }

    /// Says that the program of `process` is through.
    pub fn finish(&self, process: usize) {
        self.done[process].store(1, Ordering::Release);
    }

    /// Whether the program of `process` is through, or will never be.
    pub fn is_over(&self, process: usize) -> bool {
        self.done[process].load(Ordering::Acquire) == 1 || explore::is_dead(process)
    }

    /// What can be asked about who is dead.
    pub fn scheduler(&self) -> Scheduler {
        Scheduler { processes: self.lanes.len() as u32 - 1, barrier: true, threads: false }
    }

    /// Waits until `process` is dead, and recovers its slot; returns at once when it is through.
    pub fn help(&self, own: &mut LaneHeap, process: usize, channels: &dyn Channels) {
        explore::wait_until("a death", || self.is_over(process));
        if explore::is_dead(process) {
            let helper = usize::from(own.lane());
            self.heap.recover_process(own, process as u16, &self.scheduler(), channels);
            self.helped.update(|helped| {
                helped.insert((helper, process));
            });
        }
    }

    /// What holds when nobody goes on: everybody is through or dead; the words agree; what is in use is what was
    /// issued; and once that is freed and the dead are recovered the outsider can have all memory in one piece.
    pub fn settles(&self, outcome: &Outcome) -> Result<(), String> {
        self.settles_with(outcome, &NoChannels, |_| Ok(()))
    }

    /// [`settles`](Self::settles) with channels, which `drain` empties when the dead are recovered.
    pub fn settles_with(
        &self,
        outcome: &Outcome,
        channels: &dyn Channels,
        drain: impl Fn(&LaneHeap) -> Result<(), String>,
    ) -> Result<(), String> {
        outcome.nobody_blocked()?;
        for (helper, helped) in self.helped.get() {
            let word = self.heap.process_word(helped as u16);
            if word.state() != SlotState::Free && word.pid() as usize == helped + 1 {
                return Err(format!(
                    "P{helper} is through with helping P{helped}, which is not recovered: {word:?}"
                ));
            }
        }
        let outsider = self.lanes.len() - 1;
        let deaths = (0..outsider).any(|process| outcome.dead(process));
        let steps = self.steps();
        if !deaths && steps.blocks().len() != self.issued.get().live() {
            return Err(format!("in use: {:?}, known: {:?}", steps.blocks(), self.issued.get()));
        }
        let (mut own, liveness) = (self.lane(outsider), self.scheduler());
        self.heap.recover_dead(&mut own, &liveness, channels);
        drain(&own)?;
        let verification = self.heap.verify(Mode::Quiesced);
        if !verification.holds() {
            return Err(format!("{:?}", verification.findings));
        }
        if !deaths && verification.hidden_pages > 0 {
            return Err(format!("{} free pages are hidden", verification.hidden_pages));
        }
        for (block, word) in steps.blocks() {
            let owner = usize::from(word.actor());
            if word.state() == BlockState::Alloc && owner < outsider && outcome.dead(owner) {
                return Err(format!("{block:?} is still owned by a dead process"));
            }
            if !steps.free_shared(&mut own, block) {
                return Err(format!("{block:?} could not be freed: {word:?}"));
            }
        }
        steps.orphan_all();
        let bytes = self.heap.geometry.maximum_bytes();
        match steps.alloc_pressed(&mut own, bytes, &liveness, channels, || false) {
            Some(_) => Ok(()),
            None => {
                let pages: Vec<_> = (0..self.heap.current_pages()).map(|page| steps.page(page)).collect();
                Err(format!(
                    "a page is lost: {:?}",
                    pages.iter().map(|page| page.state()).collect::<Vec<_>>()
                ))
            }
        }
    }
}

/// Whether the full forms are to run.
pub fn full() -> bool {
    std::env::var("WEYR_MODEL").is_ok_and(|form| form == "full")
}

/// States after which an exploration ends, complete or not.
pub fn most() -> usize {
    if full() { 4_000_000 } else { 150_000 }
}

/// A model over a world, in which the slots of `mortal` may die.
pub fn model(name: &str, mortal: &[usize], build: impl FnOnce() -> World + 'static) -> Model<World> {
    named(name, Parts { mortal: mortal.to_vec(), ..Parts::default() }, build).may_die(mortal.iter().copied())
}

/// A model over a world of which these parts change.
pub fn named(name: &str, parts: Parts, build: impl FnOnce() -> World + 'static) -> Model<World> {
    let names = move |world: &World, regions: &mut explore::Regions| world.steps().name(regions, &parts);
    Model::new(name).memory(build).regions(names).private_elsewhere()
}

/// Waits until process `helped` is dead, recovers it, and is through.
pub fn helper(world: &World, process: usize, helped: usize) {
    let mut own = world.lane(process);
    world.help(&mut own, helped, &NoChannels);
    world.finish(process);
}

/// Frees what was posted at place 0, if `giver` posts it, and is through.
pub fn freer(world: &World, process: usize, giver: usize) {
    let mut own = world.lane(process);
    if let Some(block) = world.receive(0, |world| world.is_over(giver)) {
        world.free_shared(&mut own, block);
    }
    world.finish(process);
}

/// Runs a model that must hold, and says how far.
pub fn holds<W: 'static>(model: Model<W>) {
    let report = model.run();
    say(&report);
    assert!(report.violation.is_none() && report.error.is_none(), "{report}");
    assert!(report.states > 1, "nothing was explored");
}

/// Runs a model that must be found wrong.
pub fn fails<W: 'static>(model: Model<W>, parts: &[&str]) {
    let report = model.run();
    say(&report);
    let message = report.violation.as_ref().map_or("", |violation| &violation.message);
    assert!(report.error.is_none() && parts.iter().any(|part| message.contains(part)), "{report}");
}

/// The same for one whose states are many: a little of it in one order of steps, then in the next. `first`: an order
/// that was seen to lead there soon.
pub fn fails_in_some_order<W: 'static>(model: impl Fn(u64) -> Model<W>, first: u64, parts: &[&str]) {
    let mut reports = (first..first + 64).map(|order| model(order).order(order).max_states(1 << 17).run());
    let ended = |report: &Report| report.violation.is_some() || report.complete || report.error.is_some();
    let report = reports.find(ended).expect("something is found, in some order");
    say(&report);
    let message = report.violation.as_ref().map_or("", |violation| &violation.message);
    assert!(report.error.is_none() && parts.iter().any(|part| message.contains(part)), "{report}");
}

#[expect(clippy::print_stdout, reason = "the bounds reached are the result")]
fn say(report: &Report) {
    let end = match (&report.violation, report.complete) {
        (Some(violation), _) => format!("found: {}", violation.message.lines().next().unwrap_or_default()),
        (None, true) => "complete".into(),
        (None, false) => format!("bounded at {}", report.states),
    };
    println!(
        "{}: {} states, {} steps, {:.1} s, {end}",
        report.name, report.states, report.steps, report.seconds
    );
}
