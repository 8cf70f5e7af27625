//! The heap of a managed pool: pages, slabs and spans, with all state in shared memory.
//!
//! *Truth words and hints.* One 64-bit word a page and a block says what may not be lost, and names who acted and
//! which use is meant; bitmaps, lists and counters are hints that may be wrong in the harmless direction. The owner of
//! a slab allocates and frees with plain stores; everybody else changes a word by compare-exchange from the exact
//! value that was judged. So a process can die at any instruction: what it left is a word that names it, and any
//! number of others may repair that at once, and die doing so.
//!
//! One idea a file: [`word`] the truth words, [`class`] sizes, [`backing`] what may be touched, [`page`] hints and
//! runs of pages, [`search`] where to look for them, `ceiling` how far up, [`span`] allocations of whole pages, `kept`
//! those that a lane keeps, `aligned` those at round addresses, `fresh` what is zero without being filled, `resize` what
//! becomes longer or shorter, [`slab`] smaller ones,
//! [`lane`] one thread's side, [`pressure`] what is tried before an allocation fails, [`recovery`] after deaths,
//! [`growth`] how large the pool may become, [`unused`] what is free in what pieces, `repair` hints made right on
//! request, `waiting`, `reservation` and `turn` for those who wait for memory, [`manifest`] types and ids, [`verify`] the
//! invariants, [`usage`] who has how much, [`statistics`] both in numbers, `unbacking` what goes back to the kernel. No mapping, clock or system call but
//! backing is made here:
//! liveness is asked through [`Liveness`], so the same code runs under models.

pub(crate) mod aligned;
pub mod backing;
mod ceiling;
pub mod class;
pub(crate) mod fault;
pub(crate) mod fresh;
pub mod growth;
pub(crate) mod kept;
pub mod lane;
pub mod manifest;
#[cfg(any(weyr_face = "explore", weyr_face = "loom"))]
pub mod model;
pub mod page;
pub mod pressure;
pub mod recovery;
mod repair;
pub(crate) mod reservation;
pub(crate) mod resize;
pub mod search;
pub mod slab;
pub mod span;
pub mod statistics;
mod turn;
pub(crate) mod unbacking;
pub mod unused;
pub mod usage;
pub mod verify;
pub(crate) mod waiting;
pub(crate) mod wiping;
pub mod word;

use std::sync::Arc;

use weyr_atomic::{AtomicU32, AtomicU64, Ordering, Zeroed};
use weyr_shared::{BlockReference, Corrupt, Element, Layout, ReadyRow, Region, Table};

use crate::geometry::Geometry;
use crate::layout::{Lane, ManifestBucket, PageDescriptor, PoolHeader, ProcessSlot};
use backing::{Backing, Store};
use class::{Class, TIER_SHIFTS};
use word::{BlockState, BlockWord, PageState, PageWord};

/// The tables of one pool, and the protocol over them.
#[derive(Debug, Clone)]
pub struct Heap {
    /// Where everything lies.
    pub geometry: Geometry,
    /// What has been backed.
    pub backing: Backing,
    /// Pages that this process has mapped; below the pool's maximum where address space is short.
    pub window_pages: u64,
    /// Pages that the object was seen to be long enough for: what the header says beyond is looked at first.
    reach: Arc<AtomicU64>,
    /// Whether memory that nobody had yet is zero.
    pub(crate) starts_zero: bool,
    /// How freed bytes are reached, where they are wiped.
    pub(crate) wiper: Option<wiping::Wiper>,
    /// Whether every lane begins its search for pages at the first, where memory was made ready.
    pub(crate) starts_low: bool,
    /// Monotonic nanoseconds, for what expires.
    pub(crate) clock: fn() -> u64,
    pub(crate) header: Element<PoolHeader>,
    pub(crate) processes: Table<ProcessSlot>,
    pub(crate) lanes: Table<Lane>,
    pub(crate) channels: Table<AtomicU64>,
    pub(crate) pages: Table<AtomicU64>,
    pub(crate) used: Table<AtomicU64>,
    pub(crate) orphan: Table<AtomicU64>,
    pub(crate) pending: Table<AtomicU64>,
    pub(crate) descriptors: Table<PageDescriptor>,
    pub(crate) tiers: [Table<AtomicU64>; 4],
    pub(crate) long: Table<AtomicU64>,
    pub(crate) manifest: Table<ManifestBucket>,
    pub(crate) manifest_index: Table<AtomicU32>,
    pub(crate) ready: Table<ReadyRow>,
}

