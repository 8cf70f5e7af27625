//! `weyr pool watch`: looks that are true, in text, as JSON and on a terminal, and that change nothing.

mod command;
mod member;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

use command::{Pools, text};
use member::member;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;
use weyr::{Channel, ChannelAttributes, Pool, PoolAttributes};

fn create(pools: &Pools, name: &str) -> Pool {
    Pool::create(&PoolAttributes::new(name, 1 << 20).directory(pools.directory())).unwrap()
}

/// A watcher that writes JSON until it is ended, and its looks.
struct Watcher {
    child: Child,
    looks: BufReader<ChildStdout>,
}

impl Watcher {
    fn new(pools: &Pools, name: &str, interval: &str) -> Self {
        let mut command = pools.command(&["pool", "watch", name, "--json", "--interval", interval]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let looks = BufReader::new(child.stdout.take().unwrap());
        Self { child, looks }
    }

    fn look(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.looks.read_line(&mut line).unwrap() > 0, "the watcher goes on");
        serde_json::from_str(&line).unwrap()
    }

    /// The first look of which something is true.
    fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let look = self.look();
            if is_it(&look) {
                return look;
            }
        }
    }

    /// Its exit code, and what it complained of.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.looks.read_to_string(&mut rest).unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

fn has_event(look: &Value, event: &str, key: &str, value: u64) -> bool {
    let events = look["events"].as_array().unwrap();
    events.iter().any(|found| found["event"] == event && found[key] == value)
}

#[test]
fn one_look_is_written_as_text_and_the_pool_is_as_it_was() {
    let pools = Pools::new();
    let pool = create(&pools, "looked");
    let _small = [pool.alloc(64).unwrap(), pool.alloc(64).unwrap()];
    let channel = Channel::create_named(&pool, "lines", &ChannelAttributes::new().capacity(4)).unwrap();
    channel.send(b"waits").unwrap();
    let before = std::fs::read(pool.path()).unwrap();
    let output = pools.run(&["pool", "watch", "looked", "--once"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let shown = text(&output);
    assert!(!shown.contains('\x1b'), "{shown}");
    for words in ["looked /dev/shm", "nobody waits for memory", "alive", "25 %"] {
        assert!(shown.contains(words), "no {words}: {shown}");
    }
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [["lines", "1", "4"], ["64", "B", "2"]] {
        assert!(rows.iter().any(|words| words.starts_with(&row)), "no {row:?}: {shown}");
    }
    assert!(std::fs::read(pool.path()).unwrap() == before, "looking changed the pool");
    assert_eq!(pool.members().len(), 1);
    channel.destroy().unwrap();
}

#[test]
fn looks_are_objects_of_one_shape_a_line_each() {
    let pools = Pools::new();
    let pool = create(&pools, "shape");
    let _memory = pool.alloc(300).unwrap();
    let channel = Channel::create(&pool, &ChannelAttributes::new().capacity(4)).unwrap();
    let words = ["pool", "watch", "shape", "--json", "--count", "2", "--interval", "0.01"];
    let output = pools.run(&words);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let looks: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(looks.len(), 2);
    for look in &looks {
        assert_eq!((&look["name"], &look["size_bytes"]), (&"shape".into(), &(1 << 20).into()));
        assert_eq!(look["uuid"], format!("{:032x}", pool.uuid()));
        for number in ["used_bytes", "free_bytes", "largest_free_bytes", "peak_bytes", "segments", "blocks"] {
            assert!(look[number].is_u64(), "{number}: {look}");
        }
        let sizes = look["sizes"].as_array().unwrap();
        let size = sizes.iter().find(|size| size["block_bytes"] == 320).unwrap();
        assert_eq!((&size["used"], size["free"].is_u64()), (&1.into(), true));
        let process = &look["processes"][0];
        assert_eq!((&process["pid"], &process["alive"]), (&std::process::id().into(), &true.into()));
        assert_eq!((&process["revoked_lanes"], &process["blocks"]), (&0.into(), &1.into()));
        assert_eq!(look["channels"][0]["capacity"], 4);
        assert_eq!(
            (&look["waiting_for_memory"], &look["events"]),
            (&false.into(), &Value::Array(Vec::new()))
        );
    }
    assert_eq!(
        (&looks[0]["rates"], &looks[0]["channels"][0]["passed_per_second"]),
        (&Value::Null, &Value::Null)
    );
    assert!(looks[1]["rates"]["blocks"].is_f64() && looks[1]["rates"]["messages"].is_f64());
    channel.destroy().unwrap();
}

#[test]
fn messages_are_counted_as_they_are_received() {
    let pools = Pools::new();
    let pool = create(&pools, "rates");
    let channel = Channel::create(&pool, &ChannelAttributes::new().capacity(4)).unwrap();
    let mut watcher = Watcher::new(&pools, "rates", "0.01");
    assert_eq!(watcher.look()["channels"][0]["passed"], 0);
    for _ in 0..6 {
        channel.send(b"one").unwrap();
        channel.receive().unwrap();
    }
    channel.send(b"waits").unwrap();
    let look = watcher.until(|look| look["channels"][0]["waiting"] == 1);
    assert_eq!(look["channels"][0]["passed"], 6);
    channel.destroy().unwrap();
    watcher.until(|look| look["channels"].as_array().unwrap().is_empty());
}

#[test]
fn a_pool_that_is_destroyed_ends_it_and_is_told() {
    let pools = Pools::new();
    let pool = create(&pools, "doomed");
    let mut watcher = Watcher::new(&pools, "doomed", "0.01");
    watcher.look();
    pool.destroy().unwrap();
    let (code, said) = watcher.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("\"doomed\" was destroyed while it was watched"), "{said}");
    assert_eq!(pools.run(&["pool", "watch", "doomed", "--once"]).status.code(), Some(3));
}

#[test]
fn a_pool_of_the_same_name_is_another() {
    let pools = Pools::new();
    let pool = create(&pools, "name");
    let mut watcher = Watcher::new(&pools, "name", "0.01");
    watcher.look();
    // In one step, so that no look finds none.
    let (path, made) = (pool.path().to_owned(), create(&pools, "made"));
    std::fs::rename(made.path(), &path).unwrap();
    let (code, said) = watcher.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("was replaced by another"), "{said}");
}

