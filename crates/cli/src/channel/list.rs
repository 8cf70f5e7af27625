//! `weyr channel list`.

use std::io::{self, Write};
use std::path::Path;

use comfy_table::{Cell, Color};
use serde::Serialize;
use weyr::Pool;
use weyr::managed::{ChannelDetails, Inspection};

use crate::failure::Failure;
use crate::output::{self, DIM, Output};

/// All channels of a pool.
#[derive(Debug, Serialize)]
struct Channels {
    pool: String,
    channels: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: Option<String>,
    offset: u64,
    bytes: u64,
    waiting: u32,
    /// Messages in somebody's hands.
    held: u32,
    capacity: u32,
    levels: usize,
    block_bytes: u32,
    processes: usize,
}

impl Entry {
    fn of(details: &ChannelDetails) -> Self {
        let held = details.levels.iter().map(|level| level.being_sent + level.being_taken + level.leased);
        Self {
            name: details.facts.name.clone(),
            offset: details.facts.reference.offset,
            bytes: details.facts.bytes,
            waiting: details.facts.waiting,
            held: held.sum(),
            capacity: details.facts.capacity,
            levels: details.levels.len(),
            block_bytes: details.facts.block_bytes,
            processes: details.users.len(),
        }
    }
}

pub(super) fn run(path: &Path, output: &Output) -> Result<(), Failure> {
    let pool = Pool::inspect(path)?;
    output.write(&Channels { pool: pool.name().to_owned(), channels: entries(&pool) }, write)
}

fn entries(pool: &Inspection) -> Vec<Entry> {
    let details = |facts: &weyr::managed::ChannelFacts| pool.channel_details(facts.reference);
    pool.channels().iter().filter_map(details).map(|details| Entry::of(&details)).collect()
}

fn write(to: &mut dyn Write, report: &Channels) -> io::Result<()> {
    if report.channels.is_empty() {
        return writeln!(to, "No channels in {}.", report.pool);
    }
    let headings =
        ["NAME", ">OFFSET", ">MESSAGES", ">HELD", ">CAPACITY", ">LEVELS", ">BYTES EACH", ">PROCESSES"];
    let mut table = output::table(&headings);
    for entry in &report.channels {
        let full = if entry.waiting >= entry.capacity { Color::DarkYellow } else { Color::Reset };
        table.add_row([
            Cell::new(entry.name.as_deref().unwrap_or("-")),
            Cell::new(format!("{:#x}", entry.offset)),
            Cell::new(output::count(entry.waiting.into())).fg(full),
            Cell::new(output::count(entry.held.into())),
            Cell::new(output::count(entry.capacity.into())),
            Cell::new(entry.levels),
            Cell::new(output::bytes(entry.block_bytes.into())),
            Cell::new(entry.processes),
        ]);
    }
    output::write_table(to, table, "")?;
    let number = output::counted(report.channels.len() as u64, "channel", "channels");
    writeln!(to, "{DIM}{number} in {}{DIM:#}", report.pool)
}
