//! Atomics facade of weyr: one source, four faces (std, loom, crash, explore).
pub use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, compiler_fence, fence};

/// A value that can be made in its all-zero form, under every face.
pub trait Zeroed {
    /// The all-zero value.
    fn zeroed() -> Self;
}
macro_rules! zeroed { ($($atomic:ty),*) => { $(impl Zeroed for $atomic { fn zeroed() -> Self { Self::new(0) } })* } }
zeroed!(AtomicU8, AtomicU32, AtomicU64);
impl<T: Zeroed, const N: usize> Zeroed for [T; N] {
    fn zeroed() -> Self {
        core::array::from_fn(|_| T::zeroed())
    }
}
