//! The example of the README, and others whose processes find a pool, run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The built example, beside this test.
fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(built.exists(), "{} is missing; build it with `cargo build -p weyr --examples`", built.display());
    built
}

fn said_by(name: &str) -> String {
    let output = Command::new(example(name)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn the_child_adds_the_numbers_that_it_was_handed() {
    let said = said_by("hand_over");
    assert!(said.contains("the sum is 500000500000"), "{said}");
}

#[test]
fn a_group_sums_what_each_has_and_its_root_gathers_what_each_says() {
    let said = said_by("group");
    let line = |rank: u32| format!("rank {rank} counted 25 % of 316 squares\n");
    let lines: String = (0..4).map(line).collect();
    assert_eq!(said, format!("by last digit: [32, 63, 0, 0, 63, 32, 63, 0, 0, 63]\n{lines}"));
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(readme) = std::fs::read_to_string(folder.join("../../README.md")) else {
        return; // A package on its own has none.
    };
    let source = std::fs::read_to_string(folder.join("examples/hand_over.rs")).unwrap();
    let start = source.find("use weyr::prelude").unwrap();
    assert!(readme.contains(source[start..].trim_end()), "README.md differs from examples/hand_over.rs");
}
