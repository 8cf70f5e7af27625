//! Where shared bytes live: a named file or shm object, or a memfd. Source: open(2), memfd_create(2), fallocate(2).
//!
//! An object has a length and holes: bytes that exist but have no memory behind them yet. [`Object::back`] gives a
//! range memory before anybody touches it, so that a full file system is an error here and not SIGBUS there.
//!
//! What it does not do: it neither maps (see [`mapping`](crate::mapping)) nor writes.

mod backing;
mod stored;
mod unpublished;

pub use unpublished::{TEMPORARY_PREFIX, Unpublished};

use rustix::fs::{FileType, Gid, MemfdFlags, Mode, OFlags, SealFlags, Stat, Uid};
use rustix::io::{Errno, retry_on_intr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

/// What a process may do with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Look at its bytes.
    ReadOnly,
    /// Look at them, change them and change its length.
    ReadWrite,
}

impl Access {
    fn open_flags(self) -> OFlags {
        match self {
            Access::ReadOnly => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        }
    }
}

/// A named file, shm object or memfd, held open. The descriptor is not inherited by programs that this one starts.
#[derive(Debug)]
pub struct Object {
    descriptor: OwnedFd,
    /// The name by which it was opened, which may be another object's by now.
    path: Option<Box<Path>>,
    /// Never changes; asked for once.
    identity: OnceLock<ObjectIdentity>,
    /// Never changes; asked for once.
    page_size: OnceLock<usize>,
}

/// Which object it is, whatever its name, as long as somebody has it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectIdentity {
    /// Number of the file system.
    pub device: u64,
    /// Number of the file in it.
    pub inode: u64,
}

/// What the kernel knows of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its owner.
    pub user_id: u32,
    /// Its group.
    pub group_id: u32,
    /// Its rights: the nine bits of chmod(1), and the three above them.
    pub mode: u32,
    /// Its length in bytes, holes included.
    pub len_bytes: u64,
    /// Bytes of memory or disk behind it.
    pub allocated_bytes: u64,
    /// Names that it has; 0: unlinked, or a memfd.
    pub names: u64,
}

