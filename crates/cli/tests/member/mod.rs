//! Another process that is a member of a pool.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use weyr::Pool;

use crate::command::Pools;

const MEMBER_OF: &str = "WEYR_TEST_MEMBER_OF";

/// This test program again, as a member of a pool that has 100,000 bytes of it.
pub(crate) fn member(pools: &Pools, name: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "member::another_process_is_a_member", "--nocapture"]);
    command.env(MEMBER_OF, name).env("WEYR_DIR", pools.directory());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("attached")), "the member attaches");
    child
}

/// The other process; in a run of its own this test does nothing.
#[test]
fn another_process_is_a_member() {
    let Ok(name) = std::env::var(MEMBER_OF) else { return };
    let pool = Pool::attach(&name).unwrap();
    let _memory = pool.alloc(100_000).unwrap();
    writeln!(std::io::stdout(), "attached").unwrap();
    std::io::stdin().lines().for_each(drop);
}
