//! `weyr pool create`: every attribute reaches the pool, and what no pool can be is refused.

mod command;

use std::os::unix::fs::PermissionsExt as _;

use command::{Pools, text};
use weyr::Pool;

#[test]
fn a_created_pool_stays_and_has_what_was_asked_for() {
    let pools = Pools::new();
    let words = [
        "pool",
        "create",
        "wide",
        "--size",
        "1M",
        "--grow",
        "8M",
        "--segment-size",
        "2M",
        "--page-size",
        "8K",
        "--mode",
        "640",
        "--processes",
        "5",
        "--lanes",
        "6",
        "--channels",
        "7",
        "--manifest-entries",
        "8",
        "--commit",
        "--zeroing",
    ];
    let (report, code) = pools.json(&words);
    assert_eq!(code, 0, "{report}");
    let numbers = ["size_bytes", "maximum_bytes", "page_bytes", "processes"].map(|key| report[key].as_u64());
    assert_eq!(numbers, [1 << 20, 8 << 20, 8 << 10, 5].map(Some));
    assert!(report["backed_bytes"].as_u64().unwrap() >= 1 << 20, "{report}");
    assert_eq!(report["huge_pages"], false);
    let pool = Pool::attach_in(pools.directory(), "wide").unwrap();
    assert_eq!(report["uuid"], format!("{:032x}", pool.uuid()));
    let (dump, _) = pools.json(&["pool", "dump", "wide", "--part", "header"]);
    let value = |name: &str| {
        let mut items = dump["dump"].as_array().unwrap().iter();
        items.find(|item| item["field"] == name).and_then(|item| item["value"].as_u64())
    };
    let tables = ["process_limit", "lane_limit", "channel_limit", "manifest_limit"].map(value);
    assert_eq!(tables, [5, 6, 7, 8].map(Some));
    assert_eq!(std::fs::metadata(pool.path()).unwrap().permissions().mode() & 0o777, 0o640);
    let mut memory = pool.alloc(4096).unwrap();
    memory.write(0, &[7; 4096]).unwrap();
    drop(memory);
    let mut bytes = [1; 4096];
    pool.alloc(4096).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 4096], "--zeroing");
    let _large = pool.alloc(6 << 20).expect("--grow");
}

#[test]
fn the_defaults_are_those_of_the_library() {
    let pools = Pools::new();
    let output = pools.run(&["pool", "create", "plain", "--size", "64K"]);
    assert!(
        output.status.success() && text(&output).contains("created plain, 64.00 KiB"),
        "{}",
        text(&output)
    );
    let pool = Pool::attach_in(pools.directory(), "plain").unwrap();
    assert_eq!((pool.size(), pool.maximum_size()), (64 << 10, 64 << 10));
    assert!(pools.run(&["pool", "create", "large", "--size", "1M", "--grow", "unlimited"]).status.success());
}

#[test]
fn huge_pages_are_asked_for_where_a_pool_can_have_them() {
    let pools = Pools::new();
    let (report, code) = pools.json(&["pool", "create", "huge", "--size", "16M", "--huge-pages"]);
    assert_eq!((code, &report["huge_pages"]), (0, &true.into()), "{report}");
}

#[test]
fn what_no_pool_can_be_is_a_matter_of_usage() {
    let pools = Pools::new();
    for words in [
        &["pool", "create", "a"][..],
        &["pool", "create", "a", "--size", "much"],
        &["pool", "create", "a", "--size", "0"],
        &["pool", "create", "a/b", "--size", "1M"],
        &["pool", "create", "a", "--size", "1M", "--mode", "888"],
        &["pool", "create", "a", "--size", "1M", "--mode", "7777"],
        &["pool", "create", "a", "--size", "1M", "--page-size", "5K"],
        &["pool", "create", "a", "--size", "1M", "--grow", "4K"],
        &["pool", "create", "a", "--size", "1M", "--processes", "70000"],
    ] {
        let output = pools.run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output));
    }
    assert!(pools.is_empty());
}

#[test]
fn a_taken_name_a_missing_directory_and_missing_rights_are_said() {
    let pools = Pools::new();
    assert!(pools.run(&["pool", "create", "once", "--size", "1M"]).status.success());
    let cases = [
        (&["pool", "create", "once", "--size", "1M"][..], "exists"),
        (&["pool", "create", "a", "--size", "1M", "--directory", "/no/such"], "no directory /no/such"),
        // Not even root makes files there.
        (
            &["pool", "create", "a", "--size", "1M", "--directory", "/sys"],
            "no permission to create a pool in /sys",
        ),
    ];
    for (words, why) in cases {
        let output = pools.run(words);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {}", text(&output));
        assert!(text(&output).contains(why), "{}", text(&output));
    }
}
