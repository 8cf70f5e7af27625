//! Slabs: allocations smaller than a page or two.
//!
//! A slab belongs to one lane, its owner, which allocates from it with a plain store of the block word and takes its
//! own blocks back the same way. Everybody else frees by compare-exchange of the block word (the loser of two frees
//! learns it), then tells the owner through hints: a bit in the slab's remote row, the page's pending bit, the owner's
//! inbox. A hint that was lost in a death costs nothing for good: `rebuild` and adoption read the words.

use weyr_atomic::{AtomicU64, Ordering};
use weyr_shared::BlockReference;
use weyr_sys::Errno;

use super::class::{Class, class_at_once};
use super::fault::{Fault, leaves_out};
use super::lane::{LaneHeap, MAGAZINE};
use super::page::{clear_hint, set_hint};
use super::word::{BlockState, BlockWord, PageState, PageWord};
use super::{ChangeError, Heap, Located, Missing};

impl Heap {
    /// Allocates a block of class `class` from the lane's magazine, owned by its process; generation 0 is none.
    ///
    /// Commit point: the store of the block word. Before it nothing happened; behind it the block is the process's,
    /// and freed with it.
    #[inline(always)]
    fn pop(&self, own: &mut LaneHeap, class: usize) -> BlockReference {
        let Some(cache) = own.classes.get_mut(class) else { return BlockReference::NONE };
        while cache.filled > 0 && cache.filled <= MAGAZINE {
            cache.filled -= 1;
            let offset = cache.magazine[cache.filled];
            let Some(word) = cache.word(offset) else { continue };
            // Acquire: pairs with whoever freed it; an entry left from an earlier use of the block comes without the
            // swap of the remote bits.
            let seen = BlockWord(word.load(Ordering::Acquire));
            // The magazine is a hint; only the owner makes a FREE word anything else, so FREE is final.
            if seen.is_free() {
                let generation = seen.next_generation();
                word.store(own.allocated.of_generation(generation).0, Ordering::Release);
                return BlockReference { offset, generation };
            }
        }
        BlockReference::NONE
    }

    /// The fast path of an allocation of `bytes` bytes: a block that the lane has at hand. Generation 0 is none.
    #[inline(always)]
    pub(crate) fn alloc_at_hand(&self, own: &mut LaneHeap, bytes: u64) -> BlockReference {
        let Some(class) = class_at_once(bytes) else { return BlockReference::NONE };
        if !self.enter_at_once(own) {
            return BlockReference::NONE;
        }
        let block = self.pop(own, class);
        self.leave(own);
        block
    }

    /// The fast path of a free of `bytes` bytes: a block in an own slab that nobody else can free, with room in the
    /// magazine. False when it is anything else, and then nothing has changed.
    #[inline(always)]
    pub(crate) fn free_at_hand(&self, own: &mut LaneHeap, reference: BlockReference, bytes: u64) -> bool {
        let Some(class) = class_at_once(bytes) else { return false };
        if !self.enter_at_once(own) {
            return false;
        }
        let freed = self.push(own, reference, class);
        self.leave(own);
        freed
    }

    /// Commit point: the store of the block word.
    #[inline(always)]
    fn push(&self, own: &mut LaneHeap, reference: BlockReference, class: usize) -> bool {
        let page = reference.offset >> self.geometry.shape.page_shift;
        let Some(cache) = own.classes.get_mut(class).filter(|cache| cache.filled < MAGAZINE) else {
            return false;
        };
        let Some(seen) = self.pages.get(page as usize) else { return false };
        let slab =
            PageWord(seen.load(Ordering::Relaxed)).is_like(cache.slab) || self.is_tail_of(page, cache.slab);
        // The block is one of this class since it was given out, and its page still is: so it starts where one does.
        let Some(word) = cache.word(reference.offset).filter(|_| slab) else { return false };
        if word.load(Ordering::Relaxed) != own.allocated.of_generation(reference.generation).0 {
            return false;
        }
        word.store(BlockWord::free(reference.generation).0, Ordering::Release);
        cache.magazine[cache.filled] = reference.offset;
        cache.filled += 1;
        true
    }

