//! One record of the manifest: its tag, and the fields that the tag covers.

use weyr_atomic::Ordering;
use weyr_shared::BlockReference;

use super::Key;
use crate::heap::fault::{Fault, leaves_out};
use crate::heap::word::BlockWord;
use crate::layout::ManifestRecord;

/// State of a record.
///
/// | state | means | left by | to |
/// | --- | --- | --- | --- |
/// | Empty | no record; the version is that of the last | any lane, compare-exchange, version + 1 | Filling |
/// | Filling{lane} | that lane writes the fields | that lane, or a helper once it is dead | Entered, Empty |
/// | Entered{lane} | the fields stand, and it is looked whether the key is another's | whoever wants the key; a helper | Valid, Empty |
/// | Valid | the block has the key as long as the block lives | whoever sees the block gone | Empty |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordState {
    /// No record.
    Empty,
    /// Its fields are being written.
    Filling,
    /// A key that somebody wants.
    Entered,
    /// A key that a block has, if the block is there.
    Valid,
    /// No state that this version writes.
    Unknown,
}

/// The truth about a record: `state:4 | lane:16 | version:44`. Zero is Empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordTag(pub u64);

impl RecordTag {
    const VERSIONS: u64 = (1 << 44) - 1;

    const fn new(state: u64, lane: u16, version: u64) -> Self {
        Self(state | (lane as u64) << 4 | (version & Self::VERSIONS) << 20)
    }
    /// Which state it is in.
    pub const fn state(self) -> RecordState {
        match self.0 & 15 {
            0 => RecordState::Empty,
            1 => RecordState::Filling,
            2 => RecordState::Entered,
            3 => RecordState::Valid,
            _ => RecordState::Unknown,
        }
    }
    /// Lane that fills it or wants its key.
    pub const fn lane(self) -> u16 {
        (self.0 >> 4) as u16
    }
    /// How often the record was filled.
    pub const fn version(self) -> u64 {
        self.0 >> 20
    }
    /// `lane` begins to fill it, as a version that it never had.
    pub(super) fn filling(self, lane: u16) -> Self {
        let next = u64::from(!leaves_out(Fault::RecordVersion));
        Self::new(1, lane, self.version() + next)
    }
    /// The same filling, its fields written.
    pub(super) const fn entered(self) -> Self {
        Self::new(2, self.lane(), self.version())
    }
    /// The same filling, its key won.
    pub(super) const fn valid(self) -> Self {
        Self::new(3, 0, self.version())
    }
    /// The same filling, over.
    pub(super) const fn empty(self) -> Self {
        Self::new(0, 0, self.version())
    }
    /// Whether the fields say something.
    pub(super) const fn has_fields(self) -> bool {
        matches!(self.state(), RecordState::Entered | RecordState::Valid)
    }
    /// Whether a lane is at work on it.
    pub(super) const fn is_half_made(self) -> bool {
        matches!(self.state(), RecordState::Filling | RecordState::Entered)
    }
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Type and id.
    pub key: Key,
    /// The block that has them.
    pub block: BlockReference,
    /// Bytes that were asked for.
    pub bytes: u64,
}

const LOW_BITS: u32 = 20;
const LOW: u64 = (1 << LOW_BITS) - 1;

impl Record {
    /// Writes the fields. Release: who sees one of them sees the tag that says FILLING, or a later one.
    pub(super) fn write(&self, to: &ManifestRecord) {
        let BlockReference { offset, generation } = self.block;
        to.id.store(self.key.id, Ordering::Release);
        let high = generation >> LOW_BITS;
        to.type_and_generation.store(u64::from(self.key.type_id) | high << 32, Ordering::Release);
        to.block.store(generation & LOW | (offset / 64) << LOW_BITS, Ordering::Release);
        to.bytes.store(self.bytes, Ordering::Release);
    }

    /// Reads the fields, which mean something only if the tag is the same before and behind.
    fn read(from: &ManifestRecord) -> Self {
        let id = from.id.load(Ordering::Acquire);
        let type_and_generation = from.type_and_generation.load(Ordering::Acquire);
        let block = from.block.load(Ordering::Acquire);
        let generation = (type_and_generation >> 32) << LOW_BITS | block & LOW;
        Self {
            key: Key { type_id: type_and_generation as u32, id },
            block: BlockReference {
                offset: (block >> LOW_BITS) * 64,
                generation: generation % BlockWord::GENERATION_LIMIT,
            },
            bytes: from.bytes.load(Ordering::Acquire),
        }
    }
}

/// Times that a record is read again because it changed meanwhile: each time somebody else got on.
const READINGS: usize = 64;

impl ManifestRecord {
    pub(super) fn look(&self) -> RecordTag {
        // Acquire: pairs with whoever brought the record into this state, so that its fields are seen.
        RecordTag(self.tag.load(Ordering::Acquire))
    }

    /// Changes a tag that was seen as `from`. AcqRel: publishes the fields, and takes over what others did.
    pub(super) fn change(&self, from: RecordTag, to: RecordTag) -> bool {
        self.tag.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The tag and the fields that belong to it; none when the record has no fields.
    pub(super) fn snapshot(&self) -> Option<(RecordTag, Record)> {
        self.snapshot_if(|_| true)
    }

    /// [`snapshot`](Self::snapshot) of a record that may have `key`; none when it has another.
    pub(super) fn snapshot_of(&self, key: Key) -> Option<(RecordTag, Record)> {
        // The id alone tells most of them: a record that gets the key later was entered later.
        self.snapshot_if(|record| record.id.load(Ordering::Acquire) == key.id)
            .filter(|(_, record)| record.key == key)
    }

    fn snapshot_if(&self, may_be: impl Fn(&Self) -> bool) -> Option<(RecordTag, Record)> {
        let mut tag = self.look();
        for _ in 0..READINGS {
            if !tag.has_fields() || !may_be(self) {
                return None;
            }
            let record = Record::read(self);
            let again = self.look();
            if again == tag {
                return Some((tag, record));
            }
            tag = again;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use weyr_atomic::Zeroed as _;

    use super::*;

    #[test]
    fn a_tag_keeps_its_parts_apart() {
        let tag = RecordTag(0).filling(65_535);
        assert_eq!((tag.state(), tag.lane(), tag.version()), (RecordState::Filling, 65_535, 1));
        assert_eq!((tag.entered().state(), tag.entered().lane()), (RecordState::Entered, 65_535));
        assert_eq!((tag.valid().state(), tag.valid().version()), (RecordState::Valid, 1));
        assert_eq!((tag.empty().state(), tag.empty().version()), (RecordState::Empty, 1));
        let last = RecordTag(!15);
        assert_eq!(last.filling(0).version(), 0, "versions stay in their bits");
    }

    #[test]
    fn a_record_says_what_was_written() {
        let place = ManifestRecord::zeroed();
        let record = Record {
            key: Key { type_id: u32::MAX, id: u64::MAX },
            block: BlockReference {
                offset: ((1 << 40) - 1) * 64,
                generation: BlockWord::GENERATION_LIMIT - 1,
            },
            bytes: 77,
        };
        let tag = RecordTag(0).filling(3).entered();
        assert!(place.change(RecordTag(0), tag.entered()));
        record.write(&place);
        assert_eq!(place.snapshot(), Some((tag, record)));
        assert_eq!(place.snapshot_of(record.key), Some((tag, record)));
        assert_eq!(place.snapshot_of(Key { type_id: 1, ..record.key }), None);
        assert_eq!(place.snapshot_of(Key { id: 1, ..record.key }), None);
    }
}
