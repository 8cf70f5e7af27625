//! `weyr pool dump`: every byte once, under its name, and no memory touched.

mod command;

use std::os::unix::fs::MetadataExt as _;

use command::{Pools, text};
use serde_json::Value;
use weyr::{Channel, ChannelAttributes, Pool, PoolAttributes};

fn create(pools: &Pools, name: &str, bytes: u64) -> Pool {
    Pool::create(&PoolAttributes::new(name, bytes).directory(pools.directory())).unwrap()
}

fn number(item: &Value, key: &str) -> u64 {
    item[key].as_u64().unwrap_or_else(|| panic!("no {key} in {item}"))
}

/// The bytes that a dump of whole parts shows, if it shows each byte of each part once and in order.
fn bytes_of(dump: &Value) -> Vec<u8> {
    let (mut bytes, mut part_end) = (Vec::new(), 0);
    for item in dump["dump"].as_array().unwrap() {
        let at = number(item, "offset");
        if item["kind"] == "part" {
            assert_eq!(bytes.len() as u64, part_end, "the part before {item} is not whole");
            part_end = at + number(item, "bytes");
            // Between two parts there may be a few bytes that no part has.
            bytes.resize(at as usize, 0);
            continue;
        }
        assert_eq!(at, bytes.len() as u64, "{item} does not follow");
        if item["kind"] == "zeros" {
            bytes.resize((at + number(item, "bytes")) as usize, 0);
        } else {
            let digits = item["bytes"].as_str().unwrap();
            let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            bytes.extend((0..digits.len()).step_by(2).map(byte));
        }
    }
    assert_eq!(bytes.len() as u64, part_end, "the last part is not whole");
    bytes
}

fn field<'d>(dump: &'d Value, name: &str) -> &'d Value {
    let mut items = dump["dump"].as_array().unwrap().iter();
    items.find(|item| item["field"] == name).unwrap_or_else(|| panic!("no field {name}"))
}

#[test]
fn a_dump_shows_every_byte_of_the_pool_once() {
    let pools = Pools::new();
    let pool = create(&pools, "whole", 256 << 10);
    let mut memory = pool.alloc(10_000).unwrap();
    memory.write(0, &(0..10_000u32).map(|at| at as u8).collect::<Vec<_>>()).unwrap();
    let _small = [pool.alloc(64).unwrap(), pool.alloc(300).unwrap()];
    let (dump, code) = pools.json(&["pool", "dump", "whole", "--from", "0"]);
    assert_eq!((code, &dump["name"]), (0, &"whole".into()));
    assert!(bytes_of(&dump) == std::fs::read(pool.path()).unwrap(), "the dump differs from the file");
    let lines = dump["dump"].as_array().unwrap().len();
    assert!(lines < 2000, "{lines} lines: zeros are not folded");
}

#[test]
fn fields_have_the_names_and_values_of_the_layout() {
    let pools = Pools::new();
    let pool = create(&pools, "named", 1 << 20);
    let (dump, _) = pools.json(&["pool", "dump", "named"]);
    assert_eq!(field(&dump, "uuid_low")["value"], Value::from(pool.uuid() as u64));
    assert_eq!(field(&dump, "process_limit")["value"], 64);
    assert_eq!(field(&dump, "options")["value"], 0, "a field that is zero is not folded");
    assert_eq!(field(&dump, "name")["bytes"].as_str().unwrap()[..10], *"6e616d6564");
    let shown = text(&pools.run(&["pool", "dump", "named"]));
    for part in ["header", "process slots", "lanes", "channel table", "page words", "block words, tier 3"] {
        assert!(shown.contains(&format!("\n{part} ")), "no {part} in {shown}");
    }
    assert!(shown.contains("|weyrpool|") && shown.contains("[0] pid_namespace = "), "{shown}");
    assert!(shown.contains("payload is left out"), "{shown}");
}

#[test]
fn a_dump_leaves_holes_as_they_are() {
    let pools = Pools::new();
    let pool = create(&pools, "sparse", 1 << 30);
    let _memory = pool.alloc(100).unwrap();
    let stored = || std::fs::metadata(pool.path()).unwrap().blocks();
    let before = stored();
    assert!(pools.run(&["pool", "dump", "sparse"]).status.success());
    let (data, _) = pools.json(&["pool", "dump", "sparse", "--part", "data", "--part", "lanes"]);
    assert_eq!(stored(), before);
    let parts: Vec<_> =
        data["dump"].as_array().unwrap().iter().filter(|item| item["kind"] == "part").collect();
    assert_eq!(
        parts.iter().map(|part| part["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["data", "lanes"]
    );
}

#[test]
fn a_range_is_shown_in_whole_lines() {
    let pools = Pools::new();
    let pool = create(&pools, "range", 1 << 20);
    let (dump, _) = pools.json(&["pool", "dump", "range", "--from", "0x3a", "--bytes", "8"]);
    let fields: Vec<_> = dump["dump"].as_array().unwrap()[1..].iter().map(|item| &item["field"]).collect();
    assert_eq!(fields, ["initial_pages", "segment_pages"]);
    drop(pool);
}

#[test]
fn a_block_is_shown_with_its_word_and_a_channel_with_its_fields() {
    let pools = Pools::new();
    let pool = create(&pools, "block", 1 << 20);
    let mut memory = pool.alloc(64).unwrap();
    memory.write(0, b"here I am").unwrap();
    let at = memory.reference().offset.to_string();
    let shown = text(&pools.run(&["pool", "dump", "block", "--block", &at]));
    assert!(shown.contains("64 B, owned") && shown.contains("|here I am"), "{shown}");
    assert!(shown.contains("block words, tier 3"), "{shown}");

    let channel = Channel::create(&pool, &ChannelAttributes::new().capacity(3)).unwrap();
    channel.send(b"a message").unwrap();
    let at = format!("{:#x}", channel.descriptor().reference().offset);
    let (dump, _) = pools.json(&["pool", "dump", "block", "--block", &at]);
    assert_eq!(dump["block"]["state"], "a channel");
    assert_eq!(field(&dump, "capacity")["value"], 3);
    assert_eq!(field(&dump, "tail")["field"], "tail");
    let words = dump["dump"].as_array().unwrap().iter().filter(|item| item["field"] == "word");
    assert!(words.count() >= 1);
    let shown = text(&pools.run(&["pool", "dump", "block", "--block", &at]));
    assert!(shown.contains("|a messag|"), "{shown}");
}

#[test]
fn what_cannot_be_dumped_is_said() {
    let pools = Pools::new();
    drop(create(&pools, "there", 1 << 20));
    let cases = [
        (&["pool", "dump", "missing"][..], 3, "weyr pool list"),
        (&["pool", "dump", "there", "--part", "middle"], 2, "page-words"),
        (&["pool", "dump", "there", "--from", "1G"], 2, "behind the end"),
        (&["pool", "dump", "there", "--from", "0xg"], 2, "hexadecimal"),
        (&["pool", "dump", "there", "--block", "64"], 3, "no allocation starts at"),
        (&["pool", "dump", "there", "--block", "64", "--part", "data"], 2, "cannot be used with"),
    ];
    for (words, code, why) in cases {
        let output = pools.run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output));
        assert!(text(&output).contains(why), "{words:?}: {}", text(&output));
    }
    let uid = std::fs::metadata(pools.directory()).unwrap().uid();
    std::fs::write(pools.directory().join(format!("weyr.{uid}.junk")), [1; 9000]).unwrap();
    assert_eq!(pools.run(&["pool", "dump", "junk"]).status.code(), Some(1));
}