#[test]
fn a_process_that_dies_is_told_and_then_that_it_was_recovered() {
    let pools = Pools::new();
    let pool = create(&pools, "deaths");
    let mut watcher = Watcher::new(&pools, "deaths", "0.01");
    watcher.look();
    let mut other = member(&pools, "deaths");
    let pid = u64::from(other.id());
    watcher.until(|look| has_event(look, "attached", "pid", pid));
    other.kill().unwrap();
    other.wait().unwrap();
    let look = watcher.until(|look| has_event(look, "died", "pid", pid));
    assert!(has_event(&look, "died", "bytes", 102_400), "{look}");
    let processes = look["processes"].as_array().unwrap();
    assert!(processes.iter().any(|process| process["pid"] == pid && process["alive"] == false), "{look}");
    // Nobody but this process recovers: who looks does not.
    assert_eq!(pool.recover().processes, 1);
    let look = watcher.until(|look| has_event(look, "recovered", "processes", 1));
    assert_eq!((&look["recovered_processes"], &look["blocks"]), (&1.into(), &0.into()));
    pool.destroy().unwrap();
    assert_eq!(watcher.end().0, Some(1));
}

#[test]
fn a_stopped_process_holds_nothing_up() {
    let pools = Pools::new();
    let pool = create(&pools, "stopped");
    let mut other = member(&pools, "stopped");
    let pid = Pid::from_raw(other.id() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let output = pools.run(&["pool", "watch", "stopped", "--count", "3", "--interval", "0.01"]);
    let shown = text(&output);
    assert_eq!((output.status.code(), shown.matches("stopped /dev/shm").count()), (Some(0), 3), "{shown}");
    assert!(shown.contains("100.00 KiB"), "{shown}");
    other.kill().unwrap();
    other.wait().unwrap();
    drop(pool);
}

#[test]
fn it_ends_well_when_nobody_reads_and_by_a_signal() {
    let pools = Pools::new();
    let pool = create(&pools, "ends");
    let mut watcher = Watcher::new(&pools, "ends", "1000000");
    watcher.look();
    drop(watcher.looks);
    assert_eq!(watcher.child.wait().unwrap().code(), Some(0));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut watcher = Watcher::new(&pools, "ends", "1000000");
        watcher.look();
        let pid = Pid::from_raw(watcher.child.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
        assert_eq!(watcher.end(), (Some(0), String::new()), "{signal:?}");
    }
    drop(pool);
}

#[test]
fn intervals_and_counts_that_cannot_be_are_refused() {
    let pools = Pools::new();
    let _pool = create(&pools, "p");
    for words in
        [&["--interval", "0"][..], &["--interval", "-1"], &["--count", "0"], &["--once", "--count", "2"]]
    {
        let output = pools.run(&[&["pool", "watch", "p"], words].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output));
    }
    assert_eq!(pools.run(&["pool", "watch", "missing"]).status.code(), Some(3));
}

/// A terminal of which this process has the first side.
fn terminal() -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let slave = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty()).unwrap();
    tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    (master, slave)
}

/// Reads what is drawn until it has the words.
fn read_until(master: &OwnedFd, words: &str) -> String {
    let mut drawn = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = rustix::io::read(master, &mut part).unwrap();
        drawn.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&drawn);
        if text.contains(words) {
            return text.into_owned();
        }
    }
}

#[test]
fn a_terminal_is_drawn_on_and_left_as_it_was() {
    let pools = Pools::new();
    let pool = create(&pools, "drawn");
    for end in ["q", "\x03", "signal", "destroyed"] {
        let (master, slave) = terminal();
        let before = tcgetattr(&slave).unwrap().local_modes;
        let interval = if end == "destroyed" { "0.01" } else { "1000000" };
        let mut command = pools.command(&["pool", "watch", "drawn", "--interval", interval]);
        command.stdin(Stdio::from(slave.try_clone().unwrap()));
        command.stdout(Stdio::from(slave.try_clone().unwrap())).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let drawn = read_until(&master, "\x1b[?2026l");
        assert!(drawn.contains("\x1b[?1049h") && drawn.contains("drawn"), "{drawn:?}");
        let is_narrow = |line: &str| anstream::adapter::strip_str(line).to_string().chars().count() <= 60;
        assert!(drawn.lines().all(is_narrow), "{drawn:?}");
        assert!(!tcgetattr(&slave).unwrap().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO));
        match end {
            "signal" => kill_process(Pid::from_raw(child.id() as i32).unwrap(), Signal::TERM).unwrap(),
            "destroyed" => pool.destroy().unwrap(),
            key => drop(rustix::io::write(&master, key.as_bytes()).unwrap()),
        }
        read_until(&master, "\x1b[?25h\x1b[?1049l");
        let expected = if end == "destroyed" { 1 } else { 0 };
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{end:?}");
        assert_eq!(tcgetattr(&slave).unwrap().local_modes, before, "{end:?}");
    }
}
