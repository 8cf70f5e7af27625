//! How somebody waits.

/// How somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitMode {
    /// Polls, and offers the processor to others after every 50 polls. Shortest delay, a processor for each waiter.
    Spin,
    /// Polls some 2000 times, then sleeps.
    #[default]
    Adaptive,
    /// Sleeps at once.
    Idle,
}
