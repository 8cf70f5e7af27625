//! What is landed is finished: no notes to oneself, no holes in the code.

use crate::{
    source::{each_run, is_identifier, is_mark, line, rust_files},
    tree::{Tree, Violation, assert_broken},
};

/// Written in two halves, because this file is looked at too.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const HOLES: [&str; 3] = [concat!("to", "do"), concat!("unim", "plemented"), concat!("d", "bg")];

pub(crate) fn is_nothing(tree: &Tree) -> Vec<Violation> {
    notes(tree).into_iter().chain(holes(tree)).collect()
}

fn notes(tree: &Tree) -> Vec<Violation> {
    let lines = tree.texts().flat_map(|(path, text)| text.lines().enumerate().map(move |line| (path, line)));
    let notes = lines.filter_map(|(path, (index, text))| {
        let mut words = text.split(|letter: char| !letter.is_alphanumeric());
        let note = words.find(|word| NOTES.contains(word))?;
        Some(Violation::new(path, index + 1, format!("{note}: finish it, or file it")))
    });
    notes.collect()
}

fn holes(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, tokens) in rust_files(tree) {
        each_run(&tokens, &mut |run| {
            for two in run.windows(2) {
                let hole = HOLES.iter().find(|hole| is_identifier(Some(&two[0]), hole));
                if let Some(hole) = hole.filter(|_| is_mark(Some(&two[1]), '!')) {
                    found.push(Violation::new(path, line(&two[0]), format!("{hole}! is no code")));
                }
            }
        });
    }
    found
}

#[test]
fn notes_and_holes_are_found_and_words_that_hold_them_are_not() {
    let code = format!("// {}: later\nfn a() {{\n    {}!()\n}}\nfn {}() {{}}", NOTES[0], HOLES[1], HOLES[0]);
    let page = format!("mktemp a.{0}{0}\n({1})\n", NOTES[2], NOTES[1]);
    let files = [("crates/a/src/a.rs", &*code), ("docs/a.md", &*page)];
    assert_broken(is_nothing, &files, &["a.rs:1", "docs/a.md:2", "a.rs:3"]);
}
