//! Which types can lie in shared memory, and how they fit into it.

use std::any::type_name;
use std::mem::{align_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Error;

/// Alignment of every allocation, in bytes.
const ALLOCATION_ALIGNMENT: usize = 64;

/// Plain data: every bit pattern is a value, no padding, no references, no interior mutability.
///
/// Implemented for all types that are so, arrays and slices included; derive zerocopy's traits for structs. Types for
/// which some bytes are no value are refused, because other processes can write any bytes:
///
/// ```compile_fail,E0277
/// fn plain<T: weyr::Plain>() {}
/// plain::<bool>();
/// ```
/// ```compile_fail,E0277
/// fn plain<T: weyr::Plain>() {}
/// plain::<char>();
/// ```
/// ```compile_fail,E0277
/// #[derive(zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
/// #[repr(u8)]
/// enum Colour { Red, Green }
/// fn plain<T: weyr::Plain>() {}
/// plain::<Colour>();
/// ```
/// ```compile_fail,E0277
/// fn plain<T: weyr::Plain>() {}
/// plain::<&'static u8>();
/// ```
/// ```
/// #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
/// #[repr(C)]
/// struct Colour { red: u8, green: u8 }
/// fn plain<T: weyr::Plain + ?Sized>() {}
/// plain::<Colour>();
/// plain::<[Colour]>();
/// ```
pub trait Plain: FromBytes + IntoBytes + Immutable + KnownLayout {}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + ?Sized> Plain for T {}

/// Checks that one `T`, or one element of a slice of them, can lie at the start of an allocation.
pub(crate) fn check_alignment<T>() -> Result<(), Error> {
    let (needed, given) = (align_of::<T>(), ALLOCATION_ALIGNMENT);
    if needed > given {
        return Err(Error::Misaligned { needed, given, type_name: type_name::<T>() });
    }
    Ok(())
}

/// How many bytes a `Self` may have, and how the error calls it. For `T` and `[T]`.
pub trait Fit: Plain {
    /// Checks that `bytes` bytes at the start of an allocation are a `Self`.
    ///
    /// # Errors
    /// [`Error::WrongSize`], [`Error::Misaligned`].
    fn check(bytes: u64) -> Result<(), Error>;
}

impl<T: Plain> Fit for T {
    fn check(bytes: u64) -> Result<(), Error> {
        check_alignment::<T>()?;
        let size = size_of::<T>();
        let expected = || format!("it has exactly {size}");
        fits::<T>(bytes, bytes == size as u64, expected)
    }
}

impl<T: Plain> Fit for [T] {
    fn check(bytes: u64) -> Result<(), Error> {
        check_alignment::<T>()?;
        let size = size_of::<T>();
        let expected = || format!("it has a multiple of {size}");
        fits::<Self>(bytes, bytes.is_multiple_of(size.max(1) as u64), expected)
    }
}

fn fits<T: ?Sized>(found: u64, fits: bool, expected: impl FnOnce() -> String) -> Result<(), Error> {
    let error = || Error::WrongSize { found, expected: expected(), type_name: type_name::<T>() };
    fits.then_some(()).ok_or_else(error)
}

/// What zerocopy refuses after [`Fit::check`] held: never, but no panic either.
pub(crate) fn refused<T: ?Sized>(found: u64) -> Error {
    Error::WrongSize { found, expected: "its layout differs".into(), type_name: type_name::<T>() }
}

/// Byte offset of element `index` of `len`.
pub(crate) fn element<T>(index: usize, len: usize) -> Result<u64, Error> {
    if index >= len {
        return Err(Error::NoElement { index, len });
    }
    Ok((index * size_of::<T>()) as u64)
}
