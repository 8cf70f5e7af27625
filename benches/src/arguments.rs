//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::row::Effort;

/// Compares weyr's managed pools and channels with their peers, in one run.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Only rows that have PATTERN in their name; may be given several times
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Vec<String>,
    /// Rounds a row; each gives one ratio
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Few and short rounds: to see that everything runs
    #[arg(long)]
    quick: bool,
    /// Also writes the results to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Also keeps the results, and plots of them, as benches/results/NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) store: Option<String>,
    /// Prints the names of the rows and runs nothing
    #[arg(long, group = "instead")]
    pub(crate) list: bool,
    /// Draws the plots of the results in FILE, beside it, and runs nothing
    #[arg(long, value_name = "FILE", group = "instead")]
    pub(crate) plot: Option<PathBuf>,
    /// Prints the tables of the results in FILE, and runs nothing
    #[arg(long, value_name = "FILE", group = "instead")]
    pub(crate) show: Option<PathBuf>,
    /// Writes the tables of the results in FILE into the README, and runs nothing
    #[arg(long, value_name = "FILE", group = "instead")]
    pub(crate) readme: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn effort(&self) -> Effort {
        let rounds = self.rounds.unwrap_or(if self.quick { 3 } else { 11 });
        Effort { rounds, divisor: if self.quick { 10 } else { 1 } }
    }

    /// The command that runs the same again, wherever its results go.
    pub(crate) fn command(&self) -> String {
        let mut command = format!("./x bench --rounds {}", self.effort().rounds);
        if self.quick {
            command.push_str(" --quick");
        }
        for pattern in &self.only {
            command.push_str(&format!(" --only {pattern:?}"));
        }
        command
    }

    pub(crate) fn selects(&self, title: &str) -> bool {
        let title = title.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|pattern| title.contains(&pattern.to_lowercase()))
    }
}
