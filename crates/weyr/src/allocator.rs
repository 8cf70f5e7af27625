//! Collections of this process in a pool: an allocator, and the way of their buffers out of it.
//!
//! A block that the allocator gives out is an [`Allocation`] whose handle was forgotten; who gives it back takes the
//! handle back, and lets it do the rest. So blocks of collections are owned, counted, freed at a death and kept mapped
//! as all others are. Address and block begin together, so nothing is stored beside the bytes.
//!
//! This is the one file of the crate with unsafe code: the trait asks for it.
#![allow(unsafe_code, reason = "an allocator deals in addresses")]

use std::alloc::Layout;
use std::mem;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2::vec::Vec;
use weyr_managed::{Allocation, Error as PoolError, Forgotten, Pool};
use weyr_shared::PayloadError;
use weyr_sys::fork;
use zerocopy::{Immutable, IntoBytes};

use crate::plain::Plain;
use crate::{Error, Owned};

/// An allocator over a pool, for collections of this process: `Vec` and `Box` of `allocator-api2`, and whatever takes
/// its `Allocator`. Made by [`TypedPool::allocator`](crate::TypedPool::allocator). Cheap to clone; any thread may use
/// it, and free what another allocated.
///
/// What a collection owns in the pool is this process's, as an [`Allocation`] is: it is freed when it is dropped, or
/// when the process dies. It can hold anything, references and private pointers too, because nobody else reads it. It
/// leaves the collection as plain bytes only, by [`IntoAllocation`].
///
/// ```
/// use allocator_api2::vec::Vec;
/// use weyr::prelude::*;
/// # let name = format!("doc-allocator-{}", std::process::id());
/// let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
/// // SAFETY: only this program's processes open the pool.
/// let pool = pool.cooperative(unsafe { Cooperative::assume() });
/// let mut squares = Vec::new_in(pool.allocator()?);
/// squares.extend((0..1000_u64).map(|number| number * number));
///
/// let squares: Owned<[u64]> = squares.into_owned()?; // the same bytes, not copied
/// let squares = squares.freeze()?; // everybody may read them now
/// assert_eq!(squares.as_ref()?[30], 900);
/// squares.free()?;
/// # pool.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A full pool is an `AllocError`, so `try_reserve` fails; what cannot fail, such as `push`, ends the process then, as
/// it does without memory. A destroyed pool gives nothing new, and what collections have stays theirs.
///
/// It belongs to the process that made it. In a forked child it gives nothing, and what a copied collection drops there
/// stays the parent's: nothing is freed twice. Beyond that such a collection must not be used there, for its memory is
/// the parent's alone; that is part of what [`Cooperative`](crate::Cooperative) vouches for. The child makes an
/// allocator of its own.
#[derive(Debug, Clone)]
pub struct PoolAllocator {
    pool: Pool,
    /// Tells a forked child.
    nonce: u64,
}

impl PoolAllocator {
    pub(crate) fn new(pool: &Pool) -> Result<Self, Error> {
        if pool.cooperation().is_none() {
            return Err(PoolError::Payload(PayloadError::NotCooperative).into());
        }
        // So that the first collection does not meet the errors of joining.
        pool.actor()?;
        Ok(Self { pool: pool.clone(), nonce: fork::nonce() })
    }

