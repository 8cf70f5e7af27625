//! Wiping: in a pool that asks for it, what is free is zero.
//!
//! Who frees a block first makes it its process's own, by an exact exchange of the block's word from what it judged;
//! then it fills the block with zeros, and frees it as its own. So one fills at a time, and nobody can have the block
//! meanwhile. Who dies in between leaves a block of a dead process: a helper takes it over by the same exchange, and
//! fills it anew. Where a block is named by the caller's own process slot, but by its former user, that exchange would
//! change nothing, and a late helper could fill beside the caller: there the generation goes up with it.
//!
//! What it does not do: bytes in the slots of a channel stay until the next message, or the channel's end; the pages of
//! an object that is removed are the kernel's to clear.

use weyr_atomic::Ordering;
use weyr_shared::{BlockReference, Payload, Region};
use weyr_sys::Errno;
use weyr_sys::object::Object;

use super::backing::Store;
use super::lane::LaneHeap;
use super::word::{BlockState, BlockWord, PageState, generation_after};
use super::{ChangeError, Heap, Located};

/// How a process reaches the bytes of free blocks.
#[derive(Debug, Clone)]
pub(crate) struct Wiper {
    /// What it has mapped of the data area.
    pub(crate) data: Region,
}

/// Where the bytes are not mapped: through the object.
fn write_zeros(object: &Object, offset: u64, bytes: u64) -> Result<(), Errno> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut written = 0;
    while written < bytes {
        let step = (bytes - written).min(ZEROS.len() as u64);
        match object.write_at(offset + written, &ZEROS[..step as usize]) {
            Ok(()) => written += step,
            // Huge pages are not written so; a hole of theirs is zero, and is backed again.
            Err(Errno::INVAL) => {
                object.punch(offset, bytes)?;
                return object.back(offset, bytes);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

impl Heap {
    /// Whether what is free is zero.
    #[inline]
    pub(crate) fn wipes(&self) -> bool {
        self.wiper.is_some()
    }

    /// Fills `bytes` bytes from data offset `offset` on with zeros, in a pool that wipes. They are the caller's alone.
    ///
    /// # Errors
    /// The kernel's, where they are not mapped and the object cannot be written.
    pub(crate) fn wipe(&self, offset: u64, bytes: u64) -> Result<(), Errno> {
        let Some(wiper) = &self.wiper else { return Ok(()) };
        let mapped = wiper.data.len().saturating_sub(offset).min(bytes);
        if mapped > 0 {
            Payload::new(&wiper.data, offset, mapped, None).map_err(|_| Errno::INVAL)?.fill(0);
        }
        match &self.backing.store {
            _ if mapped == bytes => Ok(()),
            Store::Object(object) => {
                write_zeros(object, self.backing.data_start + offset + mapped, bytes - mapped)
            }
            Store::Memory | Store::Present => Err(Errno::INVAL),
        }
    }

    /// Frees a block that others may free as well, if `allowed` says so of its word, wiped where the pool wants it. Commit
    /// point: its word, which makes it this process's where it is to be wiped.
    ///
    /// # Errors
    /// The block's, when it is not there or not allowed.
    #[inline]
    pub(crate) fn free_wiped(
        &self,
        own: &mut LaneHeap,
        reference: BlockReference,
        allowed: impl Fn(BlockWord) -> bool,
    ) -> Result<(), ChangeError> {
        if !self.wipes() {
            return self.free(own, reference, false, allowed);
        }
        self.take(own, reference, allowed)?;
        self.wipe_block(reference);
        let process = own.process;
        let owned = |word: BlockWord| word.state() == BlockState::Alloc && word.actor() == process;
        self.free(own, reference, true, owned)
    }

    /// Makes a block this process's: from there on it is freed with the process.
    fn take(
        &self,
        own: &LaneHeap,
        reference: BlockReference,
        allowed: impl Fn(BlockWord) -> bool,
    ) -> Result<(), ChangeError> {
        let taken = |word: BlockWord| allowed(word).then_some(word.with(BlockState::Alloc, own.process));
        // Whoever has taken it already is freeing it.
        let lost = |error| match error {
            ChangeError::Refused(BlockState::Alloc) => ChangeError::Refused(BlockState::Free),
            error => error,
        };
        self.change_block(reference, taken).map(|_| ()).map_err(lost)
    }

    /// Wipes a block of this process, where the pool wants it.
    #[inline]
    pub(crate) fn wipe_block(&self, reference: BlockReference) {
        if self.wipes() {
            self.wipe_all_of(reference);
        }
    }

    #[cold]
    fn wipe_all_of(&self, reference: BlockReference) {
        let bytes = self.room_of(reference);
        if let Err(errno) = self.wipe(reference.offset, bytes) {
            tracing::error!(?reference, %errno, "memory could not be wiped before it was freed");
        }
    }

    /// Frees what `block`'s word names, wiped. Whether it was the caller who did: another may have been first.
    pub(crate) fn settle_wiped(&self, own: &LaneHeap, block: Located<'_>, offset: u64) -> bool {
        let taken = match block.seen.with(BlockState::Alloc, own.process) {
            // Of the former user of the caller's slot.
            same if same == block.seen => {
                BlockWord::new(BlockState::Alloc, own.process, generation_after(block.seen.generation()))
            }
            taken => taken,
        };
        let word = block.word;
        if word.compare_exchange(block.seen.0, taken.0, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        if let Err(errno) = self.wipe(offset, block.bytes) {
            tracing::error!(offset, %errno, "memory of the dead could not be wiped before it was freed");
        }
        let block = Located { seen: taken, ..block };
        if block.page.state() == PageState::Head {
            return self.free_span(own, block).is_ok();
        }
        // Nobody but this process leaves the state while it lives.
        word.store(BlockWord::free(taken.generation()).0, Ordering::Release);
        self.tell_owner(block, offset);
        true
    }
}
