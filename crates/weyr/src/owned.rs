//! Plain data with one owner.

use std::fmt;
use std::marker::PhantomData;

use weyr_channel::{OutgoingMessage, SendError, Sender};
use weyr_managed::Allocation;
use zerocopy::IntoBytes as _;

use crate::plain::{self, Fit, Plain};
use crate::{Error, Frozen, Shared};

/// A `T` in a pool that this process alone has: freed when dropped, or when the process dies.
///
/// It is given away by [`freeze`](Self::freeze), [`share`](Self::share) and [`send`](Self::send), each of which
/// consumes it.
///
/// ```compile_fail,E0382
/// # fn no(owned: weyr::Owned<u64>) -> Result<(), weyr::Error> {
/// let frozen = owned.freeze()?;
/// owned.get()?; // given up: nobody may write it, so nobody owns it
/// # Ok(()) }
/// ```
/// ```compile_fail,E0382
/// # fn no(mut owned: weyr::Owned<u64>) -> Result<(), weyr::Error> {
/// let shared = owned.share()?;
/// owned.set(&1)?; // everybody's now
/// # Ok(()) }
/// ```
/// ```compile_fail,E0382
/// # fn no(owned: weyr::Owned<u64>, sender: weyr::Sender) -> Result<(), Box<dyn std::error::Error>> {
/// owned.send(&sender)?;
/// owned.get()?; // the receiver's now
/// # Ok(()) }
/// ```
/// ```
/// # fn yes(mut owned: weyr::Owned<u64>, sender: weyr::Sender) -> Result<(), Box<dyn std::error::Error>> {
/// owned.set(&1)?;
/// owned.get()?;
/// owned.send(&sender)?;
/// # Ok(()) }
/// ```
#[must_use = "dropping it frees the memory"]
pub struct Owned<T: ?Sized> {
    allocation: Allocation,
    plain: PhantomData<Box<T>>,
}

/// Made of, and turned into, bytes.
impl<T: Fit + ?Sized> Owned<T> {
    /// The `T` that the bytes of `allocation` are, whatever they are.
    ///
    /// # Errors
    /// [`Error::WrongSize`], [`Error::Misaligned`]; the allocation is freed.
    pub fn from_allocation(allocation: Allocation) -> Result<Self, Error> {
        T::check(allocation.len())?;
        Ok(Self { allocation, plain: PhantomData })
    }

    /// Its bytes.
    pub fn into_allocation(self) -> Allocation {
        self.allocation
    }

    /// The data in place. Does not block.
    ///
    /// ```
    /// use weyr::prelude::*;
    /// # let name = format!("doc-owned-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let owned = pool.owned(&7_u64)?;
    /// assert!(owned.as_ref().is_err()); // nobody vouched for those who map the pool
    /// assert_eq!(owned.get()?, 7); // a copy needs no trust
    ///
    /// // SAFETY: only this program's processes open the pool.
    /// let pool = pool.cooperative(unsafe { Cooperative::assume() });
    /// let mut owned = pool.owned(&7_u64)?;
    /// *owned.as_mut()? += 1;
    /// assert_eq!(*owned.as_ref()?, 8);
    /// # drop(owned);
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Pool`] unless the pool is [cooperative](weyr_managed::Pool::cooperative), or in a forked child.
    pub fn as_ref(&self) -> Result<&T, Error> {
        let bytes = self.allocation.as_slice()?;
        T::ref_from_bytes(bytes).map_err(|_| plain::refused::<T>(self.allocation.len()))
    }

    /// The data in place, to change. Does not block. Errors as [`as_ref`](Self::as_ref).
    ///
    /// # Errors
    /// As [`as_ref`](Self::as_ref).
    pub fn as_mut(&mut self) -> Result<&mut T, Error> {
        let found = self.allocation.len();
        let bytes = self.allocation.as_mut_slice()?;
        T::mut_from_bytes(bytes).map_err(|_| plain::refused::<T>(found))
    }

    /// Replaces all of the data by a copy of `data`, which must have as many elements. Does not block.
    ///
    /// # Errors
    /// [`Error::Pool`] when it has more, or in a forked child.
    pub fn set(&mut self, data: &T) -> Result<(), Error> {
        Ok(self.allocation.write(0, data.as_bytes())?)
    }

    /// Gives it up for good: nobody writes it any more, and everybody who has its descriptor may read it.
    ///
    /// # Errors
    /// [`Error::Pool`] in a forked child, or when shared memory was spoilt; it is freed then.
    pub fn freeze(self) -> Result<Frozen<T>, Error> {
        Frozen::from_published(self.allocation.freeze()?)
    }

    /// Gives it to everybody who has its descriptor, to read and to write by copies.
    ///
    /// # Errors
    /// As [`freeze`](Self::freeze).
    pub fn share(self) -> Result<Shared<T>, Error> {
        Shared::from_published(self.allocation.publish()?)
    }

    /// Sends it, without a copy, waiting for room without limit. From its return on it is the channel's, then the
    /// receiver's, whoever dies.
    ///
    /// # Errors
    /// As [`Sender::send_allocation`]; each gives it back.
    pub fn send(self, to: &Sender) -> Result<(), SendError<Self>> {
        self.send_as(to.message())
    }

    pub(crate) fn send_as(self, message: OutgoingMessage<'_>) -> Result<(), SendError<Self>> {
        message.send_allocation(self.allocation).map_err(|failed| SendError {
            error: failed.error,
            payload: failed.payload.map(|allocation| Self { allocation, plain: PhantomData }),
        })
    }
}

/// One value.
impl<T: Plain> Owned<T> {
    /// A copy of the value. Does not block.
    ///
    /// # Errors
    /// [`Error::Pool`] in a forked child.
    pub fn get(&self) -> Result<T, Error> {
        let mut value = T::new_zeroed();
        self.allocation.read(0, value.as_mut_bytes())?;
        Ok(value)
    }
}

/// Elements.
impl<T: Plain> Owned<[T]> {
    /// Elements there are.
    pub fn len(&self) -> usize {
        self.allocation.len() as usize / size_of::<T>().max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of element `index`. Does not block.
    ///
    /// # Errors
    /// [`Error::NoElement`]; [`Error::Pool`] in a forked child.
    pub fn get(&self, index: usize) -> Result<T, Error> {
        let mut value = T::new_zeroed();
        self.allocation.read(plain::element::<T>(index, self.len())?, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Replaces element `index`. Does not block. Errors as [`get`](Self::get).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn set_element(&mut self, index: usize, value: &T) -> Result<(), Error> {
        Ok(self.allocation.write(plain::element::<T>(index, self.len())?, value.as_bytes())?)
    }

    /// Copies the elements into the whole of `into`, which must be as long. Does not block.
    ///
    /// # Errors
    /// [`Error::NoElement`] when `into` is longer; [`Error::Pool`] in a forked child.
    pub fn copy_to(&self, into: &mut [T]) -> Result<(), Error> {
        if into.len() > self.len() {
            return Err(Error::NoElement { index: into.len() - 1, len: self.len() });
        }
        Ok(self.allocation.read(0, into.as_mut_bytes())?)
    }
}

impl<T: ?Sized> fmt::Debug for Owned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owned").field(&self.allocation.reference()).finish()
    }
}
