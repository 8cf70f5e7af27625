//! Values as bytes: how each is written, and how it is read back from bytes that may be anybody's.
//!
//! The idea: a form is declared once, by its fields, and writing, reading, the document and the tests follow from it.
//! Every value has exactly one form, so that what is read is written as the same bytes again. What is read takes no
//! more memory than a small multiple of its bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Error;
use crate::frame::Fields;

#[cfg(test)]
use super::draw::Draw;

/// A value that crosses the wire.
pub trait Wire: Sized {
    /// Appends its bytes.
    fn write(&self, to: &mut Vec<u8>);

    /// Takes it from the front.
    ///
    /// # Errors
    /// That of the frame, when it is not there.
    fn read(from: &mut Fields<'_>) -> Result<Self, Error>;

    /// What the document calls its form.
    #[cfg(test)]
    fn form() -> String;

    /// Some value.
    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self;
}

/// The form of a value's type.
#[cfg(test)]
pub(crate) fn form_of<T: Wire>(_: &T) -> String {
    T::form()
}

/// A type whose fields follow each other. A field that is not named here does not compile.
macro_rules! record {
    ($name:ident $form:literal { $($field:ident $meaning:literal),* $(,)? }) => {
        impl $crate::request::wire::Wire for $name {
            fn write(&self, to: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($crate::request::wire::Wire::write($field, to);)*
            }

            fn read(from: &mut $crate::frame::Fields<'_>) -> Result<Self, $crate::Error> {
                Ok(Self { $($field: $crate::request::wire::Wire::read(from)?),* })
            }

            #[cfg(test)]
            fn form() -> String {
                $form.to_owned()
            }

            #[cfg(test)]
            fn draw(draw: &mut $crate::request::draw::Draw) -> Self {
                Self { $($field: $crate::request::wire::Wire::draw(draw)),* }
            }
        }

        #[cfg(test)]
        impl $crate::request::document::Record for $name {
            fn rows() -> Vec<[String; 3]> {
                let drawn: Self = $crate::request::wire::Wire::draw(&mut $crate::request::draw::Draw::new(0));
                let row = |name: &str, form, meaning: &str| [name.to_owned(), form, meaning.to_owned()];
                vec![$(row(stringify!($field), $crate::request::wire::form_of(&drawn.$field), $meaning)),*]
            }
        }
    };
}

/// A type with variants: a number, then the variant's fields. A variant or field that is not named here does not compile.
macro_rules! choice {
    ($name:ident as $number:ident $form:literal {
        $($code:literal $variant:ident $(($($part:ident),*))? $({ $($field:ident),* $(,)? })?),* $(,)?
    }) => {
        impl $crate::request::wire::Wire for $name {
            fn write(&self, to: &mut Vec<u8>) {
                match self {
                    $($name::$variant $(($($part),*))? $({ $($field),* })? => {
                        $crate::request::wire::Wire::write(&($code as $number), to);
                        $($($crate::request::wire::Wire::write($part, to);)*)?
                        $($($crate::request::wire::Wire::write($field, to);)*)?
                    })*
                }
            }

            fn read(from: &mut $crate::frame::Fields<'_>) -> Result<Self, $crate::Error> {
                let code: $number = $crate::request::wire::Wire::read(from)?;
                Ok(match code {
                    $($code => $name::$variant
                        $(($({ let $part = $crate::request::wire::Wire::read(from)?; $part }),*))?
                        $({ $($field: $crate::request::wire::Wire::read(from)?),* })?,)*
                    _ => return Err(from.damaged(concat!("it has a number that no ", $form, " of this version has"))),
                })
            }

            #[cfg(test)]
            fn form() -> String {
                $form.to_owned()
            }

            #[cfg(test)]
            fn draw(draw: &mut $crate::request::draw::Draw) -> Self {
                let mut each = <Self as $crate::request::document::Choice>::each(draw);
                each.swap_remove(draw.below(each.len()))
            }
        }

        #[cfg(test)]
        impl $crate::request::document::Choice for $name {
            fn each(draw: &mut $crate::request::draw::Draw) -> Vec<Self> {
                let _unless_no_variant_has_fields = &draw;
                vec![$($name::$variant
                    $(($({ let $part = $crate::request::wire::Wire::draw(draw); $part }),*))?
                    $({ $($field: $crate::request::wire::Wire::draw(draw)),* })?),*]
            }

            fn fields(&self) -> (u64, &'static str, Vec<(&'static str, String)>) {
                match self {
                    $($name::$variant $(($($part),*))? $({ $($field),* })? => {
                        let fields = vec![
                            $($((stringify!($part), $crate::request::wire::form_of($part)),)*)?
                            $($((stringify!($field), $crate::request::wire::form_of($field)),)*)?
                        ];
                        ($code, stringify!($variant), fields)
                    })*
                }
            }
        }
    };
}

