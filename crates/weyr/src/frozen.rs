//! Plain data that nobody writes any more.

use std::fmt;
use std::marker::PhantomData;

use weyr_channel::Sender;
use weyr_managed::{AllocationDescriptor, Published};

use crate::Error;
use crate::plain::{self, Fit, Plain};

/// A `T` in a pool that was given up for good: everybody may read it, nobody may write it.
///
/// Dropping it detaches; the memory lives until somebody [frees](Self::free) it.
///
/// ```compile_fail,E0599
/// # fn no(mut frozen: weyr::Frozen<u64>) -> Result<(), weyr::Error> {
/// frozen.set(&1)?;
/// # Ok(()) }
/// ```
pub struct Frozen<T: ?Sized> {
    published: Published,
    plain: PhantomData<Box<T>>,
}

impl<T: Fit + ?Sized> Frozen<T> {
    /// The `T` that the bytes of `published` are.
    ///
    /// # Errors
    /// [`Error::NotFrozen`], [`Error::WrongSize`], [`Error::Misaligned`].
    pub fn from_published(published: Published) -> Result<Self, Error> {
        T::check(published.len())?;
        if !published.is_frozen() {
            return Err(Error::NotFrozen);
        }
        Ok(Self { published, plain: PhantomData })
    }

    /// The data in place. Does not block.
    ///
    /// # Errors
    /// [`Error::Pool`] unless the pool is [cooperative](weyr_managed::Pool::cooperative).
    pub fn as_ref(&self) -> Result<&T, Error> {
        let bytes = self.published.as_slice()?;
        T::ref_from_bytes(bytes).map_err(|_| plain::refused::<T>(self.published.len()))
    }

    /// Names it to other processes of this host.
    pub fn descriptor(&self) -> AllocationDescriptor {
        self.published.descriptor()
    }

    /// Sends a reference to it, without a copy, waiting for room as the sender does. It stays as it is: it can be sent
    /// any number of times, and each receiver can read it.
    ///
    /// ```
    /// use weyr::prelude::*;
    /// # let name = format!("doc-frozen-send-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// # let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    /// let table = pool.owned(&[1_u32, 2, 3])?.freeze()?;
    /// table.send(&channel.sender())?;
    /// let received: Frozen<[u32; 3]> = channel.receive()?.into_frozen()?;
    /// assert_eq!(received.get()?, table.get()?);
    /// table.free()?; // for everybody
    /// # channel.destroy()?;
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Sender::send_frozen`].
    pub fn send(&self, to: &Sender) -> Result<(), weyr_channel::Error> {
        to.send_frozen(&self.published)
    }

    /// Frees the memory; other handles find it gone.
    ///
    /// # Errors
    /// [`Error::Pool`] when somebody freed it before, or when this is a view.
    pub fn free(self) -> Result<(), Error> {
        Ok(self.published.free()?)
    }
}

impl<T: Plain> Frozen<T> {
    /// A copy of the value. Does not block.
    ///
    /// # Errors
    /// [`Error::Pool`].
    pub fn get(&self) -> Result<T, Error> {
        let mut value = T::new_zeroed();
        self.published.read(0, value.as_mut_bytes())?;
        Ok(value)
    }
}

impl<T: Plain> Frozen<[T]> {
    /// Elements there are.
    pub fn len(&self) -> usize {
        self.published.len() as usize / size_of::<T>().max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of element `index`. Does not block.
    ///
    /// # Errors
    /// [`Error::NoElement`], [`Error::Pool`].
    pub fn get(&self, index: usize) -> Result<T, Error> {
        let mut value = T::new_zeroed();
        self.published.read(plain::element::<T>(index, self.len())?, value.as_mut_bytes())?;
        Ok(value)
    }
}

impl<T: ?Sized> fmt::Debug for Frozen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Frozen").field(&self.published.reference()).finish()
    }
}
