//! Which crates may do what others may not: one table for the rules that ask.

use crate::tree::crate_of;

/// Crates that may hold unsafe code.
const UNSAFE: [&str; 8] = ["atomic", "sys", "shared", "memory", "ucx", "capi-umf", "capi-dragon", "kill"];
/// Single files of other crates that may.
const UNSAFE_FILES: [&str; 3] =
    ["crates/weyr/src/allocator.rs", "crates/python/src/buffer.rs", "crates/cli/src/demo/cooperation.rs"];
/// Crates that say that they never will. The command denies it everywhere but in its one file above.
const FORBIDDING: [&str; 3] = ["managed", "channel", "node"];
/// Crates that may name libc.
const LIBC: [&str; 4] = ["sys", "kill", "capi-umf", "capi-dragon"];
/// Files outside the facade that may name raw atomics: words in statics of one process, which no model looks at.
const RAW_ATOMICS: [&str; 1] = ["crates/sys/src/private_word.rs"];

/// Workspaces of their own, in which peers are called as they are; no part of the product.
const PEERS: [&str; 2] = ["benches/", "fuzz/"];

fn is_of_peers(path: &str) -> bool {
    PEERS.iter().any(|folder| path.starts_with(folder))
}

pub(crate) fn may_name_raw_atomics(path: &str) -> bool {
    is_of_peers(path) || crate_of(path) == Some("atomic") || RAW_ATOMICS.contains(&path)
}

pub(crate) fn may_be_unsafe(path: &str) -> bool {
    is_of_peers(path)
        || UNSAFE_FILES.contains(&path)
        || crate_of(path).is_some_and(|name| UNSAFE.contains(&name))
}

pub(crate) fn forbids_unsafe(name: &str) -> bool {
    FORBIDDING.contains(&name)
}

pub(crate) fn may_name_libc(path: &str) -> bool {
    is_of_peers(path) || crate_of(path).is_some_and(|name| LIBC.contains(&name))
}
