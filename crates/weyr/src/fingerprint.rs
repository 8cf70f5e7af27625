//! One number for a type, by which two programs know that they mean the same.
//!
//! It is made of how values become bytes, of the name of the type without the modules in which it stands (two programs
//! have it in different ones), and of its size and alignment where these are its bytes. So it notices another type, and
//! most changes of one; what it cannot see is two types of one name and one size.

use std::any::type_name;
use std::num::NonZeroU64;

/// The fingerprint of `T`, whose values become bytes as `form` says; `shape`: its size and alignment, in bytes, if
/// they matter.
pub(crate) fn of<T: ?Sized>(form: &str, shape: (usize, usize)) -> NonZeroU64 {
    let described = format!("{form}|{}|{}|{}", without_modules(type_name::<T>()), shape.0, shape.1);
    NonZeroU64::new(fnv_1a(described.as_bytes())).unwrap_or(NonZeroU64::MIN)
}

/// `a::B<c::d::E, u8>` as `B<E, u8>`.
fn without_modules(name: &str) -> String {
    let mut short = String::new();
    let mut word = 0;
    for letter in name.chars() {
        match letter {
            ':' => short.truncate(word),
            _ => short.push(letter),
        }
        if !letter.is_alphanumeric() && letter != '_' && letter != ':' {
            word = short.len();
        }
    }
    short
}

/// The hash of Fowler, Noll and Vo, of 64 bits: the same in every build, for it travels.
fn fnv_1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    mod here {
        pub(super) struct Reading;
    }
    mod there {
        pub(super) struct Reading;
    }

    #[test]
    fn modules_do_not_count_and_all_else_does() {
        assert_eq!(without_modules("a::b_c::Pair<d::E, [alloc::vec::Vec<u8>; 3]>"), "Pair<E, [Vec<u8>; 3]>");
        assert_eq!(of::<here::Reading>("data", (8, 4)), of::<there::Reading>("data", (8, 4)));
        let numbers = [
            of::<here::Reading>("data", (8, 4)),
            of::<here::Reading>("data", (8, 8)),
            of::<here::Reading>("data", (4, 4)),
            of::<here::Reading>("encoded", (8, 4)),
            of::<Vec<here::Reading>>("data", (8, 4)),
            of::<[here::Reading]>("data", (8, 4)),
        ];
        for (index, number) in numbers.iter().enumerate() {
            assert!(!numbers[..index].contains(number), "{index}");
        }
    }

    #[test]
    fn it_is_the_same_in_every_build() {
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
