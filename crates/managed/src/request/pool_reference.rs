//! A pool that may lie on another host: identity for all, memory for those who can reach it.

use std::path::Path;

use weyr_sys::host;

use crate::{Error, Pool, PoolDescriptor};

/// A pool as its descriptor names it, attached if it lies on this host.
///
/// What a pool of another host is called can be asked, and [requests](crate::Request) on it can be made; all else needs
/// [`local`](Self::local), which says [`Error::OtherHost`] there.
///
/// ```
/// # use weyr_managed::{Error, Pool, PoolAttributes, PoolDescriptor, PoolReference, Request};
/// # let name = format!("doc-reference-{}", std::process::id());
/// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let here = PoolReference::attach(&pool.descriptor())?;
/// assert_eq!(here.local()?.uuid(), pool.uuid());
///
/// let elsewhere = PoolDescriptor { host: !pool.descriptor().host, ..pool.descriptor() };
/// let there = PoolReference::attach(&elsewhere)?;
/// assert!(!there.is_local() && there.uuid() == pool.uuid());
/// assert!(matches!(there.local(), Err(Error::OtherHost { .. })));
/// let (request, completion) = Request::allocate(there.descriptor(), 4096);
/// # let _ = (request, completion);
/// # pool.destroy()?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PoolReference {
    descriptor: PoolDescriptor,
    local: Option<Pool>,
}

impl PoolReference {
    /// Attaches the pool that `descriptor` names, if it lies on this host; else there is nothing to attach, and nothing
    /// fails.
    ///
    /// # Errors
    /// As [`Pool::attach_descriptor`], but for `OtherHost`.
    /// Source: Dragon managed memory, `dragon_memory_pool_attach`.
    pub fn attach(descriptor: &PoolDescriptor) -> Result<Self, Error> {
        let local = descriptor.is_local().then(|| Pool::attach_descriptor(descriptor)).transpose()?;
        Ok(Self { descriptor: descriptor.clone(), local })
    }

    /// [Attaches](Self::attach) the pool whose descriptor is in an environment variable, as text.
    ///
    /// # Errors
    /// As [`PoolDescriptor::from_environment`] and [`attach`](Self::attach).
    /// Source: Dragon managed memory, `dragon_memory_pool_attach_from_env`.
    pub fn attach_from_environment(variable: &str) -> Result<Self, Error> {
        Self::attach(&PoolDescriptor::from_environment(variable)?)
    }

    /// Whether it lies on this host, and so is attached.
    /// Source: Dragon managed memory, `dragon_memory_pool_is_local`.
    pub fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// The host that it lies on.
    pub fn host(&self) -> u64 {
        self.descriptor.host
    }

    /// Its random identity.
    pub fn uuid(&self) -> u128 {
        self.descriptor.uuid
    }

    /// Path of its object, on its host; empty for a pool without a name.
    pub fn file_name(&self) -> &Path {
        &self.descriptor.path
    }

    /// What it is named by, in requests and to others.
    pub fn descriptor(&self) -> &PoolDescriptor {
        &self.descriptor
    }

    /// The pool, where its memory can be reached.
    ///
    /// # Errors
    /// [`Error::OtherHost`].
    pub fn local(&self) -> Result<&Pool, Error> {
        self.local.as_ref().ok_or(Error::OtherHost { found: self.host(), expected: host::id() })
    }
}
