//! `weyr run`: a program with a pool of its own, which is gone with it.

mod command;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};

use command::{Pools, text};
use rustix::process::{Pid, Signal, kill_process};
use weyr::Pool;

fn start(pools: &Pools, words: &[&str]) -> Child {
    let mut command = pools.command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn said(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// The other process; in a run of its own this test does nothing.
#[test]
fn a_program_attaches_the_default_pool() {
    if std::env::var_os("WEYR_TEST_DEFAULT").is_none() {
        return;
    }
    let pool = Pool::from_environment().unwrap();
    let _memory = pool.alloc(1000).unwrap();
    writeln!(std::io::stdout(), "attached {}", pool.size()).unwrap();
}

#[test]
fn the_library_finds_the_pool_and_it_is_gone_behind_the_program() {
    let pools = Pools::new();
    let own = std::env::current_exe().unwrap();
    for rest in [&[][..], &["--pool", "named"], &["--directory", pools.directory().to_str().unwrap()]] {
        let test =
            ["--", own.to_str().unwrap(), "--exact", "a_program_attaches_the_default_pool", "--nocapture"];
        let words = [&["run", "--size", "2M"], rest, &test].concat();
        let output = pools.command(&words).env("WEYR_TEST_DEFAULT", "1").output().unwrap();
        assert!(
            output.status.success() && text(&output).contains("attached 2097152"),
            "{rest:?}: {}",
            text(&output)
        );
        assert!(pools.is_empty());
    }
}

#[test]
fn the_exit_code_is_that_of_the_program() {
    let pools = Pools::new();
    let run = |script: &str| pools.run(&["run", "--", "sh", "-c", script]).status;
    assert_eq!((run("exit 0").code(), run("exit 77").code()), (Some(0), Some(77)));
    assert_eq!(run("kill -KILL $$").code(), Some(128 + 9));
    assert!(pools.is_empty());
}

#[test]
fn signals_are_handed_on_and_the_pool_is_destroyed() {
    let pools = Pools::new();
    for (signal, code) in [(Signal::TERM, 128 + 15), (Signal::INT, 128 + 2), (Signal::USR1, 128 + 10)] {
        let mut child = start(&pools, &["run", "--", "sh", "-c", "echo ready; exec cat"]);
        let mouth = child.stdin.take();
        assert_eq!(said(&mut child), "ready");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = child.wait().unwrap();
        assert_eq!((ended.code(), ended.signal()), (Some(code), None), "{signal:?}");
        drop(mouth);
        assert!(pools.is_empty());
    }
}

#[test]
fn a_pool_that_was_there_stays() {
    let pools = Pools::new();
    assert!(pools.run(&["pool", "create", "mine", "--size", "1M"]).status.success());
    let words = ["run", "--pool", "mine", "--", "sh", "-c", "test \"$WEYR_POOL\" = mine"];
    assert!(pools.run(&words).status.success() && !pools.is_empty());
    assert!(pools.run(&["pool", "destroy", "mine"]).status.success());
    assert!(pools.run(&["run", "--pool", "kept", "--keep", "--", "true"]).status.success());
    assert!(Pool::attach_in(pools.directory(), "kept").is_ok());
}

#[test]
fn commands_in_the_program_use_its_pool() {
    let pools = Pools::new();
    let weyr = env!("CARGO_BIN_EXE_weyr");
    let script = format!("echo through | {weyr} send talk --create && {weyr} recv talk");
    let output = pools.run(&["run", "--", "sh", "-c", &script]);
    assert_eq!(text(&output), "through\n");
    assert!(pools.is_empty());
}

#[test]
fn what_cannot_be_run_is_said() {
    let pools = Pools::new();
    let cases = [
        (&["run"][..], 2, "PROGRAM"),
        (&["run", "--", "/no/such/program"], 2, "starting /no/such/program"),
        (&["run", "--", "/"], 3, "starting /"),
        (&["run", "--size", "0", "--", "true"], 2, "at least one byte"),
        (&["run", "--pool", "a/b", "--", "true"], 2, "name"),
        (&["run", "--directory", "/sys", "--", "true"], 3, "no permission"),
    ];
    for (words, code, why) in cases {
        let output = pools.run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output));
        assert!(text(&output).contains(why), "{words:?}: {}", text(&output));
        assert!(pools.is_empty(), "{words:?}");
    }
}
