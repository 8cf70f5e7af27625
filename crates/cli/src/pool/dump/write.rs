//! A dump as people read it, and as programs do.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use weyr::HexLine;
use weyr::managed::{Block, Inspection};

use super::line::{Item, Line};
use crate::output::{self, DIM, HEADING};

/// What stands before the bytes.
#[derive(Debug, Serialize)]
struct Head {
    name: String,
    path: String,
    uuid: String,
    block: Option<BlockFacts>,
}

#[derive(Debug, Serialize)]
struct BlockFacts {
    offset: u64,
    bytes: u64,
    state: &'static str,
    generation: u64,
    actor: u16,
}

/// Writes items one by one.
pub(super) struct Writer<'t> {
    to: &'t mut dyn Write,
    json: bool,
    items: u64,
}

impl<'t> Writer<'t> {
    pub(super) fn begin(
        to: &'t mut dyn Write,
        json: bool,
        pool: &Inspection,
        path: &Path,
        block: Option<&Block>,
    ) -> io::Result<Self> {
        let head = Head {
            name: pool.name().to_owned(),
            path: path.display().to_string(),
            uuid: format!("{:032x}", pool.uuid()),
            block: block.map(facts),
        };
        let mut writer = Self { to, json, items: 0 };
        if json {
            writer.begin_json(&head)?
        } else {
            writer.begin_text(&head)?
        }
        Ok(writer)
    }

    fn begin_json(&mut self, head: &Head) -> io::Result<()> {
        let text = serde_json::to_string(head)?;
        // The object goes on with the items.
        let open = text.strip_suffix('}').unwrap_or(&text);
        write!(self.to, "{open},\"dump\":[")
    }

    fn begin_text(&mut self, head: &Head) -> io::Result<()> {
        writeln!(self.to, "{HEADING}{}{HEADING:#} {DIM}{}{DIM:#}", head.name, head.path)?;
        let Some(BlockFacts { offset, bytes, state, generation, actor }) = &head.block else { return Ok(()) };
        let bytes = output::bytes(*bytes);
        writeln!(self.to, "block at {offset:#x}: {bytes}, {state}, generation {generation}, actor {actor}")
    }

    pub(super) fn write(&mut self, item: &Item) -> io::Result<()> {
        self.items += 1;
        if !self.json {
            return write_text(self.to, item);
        }
        let comma = if self.items > 1 { ",\n" } else { "\n" };
        write!(self.to, "{comma}{}", serde_json::to_string(item)?)
    }

    pub(super) fn end(self, without_data: bool) -> io::Result<()> {
        match (self.json, without_data) {
            (true, _) => writeln!(self.to, "\n]}}"),
            (false, true) => {
                writeln!(self.to, "\n{DIM}payload is left out: --part data, --block or --from show it{DIM:#}")
            }
            (false, false) => Ok(()),
        }
    }
}

fn facts(block: &Block) -> BlockFacts {
    let (reference, bytes, state, actor) = (block.reference, block.bytes, block.state, block.actor);
    BlockFacts { offset: reference.offset, bytes, state, generation: reference.generation, actor }
}

fn write_text(to: &mut dyn Write, item: &Item) -> io::Result<()> {
    match item {
        Item::Part { name, holds, offset, bytes } => {
            let bytes = output::bytes(*bytes);
            writeln!(to, "\n{HEADING}{name}{HEADING:#} {DIM}{bytes} from {offset:#x} on: {holds}{DIM:#}")
        }
        Item::Zeros { offset, bytes } => {
            writeln!(to, "{offset:08x}  {DIM}* {} of zeros{DIM:#}", output::counted(*bytes, "byte", "bytes"))
        }
        Item::Line(line) => write_line(to, line),
    }
}

fn write_line(to: &mut dyn Write, line: &Line) -> io::Result<()> {
    writeln!(to, "{}{}", HexLine { offset: line.offset, bytes: &line.bytes }, label(line))
}

/// `[3] word = 17`.
fn label(line: &Line) -> String {
    let mut label = String::new();
    if let Some(record) = line.record {
        label += &format!("  [{record}]");
    }
    if let Some(field) = line.field {
        label += &format!("{}{field}", if label.is_empty() { "  " } else { " " });
    }
    match line.value {
        Some(value) if value > u64::from(u32::MAX) => label + &format!(" = {value:#x}"),
        Some(value) => label + &format!(" = {value}"),
        None => label,
    }
}
