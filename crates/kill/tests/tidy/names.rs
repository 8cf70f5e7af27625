//! A module is named for what it is about.

use crate::{
    source::{each_run, is_identifier, line, rust_files},
    tree::{Tree, Violation, assert_broken},
};

const EMPTY: [&str; 10] =
    ["util", "utils", "utility", "utilities", "common", "helper", "helpers", "manager", "misc", "stuff"];

pub(crate) fn say_a_concept(tree: &Tree) -> Vec<Violation> {
    of_paths(tree).into_iter().chain(of_modules(tree)).collect()
}

fn is_empty(name: &str) -> bool {
    name.split(['_', '-']).any(|word| EMPTY.contains(&word))
}

fn of_paths(tree: &Tree) -> Vec<Violation> {
    let ours = tree.paths().filter(|path| path.ends_with(".rs") || path.ends_with("/Cargo.toml"));
    let vague = ours.filter_map(|path| {
        let part = path.split('/').find(|part| is_empty(part.trim_end_matches(".rs")))?;
        Some(Violation::new(path, 0, format!("{part} names no concept")))
    });
    vague.collect()
}

/// Modules inside a file.
fn of_modules(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, tokens) in rust_files(tree) {
        each_run(&tokens, &mut |run| {
            for two in run.windows(2) {
                let name = two[1].to_string();
                if is_identifier(Some(&two[0]), "mod") && is_empty(&name) {
                    found.push(Violation::new(path, line(&two[1]), format!("{name} names no concept")));
                }
            }
        });
    }
    found
}

#[test]
fn a_name_that_says_nothing_is_found_in_files_folders_crates_and_modules() {
    let files = [
        ("crates/a/src/lib.rs", "mod ring;\nmod string_utils;"),
        ("crates/a/src/manager.rs", ""),
        ("crates/a/src/helper/b.rs", ""),
        ("crates/common/Cargo.toml", ""),
        ("crates/a/src/commonwealth.rs", ""),
        ("docs/common/page.md", ""),
    ];
    let vague = [
        "helper/b.rs:0: helper",
        "manager.rs:0",
        "crates/common/Cargo.toml:0: common",
        "lib.rs:2: string_utils",
    ];
    assert_broken(say_a_concept, &files, &vague);
}
