//! The map of a channel, for documentation and dumps.

use super::level::LEVEL_HEADER_BYTES;
use super::{ATTACHMENTS_AT, ATTRIBUTE_BYTES, Geometry, HEADER_BYTES, LISTENER_BYTES};
use crate::SLOT_HEAD_BYTES;

/// One part of a channel, or of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Bytes from the start of the channel, or of the slot.
    pub offset: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// What it is.
    pub name: &'static str,
    /// What lies there.
    pub holds: &'static str,
}

const fn part(offset: u64, bytes: u64, name: &'static str, holds: &'static str) -> Part {
    Part { offset, bytes, name, holds }
}

/// Where everything lies.
impl Geometry {
    /// The parts of a channel, by offset; between them are only bytes that round up to a line.
    pub const fn parts(&self) -> [Part; 7] {
        let (attachments, slots) = (self.processes as u64 * 8, self.slot_count() as u64 * self.stride());
        let levels = (self.levels as u64 - 1) * LEVEL_HEADER_BYTES;
        [
            part(0, HEADER_BYTES, "header", "RingHeader"),
            part(
                HEADER_BYTES,
                LISTENER_BYTES,
                "listeners",
                "`process:16 | registration:16 | interest:8 | epoch:24`, one word each; zero is free",
            ),
            part(
                ATTACHMENTS_AT,
                attachments,
                "attachments",
                "`tag:32 | epoch:16 | handles:16`, one word a process slot of the pool",
            ),
            part(
                self.sleepers_at(),
                self.sleepers_bytes(),
                "sleepers",
                "`epoch:8 | senders:12 | receivers:12`, half a word a process slot of the pool",
            ),
            part(self.levels_at(), levels, "levels", "LevelHeader of each priority level above the lowest"),
            part(
                self.buffer_pool_at(),
                self.slots_at() - self.buffer_pool_at(),
                "buffer pool",
                "BufferPoolRecord, where the channel's flag says so",
            ),
            part(self.slots_at(), slots, "slots", "Slot, level by level"),
        ]
    }

    /// The parts of each slot, by offset from its start; up to the next slot are bytes that round up to a line.
    pub const fn slot_parts(&self) -> [Part; 3] {
        let block = self.block_size as u64;
        let attributes = if self.attributes { ATTRIBUTE_BYTES } else { 0 };
        [
            part(0, SLOT_HEAD_BYTES, "slot head", "word and description of the slot"),
            part(SLOT_HEAD_BYTES, block, "payload block", "the bytes of the message, or its reference"),
            part(
                SLOT_HEAD_BYTES + block,
                attributes,
                "message attributes",
                "SlotExtension, where the channel's flag says so",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each part begins where the one before ends, but for what rounds up to a line.
    fn assert_in_a_row(parts: &[Part], end: u64) {
        for pair in parts.windows(2) {
            let (last, next) = (pair[0].offset + pair[0].bytes, pair[1].offset);
            assert!(next == last || next == last.next_multiple_of(64), "{pair:?}");
        }
        let last = parts[parts.len() - 1];
        assert_eq!((last.offset + last.bytes).next_multiple_of(64), end);
    }

    #[test]
    fn the_parts_fill_a_channel_and_each_of_its_slots() {
        for (block_size, attributes, processes) in [(48, false, 1), (1024, true, 1024), (1000, true, 7)] {
            let geometry = Geometry { block_size, capacity: 3, attributes, processes, ..Geometry::PLAIN };
            assert_in_a_row(&geometry.parts(), geometry.bytes());
            let levels = Geometry { levels: 3, urgent: 2, ..geometry };
            assert_in_a_row(&levels.parts(), levels.bytes());
            let buffers = Geometry { buffer_pool: true, ..levels };
            assert_eq!(buffers.bytes(), levels.bytes() + 512);
            assert_in_a_row(&buffers.parts(), buffers.bytes());
            assert_in_a_row(&geometry.slot_parts(), geometry.stride());
        }
    }
}
