//! `weyr pool dump`: the bytes of a pool, with the names that the layout gives them.
//!
//! It reads the pool's file and never its mapping, so it touches nobody's memory, and holes of the file stay holes.

mod line;
mod walk;
mod write;

use std::io;
use std::ops::Range;
use std::path::Path;

use weyr::Pool;
use weyr::managed::{Block, Inspection, Section};

use crate::arguments::DumpArguments;
use crate::failure::Failure;
use crate::output::Output;
use line::Item;
use walk::Walk;
use write::Writer;

/// What is to be shown.
struct Choice {
    sections: Vec<Section>,
    range: Range<u64>,
    block: Option<Block>,
    /// Whether payload is left out because nobody asked for it.
    without_data: bool,
}

pub(crate) fn run(arguments: &DumpArguments, path: &Path, output: &Output) -> Result<(), Failure> {
    let pool = Pool::inspect(path)?;
    let choice = choose(&pool, arguments)?;
    output.stream(|to| {
        let mut writer = Writer::begin(to, output.json, &pool, path, choice.block.as_ref())?;
        show(&pool, &choice, &mut |item| writer.write(&item))?;
        writer.end(choice.without_data)
    })
}

fn show(pool: &Inspection, choice: &Choice, emit: &mut dyn FnMut(Item) -> io::Result<()>) -> io::Result<()> {
    for section in &choice.sections {
        let range = section.offset.max(choice.range.start)..section.end().min(choice.range.end);
        if range.is_empty() {
            continue;
        }
        emit(Item::part(section))?;
        Walk::new(pool, section, range).run(emit)?;
    }
    Ok(())
}

fn choose(pool: &Inspection, arguments: &DumpArguments) -> Result<Choice, Failure> {
    let all = pool.sections();
    let end = all.iter().map(Section::end).max().unwrap_or(0);
    if let Some(offset) = arguments.block {
        return of_block(pool, offset, arguments.bytes);
    }
    let start = arguments.from.unwrap_or(0);
    if start >= end {
        return Err(Failure::Usage(format!("--from {start:#x} lies behind the end of the pool, {end:#x}")));
    }
    let range = start..arguments.bytes.map_or(end, |bytes| start.saturating_add(bytes).min(end));
    let ranged = arguments.from.is_some() || arguments.bytes.is_some();
    let without_data = !ranged && arguments.part.is_empty();
    let sections = match arguments.part.is_empty() {
        true => all.into_iter().filter(|section| !without_data || section.part.name != "data").collect(),
        false => named(&all, &arguments.part)?,
    };
    Ok(Choice { sections, range, block: None, without_data })
}

/// The word of a block, and the block.
fn of_block(pool: &Inspection, offset: u64, bytes: Option<u64>) -> Result<Choice, Failure> {
    let block = pool.block(offset)?;
    let all = pool.sections();
    let mut sections: Vec<Section> = Vec::new();
    let holds_word = |section: &&Section| (section.offset..section.end()).contains(&block.word_at);
    // One word of its table: what lies beside it is of other blocks.
    sections.extend(all.iter().find(holds_word).map(|table| Section {
        offset: block.word_at,
        bytes: table.stride,
        ..*table
    }));
    let start = block.sections.first().map_or(0, |section| section.offset);
    let end = start.saturating_add(bytes.unwrap_or(block.bytes).min(block.bytes));
    let content = block.sections.iter().filter(|section| section.offset < end);
    sections.extend(
        content.map(|section| Section { bytes: section.bytes.min(end - section.offset), ..*section }),
    );
    Ok(Choice { sections, range: 0..u64::MAX, block: Some(block), without_data: false })
}

fn named(all: &[Section], names: &[String]) -> Result<Vec<Section>, Failure> {
    let find = |name: &String| {
        all.iter().find(|section| slug(section.part.name) == *name).copied().ok_or_else(|| {
            let known: Vec<String> = all.iter().map(|section| slug(section.part.name)).collect();
            Failure::Usage(format!("no part is called {name:?}; there are {}", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

/// The name of a part as an option has it: `block words, tier 0` is `block-words-tier-0`.
fn slug(name: &str) -> String {
    name.replace(',', "").replace(' ', "-")
}
