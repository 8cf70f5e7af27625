//! Payload: memory that one owner has, among processes that all map it.
//!
//! All copies into and out of shared memory are in this file. What another process writes while it owns nothing there
//! cannot be checked, so a reference into payload exists only on the word of the user: [`Cooperative`].

use std::ptr::{self, NonNull};

use crate::{Corrupt, Region};

/// The user's word that whoever maps a pool writes only memory that it owns.
///
/// ```
/// use weyr_shared::Cooperative;
/// // SAFETY: every process that opens the pool is one of ours, and goes through weyr.
/// let cooperative = unsafe { Cooperative::assume() };
/// # let _ = cooperative;
/// ```
///
/// Safe code cannot make one:
///
/// ```compile_fail,E0133
/// let cooperative = weyr_shared::Cooperative::assume();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooperative(());

impl Cooperative {
    /// Vouches for all processes that map the pools with which it is used.
    ///
    /// # Safety
    /// Every process and every part of this one that can write those pools reads and writes payload only while it
    /// owns it (by an allocation, a lease or a received message), or reads it after it was frozen; and nobody
    /// truncates the objects that hold them.
    pub const unsafe fn assume() -> Self {
        Self(())
    }
}

/// Why payload could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The range does not lie in the allocation.
    #[error(
        "{len} bytes at offset {offset} lie outside the allocation of {size} bytes; pass a range inside it"
    )]
    OutOfRange {
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Bytes there are.
        size: u64,
    },
    /// A reference was asked for, and nobody vouched for the other processes.
    #[error(
        "references into shared payload need the pool's word that others write only what they own: call \
         `pool.cooperative(unsafe {{ Cooperative::assume() }})`, or copy with read and write"
    )]
    NotCooperative,
}

/// The bytes of one allocation, in the hands of its owner for as long as `'r`.
///
/// It frees nothing. It is made by what owns the allocation, for one access, and is not `Clone`, so that `&mut` stays
/// unique: whoever makes two over the same bytes breaks the word given by [`Cooperative::assume`].
#[derive(Debug)]
pub struct Payload<'r> {
    region: &'r Region,
    offset: usize,
    len: u64,
    cooperative: Option<Cooperative>,
}

impl<'r> Payload<'r> {
    /// The bytes `offset .. offset + len` of `region`, for their owner alone.
    ///
    /// # Errors
    /// [`Corrupt`] when they do not lie inside.
    #[inline]
    pub fn new(
        region: &'r Region,
        offset: u64,
        len: u64,
        cooperative: Option<Cooperative>,
    ) -> Result<Self, Corrupt> {
        let offset = region.checked(offset, len, 1, "payload")?;
        Ok(Self { region, offset, len, cooperative })
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies `bytes` to `offset`. Does not block.
    ///
    /// # Errors
    /// [`PayloadError::OutOfRange`]; nothing was written then.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), PayloadError> {
        let target = self.place(offset, bytes.len() as u64)?;
        // SAFETY: the target range lies inside the mapping, and private memory cannot overlap it; other processes
        // that write it as well can spoil the bytes, never this process.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        Ok(())
    }

    /// Copies from `offset` into the whole of `bytes`. Does not block.
    ///
    /// # Errors
    /// [`PayloadError::OutOfRange`]; `bytes` is unchanged then.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), PayloadError> {
        let source = self.place(offset, bytes.len() as u64)?;
        // SAFETY: the source range lies inside the mapping, and private memory cannot overlap it.
        unsafe { std::ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// Sets every byte to `value`. Does not block.
    pub fn fill(&mut self, value: u8) {
        let start = self.start();
        // SAFETY: `len` bytes of the mapping lie there, and this is their owner.
        unsafe { std::ptr::write_bytes(start, value, self.len as usize) };
    }

    /// The bytes in place.
    ///
    /// # Errors
    /// [`PayloadError::NotCooperative`].
    pub fn into_slice(self) -> Result<&'r [u8], PayloadError> {
        self.cooperative.ok_or(PayloadError::NotCooperative)?;
        // SAFETY: in bounds by construction; the user vouched that nobody else writes them while this owner lives.
        Ok(unsafe { std::slice::from_raw_parts(self.start(), self.len as usize) })
    }

    /// The bytes in place, to change.
    ///
    /// # Errors
    /// [`PayloadError::NotCooperative`].
    pub fn into_mut_slice(self) -> Result<&'r mut [u8], PayloadError> {
        self.cooperative.ok_or(PayloadError::NotCooperative)?;
        // SAFETY: as in `into_slice`; the user vouched for one owner, who made this for one access.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.start(), self.len as usize) })
    }

    /// Where the bytes lie, for as long as they are mapped and owned: for owners that give out addresses.
    ///
    /// # Errors
    /// [`PayloadError::NotCooperative`].
    pub fn into_address(self) -> Result<NonNull<[u8]>, PayloadError> {
        self.cooperative.ok_or(PayloadError::NotCooperative)?;
        let bytes = ptr::slice_from_raw_parts_mut(self.start(), self.len as usize);
        // SAFETY: an address in a mapping is not null.
        Ok(unsafe { NonNull::new_unchecked(bytes) })
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: `offset` was checked to lie inside the region.
        unsafe { self.region.pointer().add(self.offset) }
    }

    /// Address of `len` bytes at `offset`, if there are so many.
    fn place(&self, offset: u64, len: u64) -> Result<*mut u8, PayloadError> {
        match offset.checked_add(len) {
            // SAFETY: the range lies inside the region.
            Some(end) if end <= self.len => Ok(unsafe { self.start().add(offset as usize) }),
            _ => Err(PayloadError::OutOfRange { offset, len, size: self.len }),
        }
    }
}

