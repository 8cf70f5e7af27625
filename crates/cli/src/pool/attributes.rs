//! `weyr pool attr`.

use std::io::{self, Write};
use std::path::Path;

use comfy_table::Cell;
use serde_json::{Map, Value, json};
use weyr::managed::{Attributes, PoolType, Preallocated};
use weyr::{Growth, Pool};

use crate::arguments::{
    parse_bytes, parse_growth, parse_lock_kind, parse_mode, parse_offset, parse_preallocated,
};
use crate::failure::Failure;
use crate::output::{self, DIM, GOOD, HEADING, Output};

pub(crate) fn run(path: &Path, changes: &[(String, String)], output: &Output) -> Result<(), Failure> {
    if changes.is_empty() {
        let attributes = Pool::inspect(path)?.attributes()?;
        return output.write(&json(&attributes), |to, _| write(to, &attributes, path));
    }
    let pool = Pool::attach_path(path)?;
    let mut wanted = pool.attributes()?;
    for (name, value) in changes {
        change(&mut wanted, name, value)?;
    }
    let old = pool.set_attributes(&wanted)?;
    let new = pool.attributes()?;
    let report = json!({ "old": json(&old), "new": json(&new) });
    output.write(&report, |to, _| write_changes(to, &old, &new))
}

/// One attribute: its name on the command line, its value for programs and for people.
struct Row {
    name: &'static str,
    value: Value,
    shown: String,
}

impl Row {
    fn text(name: &'static str, text: impl Into<String>) -> Self {
        let shown = text.into();
        Self { name, value: shown.clone().into(), shown }
    }

    fn number(name: &'static str, number: u64) -> Self {
        Self { name, value: number.into(), shown: output::count(number) }
    }

    fn bytes(name: &'static str, bytes: u64) -> Self {
        Self { name, value: bytes.into(), shown: output::bytes(bytes) }
    }

    fn flag(name: &'static str, set: bool) -> Self {
        Self { name, value: set.into(), shown: if set { "yes" } else { "no" }.into() }
    }

    /// A number that may not be there.
    fn id(name: &'static str, id: Option<u32>) -> Self {
        Self { name, value: id.into(), shown: id.map_or_else(|| "-".into(), |id| id.to_string()) }
    }

    fn list(name: &'static str, items: impl IntoIterator<Item = (Value, String)>) -> Self {
        let (values, shown): (Vec<Value>, Vec<String>) = items.into_iter().unzip();
        let shown = if shown.is_empty() { "none".into() } else { shown.join(", ") };
        Self { name, value: values.into(), shown }
    }
}

/// What was settled, and can be set or not.
fn settings(attributes: &Attributes) -> Vec<Row> {
    let mode = attributes.mode.map_or_else(|| "-".to_owned(), |mode| format!("{mode:03o}"));
    let ready = |kind: &Preallocated| {
        let value = json!({ "bytes": kind.bytes, "count": kind.count });
        (value, format!("{} of {}", output::count(kind.count), output::bytes(kind.bytes)))
    };
    vec![
        Row::text("mode", mode),
        Row::id("owner", attributes.owner),
        Row::id("group", attributes.group),
        growth(attributes.growth),
        Row::text("pool-type", attributes.pool_type.name()),
        Row::text("lock-kind", attributes.lock_kind.name()),
        Row::text("node", format!("{:#x}", attributes.node)),
        Row::text("name", &attributes.name),
        Row::bytes("size", attributes.size),
        Row::bytes("minimum-block", attributes.minimum_block),
        Row::bytes("alignment", attributes.alignment),
        Row::bytes("segment-size", attributes.segment_size),
        Row::bytes("page-size", attributes.page_size),
        Row::number("processes", attributes.processes.into()),
        Row::number("lanes", attributes.lanes.into()),
        Row::number("channels", attributes.channels.into()),
        Row::number("manifest-entries", attributes.manifest_entries.into()),
        Row::text("manifest-name", &attributes.manifest_name),
        Row::flag("commit", attributes.commit),
        Row::flag("prefault", attributes.prefault),
        Row::flag("zeroing", attributes.zeroing),
        Row::flag("zero-on-free", attributes.zero_on_free),
        Row::flag("huge-pages", attributes.huge_pages),
        Row::flag("executable", attributes.executable),
        Row::list("numa-nodes", attributes.numa_nodes.iter().map(|&node| (node.into(), node.to_string()))),
        Row::list("preallocate", attributes.preallocated.iter().map(ready)),
    ]
}

fn growth(growth: Growth) -> Row {
    match growth {
        Growth::None => Row::text("growth", "none"),
        Growth::Unlimited => Row::text("growth", "unlimited"),
        Growth::UpTo(bytes) => Row::bytes("growth", bytes),
    }
}

