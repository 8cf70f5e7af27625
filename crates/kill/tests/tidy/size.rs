//! A file of the product that grows beyond this holds more than one concept.

use crate::tree::{Tree, Violation, assert_broken};

const LINES: usize = 600;

pub(crate) fn has_a_limit(tree: &Tree) -> Vec<Violation> {
    let sources = tree.with_ending(".rs").filter(|(path, _)| path.contains("/src/"));
    let long = sources.filter(|(_, text)| text.lines().count() > LINES);
    long.map(|(path, text)| Violation::new(path, LINES + 1, format!("{} lines", text.lines().count())))
        .collect()
}

#[test]
fn a_file_of_601_lines_is_found() {
    let (fits, long) = ("\n".repeat(600), "\n".repeat(601));
    let files =
        [("crates/a/src/a.rs", &*fits), ("crates/a/src/b.rs", &*long), ("crates/a/tests/c.rs", &*long)];
    assert_broken(has_a_limit, &files, &["b.rs:601: 601 lines"]);
}
