//! `docs/layout.md` is made from the layouts in the source and must be what they say.
//!
//! After a change that is meant: `WEYR_BLESS=1 cargo test -p weyr-managed --test layout_document`.

use std::fmt::Write;
use std::path::Path;

use weyr_managed::Section;
use weyr_managed::geometry::{Geometry, METADATA_CHUNK, Shape};
use weyr_managed::layout::{
    LAYOUT_VERSION, Lane, ManifestBucket, ManifestRecord, PageDescriptor, PoolHeader, ProcessSlot,
};
use weyr_shared::lock::{FifoLiteLock, FifoLitePlace, FifoLock, FifoPlace, GreedyLock};
use weyr_shared::{
    BarrierRecord, BitsetHeader, CollectiveRecord, CollectiveSeat, HashTableEntry, HashTableHeader,
    PriorityHeapCell, PriorityHeapHeader,
};
use weyr_shared::{
    BufferPoolRecord, Layout, LevelHeader, Part, RING_VERSION, ReadyRow, RingHeader, Slot, SlotExtension,
};

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
        manifest_limit: 16_384,
    };
    let sections = Geometry::new(shape).sections(16_384);
    let _ = write!(
        document,
        "\n## A pool of 1 GiB\n\nThe tables of all pages that the pool may have come first, then the data. Metadata is \
         promised by the filesystem {} KiB at a time, as it is used.\n\n| offset | table | holds |\n| ---: | --- | --- |\n",
        METADATA_CHUNK >> 10
    );
    for Section { part, offset, .. } in sections {
        let _ = writeln!(document, "| {offset:#x} | {} | {} |", part.name, part.holds.replace('|', "\\|"));
    }
}

fn parts(document: &mut String, title: &str, about: &str, parts: &[Part]) {
    let _ = write!(document, "\n## {title}\n\n{about}\n\n| offset | bytes | part | holds |\n");
    document.push_str("| ---: | ---: | --- | --- |\n");
    for Part { offset, bytes, name, holds } in parts {
        let _ = writeln!(document, "| {offset} | {bytes} | {name} | {} |", holds.replace('|', "\\|"));
    }
}

fn channel(document: &mut String) {
    let plain = weyr_shared::Geometry {
        block_size: 1024,
        capacity: 100,
        processes: 1024,
        ..weyr_shared::Geometry::PLAIN
    };
    let extended = weyr_shared::Geometry { attributes: true, ..plain };
    let about = format!(
        "The default channel, of 100 messages of 1024 bytes, in a pool for 1024 processes: {} bytes in one block of \
         the pool.",
        plain.bytes()
    );
    parts(document, "A channel", &about, &plain.parts());
    let about = format!(
        "One of a channel that has room for message attributes; {} bytes from slot to slot, {} where there is none.",
        extended.stride(),
        plain.stride()
    );
    parts(document, "A slot", &about, &extended.slot_parts());
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
    describe::<ManifestBucket>(&mut document, "managed/src/layout.rs");
    describe::<ManifestRecord>(&mut document, "managed/src/layout.rs");
    describe::<ReadyRow>(&mut document, "shared/src/ready.rs");
    channel(&mut document);
    describe::<RingHeader>(&mut document, "shared/src/ring.rs");
    describe::<LevelHeader>(&mut document, "shared/src/ring/level.rs");
    describe::<BufferPoolRecord>(&mut document, "shared/src/ring/buffers.rs");
    describe::<Slot>(&mut document, "shared/src/slot.rs");
    describe::<SlotExtension>(&mut document, "shared/src/ring/extension.rs");
    describe::<BarrierRecord>(&mut document, "shared/src/barrier.rs");
    describe::<CollectiveRecord>(&mut document, "shared/src/collective.rs");
    describe::<CollectiveSeat>(&mut document, "shared/src/collective.rs");
    describe::<GreedyLock>(&mut document, "shared/src/lock/greedy.rs");
    describe::<FifoLock>(&mut document, "shared/src/lock/fifo.rs");
    describe::<FifoPlace>(&mut document, "shared/src/lock/fifo.rs");
    describe::<FifoLiteLock>(&mut document, "shared/src/lock/fifo_lite.rs");
    describe::<FifoLitePlace>(&mut document, "shared/src/lock/fifo_lite.rs");
    describe::<BitsetHeader>(&mut document, "shared/src/bitset.rs");
    describe::<PriorityHeapHeader>(&mut document, "shared/src/priority_heap.rs");
    describe::<PriorityHeapCell>(&mut document, "shared/src/priority_heap.rs");
    describe::<HashTableHeader>(&mut document, "shared/src/hash_table.rs");
    describe::<HashTableEntry>(&mut document, "shared/src/hash_table.rs");
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