impl Object {
    /// Creates an empty object named `path`, with exactly the rights `mode` (nine bits, whatever the umask is), open
    /// for reading and writing.
    ///
    /// # Errors
    /// `EXIST`: the name is taken, by a symbolic link too. `NOENT`: no such directory. `ACCESS`: the directory may not
    /// be written to. `NOSPC`: no room for a name. `NAMETOOLONG`. After an error there is no such name, unless
    /// somebody else made it.
    pub fn create(path: &Path, mode: u32) -> Result<Object, Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let descriptor = retry_on_intr(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR))?;
        let object = Object { path: Some(path.into()), ..descriptor.into() };
        match object.set_mode(mode) {
            Ok(()) => Ok(object),
            Err(error) => unlink(path).and(Err(error)),
        }
    }

    /// Opens the object named `path`.
    ///
    /// # Errors
    /// `NOENT`: no such name. `ACCESS`: its rights do not allow `access`. `LOOP`: it is a symbolic link. `INVAL`: it is
    /// no regular file; `ISDIR`: it is a directory. `NFILE`, `MFILE`: too many open files.
    pub fn open(path: &Path, access: Access) -> Result<Object, Errno> {
        // NONBLOCK: a named pipe is refused below, not waited for.
        let careful = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let descriptor =
            retry_on_intr(|| rustix::fs::open(path, access.open_flags() | careful, Mode::empty()))?;
        let status = rustix::fs::fstat(&descriptor)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => {
                let identity = OnceLock::from(identity_in(&status));
                Ok(Object { descriptor, path: Some(path.into()), identity, page_size: page_size_in(&status) })
            }
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }

    /// Creates an empty memfd: an object that lives as long as somebody has it open or mapped, and has no name but a
    /// label for people. It can be sealed, and (Linux 6.3) not executed.
    ///
    /// # Errors
    /// `INVAL`: `name` is longer than 249 bytes or holds a zero byte. `NFILE`, `MFILE`, `NOMEM`: out of descriptors or
    /// memory.
    pub fn memory(name: &str) -> Result<Object, Errno> {
        let sealable = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = match rustix::fs::memfd_create(name, sealable | MemfdFlags::NOEXEC_SEAL) {
            Err(Errno::INVAL) => rustix::fs::memfd_create(name, sealable),
            answer => answer,
        }?;
        Ok(descriptor.into())
    }

    /// Seals a memfd against being shortened, by anybody and for ever; unless `growable`, against growing too. After
    /// that, no process can raise SIGBUS in another by truncating it. Repeating it is harmless.
    ///
    /// # Errors
    /// `INVAL`: it is not a memfd. `PERM`: it is sealed against more seals, or was opened read-only.
    pub fn seal_size(&self, growable: bool) -> Result<(), Errno> {
        let seals = if growable { SealFlags::SHRINK } else { SealFlags::SHRINK | SealFlags::GROW };
        rustix::fs::fcntl_add_seals(&self.descriptor, seals)
    }

    /// Length in bytes, holes included.
    ///
    /// # Errors
    /// What fstat(2) answers.
    #[expect(clippy::len_without_is_empty, reason = "the length is a question to the kernel that may fail")]
    pub fn len(&self) -> Result<u64, Errno> {
        rustix::fs::fstat(&self.descriptor).map(|status| status.st_size.unsigned_abs())
    }

    /// Sets the length in bytes. New bytes are a hole that reads as zero. Shortening takes the bytes away from
    /// everybody: who touches them then gets SIGBUS.
    ///
    /// # Errors
    /// `PERM`: it is sealed. `INVAL`: opened read-only. `FBIG`: more than the file system or `RLIMIT_FSIZE` allows.
    /// `NOSPC`, `DQUOT`: no room. The length is as before.
    pub fn set_len(&self, len_bytes: u64) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::ftruncate(&self.descriptor, len_bytes))
    }

    /// Puts memory or disk behind the bytes from `offset` on, `len` of them, so that touching them cannot fail for
    /// lack of room. Bytes keep their values and the length stays. Blocks while memory is allocated (about 0.5 ms
    /// for 2 MiB of tmpfs); signals only make it begin again with smaller steps.
    ///
    /// On a file system without fallocate(2) nothing can be reserved without racing against those who write: there
    /// it only checks that as many bytes are free now, which is a guess and no promise.
    ///
    /// # Errors
    /// `NOSPC`, `DQUOT`: not enough room; some of the range may be backed. `INVAL`: the range reaches beyond the
    /// object's length. `BADF`: opened read-only. `PERM`: sealed against writing.
    pub fn back(&self, offset: u64, len: u64) -> Result<(), Errno> {
        backing::back(self, offset, len)
    }

    /// Makes the object at least `len_bytes` long; never shorter, whoever else does the same at the same time. One page
    /// at the new end is backed, the rest is a hole.
    ///
    /// # Errors
    /// `NOSPC`: no room for that page. `OPNOTSUPP`: the file system has no fallocate(2), so it cannot be done without
    /// racing. `FBIG`, `PERM`: no file may be so long, or it is sealed.
    pub fn extend(&self, len_bytes: u64) -> Result<(), Errno> {
        backing::extend(self, len_bytes)
    }

    /// Gives memory or disk behind `len` bytes from `offset` on back: they are a hole and read as zero. Only whole
    /// pages become a hole; the rest is written with zeros. The length stays.
    ///
    /// # Errors
    /// `OPNOTSUPP`: the file system cannot; nothing has changed. `INVAL`: the range reaches beyond the length.
    /// `BADF`: opened read-only. `PERM`: sealed against writing.
    pub fn punch(&self, offset: u64, len: u64) -> Result<(), Errno> {
        backing::punch(self, offset, len)
    }

    /// Copies from `offset` into the start of `bytes`, up to the object's end, and returns how many bytes there were.
    /// Holes read as zero and stay holes.
    ///
    /// # Errors
    /// What pread(2) answers.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        stored::read_at(self, offset, bytes)
    }

    /// Writes all of `bytes` from `offset` on, making the object longer where they end behind it.
    ///
    /// # Errors
    /// `NOSPC`, `DQUOT`: no room. `INVAL`: a file system of huge pages, which are written through mappings alone. `BADF`:
    /// opened read-only. Some of it may be written.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        stored::write_at(self, offset, bytes)
    }

    /// The first bytes at or behind `offset` that have memory or disk behind them, as far as the file system tells;
    /// none when there is a hole up to the end.
    ///
    /// # Errors
    /// What lseek(2) answers.
    pub fn next_stored(&self, offset: u64) -> Result<Option<Range<u64>>, Errno> {
        stored::next_stored(self, offset)
    }

    /// Which object this is: two descriptors of one object give the same answer.
    ///
    /// # Errors
    /// What fstat(2) answers.
    pub fn identity(&self) -> Result<ObjectIdentity, Errno> {
        if let Some(identity) = self.identity.get() {
            return Ok(*identity);
        }
        let identity = identity_in(&rustix::fs::fstat(&self.descriptor)?);
        Ok(*self.identity.get_or_init(|| identity))
    }

    /// Bytes of a page of it: what its length and every mapping of it are a multiple of. More than
    /// [`mapping::page_size`](crate::mapping::page_size) on a file system of huge pages alone (hugetlbfs), where a page
    /// is there as a whole or not at all.
    pub fn page_size(&self) -> usize {
        *self.page_size.get_or_init(|| huge_page_size(self).unwrap_or(crate::mapping::page_size()))
    }

    /// Whether the file system takes huge pages for it where it can, though it counts in ordinary ones: a tmpfs that was
    /// mounted with `huge=`. Source: Linux, Documentation/admin-guide/mm/transhuge.rst.
    pub fn is_huge_by_default(&self) -> bool {
        let block = rustix::fs::fstat(&self.descriptor).map_or(0, |status| status.st_blksize);
        usize::try_from(block).is_ok_and(|bytes| bytes >= HUGE_PAGE_BYTES)
    }

    /// Gives it to another user, another group, or both.
    ///
    /// # Errors
    /// `PERM`: this user may not give it away. It is as it was.
    pub fn set_owner(&self, user: Option<u32>, group: Option<u32>) -> Result<(), Errno> {
        let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
        rustix::fs::fchown(&self.descriptor, user, group)
    }

    /// Waits until what was written, through mappings too, is on the disk, if the object lies on one.
    ///
    /// # Errors
    /// What fsync(2) answers: `IO`, `NOSPC`, `DQUOT`; some of it may not be there.
    pub fn sync(&self) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::fsync(&self.descriptor))
    }

    /// Owner, rights, length and names.
    ///
    /// # Errors
    /// What fstat(2) answers.
    pub fn metadata(&self) -> Result<Metadata, Errno> {
        // st_blocks counts 512 bytes, whatever the block of the file system is.
        const BLOCK_BYTES: u64 = 512;
        let status = rustix::fs::fstat(&self.descriptor)?;
        Ok(Metadata {
            user_id: status.st_uid,
            group_id: status.st_gid,
            mode: status.st_mode & 0o7777,
            len_bytes: status.st_size.unsigned_abs(),
            allocated_bytes: status.st_blocks.unsigned_abs() * BLOCK_BYTES,
            names: u64::from(status.st_nlink as u32),
        })
    }

    /// Sets the rights to exactly `mode`.
    ///
    /// # Errors
    /// `PERM`: it is not this user's.
    pub fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        rustix::fs::fchmod(&self.descriptor, Mode::from_raw_mode(mode))
    }

    /// Opens the same object again: a new open file description, with locks and an access of its own. Works without
    /// a name.
    ///
    /// # Errors
    /// `NOENT`: `/proc` is not mounted. `ACCESS`: the object's rights do not allow `access`. `NFILE`, `MFILE`: too many
    /// open files.
    pub fn reopen(&self, access: Access) -> Result<Object, Errno> {
        if let Some(again) = self.reopen_by_name(access) {
            return Ok(again);
        }
        let path = self.path_of_descriptor();
        let flags = access.open_flags() | OFlags::CLOEXEC;
        let descriptor = retry_on_intr(|| rustix::fs::open(&path, flags, Mode::empty()))?;
        let (path, identity) = (self.path.clone(), self.identity.clone());
        Ok(Object { descriptor, path, identity, page_size: self.page_size.clone() })
    }

    /// By its name, if it is this object's still: half the time of the way through `/proc`.
    fn reopen_by_name(&self, access: Access) -> Option<Object> {
        let again = Object::open(self.path.as_deref()?, access).ok()?;
        (again.identity().ok()? == self.identity().ok()?).then_some(again)
    }

    /// A path to the open object itself. By thread: `/proc/self` is empty once the first thread has ended.
    fn path_of_descriptor(&self) -> String {
        format!("/proc/thread-self/fd/{}", self.descriptor.as_raw_fd())
    }
}

impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Takes over a descriptor that came from another process. Nothing is checked: the calls say what it cannot do.
impl From<OwnedFd> for Object {
    fn from(descriptor: OwnedFd) -> Object {
        Object { descriptor, path: None, identity: OnceLock::new(), page_size: OnceLock::new() }
    }
}

/// Bytes of a huge page of a tmpfs, at least.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Blocks no larger than a page are no huge pages, which spares a question.
fn page_size_in(status: &Stat) -> OnceLock<usize> {
    let ordinary = crate::mapping::page_size();
    let is_ordinary = u64::try_from(status.st_blksize).is_ok_and(|bytes| bytes <= ordinary as u64);
    if is_ordinary { OnceLock::from(ordinary) } else { OnceLock::new() }
}

/// What a file system of huge pages says; none of others. Source: statfs(2), `HUGETLBFS_MAGIC`.
fn huge_page_size(object: &Object) -> Option<usize> {
    const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;
    let status = rustix::fs::fstatfs(&object.descriptor).ok()?;
    let bytes = usize::try_from(status.f_bsize).ok()?;
    (status.f_type as u64 == HUGETLBFS_MAGIC && bytes.is_power_of_two()).then_some(bytes)
}

fn identity_in(status: &Stat) -> ObjectIdentity {
    ObjectIdentity { device: status.st_dev, inode: status.st_ino }
}

impl From<Object> for OwnedFd {
    fn from(object: Object) -> OwnedFd {
        object.descriptor
    }
}

/// Takes the name `path` away. The object lives on for everybody who has it open or mapped.
///
/// # Errors
/// `NOENT`: no such name. `ACCESS`, `PERM`: the directory may not be written to, or is sticky and the object another
/// user's. `ISDIR`: it is a directory.
pub fn unlink(path: &Path) -> Result<(), Errno> {
    rustix::fs::unlink(path)
}
