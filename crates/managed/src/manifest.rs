//! Allocations with a type and an id: made, found and listed.
//!
//! Type and id are the user's; together they name at most one allocation of a pool at a time. They exist on
//! [`Published`] memory only, which nobody's death frees.
//!
//! Source: Dragon managed memory, the manifest of a pool.

use weyr_shared::{BlockReference, Loan};

use crate::allocation::explain;
use crate::heap::manifest::Key;
use crate::heap::manifest::insert::Refused;
use crate::heap::manifest::record::{Record, RecordState};
use crate::heap::word::BlockState;
use crate::heap::{ChangeError, Located};
use crate::membership::attachment::Attachment;
use crate::{Allocation, Error, Pool, Published};

/// Bits of a block id that are the generation's.
const ID_GENERATION_BITS: u32 = 24;

/// One 64-bit number for a block and its use: `offset/64:40 | low 24 bits of the generation`.
///
/// The other 20 bits of the generation are not in it: it could name another allocation only once the same place was
/// allocated a multiple of 2^24 times more.
pub(crate) const fn block_id(reference: BlockReference) -> u64 {
    (reference.offset / 64) << ID_GENERATION_BITS | reference.generation & ((1 << ID_GENERATION_BITS) - 1)
}

/// An entry of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Type; never 0.
    pub type_id: u32,
    /// Id within the type.
    pub id: u64,
    /// The block that has them.
    pub reference: BlockReference,
    /// Bytes that were asked for.
    pub bytes: u64,
}

impl ManifestEntry {
    fn of(record: Record) -> Self {
        let Record { key: Key { type_id, id }, block, bytes } = record;
        Self { type_id, id, reference: block, bytes }
    }

    /// What [`Pool::find_by_id`] finds it by.
    pub fn block_id(&self) -> u64 {
        block_id(self.reference)
    }
}

/// An allocation of a pool, with or without a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolAllocation {
    /// Its name in the pool.
    pub reference: BlockReference,
    /// Bytes it has room for; those that were asked for stand in its entry.
    pub room: u64,
    /// Whose it is.
    pub state: BlockState,
    /// Process slot of its owner, or of the sender of the message that has it.
    pub process: Option<u16>,
    /// Its entry in the manifest.
    pub entry: Option<ManifestEntry>,
}

impl PoolAllocation {
    /// What [`Pool::find_by_id`] finds it by, if it is published.
    pub fn block_id(&self) -> u64 {
        block_id(self.reference)
    }
}

#[inline]
fn key(type_id: u32, id: u64) -> Result<Key, Error> {
    if type_id == 0 { Err(Error::ReservedType) } else { Ok(Key { type_id, id }) }
}

impl Attachment {
    /// Gives a block of this process a key. The block stays the process's when that is refused.
    #[inline(never)]
    fn publish_typed(&self, record: &Record) -> Result<(), Error> {
        self.with_lane_unless(
            |own| self.heap.publish_typed(own, record),
            |refused| self.publish_typed_again(record, refused),
        )
    }

    /// After a refusal: the truth first, for the dead may be filling records, or have won the key and not have come to
    /// an end.
    #[cold]
    fn publish_typed_again(&self, record: &Record, refused: Refused) -> Result<(), Error> {
        let again = refused == Refused::Full || refused == Refused::KeyTaken && self.is_unmade(record.key);
        let outcome = if again {
            self.with_lane(|own, _| {
                self.heap.recover_dead(own, &self.liveness(), &self.channels());
                self.heap.publish_typed(own, record)
            })?
        } else {
            Err(refused)
        };
        let Key { type_id, id } = record.key;
        outcome.map_err(|refused| match refused {
            Refused::KeyTaken => Error::KeyTaken { type_id, id },
            Refused::Full => Error::ManifestFull { limit: self.heap.geometry.shape.manifest_limit },
            Refused::Backing(errno) => self.backing_error(errno, crate::geometry::METADATA_CHUNK),
            Refused::Block(error) => explain(error, record.block, "giving it a type"),
        })
    }

    /// Whether the block that won `key` is on its way to being typed.
    fn is_unmade(&self, key: Key) -> bool {
        self.heap.find_record(key).is_some_and(|(_, _, record)| !self.heap.is_made(&record))
    }

