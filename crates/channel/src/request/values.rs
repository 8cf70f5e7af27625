//! How the values of channels cross the wire.

use weyr_managed::Error as PoolError;
use weyr_managed::wire::{Fields, Wire, read_bytes, write_bytes};

use crate::{ChannelDescriptor, Error};

/// A type whose fields follow each other, with the form and the meaning of each. A field that is not named here does not
/// compile.
macro_rules! record {
    ($name:ident { $($field:ident $form:literal $meaning:literal),* $(,)? }) => {
        impl weyr_managed::wire::Wire for $name {
            fn write(&self, to: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $(weyr_managed::wire::Wire::write($field, to);)*
            }

            fn read(from: &mut weyr_managed::wire::Fields<'_>) -> Result<Self, weyr_managed::Error> {
                Ok(Self { $($field: weyr_managed::wire::Wire::read(from)?),* })
            }
        }

        #[cfg(test)]
        impl $crate::request::values::Fielded for $name {
            const FIELDS: &'static [[&'static str; 3]] = &[$([stringify!($field), $form, $meaning]),*];
        }
    };
}

/// A type with variants: a number, then the variant's fields, each with its form. A variant or field that is not named
/// here does not compile.
macro_rules! choice {
    ($name:ident as $number:ident $called:literal {
        $($code:literal $variant:ident $(($part:ident $part_form:literal))?
            $({ $($field:ident $form:literal),* $(,)? })?),* $(,)?
    }) => {
        impl weyr_managed::wire::Wire for $name {
            fn write(&self, to: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($part))? $({ $($field),* })? => {
                        weyr_managed::wire::Wire::write(&($code as $number), to);
                        $(weyr_managed::wire::Wire::write($part, to);)?
                        $($(weyr_managed::wire::Wire::write($field, to);)*)?
                    })*
                }
            }

            fn read(from: &mut weyr_managed::wire::Fields<'_>) -> Result<Self, weyr_managed::Error> {
                let code: $number = weyr_managed::wire::Wire::read(from)?;
                Ok(match code {
                    $($code => Self::$variant
                        $(({ let $part = weyr_managed::wire::Wire::read(from)?; $part }))?
                        $({ $($field: weyr_managed::wire::Wire::read(from)?),* })?,)*
                    _ => {
                        let reason = concat!("it has a number that no ", $called, " of this version has");
                        return Err(from.damaged(reason));
                    }
                })
            }
        }

        #[cfg(test)]
        impl $crate::request::values::Varied for $name {
            const VARIANTS: &'static [$crate::request::values::Variant] = &[
                $(($code, stringify!($variant), &[
                    $([stringify!($part), $part_form],)?
                    $($([stringify!($field), $form],)*)?
                ]),)*
            ];
        }
    };
}

pub(super) use choice;
pub(crate) use record;

/// For the document: name, form and meaning of each field.
#[cfg(test)]
pub(crate) trait Fielded {
    const FIELDS: &'static [[&'static str; 3]];
}

/// Number and name of a variant; name and form of each of its fields.
#[cfg(test)]
pub(crate) type Variant = (u64, &'static str, &'static [[&'static str; 2]]);

/// For the document.
#[cfg(test)]
pub(crate) trait Varied {
    const VARIANTS: &'static [Variant];
}

impl Wire for ChannelDescriptor {
    fn write(&self, to: &mut Vec<u8>) {
        write_bytes(&self.to_bytes(), to);
    }

    fn read(from: &mut Fields<'_>) -> Result<Self, PoolError> {
        Self::from_bytes(read_bytes(from)?).map_err(|error| match error {
            Error::DamagedDescriptor { reason } => PoolError::DamagedDescriptor { reason },
            _ => from.damaged("it has no descriptor of a channel"),
        })
    }
}
