//! What a run found, as a table for people and as JSON.

use std::fmt::Write;

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};
use serde_json::{Value, json};

use crate::machine::Machine;
use crate::round::{ContestantResult, Outcome, RowResult, Spread};
use crate::row::{Effort, Target, Unit};

const HEAD: [&str; 7] = ["what", "ours", "beside", "theirs", "ratio (least - most)", "must", "verdict"];

pub(crate) fn table(results: &[RowResult]) -> Table {
    let mut table = Table::new();
    // Colours and bold appear only on a terminal.
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_header(HEAD.map(|head| Cell::new(head).add_attribute(Attribute::Bold)));
    let mut group = "";
    for row in results {
        if row.group != group {
            group = row.group;
            table.add_row([Cell::new(group.to_uppercase()).add_attribute(Attribute::Bold)]);
        }
        lines(row).into_iter().for_each(|line| {
            table.add_row(line);
        });
    }
    for column in [1, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A line for each target that names no peer, and one for each peer.
fn lines(row: &RowResult) -> Vec<Vec<Cell>> {
    let own_target = |target: &&Target| matches!(target, Target::AtMost(_) | Target::BestPeer { .. });
    let mut lines: Vec<_> =
        row.targets.iter().filter(own_target).map(|target| own_line(row, target)).collect();
    lines.extend((1..row.contestants.len()).map(|peer| peer_line(row, peer)));
    if lines.is_empty() {
        lines.push(vec![Cell::new(""), figure(row, 0)]);
    }
    for (index, line) in lines.iter_mut().enumerate() {
        line[0] = Cell::new(if index == 0 { &row.name } else { "" });
    }
    lines
}

fn own_line(row: &RowResult, target: &Target) -> Vec<Cell> {
    let (beside, ratio) = match target {
        Target::BestPeer { times, .. } => {
            let share = row.share_within(*times).map(|share| format!("{:.0} % of rounds", share * 100.0));
            ("the best of them", share.unwrap_or_default())
        }
        _ => ("", String::new()),
    };
    let must = Cell::new(describe(target, row.unit));
    vec![
        Cell::new(""),
        figure(row, 0),
        Cell::new(beside),
        Cell::new(""),
        Cell::new(ratio),
        must,
        verdict(row, target),
    ]
}

fn peer_line(row: &RowResult, peer: usize) -> Vec<Cell> {
    let name = &row.contestants[peer].name;
    let ratio = row.ratios(peer).and_then(|ratios| Spread::of(&ratios));
    let ratio = ratio.map_or(String::new(), |ratio| {
        format!("{}x ({} - {})", digits(ratio.median), digits(ratio.least), digits(ratio.most))
    });
    let target = row.targets.iter().find(|target| match target {
        Target::Times(_, other) | Target::Faster(_, other) => other == name,
        Target::AtMost(_) | Target::BestPeer { .. } => false,
    });
    let must = Cell::new(target.map_or(String::new(), |target| describe(target, row.unit)));
    let verdict = target.map_or(Cell::new(""), |target| verdict(row, target));
    vec![Cell::new(""), figure(row, 0), Cell::new(name), figure(row, peer), Cell::new(ratio), must, verdict]
}

fn figure(row: &RowResult, index: usize) -> Cell {
    match &row.contestants[index].outcome {
        Outcome::Figures(figures) => {
            Cell::new(Spread::of(figures).map_or("-".into(), |spread| amount(spread.median, row.unit)))
        }
        Outcome::Absent(why) => Cell::new(why).fg(Color::DarkGrey),
        Outcome::Failed(why) => Cell::new(format!("failed: {why}")).fg(Color::Red),
    }
}

fn verdict(row: &RowResult, target: &Target) -> Cell {
    match row.holds(target) {
        Some(true) => Cell::new("holds").fg(Color::Green),
        Some(false) => Cell::new("missed").fg(Color::Red).add_attribute(Attribute::Bold),
        None => Cell::new("not measured").fg(Color::DarkGrey),
    }
}

fn describe(target: &Target, unit: Unit) -> String {
    match target {
        Target::Times(times, _) => format!("{times}x"),
        Target::Faster(times, _) => format!("{times}x faster"),
        Target::AtMost(figure) => amount(*figure, unit),
        Target::BestPeer { times, share } => {
            format!("+{:.0} % in {:.0} % of rounds", (times - 1.0) * 100.0, share * 100.0)
        }
    }
}

fn amount(figure: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => format!("{} %", digits(figure)),
        Unit::Bytes => format!("{} KiB", digits(figure / 1024.0)),
        Unit::Nanoseconds if figure >= 1e6 => format!("{} ms", digits(figure / 1e6)),
        Unit::Nanoseconds if figure >= 1e4 => format!("{} us", digits(figure / 1e3)),
        Unit::Nanoseconds => format!("{} ns", digits(figure)),
    }
}

/// Three digits that count.
fn digits(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

pub(crate) fn footnotes(machine: &Machine, effort: &Effort) -> String {
    let mut text = String::new();
    let peers: Vec<String> =
        machine.peers.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let [first, second] = machine.processors_used;
    // Writing to a string does not fail.
    let _ = writeln!(text, "medians of {} rounds, all contestants of a row in each round", effort.rounds);
    let _ = writeln!(
        text,
        "{}, {}, processors {first} and {second} of {}, load {}",
        machine.kernel, machine.processor, machine.processors_online, machine.load
    );
    let _ = writeln!(text, "peers: {}", peers.join(", "));
    let _ = write!(text, "command: {}", machine.command);
    text
}

pub(crate) fn json(results: &[RowResult], machine: &Machine, effort: &Effort) -> serde_json::Result<String> {
    let rows: Vec<Value> = results.iter().map(row_value).collect();
    serde_json::to_string_pretty(&json!({ "machine": machine, "rounds": effort.rounds, "rows": rows }))
}

fn row_value(row: &RowResult) -> Value {
    let target = |target: &Target| json!({ "must": describe(target, row.unit), "peer": peer_name(target), "holds": row.holds(target) });
    let spread =
        |spread: Spread| json!({ "median": spread.median, "least": spread.least, "most": spread.most });
    let contestant = |(index, contestant): (usize, &ContestantResult)| {
        let ratio = row.ratios(index).and_then(|ratios| Spread::of(&ratios)).map(spread);
        match &contestant.outcome {
            Outcome::Figures(figures) => {
                json!({ "name": contestant.name, "figures": figures, "ratio": ratio })
            }
            Outcome::Absent(why) => json!({ "name": contestant.name, "absent": why }),
            Outcome::Failed(why) => json!({ "name": contestant.name, "failed": why }),
        }
    };
    let unit = match row.unit {
        Unit::Nanoseconds => "ns",
        Unit::Percent => "%",
        Unit::Bytes => "B",
    };
    json!({
        "group": row.group,
        "name": row.name,
        "unit": unit,
        "contestants": row.contestants.iter().enumerate().map(contestant).collect::<Vec<_>>(),
        "targets": row.targets.iter().map(target).collect::<Vec<_>>(),
    })
}

fn peer_name(target: &Target) -> Option<&str> {
    match target {
        Target::Times(_, peer) | Target::Faster(_, peer) => Some(peer),
        Target::AtMost(_) | Target::BestPeer { .. } => None,
    }
}
