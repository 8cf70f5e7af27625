//! The architecture page names every crate.

use crate::tree::{Tree, Violation, assert_broken};

const PAGE: &str = "ARCHITECTURE.md";

pub(crate) fn names_every_crate(tree: &Tree) -> Vec<Violation> {
    let Some(page) = tree.text(PAGE) else { return Vec::new() };
    let missing = tree.crates().into_iter().filter(|name| !names(page, name));
    missing.map(|name| Violation::new(PAGE, 0, format!("crates/{name} is not named"))).collect()
}

/// By its path, or by its name set as code.
fn names(page: &str, name: &str) -> bool {
    let path = format!("crates/{name}");
    let by_path = page.match_indices(&path).any(|(at, _)| {
        !page[at + path.len()..]
            .starts_with(|letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
    });
    by_path
        || [format!("`{name}`"), format!("`{name}/`"), format!("`weyr-{name}`")]
            .iter()
            .any(|code| page.contains(code))
}

#[test]
fn a_crate_that_the_page_does_not_name_is_found() {
    let page = "crates/capi-umf and `weyr-sys`, the sys of it, `shared`";
    let crates =
        ["crates/capi/src/lib.rs", "crates/capi-umf/a", "crates/sys/a", "crates/shared/a", "crates/ring/a"];
    let mut files: Vec<_> = crates.iter().map(|path| (*path, "")).collect();
    assert_broken(names_every_crate, &files, &[]);
    files.push((PAGE, page));
    assert_broken(names_every_crate, &files, &["crates/capi is not", "crates/ring is not"]);
}
