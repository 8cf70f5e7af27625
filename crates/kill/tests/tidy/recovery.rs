//! Every operation in which a death was tried is named on the page that says what becomes of it.
//!
//! The names are those that the tests give: string literals that are the first of a tuple or of the arguments of
//! `Plan::new`, and the first literal among those of a sweep.

use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};

use crate::{
    source::{each_run, group, is_identifier, is_mark, rust_files},
    tree::{Tree, Violation, assert_broken},
};

const PAGE: &str = "docs/recovery.md";
const SWEEPS: [&str; 3] = ["sweep", "sweep_stopping", "kill_only"];

pub(crate) fn names_every_point(tree: &Tree) -> Vec<Violation> {
    let page = tree.text(PAGE).unwrap_or_default();
    let mut found = Vec::new();
    for (path, tokens) in rust_files(tree).filter(|(path, _)| is_of_deaths(path)) {
        for (line, name) in names(&tokens) {
            if !page.contains(&format!("`{name}`")) {
                found.push(Violation::new(path, line, format!("{PAGE} does not name `{name}`")));
            }
        }
    }
    found
}

/// Whether the tests of a file let processes die at named operations.
fn is_of_deaths(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("crates/")
        && path.contains("/tests/")
        && !path.starts_with("crates/kill/")
        && (file.starts_with("crash_") || file.starts_with("sweep"))
}

fn names(tokens: &TokenStream) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    each_run(tokens, &mut |run| {
        for (index, tree) in run.iter().enumerate() {
            let Some(arguments) = group(Some(tree), Delimiter::Parenthesis) else { continue };
            let arguments: Vec<TokenTree> = arguments.into_iter().collect();
            let before = index.checked_sub(1).and_then(|before| run.get(before));
            let name = if SWEEPS.iter().any(|sweep| is_identifier(before, sweep)) {
                arguments.iter().find_map(literal)
            } else if is_plan(run, index) || is_tuple(before, &arguments) {
                arguments.first().and_then(literal)
            } else {
                None
            };
            found.extend(name.map(|(literal, name)| (literal.span().start().line, name)));
        }
    });
    found
}

/// `Plan::new` before the token.
fn is_plan(run: &[TokenTree], index: usize) -> bool {
    let before = |distance: usize| index.checked_sub(distance).and_then(|at| run.get(at));
    is_identifier(before(1), "new") && is_mark(before(2), ':') && is_identifier(before(4), "Plan")
}

fn is_tuple(before: Option<&TokenTree>, arguments: &[TokenTree]) -> bool {
    let called = matches!(before, Some(TokenTree::Ident(_) | TokenTree::Group(_))) || is_mark(before, '!');
    !called && is_mark(arguments.get(1), ',')
}

fn literal(tree: &TokenTree) -> Option<(Literal, String)> {
    let TokenTree::Literal(literal) = tree else { return None };
    let text = literal.to_string();
    let name = text.strip_prefix('"')?.strip_suffix('"')?.to_owned();
    Some((literal.clone(), name))
}

#[test]
fn an_operation_that_the_page_does_not_name_is_found() {
    let deaths = "fn a() {\n let p = Plan::new(\"send\", 1);\n sweep(\"take\", &ground);\n \
                  for (n, b) in [(\"lease\", true)] { f(\"no name\", 1); }\n}";
    let files = [
        (PAGE, "| `send` | `lease` |"),
        ("crates/a/tests/crash_face.rs", deaths),
        ("crates/a/tests/other.rs", deaths),
    ];
    assert_broken(names_every_point, &files, &["crash_face.rs:3"]);
}