    /// Whether `page` lies behind the first page of a slab like `slab`.
    #[inline(never)]
    fn is_tail_of(&self, page: u64, slab: PageWord) -> bool {
        self.head_of(page).is_some_and(|(_, word)| word.is_like(slab))
    }

    /// Allocates a block of class `class`, taking new pages if need be. Not what idle lanes and the dead hold.
    ///
    /// # Errors
    /// The kernel's, when pages could not be backed.
    pub(crate) fn alloc_block(
        &self,
        own: &mut LaneHeap,
        class: usize,
    ) -> Result<Option<BlockReference>, Errno> {
        self.enter(own);
        let mut result = Ok(None);
        loop {
            let block = self.pop(own, class);
            if block.generation != 0 {
                result = Ok(Some(block));
                break;
            }
            match self.refill(own, class) {
                Ok(true) => {}
                Ok(false) => break,
                Err(errno) => {
                    result = Err(errno);
                    break;
                }
            }
        }
        self.leave(own);
        result
    }

    /// Puts free blocks of `class` into the magazine: from own slabs, from what others freed, from an orphan, from new
    /// pages. False when there are none.
    #[cold]
    fn refill(&self, own: &mut LaneHeap, class: usize) -> Result<bool, Errno> {
        if self.refill_from_own(own, class) {
            return Ok(true);
        }
        self.harvest(own);
        if self.refill_from_own(own, class) || self.adopt_one(own, class) && self.refill_from_own(own, class)
        {
            return Ok(true);
        }
        Ok(self.claim_slab(own, class)? && self.refill_from_own(own, class))
    }

    fn refill_from_own(&self, own: &mut LaneHeap, class: usize) -> bool {
        while let Some(&head) = own.classes[class].available.last() {
            let seen = self.page(head);
            let mine = seen.is_slab_of(own.lane) && seen.class() as usize == class;
            if mine {
                if self.fill_magazine(own, class, head) {
                    return true;
                }
                // The slab in use is looked at without being told.
                if self.collect_remote(own, class, head) {
                    continue;
                }
            }
            own.classes[class].available.pop();
        }
        false
    }

    /// Moves up to a magazine of local bits of slab `head` into the magazine.
    fn fill_magazine(&self, own: &mut LaneHeap, class: usize, head: u64) -> bool {
        let geometry = &self.geometry.classes[class];
        let start = self.page_offset(head);
        let cache = &mut own.classes[class];
        let before = cache.filled;
        for row in 0..geometry.rows() {
            let word = self.local_row(head, geometry, row);
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 && cache.filled < MAGAZINE {
                let block = row as u64 * 64 + u64::from(bits.trailing_zeros());
                bits &= bits - 1;
                if block < geometry.blocks.into() {
                    cache.magazine[cache.filled] = start + block * u64::from(geometry.size);
                    cache.filled += 1;
                }
            }
            word.store(bits, Ordering::Relaxed);
            if cache.filled == MAGAZINE {
                break;
            }
        }
        // The lowest block is taken first.
        cache.magazine[before..cache.filled].reverse();
        let count = &self.descriptor(head).local_count;
        count.store(
            count.load(Ordering::Relaxed).saturating_sub((cache.filled - before) as u64),
            Ordering::Relaxed,
        );
        cache.filled > before
    }