/// Whether participants are dead. A wrong "alive" costs time; "dead" must be a fact.
pub trait Liveness {
    /// Whether the user of process slot `process`, in the life that `word` names, can never store again.
    fn process_is_dead(&self, process: u16, word: word::ProcessWord) -> bool;
    /// Whether the thread of that id and start is gone although the user of process slot `process`, which had it,
    /// lives.
    fn thread_is_dead(&self, process: u16, thread: u32, start: u64) -> bool;
    /// Makes every registered thread's earlier stores visible; false where the kernel cannot.
    fn barrier(&self) -> bool;
}

/// A block that is there: where its word is and what it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located<'h> {
    /// Its truth word.
    pub(crate) word: &'h AtomicU64,
    /// What the word said.
    pub(crate) seen: BlockWord,
    /// First page of its slab or span.
    pub(crate) head: u64,
    /// What that page's word said.
    pub(crate) page: PageWord,
    /// Bytes it has room for.
    pub(crate) bytes: u64,
}

/// Why a reference leads to no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing starts there.
    NotABlock,
    /// Another use of the offset: its generation.
    Stale(u64),
}

impl Heap {
    /// The tables of the pool in `region`, whose header says `geometry`.
    ///
    /// # Errors
    /// [`Corrupt`] when the region is too short for them.
    pub fn new(geometry: Geometry, region: &Region, store: Store) -> Result<Self, Corrupt> {
        let (at, shape) = (geometry.offsets, geometry.shape);
        let (pages, bits) = (shape.maximum_pages, geometry.page_bit_words());
        let tier = |tier: usize| region.table(at.tiers[tier], geometry.tier_words(tier), "block words");
        let metadata_words = (at.data_backed - at.metadata_backed) / 8;
        Ok(Self {
            header: first(region.table(0, 1, PoolHeader::NAME)?)?,
            processes: region.table(at.processes, shape.process_limit.into(), ProcessSlot::NAME)?,
            lanes: region.table(at.lanes, shape.lane_limit.into(), Lane::NAME)?,
            channels: region.table(at.channels, shape.channel_limit.into(), "channel table")?,
            pages: region.table(at.page_words, pages, "page words")?,
            used: region.table(at.used, bits, "used hints")?,
            orphan: region.table(at.orphan, bits, "orphan hints")?,
            pending: region.table(at.pending, bits, "pending hints")?,
            descriptors: region.table(at.descriptors, pages, PageDescriptor::NAME)?,
            tiers: [tier(0)?, tier(1)?, tier(2)?, tier(3)?],
            long: region.table(at.long, geometry.long_words(), "long bitmaps")?,
            manifest: region.table(at.manifest, geometry.manifest_buckets(), ManifestBucket::NAME)?,
            manifest_index: region.table(at.manifest_index, geometry.manifest_places(), "manifest index")?,
            ready: region.table(at.ready, shape.process_limit.into(), ReadyRow::NAME)?,
            backing: Backing {
                store,
                metadata: region.table(at.metadata_backed, metadata_words, "backed metadata")?,
                data: region.table(at.data_backed, (at.processes - at.data_backed) / 8, "backed data")?,
                data_start: at.data,
                chunk_shift: geometry.chunk_shift,
                huge: None,
            },
            reach: Arc::default(),
            starts_zero: true,
            wiper: None,
            starts_low: false,
            clock: weyr_sys::clock::monotonic_ns,
            window_pages: region.len().saturating_sub(at.data) >> shape.page_shift,
            geometry,
        })
    }

