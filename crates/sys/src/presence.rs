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
//! What it does not do: a child made by clone(2) directly, at that instant, can keep the lock for its own lifetime; so
//! a held lock is a hint, to be judged together with [`process::standing`](crate::process::standing). A network file
//! system may give up locks.

use crate::at_fork;
use crate::fork;
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
pub fn acquire(object: &Object, byte: u64) -> Result<Option<Presence>, Errno> {
    if !at_fork::register() {
        return Err(Errno::NOMEM);
    }
    let _taking = Taking::begin();
    let own = object.reopen(Access::ReadWrite)?;
    IN_HAND_DESCRIPTOR.store(in_hand_descriptor(&own));
    let presence = lock_and_map(&own, byte);
    IN_HAND_PAGE.store(0);
    IN_HAND_DESCRIPTOR.store(0);
    drop(own);
    presence
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

fn lock_and_map(own: &Object, byte: u64) -> Result<Option<Presence>, Errno> {
    if !try_lock(own, byte)? {
        return Ok(None);
    }
    let page = Mapping::untouchable(own, page_size())?;
    IN_HAND_PAGE.store(page.as_ptr() as usize as u64);
    page.dont_fork()?;
    Ok(Some(Presence { _page: page, byte }))
}

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

fn in_hand_descriptor(own: &Object) -> u64 {
    u64::from(own.as_fd().as_raw_fd().unsigned_abs()) + 1
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
    // SAFETY: the forking thread was interrupted while it held this page in hand, so it is a page of `Mapping` that
    // nobody has been given, or an empty range of a process that has run nothing since fork.
    let unmapped = unsafe { rustix::mm::munmap(page as usize as *mut _, page_size()) };
    debug_assert!(unmapped.is_ok());
}

fn close_inherited(descriptor: u64) {
    // SAFETY: the forking thread was interrupted while this descriptor was open and in its hand alone.
    unsafe { rustix::io::close(descriptor as libc::c_int) };
}
