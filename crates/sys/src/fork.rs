//! A number that tells one process from another, and from itself before fork(2).
//!
//! The nonce lies in a private page that the kernel clears in every forked child (`MADV_WIPEONFORK`, Linux 4.14), so
//! a child finds zero there and draws its own: no handler has to run, raw clone(2) included. Source: madvise(2).
//!
//! Where the kernel or a filter refuses that advice, a handler of pthread_atfork(3) clears the word instead; then
//! only children made by the fork() of the C library are noticed, and a child of a raw clone(2) keeps the nonce.
//!
//! What it does not do: a child of vfork(2) shares its parent's memory, and so its nonce, until it execs.

use crate::at_fork;
use crate::host;
use crate::private_word::PrivateWord;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::param::page_size;
use std::ffi::c_void;

/// Address of the page with the nonce; 0: not mapped yet. Set once and never unmapped.
static PAGE: PrivateWord = PrivateWord::new(0);

/// Holds the nonce where no page can be mapped at all; cleared by the fork handler.
static WITHOUT_PAGE: PrivateWord = PrivateWord::new(0);

/// The nonce of this process: random, never 0, another one in every process and after every fork.
///
/// Two loads after the first call. Never fails and does not block.
#[inline]
pub fn nonce() -> u64 {
    match word().load_acquire() {
        0 => draw(word()),
        nonce => nonce,
    }
}

#[inline]
fn word() -> &'static PrivateWord {
    match PAGE.load_acquire() {
        0 => map_page(),
        address => at(address),
    }
}

#[inline]
fn at(address: u64) -> &'static PrivateWord {
    let word = address as usize as *const PrivateWord;
    // SAFETY: `address` was published by `map_page`: a page that is readable, writable, aligned, never unmapped
    // and, in a forked child, at most cleared; any bytes are a valid word.
    unsafe { &*word }
}

/// Draws a nonce unless another thread of this process was first.
#[cold]
fn draw(word: &PrivateWord) -> u64 {
    let nonce = random_nonce();
    match word.exchange(0, nonce) {
        Ok(()) => nonce,
        Err(earlier) => earlier,
    }
}

fn random_nonce() -> u64 {
    loop {
        let nonce = host::random_u128() as u64;
        if nonce != 0 {
            return nonce;
        }
    }
}

#[cold]
fn map_page() -> &'static PrivateWord {
    let Some(page) = wiped_page(wipe_on_fork) else {
        at_fork::register();
        return &WITHOUT_PAGE;
    };
    match PAGE.exchange(0, page as usize as u64) {
        Ok(()) => at(page as usize as u64),
        Err(earlier) => {
            unmap(page);
            at(earlier)
        }
    }
}

/// Maps a zero page that a forked child finds cleared; `None` when there is no memory or no way to clear it.
fn wiped_page(advise: impl FnOnce(*mut c_void) -> bool) -> Option<*mut c_void> {
    // SAFETY: a new private mapping at an address of the kernel's choice touches no existing memory.
    let page = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            page_size(),
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    }
    .ok()?;
    if advise(page) {
        return Some(page);
    }
    unmap(page);
    None
}

fn wipe_on_fork(page: *mut c_void) -> bool {
    // SAFETY: the page was mapped by `wiped_page` just now and nothing else knows it.
    unsafe { madvise(page, page_size(), Advice::LinuxWipeOnFork) }.is_ok()
}

fn unmap(page: *mut c_void) {
    // SAFETY: the page was mapped by `wiped_page`, was not published, and nothing points into it.
    let unmapped = unsafe { munmap(page, page_size()) };
    debug_assert!(unmapped.is_ok());
}

/// What the fork handler does in a child: the nonce that is not in a wiped page is forgotten.
pub(crate) fn forget_in_child() {
    WITHOUT_PAGE.store(0);
}
