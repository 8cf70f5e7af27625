//! Crates depend in one direction.

use toml::{Table, Value};

use crate::tree::{Tree, Violation, assert_broken, crate_of};

/// Each crate's height: it may use those that are lower. `kill` is for tests, and may be used by any.
const HEIGHTS: [(&str, u32); 16] = [
    ("atomic", 0),
    ("sys", 1),
    ("shared", 2),
    ("memory", 2),
    ("ucx", 2),
    ("managed", 3),
    ("channel", 4),
    ("node", 5),
    ("weyr", 5),
    ("capi-umf", 5),
    ("capi-dragon", 5),
    ("capi", 6),
    ("python", 6),
    ("cli", 6),
    ("kill", KILL),
    ("tests", KILL + 1),
];
const KILL: u32 = 100;

pub(crate) fn point_one_way(tree: &Tree) -> Vec<Violation> {
    let manifests = tree.with_ending("/Cargo.toml");
    let of_crates = manifests.filter_map(|(path, text)| Some((path, crate_of(path)?, text)));
    of_crates.flat_map(|(path, name, text)| of_manifest(path, name, text)).collect()
}

fn of_manifest(path: &str, name: &str, text: &str) -> Vec<Violation> {
    let Some(height) = height(name) else {
        return vec![Violation::new(path, 0, format!("{name} has no place in the order of crates"))];
    };
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Violation::new(path, 0, error.to_string())],
    };
    let used = used(&manifest);
    let wrong = used.into_iter().filter(|(kind, used)| !may_use(height, kind, used));
    wrong.map(|(kind, used)| Violation::new(path, 0, format!("{name} may not use {used} ({kind})"))).collect()
}

fn height(name: &str) -> Option<u32> {
    HEIGHTS.iter().find(|(known, _)| *known == name).map(|(_, height)| *height)
}

fn may_use(height_of_user: u32, kind: &str, used: &str) -> bool {
    if used == "kill" {
        return kind == "dev-dependencies";
    }
    height_of_user != KILL && height(used).is_some_and(|height| height < height_of_user)
}

/// The crates of this workspace that a manifest names, each with the table that names it.
fn used(manifest: &Table) -> Vec<(&'static str, String)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = [manifest].into_iter().chain(targets.filter_map(Value::as_table));
    let mut used = Vec::new();
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let entries = table.get(kind).and_then(Value::as_table).into_iter().flatten();
            used.extend(entries.filter_map(|(key, entry)| Some((kind, folder(key, entry)?))));
        }
    }
    used
}

/// The folder of a dependency of ours: `weyr` is in `weyr`, `weyr-sys` in `sys`; a renamed one says `package`.
fn folder(key: &str, entry: &Value) -> Option<String> {
    let package = entry.get("package").and_then(Value::as_str).unwrap_or(key);
    if package == "weyr" {
        return Some(package.to_owned());
    }
    package.strip_prefix("weyr-").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_breaks(name: &str, manifest: &str, expected: &[&str]) {
        assert_broken(point_one_way, &[(&format!("crates/{name}/Cargo.toml"), manifest)], expected);
    }

    #[test]
    fn a_crate_that_uses_a_higher_one_or_its_equal_is_found() {
        assert_breaks("sys", "[dependencies]\nweyr-managed.workspace = true", &["sys may not use managed"]);
        assert_breaks(
            "memory",
            "[dependencies]\nweyr-shared = { path = \"../shared\" }",
            &["may not use shared"],
        );
        assert_breaks("channel", "[dependencies]\nweyr-managed.workspace = true\nlibc = \"0.2\"", &[]);
        assert_breaks("cli", "[dependencies]\nweyr.workspace = true", &[]);
        assert_breaks("managed", "[dependencies]\nweyr.workspace = true", &["may not use weyr"]);
    }

    #[test]
    fn every_table_and_every_name_of_a_dependency_is_seen() {
        let renamed = "[dependencies]\nup = { package = \"weyr-channel\", path = \"../channel\" }";
        assert_breaks("shared", renamed, &["may not use channel"]);
        let of_target = "[target.'cfg(unix)'.build-dependencies]\nweyr-channel.workspace = true";
        assert_breaks("shared", of_target, &["channel (build-dependencies)"]);
        let for_tests = "[dev-dependencies]\nweyr-channel.workspace = true";
        assert_breaks("shared", for_tests, &["channel (dev-dependencies)"]);
    }

    #[test]
    fn the_harness_is_for_tests_and_uses_none_of_the_product() {
        assert_breaks("shared", "[dependencies]\nweyr-kill.workspace = true", &["kill (dependencies)"]);
        assert_breaks("shared", "[dev-dependencies]\nweyr-kill.workspace = true", &[]);
        assert_breaks("kill", "[dependencies]\nweyr-sys.workspace = true", &["kill may not use sys"]);
    }

    #[test]
    fn a_crate_without_a_place_in_the_order_is_found() {
        assert_breaks("gadget", "[dependencies]", &["gadget has no place"]);
        assert_breaks("shared", "[dependencies]\nweyr-gadget.workspace = true", &["may not use gadget"]);
    }
}
