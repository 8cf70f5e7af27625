//! A lock among the threads of one process that a forked child does not wait for.
//!
//! A child of fork(2) has one thread, and finds a lock that another thread of its parent had at that instant taken for
//! ever. The idea: a word says in which life of the process the lock is known to be free or in the hands of a thread that
//! is there ([`fork::nonce`]). Only in that life it is waited for.

use std::sync::{Mutex, MutexGuard};

use crate::fork;
use crate::private_word::PrivateWord;

/// What the threads of a process share, in a static.
pub struct PrivateLock<T> {
    value: Mutex<T>,
    /// 0: nobody had it yet. Else the life of the process that can wait for it.
    life: PrivateWord,
}

impl<T> PrivateLock<T> {
    /// A lock that nobody has.
    pub const fn new(value: T) -> Self {
        Self { value: Mutex::new(value), life: PrivateWord::new(0) }
    }

    /// Waits for the other threads of this process that have it.
    ///
    /// None where a thread of the parent had it when this process was forked, and when a thread panicked with it.
    pub fn lock(&self) -> Option<MutexGuard<'_, T>> {
        let life = fork::nonce();
        // Before the lock is taken for the first time, so that no child can find it taken and the word 0.
        if self.life.exchange(0, life).is_ok() || self.life.load() == life {
            return self.value.lock().ok();
        }
        let guard = self.value.try_lock().ok()?;
        self.life.store(life);
        Some(guard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_wait_for_each_other() {
        let lock = PrivateLock::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| *lock.lock().expect("one process") += 1));
            }
        });
        assert_eq!(*lock.lock().expect("one process"), 4000);
    }

    #[test]
    fn a_lock_of_another_life_is_waited_for_only_once_it_was_found_free() {
        let lock = PrivateLock::new(1);
        let held = lock.lock().expect("nobody has it");
        // As a forked child finds it: with another nonce, and taken by nobody that is there.
        lock.life.store(fork::nonce() ^ 1);
        assert!(lock.lock().is_none());
        drop(held);
        assert_eq!(lock.lock().as_deref(), Some(&1));
        assert_eq!(lock.life.load(), fork::nonce());
    }
}
