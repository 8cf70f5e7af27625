//! A lock that lives exactly as long as the address space of its holder.
//!
//! It is an open file description (OFD) lock on one byte of the shared object, taken through a description of its
//! own; then a page of the object is mapped through that description, kept out of forked children, and the
//! descriptor is closed. What keeps the lock from now on is the mapping: a program that closes all descriptors does
//! not drop it, a forked child does not keep it, and exec and every kind of death drop it. Source: fcntl(2) "Open
//! file description locks", madvise(2) `MADV_DONTFORK`.
//!
//! A fork between the opening and the advice would hand the description to the child. Handlers of pthread_atfork(3)
//! make the fork of the C library wait for a lock that is being taken, and in the child close and unmap what is left
//! of one (a fork inside a signal handler that interrupted the taking).
//!
//! A stacked file system (overlayfs) maps another description than the one that was opened, and the lock would be
//! lost with the descriptor; that is found out by trying, and there the descriptor is kept open. Then closing all
//! descriptors drops the lock, and a forked child keeps it for as long as it lives and does not exec.
//!
//! What it does not do: a child made by clone(2) directly, at that instant, can keep the lock for its own lifetime; so
//! a held lock is a hint, to be judged together with [`process::standing`](crate::process::standing). A network file
//! system may give up locks.

use crate::at_fork;
use crate::fork;
use crate::host;
use crate::mapping::{Mapping, page_size};
use crate::object::{Access, Object};
use crate::private_word::PrivateWord;
use crate::thread;
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// One byte of an object, locked for as long as this value and its process live.
///
/// Dropping it releases the lock; forgetting it keeps the lock until the process ends. In a forked child the
/// inherited value holds nothing, and dropping it does nothing.
#[derive(Debug)]
pub struct Presence {
    _page: Mapping,
    /// Present only where a mapping does not keep the lock.
    _descriptor: Option<Object>,
    byte: u64,
}

impl Presence {
    /// The byte of the object that is locked.
    pub fn byte(&self) -> u64 {
        self.byte
    }
}

/// Locks the byte `byte` of `object`, which need not exist in it; `None` when somebody holds it, this process
/// included. Waits for no holder, only for another thread of this process that is at the same step or forks.
///
/// # Errors
/// `NOENT`: `/proc` is not mounted. `ACCESS`: this user may not write to the object. `OVERFLOW`: no file has that
/// byte. `NOMEM`: no memory for the handlers, or no address range for a page. `NOLCK`: the file system has no locks.
/// Nothing is held after an error.
///
/// ```
/// use weyr_sys::{object::Object, presence};
///
/// let pool = Object::memory("pool")?;
/// let slot = presence::acquire(&pool, 3)?.expect("nobody has taken slot 3");
/// assert!(presence::acquire(&pool, 3)?.is_none());
/// drop(slot);
/// assert!(!presence::is_held(&pool, 3)?);
/// # Ok::<(), weyr_sys::Errno>(())
/// ```
pub fn acquire(object: &Object, byte: u64) -> Result<Option<Presence>, Errno> {
    if !at_fork::register() {
        return Err(Errno::NOMEM);
    }
    let _taking = Taking::begin();
    let own = object.reopen(Access::ReadWrite)?;
    let _in_hand = InHand::take(&own);
    if !try_lock(&own, byte)? {
        return Ok(None);
    }
    let page = map_in_hand(&own, object.page_size())?;
    let descriptor = if mapping_keeps_locks(object)? { None } else { Some(own) };
    Ok(Some(Presence { _page: page, _descriptor: descriptor, byte }))
}

