//! Pools: created, attached, looked at and destroyed.

pub(crate) mod channel_details;
pub(crate) mod creation;
pub(crate) mod extent;
pub(crate) mod header;
pub(crate) mod huge;
pub(crate) mod length;
pub(crate) mod medium;
pub(crate) mod opening;
pub(crate) mod rebuild;
pub(crate) mod relocation;
pub(crate) mod section;
pub(crate) mod stored;
pub(crate) mod window;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use weyr_atomic::Ordering;
use weyr_shared::{Actor, Cooperative, Lender, Region};
use weyr_sys::host;
use weyr_sys::mapping::Mapping;
use weyr_sys::object::{Access, Object};

use crate::attributes::particulars::LEAST_ALIGNMENT;
use crate::heap::recovery::Recovered;
use crate::heap::usage::Usage;
use crate::heap::verify::{Mode, Verification};
use crate::layout::{STATE_DESTROYED, STATE_READY};
use crate::membership::attachment::Attachment;
use crate::membership::threads::forget_in_this_thread;
use crate::{Allocation, BufferPool, Error, PoolAttributes, PoolDescriptor, PoolType, name};

/// A pool of managed memory that this process has attached.
///
/// Cheap to clone; the last handle to go detaches. Any number of threads use one at a time. In a forked child the
/// first use attaches anew.
///
/// ```
/// use weyr_managed::{Pool, PoolAttributes};
/// # let name = format!("doc-pool-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// let mut memory = pool.alloc(4096)?;
/// memory.write(0, b"hello")?;
/// drop(memory);
/// assert_eq!(pool.usage().total.blocks, 0);
/// pool.destroy()?;
/// # Ok::<(), weyr_managed::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pool {
    pub(crate) handle: Arc<Handle>,
    pub(crate) cooperative: Option<Cooperative>,
}

/// What all clones of a pool share; the last one's end lets the attachment go.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) attachment: Arc<Lender<Attachment>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.attachment.let_go();
        forget_in_this_thread(self.attachment.id);
    }
}

