//! Channels of plain data.

use std::num::NonZeroU64;

use weyr_channel::Channel;
use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

use super::{Receiver, Sender};
use crate::plain::check_alignment;
use crate::{Error, fingerprint};

/// Data that is its bytes, but whose bytes may have to be looked at before they are believed: no padding, no references,
/// no interior mutability. All [`Plain`](crate::Plain) types, and those with `bool`, `char` or enums in them.
///
/// ```
/// use weyr::zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};
/// #[derive(TryFromBytes, IntoBytes, Immutable, KnownLayout)]
/// #[repr(u8)]
/// enum Light { Red, Amber, Green }
/// fn checked<T: weyr::typed::Checked + ?Sized>() {}
/// checked::<Light>();
/// checked::<[u64]>();
/// ```
/// ```compile_fail,E0277
/// fn checked<T: weyr::typed::Checked + ?Sized>() {}
/// checked::<&'static u8>();
/// ```
pub trait Checked: TryFromBytes + IntoBytes + Immutable + KnownLayout {
    /// Size and alignment of it, or of an element of it, in bytes.
    #[doc(hidden)]
    const SHAPE: (usize, usize);

    /// The number by which two programs know that they mean the same type.
    fn fingerprint() -> NonZeroU64 {
        fingerprint::of::<Self>("data", Self::SHAPE)
    }

    /// Whether it can lie at the start of an allocation.
    ///
    /// # Errors
    /// [`Error::Misaligned`].
    #[doc(hidden)]
    fn check_alignment() -> Result<(), Error>;
}

impl<T: TryFromBytes + IntoBytes + Immutable + KnownLayout> Checked for T {
    const SHAPE: (usize, usize) = (size_of::<T>(), align_of::<T>());

    fn check_alignment() -> Result<(), Error> {
        check_alignment::<T>()
    }
}

impl<T: TryFromBytes + IntoBytes + Immutable + KnownLayout> Checked for [T] {
    const SHAPE: (usize, usize) = (size_of::<T>(), align_of::<T>());

    fn check_alignment() -> Result<(), Error> {
        check_alignment::<T>()
    }
}

/// Typed handles of a channel.
pub trait TypedChannel {
    /// A handle that sends values.
    ///
    /// ```
    /// use weyr::prelude::*;
    /// use weyr::zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
    /// # let name = format!("doc-typed-channel-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// #[derive(Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
    /// #[repr(C)]
    /// struct Reading { celsius: f64, sensor: u64 }
    ///
    /// let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// let sender = channel.typed_sender::<Reading>()?;
    /// sender.send(&Reading { celsius: 20.5, sensor: 1 })?;
    ///
    /// let receiver = channel.typed_receiver::<Reading>()?;
    /// assert_eq!(receiver.receive()?, Reading { celsius: 20.5, sensor: 1 });
    /// assert!(channel.typed_sender::<u64>().is_err()); // the channel has its type
    /// # channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Misaligned`]; [`Error::Channel`] with [`OtherType`](weyr_channel::Error::OtherType) when the users of
    /// the channel agreed on another type.
    fn typed_sender<T: Checked + ?Sized>(&self) -> Result<Sender<T>, Error>;

    /// A handle that receives values.
    ///
    /// # Errors
    /// As [`typed_sender`](Self::typed_sender).
    fn typed_receiver<T: Checked + ?Sized>(&self) -> Result<Receiver<T>, Error>;
}

impl TypedChannel for Channel {
    fn typed_sender<T: Checked + ?Sized>(&self) -> Result<Sender<T>, Error> {
        agree::<T>(self)?;
        Ok(Sender::new(self.sender(), self.block_size()))
    }

    fn typed_receiver<T: Checked + ?Sized>(&self) -> Result<Receiver<T>, Error> {
        agree::<T>(self)?;
        Ok(Receiver::new(self.receiver(), self.pool().clone(), self.block_size()))
    }
}

fn agree<T: Checked + ?Sized>(channel: &Channel) -> Result<(), Error> {
    T::check_alignment()?;
    Ok(channel.agree_on_type(T::fingerprint())?)
}
