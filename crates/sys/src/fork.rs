//! A number that tells one process from another, and from itself before fork(2).
//!
//! The nonce lies in a private page that the kernel clears in every forked child (`MADV_WIPEONFORK`, Linux 4.14), so
//! a child finds zero there and draws its own: no handler has to run, raw clone(2) included. Source: madvise(2).
//!
//! Where the kernel or a filter refuses that advice, a handler of pthread_atfork(3) clears a word instead; then only
//! children made by the fork() of the C library are noticed, and a child of a raw clone(2) keeps the nonce.
//!
//! What it does not do: a child of vfork(2) shares its parent's memory, and so its nonce, until it execs.

use crate::at_fork;
use crate::host;
use crate::private_word::PrivateWord;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::param::page_size;
use std::ffi::c_void;

/// Address of the page with the nonce; 0: not mapped yet; [`NO_PAGE`]: there is none. Set once; never unmapped.
static PAGE: PrivateWord = PrivateWord::new(0);

/// The nonce lies in [`WITHOUT_PAGE`].
const NO_PAGE: u64 = 1;

/// The nonce where the kernel clears no page; the fork handler does it. 0: not drawn yet.
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
        0 => decide(wiped_page(wipe_on_fork)),
        decided => at(decided),
    }
}

#[inline]
fn at(decided: u64) -> &'static PrivateWord {
    if decided == NO_PAGE {
        return &WITHOUT_PAGE;
    }
    let word = decided as usize as *const PrivateWord;
    // SAFETY: `decided` was published by `decide`: the address of a page that is readable, writable, aligned, never unmapped
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

/// Publishes where the nonce lies, unless another thread was first.
#[cold]
fn decide(page: Option<*mut c_void>) -> &'static PrivateWord {
    if page.is_none() {
        // Out of memory, children are not noticed: `presence` then lets nobody attach.
        at_fork::register();
    }
    let mine = page.map_or(NO_PAGE, |page| page as usize as u64);
    match PAGE.exchange(0, mine) {
        Ok(()) => at(mine),
        Err(earlier) => {
            if let Some(page) = page {
                unmap(page);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_cannot_be_wiped_is_not_used() {
        assert_eq!(wiped_page(|_| false), None);
        let page = wiped_page(|_| true).expect("a page");
        unmap(page);
    }

    #[test]
    fn without_a_page_the_fork_handler_makes_the_child_draw_anew() {
        assert!(at_fork::register());
        let word = at(NO_PAGE);
        let mine = draw(word);
        assert_eq!(draw(word), mine);
        // SAFETY: the child compares two words and leaves by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let differs = word.load() == 0 && draw(word) != mine;
            // SAFETY: nothing of the parent's is run on the way out.
            unsafe { libc::_exit(i32::from(!differs)) };
        }
        let mut status = -1;
        // SAFETY: the status is written by the call and lives through it.
        let reaped = unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!((reaped, status), (child, 0));
        assert_eq!(word.load(), mine);
    }
}
