//! The example of a process that asks another for what it cannot reach, run.

use std::path::Path;
use std::process::Command;

#[test]
fn the_child_allocates_finds_and_frees_in_a_pool_that_it_cannot_reach() {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().and_then(Path::parent).unwrap().join("examples/ask_elsewhere");
    assert!(built.exists(), "{} is missing; build it with `cargo build -p weyr --examples`", built.display());
    let output = Command::new(built).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines = [
        "is elsewhere: the descriptor was made on host ",
        "allocated 4096 bytes at 0x",
        "found again: true",
        "once more: another allocation has type 7 and id 42",
        "more than it has: 1099511627776 bytes are more than this pool can give at once (1048576)",
        "left in it: 0 allocations",
        "its end: no permission for pool",
        "served 7 requests; the child exit status: 0",
    ];
    for line in lines {
        assert!(said.contains(line), "{line} is missing in:\n{said}");
    }
}