impl Pool {
    /// Creates a pool and attaches it.
    ///
    /// Takes well below a millisecond whatever the size, unless memory is to be committed or prefaulted; then as long
    /// as the kernel takes. Nobody can see the pool before it is complete, and a death before leaves nothing behind; one
    /// while memory is committed, prefaulted or made ready leaves a pool without that.
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`], [`Error::NameTaken`], [`Error::PermissionDenied`] for the directory,
    /// [`Error::FilesystemFull`], [`Error::TooLarge`] for the address space, [`Error::Os`].
    /// Source: Dragon managed memory, `dragon_memory_pool_create`.
    pub fn create(attributes: &PoolAttributes) -> Result<Pool, Error> {
        let attachment = creation::create(attributes)?;
        attachment.membership()?;
        attachment.make_ready()?;
        Ok(Pool::register(attachment))
    }

    /// Attaches this user's pool called `name`, in the default directory.
    ///
    /// # Errors
    /// [`Error::NoSuchPool`], [`Error::PermissionDenied`], [`Error::NotAPool`], [`Error::WrongVersion`],
    /// [`Error::Truncated`], [`Error::TableFull`] when all process slots or lanes are in use.
    pub fn attach(name: &str) -> Result<Pool, Error> {
        Pool::attach_in(&name::default_directory(), name)
    }

    /// Attaches this user's pool called `name`, in `directory`. Errors as [`attach`](Self::attach).
    pub fn attach_in(directory: &Path, name: &str) -> Result<Pool, Error> {
        Pool::attach_path(&name::pool_path(directory, name)?)
    }

    /// Attaches the pool whose object is `path`: another user's, say. Errors as [`attach`](Self::attach).
    pub fn attach_path(path: &Path) -> Result<Pool, Error> {
        Pool::attach_opened(opening::open(path, Access::ReadWrite)?, path)
    }

    /// Makes a pool in memory that the caller has already, of a fixed size; what was in it is gone. The bytes of
    /// `attributes` are those for allocations; 0 is as many as fit beside the metadata. Nothing else may use the memory,
    /// and nobody may attach it before this returns.
    ///
    /// Where the memory is shared, other processes of the same pid namespace [attach](Self::attach_in_memory) it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use weyr_managed::{Mapping, Pool, PoolAttributes, PoolType};
    ///
    /// let memory = Arc::new(Mapping::anonymous(1 << 20)?);
    /// let pool = Pool::create_in(Arc::clone(&memory), &PoolAttributes::new("in-a-buffer", 0))?;
    /// assert_eq!(pool.pool_type(), PoolType::Lent);
    /// assert!(pool.size() > 768 << 10 && pool.size() < 1 << 20);
    /// pool.alloc(1000)?.write(0, b"inside")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] also when the memory is too small ([`PoolAttributes::memory_needed`] computes how much
    /// it takes), does not begin at a multiple of 4096, or may not be written.
    pub fn create_in(memory: Arc<Mapping>, attributes: &PoolAttributes) -> Result<Pool, Error> {
        let attachment = creation::create_in(memory, attributes)?;
        attachment.membership()?;
        attachment.make_ready()?;
        Ok(Pool::register(attachment))
    }

    /// Attaches the pool that somebody made in memory that the caller has, too: as a member of its own.
    ///
    /// # Errors
    /// [`Error::NotAPool`], [`Error::WrongVersion`], [`Error::Truncated`], [`Error::Corrupt`], [`Error::TableFull`];
    /// [`Error::InvalidAttribute`] when it does not begin at a multiple of 4096, or this process may not write it.
    pub fn attach_in_memory(memory: Arc<Mapping>) -> Result<Pool, Error> {
        Pool::newcomer(opening::attach_in(memory, Access::ReadWrite)?)
    }

    /// Attaches the pool in an object that was handed over, as [`share_object`](Self::share_object) gives it.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_object(object: OwnedFd) -> Result<Pool, Error> {
        Pool::attach_opened(object.into(), Path::new(""))
    }

    /// The object as a file descriptor of its own, to be handed to another process: inherited by a child, or sent over
    /// a Unix socket. Whoever has it can [attach](Self::attach_object) the pool. It is closed on exec.
    ///
    /// # Errors
    /// [`Error::Nameless`] for memory, which has no object; [`Error::Os`] when no descriptor is left.
    pub fn share_object(&self) -> Result<OwnedFd, Error> {
        let object = self.attachment().object().ok_or(Error::Nameless { uuid: self.uuid() })?;
        let again = object.reopen(Access::ReadWrite).map_err(Error::os("opening the pool's object anew"))?;
        Ok(again.into())
    }

    /// Attaches without a look at the other members, and for the caller alone: nobody else in this process comes by this
    /// attachment, which is a member of its own. A pool of another boot is rebuilt.
    pub(crate) fn join_alone(path: &Path) -> Result<Pool, Error> {
        let object = opening::open(path, Access::ReadWrite)?;
        let attachment = opening::attach(object, path, Access::ReadWrite)?;
        attachment.membership()?;
        let pool = Pool { handle: Arc::new(Handle { attachment }), cooperative: None };
        pool.rebuild_after_boot()?;
        Ok(pool)
    }

    /// The pool in an object, attached unless this process has it. `path` is empty without a name.
    fn attach_opened(object: Object, path: &Path) -> Result<Pool, Error> {
        let identity = object.identity().map_err(Error::os("looking at the pool's object"))?;
        match Pool::registered(identity) {
            Some(pool) => pool.check_length().map(|()| pool),
            None => Pool::newcomer(opening::attach(object, path, Access::ReadWrite)?),
        }
    }

    /// Makes this process a member, who looks after the others.
    fn newcomer(attachment: Arc<Lender<Attachment>>) -> Result<Pool, Error> {
        attachment.membership()?;
        let pool = Pool::register(attachment);
        pool.settle()?;
        Ok(pool)
    }

    /// Attaches the pool whose object is `path` to read what it holds: its memory is mapped read-only, so that nothing of
    /// this process can write there. It is no member, and nobody is kept from freeing what it reads. Whatever would write
    /// is an [`Error::ReadOnly`].
    ///
    /// ```
    /// # use weyr_managed::{Error, Pool, PoolAttributes};
    /// # let name = format!("doc-read-only-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let published = pool.alloc_typed(5, 1, 1)?;
    /// published.write(0, b"bytes")?;
    /// let reader = Pool::attach_read_only(pool.path())?;
    /// let mut bytes = [0; 5];
    /// reader.find(1, 1)?.read(0, &mut bytes)?;
    /// assert_eq!(&bytes, b"bytes");
    /// assert!(matches!(reader.alloc(1), Err(Error::ReadOnly { .. })));
    /// # pool.destroy()?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`attach`](Self::attach), but for the tables.
    pub fn attach_read_only(path: &Path) -> Result<Pool, Error> {
        let object = opening::open(path, Access::ReadOnly)?;
        let attachment = opening::attach(object, path, Access::ReadOnly)?;
        attachment.particulars.allow_execution(attachment.mapping(), Access::ReadOnly)?;
        Ok(Pool { handle: Arc::new(Handle { attachment }), cooperative: None })
    }

