//! The rules of this project that a test can hold: each is a function from a tree of files to what breaks it.
//!
//! The idea: a rule that a test checks need not be written in a review. Each rule is applied to the workspace, and,
//! in its own file, to a small made-up tree that breaks it.
//!
//! What it does *not* do: it does not compile anything. It reads manifests as TOML, sources as Rust tokens and pages
//! as Markdown, so that comments and strings are not mistaken for code.

mod architecture;
mod atomics;
mod dependencies;
mod homes;
mod interfaces;
mod libc;
mod links;
mod macros;
mod names;
mod origin;
mod paths;
mod recovery;
mod size;
mod source;
mod tree;
mod unfinished;
mod unsafety;
mod waiting;

use tree::{Tree, Violation};

/// Fails with every violation, one a line.
fn hold(rule: fn(&Tree) -> Vec<Violation>) {
    let tree = Tree::of_workspace();
    let broken: Vec<String> = rule(&tree).iter().map(Violation::to_string).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn crates_depend_in_one_direction() {
    hold(dependencies::point_one_way);
}

#[test]
fn unsafe_stays_in_its_homes() {
    hold(unsafety::stays_in_its_homes);
}

#[test]
fn crates_without_unsafe_forbid_it() {
    hold(unsafety::is_forbidden_elsewhere);
}

#[test]
fn macros_put_no_unsafe_around_the_callers_expression() {
    hold(macros::put_no_unsafe_around_expressions);
}

#[test]
fn raw_atomics_are_named_in_the_facade_only() {
    hold(atomics::are_named_in_the_facade);
}

#[test]
fn libc_is_named_where_the_kernel_is_spoken_to_only() {
    hold(libc::is_named_in_few_crates);
}

#[test]
fn no_source_file_is_longer_than_600_lines() {
    hold(size::has_a_limit);
}

#[test]
fn modules_are_named_for_concepts() {
    hold(names::say_a_concept);
}

#[test]
fn links_between_pages_lead_somewhere() {
    hold(links::resolve);
}

#[test]
fn paths_that_pages_name_exist() {
    hold(paths::exist);
}

#[test]
fn nothing_is_left_unfinished() {
    hold(unfinished::is_nothing);
}

#[test]
fn tests_wait_for_events_and_not_for_time() {
    hold(waiting::is_for_events);
}

#[test]
fn the_architecture_page_names_every_crate() {
    hold(architecture::names_every_crate);
}

#[test]
fn the_recovery_page_names_every_operation_in_which_somebody_was_killed() {
    hold(recovery::names_every_point);
}

#[test]
fn rows_of_interfaces_lead_to_items_and_tests() {
    hold(interfaces::lead_to_items_and_tests);
}

#[test]
fn nothing_names_the_place_where_it_was_made() {
    hold(origin::is_not_told);
}

#[test]
fn every_rust_file_can_be_read() {
    hold(source::is_rust);
}

#[test]
fn the_walk_finds_the_workspace() {
    let tree = Tree::of_workspace();
    for path in ["Cargo.toml", "crates/kill/tests/tidy/main.rs", "crates/atomic/src/lib.rs"] {
        assert!(tree.has(path), "{path}");
    }
    assert!(!tree.paths().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
}
