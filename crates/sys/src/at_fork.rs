//! The handlers that run around the C library's fork(): pthread_atfork(3), registered once a process.
//!
//! They do two things: [`fork`](crate::fork) forgets a nonce that the kernel does not clear, and
//! [`presence`](crate::presence) keeps a half-taken lock out of the child. They run in the forking thread, use no
//! memory allocation and take only the lock of `presence`, and running them twice does what running them once does.
//!
//! What they do not do: clone(2) called directly does not run them.

use crate::private_word::PrivateWord;
use crate::{fork, presence};
use rustix::process::getpid;

const NOT_REGISTERED: u64 = 0;
const REGISTERED: u64 = u64::MAX;

/// [`NOT_REGISTERED`], [`REGISTERED`], or the pid of the process of which a thread is registering just now.
static STATE: PrivateWord = PrivateWord::new(NOT_REGISTERED);

/// Makes sure that the handlers are registered. False when the C library has no memory for them.
///
/// Waits for another thread that is at it. A child forked in the middle of that takes the step over: its handlers
/// may then be registered twice, which is harmless.
pub(crate) fn register() -> bool {
    let mine = getpid().as_raw_nonzero().get() as u64;
    loop {
        match STATE.load() {
            REGISTERED => return true,
            state if state == mine => std::thread::yield_now(),
            state => {
                if STATE.exchange(state, mine).is_ok() {
                    return finish(install());
                }
            }
        }
    }
}

fn finish(installed: bool) -> bool {
    STATE.store(if installed { REGISTERED } else { NOT_REGISTERED });
    installed
}

fn install() -> bool {
    // SAFETY: the three functions live as long as this library, and do only what is allowed around fork: atomic
    // operations, yielding, close and munmap.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) == 0 }
}

unsafe extern "C" fn prepare() {
    presence::hold_still_for_fork();
}

unsafe extern "C" fn parent() {
    presence::go_on_after_fork();
}

unsafe extern "C" fn child() {
    fork::forget_in_child();
    presence::drop_in_child();
}
