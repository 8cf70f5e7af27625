//! Numbers as bytes, and what reductions do with them.
//!
//! Bytes are in little-endian order. Each fold takes what the ranks before gave, then what the next rank gave, so that all who
//! fold the same get the same bits; where several are no number, which of them comes out is the machine's choice.

use weyr_shared::collective::{ElementType, Operation};

mod sealed {
    pub trait Sealed {}
}

/// A number that members of a group can reduce: `u8` to `u64`, `i8` to `i64`, `f32` and `f64`.
///
/// Sums of integers wrap. The lesser and the greater of a number and what is not a number is the number; of 0 and -0 it is
/// the one of the lower rank.
pub trait Element: Copy + sealed::Sealed {
    /// Which it is.
    const TYPE: ElementType;

    /// Appends the bytes of `values`.
    #[doc(hidden)]
    fn write_le(values: &[Self], to: &mut Vec<u8>);

    /// Makes `into` the values with these bytes, as many as there are of both.
    #[doc(hidden)]
    fn read_le(bytes: &[u8], into: &mut [Self]);

    /// Folds each value of `more` into the one at its place.
    #[doc(hidden)]
    fn fold(operation: Operation, into: &mut [u8], more: &[u8]);
}

/// Each at its place; a rest that is no whole value stays.
macro_rules! each {
    ($kind:ty, $into:ident, $more:ident, $with:expr) => {{
        const BYTES: usize = size_of::<$kind>();
        let with: fn($kind, $kind) -> $kind = $with;
        let (into, _) = $into.as_chunks_mut::<BYTES>();
        let (more, _) = $more.as_chunks::<BYTES>();
        for (into, more) in into.iter_mut().zip(more) {
            let folded = with(<$kind>::from_le_bytes(*into), <$kind>::from_le_bytes(*more));
            *into = folded.to_le_bytes();
        }
    }};
}

macro_rules! element {
    ($($kind:ty: $code:ident, $sum:expr, $bits:ident;)*) => {$(
        impl sealed::Sealed for $kind {}

        impl Element for $kind {
            const TYPE: ElementType = ElementType::$code;

            fn write_le(values: &[Self], to: &mut Vec<u8>) {
                to.reserve(size_of_val(values));
                values.iter().for_each(|value| to.extend_from_slice(&value.to_le_bytes()));
            }

            fn read_le(bytes: &[u8], into: &mut [Self]) {
                let (bytes, _) = bytes.as_chunks::<{ size_of::<$kind>() }>();
                into.iter_mut().zip(bytes).for_each(|(value, bytes)| *value = Self::from_le_bytes(*bytes));
            }

            fn fold(operation: Operation, into: &mut [u8], more: &[u8]) {
                match operation {
                    Operation::Sum => each!($kind, into, more, $sum),
                    Operation::Minimum => each!($kind, into, more, |a, b| if b < a || a != a { b } else { a }),
                    Operation::Maximum => each!($kind, into, more, |a, b| if b > a || a != a { b } else { a }),
                    other => $bits!($kind, other, into, more),
                }
            }
        }
    )*};
}

macro_rules! bitwise {
    ($kind:ty, $operation:ident, $into:ident, $more:ident) => {
        match $operation {
            Operation::And => each!($kind, $into, $more, |a, b| a & b),
            Operation::Or => each!($kind, $into, $more, |a, b| a | b),
            Operation::Xor => each!($kind, $into, $more, |a, b| a ^ b),
            _ => {}
        }
    };
}

/// What has no bits to reduce: it was refused before.
macro_rules! without_bits {
    ($kind:ty, $operation:ident, $into:ident, $more:ident) => {{
        let _ = $operation;
    }};
}

element! {
    u8: U8, Self::wrapping_add, bitwise;
    u16: U16, Self::wrapping_add, bitwise;
    u32: U32, Self::wrapping_add, bitwise;
    u64: U64, Self::wrapping_add, bitwise;
    i8: I8, Self::wrapping_add, bitwise;
    i16: I16, Self::wrapping_add, bitwise;
    i32: I32, Self::wrapping_add, bitwise;
    i64: I64, Self::wrapping_add, bitwise;
    f32: F32, |a, b| a + b, without_bits;
    f64: F64, |a, b| a + b, without_bits;
}