    /// Attaches the pool that `descriptor` names.
    ///
    /// # Errors
    /// As [`attach`](Self::attach), [`Error::OtherHost`], [`Error::WrongPool`] when another pool has its name now, and
    /// [`Error::Nameless`] for a pool without a name that this process has not attached.
    /// Source: Dragon managed memory, `dragon_memory_pool_attach`.
    pub fn attach_descriptor(descriptor: &PoolDescriptor) -> Result<Pool, Error> {
        if descriptor.host != host::id() {
            return Err(Error::OtherHost { found: descriptor.host, expected: host::id() });
        }
        if descriptor.path.as_os_str().is_empty() {
            return Pool::attached(descriptor).ok_or(Error::Nameless { uuid: descriptor.uuid });
        }
        let pool = Pool::attach_path(&descriptor.path).and_then(|pool| match pool.uuid() {
            uuid if uuid == descriptor.uuid => Ok(pool),
            other => Err(Error::WrongPool { found: descriptor.uuid, expected: other }),
        });
        match pool {
            // Its name is gone, or another's. Who has the pool needs none.
            Err(gone @ (Error::NoSuchPool { .. } | Error::WrongPool { .. } | Error::NotAPool { .. })) => {
                let lives = |pool: &Pool| !pool.is_destroyed();
                Pool::attached(descriptor).filter(lives).ok_or(gone)
            }
            pool => pool,
        }
    }

    /// Opens a pool to look at it: read-only, without becoming a member, invisible to the others. Only what reads
    /// ([`usage`](Self::usage), [`verify`](Self::verify), [`members`](Self::members)) can be done with it; it sees
    /// memory as it happens to be.
    ///
    /// # Errors
    /// As [`attach`](Self::attach), but for the tables.
    pub fn inspect(path: &Path) -> Result<Inspection, Error> {
        let object = opening::open(path, Access::ReadOnly)?;
        Ok(Inspection { attachment: opening::attach(object, path, Access::ReadOnly)? })
    }

    /// As [`inspect`](Self::inspect), of the pool that somebody made in memory that the caller has, too. That it may read
    /// the memory is enough.
    ///
    /// # Errors
    /// As [`attach_in_memory`](Self::attach_in_memory), but for the tables.
    pub fn inspect_memory(memory: Arc<Mapping>) -> Result<Inspection, Error> {
        Ok(Inspection { attachment: opening::attach_in(memory, Access::ReadOnly)? })
    }

