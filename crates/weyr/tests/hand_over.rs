//! The example of the README, run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The built example, beside this test.
fn example() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().and_then(Path::parent).unwrap().join("examples/hand_over");
    assert!(built.exists(), "{} is missing; build it with `cargo build -p weyr --examples`", built.display());
    built
}

#[test]
fn the_child_adds_the_numbers_that_it_was_handed() {
    let output = Command::new(example()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("the sum is 500000500000"), "{said}");
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
