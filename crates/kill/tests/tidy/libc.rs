//! libc is named where the kernel is spoken to, and nowhere else.

use toml::{Table, Value};

use crate::{
    homes,
    source::{identifiers, rust_files},
    tree::{Tree, Violation, assert_broken},
};

pub(crate) fn is_named_in_few_crates(tree: &Tree) -> Vec<Violation> {
    in_sources(tree).into_iter().chain(in_manifests(tree)).collect()
}

fn in_sources(tree: &Tree) -> Vec<Violation> {
    let outside = rust_files(tree).filter(|(path, _)| !homes::may_name_libc(path));
    let named = outside.flat_map(|(path, tokens)| {
        let names = identifiers(&tokens).into_iter().filter(|name| name == "libc");
        names
            .map(|name| Violation::new(path, name.span().start().line, "libc is for sys and kill"))
            .collect::<Vec<_>>()
    });
    named.collect()
}

/// The root's manifest only says which version is used.
fn in_manifests(tree: &Tree) -> Vec<Violation> {
    let outside = tree.with_ending("/Cargo.toml").filter(|(path, _)| !homes::may_name_libc(path));
    let named = outside.filter(|(_, text)| text.parse::<Table>().is_ok_and(|manifest| depends(&manifest)));
    named.map(|(path, _)| Violation::new(path, 0, "libc is for sys and kill")).collect()
}

fn depends(table: &Table) -> bool {
    table.iter().any(|(key, value)| match value {
        Value::Table(inner) => key.ends_with("dependencies") && inner.contains_key("libc") || depends(inner),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libc_is_found_in_sources_and_manifests() {
        let depends = "[target.'cfg(unix)'.dependencies]\nlibc.workspace = true";
        let files = [
            ("Cargo.toml", "[workspace.dependencies]\nlibc = \"0.2\""),
            ("crates/channel/Cargo.toml", depends),
            ("crates/managed/src/a.rs", "//! libc\n\nfn f() { libc::getpid(); }"),
            ("crates/sys/Cargo.toml", depends),
            ("crates/sys/src/a.rs", "use libc::getpid;"),
        ];
        assert_broken(is_named_in_few_crates, &files, &["managed/src/a.rs:3", "channel/Cargo.toml:0"]);
    }
}