    /// A heap in memory of its own, without data: for models and tests of the protocol.
    pub fn in_memory(geometry: Geometry) -> Self {
        fn table<T: Zeroed + weyr_shared::Shareable>(count: u64) -> Table<T> {
            Table::from_vec((0..count).map(|_| T::zeroed()).collect())
        }
        let (shape, bits) = (geometry.shape, geometry.page_bit_words());
        let heap = Self {
            header: table::<PoolHeader>(1).element(0).expect("one element"),
            processes: table(shape.process_limit.into()),
            lanes: table(shape.lane_limit.into()),
            channels: table(shape.channel_limit.into()),
            pages: table(shape.maximum_pages),
            used: table(bits),
            orphan: table(bits),
            pending: table(bits),
            descriptors: table(shape.maximum_pages),
            tiers: std::array::from_fn(|tier| table(geometry.tier_words(tier))),
            long: table(geometry.long_words()),
            manifest: table(geometry.manifest_buckets()),
            manifest_index: table(geometry.manifest_places()),
            ready: table(shape.process_limit.into()),
            backing: Backing {
                store: Store::Present,
                metadata: table(0),
                data: table(0),
                data_start: geometry.offsets.data,
                chunk_shift: geometry.chunk_shift,
                huge: None,
            },
            window_pages: shape.maximum_pages,
            reach: Arc::default(),
            starts_zero: true,
            wiper: None,
            starts_low: false,
            // Time stands still: nothing expires.
            clock: || 0,
            geometry,
        };
        heap.header().segments.store(1, Ordering::Relaxed);
        heap
    }

    /// The pool's header.
    #[inline]
    pub fn header(&self) -> &PoolHeader {
        &self.header
    }

    /// Pages there are now of those that this process has mapped: what it can allocate.
    #[inline]
    pub fn current_pages(&self) -> u64 {
        self.pool_pages().min(self.window_pages)
    }

    /// Pages there are now, mapped or not; grows while others watch. Never more than the object is long enough for.
    /// Everybody has mapped what describes them, so the dead are recovered, and blocks found, in all of them.
    #[inline]
    pub fn pool_pages(&self) -> u64 {
        let pages = self.geometry.pages(self.segments().segments());
        let inside =
            !matches!(self.backing.store, Store::Object(_)) || pages <= self.reach.load(Ordering::Relaxed);
        if inside { pages } else { self.pages_within_object(pages) }
    }

    /// The object was seen to be `bytes` long, and no object of a pool gets shorter.
    pub(crate) fn reaches(&self, bytes: u64) {
        self.reach.fetch_max(self.backing.pages_in(bytes, self.geometry.shape.page_shift), Ordering::Relaxed);
    }

    /// The header is an allegation, and touching what lies behind the object's end would end in a signal.
    #[cold]
    fn pages_within_object(&self, pages: u64) -> u64 {
        let within = self.backing.object_pages(self.geometry.shape.page_shift);
        self.reach.fetch_max(within, Ordering::Relaxed);
        pages.min(within)
    }

    /// Every process slot that was ever taken; the others are free.
    pub(crate) fn process_numbers(&self) -> std::ops::Range<u16> {
        marked(&self.header().process_mark, self.processes.len())
    }

    /// Every lane that was ever taken; the others are free.
    pub(crate) fn lane_numbers(&self) -> std::ops::Range<u16> {
        marked(&self.header().lane_mark, self.lanes.len())
    }

    pub(crate) fn page(&self, page: u64) -> PageWord {
        // Acquire: pairs with whoever brought the page into this state.
        self.pages.get(page as usize).map_or(PageWord::NOWHERE, |word| PageWord(word.load(Ordering::Acquire)))
    }

    /// Changes a page word that was seen as `from`. AcqRel: publishes what was prepared, and takes over what others did.
    pub(crate) fn change_page(&self, page: u64, from: PageWord, to: PageWord) -> bool {
        self.pages.get(page as usize).is_some_and(|word| {
            word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
        })
    }

    /// Sets a page word that nobody else may change. Release: publishes what was prepared.
    pub(crate) fn set_page(&self, page: u64, to: PageWord) {
        if let Some(word) = self.pages.get(page as usize) {
            word.store(to.0, Ordering::Release);
        }
    }

    pub(crate) fn descriptor(&self, page: u64) -> &PageDescriptor {
        &self.descriptors[page as usize]
    }