    /// The pool that it allocates from.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    fn is_inherited(&self) -> bool {
        self.nonce != fork::nonce()
    }

    fn give_out(&self, layout: Layout, zeroed: bool) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        if self.is_inherited() {
            return Err(AllocError);
        }
        let (bytes, alignment) = (layout.size() as u64, layout.align() as u64);
        let found = if zeroed {
            self.pool.alloc_zeroed(bytes, alignment)
        } else {
            self.pool.alloc_aligned(bytes, alignment)
        };
        lend(found.map_err(refused)?)
    }

    /// The handle of a block that this gave out.
    ///
    /// # Safety
    /// As [`Forgotten::assume`]: `bytes` bytes at `address`, not nothing, were given out by this allocator or a clone,
    /// and nobody else takes them back.
    unsafe fn take_back(&self, address: NonNull<u8>, bytes: usize) -> Result<Allocation, PoolError> {
        if self.is_inherited() {
            return Err(PoolError::Forked);
        }
        // SAFETY: `lend` forgot the handle, which a clone of this pool's handle had made; the caller says that it was
        // here and that this is the one call, and no child passes the check above.
        self.pool.regain(address, bytes as u64, unsafe { Forgotten::assume() })
    }

    /// Makes a block fit `layout` where it lies; none if it cannot.
    ///
    /// # Safety
    /// As [`take_back`](Self::take_back); where there is a result it stands for the block instead of `address`.
    unsafe fn refit(
        &self,
        address: NonNull<u8>,
        old: Layout,
        layout: Layout,
        resize: fn(&mut Allocation, u64) -> Result<(), PoolError>,
    ) -> Option<NonNull<[u8]>> {
        if !address.addr().get().is_multiple_of(layout.align()) {
            return None;
        }
        // SAFETY: the caller's.
        let mut allocation = unsafe { self.take_back(address, old.size()) }.ok()?;
        let resized = resize(&mut allocation, layout.size() as u64);
        let place = lend(allocation).ok()?;
        resized.is_ok().then_some(place)
    }

    /// Copies a block into another that fits `layout`, and frees it.
    ///
    /// # Safety
    /// As [`Allocator::grow`] and [`Allocator::shrink`].
    unsafe fn move_to(
        &self,
        address: NonNull<u8>,
        old: Layout,
        layout: Layout,
        zeroed: bool,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let place = self.give_out(layout, zeroed)?;
        let kept = old.size().min(layout.size());
        // SAFETY: both blocks are this process's, at least so long, and two.
        unsafe { ptr::copy_nonoverlapping(address.as_ptr(), place.cast().as_ptr(), kept) };
        // SAFETY: the caller's block, which it does not use again where this succeeds.
        unsafe { self.deallocate(address, old) };
        Ok(place)
    }

    /// [`Allocator::grow`], and with zeros behind the old bytes if `zeroed`.
    ///
    /// # Safety
    /// As [`Allocator::grow`].
    unsafe fn extend(
        &self,
        address: NonNull<u8>,
        old: Layout,
        layout: Layout,
        zeroed: bool,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() == 0 {
            return self.give_out(layout, zeroed);
        }
        // SAFETY: the caller's.
        let mut place = unsafe { self.refit(address, old, layout, Allocation::resize_at_once) };
        if place.is_none() {
            // SAFETY: the caller's.
            let moved = unsafe { self.move_to(address, old, layout, zeroed) };
            if moved.is_ok() {
                return moved;
            }
            // Where there is no room for two, there may be for more of one.
            // SAFETY: the caller's.
            place = unsafe { self.refit(address, old, layout, Allocation::resize) };
        }
        let place = place.ok_or(AllocError)?;
        if zeroed {
            // SAFETY: the bytes behind the old ones, up to the end of the block.
            let added = unsafe { place.cast::<u8>().add(old.size()) };
            // SAFETY: as above; they are this process's.
            unsafe { added.write_bytes(0, layout.size() - old.size()) };
        }
        Ok(place)
    }
}

