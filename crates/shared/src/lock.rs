//! Locks that processes share, and that outlive their owners.
//!
//! A lock is a structure in shared memory, position independent, of which all bytes zero are a free one. Who takes it
//! is a [`Participant`]: a name for the words, and the means to ask whether another is alive and to sleep. The kinds:
//!
//! | kind | bytes | who is next |
//! | --- | ---: | --- |
//! | [`GreedyLock`] | 16 | whoever comes first |
//! | [`FifoLiteLock`] | 384 | who has waited longest, of 15 |
//! | [`FifoLock`] | 4096 | who has waited longest, of 63, each on a cache line of its own |
//!
//! Whoever dies, at any instruction, the others go on. The next owner of a lock whose owner died is told
//! ([`Guard::owner_died`]), and so is each one after it until one says that what is protected is whole again
//! ([`Guard::mark_consistent`]). A waiter that died is skipped. Deaths are proven by [`Participant::is_dead`], never by
//! the clock. What is guaranteed of one that is *stopped* is this: as the owner it is waited for, as long as deadlines
//! allow; anywhere else nobody waits for it longer than a sleep of 10 ms, or than its deadline allows from 1 ms on.
//!
//! The argument, step by step, is in `docs/locks.md`.
//!
//! What they do not do: a thread that takes a lock twice waits for itself, there are no shared (reader) owners, and no
//! priorities are inherited. A panic is no death: it drops the guard.

mod fifo;
mod fifo_lite;
mod greedy;
mod guard;
pub(crate) mod patience;
#[doc(hidden)]
pub mod queue;
#[doc(hidden)]
pub mod word;

use std::time::Instant;

use weyr_atomic::{AtomicU64, Ordering};

pub use fifo::{FifoLock, FifoPlace};
pub use fifo_lite::{FifoLiteLock, FifoLitePlace};
pub use greedy::GreedyLock;
pub use guard::{Guard, Held};
pub use patience::Until;

use crate::{Actor, Corrupt, Futex};
use queue::{Place, Queue};
use word::{OwnerState, OwnerWord};

/// One that takes locks: its name in their words, and what it knows of the others.
///
/// Members of a managed pool have one at hand (`Pool::participant`). One of one's own, for threads of one process:
///
/// ```
/// use weyr_shared::lock::{GreedyLock, Lock, Participant};
/// use weyr_shared::{Actor, KernelFutex, Zeroed};
///
/// struct Thread(u16);
///
/// impl Participant for Thread {
///     type Futex = KernelFutex;
///     fn me(&self) -> Option<Actor> {
///         Some(Actor { process: self.0, epoch: 0 })
///     }
///     fn is_dead(&self, _: Actor) -> bool {
///         false // a thread does not die alone
///     }
///     fn futex(&self) -> &KernelFutex {
///         &KernelFutex
///     }
/// }
///
/// let lock = GreedyLock::zeroed();
/// let guard = lock.acquire(&Thread(1))?;
/// assert!(lock.try_acquire(&Thread(2)).is_err());
/// drop(guard);
/// assert!(lock.try_acquire(&Thread(2)).is_ok());
/// # Ok::<(), weyr_shared::lock::LockError>(())
/// ```
pub trait Participant {
    /// How it sleeps.
    type Futex: Futex;

    /// Its name: the same as long as it has a lock or waits for one, and never another's, not even after its death. None in
    /// a process that was forked from the one whose name it is. Asked at each acquire and release.
    fn me(&self) -> Option<Actor>;

    /// Whether that participant is no more, for certain and for good. False where it cannot be known. May ask the
    /// kernel; does not wait. Not asked as long as a lock changes hands.
    fn is_dead(&self, other: Actor) -> bool;

    /// The futex on which its waiting sleeps. Neither this nor the questions above may panic while it waits.
    fn futex(&self) -> &Self::Futex;

    /// What time it is, for deadlines.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// For models: what this participant remembers is said by the numbers.
    #[doc(hidden)]
    fn at_step(&self, _: &[u64]) {}
}

/// Why a lock was not acquired. The caller has nothing then, and waits nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Somebody has the lock, or it is on its way to one who waits.
    #[error("somebody has the lock; try again, or wait for it")]
    Busy,
    /// The deadline has passed.
    #[error("the deadline passed while somebody had the lock; its holder may be stopped")]
    Timeout,
    /// This process was forked from the one that the participant names.
    #[error("the participant is that of the parent process; attach anew in the forked child")]
    Forked,
    /// A word of the lock holds what nobody writes there.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// A lock in shared memory.