impl Region {
    /// Copies `bytes` to `offset`: for memory that the caller's protocol gives it alone (a claimed message slot).
    ///
    /// # Errors
    /// [`Corrupt`] when the range does not lie inside; nothing was written then.
    #[inline]
    pub fn copy_in(&self, offset: u64, bytes: &[u8]) -> Result<(), Corrupt> {
        let at = self.checked(offset, bytes.len() as u64, 1, "payload")?;
        // SAFETY: `at` lies inside the region.
        let target = unsafe { self.pointer().add(at) };
        // SAFETY: as in `Payload::write`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        Ok(())
    }

    /// Copies from `offset` into the whole of `bytes`.
    ///
    /// # Errors
    /// [`Corrupt`] when the range does not lie inside; `bytes` is unchanged then.
    #[inline]
    pub fn copy_out(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Corrupt> {
        let at = self.checked(offset, bytes.len() as u64, 1, "payload")?;
        // SAFETY: `at` lies inside the region.
        let source = unsafe { self.pointer().add(at) };
        // SAFETY: as in `Payload::read`.
        unsafe { std::ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// Copies from `offset`, where others may write at the same time, into the whole of `bytes`: what comes may be torn
    /// anywhere, so the caller finds out whether somebody wrote before it believes any of it.
    ///
    /// # Errors
    /// [`Corrupt`] when the range does not lie inside; `bytes` is unchanged then.
    pub fn copy_out_of_changing(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Corrupt> {
        let at = self.checked(offset, bytes.len() as u64, 1, "payload")?;
        // SAFETY: `at` lies inside the region.
        let mut source: *const u8 = unsafe { self.pointer().add(at) };
        let mut words = bytes.chunks_exact_mut(8);
        for word in &mut words {
            // SAFETY: eight bytes of the checked range lie there. Volatile, so that the compiler reads each once and
            // assumes nothing of what it finds; any bytes are a value.
            let value = unsafe { source.cast::<[u8; 8]>().read_volatile() };
            word.copy_from_slice(&value);
            // SAFETY: the end of those eight bytes, inside the checked range or at its end.
            source = unsafe { source.add(8) };
        }
        for byte in words.into_remainder() {
            // SAFETY: one byte of the checked range, as above.
            *byte = unsafe { source.read_volatile() };
            // SAFETY: as above.
            source = unsafe { source.add(1) };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weyr_sys::mapping::Mapping;

    use super::*;

    fn region() -> Region {
        Region::new(Arc::new(Mapping::anonymous(4096).unwrap()))
    }

    fn payload(region: &Region, cooperative: Option<Cooperative>) -> Payload<'_> {
        Payload::new(region, 100, 50, cooperative).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let region = region();
        let mut payload = payload(&region, None);
        payload.write(10, b"weyr").unwrap();
        let mut bytes = [0; 4];
        payload.read(10, &mut bytes).unwrap();
        assert_eq!(&bytes, b"weyr");
    }

    #[test]
    fn what_others_may_write_is_copied_whole_when_they_do_not() {
        let region = region();
        let bytes: Vec<u8> = (0..100).collect();
        region.copy_in(5, &bytes).unwrap();
        for len in [0, 1, 7, 8, 9, 16, 23, 100] {
            let mut copy = vec![0xff; len];
            region.copy_out_of_changing(5, &mut copy).unwrap();
            assert_eq!(copy, bytes[..len]);
        }
        assert!(region.copy_out_of_changing(4090, &mut [0; 7]).is_err());
    }

    #[test]
    fn a_range_outside_is_refused_and_changes_nothing() {
        let region = region();
        let mut payload = payload(&region, None);
        assert_eq!(
            payload.write(47, b"weyr"),
            Err(PayloadError::OutOfRange { offset: 47, len: 4, size: 50 })
        );
        assert!(payload.read(u64::MAX, &mut [0; 4]).is_err());
        let mut bytes = [1; 50];
        payload.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 50]);
    }

    #[test]
    fn references_exist_only_on_the_word_of_the_user() {
        let region = region();
        assert_eq!(payload(&region, None).into_slice(), Err(PayloadError::NotCooperative));
        assert_eq!(payload(&region, None).into_mut_slice(), Err(PayloadError::NotCooperative));
        assert_eq!(payload(&region, None).into_address(), Err(PayloadError::NotCooperative));
        // SAFETY: a private mapping of this test.
        let word = Some(unsafe { Cooperative::assume() });
        assert_eq!(payload(&region, word).into_address().unwrap().len(), 50);
        payload(&region, word).into_mut_slice().unwrap()[0] = 9;
        assert_eq!(payload(&region, word).into_slice().unwrap()[0], 9);
    }
}
