//! A heap as text: its numbers, its members, and the bytes of its metadata under the names of the layout.
//!
//! Payload is left out: it is its users'. Bytes that the pool has not backed are zeros that nobody touches.

use std::fmt;

use weyr_shared::hex_dump;

use crate::pool::section::Section;
use crate::{Error, Inspection};

/// A dump, to be shown: every look at it is a look at the heap.
#[derive(Debug)]
pub struct Dump {
    inspection: Inspection,
}

impl Inspection {
    /// What the pool holds, in text, for a person: numbers, members, and the bytes of its metadata.
    ///
    /// ```
    /// use weyr_managed::{BufferHeap, Mapping, PoolAttributes};
    ///
    /// let memory = Mapping::anonymous(256 << 10)?;
    /// let heap = BufferHeap::init(memory, &PoolAttributes::new("shown", 0))?;
    /// let _block = heap.alloc(100)?;
    /// let text = heap.dump().to_string();
    /// assert!(text.contains("1 block of 128 bytes") && text.contains("|weyrpool"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dump(self) -> Dump {
        Dump { inspection: self }
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_numbers(f)?;
        self.write_members(f)?;
        let sections = self.inspection.sections();
        let metadata = sections.iter().filter(|section| section.part.name != "data");
        metadata.into_iter().try_for_each(|section| self.write_section(f, section))
    }
}

/// Bytes that are copied at a time.
const CHUNK: u64 = 64 << 10;

impl Dump {
    fn write_numbers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pool = &self.inspection;
        let statistics = pool.statistics();
        writeln!(f, "{} {:032x}", pool.name(), pool.uuid())?;
        writeln!(
            f,
            "{} of {} bytes used ({:.1} %), {} at most so far; {} free, the largest piece {}",
            statistics.used_bytes,
            statistics.size_bytes,
            statistics.utilization(),
            statistics.peak_bytes,
            statistics.free_bytes,
            statistics.largest_free_bytes
        )?;
        statistics.sizes.iter().try_for_each(|size| {
            let blocks = if size.used == 1 { "block" } else { "blocks" };
            writeln!(f, "  {} {blocks} of {} bytes, {} free", size.used, size.block_bytes, size.free)
        })
    }

    fn write_members(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inspection.members().iter().try_for_each(|member| {
            let standing = if member.dead { "dead" } else { "alive" };
            writeln!(f, "process {} in slot {}: {standing}", member.pid, member.actor.process)
        })
    }

    fn write_section(&self, f: &mut fmt::Formatter<'_>, section: &Section) -> fmt::Result {
        writeln!(f, "\n{}: {} bytes from {:#x} on", section.part.name, section.bytes, section.offset)?;
        let mut at = section.offset;
        loop {
            match self.next_chunk(at, section.end()) {
                Ok(None) => return Ok(()),
                Ok(Some((start, bytes))) => {
                    write!(f, "{}", hex_dump(&bytes, start))?;
                    at = start + bytes.len() as u64;
                }
                // An error of a formatter would end the program.
                Err(error) => return writeln!(f, "the rest cannot be read: {error}"),
            }
        }
    }

    /// The first bytes at or behind `at` that are stored, and where they start.
    fn next_chunk(&self, at: u64, end: u64) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let stored = self.inspection.next_stored(at)?.filter(|stored| stored.start < end);
        let Some(stored) = stored else { return Ok(None) };
        let mut bytes = vec![0; (stored.end.min(end) - stored.start).min(CHUNK) as usize];
        let read = self.inspection.read(stored.start, &mut bytes)?;
        bytes.truncate(read);
        Ok((read > 0).then_some((stored.start, bytes)))
    }
}
