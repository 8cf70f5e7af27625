//! `weyr demo` on small files, with deaths.

mod command;

use std::path::PathBuf;
use std::process::{Child, Stdio};

use command::{Pools, text};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use weyr::{Channel, ChannelAttributes, Pool, PoolAttributes};

/// Not a multiple of the chunk, and larger than what is on its way at once.
const FILE_BYTES: u64 = 40 * CHUNK + 1234;
const CHUNK: u64 = 64 << 10;
const CHUNKS: u64 = 41;

/// Bytes that differ from chunk to chunk.
fn file(pools: &Pools) -> PathBuf {
    let path = pools.directory().join("input");
    let bytes: Vec<u8> = (0..FILE_BYTES).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 16) as u8).collect();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Runs a demo in chunks of 64 KiB that must end well, and gives its report.
fn demo(options: &[&str]) -> Value {
    demo_in_chunks("64K", options)
}

fn demo_in_chunks(size: &str, options: &[&str]) -> Value {
    let pools = Pools::new();
    let file = file(&pools);
    let words = [&["demo", file.to_str().unwrap(), "--chunk", size], options].concat();
    let (report, code) = pools.json(&words);
    std::fs::remove_file(file).unwrap();
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["ok"], true, "{report:#}");
    assert!(pools.is_empty(), "the pool is destroyed");
    report
}

#[test]
fn a_file_passes_through_by_ownership_without_a_copied_byte() {
    let report = demo(&["--workers", "3"]);
    assert_eq!(report["mode"], "ownership");
    assert_eq!((report["bytes"].as_u64(), report["chunks"].as_u64()), (Some(FILE_BYTES), Some(CHUNKS)));
    assert_eq!(report["payload_copied"]["send_bytes"], 0);
    assert_eq!(report["payload_copied"]["receive_bytes"], 0);
    assert_eq!(report["pool"]["allocations_left"], 0);
    assert_eq!(report["killed"], Value::Null);
    let peak = report["pool"]["peak_bytes"].as_u64().unwrap();
    assert!(peak >= CHUNK && peak <= report["pool"]["size_bytes"].as_u64().unwrap(), "{peak}");
    let times = ["p50", "p99", "max"].map(|rank| report["message_ns"][rank].as_u64().unwrap());
    assert!(times[0] > 0 && times.is_sorted(), "{times:?}");
}

#[test]
fn without_a_file_and_without_rust_the_command_passes_itself_through() {
    let (pools, nowhere) = (Pools::new(), tempfile::tempdir().unwrap());
    let mut command = pools.command(&["demo", "--json", "--workers", "1", "--chunk", "1M"]);
    command.env("PATH", nowhere.path()).env("HOME", nowhere.path());
    for variable in ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_HOME", "CARGO", "RUSTC"] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let own = std::fs::canonicalize(env!("CARGO_BIN_EXE_weyr")).unwrap();
    let note = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        note.contains("no Rust toolchain found; using ") && note.contains(own.to_str().unwrap()),
        "{note}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["file"], own.to_str().unwrap());
    assert_eq!(report["bytes"], own.metadata().unwrap().len());
    assert!(pools.is_empty());
}

#[test]
fn the_library_counts_what_copying_copies() {
    let report = demo(&["--copy"]);
    assert_eq!(report["mode"], "copy");
    let with_headers = FILE_BYTES + 64 * CHUNKS;
    assert_eq!(report["payload_copied"]["send_bytes"], with_headers);
    assert_eq!(report["payload_copied"]["receive_bytes"], with_headers);
    assert_eq!(report["pool"]["allocations_left"], 0);
}

#[test]
fn a_killed_worker_costs_nothing_and_leaves_nothing() {
    for round in 0..5 {
        let report = demo(&["--kill", "--workers", if round % 2 == 0 { "2" } else { "4" }]);
        let killed = &report["killed"];
        assert_eq!(killed["chunk"], CHUNKS / 2);
        assert_eq!(killed["recovered_processes"], 1);
        assert_eq!(killed["recovered_blocks"], 1, "the histogram that it kept in the pool");
        assert!(killed["recovered_lanes"].as_u64().unwrap() >= 1);
        assert!(killed["recovery_ns"].as_u64().unwrap() > 0);
        assert!(killed["answered_again_ns"].as_u64().unwrap() > 0);
        assert_eq!(report["delivered_again"], 1);
        assert_eq!(report["payload_copied"]["receive_bytes"], 0);
    }
}

#[test]
fn a_killed_worker_costs_nothing_in_copies_either() {
    let report = demo(&["--kill", "--copy"]);
    assert_eq!(report["delivered_again"], 1);
    assert_eq!(report["killed"]["recovered_processes"], 1);
}

#[test]
fn a_file_smaller_than_a_chunk_is_one_chunk() {
    let report = demo_in_chunks("4M", &[]);
    assert_eq!(report["chunks"], 1);
}

