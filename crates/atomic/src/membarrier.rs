//! The asymmetric pair: the frequent side pays a compiler fence, the rare side a system call.
//!
//! Source: `membarrier(2)`. A process that has called [`heavy_barrier`] knows that every other process either has
//! its earlier stores visible, or will see in its later loads what the caller stored before. [`light_barrier`]
//! stands between the store and the load of the frequent side. Both sides are needed: the heavy one alone orders
//! nothing that the compiler has already exchanged.

#[cfg(not(weyr_face = "explore"))]
use crate::Ordering;

/// The frequent side: keeps the compiler from moving a later load before an earlier store. Not an instruction,
/// except under loom, where it is a full fence because loom knows no system calls.
#[inline]
pub fn light_barrier() {
    #[cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]
    crate::compiler_fence(Ordering::SeqCst);
    #[cfg(weyr_face = "loom")]
    crate::fence(Ordering::SeqCst);
}

/// The rare side. `system` makes the call (`membarrier(2)`) and says whether it was made; its answer is returned,
/// and `false` means that nothing was ordered: the caller must take the way that needs no barrier.
///
/// Blocks for as long as `system` does. Under loom it is a full fence, under explore every process's store buffer
/// is drained; there `system` is not called and the answer is `true`.
#[cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]
#[inline]
pub fn heavy_barrier(system: impl FnOnce() -> bool) -> bool {
    crate::compiler_fence(Ordering::SeqCst);
    let made = system();
    crate::compiler_fence(Ordering::SeqCst);
    made
}

/// The rare side: under loom a full fence; `system` is not called, the answer is `true`.
#[cfg(weyr_face = "loom")]
pub fn heavy_barrier(_system: impl FnOnce() -> bool) -> bool {
    crate::fence(Ordering::SeqCst);
    true
}

/// The rare side: under explore one step that drains the store buffers of all processes; `system` is not called,
/// the answer is `true`.
#[cfg(weyr_face = "explore")]
pub fn heavy_barrier(_system: impl FnOnce() -> bool) -> bool {
    crate::explore::drain_everybody();
    true
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::{heavy_barrier, light_barrier};

    #[test]
    fn the_heavy_side_reports_whether_the_system_ordered_anything() {
        light_barrier();
        assert!(heavy_barrier(|| true));
        assert!(!heavy_barrier(|| false));
    }
}
