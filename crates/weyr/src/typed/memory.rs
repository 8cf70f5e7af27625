//! Where typed memory comes from: pools and messages.

use weyr_channel::{Content, Message};
use weyr_managed::{AllocationDescriptor, Pool};

use crate::plain::{Fit, Plain};
use crate::{Error, Frozen, Owned, PoolAllocator, Shared};

/// Typed memory of a pool.
pub trait TypedPool {
    /// A copy of `data` in the pool, this process's alone. Takes values and slices.
    ///
    /// ```
    /// use weyr::prelude::*;
    /// # let name = format!("doc-typed-{}", std::process::id());
    /// # let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let number: Owned<u64> = pool.owned(&7)?;
    /// let numbers: Owned<[u64]> = pool.owned(&[1, 2, 3][..])?;
    /// assert_eq!((number.get()?, numbers.get(2)?), (7, 3));
    /// # drop((number, numbers));
    /// # pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Misaligned`]; [`Error::Pool`] as [`Pool::alloc`].
    fn owned<T: Fit + ?Sized>(&self, data: &T) -> Result<Owned<T>, Error>;

    /// `len` elements, all of them zero, this process's alone.
    ///
    /// # Errors
    /// As [`owned`](Self::owned).
    fn owned_zeroed<T: Plain>(&self, len: usize) -> Result<Owned<[T]>, Error>;

    /// An allocator for collections of this process, which lie in the pool.
    ///
    /// # Errors
    /// [`Error::Pool`] unless the pool is [cooperative](Pool::cooperative), or where it cannot be joined.
    fn allocator(&self) -> Result<PoolAllocator, Error>;

    /// Frozen memory that another process has named.
    ///
    /// # Errors
    /// [`Error::NotFrozen`], [`Error::WrongSize`]; [`Error::Pool`] as [`Pool::open`].
    fn open_frozen<T: Fit + ?Sized>(&self, descriptor: &AllocationDescriptor) -> Result<Frozen<T>, Error>;

    /// Shared memory that another process has named. Errors as [`open_frozen`](Self::open_frozen).
    ///
    /// # Errors
    /// [`Error::WrongSize`]; [`Error::Pool`] as [`Pool::open`].
    fn open_shared<T: Fit + ?Sized>(&self, descriptor: &AllocationDescriptor) -> Result<Shared<T>, Error>;
}

impl TypedPool for Pool {
    fn owned<T: Fit + ?Sized>(&self, data: &T) -> Result<Owned<T>, Error> {
        let bytes = data.as_bytes();
        T::check(bytes.len() as u64)?;
        let mut allocation = self.alloc(bytes.len() as u64)?;
        allocation.write(0, bytes)?;
        Owned::from_allocation(allocation)
    }

    fn owned_zeroed<T: Plain>(&self, len: usize) -> Result<Owned<[T]>, Error> {
        // More bytes than a u64 counts are more than any pool has: its own error says so.
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        <[T]>::check(0)?;
        let mut allocation = self.alloc(bytes)?;
        allocation.fill(0)?;
        Owned::from_allocation(allocation)
    }

    fn allocator(&self) -> Result<PoolAllocator, Error> {
        PoolAllocator::new(self)
    }

    fn open_frozen<T: Fit + ?Sized>(&self, descriptor: &AllocationDescriptor) -> Result<Frozen<T>, Error> {
        Frozen::from_published(self.open(descriptor)?)
    }

    fn open_shared<T: Fit + ?Sized>(&self, descriptor: &AllocationDescriptor) -> Result<Shared<T>, Error> {
        Shared::from_published(self.open(descriptor)?)
    }
}

/// Typed memory that a message carries.
pub trait TypedMessage {
    /// The data that the message carries, this process's alone from now on. Nothing is copied.
    ///
    /// # Errors
    /// [`Error::NoAllocation`], [`Error::WrongSize`], [`Error::Misaligned`]; what the message carried is dropped.
    fn into_owned<T: Fit + ?Sized>(self) -> Result<Owned<T>, Error>;

    /// The data to which the message refers, frozen: for everybody to read.
    ///
    /// # Errors
    /// [`Error::NotFrozen`], [`Error::WrongSize`], [`Error::Misaligned`]; what the message carried is dropped.
    fn into_frozen<T: Fit + ?Sized>(self) -> Result<Frozen<T>, Error>;

    /// The data that the message carries, which is the pool's again: for everybody to read and write.
    ///
    /// # Errors
    /// [`Error::NotPublished`], [`Error::WrongSize`], [`Error::Misaligned`]; what the message carried is dropped.
    fn into_shared<T: Fit + ?Sized>(self) -> Result<Shared<T>, Error>;
}

impl TypedMessage for Message {
    fn into_owned<T: Fit + ?Sized>(self) -> Result<Owned<T>, Error> {
        Owned::from_allocation(self.into_allocation().ok_or(Error::NoAllocation)?)
    }
    fn into_frozen<T: Fit + ?Sized>(self) -> Result<Frozen<T>, Error> {
        match self.into_content() {
            Content::Frozen(frozen) => Frozen::from_published(frozen),
            _ => Err(Error::NotFrozen),
        }
    }

    fn into_shared<T: Fit + ?Sized>(self) -> Result<Shared<T>, Error> {
        match self.into_content() {
            Content::Published { published, .. } => Shared::from_published(published),
            _ => Err(Error::NotPublished),
        }
    }
}