#[test]
fn a_worker_that_comes_when_all_is_done_ends_well() {
    let pools = Pools::new();
    let pool = Pool::create(&PoolAttributes::new("late", 1 << 20).directory(pools.directory())).unwrap();
    let [work, replies] = [(), ()].map(|()| Channel::create(&pool, &ChannelAttributes::new()).unwrap());
    work.clone().destroy().unwrap();
    let [work, replies] = [work, replies].map(|channel| channel.descriptor().to_string());
    let mut command =
        pools.command(&["demo-worker", "--worker", "0", "--work", &work, "--replies", &replies]);
    let mut worker = command.stdin(Stdio::piped()).spawn().unwrap();
    let _parent_lives = worker.stdin.take();
    assert!(worker.wait().unwrap().success());
}

#[test]
fn people_read_a_table() {
    let pools = Pools::new();
    let output = pools.run(&["demo", file(&pools).to_str().unwrap(), "--chunk", "64K", "--kill"]);
    let said = text(&output);
    for row in [
        "throughput",
        "p99",
        "0 by send, 0 by receive",
        "allocations left",
        "SIGKILL",
        "1 message delivered again",
    ] {
        assert!(said.contains(row), "{row:?} is missing in\n{said}");
    }
    assert!(!said.contains('\x1b'), "no colour but on a terminal");
}

#[test]
fn a_worker_that_dies_unexpectedly_is_reported_and_the_others_finish() {
    let pools = Pools::new();
    let file = file(&pools);
    let (report, code) = pools.json(&["demo", file.to_str().unwrap(), "--chunk", "64K", "--fault", "worker"]);
    assert_eq!((code, &report["ok"]), (1, &Value::Bool(false)));
    let problems = report["problems"].as_array().unwrap();
    assert!(
        problems.len() == 1 && problems[0].as_str().unwrap().contains("ended unexpectedly"),
        "{problems:?}"
    );
    assert!(report["wrong_chunks"].as_array().unwrap().is_empty());
    assert_eq!(
        (&report["histogram_matches"], &report["pool"]["allocations_left"]),
        (&true.into(), &0.into())
    );
}

#[test]
fn without_reader_or_workers_the_demo_ends_and_says_so() {
    for (fault, sentence) in
        [("reader", "the file was not read to its end"), ("workers", "it was the last worker")]
    {
        let pools = Pools::new();
        let file = file(&pools);
        let output = pools.run(&["demo", file.to_str().unwrap(), "--chunk", "64K", "--fault", fault]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains(sentence), "{}", text(&output));
        std::fs::remove_file(file).unwrap();
        assert!(pools.is_empty());
    }
}

/// A demo whose two workers have stopped in the middle of their work.
fn stalled(pools: &Pools) -> Child {
    let file = file(pools);
    let mut command = pools.command(&["demo", file.to_str().unwrap(), "--chunk", "64K", "--fault", "stall"]);
    command.args(["--workers", "2"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let demo = command.spawn().unwrap();
    until(pools, |pool| pool["processes_alive"] == 4 && pool["blocks"].as_u64() > Some(6));
    demo
}

/// Waits until the only pool looks like that.
fn until(pools: &Pools, wanted: impl Fn(&Value) -> bool) {
    while !wanted(&pools.json(&["pool", "list"]).0["pools"][0]) {
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let pools = Pools::new();
        let demo = stalled(&pools);
        kill_process(Pid::from_child(&demo), signal).unwrap();
        let output = demo.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(text(&output).contains("interrupted"), "{}", text(&output));
        std::fs::remove_file(pools.directory().join("input")).unwrap();
        assert!(pools.is_empty());
    }
}

#[test]
fn children_end_with_a_killed_parent_and_the_pool_can_be_pruned() {
    let pools = Pools::new();
    let mut demo = stalled(&pools);
    demo.kill().unwrap();
    demo.wait().unwrap();
    until(&pools, |pool| pool["processes_alive"] == 0);
    let (pruned, code) = pools.json(&["pool", "prune"]);
    assert_eq!((code, pruned["removed"].as_array().unwrap().len()), (0, 1), "{pruned}");
}

#[test]
fn what_cannot_be_done_is_said_in_one_sentence() {
    let pools = Pools::new();
    let empty = pools.directory().join("empty");
    std::fs::write(&empty, b"").unwrap();
    let file = file(&pools);
    let (empty, file) = (empty.to_str().unwrap(), file.to_str().unwrap());
    let cases: [(&[&str], i32, &str); 5] = [
        (&["demo", "/no/such/file"], 3, "name a file that you may read"),
        (&["demo", empty], 2, "name another"),
        (&["demo", "/"], 2, "name another"),
        (&["demo", file, "--kill", "--workers", "1"], 2, "at least two workers"),
        (&["demo", file, "--chunk", "1"], 2, "choose 4K to 256M"),
    ];
    for (words, code, sentence) in cases {
        let output = pools.run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output));
        assert!(text(&output).contains(sentence), "{words:?}: {}", text(&output));
    }
}
