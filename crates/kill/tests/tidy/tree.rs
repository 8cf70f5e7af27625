//! A tree of files: the workspace's, or one that a test made up.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Component, Path, PathBuf},
};

use ignore::WalkBuilder;

/// Files by their path from the root, with `/` between folders. None is a file that is not text.
#[derive(Default)]
pub(crate) struct Tree(BTreeMap<String, Option<String>>);

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    path: String,
    /// From 1; 0 is the file as a whole.
    line: usize,
    message: String,
}

impl Violation {
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}

impl Tree {
    /// What version control holds or would hold: the ignored is not part of it.
    pub(crate) fn of_workspace() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let mut walk = WalkBuilder::new(&root);
        walk.hidden(false)
            .require_git(false)
            .parents(false)
            .filter_entry(|entry| entry.file_name() != ".git");
        let entries = walk.build().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
        let read = files.map(|file| {
            let path = file.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            (path, String::from_utf8(fs::read(file.path()).unwrap()).ok())
        });
        Self(read.collect())
    }

    /// A made-up tree.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect())
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Every file that is text, with its path.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The text files with this ending.
    pub(crate) fn with_ending(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(ending))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.as_deref()
    }

    /// Whether there is a file, or a folder with files, of this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        let behind = self.0.range(folder.clone()..).next();
        path.is_empty()
            || self.0.contains_key(path)
            || behind.is_some_and(|(path, _)| path.starts_with(&folder))
    }

    /// The folders below `crates/`.
    pub(crate) fn crates(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.paths().filter_map(crate_of).collect();
        names.dedup();
        names
    }
}

/// The crate's folder that a path lies in.
pub(crate) fn crate_of(path: &str) -> Option<&str> {
    let (name, _) = path.strip_prefix("crates/")?.split_once('/')?;
    Some(name)
}

/// Whether a path is that of a test or an example, outside any crate's product.
pub(crate) fn is_test(path: &str) -> bool {
    path.split('/').rev().skip(1).any(|folder| matches!(folder, "tests" | "examples" | "benches"))
}

/// Where `link`, written in the file `from`, leads from the root; None if out of the tree.
pub(crate) fn resolve(from: &str, link: &str) -> Option<String> {
    let mut path = Path::new(from).parent().map_or_else(PathBuf::new, Path::to_path_buf);
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    path.to_str().map(str::to_owned)
}

/// What a rule says of a tree, as text: for the tests of the rules.
#[track_caller]
pub(crate) fn assert_broken(rule: fn(&Tree) -> Vec<Violation>, files: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> = rule(&Tree::of(files)).iter().map(Violation::to_string).collect();
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.contains(expected));
    assert!(fits, "found: {found:#?}\nexpected: {expected:#?}");
}

#[test]
fn links_resolve_from_their_file() {
    assert_eq!(resolve("docs/guide/a.md", "../b.md").as_deref(), Some("docs/b.md"));
    assert_eq!(resolve("a.md", "./docs/").as_deref(), Some("docs"));
    assert_eq!(resolve("docs/a.md", "../../b.md"), None);
}

#[test]
fn folders_are_found_by_their_files() {
    let tree = Tree::of(&[("docs/guide/a.md", ""), ("docs.md", "")]);
    assert!(tree.has("docs") && tree.has("docs/guide") && tree.has("docs.md"));
    assert!(!tree.has("doc") && !tree.has("docs/a.md"));
}
