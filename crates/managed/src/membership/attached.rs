//! Pools that this process has attached, so that attaching one again costs no second membership.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use weyr_shared::Lender;
use weyr_sys::object::ObjectIdentity;
use weyr_sys::private_lock::PrivateLock;

use crate::PoolDescriptor;
use crate::membership::attachment::Attachment;
use crate::pool::{Handle, Pool};

/// A pool, for as long as somebody has a handle on it.
struct Attached {
    /// Beside the handle, so that handles on others are left alone: their last end is their users'.
    uuid: u128,
    handle: Weak<Handle>,
}

static ATTACHED: PrivateLock<Option<HashMap<ObjectIdentity, Attached>>> = PrivateLock::new(None);

impl Pool {
    /// The pool in the object of this identity, if this process has it attached.
    pub(crate) fn registered(identity: ObjectIdentity) -> Option<Pool> {
        let attached = ATTACHED.lock()?;
        let handle = attached.as_ref()?.get(&identity)?.handle.upgrade()?;
        Some(Pool { handle, cooperative: None })
    }

    /// The pool that `descriptor` names, if this process has it attached: also one that was destroyed since.
    pub(crate) fn attached(descriptor: &PoolDescriptor) -> Option<Pool> {
        if !descriptor.is_local() {
            return None;
        }
        let attached = ATTACHED.lock()?;
        let same = attached.as_ref()?.values().filter(|pool| pool.uuid == descriptor.uuid);
        let mut handles = same.filter_map(|pool| pool.handle.upgrade());
        // Copies of a pool have its identity.
        let handle = handles.find(|handle| handle.attachment.medium.path() == descriptor.path)?;
        Some(Pool { handle, cooperative: None })
    }

    /// Whether this process has the pool that `descriptor` names attached, and it was destroyed. False says nothing: by
    /// its name nobody can tell a pool that was destroyed from one that he cannot reach.
    #[doc(hidden)] // For channels, whose messages name other pools.
    pub fn is_known_destroyed(descriptor: &PoolDescriptor) -> bool {
        Pool::attached(descriptor).is_some_and(|pool| pool.is_destroyed())
    }

    pub(crate) fn register(attachment: Arc<Lender<Attachment>>) -> Pool {
        let identity = attachment.medium.identity(attachment.id);
        let handle = Arc::new(Handle { attachment });
        if let (Some(identity), Some(mut attached)) = (identity, ATTACHED.lock()) {
            let attached = attached.get_or_insert_default();
            attached.retain(|_, pool| pool.handle.strong_count() > 0);
            let uuid = handle.attachment.uuid;
            attached.insert(identity, Attached { uuid, handle: Arc::downgrade(&handle) });
        }
        Pool { handle, cooperative: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PoolAttributes;

    #[test]
    fn a_pool_is_found_by_its_descriptor_for_as_long_as_somebody_has_it() {
        let name = format!("test-attached-{}", std::process::id());
        let pool = Pool::create(&PoolAttributes::new(name, 1 << 20)).unwrap();
        let descriptor = pool.descriptor();
        let found = |descriptor: &PoolDescriptor| Pool::attached(descriptor).map(|pool| pool.attachment().id);
        let others = [
            PoolDescriptor { uuid: !descriptor.uuid, ..descriptor.clone() },
            PoolDescriptor { path: "/another".into(), ..descriptor.clone() },
            PoolDescriptor { host: !descriptor.host, ..descriptor.clone() },
        ];
        assert_eq!(others.each_ref().map(found), [None; 3]);
        assert_eq!(found(&descriptor), Some(pool.attachment().id));
        pool.destroy().unwrap();
        assert_eq!(found(&descriptor), Some(pool.attachment().id));
        drop(pool);
        assert_eq!(found(&descriptor), None);
    }
}
