//! `weyr pool list`.

use std::io::{self, Write};
use std::path::Path;

use comfy_table::{Cell, Color};
use serde::Serialize;
use weyr::managed::{Error, Inspection, name};
use weyr::{Pool, Usage};

use super::users::Users;
use crate::failure::Failure;
use crate::output::{self, DIM, ERROR, Output};

/// All pools.
#[derive(Debug, Serialize)]
struct Pools {
    directory: String,
    pools: Vec<Entry>,
}

/// One pool.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    #[serde(flatten)]
    found: Found,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Found {
    Readable(Summary),
    Unreadable { error: String },
}

#[derive(Debug, Serialize)]
struct Summary {
    size_bytes: u64,
    maximum_bytes: u64,
    backed_bytes: u64,
    used_bytes: u64,
    peak_bytes: u64,
    blocks: u64,
    processes_alive: u64,
    processes_dead: u64,
}

impl Summary {
    fn of(pool: &Inspection) -> Self {
        let Usage { page_bytes, pages, maximum_pages, peak_pages, backed_bytes, total, .. } = pool.usage();
        let users = Users::of(&pool.members());
        Self {
            size_bytes: pages * page_bytes,
            maximum_bytes: maximum_pages * page_bytes,
            backed_bytes,
            used_bytes: total.bytes,
            peak_bytes: peak_pages * page_bytes,
            blocks: total.blocks,
            processes_alive: users.alive,
            processes_dead: users.dead,
        }
    }
}

pub(crate) fn run(directory: &Path, output: &Output) -> Result<(), Failure> {
    let pools = name::list(directory)?.into_iter().filter_map(|(name, path)| {
        let found = match Pool::inspect(&path) {
            Ok(pool) => Found::Readable(Summary::of(&pool)),
            // Destroyed since the directory was read.
            Err(Error::NoSuchPool { .. }) => return None,
            Err(error) => Found::Unreadable { error: error.to_string() },
        };
        Some(Entry { name, found })
    });
    let pools = Pools { directory: directory.display().to_string(), pools: pools.collect() };
    output.write(&pools, write)
}

fn write(to: &mut dyn Write, pools: &Pools) -> io::Result<()> {
    if pools.pools.is_empty() {
        return writeln!(to, "No pools in {}.", pools.directory);
    }
    let mut table = output::table(&["NAME", ">SIZE", ">USED", ">PEAK", ">BLOCKS", ">ALIVE", ">DEAD"]);
    let mut unreadable = Vec::new();
    for Entry { name, found } in &pools.pools {
        match found {
            Found::Readable(pool) => drop(table.add_row(row(name, pool))),
            Found::Unreadable { error } => unreadable.push(error),
        }
    }
    if !table.is_empty() {
        output::write_table(to, table, "")?;
    }
    unreadable.iter().try_for_each(|error| writeln!(to, "{ERROR}unreadable:{ERROR:#} {error}"))?;
    let number = output::counted(pools.pools.len() as u64, "pool", "pools");
    writeln!(to, "{DIM}{number} in {}{DIM:#}", pools.directory)
}

fn row(name: &str, pool: &Summary) -> Vec<Cell> {
    let dead = if pool.processes_dead > 0 { Color::DarkYellow } else { Color::Reset };
    vec![
        Cell::new(name),
        Cell::new(output::bytes(pool.size_bytes)),
        Cell::new(output::bytes(pool.used_bytes)),
        Cell::new(output::bytes(pool.peak_bytes)),
        Cell::new(output::count(pool.blocks)),
        Cell::new(pool.processes_alive),
        Cell::new(pool.processes_dead).fg(dead),
    ]
}