// SAFETY: what is given out is a block of the pool of this process alone, as long and as aligned as was asked for. It
// stays where it is, and mapped, until it is given back: the handle that was forgotten holds the mapping. A clone has
// the same pool handle, so it is the same allocator.
unsafe impl Allocator for PoolAllocator {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.give_out(layout, false)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.give_out(layout, true)
    }

    unsafe fn deallocate(&self, address: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 || self.is_inherited() {
            return;
        }
        // SAFETY: the caller's block, which it gives up.
        match unsafe { self.take_back(address, layout.size()) } {
            Ok(allocation) => drop(allocation),
            Err(error) => tracing::error!(%error, "a block of a collection is not freed; verify the pool"),
        }
    }

    unsafe fn grow(
        &self,
        address: NonNull<u8>,
        old: Layout,
        layout: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        unsafe { self.extend(address, old, layout, false) }
    }

    unsafe fn grow_zeroed(
        &self,
        address: NonNull<u8>,
        old: Layout,
        layout: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        unsafe { self.extend(address, old, layout, true) }
    }

    unsafe fn shrink(
        &self,
        address: NonNull<u8>,
        old: Layout,
        layout: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            // SAFETY: the caller's block, which it gives up.
            unsafe { self.deallocate(address, old) };
            return Ok(nothing(layout));
        }
        // SAFETY: the caller's.
        match unsafe { self.refit(address, old, layout, Allocation::resize_at_once) } {
            Some(place) => Ok(place),
            // SAFETY: the caller's.
            None => unsafe { self.move_to(address, old, layout, false) },
        }
    }
}

/// The place of no bytes.
fn nothing(layout: Layout) -> NonNull<[u8]> {
    // An alignment is not 0.
    let address = NonNull::new(ptr::without_provenance_mut(layout.align())).unwrap_or(NonNull::dangling());
    NonNull::slice_from_raw_parts(address, 0)
}

/// Gives out the address of an allocation instead of its handle, which is forgotten in any case: somebody may have the
/// address already.
fn lend(mut allocation: Allocation) -> Result<NonNull<[u8]>, AllocError> {
    let place = allocation.as_address();
    mem::forget(allocation);
    place.map_err(refused)
}

fn refused(error: PoolError) -> AllocError {
    tracing::debug!(%error, "a pool refuses a collection");
    AllocError
}

/// The way of a collection's buffer out of it: as the bytes that it is.
pub trait IntoAllocation<T>: Sized {
    /// The buffer as an allocation of as many bytes as its elements have; what was reserved beyond stays part of the
    /// block, so that it can be [resized](Allocation::resize_at_once) over it. Nothing is copied.
    ///
    /// Elements are not dropped: they are bytes from now on.
    ///
    /// # Errors
    /// [`Error::Pool`]: `Forked` in a child, what [`Pool::alloc`] gives for a vector that never allocated, and what
    /// spoilt shared memory gives. The buffer stays where it is then, until its process ends.
    fn into_allocation(self) -> Result<Allocation, Error>;

    /// The buffer as typed memory of as many elements, which can be frozen, shared and sent. Nothing is copied.
    ///
    /// # Errors
    /// As [`into_allocation`](Self::into_allocation); [`Error::Misaligned`], and then it is freed.
    fn into_owned(self) -> Result<Owned<[T]>, Error>
    where
        T: Plain,
    {
        Owned::from_allocation(self.into_allocation()?)
    }
}

impl<T: IntoBytes + Immutable> IntoAllocation<T> for Vec<T, PoolAllocator> {
    fn into_allocation(self) -> Result<Allocation, Error> {
        let (address, len, capacity, allocator) = self.into_raw_parts_with_alloc();
        let (bytes, room) = (len * size_of::<T>(), capacity * size_of::<T>());
        let Some(address) = NonNull::new(address.cast::<u8>()).filter(|_| room > 0) else {
            return Ok(allocator.pool.alloc(0)?);
        };
        // SAFETY: the vector had `room` bytes there from its allocator, and is taken apart.
        Ok(unsafe { allocator.take_back(address, bytes) }?)
    }
}

#[cfg(test)]
mod tests {
    use weyr_managed::{Cooperative, Mode, PoolAttributes};

    use super::*;

