//! How much address space a process may reserve for one window.
//!
//! A pool is mapped once, at the size that it may ever reach, so that growth needs no new mapping. Address space is
//! free on a 64-bit machine except under `RLIMIT_AS` (`ulimit -v`), where a window must leave room for the rest of
//! the program. Source: getrlimit(2). What is already mapped is not counted: mapping may still fail with `NOMEM`.

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};

/// The largest window, in bytes, that this process should map when it would like `wanted` bytes.
///
/// That is `wanted`, or a quarter of the soft limit `RLIMIT_AS` (whole pages, possibly 0) if that is less. Never
/// more than a pointer can span. Does not block.
pub fn largest_window(wanted: u64) -> u64 {
    largest_window_under(wanted, getrlimit(Resource::As).current)
}

fn largest_window_under(wanted: u64, limit: Option<u64>) -> u64 {
    let wanted = wanted.min(isize::MAX as u64);
    match limit {
        Some(limit) => wanted.min(whole_pages(limit / 4)),
        None => wanted,
    }
}

fn whole_pages(len: u64) -> u64 {
    len - len % page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlimited_process_gets_what_it_wants() {
        assert_eq!(largest_window_under(1 << 40, None), 1 << 40);
        assert_eq!(largest_window_under(u64::MAX, None), isize::MAX as u64);
    }

    #[test]
    fn a_limited_process_gets_a_quarter_of_its_limit_in_whole_pages() {
        assert_eq!(largest_window_under(1 << 40, Some(1 << 32)), 1 << 30);
        assert_eq!(largest_window_under(1 << 40, Some((1 << 32) + 8)), 1 << 30);
        assert_eq!(largest_window_under(4096, Some(1 << 32)), 4096);
        assert_eq!(largest_window_under(1 << 40, Some(3)), 0);
    }
}
