//! The invariants of the manifest.

use std::collections::{HashMap, HashSet};

use weyr_shared::BlockReference;

use super::record::{Record, RecordState, RecordTag};
use super::{Fate, Key};
use crate::heap::Heap;
use crate::heap::verify::{Check, Mode, Verification};
use crate::heap::word::BlockState;

const HALF_DONE: &str = "nothing is left half done";

impl Heap {
    /// Checks records against blocks and against each other. By loads only.
    pub(crate) fn verify_manifest(&self, result: &mut Verification, mode: Mode) {
        for number in self.known_records() {
            self.confirm(result, mode, number as u64, || self.check_record(number, mode));
        }
        let of_live_block = |(_, tag, record): &(usize, RecordTag, Record)| {
            tag.state() == RecordState::Valid && self.fate(record.block).counts()
        };
        let mut keys: HashMap<Key, usize> = HashMap::new();
        let mut blocks = HashSet::new();
        for (number, _, record) in self.records().filter(of_live_block) {
            result.records += 1;
            blocks.insert(record.block);
            if let Some(other) = keys.insert(record.key, number) {
                let place = number as u64;
                self.confirm(result, mode, place, || self.check_keys_differ(number, other));
            }
        }
        self.for_each_block(|block, offset| {
            let reference = BlockReference { offset, generation: block.seen.generation() };
            if is_typed(block.seen.state()) && !blocks.contains(&reference) {
                self.confirm(result, mode, offset, || self.check_has_record(reference));
            }
        });
    }

    fn check_record(&self, number: usize, mode: Mode) -> Check {
        let place = self.record(number);
        let tag = place.look();
        match tag.state() {
            RecordState::Empty => Ok(()),
            RecordState::Unknown => Err(("record state is known", format!("tag {:#018x}", tag.0))),
            RecordState::Filling | RecordState::Entered if mode == Mode::Quiesced => {
                Err((HALF_DONE, format!("record {number} in the hands of lane {}", tag.lane())))
            }
            RecordState::Filling | RecordState::Entered => {
                self.check_lane_in_use(tag.lane(), "a half-made record")
            }
            RecordState::Valid => match place.snapshot() {
                Some((again, record)) if again == tag => self.check_block_of(number, &record, mode),
                _ => Ok(()),
            },
        }
    }

    fn check_block_of(&self, number: usize, record: &Record, mode: Mode) -> Check {
        match self.fate(record.block) {
            Fate::Gone | Fate::Lives(BlockState::Alloc) if mode == Mode::Quiesced => {
                Err((HALF_DONE, format!("record {number} of a block that is not typed, or gone")))
            }
            Fate::Gone | Fate::OutsideWindow | Fate::Lives(BlockState::Alloc | BlockState::Resizing) => {
                Ok(())
            }
            Fate::Lives(state) if is_typed(state) => Ok(()),
            Fate::Lives(state) => Err((
                "records are of typed blocks",
                format!(
                    "record {number} of the block at {:#x}, which is {}",
                    record.block.offset,
                    state.name()
                ),
            )),
        }
    }

    fn check_keys_differ(&self, number: usize, other: usize) -> Check {
        let key = |number| {
            let (tag, record) = self.record(number).snapshot()?;
            let counts = tag.state() == RecordState::Valid && self.fate(record.block).counts();
            counts.then_some(record.key)
        };
        match key(number) {
            Some(same) if key(other) == Some(same) => {
                Err(("keys are unique", format!("records {number} and {other} both have {same:?}")))
            }
            _ => Ok(()),
        }
    }

    fn check_has_record(&self, block: BlockReference) -> Check {
        let typed = matches!(self.fate(block), Fate::Lives(state) if is_typed(state));
        if typed && self.record_of(block).is_none() {
            return Err(("typed blocks have a record", format!("{block:?}")));
        }
        Ok(())
    }
}

pub(super) fn is_typed(state: BlockState) -> bool {
    matches!(state, BlockState::Typed | BlockState::InFlightTyped)
}