    /// A look at this pool, whatever it is made of, through the own mapping.
    pub fn inspection(&self) -> Inspection {
        Inspection { attachment: Arc::clone(self.attachment()) }
    }

    /// What a newcomer does: a pool of another boot is rebuilt, of one of this the dead are recovered.
    fn settle(&self) -> Result<(), Error> {
        if !self.rebuild_after_boot()? {
            self.reap_dead();
        }
        Ok(())
    }

    /// Recovers members that are probably dead: what a newcomer can see at little cost.
    pub(crate) fn reap_dead(&self) {
        let attachment = self.attachment();
        if attachment.has_dead_member() {
            let recovered = self.recover();
            tracing::info!(pool = attachment.name, ?recovered, "recovered dead members while attaching");
        }
    }

    pub(crate) fn attachment(&self) -> &Arc<Lender<Attachment>> {
        &self.handle.attachment
    }

    /// The same pool, with the user's word about everybody who maps it: its allocations give references to their
    /// bytes.
    ///
    /// ```
    /// # use weyr_managed::{Pool, PoolAttributes};
    /// # use weyr_shared::Cooperative;
    /// # let name = format!("doc-cooperative-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// // SAFETY: only this program's processes open the pool.
    /// let pool = pool.cooperative(unsafe { Cooperative::assume() });
    /// let mut memory = pool.alloc(16)?;
    /// memory.as_mut_slice()?.fill(7);
    /// assert_eq!(memory.as_slice()?[15], 7);
    /// # drop(memory);
    /// # pool.destroy()?;
    /// # Ok::<(), weyr_managed::Error>(())
    /// ```
    #[must_use]
    pub fn cooperative(mut self, word: Cooperative) -> Pool {
        self.cooperative = Some(word);
        self
    }

    /// The word given to [`cooperative`](Self::cooperative), if any.
    pub fn cooperation(&self) -> Option<Cooperative> {
        self.cooperative
    }

    /// Name at creation.
    pub fn name(&self) -> &str {
        &self.attachment().name
    }

    /// Path of its object; empty for a pool without a name.
    pub fn path(&self) -> &Path {
        self.attachment().medium.path()
    }

    /// What kind of memory it is made of.
    pub fn pool_type(&self) -> PoolType {
        self.attachment().medium.kind
    }

    /// Its random identity.
    pub fn uuid(&self) -> u128 {
        self.attachment().uuid
    }

    /// Names it to other processes of this host.
    /// Source: Dragon managed memory, `dragon_memory_pool_serialize`.
    pub fn descriptor(&self) -> PoolDescriptor {
        PoolDescriptor { host: host::id(), uuid: self.uuid(), path: self.path().to_owned() }
    }

    /// Bytes that it can hold now; it may grow to [`maximum_size`](Self::maximum_size).
    pub fn size(&self) -> u64 {
        let heap = &self.attachment().heap;
        heap.current_pages() * heap.geometry.page_bytes()
    }

    /// Bytes that it can ever hold.
    pub fn maximum_size(&self) -> u64 {
        self.attachment().heap.geometry.maximum_bytes()
    }

    /// The data area; a block's offset is an offset in it.
    pub fn region(&self) -> &Region {
        &self.attachment().data
    }

    /// This process's name in the pool's words. Joins anew in a forked child.
    ///
    /// # Errors
    /// What joining gives, [`Error::TableFull`] above all.
    pub fn actor(&self) -> Result<Actor, Error> {
        Ok(self.attachment().membership()?.actor)
    }

    /// Process slots that it has.
    pub fn process_limit(&self) -> u32 {
        self.attachment().heap.geometry.shape.process_limit
    }

