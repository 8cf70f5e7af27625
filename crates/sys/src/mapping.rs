//! How a process sees shared bytes: one mapping of an object, or private memory of its own. Source: mmap(2).
//!
//! A mapping may be longer than its object: the part beyond the end is address space only, and becomes memory for
//! everybody when the object grows. Touching it earlier raises SIGBUS, as does touching a hole that the file system
//! has no room for; [`Object::back`](crate::object::Object::back) is how a caller makes sure of both.
//!
//! What it does not do: it gives out an address, never a reference. What is behind it, other processes may write.

mod given;
mod place;

use crate::fork;
use crate::object::{Access, Object};
use rustix::io::Errno;
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap,
};
use std::any::Any;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::OnceLock;

/// Bytes of one page: the grain of mappings, a power of two.
pub fn page_size() -> usize {
    rustix::param::page_size()
}

/// Some bytes in the address space of this process, unmapped when dropped unless they were the caller's before.
#[derive(Debug)]
pub struct Mapping {
    address: NonNull<u8>,
    len: usize,
    /// Nonce of the only process that has this mapping; empty: forked children have it too.
    owner: OnceLock<u64>,
    origin: Origin,
}

/// Where the memory of a mapping comes from.
#[derive(Debug)]
enum Origin {
    Object,
    /// The process's own, without an object.
    Anonymous,
    /// Somebody else's, who keeps it as long as this is not dropped.
    Lent {
        _lender: Box<dyn Any + Send + Sync>,
    },
}

/// What [`Mapping::huge_pages`] reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// The range consists of huge pages now, as far as its ends allow.
    Collapsed,
    /// The kernel may use huge pages for it as memory comes and goes.
    Advised,
    /// The kernel has no huge pages for this kind of memory; nothing has changed.
    Unavailable,
}

