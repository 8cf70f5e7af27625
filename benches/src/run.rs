//! A run as data: all figures of all rounds, and the facts that go with them. Tables and plots are made from it, now or
//! later.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::machine::Machine;
use crate::round::{Outcome, RowResult};

/// Of the files; a reader of another one gives up.
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    format: u32,
    pub(crate) command: String,
    pub(crate) rounds: u32,
    /// What it took altogether.
    pub(crate) seconds: u64,
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<RowResult>,
}

impl Run {
    pub(crate) fn new(
        machine: Machine,
        command: String,
        rounds: u32,
        seconds: u64,
        mut rows: Vec<RowResult>,
    ) -> Self {
        for contestant in rows.iter_mut().flat_map(|row| &mut row.contestants) {
            match &mut contestant.outcome {
                Outcome::Failed(why) => *why = without_places(why),
                Outcome::Figures(figures) => figures.iter_mut().for_each(|figure| *figure = rounded(*figure)),
                Outcome::Absent(_) => {}
            }
        }
        Self { format: FORMAT, command, rounds, seconds, machine, rows }
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let of_path = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| of_path(&error))?;
        let run: Self = serde_json::from_str(&text).map_err(|error| of_path(&error))?;
        if run.format != FORMAT {
            return Err(of_path(&format!("it has format {}, not {FORMAT}", run.format)).into());
        }
        Ok(run)
    }

    /// A line for each row, so that two runs can be compared line by line.
    pub(crate) fn to_json(&self) -> Result<String> {
        let mut text = String::from("{\n");
        writeln!(text, "\"format\": {},", self.format)?;
        writeln!(text, "\"command\": {},", serde_json::to_string(&self.command)?)?;
        writeln!(text, "\"rounds\": {},", self.rounds)?;
        writeln!(text, "\"seconds\": {},", self.seconds)?;
        writeln!(text, "\"machine\": {},", serde_json::to_string_pretty(&self.machine)?)?;
        let rows = self.rows.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>()?;
        writeln!(text, "\"rows\": [\n{}\n]\n}}", rows.join(",\n"))?;
        Ok(text)
    }

    /// Whether all that took part came to an end.
    pub(crate) fn is_sound(&self) -> bool {
        self.rows.iter().all(RowResult::is_sound)
    }
}

/// To thousandths: more digits are noise.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

/// What failed may say where; what is kept does not.
fn without_places(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('/') { "..." } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let (path, run) = (directory.path().join("run.json"), sample::run());
        std::fs::write(&path, run.to_json().unwrap()).unwrap();
        assert_eq!(Run::read(&path).unwrap(), run);
    }

    #[test]
    fn a_file_of_another_format_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        let text = sample::run().to_json().unwrap().replace("\"format\": 1", "\"format\": 2");
        std::fs::write(&path, text).unwrap();
        let refused = Run::read(&path).unwrap_err().to_string();
        assert!(refused.contains("run.json") && refused.contains("format 2"), "{refused}");
    }

    #[test]
    fn what_failed_is_kept_without_places() {
        let mut rows = sample::run().rows;
        rows[0].contestants[1].outcome = Outcome::Failed("cc: /home/me/a.c:3: no\nsuch thing".into());
        let run = Run::new(sample::run().machine, String::new(), 1, 1, rows);
        assert_eq!(run.rows[0].contestants[1].outcome, Outcome::Failed("cc: ... no such thing".into()));
    }
}
