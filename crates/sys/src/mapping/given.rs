//! Memory that the caller has: given away for good, and whether the kernel lets this process touch it.

use super::{Mapping, mappable};
use crate::object::Access;
use rustix::io::Errno;
use std::ops::Range;

impl Mapping {
    /// Memory of this process that nobody else can reach any more: a static array, say, or a buffer that was leaked. A
    /// forked child has a copy of its own, as of all private memory.
    ///
    /// ```
    /// use weyr_sys::mapping::Mapping;
    ///
    /// let memory = Mapping::of_static(vec![0; 64 << 10].leak())?;
    /// assert_eq!(memory.len(), 64 << 10);
    /// # Ok::<(), weyr_sys::Errno>(())
    /// ```
    ///
    /// # Errors
    /// `INVAL`: it has no bytes.
    pub fn of_static(memory: &'static mut [u8]) -> Result<Mapping, Errno> {
        let len = mappable(memory.len())?;
        // SAFETY: the only reference to these bytes, which live as long as the process, ends here; so whoever reaches them
        // does it through what is made now.
        unsafe { Mapping::lent(memory.as_mut_ptr(), len, ()) }
    }

    /// Whether the kernel lets this process read all of the bytes, and write them where `access` says so, by
    /// `/proc/self/maps`. True also where that cannot be read. Does not say whether an object is as long as its mapping.
    pub fn allows(&self, access: Access) -> bool {
        let start = self.address.as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/thread-self/maps");
        maps.map_or(true, |maps| allows_all(&maps, start..start + self.len, access))
    }
}

/// Whether parts that follow each other without a gap, all with the rights of `access`, cover the range. Source:
/// proc_pid_maps(5).
fn allows_all(maps: &str, range: Range<usize>, access: Access) -> bool {
    let mut covered = range.start;
    for (part, rights) in maps.lines().filter_map(part_of) {
        if covered >= range.end {
            break;
        }
        if part.contains(&covered) {
            let writable = access == Access::ReadOnly || rights.contains('w');
            if !(writable && rights.contains('r')) {
                return false;
            }
            covered = part.end;
        }
    }
    covered >= range.end
}

/// Addresses and rights of a line.
fn part_of(line: &str) -> Option<(Range<usize>, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some((number(start)?..number(end)?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Access::{ReadOnly, ReadWrite};

    const MAPS: &str = "1000-3000 rw-s 00000000 00:01 1 /dev/shm/a\n3000-4000 r--p 00000000 00:00 0\n\
                        6000-7000 rw-p 00000000 00:00 0\n7000-8000 ---p 00000000 00:00 0\n";

    #[test]
    fn every_byte_must_have_the_right() {
        assert!(allows_all(MAPS, 0x1000..0x3000, ReadWrite) && allows_all(MAPS, 0x1800..0x2001, ReadWrite));
        assert!(!allows_all(MAPS, 0x2fff..0x3001, ReadWrite));
        assert!(allows_all(MAPS, 0x1000..0x4000, ReadOnly));
        assert!(!allows_all(MAPS, 0x6000..0x8000, ReadOnly));
    }

    #[test]
    fn bytes_that_nothing_maps_are_not_allowed() {
        assert!(!allows_all(MAPS, 0x3000..0x6001, ReadOnly));
        assert!(!allows_all(MAPS, 0x8000..0x9000, ReadOnly));
        assert!(!allows_all("", 0..1, ReadOnly));
    }

    #[test]
    fn the_kernel_tells_what_was_mapped_how() {
        let object = crate::object::Object::memory("rights").expect("a memfd");
        object.set_len(1 << 16).expect("a length");
        let read = Mapping::shared(&object, 1 << 16, ReadOnly).expect("mapped");
        let write = Mapping::shared(&object, 1 << 16, ReadWrite).expect("mapped");
        assert!(read.allows(ReadOnly) && !read.allows(ReadWrite));
        assert!(write.allows(ReadOnly) && write.allows(ReadWrite));
    }
}
