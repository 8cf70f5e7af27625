//! The lines of the tables that people read: one for each peer of a row, and one for each target that names none.

use crate::amount::{self, amount};
use crate::round::{Outcome, RowResult, Spread};
use crate::row::{Direction, Target};

/// A line; what does not apply is empty.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Line {
    /// Of the row's first line only.
    pub(crate) row: String,
    pub(crate) ours: Figure,
    pub(crate) beside: String,
    pub(crate) theirs: Figure,
    pub(crate) ratio: String,
    pub(crate) must: String,
    pub(crate) verdict: Option<Verdict>,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) enum Figure {
    #[default]
    None,
    Measured(String),
    Absent(String),
    Failed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    Missed,
    NotMeasured,
}

pub(crate) fn of(row: &RowResult) -> Vec<Line> {
    let own = row.targets.iter().filter(|target| target.peer().is_none());
    let mut lines: Vec<Line> = own.map(|target| own_line(row, target)).collect();
    lines.extend((1..row.contestants.len()).map(|peer| peer_line(row, peer)));
    if lines.is_empty() {
        lines.push(Line { ours: figure(row, 0), ..Line::default() });
    }
    lines[0].row = row.name.clone();
    lines
}

fn own_line(row: &RowResult, target: &Target) -> Line {
    let (beside, ratio) = match target {
        Target::BestPeer { times, among, .. } => {
            let share = row.share_within(*times, among);
            let share = share.map_or(String::new(), |share| format!("{:.0} % of rounds", share * 100.0));
            (format!("the best of {}", among.join(", ")), share)
        }
        _ => Default::default(),
    };
    let (must, verdict) = (amount::target(target, row.unit), Some(verdict(row, target)));
    Line { ours: figure(row, 0), beside, ratio, must, verdict, ..Line::default() }
}

fn peer_line(row: &RowResult, peer: usize) -> Line {
    let name = &row.contestants[peer].name;
    let target = row.targets.iter().find(|target| target.peer() == Some(name));
    Line {
        ours: figure(row, 0),
        beside: name.clone(),
        theirs: figure(row, peer),
        ratio: amount::ratio(row, peer).unwrap_or_default(),
        must: target.map_or(String::new(), |target| amount::target(target, row.unit)),
        verdict: target.map(|target| verdict(row, target)),
        ..Line::default()
    }
}

fn figure(row: &RowResult, index: usize) -> Figure {
    match &row.contestants[index].outcome {
        Outcome::Figures(figures) => {
            let spread = Spread::of(figures);
            spread.map_or(Figure::None, |spread| Figure::Measured(amount(spread.median, row.unit)))
        }
        Outcome::Absent(why) => Figure::Absent(why.clone()),
        Outcome::Failed(why) => Figure::Failed(format!("failed: {why}")),
    }
}

fn verdict(row: &RowResult, target: &Target) -> Verdict {
    match row.holds(target) {
        Some(true) => Verdict::Holds,
        Some(false) => Verdict::Missed,
        None => Verdict::NotMeasured,
    }
}

/// A table of the rows of one direction: a line for each size of a message, a column for each contestant.
#[derive(Debug, PartialEq)]
pub(crate) struct SweepTable {
    pub(crate) direction: Direction,
    pub(crate) title: &'static str,
    pub(crate) contestants: Vec<String>,
    /// The size, and a figure for each contestant.
    pub(crate) lines: Vec<(String, Vec<Figure>)>,
}

/// The tables of all rows that are part of a series.
pub(crate) fn sweep_tables(rows: &[RowResult]) -> Vec<SweepTable> {
    let tables =
        [("round trip of a message of", Direction::RoundTrip), ("one way, a message of", Direction::OneWay)];
    let tables = tables.map(|(title, direction)| sweep_table(title, direction, rows));
    tables.into_iter().filter(|table| !table.lines.is_empty()).collect()
}

fn sweep_table(title: &'static str, direction: Direction, rows: &[RowResult]) -> SweepTable {
    let of_direction = || {
        rows.iter().filter_map(|row| {
            row.sweep.filter(|sweep| sweep.direction == direction).map(|sweep| (row, sweep.bytes))
        })
    };
    let contestants = of_direction().next().map_or(vec![], |(row, _)| {
        row.contestants.iter().map(|contestant| contestant.name.clone()).collect()
    });
    let lines = of_direction().map(|(row, bytes)| {
        (amount::size(bytes), (0..row.contestants.len()).map(|index| figure(row, index)).collect())
    });
    SweepTable { direction, title, contestants, lines: lines.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_row_has_a_line_for_each_peer_and_each_target_without_one() {
        let lines = of(&sample::run().rows[0]);
        assert_eq!(
            lines.iter().map(|line| &*line.beside).collect::<Vec<_>>(),
            ["", "twin", "gone", "broken"]
        );
        assert_eq!(lines.iter().map(|line| &*line.row).collect::<Vec<_>>(), ["pair", "", "", ""]);
        assert_eq!(lines[1].ratio, "2.00x (2.00 to 2.00)");
        let verdicts: Vec<_> = lines.iter().map(|line| line.verdict).collect();
        assert_eq!(verdicts, [Some(Verdict::Holds), Some(Verdict::Missed), Some(Verdict::NotMeasured), None]);
        assert_eq!(lines[2].theirs, Figure::Absent("not installed".into()));
    }

    #[test]
    fn a_series_is_a_table_of_sizes_and_contestants() {
        let tables = sweep_tables(&sample::run().rows);
        assert_eq!(tables.len(), 2);
        assert_eq!(tables[0].contestants[0], "weyr");
        assert_eq!(tables[0].lines[1].0, "4 KiB");
        assert_eq!(tables[0].lines[0].1.len(), tables[0].contestants.len());
    }
}