    /// Takes over what others freed in own slab `head`; whether that was anything.
    fn collect_remote(&self, own: &mut LaneHeap, class: usize, head: u64) -> bool {
        let geometry = &self.geometry.classes[class];
        let descriptor = self.descriptor(head);
        let rows = if geometry.rows() == 1 { 1 } else { descriptor.remote_rows.swap(0, Ordering::AcqRel) };
        let mut added = 0;
        for row in (0..geometry.rows()).filter(|row| rows >> row & 1 == 1) {
            // AcqRel: pairs with the freer's fetch_or, so that its block words are seen.
            let freed = self.remote_row(head, geometry, row).swap(0, Ordering::AcqRel);
            let local = self.local_row(head, geometry, row);
            let before = local.load(Ordering::Relaxed);
            local.store(before | freed, Ordering::Relaxed);
            added += u64::from((freed & !before).count_ones());
        }
        self.note_local(own, class, head, added);
        added > 0
    }

    /// Accounts `added` local bits of slab `head`; one that had none becomes available.
    fn note_local(&self, own: &mut LaneHeap, class: usize, head: u64, added: u64) {
        let count = &self.descriptor(head).local_count;
        let before = count.load(Ordering::Relaxed);
        count.store(before.wrapping_add(added), Ordering::Relaxed);
        let cache = &mut own.classes[class];
        if added > 0 && (before == 0 || cache.available.is_empty()) && cache.available.last() != Some(&head) {
            cache.make_available(head);
        }
    }

    /// Takes over what others freed in own slabs and told this lane about.
    fn harvest(&self, own: &mut LaneHeap) {
        let groups = self.pending.len();
        for index in 0..8 {
            let inbox = &self.lane_state(own.lane).inbox[index];
            if inbox.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut told = inbox.swap(0, Ordering::AcqRel);
            while told != 0 {
                let bit = index * 64 + told.trailing_zeros() as usize;
                told &= told - 1;
                for group in (bit..groups).step_by(512) {
                    self.harvest_group(own, group);
                }
            }
        }
    }

    fn harvest_group(&self, own: &mut LaneHeap, group: usize) {
        if !self.backing.has_metadata(self.geometry.offsets.pending + group as u64 * 8) {
            return;
        }
        let mut pending = self.pending[group].load(Ordering::Acquire);
        while pending != 0 {
            let head = group as u64 * 64 + u64::from(pending.trailing_zeros());
            pending &= pending - 1;
            let seen = self.page(head);
            if seen.is_slab_of(own.lane) && self.slab_class(head, seen).is_some() {
                // Cleared before the rows are read: a free that comes later tells again.
                clear_hint(&self.pending, head);
                self.collect_remote(own, seen.class() as usize, head);
            }
        }
    }

    /// Makes an orphan of `class` this lane's own; false when the hints know of none.
    fn adopt_one(&self, own: &mut LaneHeap, class: usize) -> bool {
        if self.header().orphan_pages.load(Ordering::Relaxed) as i64 <= 0 {
            return false;
        }
        let words = self.orphan.len() as u64;
        let backed = |word: &u64| self.backing.has_metadata(self.geometry.offsets.orphan + word * 8);
        let reserved = self.reserved_against(own.lane);
        for word in (0..words).filter(backed) {
            let mut bits = self.orphan[word as usize].load(Ordering::Acquire);
            while bits != 0 {
                let head = word * 64 + u64::from(bits.trailing_zeros());
                bits &= bits - 1;
                let seen = self.page(head);
                let fits = seen.state() == PageState::Orphan && seen.class() as usize == class;
                if reserved.is_some_and(|run| self.slab_touches(head, seen, run)) {
                    continue;
                }
                if fits && self.adopt(own, head, seen) {
                    return true;
                }
            }
        }
        false
    }

