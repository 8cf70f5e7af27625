//! The one promise of this command, and its only unsafe line.
#![allow(unsafe_code, reason = "references into payload need a promise about other processes")]

use weyr::{Cooperative, Pool};

/// A pool of the demo, whose payload is looked at in place.
pub(crate) fn cooperative(pool: Pool) -> Pool {
    // SAFETY: the pool is made for one run, with rights for this user alone and a name of its own; those who open it
    // are this command's processes, which reach payload through weyr's owners and leases only, and nobody truncates
    // the object.
    let word = unsafe { Cooperative::assume() };
    pool.cooperative(word)
}
