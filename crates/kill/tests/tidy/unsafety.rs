//! Unsafe code has few homes, and the crates that have none forbid it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{
    homes,
    source::{each_run, group, identifiers, is_identifier, is_mark, line, rust_files},
    tree::{Tree, Violation, assert_broken, crate_of, is_test},
};

/// The keyword stands in its homes only. A test or an example may, besides, say `unsafe { Cooperative::assume() }`,
/// as every user does.
pub(crate) fn stays_in_its_homes(tree: &Tree) -> Vec<Violation> {
    let outside = rust_files(tree).filter(|(path, _)| !homes::may_be_unsafe(path));
    outside.flat_map(|(path, tokens)| of_file(path, &tokens)).collect()
}

fn of_file(path: &str, tokens: &TokenStream) -> Vec<Violation> {
    let mut found = Vec::new();
    each_run(tokens, &mut |run| {
        for (index, tree) in run.iter().enumerate() {
            let trusting = is_test(path) && is_assumption(run.get(index + 1));
            if is_identifier(Some(tree), "unsafe") && !trusting {
                found.push(Violation::new(path, line(tree), "unsafe code outside its homes"));
            }
        }
    });
    found
}

/// `{ Cooperative::assume() }`, with any path before.
fn is_assumption(tree: Option<&TokenTree>) -> bool {
    let Some(block) = group(tree, Delimiter::Brace) else { return false };
    let words: String = block.into_iter().map(|tree| tree.to_string()).collect();
    let path = words.strip_suffix("Cooperative::assume()");
    path.is_some_and(|path| {
        path.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, ':' | '_'))
    })
}

/// Every target of a crate without unsafe code begins by forbidding it.
pub(crate) fn is_forbidden_elsewhere(tree: &Tree) -> Vec<Violation> {
    let roots = rust_files(tree)
        .filter(|(path, _)| is_root(path) && crate_of(path).is_some_and(homes::forbids_unsafe));
    let lax = roots.filter(|(_, tokens)| !forbids(tokens));
    lax.map(|(path, _)| Violation::new(path, 0, "lacks #![forbid(unsafe_code)]")).collect()
}

fn is_root(path: &str) -> bool {
    let within = path.splitn(3, '/').nth(2).unwrap_or("");
    matches!(within, "src/lib.rs" | "src/main.rs") || within.starts_with("src/bin/")
}

fn forbids(tokens: &TokenStream) -> bool {
    let run: Vec<TokenTree> = tokens.clone().into_iter().collect();
    run.windows(3).any(|three| {
        let attribute = group(Some(&three[2]), Delimiter::Bracket);
        is_mark(Some(&three[0]), '#')
            && is_mark(Some(&three[1]), '!')
            && attribute.is_some_and(|tokens| {
                let words = identifiers(&tokens);
                words.first().is_some_and(|word| word == "forbid")
                    && words.iter().any(|word| word == "unsafe_code")
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_outside_its_homes_is_found_in_code_and_not_in_words() {
        let code = "fn a() {\n  unsafe { b() }\n}";
        assert_broken(stays_in_its_homes, &[("crates/managed/src/pool.rs", code)], &["pool.rs:2: unsafe"]);
        assert_broken(stays_in_its_homes, &[("crates/weyr/src/pool.rs", code)], &["pool.rs:2: unsafe"]);
        assert_broken(stays_in_its_homes, &[("tests/pool.rs", code)], &["pool.rs:2: unsafe"]);
        let words = "/// unsafe\nconst A: &str = \"unsafe\"; // unsafe";
        let homes = [
            ("crates/managed/src/a.rs", words),
            ("crates/sys/src/a.rs", code),
            ("crates/weyr/src/allocator.rs", code),
        ];
        assert_broken(stays_in_its_homes, &homes, &[]);
    }

    #[test]
    fn a_test_may_assume_cooperation_and_the_product_may_not() {
        let assume = "fn a(p: Pool) { p.cooperative(unsafe { weyr::Cooperative::assume() }); }";
        let files =
            [("tests/a.rs", assume), ("crates/managed/tests/a.rs", assume), ("crates/cli/src/a.rs", assume)];
        assert_broken(stays_in_its_homes, &files, &["crates/cli/src/a.rs:1"]);
        let more = "fn a() { unsafe { free(); weyr::Cooperative::assume() } }";
        assert_broken(stays_in_its_homes, &[("tests/a.rs", more)], &["tests/a.rs:1"]);
    }

    #[test]
    fn a_crate_that_does_not_forbid_unsafe_is_found() {
        let files = [
            ("crates/managed/src/lib.rs", "//! Words.\n#![warn(x)]\n#![forbid(unsafe_code)]"),
            ("crates/channel/src/lib.rs", "//! #![forbid(unsafe_code)]\n#![deny(unsafe_code)]"),
            ("crates/channel/src/ring.rs", ""),
            ("crates/node/src/main.rs", "fn main() {}"),
            ("crates/node/src/bin/other.rs", "fn main() {}"),
            ("crates/sys/src/lib.rs", ""),
        ];
        let lax = ["crates/channel/src/lib.rs", "crates/node/src/bin/other.rs", "crates/node/src/main.rs"];
        assert_broken(is_forbidden_elsewhere, &files, &lax);
    }
}
