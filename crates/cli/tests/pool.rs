//! `weyr pool` over pools of this test and of processes that it kills.

mod command;
mod member;

use command::{Pools, text};
use member::member;
use serde_json::Value;
use weyr::{Channel, ChannelAttributes, Mode, Pool, PoolAttributes};

fn create(pools: &Pools, name: &str) -> Pool {
    Pool::create(&PoolAttributes::new(name, 1 << 20).directory(pools.directory())).unwrap()
}

/// A pool of which the only member was killed.
fn abandoned(pools: &Pools, name: &str) -> u32 {
    let pool = create(pools, name);
    let mut member = member(pools, name);
    drop(pool);
    member.kill().unwrap();
    member.wait().unwrap();
    member.id()
}

fn names(pools: &Value) -> Vec<&str> {
    pools.as_array().unwrap().iter().map(|pool| pool["name"].as_str().unwrap()).collect()
}

#[test]
fn a_directory_without_pools_is_listed_as_such() {
    let pools = Pools::new();
    assert_eq!(pools.json(&["pool", "list"]).0["pools"], Value::Array(Vec::new()));
    assert!(text(&pools.run(&["pool", "list"])).contains("No pools in"));
    assert_eq!(pools.run(&["pool", "list", "--directory", "/no/such/directory"]).status.code(), Some(3));
}

#[test]
fn pools_are_listed_with_size_use_and_users() {
    let pools = Pools::new();
    let busy = create(&pools, "busy");
    let _memory = busy.alloc(4096).unwrap();
    drop(create(&pools, "idle"));
    abandoned(&pools, "orphan");
    let (list, code) = pools.json(&["pool", "list"]);
    assert_eq!(code, 0);
    assert_eq!(names(&list["pools"]), ["busy", "idle", "orphan"]);
    let numbers = |index: usize| {
        let fields = ["size_bytes", "used_bytes", "blocks", "processes_alive", "processes_dead"];
        fields.map(|field| list["pools"][index][field].as_u64().unwrap())
    };
    assert_eq!(numbers(0), [1 << 20, 4096, 1, 1, 0]);
    assert_eq!(numbers(1), [1 << 20, 0, 0, 0, 0]);
    assert_eq!(numbers(2), [1 << 20, 102_400, 1, 0, 1]);
    let table = text(&pools.run(&["pool", "list"]));
    assert!(table.contains("NAME") && table.contains("1.00 MiB") && table.contains("3 pools"), "{table}");
}

#[test]
fn a_pool_is_shown_by_process_class_and_state() {
    let pools = Pools::new();
    let pool = create(&pools, "shown");
    let _small = [pool.alloc(64).unwrap(), pool.alloc(64).unwrap()];
    let published = pool.alloc(64).unwrap().publish().unwrap();
    let typed = pool.alloc_typed(200, 1, 2).unwrap();
    let channel = Channel::create(&pool, &ChannelAttributes::new().capacity(4)).unwrap();
    let mut member = member(&pools, "shown");
    let (shown, code) = pools.json(&["pool", "show", "shown"]);
    assert_eq!(code, 0);
    assert_eq!(shown["uuid"], format!("{:032x}", pool.uuid()));
    let process = |pid: u32| {
        let all = shown["processes"].as_array().unwrap();
        all.iter()
            .find(|process| process["pid"] == pid)
            .unwrap_or_else(|| panic!("{pid} is not in {all:?}"))
            .clone()
    };
    assert_eq!(
        (&process(std::process::id())["blocks"], &process(std::process::id())["bytes"]),
        (&2.into(), &128.into())
    );
    assert_eq!((&process(member.id())["blocks"], &process(member.id())["alive"]), (&1.into(), &true.into()));
    let blocks = |table: &str, key: &str, value: Value| {
        let all = shown[table].as_array().unwrap();
        all.iter().find(|row| row[key] == value).map_or(0, |row| row["blocks"].as_u64().unwrap())
    };
    assert_eq!(blocks("by_class", "block_bytes", 64.into()), 3);
    assert_eq!(blocks("by_state", "state", "owned".into()), 3);
    assert_eq!(blocks("by_state", "state", "published".into()), 1);
    assert_eq!(blocks("by_state", "state", "channel".into()), 1);
    assert_eq!(blocks("by_state", "state", "typed".into()), 1);
    assert_eq!((&shown["manifest_entries"], &shown["manifest_limit"]), (&1.into(), &256.into()));

    member.kill().unwrap();
    member.wait().unwrap();
    let table = text(&pools.run(&["pool", "show", "shown"]));
    assert!(table.contains("dead") && table.contains("alive") && table.contains("published"), "{table}");
    assert!(table.contains("1 of 256 entries"), "{table}");
    channel.destroy().unwrap();
    published.free().unwrap();
    typed.free().unwrap();
}

#[test]
fn a_pool_that_holds_verifies() {
    let pools = Pools::new();
    let pool = create(&pools, "sound");
    let _memory = pool.alloc(64).unwrap();
    for words in [&["pool", "verify", "sound"][..], &["pool", "verify", "sound", "--quiesced"]] {
        let (report, code) = pools.json(words);
        assert_eq!((code, &report["holds"], &report["blocks"]), (0, &true.into(), &1.into()), "{report}");
    }
    assert!(text(&pools.run(&["pool", "verify", "sound"])).contains("holds"));
}