    /// Allocates `bytes` bytes, owned by this process until dropped, published or sent. Aligned to 64 bytes, or as the
    /// pool's attributes say.
    ///
    /// Does not wait for anybody, but may take over what the dead and the idle hold, or grow the pool. The bytes are
    /// what was there, unless the pool zeroes. Zero bytes are an allocation as well, with its own identity.
    ///
    /// # Errors
    /// [`Error::NoMemory`] when nothing large enough is free, [`Error::TooLarge`] when it can never be,
    /// [`Error::FilesystemFull`], [`Error::Destroyed`].
    /// Source: Dragon managed memory, `dragon_memory_alloc`.
    #[inline]
    pub fn alloc(&self, bytes: u64) -> Result<Allocation, Error> {
        Allocation::new(self.attachment(), bytes, self.cooperative)
    }

    /// As [`alloc`](Self::alloc), at an address that is a multiple of `alignment` bytes, a power of two.
    ///
    /// Up to 4096 bytes it is one in every process. Up to the pool's page size, and in pools that may have 16 MiB and
    /// more up to 2 MiB, it is one in every process that had the address space to map the pool as it should be.
    /// Beyond that it is one in this process, and elsewhere as it comes.
    ///
    /// # Errors
    /// [`Error::InvalidAlignment`]; as [`alloc`](Self::alloc), `NoMemory` also when no such place is free.
    pub fn alloc_aligned(&self, bytes: u64, alignment: u64) -> Result<Allocation, Error> {
        // The largest power of two in what it may ever hold.
        let limit = 1 << self.maximum_size().ilog2();
        if !alignment.is_power_of_two() || alignment > limit {
            return Err(Error::InvalidAlignment { alignment, limit });
        }
        if alignment <= LEAST_ALIGNMENT {
            return self.alloc(bytes);
        }
        let reference = self.attachment().alloc_aligned(bytes, alignment)?;
        Allocation::found(self.attachment(), reference, bytes, self.cooperative)
    }

    /// As [`alloc_aligned`](Self::alloc_aligned), with bytes that are zero. Whole pages that nobody had before are not
    /// touched for that.
    ///
    /// # Errors
    /// As [`alloc_aligned`](Self::alloc_aligned).
    pub fn alloc_zeroed(&self, bytes: u64, alignment: u64) -> Result<Allocation, Error> {
        let allocation = self.alloc_aligned(bytes, alignment)?;
        if !self.attachment().zeroing {
            self.attachment().clear_new(allocation.reference(), bytes)?;
        }
        Ok(allocation)
    }

    /// As [`alloc`](Self::alloc), waiting for memory until `deadline`: served when anybody frees, in any process.
    ///
    /// Who waits for whole pages reserves the part of the pool in which least is in use: others do not allocate there
    /// as long as it waits, lives, and something is freed there now and then. So it is not starved by small requests.
    /// Requests that wait are served in no order. A deadline that is over is one try.
    ///
    /// # Errors
    /// As [`alloc`](Self::alloc), but [`Error::Timeout`] for `NoMemory`; [`Error::Destroyed`] also when the pool is
    /// destroyed meanwhile.
    /// Source: Dragon managed memory, `dragon_memory_alloc_blocking`.
    pub fn alloc_until(&self, bytes: u64, deadline: Instant) -> Result<Allocation, Error> {
        self.alloc_waiting(bytes, Some(deadline))
    }

    /// As [`alloc_until`](Self::alloc_until), waiting without limit.
    ///
    /// # Errors
    /// As [`alloc_until`](Self::alloc_until), but for `Timeout`.
    pub fn alloc_blocking(&self, bytes: u64) -> Result<Allocation, Error> {
        self.alloc_waiting(bytes, None)
    }

    fn alloc_waiting(&self, bytes: u64, deadline: Option<Instant>) -> Result<Allocation, Error> {
        match self.alloc(bytes) {
            Err(Error::NoMemory { .. }) => {}
            at_once => return at_once,
        }
        let reference = self.attachment().wait_for(bytes, deadline)?;
        Allocation::found(self.attachment(), reference, bytes, self.cooperative)
    }

