//! `weyr pool show`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use comfy_table::{Cell, Color, Table};
use serde::Serialize;
use weyr::managed::{Amount, ChannelFacts, Inspection, Member};
use weyr::{Pool, Usage};

use crate::failure::Failure;
use crate::output::{self, DIM, HEADING, Output};

/// All that is known about a pool.
#[derive(Debug, Serialize)]
struct Report {
    name: String,
    path: String,
    uuid: String,
    size_bytes: u64,
    maximum_bytes: u64,
    backed_bytes: u64,
    huge_page_bytes: Option<u64>,
    used_bytes: u64,
    free_bytes: u64,
    peak_bytes: u64,
    page_bytes: u64,
    blocks: u64,
    lanes: u32,
    manifest_entries: u64,
    manifest_limit: u32,
    recovered_processes: u64,
    processes: Vec<Process>,
    by_class: Vec<Class>,
    by_state: Vec<State>,
    channels: Vec<Channel>,
}

#[derive(Debug, Serialize)]
struct Channel {
    name: Option<String>,
    offset: u64,
    bytes: u64,
    capacity: u32,
    block_bytes: u32,
    waiting: u32,
}

#[derive(Debug, Serialize)]
struct Process {
    pid: u32,
    command: Option<String>,
    alive: bool,
    lanes: u32,
    blocks: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Class {
    block_bytes: u64,
    blocks: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct State {
    state: &'static str,
    blocks: u64,
    bytes: u64,
}

pub(crate) fn run(path: &Path, output: &Output) -> Result<(), Failure> {
    let pool = Pool::inspect(path)?;
    output.write(&Report::of(&pool, path), write)
}

impl Report {
    fn of(pool: &Inspection, path: &Path) -> Self {
        let usage = pool.usage();
        Self {
            name: pool.name().to_owned(),
            path: path.display().to_string(),
            uuid: format!("{:032x}", pool.uuid()),
            size_bytes: usage.pages * usage.page_bytes,
            maximum_bytes: usage.maximum_pages * usage.page_bytes,
            backed_bytes: usage.backed_bytes,
            huge_page_bytes: pool.huge_pages().bytes,
            used_bytes: usage.total.bytes,
            free_bytes: usage.free_pages * usage.page_bytes,
            peak_bytes: usage.peak_pages * usage.page_bytes,
            page_bytes: usage.page_bytes,
            blocks: usage.total.blocks,
            lanes: usage.lanes,
            manifest_entries: usage.manifest_entries,
            manifest_limit: usage.manifest_limit,
            recovered_processes: usage.recoveries,
            processes: pool.members().iter().map(|member| Process::of(member, &usage)).collect(),
            by_class: usage.by_size.iter().map(|(&size, amount)| Class::of(size, amount)).collect(),
            by_state: by_state(&usage),
            channels: pool.channels().into_iter().map(Channel::of).collect(),
        }
    }
}

impl Process {
    fn of(member: &Member, usage: &Usage) -> Self {
        let owned = usage.by_process.get(&member.actor.process).copied().unwrap_or_default();
        Self {
            pid: member.pid,
            command: if member.dead { None } else { command(member.pid) },
            alive: !member.dead,
            lanes: member.lanes,
            blocks: owned.blocks,
            bytes: owned.bytes,
        }
    }
}

/// Name of a process, where this one may know it.
pub(crate) fn command(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().chars().filter(|character| !character.is_control()).collect())
}

impl Class {
    fn of(block_bytes: u64, amount: &Amount) -> Self {
        Self { block_bytes, blocks: amount.blocks, bytes: amount.bytes }
    }
}

impl Channel {
    fn of(channel: ChannelFacts) -> Self {
        let ChannelFacts { name, reference, bytes, capacity, block_bytes, waiting, .. } = channel;
        Self { name, offset: reference.offset, bytes, capacity, block_bytes, waiting }
    }
}

/// Several states that mean the same to people become one.
fn by_state(usage: &Usage) -> Vec<State> {
    let mut named: BTreeMap<&'static str, State> = BTreeMap::new();
    for (state, amount) in &usage.by_state {
        let name = match state.name() {
            "a channel" => "channel",
            name => name,
        };
        let entry = named.entry(name).or_insert(State { state: name, blocks: 0, bytes: 0 });
        entry.blocks += amount.blocks;
        entry.bytes += amount.bytes;
    }
    named.into_values().collect()
}

fn write(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    writeln!(to, "{HEADING}{}{HEADING:#} {DIM}{}{DIM:#}", report.name, report.path)?;
    output::write_table(to, facts(report), "  ")?;
    section(to, "Processes", processes(&report.processes), report.processes.is_empty())?;
    section(to, "Channels", channels(&report.channels), report.channels.is_empty())?;
    section(to, "Blocks by size", classes(&report.by_class), report.by_class.is_empty())?;
    section(to, "Blocks by state", states(&report.by_state), report.by_state.is_empty())
}

fn section(to: &mut dyn Write, title: &str, table: Table, empty: bool) -> io::Result<()> {
    writeln!(to, "\n{HEADING}{title}{HEADING:#}")?;
    if empty { writeln!(to, "  {DIM}none{DIM:#}") } else { output::write_table(to, table, "  ") }
}

fn facts(report: &Report) -> Table {
    let mut table = output::facts();
    let size = match report.maximum_bytes {
        maximum if maximum > report.size_bytes => {
            format!("{}, may grow to {}", output::bytes(report.size_bytes), output::bytes(maximum))
        }
        _ => output::bytes(report.size_bytes),
    };
    let used = format!(
        "{} in {}; {} at its peak",
        output::bytes(report.used_bytes),
        output::counted(report.blocks, "block", "blocks"),
        output::bytes(report.peak_bytes)
    );
    let free =
        format!("{} in pages of {}", output::bytes(report.free_bytes), output::bytes(report.page_bytes));
    table.add_row(["size", &size]);
    table.add_row(["used", &used]);
    table.add_row(["free", &free]);
    table.add_row(["on the filesystem", &output::bytes(report.backed_bytes)]);
    let huge = report.huge_page_bytes.map_or_else(|| "unknown".to_owned(), output::bytes);
    table.add_row(["in huge pages", &huge]);
    table.add_row(["lanes", &report.lanes.to_string()]);
    let entries = format!(
        "{} of {} entries",
        output::count(report.manifest_entries),
        output::count(report.manifest_limit.into())
    );
    table.add_row(["manifest", &entries]);
    table.add_row(["deaths recovered", &report.recovered_processes.to_string()]);
    table.add_row(["identity", &report.uuid]);
    table
}

fn processes(processes: &[Process]) -> Table {
    let mut table = output::table(&[">PID", "COMMAND", "STATE", ">LANES", ">BLOCKS", ">OWNED"]);
    for process in processes {
        let (state, color) =
            if process.alive { ("alive", Color::DarkGreen) } else { ("dead", Color::DarkYellow) };
        table.add_row([
            Cell::new(process.pid),
            Cell::new(process.command.as_deref().unwrap_or("-")),
            output::coloured(state, color),
            Cell::new(process.lanes),
            Cell::new(output::count(process.blocks)),
            Cell::new(output::bytes(process.bytes)),
        ]);
    }
    table
}

fn channels(channels: &[Channel]) -> Table {
    let mut table = output::table(&["NAME", ">OFFSET", ">MESSAGES", ">CAPACITY", ">BYTES EACH", ">MEMORY"]);
    for channel in channels {
        table.add_row([
            Cell::new(channel.name.as_deref().unwrap_or("-")),
            Cell::new(format!("{:#x}", channel.offset)),
            Cell::new(channel.waiting),
            Cell::new(channel.capacity),
            Cell::new(output::bytes(channel.block_bytes.into())),
            Cell::new(output::bytes(channel.bytes)),
        ]);
    }
    table
}

fn classes(classes: &[Class]) -> Table {
    let mut table = output::table(&[">SIZE", ">BLOCKS", ">BYTES"]);
    for class in classes {
        let size = Cell::new(output::bytes(class.block_bytes));
        table.add_row([size, Cell::new(output::count(class.blocks)), Cell::new(output::bytes(class.bytes))]);
    }
    table
}

fn states(states: &[State]) -> Table {
    let mut table = output::table(&["STATE", ">BLOCKS", ">BYTES"]);
    for state in states {
        let name = Cell::new(state.state);
        table.add_row([name, Cell::new(output::count(state.blocks)), Cell::new(output::bytes(state.bytes))]);
    }
    table
}
