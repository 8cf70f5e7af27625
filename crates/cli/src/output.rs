//! What people and programs read: aligned tables, or JSON.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};
use indicatif::{BinaryBytes, HumanCount};
use serde::Serialize;

use crate::failure::Failure;

/// What has gone wrong.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What needs a look.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// What is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Headings.
pub(crate) const HEADING: Style = Style::new().bold();
/// What is said by the way.
pub(crate) const DIM: Style = Style::new().dimmed();

/// Where results go: standard output, in colour on a terminal only.
#[derive(Debug)]
pub(crate) struct Output {
    /// JSON instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Writes `report`: as JSON, or by `text`.
    pub(crate) fn write<R: Serialize>(
        &self,
        report: &R,
        text: impl FnOnce(&mut dyn Write, &R) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let written =
            if self.json { write_json(report) } else { text(&mut anstream::stdout().lock(), report) };
        finish(written)
    }

    /// Writes something long as it comes: `write` gets where to, and says in JSON or text what there is. A [`Failure`]
    /// inside its error comes back as it was.
    pub(crate) fn stream(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        let written = if self.json {
            buffered(io::stdout().lock(), write)
        } else {
            buffered(anstream::stdout().lock(), write)
        };
        finish(written)
    }
}

fn buffered(to: impl Write, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut to = io::BufWriter::new(to);
    write(&mut to)?;
    to.flush()
}

fn finish(written: io::Result<()>) -> Result<(), Failure> {
    is_read(written).map(drop)
}

/// What came of writing: false when the reader of a pipe has seen enough.
pub(crate) fn is_read(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error
            .downcast::<Failure>()
            .unwrap_or_else(|error| Failure::System(format!("writing the result: {error}")))),
        Ok(()) => Ok(true),
    }
}

fn write_json<R: Serialize>(report: &R) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, report)?;
    writeln!(stdout)
}

/// Says something by the way on standard error.
pub(crate) fn note(text: impl Display) {
    // Where standard error is closed nobody is left to tell.
    let _ = writeln!(anstream::stderr(), "{WARNING}note:{WARNING:#} {text}");
}

/// Says what was done on standard error, where standard output is for something else.
pub(crate) fn note_json<R: Serialize>(report: &R) {
    if let Ok(text) = serde_json::to_string_pretty(report) {
        // Where standard error is closed nobody is left to tell.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// A table without lines, with these headings; `>` before one aligns its column to the right.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).enforce_styling();
    let heading = |text: &&str| Cell::new(text.trim_start_matches('>')).add_attribute(Attribute::Dim);
    table.set_header(headings.iter().map(heading));
    for (column, heading) in table.column_iter_mut().zip(headings) {
        if heading.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A table of names and values.
pub(crate) fn facts() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).enforce_styling();
    table
}

/// Writes a table, each line behind `indent`.
pub(crate) fn write_table(to: &mut dyn Write, mut table: Table, indent: &str) -> io::Result<()> {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    table.lines().try_for_each(|line| writeln!(to, "{indent}{}", without_last_spaces(&line)))
}

/// A line without the spaces at its end, also where a colour ends behind them.
fn without_last_spaces(line: &str) -> String {
    let is_style =
        |at: &usize| line[at + 1..line.len() - 1].chars().all(|c| matches!(c, '[' | ';' | '0'..='9'));
    let styled = line.ends_with('m').then(|| line.rfind('\x1b')).flatten().filter(is_style);
    match styled {
        Some(escape) => without_last_spaces(&line[..escape]) + &line[escape..],
        None => line.trim_end().to_owned(),
    }
}

/// A cell in colour.
pub(crate) fn coloured(content: impl ToString, color: Color) -> Cell {
    Cell::new(content.to_string()).fg(color)
}

/// `1.50 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

/// `1,234`.
pub(crate) fn count(count: u64) -> String {
    HumanCount(count).to_string()
}

/// `1 process`, `2 processes`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `1.23 ms`: three digits and a unit.
pub(crate) fn duration(duration: Duration) -> String {
    let ns = duration.as_nanos() as f64;
    let (value, unit) = match ns {
        ns if ns < 1e3 => return format!("{ns:.0} ns"),
        ns if ns < 1e6 => (ns / 1e3, "us"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        let shown = |ns| duration(Duration::from_nanos(ns));
        assert_eq!(shown(0), "0 ns");
        assert_eq!(shown(999), "999 ns");
        assert_eq!(shown(1_234), "1.23 us");
        assert_eq!(shown(12_345_678), "12.3 ms");
        assert_eq!(shown(123_456_789_000), "123 s");
    }

    #[test]
    fn no_line_ends_in_spaces() {
        assert_eq!(without_last_spaces("a  "), "a");
        assert_eq!(without_last_spaces("a \x1b[31mred  \x1b[39m"), "a \x1b[31mred\x1b[39m");
        assert_eq!(without_last_spaces("a \x1b[31mfrom"), "a \x1b[31mfrom");
    }

    #[test]
    fn one_is_one_and_two_are_many() {
        assert_eq!(counted(1, "process", "processes"), "1 process");
        assert_eq!(counted(2000, "process", "processes"), "2,000 processes");
    }
}