    /// Data offset of the start of `page`.
    pub(crate) fn page_offset(&self, page: u64) -> u64 {
        page << self.geometry.shape.page_shift
    }

    /// Word of the block of `class` that starts at data offset `offset`.
    #[inline]
    pub(crate) fn block_word(&self, class: &Class, offset: u64) -> &AtomicU64 {
        let tier = usize::from(class.tier) % TIER_SHIFTS.len();
        &self.tiers[tier][(offset >> TIER_SHIFTS[tier]) as usize]
    }

    /// Word of the span whose head is `page`.
    pub(crate) fn span_word(&self, page: u64) -> &AtomicU64 {
        &self.tiers[0][(self.page_offset(page) >> TIER_SHIFTS[0]) as usize]
    }

    /// The class that a page word names, if this pool has slabs of it.
    #[inline]
    pub(crate) fn class(&self, page: PageWord) -> Option<&Class> {
        self.geometry.classes.get(page.class() as usize).filter(|class| class.pages > 0)
    }

    /// The class of the slab at `head`, if all of such a slab can lie there.
    #[inline]
    pub(crate) fn slab_class(&self, head: u64, page: PageWord) -> Option<&Class> {
        self.class(page).filter(|class| head + u64::from(class.pages) <= self.geometry.shape.maximum_pages)
    }

    /// First page of the slab or span that `page` lies in, with its word.
    #[inline]
    pub(crate) fn head_of(&self, page: u64) -> Option<(u64, PageWord)> {
        let word = self.page(page);
        if word.state() != PageState::Tail {
            return Some((page, word));
        }
        let head = page.checked_sub(word.distance())?;
        let backed = self.backing.has_metadata(self.geometry.offsets.page_words + head * 8);
        backed.then(|| (head, self.page(head)))
    }

