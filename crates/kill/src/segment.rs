//! The bytes of a shared object, as the harness sees them: saved, told apart, and put back.
//!
//! The idea: the object is read and written as a file, not mapped (but to write where there is no write(2)). Reading a hole of a file through a mapping
//! would fill it, and a file that shrinks under a mapping kills the reader; `pread` does neither. Holes are skipped,
//! so that a sparse object costs what it holds, and a page of zeros counts as a hole, because nobody can tell them
//! apart by their bytes.
//!
//! Source: lseek(2) (`SEEK_DATA`, `SEEK_HOLE`), fallocate(2) (`FALLOC_FL_PUNCH_HOLE`).
//!
//! What it does *not* do: what is not bytes (mode, locks, seals). Several files as one object are `segments.rs`.

use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::FileExt,
    },
    path::Path,
    ptr::null_mut,
};

use rustix::{
    fs::{FallocateFlags, SeekFrom, fallocate, seek},
    io::Errno,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes are told apart and put back by this many.
const PAGE_BYTES: usize = 4096;
const ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// A shared object whose bytes a sweep watches.
pub trait Segment {
    /// All bytes, to be put back later.
    ///
    /// # Errors
    /// The object cannot be read.
    fn save(&self) -> io::Result<Image>;

    /// Puts the bytes and the length back. Those who have the object mapped see them change.
    ///
    /// # Errors
    /// The object cannot be written, or not be brought back to its length.
    fn restore(&self, image: &Image) -> io::Result<()>;

    /// A number that is the same for the same bytes and length, and else almost surely another. It is asked for
    /// after every instruction.
    ///
    /// # Errors
    /// The object cannot be read.
    fn fingerprint(&self) -> io::Result<u64>;
}

/// The bytes of a segment at one time.
#[derive(Clone, Debug, Default)]
pub struct Image {
    length: u64,
    /// Ascending, apart from each other. What lies between them is zero.
    extents: Vec<Extent>,
    /// Where it is of several objects, and has no bytes of its own.
    parts: Vec<Image>,
}

impl Image {
    pub(crate) fn of_parts(parts: Vec<Image>) -> Self {
        Self { parts, ..Self::default() }
    }

    pub(crate) fn parts(&self) -> &[Image] {
        &self.parts
    }
}

#[derive(Clone, Debug)]
struct Extent {
    offset: u64,
    bytes: Vec<u8>,
}

impl Extent {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// A segment that is a file: a path (in `/dev/shm` or elsewhere) or an open descriptor (a memfd).
#[derive(Debug)]
pub struct FileSegment {
    file: File,
    page: RefCell<Vec<u8>>,
}

impl FileSegment {
    /// The file at `path`.
    ///
    /// # Errors
    /// It is not there, or may not be read and written.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { file, page: RefCell::default() })
    }

    /// The file behind an open descriptor, opened anew: its offset is left alone. Needs `/proc`.
    ///
    /// # Errors
    /// It may not be read and written.
    pub fn of(descriptor: impl AsFd) -> io::Result<Self> {
        Self::open(format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd()))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The next range at or behind `from` that may hold other bytes than zero.
    fn next_data(&self, from: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
        if from >= length {
            return Ok(None);
        }
        match seek(&self.file, SeekFrom::Data(from)) {
            Ok(start) => {
                let end = seek(&self.file, SeekFrom::Hole(start))?;
                Ok(Some((start, end.min(length))).filter(|(start, end)| start < end))
            }
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::INVAL) => Ok(Some((from, length))),
            Err(errno) => Err(errno.into()),
        }
    }

    fn read(&self, start: u64, end: u64) -> io::Result<Extent> {
        let size = usize::try_from(end - start).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(Extent { offset: start, bytes })
    }

    /// Makes everything between `start` and `end` zero that `image` does not hold.
    fn clear_around(&self, image: &Image, start: u64, end: u64) -> io::Result<()> {
        let mut from = start;
        for extent in image.extents.iter().filter(|extent| extent.end() > start && extent.offset < end) {
            self.clear(from, extent.offset)?;
            from = extent.end();
        }
        self.clear(from, end)
    }

    fn clear(&self, start: u64, end: u64) -> io::Result<()> {
        if start >= end {
            return Ok(());
        }
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, punch, start, end - start) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let size = usize::try_from(end - start).map_err(io::Error::other)?;
                self.file.write_all_at(&vec![0; size], start)
            }
            done => Ok(done?),
        }
    }

    /// Writes the pages that differ.
    fn put(&self, extent: &Extent) -> io::Result<()> {
        let now = self.read(extent.offset, extent.end())?;
        let pages = extent.bytes.chunks(PAGE_BYTES).zip(now.bytes.chunks(PAGE_BYTES));
        for (index, (wanted, found)) in pages.enumerate() {
            if wanted != found {
                self.write(wanted, extent.offset + (index * PAGE_BYTES) as u64)?;
            }
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.file.write_all_at(bytes, offset) {
            // A file system without write(2), as hugetlbfs is.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.store(bytes, offset),
            done => done,
        }
    }

    /// Stores into a mapping of the whole file, which goes at once.
    fn store(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let length = usize::try_from(self.length()?).map_err(io::Error::other)?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        if start.checked_add(bytes.len()).is_none_or(|end| end > length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (access, descriptor) = (libc::PROT_READ | libc::PROT_WRITE, self.file.as_raw_fd());
        // SAFETY: a new mapping, which no other memory of this process overlaps.
        let mapped = unsafe { libc::mmap(null_mut(), length, access, libc::MAP_SHARED, descriptor, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `start` lies inside the mapping.
        let target = unsafe { mapped.cast::<u8>().add(start) };
        // SAFETY: so do the bytes from there on, as checked; they are of another object than `bytes`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        // SAFETY: the mapping is as long, and nobody else knows of it.
        unsafe { libc::munmap(mapped, length) };
        Ok(())
    }
}

impl Segment for FileSegment {
    fn save(&self) -> io::Result<Image> {
        let length = self.length()?;
        let mut extents = Vec::new();
        let mut from = 0;
        while let Some((start, end)) = self.next_data(from, length)? {
            extents.push(self.read(start, end)?);
            from = end;
        }
        Ok(Image { length, extents, parts: Vec::new() })
    }

    fn restore(&self, image: &Image) -> io::Result<()> {
        if self.length()? != image.length {
            self.file.set_len(image.length)?;
        }
        let mut from = 0;
        while let Some((start, end)) = self.next_data(from, image.length)? {
            self.clear_around(image, start, end)?;
            from = end;
        }
        image.extents.iter().try_for_each(|extent| self.put(extent))
    }

    fn fingerprint(&self) -> io::Result<u64> {
        let length = self.length()?;
        let mut page = self.page.borrow_mut();
        let (mut sum, mut from) = (length, 0);
        while let Some((start, end)) = self.next_data(from, length)? {
            page.resize(usize::try_from(end - start).map_err(io::Error::other)?, 0);
            self.file.read_exact_at(&mut page, start)?;
            sum = sum.wrapping_add(sum_of_pages(&page, start));
            from = end;
        }
        Ok(sum)
    }
}

/// Pages are summed, so that a page of zeros and a hole, which adds nothing, are the same. `start` is a multiple of
/// the page size (data begins at a block).
fn sum_of_pages(bytes: &[u8], start: u64) -> u64 {
    let pages = bytes.chunks(PAGE_BYTES).enumerate();
    pages.fold(0, |sum: u64, (index, page)| {
        if page == &ZEROS[..page.len()] {
            return sum;
        }
        sum.wrapping_add(xxh3_64_with_seed(page, start + (index * PAGE_BYTES) as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(writes: &[(u64, &[u8])], length: u64) -> (tempfile::NamedTempFile, FileSegment) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let segment = FileSegment::open(file.path()).unwrap();
        segment.file.set_len(length).unwrap();
        for (offset, bytes) in writes {
            segment.file.write_all_at(bytes, *offset).unwrap();
        }
        (file, segment)
    }

    fn bytes(file: &tempfile::NamedTempFile) -> Vec<u8> {
        std::fs::read(file.path()).unwrap()
    }

    #[test]
    fn restore_brings_back_bytes_holes_and_length() {
        let (file, segment) = file_with(&[(0, b"head"), (40_960, b"middle")], 100_000);
        let (before, image) = (bytes(&file), segment.save().unwrap());
        let held: usize = image.extents.iter().map(|extent| extent.bytes.len()).sum();
        assert!(held < 50_000, "holes are not saved as bytes: {held}");
        segment.file.write_all_at(b"other", 0).unwrap();
        segment.file.write_all_at(b"in a hole", 20_000).unwrap();
        segment.file.write_all_at(b"behind the end", 200_000).unwrap();
        segment.restore(&image).unwrap();
        assert_eq!(bytes(&file), before);
        segment.file.set_len(10).unwrap();
        segment.restore(&image).unwrap();
        assert_eq!(bytes(&file), before);
        segment.file.write_all_at(&[1; 100_000], 0).unwrap();
        segment.restore(&image).unwrap();
        assert_eq!(bytes(&file), before);
    }

    #[test]
    fn bytes_are_stored_where_there_is_no_write() {
        let (file, segment) = file_with(&[(0, b"head")], 10_000);
        segment.store(b"mapped", 9_994).unwrap();
        segment.store(b"H", 0).unwrap();
        let now = bytes(&file);
        assert_eq!((&now[..4], &now[9_994..]), (&b"Head"[..], &b"mapped"[..]));
        assert!(segment.store(b"mapped", 9_995).is_err(), "behind the end nothing is stored");
        assert_eq!(bytes(&file), now);
    }

    #[test]
    fn fingerprint_tells_one_bit_its_place_and_the_length() {
        let (_file, segment) = file_with(&[(8192, b"x")], 65_536);
        let first = segment.fingerprint().unwrap();
        segment.file.write_all_at(b"y", 8192).unwrap();
        let other_byte = segment.fingerprint().unwrap();
        segment.file.write_all_at(b"\0", 8192).unwrap();
        segment.file.write_all_at(b"x", 4096).unwrap();
        let other_page = segment.fingerprint().unwrap();
        segment.file.write_all_at(b"\0", 4096).unwrap();
        segment.file.write_all_at(b"x", 8192).unwrap();
        assert_eq!(segment.fingerprint().unwrap(), first, "zeros and a hole are the same bytes");
        segment.file.set_len(65_537).unwrap();
        let longer = segment.fingerprint().unwrap();
        assert!(first != other_byte && first != other_page && other_byte != other_page && first != longer);
    }

    #[test]
    fn a_descriptor_without_a_name_is_a_segment_too() {
        let memfd = rustix::fs::memfd_create("segment", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let file = File::from(memfd);
        file.write_all_at(b"before", 0).unwrap();
        let segment = FileSegment::of(&file).unwrap();
        let image = segment.save().unwrap();
        file.write_all_at(b"behind", 0).unwrap();
        segment.restore(&image).unwrap();
        let mut found = [0; 6];
        file.read_exact_at(&mut found, 0).unwrap();
        assert_eq!(&found, b"before");
    }
}