// SAFETY: a mapping is an address range of the process, the same for all its threads; the methods only ask the
// kernel about it, which locks by itself.
unsafe impl Send for Mapping {}
// SAFETY: as above; `owner` is a `OnceLock`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `object`, shared with everybody who maps it. Reserves no memory, and `len` may
    /// exceed the object's length.
    ///
    /// # Errors
    /// `INVAL`: `len` is 0 or more than the address space. `ACCESS`: the object was not opened for `access`, or is
    /// sealed against writing. `NOMEM`: no address range of that size is left, `RLIMIT_AS` included
    /// (see [`largest_window`](crate::address_space::largest_window)). `NODEV`: the file system cannot map.
    ///
    /// ```
    /// use weyr_sys::{address_space::largest_window, mapping::Mapping, object::{Access, Object}};
    ///
    /// let pool = Object::memory("pool")?;
    /// pool.set_len(1 << 20)?;
    /// let window = Mapping::shared(&pool, largest_window(1 << 40) as usize, Access::ReadWrite)?;
    /// assert!(window.len() > 1 << 20);
    /// # Ok::<(), weyr_sys::Errno>(())
    /// ```
    pub fn shared(object: &Object, len: usize, access: Access) -> Result<Mapping, Errno> {
        Mapping::of(object, len, protection_for(access))
    }

    /// As [`shared`](Self::shared), at an address that is a multiple of `alignment`, a power of two. Where no such place
    /// is known, address space of that size more is reserved for a moment; where there is not so much, it is any page.
    ///
    /// # Errors
    /// As [`shared`](Self::shared).
    pub fn shared_aligned(
        object: &Object,
        len: usize,
        access: Access,
        alignment: usize,
    ) -> Result<Mapping, Errno> {
        let protection = protection_for(access);
        let proposed = place::proposed(len, alignment).map(|place| place as *mut c_void);
        // A refusal is for the call below to explain.
        let found = proposed.and_then(|place| Mapping::near(place, object, len, protection).ok());
        let aligned = found.filter(|mapping| mapping.as_ptr().addr().is_multiple_of(alignment));
        let mapping = match aligned {
            Some(mapping) => mapping,
            None => Mapping::within_reserved(object, len, protection, alignment)?,
        };
        place::taken(mapping.as_ptr().addr());
        Ok(mapping)
    }

    fn within_reserved(
        object: &Object,
        len: usize,
        protection: ProtFlags,
        alignment: usize,
    ) -> Result<Mapping, Errno> {
        let whole_pages = len.checked_next_multiple_of(page_size());
        let window = whole_pages.and_then(|len| len.checked_add(alignment));
        let Some(mut reserved) = window.and_then(|window| Mapping::anonymous(window).ok()) else {
            return Mapping::of(object, len, protection);
        };
        let front = reserved.as_ptr().align_offset(alignment);
        let place = reserved.as_ptr().wrapping_add(front);
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the range lies within the mapping that was just reserved, which nobody else has or has touched.
        let address = unsafe { mmap(place.cast(), mappable(len)?, protection, flags, object, 0) }?;
        reserved.give_back_around(front, len);
        Mapping::at(address, len, Origin::Object)
    }

    /// Unmaps all but `len` bytes from `front` on, which are somebody else's from now on.
    fn give_back_around(&mut self, front: usize, len: usize) {
        let end = front + len.next_multiple_of(page_size());
        let behind = (self.address.as_ptr().wrapping_add(end), self.len - end);
        for (address, len) in [(self.address.as_ptr(), front), behind] {
            if len > 0 {
                // SAFETY: both ranges lie within this mapping, and nobody has an address from them.
                let unmapped = unsafe { munmap(address.cast(), len) };
                debug_assert!(unmapped.is_ok());
            }
        }
        self.len = 0;
    }

    /// Maps without any right to touch: a mapping that only keeps the object's open file description alive.
    pub(crate) fn untouchable(object: &Object, len: usize) -> Result<Mapping, Errno> {
        Mapping::of(object, len, ProtFlags::empty())
    }

    fn of(object: &Object, len: usize, protection: ProtFlags) -> Result<Mapping, Errno> {
        Mapping::near(std::ptr::null_mut(), object, len, protection)
    }

    /// At `place` if the kernel has nothing there, else where it likes.
    fn near(
        place: *mut c_void,
        object: &Object,
        len: usize,
        protection: ProtFlags,
    ) -> Result<Mapping, Errno> {
        let len = mappable(len)?;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        // SAFETY: a new mapping, which without MAP_FIXED takes the place of no other.
        let address = unsafe { mmap(place, len, protection, flags, object, 0) }?;
        Mapping::at(address, len, Origin::Object)
    }

    /// Maps `len` zero bytes of private memory, which come into being as they are touched.
    ///
    /// # Errors
    /// `INVAL`: `len` is 0 or more than the address space. `NOMEM`: no address range of that size is left.
    pub fn anonymous(len: usize) -> Result<Mapping, Errno> {
        let len = mappable(len)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let address = unsafe { mmap_anonymous(std::ptr::null_mut(), len, protection, flags) }?;
        Mapping::at(address, len, Origin::Anonymous)
    }

    /// As [`anonymous`](Self::anonymous), at an address that is a multiple of `alignment`, a power of two.
    ///
    /// # Errors
    /// As [`anonymous`](Self::anonymous).
    pub fn anonymous_aligned(len: usize, alignment: usize) -> Result<Mapping, Errno> {
        let len = len.checked_next_multiple_of(page_size()).ok_or(Errno::INVAL)?;
        let mut reserved = Mapping::anonymous(len.checked_add(alignment).ok_or(Errno::INVAL)?)?;
        let front = reserved.as_ptr().align_offset(alignment);
        let place = reserved.as_ptr().wrapping_add(front);
        reserved.give_back_around(front, len);
        Mapping::at(place.cast(), len, Origin::Anonymous)
    }

    /// Memory that the caller has already: `len` bytes at `address`. It is not unmapped; `lender`, which keeps it, is
    /// dropped when the mapping is.
    ///
    /// # Safety
    /// As long as `lender` lives, the bytes are readable and writable in this process, and everybody else who reaches
    /// them, in any process, does so through a mapping like this one.
    ///
    /// ```
    /// use weyr_sys::mapping::{Mapping, page_size};
    ///
    /// let lender = Mapping::anonymous(page_size())?;
    /// let (address, len) = (lender.as_ptr(), lender.len());
    /// // SAFETY: a mapping of this process that is handed over, and of which nobody else has the address.
    /// let lent = unsafe { Mapping::lent(address, len, lender) }?;
    /// assert_eq!(lent.as_ptr(), address);
    /// # Ok::<(), weyr_sys::Errno>(())
    /// ```
    ///
    /// # Errors
    /// `INVAL`: `address` is null, or `len` is 0 or more than the address space.
    pub unsafe fn lent(
        address: *mut u8,
        len: usize,
        lender: impl Any + Send + Sync,
    ) -> Result<Mapping, Errno> {
        let address = NonNull::new(address).ok_or(Errno::INVAL)?;
        let origin = Origin::Lent { _lender: Box::new(lender) };
        Ok(Mapping { address, len: mappable(len)?, owner: OnceLock::new(), origin })
    }

    fn at(address: *mut c_void, len: usize, origin: Origin) -> Result<Mapping, Errno> {
        let address = NonNull::new(address.cast()).ok_or(Errno::NOMEM)?;
        Ok(Mapping { address, len, owner: OnceLock::new(), origin })
    }

    /// The first byte, aligned to a page. Valid until the mapping is dropped; not writable if it is
    /// [`Access::ReadOnly`].
    pub fn as_ptr(&self) -> *mut u8 {
        self.address.as_ptr()
    }

    /// Length in bytes, as it was asked for; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Keeps the mapping out of children forked from now on: there the range is unmapped, and dropping the inherited
    /// value does nothing. Source: madvise(2), `MADV_DONTFORK`.
    ///
    /// # Errors
    /// What madvise(2) answers; the mapping is inherited as before.
    pub fn dont_fork(&self) -> Result<(), Errno> {
        self.advise(&(0..self.len), Advice::LinuxDontFork)?;
        self.owner.get_or_init(fork::nonce);
        Ok(())
    }

    /// Makes the pages of `range` (bytes from the start, widened to whole pages) present and writable, as if each
    /// had been written with what it holds. Blocks while pages are allocated. Source: `MADV_POPULATE_WRITE`.
    ///
    /// # Errors
    /// `OPNOTSUPP`: the kernel has no such call (before Linux 5.14), and nothing was touched. `INVAL`: the range is not
    /// within the mapping. `FAULT`: it reaches beyond the object's end, or the file system is full; pages before that
    /// are present. `NOMEM`: out of memory. `ACCESS` or `PERM`: the mapping is read-only.
    pub fn populate(&self, range: Range<usize>) -> Result<(), Errno> {
        self.require_within(&range)?;
        if range.is_empty() {
            return Ok(());
        }
        self.advise(&range, Advice::LinuxPopulateWrite).map_err(populate_error)
    }

    /// Gives the memory behind `range` of an [anonymous](Self::anonymous_aligned) mapping back to the kernel: its bytes are
    /// zero from now on. Only whole pages within the range. Source: madvise(2), `MADV_DONTNEED`.
    ///
    /// # Errors
    /// `INVAL`: the range is not within the mapping, or the mapping is not anonymous memory of its own.
    pub fn discard(&self, range: Range<usize>) -> Result<(), Errno> {
        self.require_within(&range)?;
        let start = range.start.next_multiple_of(page_size());
        let end = range.end - range.end % page_size();
        if !matches!(self.origin, Origin::Anonymous) {
            return Err(Errno::INVAL);
        }
        if start >= end {
            return Ok(());
        }
        let address = self.address.as_ptr().wrapping_add(start).cast();
        // SAFETY: whole pages of private memory of this mapping, whose bytes whoever may read them shares as atomics or
        // has given up: they change to zero, as by a store.
        rustix::io::retry_on_intr(|| unsafe { madvise(address, end - start, Advice::LinuxDontNeed) })
    }

    /// Asks for huge pages in `range` (bytes from the start, widened to whole pages): at once where the kernel can
    /// (Linux 6.1, which also fills holes of the object), else as it sees fit. Only whole, aligned huge pages within
    /// the range change. May block while memory is moved. Source: `MADV_HUGEPAGE`, `MADV_COLLAPSE`.
    ///
    /// # Errors
    /// `INVAL`: the range is not within the mapping. What madvise(2) answers to the first advice otherwise, except
    /// that the kernel does not know it: that is [`HugePages::Unavailable`].
    pub fn huge_pages(&self, range: Range<usize>) -> Result<HugePages, Errno> {
        self.require_within(&range)?;
        if range.is_empty() {
            return Ok(HugePages::Advised);
        }
        match self.advise(&range, Advice::LinuxHugepage) {
            Ok(()) => Ok(self.collapse(&range)),
            Err(Errno::INVAL | Errno::NOSYS) => Ok(HugePages::Unavailable),
            Err(error) => Err(error),
        }
    }

    /// Lets the bytes of the mapping be executed too, in this process; `access` is what it was mapped for. Source:
    /// mprotect(2).
    ///
    /// # Errors
    /// `ACCESS`: the object lies on a file system that is mounted `noexec`, or a security policy forbids it. It is as it
    /// was. `INVAL`: lent memory, whose protection is the lender's.
    pub fn allow_execution(&self, access: Access) -> Result<(), Errno> {
        if matches!(self.origin, Origin::Lent { .. }) {
            return Err(Errno::INVAL);
        }
        let writable = match access {
            Access::ReadOnly => MprotectFlags::empty(),
            Access::ReadWrite => MprotectFlags::WRITE,
        };
        let protection = MprotectFlags::READ | MprotectFlags::EXEC | writable;
        // SAFETY: the whole mapping, which stays readable and writable as it was.
        unsafe { mprotect(self.address.as_ptr().cast(), self.len, protection) }
    }

    /// Lets the kernel use huge pages in `range` where memory is touched for the first time; what is there stays as it
    /// is. False where it has none for this kind of memory. Does not block. Source: `MADV_HUGEPAGE`.
    ///
    /// # Errors
    /// `INVAL`: the range is not within the mapping.
    pub fn allow_huge_pages(&self, range: Range<usize>) -> Result<bool, Errno> {
        self.require_within(&range)?;
        Ok(range.is_empty() || self.advise(&range, Advice::LinuxHugepage).is_ok())
    }

    /// Bytes of this mapping that the kernel shows to this process through huge pages now, by `/proc/self/smaps`; none
    /// where it does not say. Only what this process has touched can be among them.
    pub fn huge_bytes(&self) -> Option<u64> {
        let maps = std::fs::read_to_string("/proc/thread-self/smaps").ok()?;
        let start = self.address.as_ptr() as usize;
        Some(huge_bytes_within(&maps, start..start + self.len))
    }

    /// A refusal (an older kernel, no huge page free, pages in use) leaves the advice in place.
    fn collapse(&self, range: &Range<usize>) -> HugePages {
        let (address, len) = self.whole_pages(range);
        // SAFETY: the range lies within this mapping, and collapsing changes no byte of it.
        let answer = unsafe { libc::madvise(address, len, libc::MADV_COLLAPSE) };
        if answer == 0 { HugePages::Collapsed } else { HugePages::Advised }
    }

    fn advise(&self, range: &Range<usize>, advice: Advice) -> Result<(), Errno> {
        let (address, len) = self.whole_pages(range);
        // SAFETY: the range lies within this mapping, and none of the advices used here changes a byte of it.
        rustix::io::retry_on_intr(|| unsafe { madvise(address, len, advice) })
    }

    fn require_within(&self, range: &Range<usize>) -> Result<(), Errno> {
        if range.start <= range.end && range.end <= self.len { Ok(()) } else { Err(Errno::INVAL) }
    }

    /// The whole pages around a range that lies within the mapping. The last page may reach beyond `len`: the kernel
    /// maps whole pages too.
    fn whole_pages(&self, range: &Range<usize>) -> (*mut c_void, usize) {
        let start = range.start - range.start % page_size();
        let address = self.address.as_ptr().wrapping_add(start);
        (address.cast(), range.end - start)
    }

    /// A forked child has no mapping that was kept out of it, and may have something else at its address; what was lent is
    /// the lender's.
    fn is_mapped_here(&self) -> bool {
        !matches!(self.origin, Origin::Lent { .. })
            && self.owner.get().is_none_or(|owner| *owner == fork::nonce())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len > 0 && self.is_mapped_here() {
            // SAFETY: the range was mapped by `self`, belongs to nobody else, and whoever took an address from it
            // may use it only while `self` lives.
            let unmapped = unsafe { munmap(self.address.as_ptr().cast(), self.len) };
            debug_assert!(unmapped.is_ok());
            place::given_back(self.address.addr().get(), self.len);
        }
    }
}