/// Whether anybody, this process included, holds the byte `byte` of `object`. Does not block.
///
/// # Errors
/// `OVERFLOW`: no file has that byte. Otherwise what fcntl(2) answers; `INVAL` where the kernel has no such locks.
pub fn is_held(object: &Object, byte: u64) -> Result<bool, Errno> {
    let mut lock = write_lock_on(byte)?;
    ask(object, libc::F_OFD_GETLK, &mut lock)?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn map_in_hand(own: &Object, page_size: usize) -> Result<Mapping, Errno> {
    let page = Mapping::untouchable(own, page_size)?;
    // A page's address has room for the logarithm of its size.
    IN_HAND_PAGE.store(page.as_ptr() as usize as u64 | u64::from(page_size.ilog2()));
    page.dont_fork()?;
    IN_HAND_PAGE.store(0);
    Ok(page)
}

/// The last file system of which [`try_mapping_keeps_locks`] was true: its number plus 1; 0: none yet.
static KEEPS_LOCKS: PrivateWord = PrivateWord::new(0);

fn mapping_keeps_locks(object: &Object) -> Result<bool, Errno> {
    let file_system = object.identity()?.device.wrapping_add(1);
    if KEEPS_LOCKS.load() == file_system {
        return Ok(true);
    }
    let keeps = try_mapping_keeps_locks(object)?;
    if keeps {
        KEEPS_LOCKS.store(file_system);
    }
    Ok(keeps)
}

/// Locks a byte that nobody else uses, maps, closes, and looks whether the lock is still there.
fn try_mapping_keeps_locks(object: &Object) -> Result<bool, Errno> {
    let trial = object.reopen(Access::ReadWrite)?;
    let byte = TRIAL_BYTES | (host::random_u128() as u64 >> 2 & !1);
    if !try_lock(&trial, byte)? {
        return Ok(false);
    }
    let _page = Mapping::untouchable(&trial, object.page_size())?;
    drop(trial);
    is_held(object, byte)
}

/// Where the bytes for trials begin: the upper half of all offsets, of which each trial draws one at random.
const TRIAL_BYTES: u64 = 1 << 62;

fn try_lock(own: &Object, byte: u64) -> Result<bool, Errno> {
    match ask(own, libc::F_OFD_SETLK, &mut write_lock_on(byte)?) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An exclusive lock on one byte, as fcntl(2) wants it described: zero owner, from the start of the file.
fn write_lock_on(byte: u64) -> Result<libc::flock, Errno> {
    let start = libc::off_t::try_from(byte).ok().filter(|start| *start < libc::off_t::MAX);
    Ok(libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start.ok_or(Errno::OVERFLOW)?,
        l_len: 1,
        l_pid: 0,
    })
}

fn ask(object: &Object, command: libc::c_int, lock: &mut libc::flock) -> Result<(), Errno> {
    let descriptor = object.as_fd().as_raw_fd();
    rustix::io::retry_on_intr(|| {
        let lock: *mut libc::flock = lock;
        // SAFETY: both commands read and write one `flock`, which `lock` points to, and the descriptor is open.
        let answer = unsafe { libc::fcntl(descriptor, command, lock) };
        if answer == -1 { Err(last_error()) } else { Ok(()) }
    })
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Who is taking a lock or forking: 0, or the low half of the process's nonce, the thread's number and, in the top
/// bit of the number's half, whether it forks. A word of another process (a child of clone(2)) counts as 0.
static TURN: PrivateWord = PrivateWord::new(0);

/// Descriptor of the description that is being locked, plus 1; 0: none. Written by whoever has the turn.
static IN_HAND_DESCRIPTOR: PrivateWord = PrivateWord::new(0);

/// Address of its page while forked children would still inherit it; 0: none. Written by whoever has the turn.
static IN_HAND_PAGE: PrivateWord = PrivateWord::new(0);

const FORKS: u64 = 1 << 31;

/// The description that is being locked, as a forked child must find it; let go when dropped.
struct InHand;

impl InHand {
    fn take(own: &Object) -> InHand {
        IN_HAND_DESCRIPTOR.store(u64::from(own.as_fd().as_raw_fd().unsigned_abs()) + 1);
        InHand
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        IN_HAND_PAGE.store(0);
        IN_HAND_DESCRIPTOR.store(0);
    }
}

/// The turn of this thread to take a lock; it ends when dropped.
struct Taking;

impl Taking {
    fn begin() -> Taking {
        wait_for_turn(my_turn());
        Taking
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        TURN.store(0);
    }
}

fn my_turn() -> u64 {
    fork::nonce() << 32 | u64::from(thread::id())
}

/// Waits until nobody of this process has the turn. Holders keep it for a few system calls, or for one fork.
fn wait_for_turn(turn: u64) {
    loop {
        let seen = TURN.load();
        let is_free = seen == 0 || seen >> 32 != turn >> 32;
        if is_free && TURN.exchange(seen, turn).is_ok() {
            return;
        }
        std::thread::yield_now();
    }
}

/// Before fork: no lock is half taken by another thread from now on. A thread that has the turn itself (a signal
/// handler forks) goes on without waiting.
pub(crate) fn hold_still_for_fork() {
    let mine = my_turn();
    if TURN.load() & !FORKS != mine {
        wait_for_turn(mine | FORKS);
    }
}

/// After fork, in the parent: others may go on.
pub(crate) fn go_on_after_fork() {
    if TURN.load() == my_turn() | FORKS {
        TURN.store(0);
    }
}

/// After fork, in the child: what was in hand is let go, so that the child keeps no lock of its parent.
pub(crate) fn drop_in_child() {
    let page = IN_HAND_PAGE.load();
    if page != 0 {
        unmap_inherited(page);
    }
    let descriptor = IN_HAND_DESCRIPTOR.load();
    if descriptor != 0 {
        close_inherited(descriptor - 1);
    }
    IN_HAND_PAGE.store(0);
    IN_HAND_DESCRIPTOR.store(0);
    TURN.store(0);
}

/// The page may have been advised already; then the range is empty here, which munmap(2) accepts.
fn unmap_inherited(page: u64) {
    let address = page as usize & !(page_size() - 1);
    // SAFETY: the forking thread was interrupted while it held this page in hand, so it is a page of `Mapping` that
    // nobody has been given, or an empty range of a process that has run nothing since fork.
    let unmapped = unsafe { rustix::mm::munmap(address as *mut _, 1 << (page % 64)) };
    debug_assert!(unmapped.is_ok());
}

fn close_inherited(descriptor: u64) {
    // SAFETY: the forking thread was interrupted while this descriptor was open and in its hand alone.
    unsafe { rustix::io::close(descriptor as libc::c_int) };
}
