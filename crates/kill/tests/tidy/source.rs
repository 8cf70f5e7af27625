//! Rust sources as tokens, so that a rule sees code and no comments or strings.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

use crate::tree::{Tree, Violation, assert_broken};

/// The tokens of every Rust file that is one.
pub(crate) fn rust_files(tree: &Tree) -> impl Iterator<Item = (&str, TokenStream)> {
    tree.with_ending(".rs").filter_map(|(path, text)| Some((path, text.parse().ok()?)))
}

/// A file that is no Rust would escape every other rule.
pub(crate) fn is_rust(tree: &Tree) -> Vec<Violation> {
    let broken = tree.with_ending(".rs").filter_map(|(path, text)| {
        let error = text.parse::<TokenStream>().err()?;
        Some(Violation::new(path, error.span().start().line, format!("is no Rust: {error}")))
    });
    broken.collect()
}

/// Calls `visit` with every run of tokens between two delimiters, the outermost first.
pub(crate) fn each_run(tokens: &TokenStream, visit: &mut impl FnMut(&[TokenTree])) {
    let run: Vec<TokenTree> = tokens.clone().into_iter().collect();
    visit(&run);
    for tree in &run {
        if let TokenTree::Group(group) = tree {
            each_run(&group.stream(), visit);
        }
    }
}

/// Every identifier, anywhere.
pub(crate) fn identifiers(tokens: &TokenStream) -> Vec<Ident> {
    let mut found = Vec::new();
    each_run(tokens, &mut |run| {
        found.extend(run.iter().filter_map(|tree| match tree {
            TokenTree::Ident(ident) => Some(ident.clone()),
            _ => None,
        }));
    });
    found
}

pub(crate) fn line(tree: &TokenTree) -> usize {
    tree.span().start().line
}

pub(crate) fn is_identifier(tree: Option<&TokenTree>, name: &str) -> bool {
    matches!(tree, Some(TokenTree::Ident(ident)) if ident == name)
}

pub(crate) fn is_mark(tree: Option<&TokenTree>, mark: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// What is between the delimiters, if the token opens them.
pub(crate) fn group(tree: Option<&TokenTree>, delimiter: Delimiter) -> Option<TokenStream> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

#[test]
fn a_file_that_is_no_rust_is_found() {
    assert_broken(is_rust, &[("a.rs", "fn a() {}"), ("b.rs", "\nfn b( {}")], &["b.rs:"]);
}
