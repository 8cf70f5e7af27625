//! `weyr pool repair`: what it puts right, it counts; what it cannot, it says.

mod command;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};

use command::{Pools, text};
use serde_json::Value;
use weyr::managed::BlockState;
use weyr::{Channel, ChannelAttributes, Mode, Pool, PoolAttributes};

const MEMBER_OF: &str = "WEYR_TEST_MEMBER_OF";

fn create(pools: &Pools, name: &str) -> Pool {
    Pool::create(&PoolAttributes::new(name, 1 << 20).directory(pools.directory())).unwrap()
}

/// The other process; in a run of its own this test does nothing.
#[test]
fn another_process_is_a_member() {
    let Ok(name) = std::env::var(MEMBER_OF) else { return };
    let pool = Pool::attach(&name).unwrap();
    let _memory = [pool.alloc(100_000).unwrap(), pool.alloc(64).unwrap()];
    writeln!(std::io::stdout(), "attached").unwrap();
    std::io::stdin().lines().for_each(drop);
}

/// A pool of which the only member was killed, with two blocks.
fn abandoned(pools: &Pools, name: &str) {
    let pool = create(pools, name);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "another_process_is_a_member", "--nocapture"]);
    command.env(MEMBER_OF, name).env("WEYR_DIR", pools.directory());
    let mut member = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(member.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("attached")), "the member attaches");
    drop(pool);
    member.kill().unwrap();
    member.wait().unwrap();
}

fn count(report: &Value, what: &str) -> u64 {
    let all = report["repairs"].as_array().unwrap();
    let line =
        all.iter().find(|line| line["what"] == what).unwrap_or_else(|| panic!("no {what} in {report}"));
    line["count"].as_u64().unwrap()
}

#[test]
fn what_the_dead_held_is_recovered_and_counted() {
    let pools = Pools::new();
    abandoned(&pools, "orphan");
    let (report, code) = pools.json(&["pool", "repair", "orphan"]);
    assert_eq!((code, &report["holds"]), (0, &true.into()), "{report}");
    assert_eq!((count(&report, "dead processes"), count(&report, "blocks of the dead")), (1, 2), "{report}");
    assert!(count(&report, "lanes of the dead") >= 1 && count(&report, "bytes of the dead") >= 100_064);
    let pool = Pool::attach_in(pools.directory(), "orphan").unwrap();
    assert_eq!((pool.usage().total.blocks, pool.members().len()), (0, 1));
    assert!(text(&pools.run(&["pool", "repair", "orphan"])).contains("Nothing to repair in orphan"));
}

#[test]
fn the_table_shows_what_was_repaired() {
    let pools = Pools::new();
    abandoned(&pools, "orphan");
    let shown = text(&pools.run(&["pool", "repair", "orphan"]));
    assert!(
        shown.contains("REPAIRED") && shown.contains("dead processes") && shown.contains("holds"),
        "{shown}"
    );
}

#[test]
fn hints_are_made_right_from_the_words() {
    let pools = Pools::new();
    let pool = create(&pools, "hints");
    drop(pool.alloc(64).unwrap());
    let inspection = Pool::inspect(pool.path()).unwrap();
    let hints = inspection.sections().into_iter().find(|section| section.part.name == "used hints").unwrap();
    let file = std::fs::File::options().write(true).open(pool.path()).unwrap();
    file.write_all_at(&[0xff; 32], hints.offset).unwrap();
    let hidden = pool.verify(Mode::Online).hidden_pages;
    assert!(hidden > 200, "{hidden}");
    let (report, code) = pools.json(&["pool", "repair", "hints"]);
    assert_eq!((code, count(&report, "free pages that a hint hid")), (0, hidden), "{report}");
    assert_eq!(pool.verify(Mode::Online).hidden_pages, 0);
}

/// Overwrites words of a pool's object.
struct Object {
    file: std::fs::File,
    inspection: weyr::managed::Inspection,
}

impl Object {
    fn of(pool: &Pool) -> Self {
        let file = std::fs::File::options().read(true).write(true).open(pool.path()).unwrap();
        Self { file, inspection: Pool::inspect(pool.path()).unwrap() }
    }

    fn start(&self, section: &str) -> u64 {
        self.inspection.sections().into_iter().find(|known| known.part.name == section).unwrap().offset
    }

    fn change(&self, place: u64, change: impl Fn(u64) -> u64) {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, place).unwrap();
        let changed = change(u64::from_le_bytes(word));
        self.file.write_all_at(&changed.to_le_bytes(), place).unwrap();
    }
}

