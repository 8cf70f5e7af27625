//! A memory barrier on every processor that runs a registered process: membarrier(2).
//!
//! One side of a protocol then needs only a compiler fence, while the rare side pays one system call (0.5 to 2 us).
//! It reaches only processes that have registered, so every participant registers when it attaches.
//!
//! What it does not do: it has no slow substitute. Where the call is refused (seccomp, a kernel without it) both
//! functions say so, and the caller must use fences on both sides.

use crate::fork;
use crate::private_word::PrivateWord;
use rustix::io::Errno;
use rustix::thread::{MembarrierCommand, membarrier};

/// Nonce of the process that has registered; 0: none. A forked child has another nonce and registers again.
static REGISTERED: PrivateWord = PrivateWord::new(0);

/// Registers this process as a receiver of [`expedited`] barriers. Repeated calls cost two loads.
///
/// Returns false when the kernel or a filter refuses membarrier(2); nothing is remembered then, and a later call
/// asks again. Does not block beyond the kernel's own scheduling grace period at the first call.
pub fn register() -> bool {
    register_through(ask_kernel)
}

fn ask_kernel() -> Result<(), Errno> {
    membarrier(MembarrierCommand::RegisterGlobalExpedited)
}

/// Returns when every running thread of every registered process has executed a full memory barrier.
///
/// The caller need not be registered itself; its own loads and stores are ordered too. False when refused: no
/// barrier has happened anywhere, the caller's own thread included.
#[must_use = "false means that no barrier has happened"]
pub fn expedited() -> bool {
    membarrier(MembarrierCommand::GlobalExpedited).is_ok()
}

fn register_through(ask: impl FnOnce() -> Result<(), Errno>) -> bool {
    let nonce = fork::nonce();
    if REGISTERED.load() == nonce {
        return true;
    }
    let registered = ask().is_ok();
    if registered {
        REGISTERED.store(nonce);
    }
    registered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registering_is_remembered_and_refusal_is_not() {
        assert!(!register_through(|| Err(Errno::NOSYS)));
        assert!(!register_through(|| Err(Errno::PERM)));
        let registered = register();
        assert_eq!(registered, expedited());
        if registered {
            assert!(register_through(|| panic!("a registered process asks again")));
        }
    }
}
