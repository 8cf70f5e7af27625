//! Calls on a pool from three threads, beside a plain model: the one of the property tests.

#[path = "../../crates/managed/tests/calls/mod.rs"]
mod calls;

pub fn run(input: &[u8]) {
    calls::Calls::new(&format!("fuzz-heap-{}", std::process::id())).make(input);
}