/// What follows from use.
fn observations(attributes: &Attributes) -> Vec<Row> {
    let seen = &attributes.observed;
    let free = |(bytes, count): (&u64, &u64)| {
        let value = json!({ "block_bytes": bytes, "blocks": count });
        (value, format!("{} of {}", output::count(*count), output::bytes(*bytes)))
    };
    let used = Row {
        name: "utilization-percent",
        value: seen.utilization().into(),
        shown: format!("{:.1}", seen.utilization()),
    };
    vec![
        Row::bytes("allocatable-bytes", seen.allocatable_bytes),
        Row::bytes("maximum-bytes", seen.maximum_bytes),
        Row::bytes("object-bytes", seen.object_bytes),
        Row::bytes("free-bytes", seen.free_bytes),
        used,
        Row::number("maximum-allocations", seen.maximum_allocations),
        Row::bytes("largest-block", seen.largest_block),
        Row::list("free-blocks", seen.free_blocks.iter().map(free)),
        Row::number("waiters", seen.waiters.into()),
        Row::number("manifest-entries-used", seen.manifest_entries),
        Row::bytes("manifest-bytes", seen.manifest_bytes),
        Row::number("segments", seen.segments),
        Row::list("segment-names", seen.segment_names.iter().map(|name| (name.clone().into(), name.clone()))),
    ]
}

/// With the names of the command line, `_` for `-`.
fn json(attributes: &Attributes) -> Value {
    let entry = |row: Row| (row.name.replace('-', "_"), row.value);
    let entries: Map<String, Value> = settings(attributes).into_iter().map(entry).collect();
    let observed: Map<String, Value> = observations(attributes).into_iter().map(entry).collect();
    let mut report = Value::Object(entries);
    report["observed"] = observed.into();
    report
}

fn write(to: &mut dyn Write, attributes: &Attributes, path: &Path) -> io::Result<()> {
    writeln!(to, "{HEADING}{}{HEADING:#} {DIM}{}{DIM:#}", attributes.name, path.display())?;
    write_rows(to, settings(attributes))?;
    writeln!(to, "\n{HEADING}As it is now{HEADING:#}")?;
    write_rows(to, observations(attributes))
}

fn write_rows(to: &mut dyn Write, rows: Vec<Row>) -> io::Result<()> {
    let mut table = output::facts();
    for row in rows {
        table.add_row([row.name, &row.shown]);
    }
    output::write_table(to, table, "  ")
}

fn write_changes(to: &mut dyn Write, old: &Attributes, new: &Attributes) -> io::Result<()> {
    let pairs = settings(old).into_iter().zip(settings(new));
    let changed: Vec<_> = pairs.filter(|(old, new)| old.value != new.value).collect();
    if changed.is_empty() {
        return writeln!(to, "nothing to change in {}", new.name);
    }
    writeln!(to, "{GOOD}set{GOOD:#} {}", new.name)?;
    let mut table = output::table(&["ATTRIBUTE", "WAS", "IS"]);
    for (old, new) in changed {
        table.add_row([old.name, &old.shown, &new.shown].map(Cell::new));
    }
    output::write_table(to, table, "  ")
}

/// What the command line wants an attribute to be. What a pool makes of it, the library says.
fn change(wanted: &mut Attributes, name: &str, value: &str) -> Result<(), Failure> {
    let changed = changed(wanted, name, value);
    changed.map_err(|reason| Failure::Usage(format!("attribute {name}: {reason}")))
}

fn changed(wanted: &mut Attributes, name: &str, value: &str) -> Result<(), String> {
    match name {
        "mode" => wanted.mode = Some(parse_mode(value)?),
        "owner" => wanted.owner = Some(number(value)?),
        "group" => wanted.group = Some(number(value)?),
        "growth" if value == "none" => wanted.growth = Growth::None,
        "growth" => wanted.growth = parse_growth(value)?,
        "pool-type" => wanted.pool_type = pool_type(value)?,
        "lock-kind" => wanted.lock_kind = parse_lock_kind(value)?,
        "node" => wanted.node = parse_offset(value)?,
        "name" => wanted.name = value.to_owned(),
        "size" => wanted.size = parse_bytes(value)?,
        "minimum-block" => wanted.minimum_block = parse_bytes(value)?,
        "alignment" => wanted.alignment = parse_bytes(value)?,
        "segment-size" => wanted.segment_size = parse_bytes(value)?,
        "page-size" => wanted.page_size = parse_bytes(value)?,
        "processes" => wanted.processes = number(value)?,
        "lanes" => wanted.lanes = number(value)?,
        "channels" => wanted.channels = number(value)?,
        "manifest-entries" => wanted.manifest_entries = number(value)?,
        "manifest-name" => wanted.manifest_name = value.to_owned(),
        "commit" => wanted.commit = flag(value)?,
        "prefault" => wanted.prefault = flag(value)?,
        "zeroing" => wanted.zeroing = flag(value)?,
        "zero-on-free" => wanted.zero_on_free = flag(value)?,
        "huge-pages" => wanted.huge_pages = flag(value)?,
        "executable" => wanted.executable = flag(value)?,
        "numa-nodes" => wanted.numa_nodes = list(value, number)?,
        "preallocate" => wanted.preallocated = list(value, parse_preallocated)?,
        _ => return Err("there is no such attribute; without --set all of them are shown".into()),
    }
    Ok(())
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "write a number".into())
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("write yes or no".into()),
    }
}

fn list<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').filter(|part| !part.is_empty()).map(item).collect()
}

fn pool_type(text: &str) -> Result<PoolType, String> {
    let found = PoolType::ALL.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| "there is no such type".into())
}