///
/// ```
/// # use weyr_shared::{Actor, KernelFutex, Zeroed};
/// # use weyr_shared::lock::Participant;
/// # struct Thread(u16);
/// # impl Participant for Thread {
/// #     type Futex = KernelFutex;
/// #     fn me(&self) -> Option<Actor> { Some(Actor { process: self.0, epoch: 0 }) }
/// #     fn is_dead(&self, other: Actor) -> bool { other.process == 1 }
/// #     fn futex(&self) -> &KernelFutex { &KernelFutex }
/// # }
/// use weyr_shared::lock::{FifoLock, Lock};
///
/// # let (dead, alive) = (Thread(1), Thread(2));
/// let lock = FifoLock::zeroed();
/// std::mem::forget(lock.acquire(&dead)?); // its owner dies
///
/// let mut guard = lock.acquire(&alive)?;
/// assert!(guard.owner_died());
/// // ... puts right what the lock protects, and says so:
/// guard.mark_consistent();
/// drop(guard);
/// assert!(!lock.acquire(&alive)?.owner_died());
/// # Ok::<(), weyr_shared::lock::LockError>(())
/// ```
pub trait Lock: Sized {
    /// Acquires the lock, and waits for it as long as it takes.
    ///
    /// # Errors
    /// [`LockError::Forked`], [`LockError::Corrupt`].
    /// Source: Dragon, `dragon_lock`.
    #[inline]
    fn acquire<'l, P: Participant>(&'l self, by: &'l P) -> Result<Guard<'l, Self, P>, LockError> {
        Ok(Guard::new(self, by, self.take(by, Until::Forever)?))
    }

    /// Acquires the lock, and waits for it until `deadline`.
    ///
    /// A deadline in the past is a try, but one that waiters before this one come before.
    ///
    /// # Errors
    /// [`LockError::Timeout`]; as [`acquire`](Self::acquire).
    fn acquire_until<'l, P: Participant>(
        &'l self,
        by: &'l P,
        deadline: Instant,
    ) -> Result<Guard<'l, Self, P>, LockError> {
        Ok(Guard::new(self, by, self.take(by, Until::At(deadline))?))
    }

    /// Acquires the lock if it is nobody's: free, or its owner dead, and nobody waits. Does not wait; asks whether the
    /// owner is alive.
    ///
    /// # Errors
    /// [`LockError::Busy`]; as [`acquire`](Self::acquire).
    /// Source: Dragon, `dragon_try_lock`.
    #[inline]
    fn try_acquire<'l, P: Participant>(&'l self, by: &'l P) -> Result<Guard<'l, Self, P>, LockError> {
        Ok(Guard::new(self, by, self.take(by, Until::Now)?))
    }

    /// Who has the lock in this instant.
    fn owner(&self) -> Option<Actor> {
        match OwnerWord(self.owner_word().load(Ordering::Acquire)).state() {
            OwnerState::Held(owner) => Some(owner),
            OwnerState::Free | OwnerState::Handed(..) | OwnerState::Unknown => None,
        }
    }

    /// Puts right what the dead have left in the words, as whoever waits does in passing, and gives the lock to one who
    /// waits if it is nobody's. Returns how many words named the dead. Does not wait.
    ///
    /// # Errors
    /// [`LockError::Corrupt`].
    fn recover(&self, by: &impl Participant) -> Result<u32, LockError>;

    /// What is wrong with the words: each that nobody writes, with its place (0: the lock's own word; else the index of
    /// one who waits). Empty for a lock that is sound, whoever is in the middle of what, or died there. Does not block.
    fn verify(&self) -> Vec<Corrupt>;

    /// The word that says whose the lock is.
    #[doc(hidden)]
    fn owner_word(&self) -> &AtomicU64;

    /// Acquires it.
    #[doc(hidden)]
    fn take(&self, by: &impl Participant, until: Until) -> Result<Held, LockError>;

    /// Releases what [`take`](Self::take) gave.
    #[doc(hidden)]
    fn give_back(&self, by: &impl Participant, held: Held) -> Result<(), Corrupt>;
}

/// A lock with a queue: how many wait can be seen.
pub trait Queued {
    /// A place in its queue.
    #[doc(hidden)]
    type Place: Place;

    /// Its words.
    #[doc(hidden)]
    fn queue(&self) -> Queue<'_, Self::Place>;

    /// How many wait in order, in this instant.
    fn waiters(&self) -> usize {
        self.queue().waiters()
    }
}

impl<L: Queued> Lock for L {
    fn owner_word(&self) -> &AtomicU64 {
        self.queue().owner
    }

    #[inline]
    fn take(&self, by: &impl Participant, until: Until) -> Result<Held, LockError> {
        self.queue().take(by, until)
    }

    #[inline]
    fn give_back(&self, by: &impl Participant, held: Held) -> Result<(), Corrupt> {
        self.queue().give_back(by, held)
    }

    fn recover(&self, by: &impl Participant) -> Result<u32, LockError> {
        self.queue().recover(by)
    }

    fn verify(&self) -> Vec<Corrupt> {
        self.queue().verify()
    }
}

/// The owner word is none.
fn owner_corrupt() -> Corrupt {
    Corrupt::new("owner word of a lock", 0)
}