    /// Whether somebody waits for memory, or did so when it died: 1, else 0. For tests and for looking on.
    #[doc(hidden)]
    pub fn waiters(&self) -> u32 {
        u32::from(self.attachment().heap.has_waiters())
    }

    /// Finds dead members and gives back what they held. Whoever notices a death does this; any number at once.
    ///
    /// Takes time with the size of the pool (some milliseconds per gibibyte), and stops nobody meanwhile.
    pub fn recover(&self) -> Recovered {
        let attachment = self.attachment();
        if let Err(error) = attachment.check_length() {
            tracing::error!(pool = attachment.name, %error, "nothing is recovered");
            return Recovered::default();
        }
        let recovered = attachment.with_lane(|own, _| {
            attachment.heap.recover_dead(own, &attachment.liveness(), &attachment.channels())
        });
        attachment.free_destroyed_channels(BufferPool::known);
        recovered.unwrap_or_default()
    }

    /// What it holds and who has it, as of one pass over its words; stops nobody.
    pub fn usage(&self) -> Usage {
        self.attachment().heap.usage()
    }

    /// Checks its invariants; changes nothing.
    pub fn verify(&self, mode: Mode) -> Verification {
        self.attachment().verify(mode)
    }

    /// Who is attached.
    pub fn members(&self) -> Vec<Member> {
        self.attachment().members()
    }

    /// Whether it was destroyed.
    pub fn is_destroyed(&self) -> bool {
        self.attachment().heap.header().state.load(Ordering::Acquire) == STATE_DESTROYED
    }

    /// Destroys the pool: its name is gone, nothing new is allocated from it. What is allocated stays valid, here and
    /// elsewhere, until it is dropped; the memory goes with the last mapping.
    ///
    /// # Errors
    /// [`Error::Destroyed`] when it was before, [`Error::PermissionDenied`] when this user may not remove the name;
    /// the pool is destroyed in that case too.
    /// Source: Dragon managed memory, `dragon_memory_pool_destroy`.
    pub fn destroy(&self) -> Result<(), Error> {
        self.attachment().require_writable()?;
        let state = &self.attachment().heap.header().state;
        // Release is not needed: nothing is published; the exchange decides who destroys.
        let was = state.compare_exchange(STATE_READY, STATE_DESTROYED, Ordering::AcqRel, Ordering::Acquire);
        was.map_err(|_| Error::Destroyed)?;
        self.attachment().heap.wake_waiters();
        self.attachment().unlink()
    }
}

/// A pool looked at from outside.
#[derive(Debug)]
pub struct Inspection {
    pub(crate) attachment: Arc<Lender<Attachment>>,
}

impl Inspection {
    pub(crate) fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// The data area, as this look at the pool has it.
    pub fn region(&self) -> &Region {
        &self.attachment.data
    }

    /// Name at creation.
    pub fn name(&self) -> &str {
        &self.attachment.name
    }

    /// Its random identity.
    pub fn uuid(&self) -> u128 {
        self.attachment.uuid
    }

    /// What it holds and who has it.
    pub fn usage(&self) -> Usage {
        self.attachment.heap.usage()
    }

    /// Checks its invariants.
    pub fn verify(&self, mode: Mode) -> Verification {
        self.attachment.verify(mode)
    }

    /// Who is attached.
    pub fn members(&self) -> Vec<Member> {
        self.attachment.members()
    }

    /// Removes its name without attaching: for pools that nobody uses any more.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`].
    pub fn remove(&self) -> Result<(), Error> {
        self.attachment.unlink()
    }
}

/// One process that is attached to a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its process slot and epoch.
    pub actor: Actor,
    /// Process id, in its own pid namespace.
    pub pid: u32,
    /// Whether it can be told that it is dead.
    pub dead: bool,
    /// Lanes that its threads have.
    pub lanes: u32,
    /// Of those, lanes whose pages others have asked for, and whose threads have not come by since.
    pub revoked: u32,
}