    fn pool(test: &str) -> Pool {
        let name = format!("allocator-raw-{test}-{}", std::process::id());
        let pool = Pool::create(&PoolAttributes::new(name, 8 << 20)).unwrap();
        // SAFETY: only this test opens the pool, and it keeps to owners.
        pool.cooperative(unsafe { Cooperative::assume() })
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    fn bytes<'a>(place: NonNull<[u8]>) -> &'a mut [u8] {
        // SAFETY: the test has just been given the place, and keeps no other reference to it.
        unsafe { &mut *place.as_ptr() }
    }

    #[test]
    fn every_layout_is_served_refitted_and_freed() {
        let pool = pool("layouts");
        let allocator = PoolAllocator::new(&pool).unwrap();
        for shift in 0..18 {
            for size in [1, 63, 200, 5000, 70_000] {
                let first = layout(size, 1 << shift);
                let place = allocator.allocate(first).unwrap();
                assert_eq!((place.len(), place.cast::<u8>().addr().get() % first.align()), (size, 0));
                bytes(place).fill(shift);
                // Longer, and at twice the alignment.
                let longer = layout(size * 3, 2 << shift);
                // SAFETY: given out above under `first`.
                let place = unsafe { allocator.grow(place.cast(), first, longer) }.unwrap();
                assert_eq!((place.len(), place.cast::<u8>().addr().get() % longer.align()), (size * 3, 0));
                assert!(bytes(place)[..size].iter().all(|&byte| byte == shift));
                // SAFETY: given out above under `longer`.
                let place = unsafe { allocator.shrink(place.cast(), longer, layout(1, 1)) }.unwrap();
                assert_eq!(bytes(place), [shift]);
                // SAFETY: as above; shrunk to nothing it is given back.
                unsafe { allocator.shrink(place.cast(), layout(1, 1), layout(0, 1)) }.unwrap();
            }
        }
        assert!(allocator.allocate(layout(1, 1 << 40)).is_err());
        assert_eq!(pool.usage().total.blocks, 0);
        pool.destroy().unwrap();
    }

    #[test]
    fn what_is_added_as_zero_is_zero_in_place_and_elsewhere() {
        let pool = pool("zeroed");
        let allocator = PoolAllocator::new(&pool).unwrap();
        // What was used and freed lies there for the next.
        let used = allocator.allocate(layout(4 << 20, 1)).unwrap();
        bytes(used).fill(0xff);
        // SAFETY: given out above.
        unsafe { allocator.deallocate(used.cast(), layout(4 << 20, 1)) };
        // The second time in what the first has used.
        for size in [10, 60, 3000, 70_000, 500_000].repeat(2) {
            let first = layout(size, 1);
            let place = allocator.allocate_zeroed(first).unwrap();
            assert!(bytes(place).iter().all(|&byte| byte == 0));
            bytes(place).fill(0xee);
            // SAFETY: given out above.
            let place = unsafe { allocator.grow_zeroed(place.cast(), first, layout(size * 2, 1)) }.unwrap();
            let (old, added) = bytes(place).split_at(size);
            assert!(old.iter().all(|&byte| byte == 0xee) && added.iter().all(|&byte| byte == 0), "{size}");
            bytes(place).fill(0xdd);
            // SAFETY: given out above.
            unsafe { allocator.deallocate(place.cast(), layout(size * 2, 1)) };
        }
        pool.destroy().unwrap();
    }

    #[test]
    fn a_block_whose_word_was_spoilt_is_left_alone() {
        let pool = pool("spoilt");
        let allocator = PoolAllocator::new(&pool).unwrap();
        let place = allocator.allocate(layout(100, 1)).unwrap();
        // SAFETY: given out above; the test gives it away behind the allocator's back.
        let published = unsafe { allocator.take_back(place.cast(), 100) }.unwrap().publish().unwrap();
        // SAFETY: as above.
        let again = unsafe { allocator.take_back(place.cast(), 100) };
        assert!(matches!(again, Err(PoolError::WrongState { .. })), "{again:?}");
        // SAFETY: not its memory any more, as if a peer had overwritten the word; the memory stays mapped.
        unsafe { allocator.deallocate(place.cast(), layout(100, 1)) };
        // SAFETY: as above.
        assert!(unsafe { allocator.grow(place.cast(), layout(100, 1), layout(200, 1)) }.is_ok());
        published.write(0, b"still there").unwrap();
        assert!(pool.verify(Mode::Quiesced).holds());
        published.free().unwrap();
        pool.destroy().unwrap();
    }
}
