//! Values that fresh memory already holds.
//!
//! Fresh shared memory is all zero, and all-zero is the valid, empty value of every shared structure. Where the
//! memory is real nobody calls this; under loom, and in models, structures must be constructed, and this is how.

use crate::{AtomicU8, AtomicU32, AtomicU64};

/// A type whose value of all-zero bytes is valid and means empty.
pub trait Zeroed {
    /// The value that fresh memory holds.
    fn zeroed() -> Self;
}

macro_rules! zeroed_atomics {
    ($($name:ident),*) => {$(
        impl Zeroed for $name {
            fn zeroed() -> Self {
                Self::new(0)
            }
        }
    )*};
}

zeroed_atomics!(AtomicU8, AtomicU32, AtomicU64);

impl<T: Zeroed, const N: usize> Zeroed for [T; N] {
    fn zeroed() -> Self {
        core::array::from_fn(|_| T::zeroed())
    }
}

#[cfg(all(test, not(weyr_face = "loom")))]
mod tests {
    use super::Zeroed;
    use crate::{AtomicU8, AtomicU32, AtomicU64, Ordering};

    #[test]
    fn zeroed_values_and_arrays_of_them_hold_zero() {
        assert_eq!(AtomicU8::zeroed().load(Ordering::Relaxed), 0);
        assert_eq!(AtomicU32::zeroed().load(Ordering::Relaxed), 0);
        let rows: [[AtomicU64; 3]; 2] = Zeroed::zeroed();
        assert!(rows.iter().flatten().all(|word| word.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn atomics_have_the_size_and_alignment_of_their_value() {
        assert_eq!((size_of::<AtomicU8>(), align_of::<AtomicU8>()), (1, 1));
        assert_eq!((size_of::<AtomicU32>(), align_of::<AtomicU32>()), (4, 4));
        assert_eq!((size_of::<AtomicU64>(), align_of::<AtomicU64>()), (8, 8));
    }
}