#[test]
fn a_broken_invariant_is_found_and_exits_with_1() {
    let pools = Pools::new();
    let pool = create(&pools, "broken");
    let _memory = pool.alloc(64).unwrap();
    let path = pool.path();
    let sound = std::fs::read(path).unwrap();
    // Some word of the metadata that only `verify` minds.
    let breaks = |at: &usize| {
        let mut bytes = sound.clone();
        bytes[*at..at + 8].fill(0xff);
        std::fs::write(path, bytes).unwrap();
        Pool::inspect(path).is_ok_and(|pool| !pool.verify(Mode::Online).holds())
    };
    assert!((0..sound.len().min(256 << 10)).step_by(8).any(|at| breaks(&at)), "nothing matters");
    let (report, code) = pools.json(&["pool", "verify", "broken"]);
    assert_eq!((code, &report["holds"]), (1, &false.into()));
    let finding = &report["findings"][0];
    assert!(finding["invariant"].is_string() && finding["place"].is_u64() && finding["detail"].is_string());
    assert_eq!(pools.run(&["pool", "verify", "broken"]).status.code(), Some(1));
    std::fs::write(path, sound).unwrap();
}

#[test]
fn a_pool_in_use_is_destroyed_by_force_only() {
    let pools = Pools::new();
    let pool = create(&pools, "used");
    let refused = pools.run(&["pool", "destroy", "used"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("1 process uses pool"), "{}", text(&refused));
    assert!(!pool.is_destroyed());
    assert_eq!(
        pools.json(&["pool", "destroy", "used", "--force"]),
        (serde_json::json!({"name": "used", "destroyed": true}), 0)
    );
    assert!(pool.is_destroyed() && pools.is_empty());
}

#[test]
fn a_pool_of_the_dead_or_of_nobody_is_destroyed_at_once() {
    let pools = Pools::new();
    abandoned(&pools, "orphan");
    drop(create(&pools, "idle"));
    for name in ["orphan", "idle"] {
        let output = pools.run(&["pool", "destroy", name]);
        assert!(output.status.success(), "{}", text(&output));
    }
    assert!(pools.is_empty());
}

#[test]
fn pruning_removes_what_only_the_dead_used() {
    let pools = Pools::new();
    let _live = create(&pools, "live");
    drop(create(&pools, "idle"));
    abandoned(&pools, "orphan");
    let removed = |words: &[&str]| {
        let (report, code) = pools.json(words);
        assert_eq!(code, 0, "{report}");
        names(&report["removed"]).join(",")
    };
    assert_eq!(removed(&["pool", "prune", "--dry-run"]), "orphan");
    assert_eq!(removed(&["pool", "prune", "--dry-run", "--unused"]), "idle,orphan");
    assert_eq!(removed(&["pool", "prune"]), "orphan");
    assert_eq!(removed(&["pool", "prune"]), "");
    assert!(text(&pools.run(&["pool", "prune"])).contains("Nothing to remove"));
    assert_eq!(removed(&["pool", "prune", "--unused"]), "idle");
    assert_eq!(names(&pools.json(&["pool", "list"]).0["pools"]), ["live"]);
}

#[test]
fn a_pool_with_a_dead_and_a_live_user_stays() {
    let pools = Pools::new();
    let _live = create(&pools, "shared");
    let mut member = member(&pools, "shared");
    member.kill().unwrap();
    member.wait().unwrap();
    for words in [&["pool", "prune", "--dry-run"][..], &["pool", "prune", "--unused"]] {
        let (report, _) = pools.json(words);
        assert_eq!(
            (report["removed"].as_array().unwrap().len(), &report["kept"]),
            (0, &1.into()),
            "{words:?}"
        );
    }
}

#[test]
fn a_truncated_pool_is_named_and_removed_by_force_only() {
    let pools = Pools::new();
    let pool = create(&pools, "cut");
    let path = pool.path().to_owned();
    drop(pool);
    std::fs::File::options().write(true).open(path).unwrap().set_len(8192).unwrap();
    let (list, _) = pools.json(&["pool", "list"]);
    assert!(list["pools"][0]["error"].as_str().unwrap().contains("truncated"), "{list}");
    for words in [
        &["pool", "verify", "cut"][..],
        &["pool", "show", "cut"],
        &["pool", "destroy", "cut"],
        &["pool", "prune"],
    ] {
        let output = pools.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output));
        assert!(text(&output).contains("truncated"), "{words:?}: {}", text(&output));
    }
    assert!(pools.run(&["pool", "destroy", "cut", "--force"]).status.success());
    assert!(pools.is_empty());
}

#[test]
fn names_that_are_no_pools_are_refused() {
    let pools = Pools::new();
    for verb in ["show", "verify", "destroy"] {
        let missing = pools.run(&["pool", verb, "missing"]);
        assert_eq!(missing.status.code(), Some(3), "{}", text(&missing));
        assert!(text(&missing).contains("weyr pool list"), "{}", text(&missing));
        assert_eq!(pools.run(&["pool", verb, "no/name"]).status.code(), Some(2));
    }
    assert_eq!(pools.run(&["pool", "frobnicate"]).status.code(), Some(2));
}

#[test]
fn help_documents_the_exit_codes() {
    let pools = Pools::new();
    for words in [
        &["--help"][..],
        &["pool", "--help"],
        &["pool", "dump", "--help"],
        &["pool", "watch", "--help"],
        &["send", "--help"],
        &["recv", "--help"],
        &["run", "--help"],
        &["demo", "--help"],
    ] {
        let help = text(&pools.run(words));
        assert!(help.contains("Exit codes:") && help.contains("3  the system refused"), "{help}");
    }
}
