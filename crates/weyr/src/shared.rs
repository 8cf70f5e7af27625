//! Plain data that everybody reads and writes.

use std::fmt;
use std::marker::PhantomData;

use weyr_channel::{SendError, Sender};
use weyr_managed::{AllocationDescriptor, Published};
use weyr_shared::{Shareable, Table as Atomics};

use crate::plain::{self, Fit, Plain};
use crate::{Error, Frozen};

/// A `T` in a pool that everybody who has its descriptor may read and write, by copies.
///
/// There is never a reference to it: others write when they like. A copy taken while somebody writes can have bytes of
/// both values; let one process write, or agree by messages on whose turn it is.
///
/// Dropping it detaches; the memory lives until somebody [frees](Self::free) it.
///
/// ```compile_fail,E0599
/// # fn no(shared: weyr::Shared<u64>) -> Result<(), weyr::Error> {
/// let value: &u64 = shared.as_ref()?;
/// # Ok(()) }
/// ```
pub struct Shared<T: ?Sized> {
    published: Published,
    plain: PhantomData<Box<T>>,
}

impl<T: Fit + ?Sized> Shared<T> {
    /// The `T` that the bytes of `published` are.
    ///
    /// # Errors
    /// [`Error::WrongSize`], [`Error::Misaligned`].
    pub fn from_published(published: Published) -> Result<Self, Error> {
        T::check(published.len())?;
        Ok(Self { published, plain: PhantomData })
    }

    /// Replaces all of the data by a copy of `data`. Does not block.
    ///
    /// # Errors
    /// [`Error::Pool`] when `data` has more elements, or when it was frozen.
    pub fn set(&self, data: &T) -> Result<(), Error> {
        Ok(self.published.write(0, data.as_bytes())?)
    }

    /// All of it as atomics, in place, for what several change at once: the one kind of reference to shared data that
    /// needs nobody's word.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use weyr::prelude::*;
    /// # let name = format!("doc-atomics-{}", std::process::id());
    /// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    /// let counters = Shared::<[u64]>::from_published(pool.alloc(64)?.publish()?)?;
    /// counters.set(&[0; 8])?;
    /// counters.atomics::<AtomicU64>()?[3].fetch_add(2, Ordering::Relaxed);
    /// assert_eq!(counters.get(3)?, 2);
    /// counters.free()?;
    /// pool.destroy()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Pool`] when it was frozen.
    pub fn atomics<A: Shareable>(&self) -> Result<Atomics<A>, Error> {
        let count = self.published.len() / size_of::<A>().max(1) as u64;
        Ok(self.published.atomics(0, count)?)
    }

    /// Names it to other processes of this host.
    pub fn descriptor(&self) -> AllocationDescriptor {
        self.published.descriptor()
    }

    /// Gives it up for good: nobody may write it any more.
    ///
    /// # Errors
    /// [`Error::Pool`] when it is gone, or when this is a view.
    pub fn freeze(self) -> Result<Frozen<T>, Error> {
        Frozen::from_published(self.published.freeze()?)
    }

    /// Sends it, without a copy, waiting for room as the sender does. On its way nobody else can free, freeze or send
    /// it; then its receiver has it as it was.
    ///
    /// # Errors
    /// As [`Sender::send_published`]; each gives it back.
    pub fn send(self, to: &Sender) -> Result<(), SendError<Self>> {
        to.send_published(self.published).map_err(|failed| SendError {
            error: failed.error,
            payload: failed.payload.map(|published| Self { published, plain: PhantomData }),
        })
    }

    /// Frees the memory; other handles find it gone.
    ///
    /// # Errors
    /// [`Error::Pool`] when somebody freed it before, or when this is a view.
    pub fn free(self) -> Result<(), Error> {
        Ok(self.published.free()?)
    }
}

impl<T: Plain> Shared<T> {
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

impl<T: Plain> Shared<[T]> {
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

    /// Replaces element `index`. Does not block. Errors as [`get`](Self::get).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn set_element(&self, index: usize, value: &T) -> Result<(), Error> {
        Ok(self.published.write(plain::element::<T>(index, self.len())?, value.as_bytes())?)
    }
}

impl<T: ?Sized> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.published.reference()).finish()
    }
}