fn protection_for(access: Access) -> ProtFlags {
    match access {
        Access::ReadOnly => ProtFlags::READ,
        Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
    }
}

fn mappable(len: usize) -> Result<usize, Errno> {
    if len == 0 || len > isize::MAX as usize { Err(Errno::INVAL) } else { Ok(len) }
}

/// The range is ours and aligned, so a kernel that calls the request invalid does not know the advice.
fn populate_error(error: Errno) -> Errno {
    if matches!(error, Errno::INVAL | Errno::NOSYS) { Errno::OPNOTSUPP } else { error }
}

/// Sums what smaps says of the parts of an address range. Source: proc_pid_smaps(5).
fn huge_bytes_within(maps: &str, range: Range<usize>) -> u64 {
    let mut inside = false;
    let mut sum = 0;
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some((start, _)) = first.split_once('-') {
            inside = usize::from_str_radix(start, 16).is_ok_and(|start| range.contains(&start));
        } else if inside && matches!(first, "ShmemPmdMapped:" | "FilePmdMapped:" | "AnonHugePages:") {
            sum += words.next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_cannot_populate_is_told_from_a_full_file_system() {
        assert_eq!(populate_error(Errno::INVAL), Errno::OPNOTSUPP);
        assert_eq!(populate_error(Errno::NOSYS), Errno::OPNOTSUPP);
        assert_eq!(populate_error(Errno::FAULT), Errno::FAULT);
    }

    #[test]
    fn huge_bytes_are_those_of_the_parts_inside() {
        let maps = "1000-3000 rw-s 00000000 00:01 1 /dev/shm/a\nSize: 8 kB\nShmemPmdMapped:     2048 kB\n\
                    3000-5000 rw-s 00002000 00:01 1 /dev/shm/a\nShmemPmdMapped: 4096 kB\nVmFlags: rd wr\n\
                    6000-7000 rw-p 00000000 00:00 0\nAnonHugePages: 2048 kB\n";
        assert_eq!(huge_bytes_within(maps, 0x1000..0x5000), 6 << 20);
        assert_eq!(huge_bytes_within(maps, 0x3000..0x5000), 4 << 20);
        assert_eq!((huge_bytes_within(maps, 0x5000..0x6000), huge_bytes_within("x", 0..1)), (0, 0));
    }

    #[test]
    fn a_range_is_widened_to_whole_pages() {
        let mapping = Mapping::anonymous(4 * page_size()).expect("mapped");
        let (address, len) = mapping.whole_pages(&(page_size() + 1..page_size() + 2));
        assert_eq!(address as usize, mapping.as_ptr() as usize + page_size());
        assert_eq!(len, 2);
    }
}
