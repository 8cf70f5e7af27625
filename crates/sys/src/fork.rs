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
use crate::private_word::{PrivatePlace, PrivateWord};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::param::page_size;
use std::ffi::c_void;
use std::ptr;

/// Where the nonce lies. Decided once.
static PLACE: PrivatePlace = PrivatePlace::new(&UNDECIDED);

/// Stands for a nonce that was not drawn, as nobody has decided where it lies. Always 0.
static UNDECIDED: PrivateWord = PrivateWord::new(0);

/// The nonce where the kernel clears no page; the fork handler does it. 0: not drawn yet.
static WITHOUT_PAGE: PrivateWord = PrivateWord::new(0);

/// The nonce of this process: random, never 0, another one in every process and after every fork.
///
/// Two loads after the first call. Never fails and does not block.
#[inline(always)]
pub fn nonce() -> u64 {
    match PLACE.word().load_acquire() {
        0 => first_nonce(),
        nonce => nonce,
    }
}

#[cold]
fn first_nonce() -> u64 {
    let mut word = PLACE.word();
    if ptr::eq(word, &UNDECIDED) {
        word = decide(wiped_page(wipe_on_fork));
    }
    draw(word)
}

/// Draws a nonce unless another thread of this process was first.
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
fn decide(page: Option<*mut c_void>) -> &'static PrivateWord {
    let mine = match page {
        // SAFETY: readable, writable, aligned, unmapped below only if nobody saw it, and in a forked child at most
        // cleared; any bytes are a valid word.
        Some(page) => unsafe { &*page.cast::<PrivateWord>() },
        None => {
            // Out of memory, children are not noticed: `presence` then lets nobody attach.
            at_fork::register();
            &WITHOUT_PAGE
        }
    };
    let decided = PLACE.exchange(&UNDECIDED, mine);
    if let (Err(_), Some(page)) = (decided, page) {
        unmap(page);
    }
    decided.err().unwrap_or(mine)
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
        let word = &WITHOUT_PAGE;
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
