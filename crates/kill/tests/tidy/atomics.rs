//! Raw atomics are named in the facade only, so that the same code runs under all its faces.

use proc_macro2::{Delimiter, TokenTree};

use crate::{
    homes,
    source::{each_run, group, is_identifier, is_mark, line, rust_files},
    tree::{Tree, Violation, assert_broken},
};

pub(crate) fn are_named_in_the_facade(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, tokens) in rust_files(tree).filter(|(path, _)| !homes::may_name_raw_atomics(path)) {
        each_run(&tokens, &mut |run| {
            for (index, tree) in run.iter().enumerate() {
                if is_identifier(Some(tree), "sync") && names_atomic(&run[index + 1..]) {
                    found.push(Violation::new(path, line(tree), "raw atomics are for weyr-atomic alone"));
                }
            }
        });
    }
    found
}

/// Behind `sync`: `::atomic`, or `::{.., atomic.., ..}`.
fn names_atomic(behind: &[TokenTree]) -> bool {
    if !(is_mark(behind.first(), ':') && is_mark(behind.get(1), ':')) {
        return false;
    }
    let one = is_identifier(behind.get(2), "atomic");
    let several = group(behind.get(2), Delimiter::Brace);
    one || several.is_some_and(|names| names.into_iter().any(|tree| is_identifier(Some(&tree), "atomic")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_atomics_are_found_however_they_are_imported() {
        let files = [
            ("crates/atomic/src/std.rs", "pub use core::sync::atomic::AtomicU32;"),
            ("crates/managed/src/a.rs", "use weyr_atomic::AtomicU32;\nuse core::sync::atomic::Ordering;"),
            ("crates/managed/src/b.rs", "use std::{fs, sync::{Arc, atomic::{AtomicU8, Ordering}}};"),
            ("crates/managed/src/c.rs", "fn f() { ::std::sync::atomic::fence(x); }"),
            ("crates/managed/src/d.rs", "use std::sync::{Arc, Mutex}; // std::sync::atomic"),
            ("crates/sys/src/private_word.rs", "use core::sync::atomic::AtomicU64;"),
            ("crates/sys/src/futex.rs", "use core::sync::atomic::AtomicU64;"),
            ("tests/e.rs", "use loom::sync::atomic::AtomicU8;"),
        ];
        assert_broken(
            are_named_in_the_facade,
            &files,
            &["a.rs:2", "b.rs:1", "c.rs:1", "futex.rs:1", "tests/e.rs:1"],
        );
    }
}