    /// The block that `reference` means, if it is published.
    pub(crate) fn public(
        &self,
        reference: BlockReference,
        action: &'static str,
    ) -> Result<Located<'_>, Error> {
        self.check_window(reference)?;
        let located = self.heap.locate(reference);
        let block = located.map_err(|error| explain(ChangeError::Missing(error), reference, action))?;
        match block.seen.state() {
            state if state.is_public() => Ok(block),
            state => Err(explain(ChangeError::Refused(state), reference, action)),
        }
    }

    /// Checks that the block has the type and id of a descriptor, 0 being none.
    pub(crate) fn check_key(
        &self,
        reference: BlockReference,
        state: BlockState,
        type_id: u32,
        id: u64,
    ) -> Result<Option<Key>, Error> {
        let has_it = match type_id {
            0 => state != BlockState::Typed,
            _ => {
                let found = self.heap.find_typed(Key { type_id, id });
                found.is_some_and(|record| record.block == reference)
            }
        };
        if !has_it {
            return Err(Error::WrongType { offset: reference.offset, type_id, id });
        }
        Ok((type_id != 0).then_some(Key { type_id, id }))
    }
}

impl Allocation {
    /// Makes it the pool's under a type and an id, by which every process finds it until somebody frees it.
    ///
    /// Does not wait for anybody: of several that want one type and id at once exactly one gets it. Commit point: one compare-exchange of the block's word. Before it a death frees the block, and
    /// type and id with it.
    ///
    /// # Errors
    /// [`Error::KeyTaken`] when another allocation has them; [`Error::ManifestFull`], also after the dead gave up
    /// theirs; [`Error::ReservedType`] for type 0; [`Error::FilesystemFull`], [`Error::Forked`]. The allocation is
    /// dropped then.
    /// Source: Dragon managed memory, `dragon_memory_alloc_type`.
    #[inline]
    pub fn publish_as(self, type_id: u32, id: u64) -> Result<Published, Error> {
        let record = Record { key: key(type_id, id)?, block: self.reference(), bytes: self.len() };
        self.attachment()?.publish_typed(&record)?;
        Ok(self.into_published(false)?.with_key(record.key))
    }
}

impl Published {
    /// Type, if it has one.
    /// Source: Dragon managed memory, `dragon_memory_manifest_info`.
    pub fn type_id(&self) -> Option<u32> {
        self.key().map(|key| key.type_id)
    }

    /// Id within its type, if it has one.
    pub fn id(&self) -> Option<u64> {
        self.key().map(|key| key.id)
    }

    /// One number by which [`Pool::find_by_id`] finds it, whether it has a type or not:
    /// `offset/64:40 | low 24 bits of the generation`.
    /// Source: Dragon managed memory, `dragon_memory_id`.
    pub fn block_id(&self) -> u64 {
        block_id(self.reference())
    }
}

impl Pool {
    /// Allocates `bytes` bytes under a type (not 0) and an id of the user's choice: [`alloc`](Self::alloc), then
    /// [`Allocation::publish_as`].
    ///
    /// ```
    /// # use weyr_managed::{Pool, PoolAttributes};
    /// # let name = format!("doc-typed-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// const FRAME: u32 = 7;
    /// pool.alloc_typed(4096, FRAME, 42)?.write(0, b"hello")?;
    /// let found = pool.find(FRAME, 42)?;
    /// assert_eq!((found.len(), found.id()), (4096, Some(42)));
    /// found.free()?;
    /// assert!(!pool.exists(FRAME, 42));
    /// # pool.destroy()?;
    /// # Ok::<(), weyr_managed::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the two give; nothing is allocated then.
    /// Source: Dragon managed memory, `dragon_memory_alloc_type`.
    #[inline]
    pub fn alloc_typed(&self, bytes: u64, type_id: u32, id: u64) -> Result<Published, Error> {
        self.alloc(bytes)?.publish_as(type_id, id)
    }

    /// The allocation of this type and id. By loads only; does not wait.
    ///
    /// # Errors
    /// [`Error::NotInManifest`]; [`Error::WrongState`] while a message has it; [`Error::OutsideWindow`].
    pub fn find(&self, type_id: u32, id: u64) -> Result<Published, Error> {
        let missing = Error::NotInManifest { type_id, id };
        let record = self.attachment().heap.find_typed(Key { type_id, id }).ok_or_else(|| missing.clone())?;
        let block = self.attachment().public(record.block, "finding it").map_err(|error| match error {
            // Freed since its record was read.
            Error::Stale { .. } | Error::DoubleFree { .. } | Error::NotABlock { .. } => missing,
            other => other,
        })?;
        Ok(self.published(record.block, record.bytes.min(block.bytes)).with_key(record.key))
    }

