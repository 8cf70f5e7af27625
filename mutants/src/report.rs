//! What came of it, for people and for programs.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::change::Mutant;
use crate::table::Row;

/// What the test made of a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It failed.
    Caught,
    /// It passed: it does not show what the table says.
    Survived,
    /// The break does not compile.
    DoesNotBuild,
}

/// One break and one test.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    name: String,
    item: String,
    instead: String,
    test: String,
    outcome: Outcome,
}

impl Case {
    pub(crate) fn new(row: &Row, mutant: &Mutant, outcome: Outcome) -> Self {
        Self {
            name: row.name.clone(),
            item: row.item.clone().unwrap_or_default(),
            instead: mutant.instead.trim_start_matches("return ").to_owned(),
            test: row.test().to_owned(),
            outcome,
        }
    }
}

/// All of them.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    commit: String,
    caught: usize,
    survived: usize,
    does_not_build: usize,
    /// Rows of types, whose functions and values have rows of their own.
    types: Vec<String>,
    /// Other rows for which there is no break.
    not_broken: Vec<String>,
    cases: Vec<Case>,
}

impl Report {
    pub(crate) fn new(root: &Path, rows: &[Row], cases: Vec<Case>) -> Self {
        let count = |outcome| cases.iter().filter(|case| case.outcome == outcome).count();
        let is_whole = |row: &Row| !cases.iter().any(|case| case.name == row.name);
        let is_type = |row: &Row| row.item.as_ref().is_some_and(|item| !item.contains("::"));
        let name = |row: &Row| row.name.clone();
        Self {
            commit: commit(root),
            caught: count(Outcome::Caught),
            survived: count(Outcome::Survived),
            does_not_build: count(Outcome::DoesNotBuild),
            types: rows.iter().filter(|row| is_whole(row) && is_type(row)).map(name).collect(),
            not_broken: rows.iter().filter(|row| is_whole(row) && !is_type(row)).map(name).collect(),
            cases,
        }
    }

    pub(crate) fn has_survivors(&self) -> bool {
        self.survived + self.does_not_build + self.not_broken.len() > 0
    }
}

fn commit(root: &Path) -> String {
    let shown = Command::new("git").args(["log", "-1", "--format=%h of %cs"]).current_dir(root).output();
    shown.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Items that were broken, and what their tests made of it\n")?;
        let counts = format!("{} caught, {} survived", self.caught, self.survived);
        let others = format!("{} do not build, {} not broken", self.does_not_build, self.not_broken.len());
        writeln!(
            f,
            "{} cases at {}: {counts}, {others}. By `./x mutants`.\n",
            self.cases.len(),
            self.commit
        )?;
        let words = |case: &Case| {
            let outcome = match case.outcome {
                Outcome::Caught => "caught",
                Outcome::Survived => "SURVIVED",
                Outcome::DoesNotBuild => "does not build",
            };
            [
                case.name.clone(),
                case.item.clone(),
                format!("`{}`", case.instead.replace('|', "\\|")),
                outcome.into(),
            ]
        };
        let rows: Vec<[String; 4]> = self.cases.iter().map(words).collect();
        let head = ["described", "ours", "instead", "outcome"].map(String::from);
        let width = |column: usize| {
            rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths = [0, 1, 2, 3].map(width);
        let line = |f: &mut fmt::Formatter<'_>, row: &[String; 4]| {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "| {} |", cells.join(" | "))
        };
        line(f, &head)?;
        writeln!(f, "| {} |", widths.map(|width| "-".repeat(width)).join(" | "))?;
        rows.iter().try_for_each(|row| line(f, row))?;
        for (names, words) in [
            (&self.types, "Types, whose functions and values have rows of their own"),
            (&self.not_broken, "Not broken"),
        ] {
            if !names.is_empty() {
                writeln!(f, "\n{words}: {}.", names.join(", "))?;
            }
        }
        Ok(())
    }
}
