//! A member of a pool as one that takes locks.

use weyr_shared::lock::Participant;
use weyr_shared::{Actor, KernelFutex};
use weyr_sys::fork;

use crate::heap::Liveness as _;
use crate::heap::word::SlotState;
use crate::{Error, Pool};

/// This process, as a member of a pool, under the name by which locks know it. Keeps the pool attached.
///
/// Who left the pool is gone for the locks as well: release them before.
#[derive(Debug, Clone)]
pub struct PoolParticipant {
    pool: Pool,
    actor: Actor,
    /// Which life of which process the name belongs to.
    nonce: u64,
}

impl Pool {
    /// What this process takes locks with that lie in the pool, or in any memory that all members share.
    ///
    /// # Errors
    /// As [`actor`](Self::actor).
    ///
    /// ```
    /// use weyr_managed::{Pool, PoolAttributes};
    /// use weyr_shared::lock::{FifoLiteLock, Lock};
    ///
    /// # let name = format!("doc-participant-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let mut memory = pool.alloc(size_of::<FifoLiteLock>() as u64)?;
    /// memory.fill(0)?; // a free lock is all zero
    /// let published = memory.publish()?; // whoever opens it finds the lock
    /// let lock = &published.atomics::<FifoLiteLock>(0, 1)?[0];
    ///
    /// let me = pool.participant()?;
    /// let guard = lock.acquire(&me)?;
    /// assert!(!guard.owner_died());
    /// assert_eq!(lock.owner(), Some(pool.actor()?));
    /// drop(guard);
    /// # drop(me);
    /// published.free()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn participant(&self) -> Result<PoolParticipant, Error> {
        Ok(PoolParticipant { pool: self.clone(), actor: self.actor()?, nonce: fork::nonce() })
    }
}

impl PoolParticipant {
    /// The pool of which it is a member.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Participant for PoolParticipant {
    type Futex = KernelFutex;

    #[inline]
    fn me(&self) -> Option<Actor> {
        (self.nonce == fork::nonce()).then_some(self.actor)
    }

    /// Dead, recovered, or has left: a name never returns. One that is no member's name is not known to be dead.
    fn is_dead(&self, other: Actor) -> bool {
        let attachment = self.pool.attachment();
        if usize::from(other.process) >= attachment.heap.processes.len() {
            return false;
        }
        let word = attachment.heap.process_word(other.process);
        match word.state() {
            SlotState::Free | SlotState::Recovering => true,
            SlotState::Active if word.epoch() != other.epoch => true,
            SlotState::Active => attachment.liveness().process_is_dead(other.process, word),
            SlotState::Unknown => false,
        }
    }

    fn futex(&self) -> &KernelFutex {
        &KernelFutex
    }
}
