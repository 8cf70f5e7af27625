//! Structures in shared memory, declared once with their bytes.
//!
//! [`layout!`](crate::layout!) takes the size of the structure and the offset of each field in the source, and the
//! compiler holds them to it: whoever changes a byte of the format sees it in the diff. Fields are atomics or arrays
//! of them, so that any bytes are valid values and any process may change them at any time; pointers, `usize`,
//! booleans and enums cannot be named.

use weyr_atomic::{AtomicU8, AtomicU32, AtomicU64};

/// A type whose every bit pattern is a value and that may change under a shared reference.
///
/// # Safety
/// Only atomics, arrays of them, and structures made of nothing else with no padding.
pub unsafe trait Shareable: Send + Sync + 'static {}

// SAFETY: an atomic integer: any bytes are a value, and it may change under a shared reference.
unsafe impl Shareable for AtomicU8 {}
// SAFETY: as above.
unsafe impl Shareable for AtomicU32 {}
// SAFETY: as above.
unsafe impl Shareable for AtomicU64 {}
// SAFETY: an array has no padding of its own, so what holds for the element holds for it.
unsafe impl<T: Shareable, const N: usize> Shareable for [T; N] {}

/// One field of a [`Layout`], for documentation and dumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name in the source.
    pub name: &'static str,
    /// Type in the source.
    pub kind: &'static str,
    /// Bytes from the start of the structure.
    pub offset: usize,
    /// Unit, range, writer and meaning of zero, as the source says them.
    pub doc: &'static str,
}

/// A structure declared by [`layout!`](crate::layout!).
pub trait Layout: Shareable {
    /// Name in the source.
    const NAME: &'static str;
    /// Size in bytes.
    const SIZE: usize;
    /// What it is for.
    const DOC: &'static str;
    /// Every field, by offset.
    const FIELDS: &'static [Field];
}

/// Declares a structure that lives in shared memory, with its size, alignment and offsets.
///
/// ```
/// weyr_shared::layout! {
///     /// A counter with a name.
///     pub struct Counter: 16, align 8 {
///         /// Times counted; any process adds; zero at first.
///         0 => count: AtomicU64,
///         /// Bytes of the name; written once by the creator.
///         8 => name: [AtomicU8; 8],
///     }
/// }
/// # use weyr_atomic::{AtomicU64, AtomicU8};
/// assert_eq!(<Counter as weyr_shared::Layout>::FIELDS[1].offset, 8);
/// ```
///
/// An offset that is not where the field lies does not compile:
///
/// ```compile_fail,E0080
/// # use weyr_atomic::AtomicU64;
/// weyr_shared::layout! {
///     /// Wrong.
///     pub struct Wrong: 16, align 8 {
///         /// First.
///         0 => first: AtomicU64,
///         /// Second.
///         12 => second: AtomicU64,
///     }
/// }
/// ```
///
/// Nor does a field that is no atomic:
///
/// ```compile_fail,E0277
/// weyr_shared::layout! {
///     /// Wrong.
///     pub struct Wrong: 8, align 8 {
///         /// A pointer has no meaning in another process.
///         0 => address: *const u8,
///     }
/// }
/// ```
#[macro_export]
macro_rules! layout {
    (
        $(#[doc = $doc:literal])*
        $visibility:vis struct $name:ident: $size:literal, align $align:literal {
            $( $(#[doc = $field_doc:literal])* $offset:literal => $field:ident: $kind:ty ),+ $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[repr(C, align($align))]
        $visibility struct $name {
            $( $(#[doc = $field_doc])* $visibility $field: $kind, )+
        }

        // Under loom and the explorer atomics are larger than their values; there the bytes are not shared.
        #[cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]
        const _: () = {
            assert!(::core::mem::size_of::<$name>() == $size, "size of the layout");
            $( assert!(::core::mem::offset_of!($name, $field) == $offset, "offset of a field"); )+
            assert!(0 $( + ::core::mem::size_of::<$kind>() )+ == $size, "padding between fields");
        };

        const _: () = {
            const fn only_shareable<T: $crate::Shareable>() {}
            $( only_shareable::<$kind>(); )+
        };

        // SAFETY: each field is Shareable and there is no padding; both are checked above.
        unsafe impl $crate::Shareable for $name {}

        impl $crate::Layout for $name {
            const NAME: &'static str = stringify!($name);
            const SIZE: usize = $size;
            const DOC: &'static str = concat!($($doc),*);
            const FIELDS: &'static [$crate::Field] = &[
                $( $crate::Field {
                    name: stringify!($field),
                    kind: stringify!($kind),
                    offset: $offset,
                    doc: concat!($($field_doc),*),
                }, )+
            ];
        }

        impl $crate::Zeroed for $name {
            fn zeroed() -> Self {
                Self { $( $field: $crate::Zeroed::zeroed(), )+ }
            }
        }
    };
}
