//! Every row of `docs/interfaces/` leads to an item of ours that is there, and to a test that shows it.
//!
//! A row has the `name` that the source gives, the `item` of ours that does it (`Type::function`, `Type::Variant`, or a
//! type), the `file` with it and the `test` that shows it (`path::function`); or a `note` that says why nothing does.

use serde::Deserialize;

use crate::tree::{Tree, Violation, assert_broken};

const FOLDER: &str = "docs/interfaces/";

#[derive(Debug, Deserialize)]
struct Table {
    row: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    item: Option<String>,
    file: Option<String>,
    test: Option<String>,
    note: Option<String>,
    mutant: Option<Replacement>,
}

/// How `./x mutants` breaks what is no function: the expression between « and » of `from` becomes `to`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    file: String,
    from: String,
    #[expect(dead_code, reason = "the compiler looks at it, where it is built in")]
    to: String,
}

pub(crate) fn lead_to_items_and_tests(tree: &Tree) -> Vec<Violation> {
    let tables = tree.with_ending(".toml").filter(|(path, _)| path.starts_with(FOLDER));
    let mut found = Vec::new();
    for (path, text) in tables {
        let at = |line: usize, what: String| Violation::new(path, line, what);
        match toml::from_str::<Table>(text) {
            Err(error) => found.push(at(1, error.to_string())),
            Ok(table) => {
                let wrong = table.row.iter().flat_map(|row| {
                    let line = line_of(text, &row.name);
                    wrong_with(tree, row).map(move |what| at(line, format!("{}: {what}", row.name)))
                });
                found.extend(wrong.collect::<Vec<_>>());
            }
        }
    }
    found
}

fn line_of(text: &str, name: &str) -> usize {
    let row = format!("name = \"{name}\"");
    text.lines().position(|line| line == row).map_or(1, |index| index + 1)
}

fn wrong_with(tree: &Tree, row: &Row) -> Option<String> {
    let Row { item, file, test, note, mutant, .. } = row;
    match (item, file, test) {
        (Some(item), Some(file), Some(test)) => missing_item(tree, item, file)
            .or_else(|| missing_test(tree, test))
            .or_else(|| mutant.as_ref().and_then(|mutant| missing_place(tree, mutant))),
        (None, None, None) if note.is_some() => None,
        _ => Some("a row has item, file and test, or a note alone".into()),
    }
}

fn missing_item(tree: &Tree, item: &str, file: &str) -> Option<String> {
    let Some(text) = tree.text(file) else { return Some(format!("there is no {file}")) };
    let (kind, name) = item.split_once("::").unwrap_or(("", item));
    let is_there = |name: &str| {
        let declared = ["fn ", "struct ", "enum ", "trait ", "const "].map(|word| format!("{word}{name}"));
        let follows =
            |rest: &str| !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        let variant = format!("\n    {name}");
        declared.iter().chain([&variant]).any(|form| {
            text.match_indices(form.as_str()).any(|(index, _)| follows(&text[index + form.len()..]))
        })
    };
    (!text.contains(kind) || !is_there(name)).then(|| format!("{file} has no {item}"))
}

fn missing_place(tree: &Tree, mutant: &Replacement) -> Option<String> {
    let Replacement { file, from, .. } = mutant;
    let Some(text) = tree.text(file) else { return Some(format!("there is no {file}")) };
    let marks = from.matches('«').count() == 1 && from.matches('»').count() == 1;
    let places = text.matches(&from.replace(['«', '»'], "")).count();
    (!marks || places != 1).then(|| format!("{file} has not one {from}"))
}

fn missing_test(tree: &Tree, test: &str) -> Option<String> {
    let Some((file, path)) = test.split_once("::") else { return Some(format!("{test} names no test")) };
    // Of a suite that is there several times, the module is in the path.
    let name = path.rsplit("::").next().unwrap_or(path);
    let Some(text) = tree.text(file) else { return Some(format!("there is no {file}")) };
    (!text.contains(&format!("fn {name}("))).then(|| format!("{file} has no test {name}"))
}

#[test]
fn a_row_that_leads_nowhere_is_found() {
    let row = |item: &str, file: &str, test: &str| {
        format!("[[row]]\nname = \"a\"\nitem = \"{item}\"\nfile = \"{file}\"\ntest = \"{test}\"\n")
    };
    let code = "pub struct Pool;\nimpl Pool {\n    pub fn create() {}\n}\npub enum Kind {\n    File,\n}\n";
    let good =
        [row("Pool::create", "a.rs", "t.rs::works"), row("Kind::File", "a.rs", "t.rs::works")].concat();
    let bad = [
        row("Pool::creat", "a.rs", "t.rs::works"),
        row("Pool::create", "b.rs", "t.rs::works"),
        row("Pool::create", "a.rs", "t.rs::work"),
        "[[row]]\nname = \"b\"\n".into(),
    ];
    let files = [("a.rs", code), ("t.rs", "fn works() {}"), ("docs/interfaces/good.toml", good.as_str())];
    assert_broken(lead_to_items_and_tests, &files, &[]);
    for bad in &bad {
        let files = [files[0], files[1], ("docs/interfaces/bad.toml", bad.as_str())];
        assert_broken(lead_to_items_and_tests, &files, &["bad.toml:2"]);
    }
}