    /// The block that starts at a data offset, whatever its state. By loads only.
    pub(crate) fn locate_offset(&self, offset: u64) -> Option<Located<'_>> {
        self.locate_offset_here(offset)
    }

    /// [`locate_offset`](Self::locate_offset) for who is called so often that passing five words on would count.
    #[inline(always)]
    fn locate_offset_here(&self, offset: u64) -> Option<Located<'_>> {
        let page = offset >> self.geometry.shape.page_shift;
        // A page whose word was never backed was never given out, and must not be touched.
        let backed = self.backing.has_metadata(self.geometry.offsets.page_words + page * 8);
        if page >= self.pool_pages() || !backed {
            return None;
        }
        let (head, word) = self.head_of(page)?;
        match word.state() {
            PageState::Slab | PageState::Orphan => self.locate_in_slab(head, word, offset),
            PageState::Head => self.locate_span(head, word, offset),
            _ => None,
        }
    }

    #[inline(always)]
    fn locate_in_slab(&self, head: u64, page: PageWord, offset: u64) -> Option<Located<'_>> {
        let class = self.slab_class(head, page)?;
        class.index(offset - self.page_offset(head))?;
        let word = self.block_word(class, offset);
        let seen = BlockWord(word.load(Ordering::Acquire));
        Some(Located { word, seen, head, page, bytes: class.size.into() })
    }

    #[inline(never)]
    fn locate_span(&self, head: u64, page: PageWord, offset: u64) -> Option<Located<'_>> {
        let pages = self.descriptor(head).span_pages.load(Ordering::Relaxed);
        let inside = head.checked_add(pages).is_some_and(|end| end <= self.pool_pages());
        if offset != self.page_offset(head) || pages == 0 || !inside {
            return None;
        }
        let word = self.span_word(head);
        let seen = BlockWord(word.load(Ordering::Acquire));
        Some(Located { word, seen, head, page, bytes: self.page_offset(pages) })
    }

    /// Byte of the object at which the word of the block at data offset `offset` lies.
    pub(crate) fn word_at(&self, block: &Located<'_>, offset: u64) -> u64 {
        let in_slab = matches!(block.page.state(), PageState::Slab | PageState::Orphan);
        let class = self.class(block.page).filter(|_| in_slab);
        let tier = usize::from(class.map_or(0, |class| class.tier));
        self.geometry.offsets.tiers[tier] + (offset >> TIER_SHIFTS[tier]) * 8
    }

    /// Whether something starts at a data offset, or may, that does not lie within what this process has mapped,
    /// though it lies in the pool. By loads only.
    pub(crate) fn is_outside_window(&self, offset: u64) -> bool {
        let pages = self.geometry.pages(self.segments().segments());
        let page = offset >> self.geometry.shape.page_shift;
        if page >= self.window_pages {
            return page < pages;
        }
        let backed = self.backing.has_metadata(self.geometry.offsets.page_words + page * 8);
        if pages <= self.window_pages || !backed || self.page(page).state() != PageState::Head {
            return false;
        }
        let end = page.saturating_add(self.descriptor(page).span_pages.load(Ordering::Relaxed));
        end > self.window_pages && end <= pages
    }

    /// Whether the block that `reference` means is on its way in a message. By loads only.
    pub(crate) fn is_in_flight(&self, reference: BlockReference) -> bool {
        self.locate(reference).is_ok_and(|block| block.seen.state().is_in_flight())
    }

    /// The block that `reference` means. By loads only.
    pub(crate) fn locate(&self, reference: BlockReference) -> Result<Located<'_>, Missing> {
        self.locate_here(reference)
    }

    /// [`locate`](Self::locate) for who is called so often that passing five words on would count.
    #[inline(always)]
    pub(crate) fn locate_here(&self, reference: BlockReference) -> Result<Located<'_>, Missing> {
        let located = self.locate_offset_here(reference.offset).ok_or(Missing::NotABlock)?;
        if located.seen.generation() == reference.generation {
            Ok(located)
        } else {
            Err(Missing::Stale(located.seen.generation()))
        }
    }

    /// Changes the state of the block that `reference` means, from one that `judge` allows to what `judge` says.
    ///
    /// Commit point: the compare-exchange of its word.
    pub(crate) fn change_block(
        &self,
        reference: BlockReference,
        judge: impl Fn(BlockWord) -> Option<BlockWord>,
    ) -> Result<BlockWord, ChangeError> {
        loop {
            let located = self.locate_here(reference).map_err(ChangeError::Missing)?;
            let next = judge(located.seen).ok_or(ChangeError::Refused(located.seen.state()))?;
            let changed =
                located.word.compare_exchange(located.seen.0, next.0, Ordering::AcqRel, Ordering::Acquire);
            if changed.is_ok() {
                return Ok(located.seen);
            }
        }
    }

    /// Word of the owner's free bits of one row of a slab.
    #[inline]
    pub(crate) fn local_row(&self, head: u64, class: &Class, row: usize) -> &AtomicU64 {
        if class.rows() == 1 {
            return &self.descriptor(head).local;
        }
        &self.long[self.long_index(head, row)]
    }

    /// Word of the others' free bits of one row of a slab.
    pub(crate) fn remote_row(&self, head: u64, class: &Class, row: usize) -> &AtomicU64 {
        if class.rows() == 1 {
            return &self.descriptor(head).remote;
        }
        &self.long[self.long_index(head, row) + 1]
    }

    fn long_index(&self, head: u64, row: usize) -> usize {
        ((self.page_offset(head) >> 12) as usize + row) * 2
    }
}

/// Acquire: pairs with [`mark`], behind which the number is taken.
fn marked(mark: &AtomicU32, limit: usize) -> std::ops::Range<u16> {
    0..(mark.load(Ordering::Acquire) as usize).min(limit) as u16
}

/// Raises a mark above `number`, before that is taken.
pub(crate) fn mark(mark: &AtomicU32, number: u16) {
    let above = u32::from(number) + 1;
    if mark.load(Ordering::Relaxed) < above {
        mark.fetch_max(above, Ordering::AcqRel);
    }
}

fn first(headers: Table<PoolHeader>) -> Result<Element<PoolHeader>, Corrupt> {
    headers.element(0).ok_or(Corrupt::new(PoolHeader::NAME, 0))
}

/// Why a block's state was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeError {
    /// The reference leads to no block.
    Missing(Missing),
    /// Its state forbids it.
    Refused(BlockState),
}
