//! What is broken, and how.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use proc_macro2::LineColumn;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Block, FnArg, GenericArgument, PathArguments, ReturnType, Signature, Type};

use crate::table::{Replacement, Row};

/// One item that does something wrong when the environment says so.
#[derive(Debug, Clone)]
pub(crate) struct Mutant {
    /// What the environment names it by.
    pub(crate) id: String,
    pub(crate) item: String,
    pub(crate) file: String,
    /// What it does instead, for people.
    pub(crate) instead: String,
    /// Where the change begins, from line 1 on.
    pub(crate) line: usize,
    edit: Edit,
    /// It does not compile, so it is left out.
    pub(crate) is_dropped: bool,
}

#[derive(Debug, Clone)]
enum Edit {
    /// This expression is returned at once, from the place behind the opening brace.
    Return { at: LineColumn, expression: String },
    /// The expression between the first two becomes the last.
    Replace { before: String, expression: String, to: String },
}

impl Mutant {
    pub(crate) fn is_of(&self, row: &Row) -> bool {
        match &row.mutant {
            Some(replacement) => self.id == id_of(replacement),
            None => row.item.as_deref() == Some(&self.item) && row.file.as_deref() == Some(&self.file),
        }
    }
}

fn condition(id: &str) -> String {
    format!("std::env::var_os(\"WEYR_MUTANT\").is_some_and(|mutant| mutant == {id:?})")
}

/// The breaks of all rows; those of one item that several rows map once.
pub(crate) fn of_rows(root: &Path, rows: &[Row]) -> Result<Vec<Mutant>> {
    let mut found = BTreeMap::new();
    for row in rows {
        let (Some(item), Some(file)) = (&row.item, &row.file) else { continue };
        for mutant in of_row(root, row, item, file)? {
            found.entry(mutant.id.clone()).or_insert(mutant);
        }
    }
    Ok(found.into_values().collect())
}

fn of_row(root: &Path, row: &Row, item: &str, file: &str) -> Result<Vec<Mutant>> {
    if let Some(replacement) = &row.mutant {
        return replaced(root, row, item, replacement).map(|mutant| vec![mutant]);
    }
    let text = std::fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
    let Some((kind, name)) = item.split_once("::") else { return Ok(Vec::new()) };
    let mut finder = Finder { kind, name, inside: false, found: None };
    finder.visit_file(&syn::parse_file(&text).with_context(|| file.to_owned())?);
    let Some((at, expressions)) = finder.found else { return Ok(Vec::new()) };
    let mutant = |(number, expression): (usize, String)| Mutant {
        id: format!("{file}#{item}#{number}"),
        item: item.to_owned(),
        file: file.to_owned(),
        instead: expression.clone(),
        line: at.line,
        edit: Edit::Return { at, expression },
        is_dropped: false,
    };
    Ok(expressions.into_iter().enumerate().map(mutant).collect())
}

fn id_of(replacement: &Replacement) -> String {
    format!("{}#{}#{}", replacement.file, replacement.from, replacement.to)
}

fn replaced(root: &Path, row: &Row, item: &str, replacement: &Replacement) -> Result<Mutant> {
    let Replacement { file, from, to } = replacement;
    let text = std::fs::read_to_string(root.join(file)).with_context(|| file.clone())?;
    let marks = || format!("{}: {from} has not one « and one » behind it", row.name);
    let (before, rest) = from.split_once('«').with_context(marks)?;
    let (expression, after) = rest.split_once('»').with_context(marks)?;
    let place = format!("{before}{expression}{after}");
    ensure!(text.matches(&place).count() == 1, "{}: {file} has not one {place}", row.name);
    let line = text.split(&place).next().unwrap_or("").lines().count();
    Ok(Mutant {
        id: id_of(replacement),
        item: item.to_owned(),
        file: file.clone(),
        instead: format!("{to} for {expression}"),
        line,
        edit: Edit::Replace { before: before.to_owned(), expression: expression.to_owned(), to: to.clone() },
        is_dropped: false,
    })
}

/// The function `name` in an `impl` of `kind`.
struct Finder<'n> {
    kind: &'n str,
    name: &'n str,
    inside: bool,
    found: Option<(LineColumn, Vec<String>)>,
}

impl Finder<'_> {
    fn look(&mut self, signature: &Signature, block: &Block) {
        if self.inside && signature.ident == self.name && self.found.is_none() {
            self.found = Some((block.brace_token.span.open().end(), instead_of(signature)));
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_impl(&mut self, node: &'ast syn::ItemImpl) {
        let of = node.self_ty.to_token_stream().to_string();
        let before = std::mem::replace(&mut self.inside, of.split(' ').any(|word| word == self.kind));
        syn::visit::visit_item_impl(self, node);
        self.inside = before;
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        self.look(&node.sig, &node.block);
    }
}

/// What a function of this signature may do wrong.
fn instead_of(signature: &Signature) -> Vec<String> {
    let strings = |words: &[&str]| words.iter().map(|word| format!("return {word}")).collect();
    let ReturnType::Type(_, returned) = &signature.output else { return vec!["return".into()] };
    let takes_itself =
        matches!(signature.inputs.first(), Some(FnArg::Receiver(own)) if own.reference.is_none());
    let text = returned.to_token_stream().to_string();
    match text.as_str() {
        "Self" if takes_itself => strings(&["self"]),
        "bool" => strings(&["false", "true"]),
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i32" | "i64" => strings(&["0"]),
        "String" => strings(&["String::new()"]),
        "& str" => strings(&["\"\""]),
        _ => match wrapped(returned) {
            Some(("Result", inner)) if inner == "()" => strings(&["Ok(())"]),
            Some(("Result", _)) => strings(&["Err(crate::Error::Destroyed)"]),
            Some(("Option", _)) => strings(&["None"]),
            Some(("Vec", _)) => strings(&["Vec::new()"]),
            _ => vec!["panic!(\"a mutant\")".into()],
        },
    }
}

/// Name and first argument of a type like `Result<(), Error>`.
fn wrapped(of: &Type) -> Option<(&'static str, String)> {
    let Type::Path(path) = of else { return None };
    let last = path.path.segments.last()?;
    let name = ["Result", "Option", "Vec"].into_iter().find(|name| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some((name, inner.to_token_stream().to_string())),
        other => Some((name, other.span().source_text().unwrap_or_default())),
    }
}

/// `text` with all breaks of `file` in it, line by line as it was.
pub(crate) fn apply(text: &str, mutants: &[&Mutant]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut returns: Vec<(&Mutant, LineColumn, &str)> = Vec::new();
    for mutant in mutants {
        if let Edit::Return { at, expression } = &mutant.edit {
            returns.push((mutant, *at, expression));
        }
    }
    // From the end of each line to its start, so that columns stay what they were.
    returns.sort_by_key(|(_, at, _)| std::cmp::Reverse((at.line, at.column)));
    for (mutant, at, expression) in returns {
        let line = &mut lines[at.line - 1];
        let place = line.char_indices().nth(at.column).map_or(line.len(), |(index, _)| index);
        line.insert_str(place, &format!(" if {} {{ {expression}; }}", condition(&mutant.id)));
    }
    let mut text = lines.join("\n") + "\n";
    for mutant in mutants {
        if let Edit::Replace { before, expression, to } = &mutant.edit {
            let broken = format!("if {} {{ {to} }} else {{ {expression} }}", condition(&mutant.id));
            text = text.replacen(&format!("{before}{expression}"), &format!("{before}{broken}"), 1);
        }
    }
    text
}