    /// Whether an allocation has this type and id, be it with a message at the moment.
    /// Source: Dragon managed memory, `dragon_memory_pool_allocation_exists`.
    pub fn exists(&self, type_id: u32, id: u64) -> bool {
        self.attachment().heap.find_typed(Key { type_id, id }).is_some()
    }

    /// The published allocation, typed or not, of this [block id](Published::block_id). By loads only.
    ///
    /// One without a type is found with all its room, for nothing says how much of it was asked for.
    ///
    /// # Errors
    /// [`Error::NotABlock`]; [`Error::Stale`] when another use of the place is there (with the low 24 bits of the
    /// generation that was meant); [`Error::DoubleFree`] when it was freed; [`Error::WrongState`] when it is not
    /// published; [`Error::OutsideWindow`].
    /// Source: Dragon managed memory, `dragon_memory_get_alloc_memdescr`.
    pub fn find_by_id(&self, block_id: u64) -> Result<Published, Error> {
        let heap = &self.attachment().heap;
        let offset = (block_id >> ID_GENERATION_BITS) * 64;
        let meant = block_id & ((1 << ID_GENERATION_BITS) - 1);
        let block = heap.locate_offset(offset).ok_or(Error::NotABlock { offset })?;
        let found = block.seen.generation();
        if found & ((1 << ID_GENERATION_BITS) - 1) != meant {
            return Err(Error::Stale { offset, meant, found });
        }
        let reference = BlockReference { offset, generation: found };
        let block = self.attachment().public(reference, "finding it")?;
        let record = self.record_of(reference, block.seen.state());
        let bytes = record.map_or(block.bytes, |record| record.bytes.min(block.bytes));
        let published = self.published(reference, bytes).frozen_if(block.seen.state() == BlockState::Frozen);
        Ok(match record {
            Some(record) => published.with_key(record.key),
            None => published,
        })
    }

    /// The record of a block in this state.
    pub(crate) fn record_of(&self, reference: BlockReference, state: BlockState) -> Option<Record> {
        let typed = matches!(state, BlockState::Typed | BlockState::InFlightTyped);
        if typed { self.attachment().heap.record_of(reference) } else { None }
    }

    fn published(&self, reference: BlockReference, bytes: u64) -> Published {
        Published::original(Loan::single(self.attachment()), reference, bytes, false, self.cooperation())
    }

    /// Every allocation with a type and an id, in no order. Others go on meanwhile: what is there all the time is listed
    /// once; what comes or goes, perhaps.
    /// Source: Dragon managed memory, `dragon_memory_pool_get_allocations`.
    pub fn manifest(&self) -> impl Iterator<Item = ManifestEntry> + '_ {
        let heap = &self.attachment().heap;
        let valid = heap.records().filter(|(_, tag, _)| tag.state() == RecordState::Valid);
        valid.filter(|(_, _, record)| heap.is_made(record)).map(|(_, _, record)| ManifestEntry::of(record))
    }

    /// The allocations of one type, as [`manifest`](Self::manifest) lists them.
    /// Source: Dragon managed memory, `dragon_memory_pool_get_type_allocations`.
    pub fn manifest_of_type(&self, type_id: u32) -> impl Iterator<Item = ManifestEntry> + '_ {
        self.manifest().filter(move |entry| entry.type_id == type_id)
    }

    /// Every allocation of the pool, with or without a type, published or owned, and the channels. One pass over the
    /// block words: some milliseconds per gibibyte of small blocks; stops nobody.
    pub fn allocations(&self) -> Vec<PoolAllocation> {
        let mut found = Vec::new();
        self.attachment().heap.for_each_block(|block, offset| {
            let reference = BlockReference { offset, generation: block.seen.generation() };
            let state = block.seen.state();
            let owned = state == BlockState::Alloc || state.is_in_flight();
            found.push(PoolAllocation {
                reference,
                room: block.bytes,
                state,
                process: owned.then_some(block.seen.actor()),
                entry: self.record_of(reference, state).map(ManifestEntry::of),
            });
        });
        found
    }
}
