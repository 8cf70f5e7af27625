//! What time it is for all processes of a machine alike: clock_gettime(2), `CLOCK_MONOTONIC`.
//!
//! What it does not do: it never goes back, but two time namespaces may have different clocks; who compares with a
//! time from another process must bear with any answer.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since some instant that is the same for all processes of a time namespace until it is rebooted.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        let before = monotonic_ns();
        assert!(before > 0 && monotonic_ns() >= before);
    }
}