#[test]
fn each_kind_of_damage_is_named_and_counted() {
    let pools = Pools::new();
    let pool = create(&pools, "kinds");
    let object = Object::of(&pool);
    let channel = Channel::create(&pool, &ChannelAttributes::new().block_size(64).capacity(2)).unwrap();
    let typed = pool.alloc_typed(100, 7, 1).unwrap();
    typed.write(0, b"payload").unwrap();
    let lost = pool.alloc(100).unwrap().publish().unwrap();
    // The block of a typed allocation is called published, a published one on its way for a process slot that nobody
    // has, and the channel is not in the table, which has an entry of nothing.
    let word_at = |offset: u64| object.inspection.block(offset).unwrap().word_at;
    let (pool_state, in_flight) = (BlockState::Pool as u64, BlockState::InFlightPool as u64);
    object.change(word_at(typed.reference().offset), |word| word & !15 | pool_state);
    object.change(word_at(lost.reference().offset), |word| word & !15 | in_flight | 40 << 4);
    object.change(object.start("channel table"), |_| 0);
    object.change(object.start("channel table") + 8, |_| 5 << 24 | 1);

    let (named, code) = pools.json(&["pool", "verify", "kinds", "--quiesced"]);
    let names = |report: &Value| {
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|finding| finding["invariant"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let broken = [
        "records are of typed blocks",
        "channels are in the table",
        "a block in flight is in exactly one message",
    ];
    assert_eq!(
        (code, names(&named), &named["leftover_entries"]),
        (1, broken.map(String::from).to_vec(), &1.into())
    );

    let (report, code) = pools.json(&["pool", "repair", "kinds"]);
    assert_eq!(
        (code, &report["holds"], &report["findings_before"]),
        (0, &true.into(), &2.into()),
        "{report}"
    );
    for (what, times) in [
        ("channels that were not in the table", 1),
        ("channel table entries without a channel", 1),
        ("message slots of nobody", 0),
        ("messages without their block", 0),
        ("blocks in flight without a message", 1),
        ("manifest entries that nobody makes", 0),
        ("manifest entries of blocks that are gone", 0),
        ("manifest entries of blocks without a type", 1),
        ("second manifest entries of one key", 0),
        ("typed blocks without a manifest entry", 0),
    ] {
        assert_eq!(count(&report, what), times, "{what}");
    }
    let (verified, code) = pools.json(&["pool", "verify", "kinds", "--quiesced"]);
    assert_eq!((code, &verified["leftover_entries"]), (0, &0.into()), "{verified}");
    let mut payload = [0; 7];
    pool.find_by_id(typed.block_id()).unwrap().read(0, &mut payload).unwrap();
    assert_eq!(&payload, b"payload");
    channel.send(b"on").unwrap();
    assert_eq!(channel.receive().unwrap().into_bytes().unwrap(), b"on");

    // The table of the command names what was repaired and nothing else.
    object.change(object.start("channel table") + 8, |_| 5 << 24 | 1);
    let shown = text(&pools.run(&["pool", "repair", "kinds"]));
    assert!(
        shown.contains("channel table entries without a channel") && !shown.contains("manifest"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_repaired_is_a_finding_and_exits_with_1() {
    let pools = Pools::new();
    let pool = create(&pools, "broken");
    let _memory = pool.alloc(100_000).unwrap();
    let inspection = Pool::inspect(pool.path()).unwrap();
    let words = inspection.sections().into_iter().find(|section| section.part.name == "page words").unwrap();
    let file = std::fs::File::options().read(true).write(true).open(pool.path()).unwrap();
    let mut sound = vec![0; words.bytes as usize];
    file.read_exact_at(&mut sound, words.offset).unwrap();
    // Words of no state that this version writes.
    file.write_all_at(&[0xff; 64], words.offset + words.bytes - 64).unwrap();
    let (report, code) = pools.json(&["pool", "repair", "broken"]);
    assert_eq!((code, &report["holds"]), (1, &false.into()), "{report}");
    assert!(
        report["findings_before"].as_u64() >= Some(1) && report["findings"][0]["detail"].is_string(),
        "{report}"
    );
    assert!(text(&pools.run(&["pool", "repair", "broken"])).contains("left in broken"));
    file.write_all_at(&sound, words.offset).unwrap();
}

#[test]
fn what_is_no_pool_is_not_repaired() {
    let pools = Pools::new();
    let missing = pools.run(&["pool", "repair", "missing"]);
    assert_eq!((missing.status.code(), text(&missing).contains("weyr pool list")), (Some(3), true));
    let path = create(&pools, "cut").path().to_owned();
    std::fs::File::options().write(true).open(path).unwrap().set_len(8192).unwrap();
    assert_eq!(pools.run(&["pool", "repair", "cut"]).status.code(), Some(1));
}
