//! The other pools whose memory messages brought this process.
//!
//! A kept pool is attached as any other: it costs this process a membership of it and its mapping, and so a pool that is
//! destroyed meanwhile keeps its memory until the channel's next look, or its end. Only a pool that was *seen* destroyed is
//! gone. A name that is not there says nothing: destroying a pool takes its name away, but so does whoever unlinks it, and
//! other mount namespaces have other names.

use std::fmt;

use weyr_managed::{Pool, PoolDescriptor};
use weyr_sys::private_lock::PrivateLock;

use crate::Error;

/// Pools that a channel keeps attached for the messages to come.
const KEPT_POOLS: usize = 8;
/// Destroyed pools that a channel remembers, for the messages that still name them.
const REMEMBERED_POOLS: usize = 64;

/// Pools of memory that messages brought, attached by this process for a channel.
pub(crate) struct ForeignPools(PrivateLock<Known>);

/// Both with the last used first.
struct Known {
    attached: Vec<Pool>,
    destroyed: Vec<PoolDescriptor>,
}

impl Known {
    /// # Errors
    /// [`Error::MemoryGone`].
    fn find(&mut self, descriptor: &PoolDescriptor) -> Result<Option<Pool>, Error> {
        for pool in self.attached.extract_if(.., |pool| pool.is_destroyed()) {
            self.destroyed.insert(0, pool.descriptor());
        }
        self.destroyed.truncate(REMEMBERED_POOLS);
        if self.destroyed.contains(descriptor) {
            return Err(Error::MemoryGone);
        }
        let is_it = |pool: &Pool| pool.uuid() == descriptor.uuid && pool.path() == descriptor.path;
        let Some(at) = self.attached.iter().position(is_it) else { return Ok(None) };
        self.attached[..=at].rotate_right(1);
        Ok(self.attached.first().cloned())
    }

    fn keep(&mut self, pool: &Pool) {
        self.attached.truncate(KEPT_POOLS - 1);
        self.attached.insert(0, pool.clone());
    }
}

impl ForeignPools {
    pub(crate) const fn new() -> Self {
        Self(PrivateLock::new(Known { attached: Vec::new(), destroyed: Vec::new() }))
    }

    /// # Errors
    /// [`Error::MemoryGone`], [`Error::MemoryUnreachable`].
    pub(crate) fn find(&self, descriptor: &PoolDescriptor) -> Result<Pool, Error> {
        // None where a parent's thread has the list: then nothing is kept.
        if let Some(mut known) = self.0.lock()
            && let Some(found) = known.find(descriptor)?
        {
            return Ok(found);
        }
        let found = attach(descriptor);
        if let Some(mut known) = self.0.lock() {
            match &found {
                Ok(pool) => known.keep(pool),
                Err(Error::MemoryGone) => known.destroyed.insert(0, descriptor.clone()),
                Err(_) => {}
            }
        }
        found
    }
}

fn attach(descriptor: &PoolDescriptor) -> Result<Pool, Error> {
    match Pool::attach_descriptor(descriptor) {
        Ok(pool) if !pool.is_destroyed() => Ok(pool),
        Ok(_) | Err(weyr_managed::Error::Destroyed) => Err(Error::MemoryGone),
        Err(_) if Pool::is_known_destroyed(descriptor) => Err(Error::MemoryGone),
        Err(error) => Err(Error::MemoryUnreachable(Box::new(error))),
    }
}

impl fmt::Debug for ForeignPools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignPools")
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;
    use weyr_managed::PoolAttributes;

    fn pool(test: &str, number: usize) -> Pool {
        let name = format!("foreign-pools-{test}-{}-{number}", std::process::id());
        Pool::create(&PoolAttributes::new(name, 64 << 10)).unwrap()
    }

    #[test]
    fn the_pool_that_was_used_longest_ago_is_forgotten_first() {
        let (all, known) =
            (Vec::from_iter((0..=KEPT_POOLS).map(|number| pool("order", number))), ForeignPools::new());
        let find = |number: usize| drop(known.find(&all[number].descriptor()).unwrap());
        (0..KEPT_POOLS).for_each(find);
        find(0);
        find(KEPT_POOLS);
        let kept = known.0.lock().unwrap().attached.iter().map(Pool::uuid).collect::<Vec<_>>();
        assert_eq!(kept.len(), KEPT_POOLS);
        assert_eq!(kept[..2], [all[KEPT_POOLS].uuid(), all[0].uuid()]);
        assert!(!kept.contains(&all[1].uuid()));
        all.iter().for_each(|pool| pool.destroy().unwrap());
    }

    #[test]
    fn a_pool_that_was_seen_destroyed_is_gone_for_every_later_message() {
        let (pool, known) = (pool("gone", 0), ForeignPools::new());
        let descriptor = pool.descriptor();
        known.find(&descriptor).unwrap();
        pool.destroy().unwrap();
        drop(pool);
        (0..2).for_each(|_| assert_eq!(known.find(&descriptor).err(), Some(Error::MemoryGone)));
        assert!(known.0.lock().unwrap().attached.is_empty(), "its memory is not kept");
        // Of one that it never had, it can only say that it cannot be reached.
        assert!(matches!(ForeignPools::new().find(&descriptor), Err(Error::MemoryUnreachable(_))));
    }
}