    /// ORPHAN to SLAB{own}; then the hints are made anew from the block words.
    ///
    /// Commit point: the page word. A death behind it leaves a slab of a dead lane with wrong hints, which is
    /// orphaned and adopted again.
    pub(crate) fn adopt(&self, own: &mut LaneHeap, head: u64, seen: PageWord) -> bool {
        let Some(class) = self.slab_class(head, seen) else { return false };
        // What this process has not mapped it cannot allocate from.
        if head + u64::from(class.pages) > self.current_pages() {
            return false;
        }
        if !self.change_page(head, seen, PageWord::slab(seen.class(), own.lane, seen.next_epoch())) {
            return false;
        }
        clear_hint(&self.orphan, head);
        self.header().orphan_pages.fetch_sub(1, Ordering::Relaxed);
        // A real swap even of zeros: it orders this after every freer that saw the page without owner.
        self.descriptor(head).remote_rows.swap(0, Ordering::AcqRel);
        for row in 0..class.rows() {
            self.remote_row(head, class, row).swap(0, Ordering::AcqRel);
        }
        self.rebuild(own, head, class, seen.class().into());
        true
    }

    /// Makes the local bits of own slab `head` anew from the block words; returns the free blocks.
    pub(crate) fn rebuild(&self, own: &mut LaneHeap, head: u64, class: &Class, index: usize) -> u64 {
        let (start, end) = (self.page_offset(head), self.page_offset(head + u64::from(class.pages)));
        own.forget_slab(index, head, start, end);
        own.add_slab(index, head);
        let mut free = 0;
        for row in 0..class.rows() {
            let mut bits = 0;
            for bit in 0..(class.blocks as usize - row * 64).min(64) {
                let offset = start + (row * 64 + bit) as u64 * u64::from(class.size);
                if BlockWord(self.block_word(class, offset).load(Ordering::Acquire)).is_free() {
                    bits |= 1 << bit;
                    free += 1;
                }
            }
            self.local_row(head, class, row).store(bits, Ordering::Relaxed);
        }
        self.descriptor(head).local_count.store(free, Ordering::Relaxed);
        if free > 0 {
            own.classes[index].make_available(head);
        }
        free
    }

    /// Makes a slab of new pages; false when there are none.
    ///
    /// Commit point: the head's word becomes SLAB{lane}. Before it a helper releases the run.
    fn claim_slab(&self, own: &mut LaneHeap, class: usize) -> Result<bool, Errno> {
        let geometry = self.geometry.classes[class];
        let pages = u64::from(geometry.pages);
        let Some((head, claim)) = self.claim_pages(own, pages)? else {
            return Ok(false);
        };
        let backed = self.back_slab(head, &geometry).and_then(|()| self.back_data(head, pages));
        if let Err(errno) = backed {
            self.give_back(head, own.lane);
            return Err(errno);
        }
        self.format_slab(head, &geometry);
        self.change_page(head, claim, PageWord::slab(class as u8, own.lane, claim.epoch()));
        own.add_slab(class, head);
        own.classes[class].make_available(head);
        Ok(true)
    }

    fn back_slab(&self, head: u64, class: &Class) -> Result<(), Errno> {
        let at = &self.geometry.offsets;
        let (start, bytes) = (self.page_offset(head), self.page_offset(class.pages.into()));
        let shift = super::class::TIER_SHIFTS[class.tier as usize];
        self.backing.metadata(at.tiers[class.tier as usize] + (start >> shift) * 8, (bytes >> shift) * 8)?;
        if class.rows() > 1 {
            self.backing.metadata(at.long + (start >> 12) * 16, (bytes >> 12) * 16)?;
        }
        Ok(())
    }

    /// All blocks free, with generations above all that this memory ever had.
    fn format_slab(&self, head: u64, class: &Class) {
        let pages = u64::from(class.pages);
        let base_of = |page| self.descriptor(page).generation_base.load(Ordering::Acquire);
        let base = (head..head + pages).map(base_of).max().unwrap_or(0);
        // Blocks begin inside tail pages too, so every page begins at the largest base of all.
        (head + 1..head + pages).for_each(|page| self.raise_base(page, base));
        if base > 0 && !leaves_out(Fault::GenerationBase) {
            let start = self.page_offset(head);
            for block in 0..u64::from(class.blocks) {
                let word = self.block_word(class, start + block * u64::from(class.size));
                word.store(BlockWord::free(base).0, Ordering::Relaxed);
            }
        }
        for row in 0..class.rows() {
            self.remote_row(head, class, row).store(0, Ordering::Relaxed);
            let left = class.blocks as usize - row * 64;
            let bits = if left >= 64 { u64::MAX } else { (1 << left) - 1 };
            self.local_row(head, class, row).store(bits, Ordering::Relaxed);
        }
        let descriptor = self.descriptor(head);
        descriptor.remote_rows.store(0, Ordering::Relaxed);
        descriptor.local_count.store(class.blocks.into(), Ordering::Relaxed);
    }