pub(super) use {choice, record};

macro_rules! numbers {
    ($($number:ident)*) => {$(
        impl Wire for $number {
            fn write(&self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
                from.number().map($number::from_le_bytes)
            }

            #[cfg(test)]
            fn form() -> String {
                stringify!($number).to_owned()
            }

            #[cfg(test)]
            fn draw(draw: &mut Draw) -> Self {
                draw.number() as $number
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 u128 i32 }

impl Wire for usize {
    fn write(&self, to: &mut Vec<u8>) {
        (*self as u64).write(to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        let number = u64::read(from)?;
        number.try_into().map_err(|_| from.damaged("it has a number that is too large"))
    }

    #[cfg(test)]
    fn form() -> String {
        u64::form()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        draw.number() as usize
    }
}

impl Wire for () {
    fn write(&self, _to: &mut Vec<u8>) {}

    fn read(_from: &mut Fields<'_>) -> Result<Self, Error> {
        Ok(())
    }

    #[cfg(test)]
    fn form() -> String {
        "nothing".to_owned()
    }

    #[cfg(test)]
    fn draw(_draw: &mut Draw) -> Self {}
}

impl Wire for bool {
    fn write(&self, to: &mut Vec<u8>) {
        to.push((*self).into());
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        match u8::read(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(from.damaged("it says neither yes nor no")),
        }
    }

    #[cfg(test)]
    fn form() -> String {
        "bool".to_owned()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        draw.below(2) == 1
    }
}

/// Length, then bytes.
pub fn write_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    (bytes.len() as u32).write(to);
    to.extend(bytes);
}

/// The bytes behind their length.
///
/// # Errors
/// That of the frame, when they are not there.
pub fn read_bytes<'b>(from: &mut Fields<'b>) -> Result<&'b [u8], Error> {
    let bytes = u32::read(from)?;
    from.take(bytes as usize)
}

impl Wire for String {
    fn write(&self, to: &mut Vec<u8>) {
        write_bytes(self.as_bytes(), to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        let text = str::from_utf8(read_bytes(from)?);
        text.map(str::to_owned).map_err(|_| from.damaged("it has text that is not UTF-8"))
    }

    #[cfg(test)]
    fn form() -> String {
        "text".to_owned()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        draw.text()
    }
}

impl Wire for PathBuf {
    fn write(&self, to: &mut Vec<u8>) {
        write_bytes(self.as_os_str().as_bytes(), to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        Ok(OsStr::from_bytes(read_bytes(from)?).into())
    }

    #[cfg(test)]
    fn form() -> String {
        "path".to_owned()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        let bytes: Vec<u8> = (0..draw.below(9)).map(|_| draw.number() as u8).collect();
        OsStr::from_bytes(&bytes).into()
    }
}

impl Wire for Duration {
    fn write(&self, to: &mut Vec<u8>) {
        self.as_secs().write(to);
        self.subsec_nanos().write(to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        match (u64::read(from)?, u32::read(from)?) {
            (seconds, nanoseconds @ ..1_000_000_000) => Ok(Duration::new(seconds, nanoseconds)),
            _ => Err(from.damaged("it has a second of too many nanoseconds")),
        }
    }

    #[cfg(test)]
    fn form() -> String {
        "duration".to_owned()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        Duration::new(draw.number(), draw.below(1_000_000_000) as u32)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, to: &mut Vec<u8>) {
        T::write(self, to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        T::read(from).map(Self::new)
    }

    #[cfg(test)]
    fn form() -> String {
        T::form()
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        Self::new(T::draw(draw))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_some().write(to);
        self.iter().for_each(|value| value.write(to));
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }

    #[cfg(test)]
    fn form() -> String {
        format!("optional {}", T::form())
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        (draw.below(2) == 1).then(|| T::draw(draw))
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u32).write(to);
        self.iter().for_each(|value| value.write(to));
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        // The count is believed only as far as there are bytes.
        let count = u32::read(from)?;
        (0..count).map(|_| T::read(from)).collect()
    }

    #[cfg(test)]
    fn form() -> String {
        format!("list of {}", T::form())
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        (0..draw.below(4)).map(|_| T::draw(draw)).collect()
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u32).write(to);
        for (key, value) in self {
            key.write(to);
            value.write(to);
        }
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, Error> {
        let mut map = Self::new();
        for _ in 0..u32::read(from)? {
            let (key, value) = (K::read(from)?, V::read(from)?);
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(from.damaged("it has a table that is not in order"));
            }
            map.insert(key, value);
        }
        Ok(map)
    }

    #[cfg(test)]
    fn form() -> String {
        format!("table of {} to {}", K::form(), V::form())
    }

    #[cfg(test)]
    fn draw(draw: &mut Draw) -> Self {
        (0..draw.below(4)).map(|_| (K::draw(draw), V::draw(draw))).collect()
    }
}
