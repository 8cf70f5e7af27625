//! A test waits for what it needs to happen, never for time to pass.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{
    source::{group, identifiers, is_identifier, is_mark, rust_files},
    tree::{Tree, Violation, assert_broken, is_test},
};

const SLEEPS: [&str; 5] = ["sleep", "sleep_ms", "sleep_until", "usleep", "nanosleep"];

pub(crate) fn is_for_events(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, tokens) in rust_files(tree).filter(|(path, _)| !path.starts_with("benches/")) {
        let code = if is_test(path) { vec![tokens] } else { test_bodies(&tokens) };
        let words = code.iter().flat_map(identifiers);
        let waits = words.filter(|word| SLEEPS.iter().any(|name| word == name));
        let lines = waits.map(|word| word.span().start().line);
        found.extend(lines.map(|line| Violation::new(path, line, "a test that waits for time")));
    }
    found
}

/// The bodies of the items under `#[cfg(test)]`, and of tests outside them.
fn test_bodies(tokens: &TokenStream) -> Vec<TokenStream> {
    let run: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let starts =
        (0..run.len()).filter(|index| is_mark(run.get(*index), '#') && is_test_attribute(run.get(index + 1)));
    let items =
        starts.filter_map(|start| run[start..].iter().find_map(|tree| group(Some(tree), Delimiter::Brace)));
    items.collect()
}

fn is_test_attribute(tree: Option<&TokenTree>) -> bool {
    let Some(attribute) = group(tree, Delimiter::Bracket) else { return false };
    let words: Vec<TokenTree> = attribute.into_iter().collect();
    let inside = group(words.get(1), Delimiter::Parenthesis);
    let cfg =
        is_identifier(words.first(), "cfg") && inside.is_some_and(|inside| inside.to_string() == "test");
    cfg || is_identifier(words.first(), "test") && words.len() == 1
}

#[test]
fn a_test_that_waits_for_time_is_found_in_test_folders_and_test_bodies() {
    let call = "fn a() {\n std::thread::sleep(d);\n}";
    let inside =
        "fn a() { std::thread::sleep(d); }\n#[cfg(test)]\nmod tests {\n use std::thread::{self, sleep};\n}";
    let files = [
        ("crates/a/src/lib.rs", inside),
        ("crates/a/src/wait.rs", call),
        ("crates/a/tests/b.rs", call),
        ("tests/c.rs", "// thread::sleep\nfn a() { \"sleep\"; asleep(); }"),
    ];
    assert_broken(is_for_events, &files, &["lib.rs:4", "tests/b.rs:2"]);
}