    /// Frees the block that `reference` means if `allowed` says so of its word.
    ///
    /// `exclusive`: the caller is the only one who can free it (an affine handle of the owning process), so the owner
    /// lane may do it by a plain store. Commit point: the block word.
    pub(crate) fn free(
        &self,
        own: &mut LaneHeap,
        reference: BlockReference,
        exclusive: bool,
        allowed: impl Fn(BlockWord) -> bool,
    ) -> Result<(), ChangeError> {
        self.enter(own);
        let result = self.free_entered(own, reference, exclusive, allowed);
        self.leave(own);
        result
    }

    #[inline]
    fn free_entered(
        &self,
        own: &mut LaneHeap,
        reference: BlockReference,
        exclusive: bool,
        allowed: impl Fn(BlockWord) -> bool,
    ) -> Result<(), ChangeError> {
        let block = self.locate_here(reference).map_err(ChangeError::Missing)?;
        if !allowed(block.seen) {
            return Err(ChangeError::Refused(block.seen.state()));
        }
        if block.page.state() == PageState::Head {
            let kept = exclusive && self.keep_span(own, block);
            return if kept { Ok(()) } else { self.free_span(own, block) };
        }
        let mine = block.page.is_slab_of(own.lane);
        let freed = BlockWord::free(reference.generation);
        if mine && exclusive && block.seen.state() == BlockState::Alloc {
            block.word.store(freed.0, Ordering::Release);
        } else {
            let changed =
                block.word.compare_exchange(block.seen.0, freed.0, Ordering::AcqRel, Ordering::Acquire);
            changed.map_err(|now| lost_free(reference, BlockWord(now)))?;
        }
        if mine {
            self.keep(own, block.page.class().into(), reference.offset);
        } else {
            self.tell_owner(block, reference.offset);
        }
        Ok(())
    }

    /// Puts a block that the owner freed into its magazine.
    #[inline]
    fn keep(&self, own: &mut LaneHeap, class: usize, offset: u64) {
        if own.classes[class].filled == MAGAZINE {
            self.flush(own, class);
        }
        let cache = &mut own.classes[class];
        cache.magazine[cache.filled] = offset;
        cache.filled += 1;
    }

    /// Moves the older half of a full magazine into the local bits, and gives slabs back that are all free.
    #[cold]
    fn flush(&self, own: &mut LaneHeap, class: usize) {
        let geometry = self.geometry.classes[class];
        let mut oldest = [0; MAGAZINE / 2];
        let cache = &mut own.classes[class];
        oldest.copy_from_slice(&cache.magazine[..MAGAZINE / 2]);
        cache.magazine.copy_within(MAGAZINE / 2.., 0);
        cache.filled = MAGAZINE / 2;
        // Each of their slabs once: no more than there are blocks.
        let (mut touched, mut count) = ([0; MAGAZINE / 2], 0);
        for offset in oldest {
            let Some((head, seen)) = self.head_of(offset >> self.geometry.shape.page_shift) else { continue };
            let inside = offset.checked_sub(self.page_offset(head)).and_then(|offset| geometry.index(offset));
            let (true, Some(block)) = (seen.is_slab_of(own.lane), inside) else { continue };
            let row = self.local_row(head, &geometry, block as usize / 64);
            let before = row.load(Ordering::Relaxed);
            row.store(before | 1 << (block % 64), Ordering::Relaxed);
            self.note_local(own, class, head, u64::from(before >> (block % 64) & 1 == 0));
            if !touched[..count].contains(&head) {
                touched[count] = head;
                count += 1;
            }
        }
        for &head in &touched[..count] {
            self.retire_if_spare(own, class, head);
        }
    }

