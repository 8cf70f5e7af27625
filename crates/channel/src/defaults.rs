//! How a handle waits when a call does not say.

use std::time::{Duration, Instant};

use crate::WaitMode;

/// How long a call may take, as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// It does not wait.
    Now,
    /// It waits until then, or without limit.
    Until(Option<Instant>),
    /// As the handle says.
    Default,
}

/// What a handle says for calls that do not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Defaults {
    pub(crate) mode: WaitMode,
    /// None: without limit.
    pub(crate) timeout: Option<Duration>,
}

impl Defaults {
    /// Whether a call of that limit may wait. Reads no clock.
    pub(crate) fn waits(self, limit: Limit) -> bool {
        !matches!((limit, self.timeout), (Limit::Now, _) | (Limit::Default, Some(Duration::ZERO)))
    }

    /// What `limit` means from now on; None: not to wait. Asked for when a first try has failed, so that calls that
    /// need not wait read no clock.
    pub(crate) fn deadline(self, limit: Limit) -> Option<Option<Instant>> {
        match (limit, self.timeout) {
            (Limit::Now, _) | (Limit::Default, Some(Duration::ZERO)) => None,
            (Limit::Until(deadline), _) => Some(deadline),
            // A time too far off to be told is no limit.
            (Limit::Default, timeout) => {
                Some(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
            }
        }
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[test]
    fn only_calls_that_do_not_say_wait_as_the_handle_does() {
        let usual = Defaults::default();
        assert_eq!(usual.deadline(Limit::Default), Some(None));
        let none = Defaults { timeout: Some(Duration::ZERO), ..usual };
        assert_eq!(none.deadline(Limit::Default), None);
        assert_eq!(none.deadline(Limit::Until(None)), Some(None));
        let before = Instant::now();
        let minute = Defaults { timeout: Some(Duration::from_secs(60)), ..usual };
        let deadline = minute.deadline(Limit::Default).flatten();
        assert!(deadline.is_some_and(|deadline| deadline >= before + Duration::from_secs(60)));
        assert_eq!(minute.deadline(Limit::Now), None);
        let long = Defaults { timeout: Some(Duration::MAX), ..usual };
        assert_eq!(long.deadline(Limit::Default), Some(None));
    }
}
