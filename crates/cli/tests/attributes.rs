//! `weyr pool create` and `weyr pool attr`: attributes asked for, shown and set.

mod command;

use std::os::unix::fs::PermissionsExt as _;

use command::{Pools, text};
use serde_json::json;
use weyr::Pool;

const CREATE: [&str; 5] = ["pool", "create", "a", "--size", "1M"];

#[test]
fn what_was_created_is_shown() {
    let pools = Pools::new();
    let more = [
        "--grow",
        "4M",
        "--segment-size",
        "1M",
        "--minimum-block",
        "100",
        "--alignment",
        "256",
        "--lock-kind",
        "greedy",
        "--manifest-name",
        "old",
        "--preallocate",
        "1Kx10",
        "--preallocate",
        "64Kx2",
        "--executable",
        "--type",
        "file",
    ];
    let output = pools.run(&[&CREATE[..], &more[..]].concat());
    assert!(output.status.success(), "{}", text(&output));
    let (shown, code) = pools.json(&["pool", "attr", "a"]);
    assert_eq!(code, 0);
    let expected = json!({
        "name": "a", "size": 1 << 20, "growth": 4 << 20, "segment_size": 1 << 20, "minimum_block": 100,
        "alignment": 256, "lock_kind": "greedy", "manifest_name": "old", "executable": true, "pool_type": "file",
        "mode": "600", "zeroing": false, "numa_nodes": [],
        "preallocate": [{ "bytes": 1024, "count": 10 }, { "bytes": 65_536, "count": 2 }],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name}");
    }
    assert_eq!(shown["observed"]["segments"], 1);
    assert_eq!(shown["observed"]["utilization_percent"], 0.0);
    let table = text(&pools.run(&["pool", "attr", "a"]));
    for line in
        ["growth 4.00 MiB", "lock-kind greedy", "preallocate 10 of 1.00 KiB, 2 of 64.00 KiB", "segments 1"]
    {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(table.lines().any(|found| words(found) == line), "no {line:?} in {table}");
    }
}

#[test]
fn what_can_be_set_is_set_for_everybody() {
    let pools = Pools::new();
    assert!(pools.run(&[&CREATE[..], &["--grow", "4M", "--segment-size", "1M"]].concat()).status.success());
    let pool = Pool::attach_in(pools.directory(), "a").unwrap();
    let words = ["pool", "attr", "a", "--set", "mode=640", "--set", "growth=2M", "--set", "lock-kind=greedy"];
    let (report, code) = pools.json(&words);
    assert_eq!(code, 0, "{report}");
    assert_eq!((&report["old"]["mode"], &report["new"]["mode"]), (&json!("600"), &json!("640")));
    assert_eq!((&report["old"]["growth"], &report["new"]["growth"]), (&json!(4 << 20), &json!(2 << 20)));
    assert_eq!(report["new"]["lock_kind"], "fifo", "ignored");
    assert_eq!(std::fs::metadata(pool.path()).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(pool.alloc(3 << 20).is_err());
    let said = text(&pools.run(&["pool", "attr", "a", "--set", "growth=none"]));
    assert!(said.contains("set a") && said.contains("none") && said.contains("2.00 MiB"), "{said}");
    let said = text(&pools.run(&["pool", "attr", "a", "--set", "growth=none"]));
    assert!(said.contains("nothing to change"), "{said}");
}

#[test]
fn what_cannot_be_set_or_created_is_a_matter_of_usage() {
    let pools = Pools::new();
    assert!(pools.run(&CREATE).status.success());
    for (change, why) in [
        ("page-size=8K", "page size"),
        ("executable=yes", "executable"),
        ("preallocate=1Kx1", "preallocated blocks"),
        ("numa-nodes=0", "NUMA nodes"),
        ("growth=2M", "growth"),
        ("growth=unlimited", "growth"),
        ("colour=red", "no such attribute"),
        ("mode=888", "octal"),
        ("zeroing=perhaps", "yes or no"),
        ("mode", "NAME=VALUE"),
    ] {
        let output = pools.run(&["pool", "attr", "a", "--set", change]);
        assert_eq!(output.status.code(), Some(2), "{change}: {}", text(&output));
        assert!(text(&output).contains(why), "{change}: {}", text(&output));
    }
    for more in [
        ["--alignment", "100"],
        ["--minimum-block", "2M"],
        ["--preallocate", "1M"],
        ["--preallocate", "1Mx2"],
        ["--lock-kind", "none"],
        ["--type", "private"],
        ["--numa-nodes", "1023"],
        ["--node", "0x1"],
    ] {
        let output = pools.run(&[&["pool", "create", "b", "--size", "1M"][..], &more[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", text(&output));
    }
    assert_eq!(pools.run(&["pool", "attr", "b"]).status.code(), Some(3), "nothing was created");
}
