//! The product stands for itself: it does not name the place where it was made, or pages that its readers lack.

use crate::tree::{Tree, Violation, assert_broken, resolve};

/// Written in halves, because this file is looked at too.
const PLACES: [&str; 6] = [
    concat!("seed ", "4f10"),
    concat!("/wo", "rk/"),
    concat!("docu", "ment 000"),
    concat!("docu", "ment 001"),
    concat!("docu", "ment 003"),
    concat!("docu", "ment 004"),
];
const MEETING: &str = concat!("sess", "ion");
const BESIDE: &str = concat!("../sha", "red/");

pub(crate) fn is_not_told(tree: &Tree) -> Vec<Violation> {
    let lines = tree.texts().flat_map(|(path, text)| text.lines().enumerate().map(move |line| (path, line)));
    let told = lines.filter_map(|(path, (index, text))| {
        let word = told_by(tree, path, &text.to_lowercase())?;
        Some(Violation::new(path, index + 1, format!("{word:?} names the workplace")))
    });
    told.collect()
}

fn told_by(tree: &Tree, path: &str, line: &str) -> Option<&'static str> {
    let place = PLACES.into_iter().find(|place| line.contains(place));
    let meeting = line
        .split(|letter: char| !letter.is_alphanumeric())
        .any(|word| word.trim_end_matches('s') == MEETING);
    place.or(meeting.then_some(MEETING)).or(leads_beside(tree, path, line).then_some(BESIDE))
}

/// The folder of that name beside the tree, and not a crate's.
fn leads_beside(tree: &Tree, path: &str, line: &str) -> bool {
    let is_path = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '/' | '_' | '-');
    let words = line.split(|letter| !is_path(letter)).filter(|word| word.contains(BESIDE));
    let folders = words.filter_map(|word| word.find(BESIDE).map(|at| &word[..at + BESIDE.len()]));
    let mut targets = folders.map(|folder| resolve(path, folder));
    targets.any(|target| target.is_none_or(|target| !tree.has(&target)))
}

#[test]
fn words_of_the_workplace_are_found() {
    let text = format!("fine\n{}\nA {}, it was\n{}b\n", PLACES[0], MEETING.to_uppercase(), PLACES[1]);
    let broken = ["a.md:2", "a.md:3", "a.md:4"];
    assert_broken(is_not_told, &[("docs/a.md", &text), ("docs/b.md", "obsession")], &broken);
}

#[test]
fn the_folder_beside_the_tree_is_found_and_the_crate_of_that_name_is_not() {
    let beside = format!("see {BESIDE}spec/a.md");
    let files = [
        ("README.md", &*beside),
        ("crates/managed/README.md", &*beside),
        ("crates/shared/src/lib.rs", ""),
        ("docs/a.md", &*beside),
    ];
    assert_broken(is_not_told, &files, &["README.md:1", "docs/a.md:1"]);
}
