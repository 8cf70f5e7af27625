//! How closely a handle follows the one at the other end.
//!
//! Who polls a slot while the other writes there takes its line away, twice a message: in a stream it is cheaper for both
//! to look a little later and to find several messages, or several free slots, than to be there for each. But where one
//! message is answered by one message, looking later is lost time. What is the case shows in the waits themselves: in a
//! stream they are short, one for each message; and when one looks later there is more than one.
//!
//! So a handle whose last waits were all short **rests** at the beginning of the next, for about as long as a few messages
//! take. If that did not bring it several at once it was no stream, and the handle does not rest again for a while.
//! It is private memory, and looked at only by those who wait anyway.

use weyr_atomic::{AtomicU32, AtomicU64, Ordering, hint};

use crate::wait::Waiter;

/// Looks up to which a wait is short.
const SHORT_POLLS: u32 = 4;
/// Short waits in a row that make a stream.
const STREAM: u32 = 8;
/// What a rest is to bring at least.
const WORTH: u64 = 4;
/// Waits without a rest behind one that brought less.
const WITHOUT_REST: u32 = 1024;
/// Pauses of the processor in a rest: 0.8 us where a pause takes 20 ns, 2 us where it takes 50.
const PAUSES: u32 = 40;

/// What a handle remembers of its waits. Threads that share it may spoil each other's counts, which costs a rest.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Short waits in a row.
    short: AtomicU32,
    /// Waits that are to begin without a rest.
    restless: AtomicU32,
    /// Whether the last wait began with a rest.
    rested: AtomicU32,
    /// Messages that had gone through the handle when the last wait began.
    passed: AtomicU64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU32::new(0);
        Self { short: zero(), restless: zero(), rested: zero(), passed: AtomicU64::new(0) }
    }

    /// A wait begins that polls, behind so many messages in all: rests, where that pays.
    fn begin(&self, messages: u64) {
        if self.is_to_rest(messages) {
            (0..PAUSES).for_each(|_| hint::spin_loop());
        }
    }

    fn is_to_rest(&self, messages: u64) -> bool {
        let brought = messages.wrapping_sub(self.passed.swap(messages, Ordering::Relaxed));
        if self.rested.swap(0, Ordering::Relaxed) != 0 && brought < WORTH {
            self.restless.store(WITHOUT_REST, Ordering::Relaxed);
        }
        let restless = self.restless.load(Ordering::Relaxed);
        if restless > 0 {
            self.restless.store(restless - 1, Ordering::Relaxed);
            return false;
        }
        let rests = self.short.load(Ordering::Relaxed) >= STREAM;
        self.rested.store(rests.into(), Ordering::Relaxed);
        rests
    }

    /// For one wait.
    pub(crate) fn of(&self, waiter: &Waiter) -> PaceOf<'_> {
        PaceOf(waiter.polls_now().then_some(self))
    }

    /// A wait ended, with what was waited for, behind so many looks in vain.
    fn end(&self, polls: u32) {
        let short = self.short.load(Ordering::Relaxed);
        let next = if polls <= SHORT_POLLS { short.saturating_add(1) } else { 0 };
        self.short.store(next, Ordering::Relaxed);
    }
}

/// The pace of one wait: none, if it sleeps at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PaceOf<'a>(Option<&'a Pace>);

impl PaceOf<'_> {
    pub(crate) fn begin(self, messages: u64) {
        self.0.into_iter().for_each(|pace| pace.begin(messages));
    }

    pub(crate) fn end(self, polls: u32) {
        self.0.into_iter().for_each(|pace| pace.end(polls));
    }

    /// A wait that ended without what was waited for was no short one.
    pub(crate) fn lost_with<E>(self, outcome: Result<(), E>) -> Result<(), E> {
        outcome.inspect_err(|_| self.end(u32::MAX))
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    /// One that has had so many short waits, of one message each; and how many messages those were.
    fn after(waits: u32) -> (Pace, u64) {
        let pace = Pace::new();
        for wait in 0..waits {
            assert!(!pace.is_to_rest(wait.into()), "{wait}");
            pace.end(SHORT_POLLS);
        }
        (pace, waits.into())
    }

    #[test]
    fn who_finds_one_message_after_each_short_wait_rests_before_the_next() {
        let (pace, mut messages) = after(STREAM);
        for _ in 0..10 {
            assert!(pace.is_to_rest(messages));
            pace.end(0);
            messages += WORTH;
        }
    }

    #[test]
    fn one_long_wait_is_the_end_of_a_stream() {
        let (pace, messages) = after(STREAM - 1);
        pace.end(SHORT_POLLS + 1);
        for wait in 0..u64::from(STREAM) {
            assert!(!pace.is_to_rest(messages + wait));
            pace.end(1);
        }
        assert!(pace.is_to_rest(messages + u64::from(STREAM)));
    }

    #[test]
    fn a_wait_that_ran_out_of_time_was_not_short() {
        let (pace, messages) = after(STREAM);
        assert_eq!(PaceOf(Some(&pace)).lost_with(Err(())), Err(()));
        assert!(!pace.is_to_rest(messages));
        assert_eq!(PaceOf(None).lost_with::<()>(Ok(())), Ok(()));
    }

    #[test]
    fn a_rest_that_brought_less_than_it_is_worth_is_not_repeated_soon() {
        let (pace, mut messages) = after(STREAM);
        assert!(pace.is_to_rest(messages));
        pace.end(0);
        for wait in 0..WITHOUT_REST {
            messages += WORTH - 1;
            assert!(!pace.is_to_rest(messages), "{wait}");
            pace.end(0);
        }
        assert!(pace.is_to_rest(messages), "it is tried again");
    }
}
