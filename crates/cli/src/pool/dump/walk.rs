//! Through one part of a pool's file: what is stored line by line, zeros and holes as runs.

use std::io;
use std::ops::Range;

use weyr::managed::{Inspection, Section};

use super::line::{Cut, Item};
use crate::failure::Failure;

/// Bytes read at a time.
const WINDOW_BYTES: u64 = 64 << 10;
/// Longest piece of a record that is folded as a whole.
const PIECE_BYTES: u64 = 4096;

/// A walk through `range` of one section.
pub(super) struct Walk<'p> {
    pool: &'p Inspection,
    section: &'p Section,
    range: Range<u64>,
    /// What was read last, from this byte of the object on.
    window: (u64, Vec<u8>),
    /// Zeros that were not shown yet.
    zeros: Range<u64>,
}

type Emit<'e> = &'e mut dyn FnMut(Item) -> io::Result<()>;

impl<'p> Walk<'p> {
    pub(super) fn new(pool: &'p Inspection, section: &'p Section, range: Range<u64>) -> Self {
        // Whole lines: a field is not cut in the middle.
        let start = line_start(section, range.start);
        let zeros = start..start;
        Self { pool, section, range: start..range.end, window: (0, Vec::new()), zeros }
    }

    pub(super) fn run(mut self, emit: Emit<'_>) -> io::Result<()> {
        let mut at = self.range.start;
        while at < self.range.end {
            let stored = self.pool.next_stored(at).map_err(failed)?;
            let stored = stored.filter(|stored| stored.start < self.range.end);
            let Some(stored) = stored else {
                self.skip_to(self.range.end);
                break;
            };
            let start = line_start(self.section, stored.start).max(at);
            self.skip_to(start);
            at = self.pieces(start..stored.end.min(self.range.end), emit)?;
        }
        self.flush(emit)
    }

    fn skip_to(&mut self, end: u64) {
        self.zeros.end = end;
    }

    /// Shows the pieces of records in `range`; returns where the last one ended.
    fn pieces(&mut self, range: Range<u64>, emit: Emit<'_>) -> io::Result<u64> {
        let mut at = range.start;
        while at < range.end {
            let end = piece_end(self.section, at);
            let bytes = self.read(at..end)?;
            match bytes.iter().all(|byte| *byte == 0) {
                true => self.skip_to(end),
                false => self.lines(at, &bytes, emit)?,
            }
            at = end;
        }
        Ok(at)
    }

    fn lines(&mut self, start: u64, piece: &[u8], emit: Emit<'_>) -> io::Result<()> {
        let end = (start + piece.len() as u64).min(self.range.end);
        let mut at = start;
        while at < end {
            let cut = Cut::at(self.section, at);
            let bytes = &piece[(at - start) as usize..((cut.end - start) as usize).min(piece.len())];
            if cut.folds() && bytes.iter().all(|byte| *byte == 0) {
                self.skip_to(cut.end);
            } else {
                self.flush(emit)?;
                emit(Item::Line(cut.line(self.section, at, bytes)))?;
                self.zeros = cut.end..cut.end;
            }
            at = cut.end;
        }
        Ok(())
    }

    fn flush(&mut self, emit: Emit<'_>) -> io::Result<()> {
        let Range { start, end } = self.zeros;
        self.zeros = end..end;
        if end > start { emit(Item::Zeros { offset: start, bytes: end - start }) } else { Ok(()) }
    }

    /// The bytes of `range`, zeros behind the end of the object.
    fn read(&mut self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let (start, bytes) = &mut self.window;
        if range.start < *start || range.end > *start + bytes.len() as u64 {
            *start = range.start;
            bytes.resize(WINDOW_BYTES as usize, 0);
            let there = self.pool.read(range.start, bytes).map_err(failed)?;
            bytes[there..].fill(0);
        }
        let from = (range.start - *start) as usize;
        Ok(bytes[from..from + (range.end - range.start) as usize].to_vec())
    }
}

/// The start of the line in which byte `at` lies.
fn line_start(section: &Section, at: u64) -> u64 {
    let into = at.saturating_sub(section.offset);
    if section.fields.is_empty() {
        return section.offset + into / super::line::LINE_BYTES * super::line::LINE_BYTES;
    }
    let mut start = section.offset + into / section.stride * section.stride;
    loop {
        let end = Cut::at(section, start).end;
        if end > at {
            return start;
        }
        start = end;
    }
}

/// The end of the piece that begins at a line.
fn piece_end(section: &Section, at: u64) -> u64 {
    if section.fields.is_empty() {
        return (at + PIECE_BYTES).min(section.end());
    }
    let record_end = section.offset + ((at - section.offset) / section.stride + 1) * section.stride;
    let mut end = at;
    while end < record_end && end - at < PIECE_BYTES {
        end = Cut::at(section, end).end;
    }
    end
}

fn failed(error: weyr::managed::Error) -> io::Error {
    io::Error::other(Failure::from(error))
}
