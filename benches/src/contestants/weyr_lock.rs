//! Our locks, in a managed pool, taken by its members.

use std::path::Path;

use weyr_managed::{Pool, PoolParticipant};
use weyr_shared::lock::Lock;
use weyr_shared::{Shareable, Table};

use crate::Result;
use crate::contestants::mutual::Mutual;

/// By what a pool finds its lock.
const TYPE: u32 = 1;
const ID: u64 = 1;

/// Makes a lock in a pool.
pub(crate) fn place<L: Lock + Shareable>(pool: &Pool) -> Result<()> {
    pool.alloc_typed(size_of::<L>() as u64, TYPE, ID)?;
    Ok(())
}

/// The lock of a pool, as one process has it.
pub(crate) struct WeyrLock<L> {
    locks: Table<L>,
    me: PoolParticipant,
}

impl<L: Lock + Shareable> WeyrLock<L> {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let pool = Pool::attach_path(path)?;
        let locks = pool.find(TYPE, ID)?.atomics(0, 1)?;
        Ok(Self { locks, me: pool.participant()? })
    }
}

impl<L: Lock + Shareable> Mutual for WeyrLock<L> {
    #[inline]
    fn inside<T>(&self, act: impl FnOnce() -> T) -> Result<T> {
        let guard = self.locks[0].acquire(&self.me)?;
        let done = act();
        guard.release()?;
        Ok(done)
    }
}
