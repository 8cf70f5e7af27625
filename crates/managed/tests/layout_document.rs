//! `docs/layout.md` is made from the layouts in the source and must be what they say.
//!
//! After a change that is meant: `WEYR_BLESS=1 cargo test -p weyr-managed --test layout_document`.

use std::fmt::Write;
use std::path::Path;

use weyr_managed::geometry::{Geometry, METADATA_CHUNK, Shape};
use weyr_managed::layout::{LAYOUT_VERSION, Lane, PageDescriptor, PoolHeader, ProcessSlot};
use weyr_shared::{Layout, LevelHeader, RING_VERSION, RingHeader, Slot};

const HEAD: &str = "\
# What lies where

Made from the layouts in the source by a test; do not edit. All words are little-endian. Zero is valid and empty
everywhere. How the words change is said in [recovery.md](recovery.md) and in the module that owns them.
";

fn describe<T: Layout>(document: &mut String, owner: &str) {
    let _ = write!(document, "\n## {} ({} bytes, `{owner}`)\n\n{}\n\n", T::NAME, T::SIZE, T::DOC.trim());
    document.push_str("| offset | field | type | meaning |\n| ---: | --- | --- | --- |\n");
    for field in T::FIELDS {
        let doc = field.doc.trim().replace('|', "\\|");
        let _ = writeln!(document, "| {} | {} | {} | {doc} |", field.offset, field.name, field.kind);
    }
}

fn tables(document: &mut String) {
    let shape = Shape {
        page_shift: 16,
        initial_pages: 16_384,
        segment_pages: 2048,
        maximum_pages: 16_384,
        process_limit: 1024,
        lane_limit: 4096,
        channel_limit: 16_384,
    };
    let at = Geometry::new(shape).offsets;
    let _ = write!(
        document,
        "\n## A pool of 1 GiB\n\nThe tables of all pages that the pool may have come first, then the data. Metadata is \
         promised by the filesystem {} KiB at a time, as it is used.\n\n| offset | table | holds |\n| ---: | --- | --- |\n",
        METADATA_CHUNK >> 10
    );
    let rows = [
        (0, "header", "PoolHeader"),
        (at.metadata_backed, "backed metadata", "a bit a chunk of metadata"),
        (at.data_backed, "backed data", "a bit a chunk of data"),
        (at.processes, "process slots", "ProcessSlot"),
        (at.lanes, "lanes", "Lane"),
        (at.channels, "channel table", "`offset/64:40 | generation:24`"),
        (at.page_words, "page words", "`state:4 | class:8, lane:16 or distance:24 | epoch:36`"),
        (at.used, "used hints", "a bit a page: probably in use"),
        (at.orphan, "orphan hints", "a bit a page: probably a slab without owner"),
        (at.pending, "pending hints", "a bit a page: blocks were freed by others"),
        (at.descriptors, "page descriptors", "PageDescriptor"),
        (at.tiers[0], "block words, tier 0", "`state:4 | actor:16 | generation:44` per 4096 bytes"),
        (at.tiers[1], "block words, tier 1", "the same per 1024 bytes"),
        (at.tiers[2], "block words, tier 2", "the same per 256 bytes"),
        (at.tiers[3], "block words, tier 3", "the same per 64 bytes"),
        (
            at.long,
            "long bitmaps",
            "free bits of slabs of more than 64 blocks: the owner's word, the others' word",
        ),
        (at.data, "data", "payload, nothing else"),
    ];
    for (offset, table, holds) in rows {
        let _ = writeln!(document, "| {offset:#x} | {table} | {} |", holds.replace('|', "\\|"));
    }
}

#[test]
fn the_layout_document_is_what_the_source_says() {
    let mut document = HEAD.to_owned();
    let _ = write!(document, "\nPool layout {LAYOUT_VERSION}, channel layout {RING_VERSION}.\n");
    tables(&mut document);
    describe::<PoolHeader>(&mut document, "managed/src/layout.rs");
    describe::<ProcessSlot>(&mut document, "managed/src/layout.rs");
    describe::<Lane>(&mut document, "managed/src/layout.rs");
    describe::<PageDescriptor>(&mut document, "managed/src/layout.rs");
    describe::<RingHeader>(&mut document, "shared/src/ring.rs");
    describe::<LevelHeader>(&mut document, "shared/src/ring/level.rs");
    describe::<Slot>(&mut document, "shared/src/slot.rs");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/layout.md");
    if std::env::var_os("WEYR_BLESS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap();
    assert!(
        checked_in == document,
        "docs/layout.md is out of date; run with WEYR_BLESS=1 and look at the difference"
    );
}
