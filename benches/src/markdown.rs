//! The tables of a run for the README, between two marks there.

use std::fmt::Write;

use crate::lines::{self, Figure, Line, SweepTable, Verdict};
use crate::row::Direction;
use crate::run::Run;
use crate::{Result, facts};

const BEGIN: &str = "<!-- Made by ./x bench --readme FILE: -->";
/// What is to be known of the series.
const SERIES: &str = "Over the size of a message: weyr's are copied into the channel up to 4 KiB, and into memory beside it \
    above that. What goes by ownership, or is loaned, is not copied, and only its first 8 bytes are written.";
const END: &str = "<!-- as far as here. -->";

/// Everything between the marks. `stem` leads from the README to the stored files, without what their names end with.
pub(crate) fn section(run: &Run, stem: &str) -> String {
    let mut text = format!("{}\n", facts::sentences(run).join("\n"));
    let _ = writeln!(text, "The figures are this machine's; rows that are missed say so.");
    let _ = writeln!(text, "All of them, of every round: [{stem}.json]({stem}.json).\n");
    text.push_str(&table(run));
    let _ = writeln!(text, "\n{SERIES}");
    for sweep in lines::sweep_tables(&run.rows) {
        let (shows, plot) = match sweep.direction {
            Direction::RoundTrip => ("Time of a round trip", "latency"),
            Direction::OneWay => ("Payload a second, one way,", "throughput"),
        };
        let _ = writeln!(text, "\n![{shows} over the size of a message]({stem}-{plot}.svg)\n");
        text.push_str(&sweep_table(&sweep));
    }
    text
}

/// `page` with `section` between its marks.
pub(crate) fn replaced(page: &str, section: &str) -> Result<String> {
    let marks = || {
        let begin = page.find(BEGIN)? + BEGIN.len();
        let end = begin + page[begin..].find(END)?;
        Some((&page[..begin], &page[end..]))
    };
    let (before, behind) =
        marks().ok_or_else(|| format!("the page lacks the marks {BEGIN:?} and {END:?}"))?;
    Ok(format!("{before}\n\n{section}\n{behind}"))
}

fn table(run: &Run) -> String {
    let mut text = String::from(
        "| row | weyr | peer | ratio, median (least to most) | must | |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut group = "";
    for row in run.rows.iter().filter(|row| row.sweep.is_none()) {
        if row.group != group {
            group = &row.group;
            let _ = writeln!(text, "| **{}** | | | | | |", escaped(group));
        }
        lines::of(row).iter().for_each(|line| push(&mut text, line));
    }
    text
}

fn push(text: &mut String, line: &Line) {
    // Ours stands once.
    let ours = if line.row.is_empty() { String::new() } else { figure(&line.ours) };
    let peer = format!("{} {}", escaped(&line.beside), figure(&line.theirs));
    let verdict = match line.verdict {
        Some(Verdict::Holds) => "holds",
        Some(Verdict::Missed) => "**missed**",
        Some(Verdict::NotMeasured) => "not measured",
        None => "",
    };
    let cells = [&escaped(&line.row), &ours, peer.trim(), &line.ratio, &line.must, verdict];
    push_cells(text, cells);
}

fn sweep_table(sweep: &SweepTable) -> String {
    let mut text = String::new();
    let head: Vec<String> = sweep.contestants.iter().map(|name| escaped(name)).collect();
    push_cells(&mut text, std::iter::once(sweep.title).chain(head.iter().map(String::as_str)));
    push_cells(&mut text, std::iter::repeat_n("---", head.len() + 1));
    for (size, figures) in &sweep.lines {
        let figures: Vec<String> = figures.iter().map(figure).collect();
        push_cells(&mut text, std::iter::once(&**size).chain(figures.iter().map(String::as_str)));
    }
    text
}

fn push_cells<'c>(text: &mut String, cells: impl IntoIterator<Item = &'c str>) {
    text.push('|');
    for cell in cells {
        let _ = write!(text, " {cell}{}|", if cell.is_empty() { "" } else { " " });
    }
    text.push('\n');
}

fn figure(figure: &Figure) -> String {
    match figure {
        Figure::None => String::new(),
        Figure::Measured(text) => text.clone(),
        Figure::Absent(why) | Figure::Failed(why) => format!("({})", escaped(why)),
    }
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_section_has_every_row_and_names_who_is_absent() {
        let text = section(&sample::run(), "results/one");
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| *line == "| **allocate** | | | | | |").unwrap();
        assert_eq!(
            lines[at + 1..at + 5],
            [
                "| pair | 21.0 ns | | | 50.0 ns | holds |",
                "| | | twin 10.5 ns | 2.00x (2.00 to 2.00) | 1.5x | **missed** |",
                "| | | gone (not installed) | | plus 1.00 ns | not measured |",
                "| | | broken (failed: it \\| broke) | | | |",
            ]
        );
        assert!(text.contains("](results/one-latency.svg)") && text.contains("](results/one.json)"));
        assert!(text.contains("Difference Engine") && text.contains("gone not installed"));
    }

    #[test]
    fn all_lines_of_a_table_have_as_many_cells() {
        let text = section(&sample::run(), "one");
        let tables = text.split("\n\n").filter(|part| part.starts_with('|'));
        for table in tables {
            let cells = |line: &str| line.replace("\\|", "").matches('|').count();
            let first = cells(table.lines().next().unwrap());
            assert!(table.lines().all(|line| cells(line) == first), "{table}");
        }
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nbehind\n");
        let made = replaced(&page, "new\n").unwrap();
        assert_eq!(made, format!("before\n{BEGIN}\n\nnew\n\n{END}\nbehind\n"));
        assert_eq!(replaced(&made, "new\n").unwrap(), made);
        assert!(replaced("no marks", "new").is_err());
        assert!(replaced(&format!("{END} {BEGIN}"), "new").is_err());
    }
}
