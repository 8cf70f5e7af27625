//! A path that the architecture page or a page of the documentation sets as code is one of the tree.
//!
//! A path may be written from the root, or from any folder on the way to it, as far as the reader needs it.

use pulldown_cmark::{Event, Parser};

use crate::tree::{Tree, Violation, assert_broken};

const ENDINGS: [&str; 4] = [".rs", ".md", ".toml", ".sh"];
const FOLDERS: [&str; 5] = ["crates/", "docs/", "benches/", "tests/", "examples/"];

pub(crate) fn exist(tree: &Tree) -> Vec<Violation> {
    let pages =
        tree.with_ending(".md").filter(|(path, _)| *path == "ARCHITECTURE.md" || path.starts_with("docs/"));
    pages.flat_map(|(page, text)| of_page(tree, page, text)).collect()
}

fn of_page(tree: &Tree, page: &str, text: &str) -> Vec<Violation> {
    let missing = paths(text).into_iter().filter(|(_, path)| !is_there(tree, path));
    missing.map(|(line, path)| Violation::new(page, line, format!("there is no {path}"))).collect()
}

/// What is set as code and looks like a path, each with its line.
fn paths(text: &str) -> Vec<(usize, String)> {
    let events = Parser::new(text).into_offset_iter();
    let code = events.filter_map(|(event, range)| match event {
        Event::Code(code) if is_path(&code) => {
            Some((text[..range.start].matches('\n').count() + 1, code.trim_end_matches('/').to_owned()))
        }
        _ => None,
    });
    code.collect()
}

fn is_path(code: &str) -> bool {
    let named = ENDINGS.iter().any(|ending| code.ends_with(ending));
    let rooted = FOLDERS.iter().any(|folder| code.starts_with(folder));
    (named || rooted) && !code.contains(char::is_whitespace)
}

fn is_there(tree: &Tree, path: &str) -> bool {
    let tail = format!("/{path}");
    let inner = format!("/{path}/");
    tree.has(path) || tree.paths().any(|known| known.ends_with(&tail) || known.contains(&inner))
}

#[test]
fn a_path_that_is_not_there_is_found() {
    let page = "`crates/a/src/lib.rs` and `src/lib.rs`, `lib.rs`, `a/src/`\n\n`crates/a/` `gone.rs`\n\
                `rc/lib.rs` `crates/b` gone.rs `cat gone.rs` `.rs`\n\n    `gone.md`\n";
    let files = [("ARCHITECTURE.md", page), ("docs/a/b.md", "`c.md` `b.md`"), ("README.md", "`gone.rs`")];
    let files = [&files[..], &[("crates/a/src/lib.rs", "")]].concat();
    assert_broken(
        exist,
        &files,
        &[
            "ARCHITECTURE.md:3: there is no gone.rs",
            "ARCHITECTURE.md:4: there is no rc/lib.rs",
            "ARCHITECTURE.md:4: there is no crates/b",
            "ARCHITECTURE.md:4: there is no .rs",
            "docs/a/b.md:1: there is no c.md",
        ],
    );
}
