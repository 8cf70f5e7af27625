//! Memory behind a range of an object: fallocate(2), and what is done where there is none.
//!
//! tmpfs undoes a call that a signal interrupts. A program with a fast timer would never finish a large range, so
//! after each interruption the step is halved: progress is certain once a step fits between two signals.

use super::Object;
use crate::host::free_bytes_of;
use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;

/// Smallest step after interruptions, in bytes: about 15 us of work.
const SMALLEST_STEP: u64 = 64 << 10;

pub(super) fn back(object: &Object, offset: u64, len: u64) -> Result<(), Errno> {
    back_through(object, offset, len, |offset, len| {
        fallocate(&object.descriptor, FallocateFlags::KEEP_SIZE, offset, len)
    })
}

/// [`back`] with the call that does it.
fn back_through(
    object: &Object,
    offset: u64,
    len: u64,
    allocate: impl FnMut(u64, u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let end = end_within(object, offset, len)?;
    match in_steps(offset, end, allocate) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => require_free_space(object, len),
        answer => answer,
    }
}

/// fallocate(2) without KEEP_SIZE extends the file to the end of the range and never cuts it, unlike ftruncate(2).
pub(super) fn extend(object: &Object, len_bytes: u64) -> Result<(), Errno> {
    if len_bytes <= object.len()? {
        return Ok(());
    }
    in_steps(len_bytes - 1, len_bytes, |offset, len| {
        fallocate(&object.descriptor, FallocateFlags::empty(), offset, len)
    })
}

pub(super) fn punch(object: &Object, offset: u64, len: u64) -> Result<(), Errno> {
    let end = end_within(object, offset, len)?;
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    in_steps(offset, end, |offset, len| fallocate(&object.descriptor, hole, offset, len))
}

/// The end of the range, which lies within the object.
fn end_within(object: &Object, offset: u64, len: u64) -> Result<u64, Errno> {
    let end = offset.checked_add(len).ok_or(Errno::INVAL)?;
    if end <= object.len()? { Ok(end) } else { Err(Errno::INVAL) }
}

fn in_steps(
    mut offset: u64,
    end: u64,
    mut act: impl FnMut(u64, u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut step = end - offset;
    while offset < end {
        let len = step.min(end - offset);
        match act(offset, len) {
            Ok(()) => offset += len,
            Err(Errno::INTR) => step = (len / 2).max(SMALLEST_STEP),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// As many bytes are free on the object's file system as the range is long: no promise, and it counts what the
/// range has already.
fn require_free_space(object: &Object, len: u64) -> Result<(), Errno> {
    let free = free_bytes_of(&fstatvfs(&object.descriptor)?);
    if len <= free { Ok(()) } else { Err(Errno::NOSPC) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(len: u64) -> Object {
        let object = Object::memory("hole").expect("a memfd");
        object.set_len(len).expect("a length");
        object
    }

    #[test]
    fn without_fallocate_it_checks_that_there_is_room() {
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let object = Object::create(&directory.path().join("pool"), 0o600).expect("created");
        object.set_len(1 << 62).expect("a length");
        for refusal in [Errno::OPNOTSUPP, Errno::NOSYS] {
            assert_eq!(back_through(&object, 0, 4096, |_, _| Err(refusal)), Ok(()));
            assert_eq!(back_through(&object, 0, 1 << 62, |_, _| Err(refusal)), Err(Errno::NOSPC));
        }
    }

    #[test]
    fn other_errors_are_reported_as_they_are() {
        assert_eq!(back_through(&hole(8), 0, 8, |_, _| Err(Errno::DQUOT)), Err(Errno::DQUOT));
    }

    #[test]
    fn interruptions_make_the_steps_smaller_until_all_is_done() {
        let len = 10 * SMALLEST_STEP + 1;
        let mut covered = 7;
        let answer = back_through(&hole(len + 7), 7, len, |offset, len| {
            if len > SMALLEST_STEP {
                return Err(Errno::INTR);
            }
            assert_eq!(offset, covered);
            covered += len;
            Ok(())
        });
        assert_eq!((answer, covered), (Ok(()), 7 + len));
    }
}
