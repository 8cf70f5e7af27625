//! What a run found, as a table for people at a terminal.

use std::fmt::Write;

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};

use crate::facts;
use crate::lines::{self, Figure, Line, SweepTable, Verdict};
use crate::round::RowResult;
use crate::run::Run;

const HEAD: [&str; 7] = ["what", "ours", "beside", "theirs", "ratio (least to most)", "must", "verdict"];

/// All tables, and the facts below them.
pub(crate) fn text(run: &Run) -> String {
    let mut text = String::new();
    let plain: Vec<&RowResult> = run.rows.iter().filter(|row| row.sweep.is_none()).collect();
    // Writing to a string does not fail.
    if !plain.is_empty() {
        let _ = writeln!(text, "{}", table(&plain));
    }
    for sweep in lines::sweep_tables(&run.rows) {
        let _ = writeln!(text, "{}", sweep_table(&sweep));
    }
    facts::sentences(run).iter().for_each(|sentence| {
        let _ = writeln!(text, "{sentence}");
    });
    text
}

/// Colours and bold appear only on a terminal.
fn bold(text: &str) -> Cell {
    Cell::new(text).add_attribute(Attribute::Bold)
}

fn empty_table(head: impl Iterator<Item = Cell>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(head);
    table
}

fn align_right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn table(rows: &[&RowResult]) -> Table {
    let mut table = empty_table(HEAD.iter().map(|head| bold(head)));
    let mut group = "";
    for row in rows {
        if row.group != group {
            group = &row.group;
            table.add_row([bold(&group.to_uppercase())]);
        }
        lines::of(row).iter().for_each(|line| {
            table.add_row(cells(line));
        });
    }
    align_right(&mut table, [1, 3, 4]);
    table
}

fn cells(line: &Line) -> [Cell; 7] {
    [
        Cell::new(&line.row),
        figure(&line.ours),
        Cell::new(&line.beside),
        figure(&line.theirs),
        Cell::new(&line.ratio),
        Cell::new(&line.must),
        line.verdict.map_or(Cell::new(""), verdict),
    ]
}

fn figure(figure: &Figure) -> Cell {
    match figure {
        Figure::None => Cell::new(""),
        Figure::Measured(text) => Cell::new(text),
        Figure::Absent(why) => Cell::new(why).fg(Color::DarkGrey),
        Figure::Failed(why) => Cell::new(why).fg(Color::Red),
    }
}

fn verdict(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Holds => Cell::new("holds").fg(Color::Green),
        Verdict::Missed => Cell::new("missed").fg(Color::Red).add_attribute(Attribute::Bold),
        Verdict::NotMeasured => Cell::new("not measured").fg(Color::DarkGrey),
    }
}

fn sweep_table(sweep: &SweepTable) -> Table {
    let mut table = empty_table(
        std::iter::once(bold(sweep.title)).chain(sweep.contestants.iter().map(|name| bold(name))),
    );
    for (size, figures) in &sweep.lines {
        table.add_row(std::iter::once(Cell::new(size)).chain(figures.iter().map(figure)));
    }
    align_right(&mut table, 0..=sweep.contestants.len());
    table
}
