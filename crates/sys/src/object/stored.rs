//! What an object holds, read without a mapping. Source: pread(2), lseek(2) with `SEEK_DATA` and `SEEK_HOLE`.
//!
//! A load from a hole of a mapped tmpfs file makes the kernel put memory there; a read does not.

use std::ops::Range;

use rustix::fs::SeekFrom;
use rustix::io::{Errno, retry_on_intr};

use super::Object;

/// Copies from `offset` into the start of `bytes`, up to the object's end; returns how many.
pub(super) fn read_at(object: &Object, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &mut bytes[done..];
        match retry_on_intr(|| rustix::io::pread(&object.descriptor, &mut *rest, offset + done as u64))? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

/// The first range at or behind `offset` that is no hole.
pub(super) fn next_stored(object: &Object, offset: u64) -> Result<Option<Range<u64>>, Errno> {
    let seek = |to| rustix::fs::seek(&object.descriptor, to);
    match seek(SeekFrom::Data(offset)) {
        Ok(start) => {
            // It may have become a hole, or the end, since.
            let end = seek(SeekFrom::Hole(start)).unwrap_or(start);
            Ok((end > start).then_some(start..end))
        }
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes all of `bytes` from `offset` on.
pub(super) fn write_at(object: &Object, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        match retry_on_intr(|| rustix::io::pwrite(&object.descriptor, rest, offset + done as u64))? {
            0 => return Err(Errno::IO),
            written => done += written,
        }
    }
    Ok(())
}
