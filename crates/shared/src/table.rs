//! Arrays in shared memory that keep what they lie in alive.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::Shareable;

/// What a table lies in: a mapping, or a vector of its own.
type Keep = Arc<dyn Any + Send + Sync>;

/// Elements one behind the other; derefs to a slice.
///
/// Protocol code takes tables, so that it runs the same over a pool and over a model's own vectors.
pub struct Table<T> {
    first: NonNull<T>,
    count: usize,
    _keep: Keep,
}

impl<T: Shareable> Table<T> {
    /// A table of its own memory, for models and tests.
    pub fn from_vec(elements: Vec<T>) -> Self {
        let elements: Arc<Vec<T>> = Arc::new(elements);
        let first = NonNull::from(elements.as_slice()).cast();
        Self { first, count: elements.len(), _keep: elements }
    }

    /// # Safety
    /// `first` is aligned and valid for `count` elements as long as `keep` lives.
    pub(crate) unsafe fn from_raw(first: *mut T, count: usize, keep: Keep) -> Self {
        // SAFETY: the caller's address lies in a mapping, so it is not null.
        let first = unsafe { NonNull::new_unchecked(first) };
        Self { first, count, _keep: keep }
    }
}

impl<T: Shareable> Table<T> {
    /// Element `index` by itself, for who uses it so often that looking it up would count. None beyond the end.
    pub fn element(&self, index: usize) -> Option<Element<T>> {
        let place = NonNull::from(self.get(index)?);
        Some(Element { place, _keep: Arc::clone(&self._keep) })
    }
}

/// One element in shared memory, which it keeps alive; derefs to it.
pub struct Element<T> {
    place: NonNull<T>,
    _keep: Keep,
}

impl<T> Deref for Element<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: an aligned T lies there while `_keep` lives, which is as long as `self`.
        unsafe { self.place.as_ref() }
    }
}

impl<T> Clone for Element<T> {
    fn clone(&self) -> Self {
        Self { place: self.place, _keep: Arc::clone(&self._keep) }
    }
}

impl<T> fmt::Debug for Element<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Element")
    }
}

// SAFETY: hands out only `&T`, and T is Sync.
unsafe impl<T: Sync> Send for Element<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Element<T> {}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: valid for `count` aligned elements while `_keep` lives, which is as long as `self`.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { first: self.first, count: self.count, _keep: Arc::clone(&self._keep) }
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} elements)", self.count)
    }
}

// SAFETY: hands out only `&T`, and T is Sync.
unsafe impl<T: Sync> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Table<T> {}

/// Elements a fixed number of bytes apart.
pub struct Strided<T> {
    first: NonNull<u8>,
    stride: usize,
    count: usize,
    _keep: Keep,
    _element: PhantomData<T>,
}

impl<T: Shareable> Strided<T> {
    /// A table of its own memory, for models and tests.
    pub fn from_vec(elements: Vec<T>) -> Self {
        let elements: Arc<Vec<T>> = Arc::new(elements);
        let first = NonNull::from(elements.as_slice()).cast();
        Self { first, stride: size_of::<T>(), count: elements.len(), _keep: elements, _element: PhantomData }
    }

    /// # Safety
    /// An aligned T lies at each of `count` places `stride` bytes apart from `first` on, as long as `keep` lives.
    pub(crate) unsafe fn from_raw(first: *mut u8, stride: usize, count: usize, keep: Keep) -> Self {
        // SAFETY: the caller's address lies in a mapping, so it is not null.
        let first = unsafe { NonNull::new_unchecked(first) };
        Self { first, stride, count, _keep: keep, _element: PhantomData }
    }

    /// Element `index`, or none beyond the end.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.count {
            return None;
        }
        // SAFETY: `index` is below `count`, so the place lies inside what `_keep` keeps.
        let place = unsafe { self.first.as_ptr().add(index * self.stride) };
        // SAFETY: an aligned T lies there while `_keep` lives, which is as long as `self`.
        Some(unsafe { &*place.cast::<T>() })
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl<T> Clone for Strided<T> {
    fn clone(&self) -> Self {
        Self { _keep: Arc::clone(&self._keep), ..*self }
    }
}

impl<T> fmt::Debug for Strided<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Strided({} elements, {} bytes apart)", self.count, self.stride)
    }
}

// SAFETY: hands out only `&T`, and T is Sync.
unsafe impl<T: Sync> Send for Strided<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Strided<T> {}
