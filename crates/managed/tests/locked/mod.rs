//! A lock in a pool, and two words that it protects: the same, unless an owner died between them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use weyr_atomic::{AtomicU64, Ordering};
use weyr_managed::{Pool, PoolParticipant, Published};
use weyr_shared::lock::{FifoLiteLock, FifoLock, GreedyLock, Guard, Lock, LockError, Queued};
use weyr_shared::{Shareable, Table};

/// Bytes of the block in which they lie.
pub(crate) const BYTES: u64 = 4096 + 64;

/// A kind of lock, of which a look tells whether somebody waits.
pub(crate) trait Kind: Lock + Shareable {
    fn is_waited_for(&self) -> bool;
}

impl Kind for GreedyLock {
    fn is_waited_for(&self) -> bool {
        self.waiters.load(Ordering::SeqCst) & 1 == 1
    }
}

impl Kind for FifoLock {
    fn is_waited_for(&self) -> bool {
        self.waiters() > 0
    }
}

impl Kind for FifoLiteLock {
    fn is_waited_for(&self) -> bool {
        self.waiters() > 0
    }
}

/// Names a kind where a name and a kind go together.
pub(crate) fn kind<L: Kind>() -> PhantomData<L> {
    PhantomData
}

/// The lock and what it protects, as one process has them.
pub(crate) struct Locked<L> {
    pub(crate) pool: Pool,
    locks: Table<L>,
    words: Table<AtomicU64>,
    pub(crate) me: PoolParticipant,
}

impl<L: Kind> Locked<L> {
    pub(crate) fn of(pool: Pool, published: &Published) -> Self {
        let (locks, words) = (published.atomics(0, 1).unwrap(), published.atomics(4096, 2).unwrap());
        let me = pool.participant().unwrap();
        Self { pool, locks, words, me }
    }

    pub(crate) fn lock(&self) -> &L {
        &self.locks[0]
    }

    pub(crate) fn words(&self) -> (u64, u64) {
        (self.words[0].load(Ordering::SeqCst), self.words[1].load(Ordering::SeqCst))
    }

    /// Adds one to each word, inside.
    pub(crate) fn use_once(&self) {
        self.change(self.lock().acquire(&self.me).unwrap());
    }

    /// Puts right what a death left, if it says so, and adds one to each word.
    pub(crate) fn change(&self, mut guard: Guard<'_, L, PoolParticipant>) {
        let (first, second) = self.words();
        if guard.owner_died() {
            self.words[1].store(first, Ordering::SeqCst);
            guard.mark_consistent();
        } else {
            assert_eq!(first, second, "a death that nobody was told of");
        }
        self.words[0].store(first + 1, Ordering::SeqCst);
        self.words[1].store(first + 1, Ordering::SeqCst);
        guard.release().unwrap();
    }

    /// Somebody stands still somewhere. Only as the owner it is in the way.
    pub(crate) fn use_beside(&self) {
        let soon = Instant::now() + Duration::from_millis(1);
        match self.lock().try_acquire(&self.me) {
            Ok(guard) => self.change(guard),
            Err(LockError::Busy) if self.lock().owner().is_none() => self.use_once(),
            // Another than the one that stands still may release it just now.
            Err(LockError::Busy) => match self.lock().acquire_until(&self.me, soon) {
                Ok(guard) => self.change(guard),
                Err(error) => assert_eq!(error, LockError::Timeout),
            },
            Err(error) => panic!("{error}"),
        }
    }

    /// Nobody else is there any more: before the pool is recovered, and behind it.
    pub(crate) fn settle(&self) {
        self.use_once();
        self.lock().recover(&self.me).unwrap();
        self.pool.recover();
        self.use_once();
        let (first, second) = self.words();
        assert_eq!((first, self.lock().owner(), self.lock().verify()), (second, None, vec![]));
        assert_eq!((self.pool.members().len(), self.lock().recover(&self.me)), (1, Ok(0)));
    }
}