    /// Gives a slab back that seems all free, unless it is the only one with free blocks.
    fn retire_if_spare(&self, own: &mut LaneHeap, class: usize, head: u64) {
        let blocks = u64::from(self.geometry.classes[class].blocks);
        let spare = own.classes[class].available.iter().any(|&page| page != head);
        if spare && self.descriptor(head).local_count.load(Ordering::Relaxed) >= blocks {
            self.retire(own, head);
        }
    }

    /// Gives own slab `head` back if all its blocks are free.
    ///
    /// Only the owner leaves FREE, so once all words were seen FREE they stay so. The generation base goes up before
    /// the page word changes. A remote bit that comes late hits the next life of the page, where it is a stale hint.
    pub(crate) fn retire(&self, own: &mut LaneHeap, head: u64) -> bool {
        let seen = self.page(head);
        let Some(class) = self.slab_class(head, seen).copied() else { return false };
        if !seen.is_slab_of(own.lane) {
            return false;
        }
        let start = self.page_offset(head);
        let mut highest = 0;
        for block in 0..u64::from(class.blocks) {
            let offset = start + block * u64::from(class.size);
            let word = BlockWord(self.block_word(&class, offset).load(Ordering::Acquire));
            if !word.is_free() {
                return false;
            }
            highest = highest.max(word.generation());
        }
        own.forget_slab(seen.class().into(), head, start, start + self.page_offset(class.pages.into()));
        let raised = if leaves_out(Fault::BaseOfEveryPage) { 1 } else { u64::from(class.pages) };
        (head..head + raised).for_each(|page| self.raise_base(page, highest));
        if self.change_page(head, seen, PageWord::claim(own.lane, seen.epoch())) {
            self.give_back(head, own.lane);
        }
        true
    }

    /// Tells whoever owns the slab *now* that a block of it was freed.
    ///
    /// The page word is loaded again behind the remote bit: an adopter that came in between has swapped the rows
    /// before, and would not be told by the owner seen first. Each level is looked at; a level that is set already
    /// spares only its own write, for whoever set it may have stopped before the next.
    pub(crate) fn tell_owner(&self, block: Located<'_>, offset: u64) {
        let Some(class) = self.class(block.page) else { return };
        let Some(index) = class.index(offset - self.page_offset(block.head)) else { return };
        let row = index as usize / 64;
        self.remote_row(block.head, class, row).fetch_or(1 << (index % 64), Ordering::AcqRel);
        if class.rows() > 1 {
            raise(&self.descriptor(block.head).remote_rows, 1 << row);
        }
        weyr_atomic::look_after_write();
        let now = if leaves_out(Fault::PageWordAgain) { block.page } else { self.page(block.head) };
        if now.state() == PageState::Slab {
            set_hint(&self.pending, block.head);
            if let Some(lane) = self.known_lane(now.lane()) {
                let group = block.head / 64 % 512;
                raise(&lane.inbox[(group / 64) as usize], 1 << (group % 64));
            }
        }
    }
}

fn raise(word: &AtomicU64, mask: u64) {
    if word.load(Ordering::Relaxed) & mask != mask {
        word.fetch_or(mask, Ordering::AcqRel);
    }
}

/// What a free that lost the race for the block word has to say.
fn lost_free(reference: BlockReference, now: BlockWord) -> ChangeError {
    if now.generation() == reference.generation {
        ChangeError::Refused(now.state())
    } else {
        ChangeError::Missing(Missing::Stale(now.generation()))
    }
}
