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
    /// Prints the names of the rows and runs nothing
    #[arg(long)]
    pub(crate) list: bool,
}

impl Arguments {
    pub(crate) fn effort(&self) -> Effort {
        let rounds = self.rounds.unwrap_or(if self.quick { 3 } else { 11 });
        Effort { rounds, divisor: if self.quick { 10 } else { 1 } }
    }

    pub(crate) fn selects(&self, title: &str) -> bool {
        let title = title.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|pattern| title.contains(&pattern.to_lowercase()))
    }
}
