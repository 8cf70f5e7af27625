//! The atomics that a model has touched, by address.
//!
//! The world is built once and never moved, so an address names an atomic for the whole exploration. The value that
//! the atomic itself holds is its initial value; the current one lies in the state.

use std::ops::Range;

use super::fingerprint::Table;
use super::operation::CellIndex;

struct Cell {
    address: usize,
    size_bytes: usize,
    initial: u64,
}

/// Registry of atomics, and the names under which traces show them.
#[derive(Default)]
pub(crate) struct Cells {
    by_address: Table<usize, CellIndex>,
    cells: Vec<Cell>,
    regions: Vec<(Range<usize>, String)>,
    private_elsewhere: bool,
}

impl Cells {
    /// Index of the atomic at `address`, registered at its first touch; `None`: it is private to a process.
    ///
    /// # Errors
    ///
    /// A sentence, when the bytes overlap with another atomic of other address or size.
    pub(crate) fn index(
        &mut self,
        address: usize,
        size_bytes: usize,
        initial: impl FnOnce() -> u64,
    ) -> Result<Option<CellIndex>, String> {
        if let Some(&index) = self.by_address.get(&address) {
            let known = self.cells[index.0 as usize].size_bytes;
            return if known == size_bytes { Ok(Some(index)) } else { Err(overlap(&self.name(index))) };
        }
        if self.private_elsewhere && !self.regions.iter().any(|(range, _)| range.contains(&address)) {
            return Ok(None);
        }
        self.refuse_overlap(address, size_bytes)?;
        let index = CellIndex(self.cells.len() as u32);
        self.by_address.insert(address, index);
        self.cells.push(Cell { address, size_bytes, initial: initial() });
        Ok(Some(index))
    }

    fn refuse_overlap(&self, address: usize, size_bytes: usize) -> Result<(), String> {
        let near = address.saturating_sub(7)..address + size_bytes;
        for other in near.filter_map(|near| self.by_address.get(&near)) {
            let cell = &self.cells[other.0 as usize];
            if cell.address + cell.size_bytes > address {
                return Err(overlap(&self.name(*other)));
            }
        }
        Ok(())
    }

    /// Forgets the cells from `len` on: those that only an oracle has touched.
    pub(crate) fn truncate(&mut self, len: usize) {
        for cell in self.cells.drain(len..) {
            self.by_address.remove(&cell.address);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn initial(&self, index: usize) -> u64 {
        self.cells[index].initial
    }

    /// All bits that fit the cell.
    pub(crate) fn mask(&self, index: CellIndex) -> u64 {
        match self.cells[index.0 as usize].size_bytes {
            1 => 0xff,
            4 => 0xffff_ffff,
            _ => u64::MAX,
        }
    }

    /// Gives the bytes from `range` a name; of several names the last given wins.
    pub(crate) fn name_region(&mut self, range: Range<usize>, name: String) {
        self.regions.push((range, name));
    }

    /// From now on, atomics outside the named regions belong to the process that touches them.
    pub(crate) fn set_private_elsewhere(&mut self) {
        self.private_elsewhere = true;
    }

    /// Region and offset of a cell, or its number.
    pub(crate) fn name(&self, index: CellIndex) -> String {
        let cell = &self.cells[index.0 as usize];
        let Some((range, name)) = self.regions.iter().rev().find(|(range, _)| range.contains(&cell.address))
        else {
            return format!("atomic#{}", index.0);
        };
        match cell.address - range.start {
            0 if range.len() <= cell.size_bytes => name.clone(),
            offset => format!("{name}+{offset}"),
        }
    }
}

fn overlap(name: &str) -> String {
    format!(
        "an atomic overlaps {name} with another address or size: one model cannot see the same bytes in two widths"
    )
}
