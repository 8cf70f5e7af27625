//! What a pool's bytes lie in: an object of the kernel, or memory that somebody has already.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weyr_sys::fork;
use weyr_sys::object::{Access, Object, ObjectIdentity, unlink};

use crate::Error;
use crate::pool::creation::path_error;

/// What kind of memory a pool is made of.
///
/// Source: Dragon managed memory, `dragonMemoryPoolType_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u32)]
pub enum PoolType {
    /// Shared memory under a name: gone with the machine's next start. The default.
    #[default]
    SharedMemory = 0,
    /// A file on a disk: it outlives every process, and the machine's next start as far as it was
    /// [synced](crate::Pool::sync).
    File = 1,
    /// Memory of the creating process alone, for its threads. A forked child finds it [`Forked`](Error::Forked).
    Private = 2,
    /// Shared memory in huge pages: of a file system of them (hugetlbfs), or of a tmpfs that has them.
    HugePages = 3,
    /// Shared memory without a name, which nobody can shorten: it is handed over as a file descriptor.
    Sealed = 4,
    /// Memory that the creator had already: see [`Pool::create_in`](crate::Pool::create_in).
    Lent = 5,
}

impl PoolType {
    /// All of them.
    pub const ALL: [PoolType; 6] =
        [Self::SharedMemory, Self::File, Self::Private, Self::HugePages, Self::Sealed, Self::Lent];

    /// As a person writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SharedMemory => "shared-memory",
            Self::File => "file",
            Self::Private => "private",
            Self::HugePages => "huge-pages",
            Self::Sealed => "sealed",
            Self::Lent => "lent",
        }
    }

    /// Whether it is an object with a name.
    pub const fn is_named(self) -> bool {
        matches!(self, Self::SharedMemory | Self::File | Self::HugePages)
    }

    pub(crate) fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

/// The object or memory of an attached pool.
#[derive(Debug)]
pub(crate) struct Medium {
    pub(crate) kind: PoolType,
    object: Option<Arc<Object>>,
    /// Empty without a name.
    path: PathBuf,
    access: Access,
    /// The process life that created it, for memory that is nobody else's.
    nonce: u64,
}

impl Medium {
    /// An object; `path` is empty when it has no name.
    pub(crate) fn of_object(kind: PoolType, object: Arc<Object>, path: PathBuf, access: Access) -> Self {
        Self { kind, object: Some(object), path, access, nonce: 0 }
    }

    /// Memory without an object.
    pub(crate) fn of_memory(kind: PoolType, access: Access) -> Self {
        Self { kind, object: None, path: PathBuf::new(), access, nonce: fork::nonce() }
    }

    pub(crate) fn object(&self) -> Option<&Arc<Object>> {
        self.object.as_ref()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where its object lies, for people.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Tells it apart from all others that this process has attached; `id` is the attachment's.
    pub(crate) fn identity(&self, id: u64) -> Option<ObjectIdentity> {
        match &self.object {
            Some(object) => object.identity().ok(),
            // No file system has that number.
            None => Some(ObjectIdentity { device: u64::MAX, inode: id }),
        }
    }

    /// Whether it is mapped for writing.
    pub(crate) fn is_writable(&self) -> bool {
        self.access == Access::ReadWrite
    }

    /// Whether this life of the process can use it: a forked child has a copy of private memory.
    pub(crate) fn is_here(&self) -> bool {
        self.kind != PoolType::Private || self.nonce == fork::nonce()
    }

    /// Makes the object long enough; memory is, as far as it is there.
    pub(crate) fn extend(&self, bytes: u64) -> Result<(), weyr_sys::Errno> {
        self.object.as_ref().map_or(Ok(()), |object| object.extend(whole_pages(object, bytes)))
    }

    /// Removes the name if it is still this object's.
    pub(crate) fn unlink(&self, name: &str) -> Result<(), Error> {
        let Some(own) = self.object.as_ref().filter(|_| !self.path.as_os_str().is_empty()) else {
            return Ok(());
        };
        let same = Object::open(&self.path, Access::ReadOnly);
        let same = same.and_then(|object| object.identity());
        if same.is_err() || same != own.identity() {
            return Ok(());
        }
        unlink(&self.path).map_err(|errno| path_error(&self.path, name, errno))
    }
}

/// `bytes`, rounded up to pages of `object`.
pub(crate) fn whole_pages(object: &Object, bytes: u64) -> u64 {
    bytes.next_multiple_of(object.page_size() as u64)
}
